//! One message of a stream.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::id::{IdError, RoomId, UserId};
use crate::time::WallTime;

/// The place of a message in its stream: 1, 2, 3 … A cursor is the number of the last message that is dealt with; 0 is
/// before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// After all that there will ever be.
    pub const LAST: Self = Self(u64::MAX);

    /// The place after all before it.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// As a number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a sender calls a message: 1–128 characters, no control characters, unique among what that user sends. The same id
/// again is the same message (M4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Checks `text`.
    ///
    /// # Errors
    /// If it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        // A user's id follows the same rules.
        UserId::parse(text).map(|_| Self(Arc::from(text)))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a message of a stream is; it decides the `type` that it has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// `message_created`: somebody sent it.
    Message,
    /// `thread_invitation`: the server put it into an inbox.
    Invitation,
}

/// A message that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its stream: a room, or an inbox (`@ann`).
    pub room: RoomId,
    /// What it is.
    pub kind: MessageKind,
    /// Who sends it.
    pub sender: UserId,
    /// What others call them at that time.
    pub sender_name: Arc<str>,
    /// The sender's own name for it.
    pub id: MessageId,
    /// JSON, compact. For an invitation: an object with `room`.
    pub body: Bytes,
    /// What the logs of every hop carry.
    pub correlation: Arc<str>,
    /// When the server took it in.
    pub at: WallTime,
}

/// A message as a stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the stream.
    pub seq: Seq,
    /// The message.
    pub message: NewMessage,
}
