//! What a connection has to say, written.

use std::cell::Cell;

use presence_core::frame::{Frame, Mark};
use presence_core::port::transport::{Sent, TransportError};
use presence_core::time::Now;
use tracing::{debug, trace};

use super::events::Events;
use super::{Drive, Wire};

/// Frames for which a thread keeps room between two writes.
const FRAMES_KEPT: usize = 256;

thread_local! {
    /// Lent to one connection at a time while it writes, so that none has to ask for memory each time.
    static FRAMES: Cell<Vec<Frame>> = const { Cell::new(Vec::new()) };
}

impl Drive {
    /// Says of each message that lasts what became of it (M6).
    fn log_deliveries(&self, frames: &[Frame], sent: Sent) {
        let outcome = if sent == Sent::All { "written" } else { "waits for the peer" };
        for message in frames.iter().flat_map(Frame::messages) {
            if let Some(Mark::Correlation(correlation)) = message.mark() {
                debug!(connection = %self.session.connection(), correlation = &**correlation, outcome, "message delivered");
            }
        }
    }

    /// Writes what waits, unless that is newer than an answer that has not been taken in yet.
    pub(super) fn write_in_order(&mut self, now: Now) -> Result<Written, Broken> {
        if self.mailbox.has_deliveries() {
            return Ok(Written::Everything);
        }
        self.write(now).map_err(|error| {
            debug!(connection = %self.session.connection(), %error, "write failed");
            Broken
        })
    }

    /// Writes what waits, if the peer keeps up.
    pub(super) fn write(&mut self, now: Now) -> Result<Written, TransportError> {
        if self.wire == Wire::Busy {
            return Ok(Written::Everything);
        }
        let mut frames = FRAMES.take();
        let written = self.write_gathered(now, &mut frames);
        frames.clear();
        frames.shrink_to(FRAMES_KEPT);
        FRAMES.set(frames);
        written
    }

    fn write_gathered(&mut self, now: Now, frames: &mut Vec<Frame>) -> Result<Written, TransportError> {
        let more = self.session.gather(now, frames);
        if frames.is_empty() {
            // Gathering may have found that a reader fell behind; that is an output to carry out.
            return Ok(if self.session.has_outputs() { Written::MoreWaits } else { Written::Everything });
        }
        let sent = self.transport.send(frames)?;
        self.session.handle_sent(now, sent);
        self.shared.metrics.written(frames);
        self.watchers.sent(now.wall, frames, sent);
        let (connection, events) = (self.session.connection(), Events(frames));
        trace!(%connection, frames = frames.len(), %events, outcome = ?sent, "written");
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.log_deliveries(frames, sent);
        }
        self.measures.tell(now.at, self.shared.clock, &self.shared.metrics);
        if sent == Sent::Waiting {
            self.wire = Wire::Busy;
            return Ok(Written::Everything);
        }
        Ok(if more || self.session.has_outputs() { Written::MoreWaits } else { Written::Everything })
    }
}

/// Nothing more can be written.
pub(super) struct Broken;

/// What became of a write.
pub(super) enum Written {
    /// Nothing more to write now, or the peer is busy with it.
    Everything,
    /// There is more, or something to carry out before.
    MoreWaits,
}
