//! A store in one SQLite file: one thread writes, in batches that share a commit, and a few read beside it. A file that
//! can not be written to or read is a state of the store, out of which it finds by itself; presence goes on.

mod check;
#[cfg(test)]
mod damaged;
mod documents;
mod fault;
mod file;
mod gather;
mod keeper;
mod people;
mod readers;
mod reading;
mod row;
mod streams;
mod writer;

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
};
use presence_core::port::store::{
    Appended, Balance, Changes, Durability, Page, PageLimits, Standing, Store, StoreError, StoreHealth,
    StreamLimits,
};
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;

use self::file::OpenError;
use self::readers::Readers;
use self::writer::{Shared, Writer};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// How long closing may take. Nobody waits for a disk that hangs.
const CLOSING: Duration = Duration::from_secs(5);

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Until the disk has it: it survives the loss of power.
    Full,
    /// Until the system has it: it survives the process.
    Normal,
}

/// How a file is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How much a stream may hold.
    pub limits: StreamLimits,
    /// What a commit waits for.
    pub sync: Sync,
    /// Calls that may wait to be written, and as many to be read; one more is [`StoreError::Busy`].
    pub queue_max: usize,
    /// Calls that share a commit.
    pub batch_max: usize,
    /// How far apart commits begin that many share; with none each begins when the one before is over.
    pub gather: Duration,
    /// Bytes of the file; 0: as many as the disk has.
    pub bytes_max: u64,
    /// Bytes on the disk that are kept free for removing what is too old when there is no other space.
    pub reserve_bytes: u64,
}

/// One file.
#[derive(Debug)]
pub struct SqliteStore {
    durability: Durability,
    shared: Arc<Shared>,
    writer: Option<Arc<Writer>>,
    readers: Option<Readers>,
    /// Gives an error once the writing thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl SqliteStore {
    /// Opens a file, or makes it. One that is broken gives a store that is failing, and tries again from time to time.
    ///
    /// # Errors
    /// If the file belongs to another program or to a later version of this one, or no thread can be started.
    pub fn open(path: &Path, options: Options, clock: Clock, metrics: Metrics) -> Result<Self, String> {
        let durability = match options.sync {
            Sync::Full => Durability::Disk,
            Sync::Normal => Durability::Process,
        };
        let shared = Arc::new(Shared::new());
        let (alive, ended) = sync_channel(0);
        let no_thread = |error: std::io::Error| format!("a thread can not be started: {error}");
        let (writer, first) =
            Writer::start(path.to_owned(), options, Arc::clone(&shared), clock, metrics, alive)
                .map_err(no_thread)?;
        if let Err(OpenError::Refused(why)) = first {
            return Err(why);
        }
        let writer = Arc::new(writer);
        let readers = Readers::start(path, options.queue_max, &shared, &writer).map_err(no_thread)?;
        Ok(Self {
            durability,
            shared,
            writer: Some(writer),
            readers: Some(readers),
            ended: Mutex::new(ended),
        })
    }

    fn writer(&self) -> &Writer {
        self.writer.as_ref().expect("it is there until the store is dropped")
    }

    fn readers(&self) -> &Readers {
        self.readers.as_ref().expect("they are there until the store is dropped")
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop((self.readers.take(), self.writer.take()));
        // What waits is carried out before.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(CLOSING);
    }
}

/// Copies a store to a file that is not there yet, while a server uses it or not.
///
/// # Errors
/// Says why not.
pub fn back_up(store: &Path, to: &Path) -> Result<(), String> {
    if to.exists() {
        return Err(format!("{} is there already", to.display()));
    }
    let copied = file::open_to_read(store).and_then(|db| file::copy(&db, to));
    copied.map_err(|error| error.to_string())
}

/// All that is wrong with a store, as sentences; none if all is well.
///
/// # Errors
/// If it can not be read at all.
pub fn check(store: &Path) -> Result<Vec<String>, String> {
    let db = file::open_to_read(store).map_err(|error| error.to_string())?;
    let faults = db.unchecked_transaction().and_then(|snapshot| check::faults(&snapshot));
    faults.map_err(|error| error.to_string())
}

#[async_trait]
impl Store for SqliteStore {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    async fn settle(&self) {
        self.writer().settle().await;
    }

    async fn append(&self, message: NewMessage) -> Result<Appended, StoreError> {
        self.writer().call(false, move |t| t.append(&message)).await
    }

    async fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Result<Page, StoreError> {
        let room = room.clone();
        self.readers().ask(move |db| reading::page(db, &room, after, limits)).await
    }

    async fn subscribe(&self, room: &RoomId, user: &UserId) -> Result<Standing, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| t.subscribe(&room, &user)).await
    }

    async fn unsubscribe(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| Ok(t.unsubscribe(&room, &user)?)).await
    }

    async fn acknowledge(&self, room: &RoomId, user: &UserId, seq: Seq) -> Result<Standing, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| t.acknowledge(&room, &user, seq)).await
    }

    async fn standings(&self, user: &UserId) -> Result<Vec<(RoomId, Standing)>, StoreError> {
        let user = user.clone();
        self.readers().ask(move |db| reading::standings(db, &user)).await
    }

    async fn expire(&self, now: WallTime) -> Result<bool, StoreError> {
        self.writer().call(true, move |t| Ok(t.expire(now)?)).await
    }

    async fn balance(&self) -> Result<Balance, StoreError> {
        self.readers().ask(reading::balance).await
    }

    async fn recount(&self) -> Result<Balance, StoreError> {
        self.readers().ask(reading::recount).await
    }

    async fn people(&self, users: &[UserId]) -> Result<Vec<Person>, StoreError> {
        let users = users.to_vec();
        self.readers().ask(move |db| people::people(db, &users)).await
    }

    async fn change_person(
        &self,
        user: &UserId,
        patch: PersonPatch,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        let user = user.clone();
        self.writer().call(false, move |t| Ok(t.change_person(&user, &patch, now)?)).await
    }

    async fn seen_online(&self, seen: &[(UserId, WallTime)]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.writer().call(false, move |t| Ok(t.seen_online(&seen)?)).await
    }

    async fn acquaintances(&self, user: &UserId) -> Result<Vec<UserId>, StoreError> {
        let user = user.clone();
        self.readers().ask(move |db| people::acquaintances(db, &user)).await
    }

    async fn roster(&self, room: &RoomId) -> Result<Vec<RosterMember>, StoreError> {
        let room = room.clone();
        self.readers().ask(move |db| people::roster(db, &room)).await
    }

    async fn is_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.readers().ask(move |db| people::is_member(db, &room, &user)).await
    }

    async fn add_member(&self, room: &RoomId, user: &UserId, now: WallTime) -> Result<bool, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| t.add_member(&room, &user, now)).await
    }

    async fn remove_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| Ok(t.remove_member(&room, &user)?)).await
    }

    async fn invite(&self, invitation: Invitation, notice: NewMessage) -> Result<Seq, StoreError> {
        self.writer().call(false, move |t| t.invite(&invitation, &notice)).await
    }

    async fn answer_invitation(
        &self,
        room: &RoomId,
        user: &UserId,
        answer: InvitationAnswer,
        now: WallTime,
    ) -> Result<Invitation, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.writer().call(false, move |t| t.answer_invitation(&room, &user, answer, now)).await
    }

    async fn invitations_to(&self, room: &RoomId) -> Result<Vec<Invitation>, StoreError> {
        let room = room.clone();
        self.readers().ask(move |db| people::invitations_to(db, &room)).await
    }

    async fn invitations_of(&self, user: &UserId) -> Result<Vec<Invitation>, StoreError> {
        let user = user.clone();
        self.readers().ask(move |db| people::invitations_of(db, &user)).await
    }

    async fn changes(&self, user: &UserId, since: WallTime, limit: usize) -> Result<Changes, StoreError> {
        let user = user.clone();
        self.readers().ask(move |db| people::changes(db, &user, since, limit)).await
    }

    async fn document(&self, user: &UserId, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let (user, key) = (user.clone(), key.clone());
        self.readers().ask(move |db| documents::document(db, &user, &key)).await
    }

    async fn write_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        body: Bytes,
        expected: Option<Option<Revision>>,
        now: WallTime,
    ) -> Result<Revision, StoreError> {
        let (user, key) = (user.clone(), key.clone());
        self.writer().call(false, move |t| t.write_document(&user, &key, &body, expected, now)).await
    }

    async fn delete_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<bool, StoreError> {
        let (user, key) = (user.clone(), key.clone());
        self.writer().call(false, move |t| t.delete_document(&user, &key, expected)).await
    }

    async fn keep_notices(&self, notices: Vec<Bytes>, held_max: usize) -> Result<u64, StoreError> {
        self.writer().call(false, move |t| Ok(t.keep_notices(&notices, held_max)?)).await
    }

    async fn notices(&self, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.readers().ask(move |db| documents::notices(db, limit)).await
    }

    async fn notices_held(&self) -> Result<u64, StoreError> {
        self.readers().ask(documents::notices_held).await
    }

    async fn forget_notices(&self, up_to: u64) -> Result<(), StoreError> {
        self.writer().call(true, move |t| Ok(t.forget_notices(up_to)?)).await
    }
}
