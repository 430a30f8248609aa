//! A store that ends with the process: for a look around, and for tests.

mod people;
mod streams;

use std::sync::{Mutex, MutexGuard, PoisonError};

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

use self::people::People;
use self::streams::Streams;
use super::{NO_ROSTER, NOTICE_ELSEWHERE, owns};

/// Maps behind a lock, which is never held across an await.
#[derive(Debug)]
pub struct MemoryStore(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    streams: Streams,
    people: People,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: StreamLimits) -> Self {
        Self(Mutex::new(Inner { streams: Streams::new(limits), people: People::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add_member(&mut self, room: &RoomId, user: &UserId, now: WallTime) -> bool {
        self.streams.receive(room, user);
        self.people.add_member(room, user, now)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn health(&self) -> StoreHealth {
        StoreHealth::Well
    }

    async fn append(&self, message: NewMessage) -> Result<Appended, StoreError> {
        self.inner().streams.append(message)
    }

    async fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Result<Page, StoreError> {
        Ok(self.inner().streams.read(room, after, limits))
    }

    async fn subscribe(&self, room: &RoomId, user: &UserId) -> Result<Standing, StoreError> {
        self.inner().streams.subscribe(room, user)
    }

    async fn unsubscribe(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if !owns(user, room) && !inner.people.is_member(room, user) {
            inner.streams.stop_receiving(room, user);
        }
        Ok(())
    }

    async fn acknowledge(&self, room: &RoomId, user: &UserId, seq: Seq) -> Result<Standing, StoreError> {
        self.inner().streams.acknowledge(room, user, seq)
    }

    async fn standings(&self, user: &UserId) -> Result<Vec<(RoomId, Standing)>, StoreError> {
        Ok(self.inner().streams.standings(user))
    }

    async fn expire(&self, now: WallTime) -> Result<bool, StoreError> {
        Ok(self.inner().streams.expire(now))
    }

    async fn balance(&self) -> Result<Balance, StoreError> {
        Ok(self.inner().streams.balance())
    }

    async fn people(&self, users: &[UserId]) -> Result<Vec<Person>, StoreError> {
        Ok(self.inner().people.people(users))
    }

    async fn change_person(
        &self,
        user: &UserId,
        patch: PersonPatch,
        now: WallTime,
    ) -> Result<Person, StoreError> {
        Ok(self.inner().people.change(user, patch, now))
    }

    async fn seen_online(&self, seen: &[(UserId, WallTime)]) -> Result<(), StoreError> {
        self.inner().people.seen_online(seen);
        Ok(())
    }

    async fn acquaintances(&self, user: &UserId) -> Result<Vec<UserId>, StoreError> {
        Ok(self.inner().people.acquaintances(user))
    }

    async fn roster(&self, room: &RoomId) -> Result<Vec<RosterMember>, StoreError> {
        Ok(self.inner().people.roster(room))
    }

    async fn is_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.inner().people.is_member(room, user))
    }

    async fn add_member(&self, room: &RoomId, user: &UserId, now: WallTime) -> Result<bool, StoreError> {
        if room.inbox_of().is_some() {
            return Err(NO_ROSTER);
        }
        Ok(self.inner().add_member(room, user, now))
    }

    async fn remove_member(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        let was = inner.people.remove_member(room, user);
        if was {
            inner.streams.stop_receiving(room, user);
        }
        Ok(was)
    }

    async fn invite(&self, invitation: Invitation, notice: NewMessage) -> Result<Seq, StoreError> {
        let mut inner = self.inner();
        if invitation.room.inbox_of().is_some() {
            return Err(NO_ROSTER);
        }
        if !owns(&invitation.user, &notice.room) {
            return Err(NOTICE_ELSEWHERE);
        }
        inner.people.may_invite(&invitation.room, &invitation.user)?;
        let (Appended::New { seq } | Appended::Again { seq, .. }) = inner.streams.append(notice)?;
        inner.people.invite(invitation);
        Ok(seq)
    }

    async fn answer_invitation(
        &self,
        room: &RoomId,
        user: &UserId,
        answer: InvitationAnswer,
        now: WallTime,
    ) -> Result<Invitation, StoreError> {
        let mut inner = self.inner();
        let invitation = inner.people.end_invitation(room, user)?;
        if answer == InvitationAnswer::Accept {
            inner.add_member(room, user, now);
        }
        Ok(invitation)
    }

    async fn invitations_to(&self, room: &RoomId) -> Result<Vec<Invitation>, StoreError> {
        Ok(self.inner().people.invitations(|open| open.room == *room))
    }

    async fn invitations_of(&self, user: &UserId) -> Result<Vec<Invitation>, StoreError> {
        Ok(self.inner().people.invitations(|open| open.user == *user))
    }

    async fn changes(&self, user: &UserId, since: WallTime, limit: usize) -> Result<Changes, StoreError> {
        Ok(self.inner().people.changes(user, since, limit))
    }

    async fn document(&self, user: &UserId, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        Ok(self.inner().people.document(user, key))
    }

    async fn write_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        body: Bytes,
        expected: Option<Option<Revision>>,
        now: WallTime,
    ) -> Result<Revision, StoreError> {
        self.inner().people.write_document(user, key, body, expected, now)
    }

    async fn delete_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<bool, StoreError> {
        self.inner().people.delete_document(user, key, expected)
    }

    async fn keep_notices(&self, notices: Vec<Bytes>, held_max: usize) -> Result<u64, StoreError> {
        Ok(self.inner().people.keep_notices(notices, held_max))
    }

    async fn notices(&self, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        Ok(self.inner().people.notices(limit))
    }

    async fn notices_held(&self) -> Result<u64, StoreError> {
        Ok(self.inner().people.notices_held())
    }

    async fn forget_notices(&self, up_to: u64) -> Result<(), StoreError> {
        self.inner().people.forget_notices(up_to);
        Ok(())
    }
}
