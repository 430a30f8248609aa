//! Stretches of a stream: what is asked of the store, what it answers, and what a sync tells.

use super::Seq;
use crate::frame::Frame;
use crate::id::RoomId;

/// A question to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Of which stream.
    pub room: RoomId,
    /// Messages after this one.
    pub after: Seq,
    /// For what.
    pub purpose: Purpose,
}

/// What a stretch of a stream is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The connection has not had it.
    New,
    /// It goes again, up to here; what is gone meanwhile is not spoken of.
    Again {
        /// The last that goes again.
        to: Seq,
    },
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The question.
    pub fetch: Fetch,
    /// What to write, if anything: messages, and before them what is missing.
    pub frame: Option<Frame>,
    /// The last message of it, if it has one.
    pub last: Option<Seq>,
    /// Read on from here.
    pub up_to: Seq,
}

/// A stretch of a stream that a sync has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of which stream.
    pub room: RoomId,
    /// What comes after this one,
    pub from: Seq,
    /// up to this one.
    pub to: Seq,
}
