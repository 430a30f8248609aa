//! Looking into a shard from outside. Looking changes nothing, and one look never does more than a bounded amount of
//! work: whoever wants to see more looks again, from where the last look ended.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use super::RoomKey;
use super::Shard;
use super::census::Standing;
use super::sighting::{Sighting, Whereabouts};
use crate::digest::Digest;
use crate::feed::FeedState;
use crate::id::{Epoch, Generation, RoomId, SessionId, UserId, Version};
use crate::room::{Link, Member};
use crate::time::Timestamp;

/// Users that one look at a list of rooms may count; it ends with the room in which they are exceeded.
pub const COUNTED_USERS_MAX: usize = 10_000;

/// A part of a list, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Whether something follows it.
    pub more: bool,
}

/// A room in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomCount {
    /// Which room.
    pub room: RoomId,
    /// Users in it.
    pub users: usize,
    /// Their sessions.
    pub sessions: usize,
}

/// Everything about one room.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Which history of the room.
    pub epoch: Epoch,
    /// How far it goes.
    pub version: Version,
    /// The digest there.
    pub digest: Digest,
    /// Users in it.
    pub users: usize,
    /// Their sessions, as far as `members` goes.
    pub members: Page<Member>,
    /// What its feed keeps.
    pub feed: FeedState,
    /// Whether something has happened that it has not handed out yet.
    pub pending: bool,
    /// Connections and readers that wait for its next hand-out.
    pub waiting: usize,
    /// How long until then, if one is due.
    pub due_in: Option<Duration>,
}

impl Shard {
    /// Rooms with somebody in them whose ids begin with `prefix`, in the order of their ids, after `after`.
    pub fn rooms_after(&self, after: Option<&RoomId>, prefix: &str, limit: usize) -> Page<RoomCount> {
        let start = match after.map(RoomId::as_str) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = Page { items: Vec::new(), more: false };
        let mut counted = 0;
        let names = self.names.range::<str, _>((start, Bound::Unbounded));
        for name in names.take_while(|name| name.as_str().starts_with(prefix)) {
            // A room that everybody has left is open until it has said so.
            let Some(room) = self.room(name).filter(|room| room.user_count() > 0) else { continue };
            if page.items.len() >= limit || counted >= COUNTED_USERS_MAX {
                page.more = true;
                break;
            }
            counted += room.user_count();
            let sessions = room.members().map(|member| member.sessions.len()).sum();
            page.items.push(RoomCount { room: name.clone(), users: room.user_count(), sessions });
        }
        page
    }

    /// What this shard knows of a user who has a session, attached or held.
    pub fn sighting(&self, user: &UserId) -> Option<Sighting> {
        let mut sighting = Sighting::new(user);
        for record in self.directory.records(user) {
            if let Some(generation) = record.current {
                sighting.session(&record.session, Whereabouts::NoRoom);
                sighting.profile(generation, record.profile());
            }
            for key in &record.rooms {
                let Some(member) = self.desk(*key).and_then(|desk| desk.room().member(user.as_str())) else {
                    continue;
                };
                let Some(session) = member.session(&record.session) else { continue };
                let generation = match session.link {
                    Link::Attached(generation) | Link::Held { generation, .. } => generation,
                };
                sighting.session(&record.session, Whereabouts::in_room(session.active));
                sighting.profile(generation, &member.profile);
            }
        }
        sighting.is_somebody().then_some(sighting)
    }

    /// The sessions of a user that a connection stands behind or a room of this shard holds.
    pub fn sessions_of(&self, user: &UserId) -> Vec<SessionId> {
        let records = self.directory.records(user);
        let there = records.filter(|record| record.standing() != Standing::Over);
        there.map(|record| record.session.clone()).collect()
    }

    /// The rooms of this shard that a user is in, attached or held.
    pub fn rooms_of_user(&self, user: &UserId) -> Vec<RoomId> {
        let keys: BTreeSet<RoomKey> =
            self.directory.records(user).flat_map(|record| &record.rooms).copied().collect();
        keys.into_iter().filter_map(|key| self.desk(key)).map(|desk| desk.room().id().clone()).collect()
    }

    /// At most `limit` of the users in a room, in the order of their ids.
    pub fn users_in(&self, room: &RoomId, limit: usize) -> Vec<UserId> {
        let members = self.room(room).into_iter().flat_map(|room| room.members());
        members.take(limit).map(|member| member.profile.id.clone()).collect()
    }

    /// The connections that have a user's sessions.
    pub fn connections_of(&self, user: &UserId) -> Vec<Generation> {
        self.directory.records(user).filter_map(|record| record.current).collect()
    }

    /// Everything about a room, and of its members `limit`. `None` if it is not there.
    pub fn inspect(&self, now: Timestamp, room: &RoomId, limit: usize) -> Option<Inspection> {
        let desk = self.keys.get(room).and_then(|key| self.desk(*key))?;
        let stand = desk.room().stand();
        let members: Vec<Member> = desk.room().members().take(limit).cloned().collect();
        Some(Inspection {
            epoch: stand.epoch.clone(),
            version: stand.version,
            digest: stand.digest,
            users: desk.room().user_count(),
            members: Page { more: members.len() < desk.room().user_count(), items: members },
            feed: desk.room().feed().state(now),
            pending: desk.room().has_news(),
            waiting: desk.waiting(),
            due_in: desk.due.map(|due| due.since(now)),
        })
    }
}
