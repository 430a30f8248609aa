//! What a session wants done, and what others have for it.

use std::sync::Arc;
use std::time::Duration;

use super::{Credentials, PeopleCommand, StreamCommand, StreamDelivery};
use crate::attempt::Attempt;
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::frame::Frame;
use crate::id::{RoomId, SessionId, UserId};
use crate::limits::RateLimit;
use crate::people::Person;
use crate::profile::Profile;
use crate::shard::{Detach, Entry, RoomCommand};
use crate::window::RoomReader;
use crate::wire::Reference;

/// Something that a session wants done.
#[derive(Debug)]
pub enum SessionOutput {
    /// Tell all shards that this connection has this session now.
    Attach {
        /// The user.
        user: UserId,
        /// The session.
        session: SessionId,
        /// Which of its client's requests has opened it, if that is known.
        attempt: Option<Attempt>,
    },
    /// Tell all shards that it has it no more. Must not be dropped: a lost one is a ghost.
    Detach {
        /// How it ended.
        how: Detach,
    },
    /// Give this to the room's shard. What [`RoomCommand::may_be_refused`] says may be handed back to
    /// [`Session::handle_busy`](super::Session::handle_busy) instead.
    Route {
        /// The room.
        room: RoomId,
        /// The command.
        command: RoomCommand,
    },
    /// Something about messages that last.
    Stream(StreamCommand),
    /// Answer this question about people.
    People(Box<PeopleCommand>),
    /// Tell whoever keeps who is here that this connection is in use, or idle.
    Active(bool),
    /// Tell them what it says of its user.
    Said(Arc<Profile>),
    /// Find out whether this token is good, and give the answer to [`Session::handle_verified`](super::Session::handle_verified).
    Verify(Box<Credentials>),
    /// Close the connection, after writing what waits.
    Close(CloseReason),
    /// A ping was answered after this time.
    RoundTrip(Duration),
    /// A client message was taken in, of this type.
    Received(&'static str),
    /// Too much came.
    Limited(RateLimit),
    /// An error was answered.
    Refused(ErrorCode),
}

/// What a shard has for a connection.
#[derive(Debug)]
pub enum Delivery {
    /// Snapshot, replay or window, and how to read on.
    Position {
        /// The room, by the id that everybody in it shares.
        room: RoomId,
        /// Which entry it answers.
        entry: Entry,
        /// To be written first.
        frame: Frame,
        /// Has everything up to and including the frame.
        reader: RoomReader,
    },
    /// The room did not let the session in.
    NotEntered {
        /// Which entry it answers.
        entry: Entry,
        /// The error.
        frame: Frame,
    },
    /// Something to write.
    Answer(Frame),
    /// Why something could not be carried out.
    Refused {
        /// Why.
        error: CommandError,
        /// What it was.
        reference: Reference,
    },
    /// Something about messages that last.
    Stream(StreamDelivery),
    /// What is kept of its user, read or changed just now.
    Person(Arc<Person>),
    /// Something about a room, to be written if the connection may enter that.
    Notice {
        /// The room.
        room: RoomId,
        /// What to write.
        frame: Frame,
    },
    /// The end.
    Evict(CloseReason),
}
