//! Looking into shards from outside: every look waits its turn in the shard's inbox, does a bounded amount of work
//! there, and changes nothing. What several shards saw is put together here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use presence_core::id::{Generation, RoomId, SessionId, UserId};
use presence_core::shard::census::{Census, Headcount};
use presence_core::shard::look::{Inspection, Page, RoomCount};
use presence_core::shard::{Shard, Sighting};
use presence_core::time::Timestamp;
use tokio::sync::oneshot;

use super::driver::Listeners;
use super::{Busy, Inbound, Shards, shard_of};
use crate::connection::mailbox::Mailbox;

/// Users that one look looks for.
const USERS_PER_LOOK: usize = 20;

/// Sessions that one look counts one by one.
const SESSIONS_PER_LOOK: usize = 2_000;

/// What a look sees.
pub(super) struct Sight<'a> {
    pub(super) shard: &'a Shard,
    pub(super) now: Timestamp,
    pub(super) mailboxes: &'a HashMap<Generation, Arc<Mailbox>>,
    /// By room key.
    pub(super) listeners: &'a [Listeners],
}

/// Something that wants to look.
pub(super) struct Look(Box<dyn FnOnce(&Sight<'_>) + Send>);

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

impl Look {
    pub(super) fn at(self, sight: &Sight<'_>) {
        (self.0)(sight);
    }

    fn new<T: Send + 'static>(
        look: impl FnOnce(&Sight<'_>) -> T + Send + 'static,
    ) -> (Self, oneshot::Receiver<T>) {
        let (seen, answer) = oneshot::channel();
        let look = move |sight: &Sight<'_>| {
            // Whoever asked may have gone.
            let _ = seen.send(look(sight));
        };
        (Self(Box::new(look)), answer)
    }
}

/// A room with those who read it.
#[derive(Debug)]
pub struct RoomSight {
    /// What the model knows.
    pub room: Inspection,
    /// Some of its listeners, so that they can be asked how far they have read.
    pub listeners: Vec<Arc<Mailbox>>,
    /// How many there are.
    pub listener_count: usize,
}

impl Shards {
    async fn look<T: Send + 'static>(
        &self,
        shard: usize,
        look: impl FnOnce(&Sight<'_>) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (look, answer) = Look::new(look);
        self.inboxes[shard].try_send(Inbound::Look(look)).map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }

    async fn look_everywhere<T: Send + 'static>(
        &self,
        look: impl Fn(&Sight<'_>) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Busy> {
        let mut answers = Vec::with_capacity(self.inboxes.len());
        for inbox in &*self.inboxes {
            let (look, answer) = Look::new(look.clone());
            inbox.try_send(Inbound::Look(look)).map_err(|_| Busy)?;
            answers.push(answer);
        }
        let mut seen = Vec::with_capacity(answers.len());
        for answer in answers {
            seen.push(answer.await.map_err(|_| Busy)?);
        }
        Ok(seen)
    }

    /// Rooms whose ids begin with `prefix`, in the order of their ids, after `after`.
    ///
    /// # Errors
    /// If a shard has too much to do.
    pub async fn rooms(
        &self,
        after: Option<RoomId>,
        prefix: String,
        limit: usize,
    ) -> Result<Page<RoomCount>, Busy> {
        let look = move |sight: &Sight<'_>| sight.shard.rooms_after(after.as_ref(), &prefix, limit);
        Ok(merge(self.look_everywhere(look).await?, limit))
    }

    /// The users among `users` who are there, in the same order; each once, however many rooms they are in.
    ///
    /// # Errors
    /// If a shard has too much to do.
    pub async fn sightings(&self, users: &[UserId]) -> Result<Vec<Sighting>, Busy> {
        let mut found = Vec::new();
        for users in users.chunks(USERS_PER_LOOK) {
            let users: Arc<[UserId]> = users.into();
            let count = users.len();
            let look = move |sight: &Sight<'_>| -> Vec<Option<Sighting>> {
                users.iter().map(|user| sight.shard.sighting(user)).collect()
            };
            let mut together: Vec<Option<Sighting>> = vec![None; count];
            for seen in self.look_everywhere(look).await? {
                for (known, seen) in together.iter_mut().zip(seen) {
                    *known = match (known.take(), seen) {
                        (Some(known), Some(seen)) => Some(known.and(seen)),
                        (known, seen) => known.or(seen),
                    };
                }
            }
            found.extend(together.into_iter().flatten());
        }
        Ok(found)
    }

    /// Looks when the shard comes to it, however much it has to do.
    async fn look_in_turn<T: Send + 'static>(
        &self,
        shard: usize,
        look: impl FnOnce(&Sight<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let (look, answer) = Look::new(look);
        self.inboxes[shard].send(Inbound::Look(look)).await.ok()?;
        answer.await.ok()
    }

    /// At most `limit` of the users in a room, in the order of their ids.
    ///
    /// # Errors
    /// If its shard has too much to do.
    pub async fn users_in(&self, room: &RoomId, limit: usize) -> Result<Vec<UserId>, Busy> {
        let (shard, room) = (shard_of(room, self.inboxes.len()), room.clone());
        self.look(shard, move |sight| sight.shard.users_in(&room, limit)).await
    }

    /// The mailboxes of all who listen to a room that a user is in; of one who listens to several, several times.
    pub async fn company_of(&self, user: &UserId) -> Vec<Arc<Mailbox>> {
        let mut company = Vec::new();
        for shard in 0..self.inboxes.len() {
            let wanted = user.clone();
            let rooms = self.look_in_turn(shard, move |sight| sight.shard.rooms_of_user(&wanted)).await;
            // One look for each room: one look is bounded by what one room may hold.
            for room in rooms.into_iter().flatten() {
                let listeners = self.look_in_turn(shard, move |sight| {
                    let listeners = sight.listeners.get(sight.shard.key(&room)?.index())?;
                    Some(listeners.first(usize::MAX))
                });
                company.extend(listeners.await.flatten().into_iter().flatten());
            }
        }
        company
    }

    /// How many rooms, users and sessions there are.
    ///
    /// # Errors
    /// If a shard has too much to do.
    pub async fn headcount(&self) -> Result<Headcount, Busy> {
        let mut shards = self.look_everywhere(|sight| sight.shard.census(None, SESSIONS_PER_LOOK)).await?;
        for (number, known) in shards.iter_mut().enumerate() {
            while known.uneven.more {
                let last = known.uneven.items.last().map(|last| (last.user.clone(), last.session.clone()));
                let look = move |sight: &Sight<'_>| sight.shard.census(last.as_ref(), SESSIONS_PER_LOOK);
                let next: Census = self.look(number, look).await?;
                known.uneven.items.extend(next.uneven.items);
                known.uneven.more = next.uneven.more;
            }
        }
        Ok(Headcount::of(&shards))
    }

    /// Everything about a room, with `members_max` of its members and `listeners_max` of its listeners.
    ///
    /// # Errors
    /// If its shard has too much to do.
    pub async fn inspect(
        &self,
        room: RoomId,
        members_max: usize,
        listeners_max: usize,
    ) -> Result<Option<RoomSight>, Busy> {
        self.look(shard_of(&room, self.inboxes.len()), move |sight| {
            let inspection = sight.shard.inspect(sight.now, &room, members_max)?;
            let key = sight.shard.key(&room)?;
            let listeners = sight.listeners.get(key.index());
            Some(RoomSight {
                room: inspection,
                listeners: listeners.map(|all| all.first(listeners_max)).unwrap_or_default(),
                listener_count: listeners.map_or(0, Listeners::len),
            })
        })
        .await
    }

    /// The mailboxes of the connections that have a user's sessions, at most `limit`.
    ///
    /// # Errors
    /// If a shard has too much to do.
    pub async fn mailboxes_of(&self, user: UserId, limit: usize) -> Result<Vec<Arc<Mailbox>>, Busy> {
        // Every shard knows every connection.
        self.look(0, move |sight| {
            let connections = sight.shard.connections_of(&user).into_iter().take(limit);
            connections.filter_map(|generation| sight.mailboxes.get(&generation).cloned()).collect()
        })
        .await
    }

    /// Sends a user away: ends all sessions, attached or held. Says how many there were.
    ///
    /// # Errors
    /// If a shard has too much to do; then nobody was sent away.
    pub async fn kick(&self, user: &UserId) -> Result<usize, Busy> {
        let wanted = user.clone();
        let seen = self.look_everywhere(move |sight| sight.shard.sessions_of(&wanted)).await?;
        let sessions: BTreeSet<SessionId> = seen.into_iter().flatten().collect();
        if !sessions.is_empty() {
            for inbox in &*self.inboxes {
                let _ = inbox.send(Inbound::Kick { user: user.clone() }).await;
            }
            // Whoever is told that they are gone reads of nobody that they are there.
            self.answer().await?;
        }
        Ok(sessions.len())
    }
}

/// Parts of one list as several shards have them. Where a part ends early, what others have beyond that must wait: the
/// part may still have something that comes before.
fn merge(parts: Vec<Page<RoomCount>>, limit: usize) -> Page<RoomCount> {
    let ends = parts.iter().filter(|part| part.more).filter_map(|part| part.items.last());
    let end = ends.map(|last| last.room.clone()).min();
    let mut items: Vec<RoomCount> = parts.into_iter().flat_map(|part| part.items).collect();
    items.sort_by(|a, b| a.room.cmp(&b.room));
    let all = items.len();
    items.retain(|count| end.as_ref().is_none_or(|end| count.room <= *end));
    items.truncate(limit);
    Page { more: end.is_some() || items.len() < all, items }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rooms: &[&str], more: bool) -> Page<RoomCount> {
        let count = |room: &&str| RoomCount { room: RoomId::parse(room).unwrap(), users: 1, sessions: 1 };
        Page { items: rooms.iter().map(count).collect(), more }
    }

    #[test]
    fn pages_of_shards_become_one_page_without_holes() {
        assert_eq!(
            merge(vec![page(&["a", "c"], false), page(&["b"], false)], 9),
            page(&["a", "b", "c"], false)
        );
        assert_eq!(merge(vec![page(&["a", "c"], false), page(&["b"], false)], 2), page(&["a", "b"], true));
        // The first shard has stopped early: what it has between b and z is not known yet.
        assert_eq!(
            merge(vec![page(&["a", "b"], true), page(&["a1", "z"], false)], 9),
            page(&["a", "a1", "b"], true)
        );
        assert_eq!(merge(vec![page(&[], false)], 9), page(&[], false));
    }
}
