//! What happened in a run, as those tell it who took part: never the server.
//!
//! Users, rooms and tabs have numbers; on the wire they are `u7` and `r3`. A tab is a session of its user. Times are
//! microseconds of the machine's monotonic clock, which all processes on it share.

use std::cell::RefCell;
use std::rc::Rc;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The time now.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

/// Microseconds in a second.
pub const SECOND: u64 = 1_000_000;

/// The id of a message: its sender's tab, and the sender's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Letter {
    /// The sender.
    pub tab: u32,
    /// The how-manieth of the sender's.
    pub number: u64,
}

/// How a tab goes from a room, as it sees that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Going {
    /// It said that it leaves, or closed with 1000.
    Left,
    /// Its page went: 1001, or the end of an event stream.
    Away,
    /// Its connection is gone, whoever ended it.
    Lost,
}

/// How somebody went out of sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// `userLeft`.
    Event,
    /// They are missing in a snapshot of the same history.
    Snapshot,
    /// They are missing in a snapshot of a room that began anew.
    NewEpoch,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each event says what its fields are")]
pub enum Event {
    /// A tab asks to enter; from now on others may see its user.
    Entering { tab: u32, user: u32, room: u32 },
    /// It has its snapshot, or all it missed; from now on others must see its user.
    Entered { tab: u32, room: u32 },
    /// It goes.
    Going { tab: u32, room: u32, how: Going },
    /// It went a moment ago, and nobody may have heard its goodbye.
    Unheard { tab: u32, room: u32 },
    /// What it sees of a room is up to date from now on.
    Hearing { tab: u32, room: u32 },
    /// What it sees of a room gets no older news any more.
    Deaf { tab: u32, room: u32 },
    /// It sees a user come.
    Came { tab: u32, room: u32, user: u32 },
    /// It sees a user go.
    Went { tab: u32, room: u32, user: u32, by: Sight },
    /// It sends a message for the first time.
    Said { letter: Letter, room: u32 },
    /// A message is acknowledged to its sender.
    Acked { letter: Letter, room: u32, seq: u64 },
    /// A message that was sent once only is refused.
    Refused { letter: Letter, code: String },
    /// A tab applies a message.
    Applied { tab: u32, room: u32, seq: u64, letter: Letter },
    /// A tab is told that messages are gone.
    Dropped { tab: u32, room: u32, from: u64, to: u64 },
    /// At the end a message stands in the room.
    Kept { room: u32, seq: u64, letter: Letter },
    /// At the end a tab should have everything that was acknowledged in the room.
    Owed { tab: u32, room: u32 },
    /// A tab received what the protocol does not allow.
    Broken { tab: u32, what: String },
    /// At the end something is not as it should be.
    Diverged { what: String },
    /// Everything that the server knew of who is there is gone.
    Forgotten,
    /// From now on the server can not be expected to do anything.
    Down,
    /// It can again.
    Up,
    /// From now on nothing gets through between the server and a tab, or one way only.
    Cut { tab: u32 },
    /// Everything gets through again.
    Mended { tab: u32 },
}

/// An event, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds.
    pub at: u64,
    /// What.
    pub event: Event,
}

/// The history of a run, written by all who take part in it.
#[derive(Clone, Debug, Default)]
pub struct History(Rc<RefCell<Vec<Entry>>>);

impl History {
    /// Something happens now.
    pub fn note(&self, event: Event) {
        self.0.borrow_mut().push(Entry { at: now(), event });
    }

    /// Takes in what was written elsewhere.
    pub fn extend(&self, entries: Vec<Entry>) {
        self.0.borrow_mut().extend(entries);
    }

    /// Everything, in the order of time.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.0.borrow().clone();
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}
