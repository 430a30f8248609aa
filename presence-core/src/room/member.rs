//! Who is in a room: a user, counted by sessions, each with what it says about itself.

use std::sync::Arc;

use crate::few::Few;
use crate::id::{Generation, SessionId, Version};
use crate::profile::Profile;
use crate::time::{Timestamp, WallTime};
use crate::wire::{Json, State};

/// A user who is present: at least one session is.
#[derive(Clone, Debug)]
pub struct Member {
    /// What others see of the user.
    pub profile: Arc<Profile>,
    /// When the first of the sessions came.
    pub joined_at: WallTime,
    /// When the room last heard from any of them.
    pub last_seen: WallTime,
    /// The version of the last that the room said of the user.
    pub told: Version,
    /// In the order in which they came; never empty while the user is in a room.
    pub sessions: Few<SessionPresence>,
}

/// One session of a user in a room.
#[derive(Clone, Debug)]
pub struct SessionPresence {
    /// Which one.
    pub id: SessionId,
    /// By which connection, if any.
    pub link: Link,
    /// When it came.
    pub connected_at: WallTime,
    /// In use, or idle.
    pub active: bool,
    /// What it says about itself.
    pub state: State,
    /// Where it points.
    pub cursor: Option<Json>,
}

/// What stands behind a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// This connection.
    Attached(Generation),
    /// None: the connection of this generation was lost, and the session leaves unless another takes it up in time.
    Held {
        /// The connection that was lost.
        generation: Generation,
        /// When the session leaves.
        until: Timestamp,
        /// What its leaving will be called.
        cause: LeaveCause,
    },
}

/// Whether anyone is looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// At least one session is in use.
    Online,
    /// All sessions are idle.
    Away,
}

/// How a user came to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaveCause {
    /// It said so.
    Left,
    /// It closed its connection.
    Closed,
    /// Its connection was lost and did not come back in time.
    Timeout,
    /// It was sent away.
    Kicked,
    /// The node that had its connection is gone.
    NodeLost,
}

impl LeaveCause {
    /// Every cause, for metrics.
    pub const ALL: [LeaveCause; 5] = [Self::Left, Self::Closed, Self::Timeout, Self::Kicked, Self::NodeLost];

    /// The cause as the wire and the metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Kicked => "kicked",
            Self::NodeLost => "node_lost",
        }
    }
}

impl Member {
    /// Online, or away if every session is idle.
    pub fn status(&self) -> Status {
        if self.sessions.iter().any(|session| session.active) { Status::Online } else { Status::Away }
    }

    /// The session of this id.
    pub fn session(&self, id: &SessionId) -> Option<&SessionPresence> {
        self.sessions.iter().find(|session| session.id == *id)
    }

    pub(super) fn session_mut(&mut self, id: &SessionId) -> Option<&mut SessionPresence> {
        self.sessions.iter_mut().find(|session| session.id == *id)
    }

    /// Notes that the room heard from the user; never goes back.
    pub(super) fn seen(&mut self, wall: WallTime) {
        self.last_seen = self.last_seen.max(wall);
    }
}

impl SessionPresence {
    /// Whether this connection is the one behind the session.
    pub fn is_attached_by(&self, generation: Generation) -> bool {
        self.link == Link::Attached(generation)
    }
}
