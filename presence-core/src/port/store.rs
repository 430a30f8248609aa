//! [`Store`]: what outlives the process. Presence does not need it: joining a room never waits for a store.
//!
//! Every call is one transaction. When a writing call returns `Ok`, what it wrote is as safe as [`Store::durability`]
//! says; when it returns an error, nothing of it has been written. Calls of one task happen in their order; calls of several
//! may share one commit.

use std::time::Duration;

use async_trait::async_trait;

use crate::id::{RoomId, UserId};
use crate::people::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
};
use crate::stream::{NewMessage, Seq, StoredMessage};
use crate::time::WallTime;

/// How safe what is written is (M1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Gone with the process.
    Memory,
    /// Survives the process, however it ends, but not the loss of power.
    Process,
    /// Survives the loss of power.
    Disk,
}

impl Durability {
    /// The level as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Process => "process",
            Self::Disk => "disk",
        }
    }
}

/// Why a store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It can not be written to: disk full, read-only, broken. It may come back.
    #[error("the store can not be written to: {0}")]
    Unavailable(String),
    /// Too much waits for it already.
    #[error("the store has too much to do")]
    Busy,
    /// What was asked contradicts what is stored.
    #[error("{0}")]
    Conflict(&'static str),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(&'static str),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is the stream's newest.
    New {
        /// Its place.
        seq: Seq,
    },
    /// It was there already, word for word (M4).
    Again {
        /// Its place.
        seq: Seq,
        /// When it was first taken in.
        at: WallTime,
    },
}

/// Messages of a stream that are gone before their receiver had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first that is gone.
    pub from: Seq,
    /// The last that is gone.
    pub to: Seq,
    /// Why.
    pub reason: GapReason,
}

/// Why messages are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The stream held as many, or as many bytes, as it may; the oldest went.
    Overflow,
    /// They were older than messages may be.
    Expired,
}

/// A stretch of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In order, without gaps but those below.
    pub messages: Vec<StoredMessage>,
    /// What is missing between the asked place and the last message, in order; two gaps of one reason never touch.
    pub gaps: Vec<Gap>,
    /// The newest message of the stream, whether in here or not; 0 if it never had one.
    pub head: Seq,
    /// Whether there is more after the last message.
    pub more: bool,
}

/// How much of a stream to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of their bodies; the first message is given however large it is.
    pub bytes: usize,
}

/// Where a receiver stands in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everything up to here is dealt with.
    pub cursor: Seq,
    /// The stream's newest message.
    pub head: Seq,
}

/// How much a stream may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Messages; one more and the oldest goes.
    pub messages: usize,
    /// Bytes of their bodies; more and the oldest go, but never the newest.
    pub bytes: usize,
    /// How old a message may get.
    pub age: Duration,
    /// How long an id is remembered after its message has gone: the same id again is then a new message.
    pub dedup: Duration,
    /// How many such ids are remembered; one more and the oldest is forgotten before its time.
    pub dedup_ids: usize,
}

/// The six numbers of M6, over all receivers: `accepted = acked + queued + expired + dropped + dead_lettered + purged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a term of the equation above")]
pub struct Balance {
    pub accepted: u64,
    pub acked: u64,
    pub queued: u64,
    pub expired: u64,
    pub dropped: u64,
    pub dead_lettered: u64,
    /// A receiver left the roster or the room before having them.
    pub purged: u64,
}

/// What a store is able to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    /// Everything.
    Well,
    /// Reading at most; the sentence says why.
    Failing(String),
}

/// What changed for a user since a time; each list at most as long as asked, the oldest changes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Profiles of the user, and of people who share a roster with them.
    pub people: Vec<Person>,
    /// Rosters that the user is on, of which somebody joined: the whole roster each, unless one alone is longer than asked.
    pub rosters: Vec<RosterMember>,
    /// Invitations of the user that are open.
    pub invitations: Vec<Invitation>,
    /// Whether a list was cut off.
    pub more: bool,
}

/// What outlives the process.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// How safe it keeps what is written.
    fn durability(&self) -> Durability;

    /// What it is able to do now; cheap.
    fn health(&self) -> StoreHealth;

    /// Leaves nothing to do for the next start. What has been answered is safe without it.
    async fn settle(&self) {}

    // Streams.

    /// Puts a message at the end of its stream, once, and trims the stream to its limits. The record that knows its id and
    /// the message are one transaction.
    ///
    /// A sender who receives the stream has dealt with their own message if nothing else waited for them: the device it
    /// came from has it, and one device is enough. Their cursor moves over it at once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the sender has used the id for another body or room.
    async fn append(&self, message: NewMessage) -> Result<Appended, StoreError>;

    /// The messages after a place.
    async fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Result<Page, StoreError>;

    /// Makes a user a receiver of a stream from its newest message on, unless they are one already. Members of a room's
    /// roster and the owner of an inbox are receivers without it, from their first day.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for an inbox of somebody else.
    async fn subscribe(&self, room: &RoomId, user: &UserId) -> Result<Standing, StoreError>;

    /// Ends that, unless the user is on the roster or owns the inbox; what waited is purged.
    async fn unsubscribe(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError>;

    /// Moves a receiver's cursor forward; never back. Everything up to `seq` is dealt with.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] beyond the stream's newest message, [`StoreError::NotFound`] for who is no receiver.
    async fn acknowledge(&self, room: &RoomId, user: &UserId, seq: Seq) -> Result<Standing, StoreError>;

    /// Where a user stands in every stream that they receive: their rosters' rooms, their inbox, and what they subscribed
    /// to; in the order of the rooms' ids.
    async fn standings(&self, user: &UserId) -> Result<Vec<(RoomId, Standing)>, StoreError>;

    /// Removes what is too old, a bounded amount at a time, the oldest first. Says whether there is more to remove. A
    /// message leaves its stream after all before it, so one that a clock put too early waits for its elders.
    async fn expire(&self, now: WallTime) -> Result<bool, StoreError>;

    /// The six numbers, and what all streams hold.
    async fn balance(&self) -> Result<Balance, StoreError>;

    /// The same, with what waits counted receiver by receiver: it may cost as much as there are receivers.
    async fn recount(&self) -> Result<Balance, StoreError> {
        self.balance().await
    }

    // People.

    /// What is known of these users; the unknown are left out.
    async fn people(&self, users: &[UserId]) -> Result<Vec<Person>, StoreError>;

    /// Changes a person, who comes into being with it.
    async fn change_person(
        &self,
        user: &UserId,
        patch: PersonPatch,
        now: WallTime,
    ) -> Result<Person, StoreError>;

    /// Notes that these users were online at these times; never moves a time back. Who was unknown comes into being.
    async fn seen_online(&self, seen: &[(UserId, WallTime)]) -> Result<(), StoreError>;

    /// The other users who are on at least one roster with this one, in the order of their ids.
    async fn acquaintances(&self, user: &UserId) -> Result<Vec<UserId>, StoreError>;

    // Rosters and invitations.

    /// A room's roster, the longest-standing members first.
    async fn roster(&self, room: &RoomId) -> Result<Vec<RosterMember>, StoreError>;

    /// Whether a user is on a room's roster.
    async fn is_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError>;

    /// Puts a user onto a roster; their cursor begins at the newest message, or stays where it is. Says whether they were
    /// not on it before. An open invitation of theirs ends with it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for an inbox, which has no roster.
    async fn add_member(&self, room: &RoomId, user: &UserId, now: WallTime) -> Result<bool, StoreError>;

    /// Takes a user off a roster; they receive the stream no longer, and what waited is purged. Says whether they were on
    /// it.
    async fn remove_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError>;

    /// Invites, and puts `notice` (a [`MessageKind::Invitation`](crate::stream::MessageKind)) into the invited's inbox.
    /// Gives the notice's place.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the user is on the roster or invited already, for an inbox, if the notice goes
    /// elsewhere, or as [`append`](Self::append).
    async fn invite(&self, invitation: Invitation, notice: NewMessage) -> Result<Seq, StoreError>;

    /// Ends an invitation. Gives it back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    async fn answer_invitation(
        &self,
        room: &RoomId,
        user: &UserId,
        answer: InvitationAnswer,
        now: WallTime,
    ) -> Result<Invitation, StoreError>;

    /// Open invitations to a room.
    async fn invitations_to(&self, room: &RoomId) -> Result<Vec<Invitation>, StoreError>;

    /// Open invitations of a user.
    async fn invitations_of(&self, user: &UserId) -> Result<Vec<Invitation>, StoreError>;

    /// What changed for a user after a time, at most `limit` of each.
    async fn changes(&self, user: &UserId, since: WallTime, limit: usize) -> Result<Changes, StoreError>;

    // A user's own documents.

    /// A document.
    async fn document(&self, user: &UserId, key: &DocumentKey) -> Result<Option<Document>, StoreError>;

    /// Writes a document. `expected`: `None` whatever is there; `Some(None)` only if there is none; `Some(Some(r))` only if
    /// it is at that revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not as expected.
    async fn write_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        body: bytes::Bytes,
        expected: Option<Option<Revision>>,
        now: WallTime,
    ) -> Result<Revision, StoreError>;

    /// Deletes a document. Says whether there was one. `expected` as in [`write_document`](Self::write_document).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it is not as expected.
    async fn delete_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<bool, StoreError>;

    // Notices to backends, which wait until they have been delivered.

    /// Keeps notices for a backend, in order, at most `held_max` of them: beyond that the oldest go. Says how many went.
    async fn keep_notices(&self, notices: Vec<bytes::Bytes>, held_max: usize) -> Result<u64, StoreError>;

    /// The oldest notices, with their numbers.
    async fn notices(&self, limit: usize) -> Result<Vec<(u64, bytes::Bytes)>, StoreError>;

    /// How many notices wait.
    async fn notices_held(&self) -> Result<u64, StoreError>;

    /// Forgets notices up to a number.
    async fn forget_notices(&self, up_to: u64) -> Result<(), StoreError>;
}

impl std::fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.durability().as_str())
    }
}
