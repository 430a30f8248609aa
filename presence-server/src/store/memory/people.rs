//! People, rosters, invitations, documents and notices, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{
    Document, DocumentKey, Invitation, Person, PersonPatch, Revision, RosterMember, Username,
};
use presence_core::port::store::{Changes, StoreError};
use presence_core::profile::Color;
use presence_core::time::WallTime;

use crate::store::{INVITED, NO_INVITATION, ON_ROSTER, OTHER_REVISION, cut, whole_rosters};

/// Everybody, and what there is of them.
#[derive(Debug, Default)]
pub(super) struct People {
    people: BTreeMap<UserId, Known>,
    rosters: BTreeMap<RoomId, BTreeMap<UserId, WallTime>>,
    invitations: BTreeMap<(RoomId, UserId), Invitation>,
    documents: BTreeMap<(UserId, DocumentKey), Document>,
    /// The highest revision of a document that each user deleted.
    revision_floors: BTreeMap<UserId, u64>,
    notices: VecDeque<(u64, Bytes)>,
    noticed: u64,
}

/// A user who has ever been here.
#[derive(Debug)]
struct Known {
    last_online: Option<WallTime>,
    changed_at: WallTime,
    /// Most have only been seen.
    chosen: Option<Box<Chosen>>,
}

/// What a user has chosen for good.
#[derive(Clone, Debug, Default)]
struct Chosen {
    username: Option<Username>,
    color: Option<Color>,
    avatar: Option<Arc<str>>,
    email: Option<Arc<str>>,
}

impl Known {
    fn person(&self, id: &UserId) -> Person {
        let Chosen { username, color, avatar, email } = self.chosen.as_deref().cloned().unwrap_or_default();
        let (last_online, changed_at) = (self.last_online, self.changed_at);
        Person { id: id.clone(), username, color, avatar, email, last_online, changed_at }
    }
}

impl People {
    pub(super) fn people(&self, users: &[UserId]) -> Vec<Person> {
        users.iter().filter_map(|user| self.people.get(user).map(|known| known.person(user))).collect()
    }

    fn known(&mut self, user: &UserId, now: WallTime) -> &mut Known {
        let stranger = || Known { last_online: None, changed_at: now, chosen: None };
        self.people.entry(user.clone()).or_insert_with(stranger)
    }

    pub(super) fn change(&mut self, user: &UserId, patch: PersonPatch, now: WallTime) -> Person {
        let known = self.known(user, now);
        let chosen = known.chosen.get_or_insert_default();
        let PersonPatch { username, color, avatar, email } = patch;
        chosen.username = username.unwrap_or_else(|| chosen.username.take());
        chosen.color = color.unwrap_or(chosen.color);
        chosen.avatar = avatar.unwrap_or_else(|| chosen.avatar.take());
        chosen.email = email.unwrap_or_else(|| chosen.email.take());
        known.changed_at = now;
        known.person(user)
    }

    pub(super) fn seen_online(&mut self, seen: &[(UserId, WallTime)]) {
        for (user, at) in seen {
            let known = self.known(user, *at);
            known.last_online = known.last_online.max(Some(*at));
        }
    }

    pub(super) fn acquaintances(&self, user: &UserId) -> Vec<UserId> {
        let shared = self.rosters.values().filter(|roster| roster.contains_key(user));
        let others: BTreeSet<&UserId> =
            shared.flat_map(BTreeMap::keys).filter(|other| *other != user).collect();
        others.into_iter().cloned().collect()
    }

    pub(super) fn roster(&self, room: &RoomId) -> Vec<RosterMember> {
        let members = self.rosters.get(room).into_iter().flatten();
        let mut roster: Vec<RosterMember> = members
            .map(|(user, joined_at)| RosterMember {
                room: room.clone(),
                user: user.clone(),
                joined_at: *joined_at,
            })
            .collect();
        roster.sort_by_key(|member| member.joined_at);
        roster
    }

    pub(super) fn is_member(&self, room: &RoomId, user: &UserId) -> bool {
        self.rosters.get(room).is_some_and(|roster| roster.contains_key(user))
    }

    pub(super) fn add_member(&mut self, room: &RoomId, user: &UserId, now: WallTime) -> bool {
        if self.is_member(room, user) {
            return false;
        }
        self.invitations.remove(&(room.clone(), user.clone()));
        self.rosters.entry(room.clone()).or_default().insert(user.clone(), now);
        true
    }

    pub(super) fn remove_member(&mut self, room: &RoomId, user: &UserId) -> bool {
        let Some(roster) = self.rosters.get_mut(room) else { return false };
        let was = roster.remove(user).is_some();
        if roster.is_empty() {
            self.rosters.remove(room);
        }
        was
    }

    pub(super) fn may_invite(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
        if self.is_member(room, user) {
            return Err(ON_ROSTER);
        }
        match self.invitations.contains_key(&(room.clone(), user.clone())) {
            true => Err(INVITED),
            false => Ok(()),
        }
    }

    pub(super) fn invite(&mut self, invitation: Invitation) {
        self.invitations.insert((invitation.room.clone(), invitation.user.clone()), invitation);
    }

    pub(super) fn end_invitation(&mut self, room: &RoomId, user: &UserId) -> Result<Invitation, StoreError> {
        self.invitations.remove(&(room.clone(), user.clone())).ok_or(NO_INVITATION)
    }

    /// Open invitations that fit, the oldest first.
    pub(super) fn invitations(&self, fits: impl Fn(&Invitation) -> bool) -> Vec<Invitation> {
        let mut open: Vec<Invitation> =
            self.invitations.values().filter(|invitation| fits(invitation)).cloned().collect();
        open.sort_by_key(|invitation| invitation.created_at);
        open
    }

    pub(super) fn changes(&self, user: &UserId, since: WallTime, limit: usize) -> Changes {
        let known = self.acquaintances(user).into_iter().chain([user.clone()]);
        let mut people: Vec<Person> =
            known.filter_map(|id| self.people.get(&id).map(|known| known.person(&id))).collect();
        people.retain(|person| person.changed_at > since);
        people.sort_by(|a, b| (a.changed_at, &a.id).cmp(&(b.changed_at, &b.id)));

        let mine = self.rosters.iter().filter(|(_, roster)| roster.contains_key(user));
        let joined = mine.filter_map(|(room, roster)| Some((*roster.values().max()?, room)));
        let mut grown: Vec<(WallTime, &RoomId)> = joined.filter(|(last, _)| *last > since).collect();
        grown.sort_unstable();
        let (rosters, cut_off) = whole_rosters(grown.into_iter().map(|(_, room)| self.roster(room)), limit);

        let mut invitations = self.invitations(|open| open.user == *user && open.created_at > since);
        let more = cut(&mut people, limit) | cut(&mut invitations, limit) | cut_off;
        Changes { people, rosters, invitations, more }
    }

    pub(super) fn document(&self, user: &UserId, key: &DocumentKey) -> Option<Document> {
        self.documents.get(&(user.clone(), key.clone())).cloned()
    }

    fn expect_revision(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<Option<Revision>, StoreError> {
        let revision = self.document(user, key).map(|document| document.revision);
        match expected {
            Some(expected) if expected != revision => Err(OTHER_REVISION),
            _ => Ok(revision),
        }
    }

    pub(super) fn write_document(
        &mut self,
        user: &UserId,
        key: &DocumentKey,
        body: Bytes,
        expected: Option<Option<Revision>>,
        now: WallTime,
    ) -> Result<Revision, StoreError> {
        let before = self.expect_revision(user, key, expected)?;
        let floor = self.revision_floors.get(user).copied().unwrap_or_default();
        let revision = Revision(before.map_or(floor, |Revision(number)| number) + 1);
        let document = Document { body, revision, changed_at: now };
        self.documents.insert((user.clone(), key.clone()), document);
        Ok(revision)
    }

    pub(super) fn delete_document(
        &mut self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<bool, StoreError> {
        let Some(Revision(number)) = self.expect_revision(user, key, expected)? else { return Ok(false) };
        self.documents.remove(&(user.clone(), key.clone()));
        let floor = self.revision_floors.entry(user.clone()).or_default();
        *floor = number.max(*floor);
        Ok(true)
    }

    pub(super) fn keep_notices(&mut self, notices: Vec<Bytes>, held_max: usize) -> u64 {
        for notice in notices {
            self.noticed += 1;
            self.notices.push_back((self.noticed, notice));
        }
        let surplus = self.notices.len().saturating_sub(held_max);
        self.notices.drain(..surplus);
        surplus as u64
    }

    pub(super) fn notices(&self, limit: usize) -> Vec<(u64, Bytes)> {
        self.notices.iter().take(limit).cloned().collect()
    }

    pub(super) fn notices_held(&self) -> u64 {
        self.notices.len() as u64
    }

    pub(super) fn forget_notices(&mut self, up_to: u64) {
        self.notices.retain(|(number, _)| *number > up_to);
    }
}
