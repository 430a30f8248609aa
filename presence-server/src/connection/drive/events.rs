//! What was written, as the log of it names it.

use std::fmt;

use presence_core::frame::{Frame, Mark, Message};

/// The room and version of each event in some frames, as the log of its hand-out names them.
pub(super) struct Events<'a>(pub(super) &'a [Frame]);

impl fmt::Display for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for mark in self.0.iter().flat_map(Frame::messages).filter_map(Message::mark) {
            if let Mark::Id(event) = mark {
                write!(f, "{gap}{}@{}", event.room, event.version)?;
                gap = " ";
            }
        }
        Ok(())
    }
}
