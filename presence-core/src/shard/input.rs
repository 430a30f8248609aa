//! What goes into a shard and what comes out: the whole of its conversation with the world.

use std::sync::Arc;

use super::reading::RoomReading;
use crate::attempt::Attempt;
use crate::audit::Violation;
use crate::error::CloseReason;
use crate::frame::Frame;
use crate::id::{Epoch, Generation, RoomId, SessionId, UserId, Version};
use crate::profile::Profile;
use crate::room::{Movement, Room};
use crate::time::{Now, Timestamp, WallTime};
use crate::window::{RoomReader, Window};
use crate::wire::{Json, Reference, Since, StatePatch};

/// Something that happened to a shard.
#[derive(Clone, Debug)]
pub enum ShardInput {
    /// A connection has a session now. Goes to every shard, so that each can fence off the session's older
    /// connections by itself.
    Attach {
        /// The user.
        user: UserId,
        /// The session.
        session: SessionId,
        /// The connection.
        generation: Generation,
        /// Which of its client's requests has opened it, if the client has said that.
        attempt: Option<Attempt>,
    },
    /// A connection has its session no more. Goes to every shard, after all its commands.
    Detach {
        /// The connection.
        generation: Generation,
        /// How it ended.
        how: Detach,
    },
    /// A connection wants something of a room.
    Command {
        /// The connection.
        generation: Generation,
        /// The room.
        room: RoomId,
        /// What it wants.
        command: RoomCommand,
    },
    /// The server lets nobody in any more. Whoever is away can not come back, so from now on nobody's time runs out.
    Freeze,
    /// A user is to go, with all sessions, attached or held. Goes to every shard.
    Kick {
        /// The user.
        user: UserId,
    },
    /// Somebody outside wants to know who is in a room.
    Read {
        /// Comes back with the answer.
        ticket: u64,
        /// The room.
        room: RoomId,
    },
}

/// How a connection came to its end; it decides how fast its session leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    /// In good order, for good: at once.
    Finished,
    /// Its page went away, perhaps to be reloaded: after the short grace.
    GoingAway,
    /// Nobody knows: after the grace.
    Lost,
    /// Sent away: at once.
    Kicked,
}

/// What a connection wants of one room.
#[derive(Clone, Debug)]
pub enum RoomCommand {
    /// To enter.
    Join(Join),
    /// To leave at once.
    Leave,
    /// To be put out at once, since it may not be there any more.
    PutOut,
    /// To be known as still there.
    Touch,
    /// To say whether it is in use.
    Activity {
        /// In use, or idle.
        active: bool,
    },
    /// To be seen otherwise.
    Profile {
        /// As the connection was seen before.
        before: Arc<Profile>,
        /// As it is to be seen now.
        after: Arc<Profile>,
    },
    /// To change its state.
    Update {
        /// Field by field.
        patch: StatePatch,
        /// For the answer.
        reference: Reference,
    },
    /// To move its cursor.
    Cursor {
        /// `None` hides it.
        cursor: Option<Json>,
        /// For the answer.
        reference: Reference,
    },
    /// To be known as typing, or not.
    Typing {
        /// Whether.
        typing: bool,
        /// For the answer.
        reference: Reference,
    },
    /// To know whether it has what the room has.
    Sync {
        /// What it has.
        since: Since,
        /// The digest of what it has.
        digest: Option<u32>,
        /// Which entry it means.
        entry: Entry,
        /// For the answer.
        reference: Reference,
    },
    /// To watch these rows from now on, instead of all that the room says.
    Window {
        /// Which.
        window: Window,
        /// Which entry it means.
        entry: Entry,
        /// For the answer.
        reference: Reference,
    },
    /// To start afresh, since its reader fell off the feed.
    Restart {
        /// Which entry it means.
        entry: Entry,
    },
    /// To have the latest of the live lane, since its reader missed some of it.
    LiveNow,
}

impl RoomCommand {
    /// Whether a shard that has too much to do may hand it back. What ends something must get through; what asks for
    /// a fresh start has nobody to tell that it failed.
    pub const fn may_be_refused(&self) -> bool {
        match self {
            Self::Join(_)
            | Self::Update { .. }
            | Self::Cursor { .. }
            | Self::Typing { .. }
            | Self::Sync { .. }
            | Self::Window { .. } => true,
            Self::Leave
            | Self::PutOut
            | Self::Touch
            | Self::Activity { .. }
            | Self::Profile { .. }
            | Self::Restart { .. }
            | Self::LiveNow => false,
        }
    }
}

/// What a connection says when it enters a room.
#[derive(Clone, Debug)]
pub struct Join {
    /// What others see.
    pub profile: Arc<Profile>,
    /// In use, or idle.
    pub active: bool,
    /// The session's first state, merged into what it still has.
    pub state: Option<StatePatch>,
    /// What it has from before.
    pub since: Option<Since>,
    /// The rows that it wants to watch, instead of all that the room says.
    pub window: Option<Window>,
    /// Tells this entry from an earlier one of the same connection.
    pub entry: Entry,
    /// For the answer.
    pub reference: Reference,
}

/// Numbers the times that one connection enters rooms, so that the answer to an earlier entry is not taken for the
/// answer to a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry(pub u32);

/// Where a shard keeps a room; reused after the room is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub(super) u32);

impl RoomKey {
    /// As an index: keys are small and dense.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its place in a span of so much: however many keys there are, their places lie evenly, as steps of the golden ratio do
    /// (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    pub(super) const fn place_in(self, span: u64) -> u64 {
        const STEP: u32 = 0x9E37_79B9;
        ((self.0.wrapping_mul(STEP) as u128 * span as u128) >> u32::BITS) as u64
    }
}

/// Something that a shard wants done.
#[derive(Debug)]
pub enum ShardOutput {
    /// Give the connection this, and let it read the room on from here.
    Position {
        /// The connection.
        to: Generation,
        /// The room.
        room: RoomKey,
        /// Its id, which everybody in it shares.
        name: RoomId,
        /// The entry that this belongs to.
        entry: Entry,
        /// Snapshot, replay or window.
        frame: Frame,
        /// Has everything up to and including the frame.
        reader: RoomReader,
    },
    /// The connection does not listen to the room any more.
    Silence {
        /// The connection.
        to: Generation,
        /// The room.
        room: RoomKey,
    },
    /// The room does not let the connection in; tell it why.
    NotEntered {
        /// The connection.
        to: Generation,
        /// The entry that this belongs to.
        entry: Entry,
        /// The error.
        frame: Frame,
    },
    /// Give the connection this.
    Answer {
        /// The connection.
        to: Generation,
        /// An error, or what it asked for.
        frame: Frame,
    },
    /// The room's feed has news: wake who listens.
    Wake {
        /// The room.
        room: RoomKey,
        /// Its name, for the log.
        name: RoomId,
        /// How far its history goes now.
        version: Version,
        /// How many messages it said.
        messages: usize,
        /// When the oldest of the changes behind them happened.
        since: Timestamp,
    },
    /// Windows of the room look different: wake those who watch them.
    Show {
        /// The room's name, for the log.
        name: RoomId,
        /// Who watches them.
        to: Vec<Generation>,
        /// When the oldest of the changes behind it happened.
        since: Timestamp,
    },
    /// Tell who wants to know who came and went. The movements of a room come in the order of its versions.
    Moved {
        /// The room.
        room: RoomId,
        /// Its history.
        epoch: Epoch,
        /// When the room said it.
        at: WallTime,
        /// At least one.
        movements: Vec<Movement>,
    },
    /// End the connection.
    Evict {
        /// The connection.
        to: Generation,
        /// Why.
        reason: CloseReason,
    },
    /// The answer to a [`ShardInput::Read`].
    Reading {
        /// The question's ticket.
        ticket: u64,
        /// The answer.
        reading: Arc<RoomReading>,
    },
    /// Something is not as it must be; it is counted already. Say so.
    Violated(Violation),
    /// The room is gone; its key will be used again.
    Closed {
        /// The room.
        room: RoomKey,
    },
}

impl ShardOutput {
    /// What of a hand-out is for others than those who listen, if anything is.
    pub(super) fn moved(room: &Room, now: Now, movements: Vec<Movement>) -> Option<Self> {
        let (id, epoch) = (room.id().clone(), room.stand().epoch.clone());
        (!movements.is_empty()).then_some(Self::Moved { room: id, epoch, at: now.wall, movements })
    }
}
