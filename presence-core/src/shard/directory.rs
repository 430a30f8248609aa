//! Which connection has which session, as one shard knows it: the fence (P8).
//!
//! A session's record lives as long as anything can still act for it: a connection that has not said that it is
//! detached, or a room that holds the session. So a late command of an old connection always meets the record that
//! tells that it is old, and when nothing can come any more, nothing stays behind (P12).

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::census::{Standing, Uneven};
use super::input::RoomKey;
use super::look::Page;
use crate::attempt::Attempt;
use crate::few::Few;
use crate::id::{Generation, SessionId, UserId};
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::room::Visitor;
use crate::slots::Slots;

/// Users and connections are looked up by name, and never iterated: the order of neither can reach an output. Everything
/// else about a session is in its record.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Their sessions, in the order of those ids.
    users: HashMap<UserId, Few<SessionKey>>,
    /// Whose sessions they have, or had.
    connections: HashMap<Generation, SessionKey>,
    records: Slots<Record>,
    /// The sessions that do not have exactly one connection: held ones, and such as are taken over just now. They are
    /// few, and whoever counts sessions needs to look at no others.
    uneven: BTreeSet<(UserId, SessionId)>,
}

/// Where a session's record is kept.
#[derive(Clone, Copy, Debug)]
struct SessionKey(u32);

/// One session.
#[derive(Debug)]
pub(super) struct Record {
    user: UserId,
    pub(super) session: SessionId,
    /// What others see of the user, as the newest connection has it.
    profile: Arc<Profile>,
    /// Whether it is in use, as the newest connection says.
    active: bool,
    /// The newest connection that attached, while it is attached.
    pub(super) current: Option<Generation>,
    /// The newest that ever did, while this record lives.
    newest: Generation,
    /// The request that opened it.
    attempt: Option<Attempt>,
    /// Connections that have not detached yet, the newest among them.
    open: u32,
    /// Rooms in which the session is, attached or held.
    pub(super) rooms: Few<RoomKey>,
}

/// A connection that is gone.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    /// It, if it was the one that had the session.
    pub(super) visitor: Option<Visitor>,
}

/// What an attach found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attached {
    /// Nobody had the session.
    Free,
    /// This connection had it and is fenced off now.
    TakenFrom(Generation),
    /// A newer connection has had it already.
    TooLate,
}

impl Record {
    /// What stands behind the session.
    pub(super) fn standing(&self) -> Standing {
        if self.current.is_some() {
            Standing::Attached
        } else if self.rooms.is_empty() {
            Standing::Over
        } else {
            Standing::Held
        }
    }

    /// Nothing can act for it any more.
    pub(super) fn is_for_nobody(&self) -> bool {
        self.open == 0 && self.rooms.is_empty()
    }

    /// Whether a connection comes after one that is newer. Which of its requests it made first a client knows best: the
    /// network may have kept one. Where they tell nothing of each other, the newer one is who came later.
    fn is_beyond(&self, generation: Generation, attempt: Option<Attempt>) -> bool {
        let both = attempt.zip(self.attempt).filter(|_| !planted::is(Bug::AttemptsIgnored));
        let is_beyond = match both.and_then(|(attempt, newest)| attempt.partial_cmp(&newest)) {
            Some(Ordering::Less) => true,
            Some(Ordering::Greater) => false,
            Some(Ordering::Equal) | None => self.newest > generation,
        };
        is_beyond && !planted::is(Bug::LastHeardWins)
    }

    fn is_even(&self) -> bool {
        self.current.is_some() && self.open == 1
    }

    /// What others see of the user.
    pub(super) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// A connection of the session, as rooms know it.
    fn visitor(&self, generation: Generation) -> Visitor {
        let (profile, session) = (Arc::clone(&self.profile), self.session.clone());
        Visitor { profile, session, generation, active: self.active }
    }
}

/// Where a session is among those of its user, or would be.
fn place_of(session: &SessionId, keys: &[SessionKey], records: &Slots<Record>) -> Result<usize, usize> {
    keys.binary_search_by(|key| records.get(key.0).map(|record| &record.session).cmp(&Some(session)))
}

impl Directory {
    pub(super) fn attach(&mut self, visitor: Visitor, attempt: Option<Attempt>) -> Attached {
        let (user, session) = (visitor.profile.id.clone(), visitor.session.clone());
        let attached = self.note_attach(visitor, attempt);
        self.note_evenness(&user, &session);
        attached
    }

    fn note_attach(&mut self, visitor: Visitor, attempt: Option<Attempt>) -> Attached {
        let Visitor { profile, session, generation, active } = visitor;
        let key = self.key_or_new(&profile, &session, generation);
        self.connections.insert(generation, key);
        let record = self.records.get_mut(key.0).expect("what has a key has a record");
        record.open += 1;
        if record.is_beyond(generation, attempt) {
            return Attached::TooLate;
        }
        (record.newest, record.attempt) = (generation, attempt);
        (record.profile, record.active) = (profile, active);
        match record.current.replace(generation) {
            Some(old) => Attached::TakenFrom(old),
            None => Attached::Free,
        }
    }

    /// Notes a session that an earlier life of the server left in a room: any connection of this one may have it.
    pub(super) fn restore(&mut self, profile: &Arc<Profile>, session: &SessionId, room: RoomKey) {
        let key = self.key_or_new(profile, session, Generation::new(0));
        if let Some(record) = self.records.get_mut(key.0) {
            record.rooms.push(room);
        }
        self.note_evenness(&profile.id, session);
    }

    fn key_or_new(&mut self, profile: &Arc<Profile>, session: &SessionId, newest: Generation) -> SessionKey {
        let keys = self.users.entry(profile.id.clone()).or_default();
        match place_of(session, keys, &self.records) {
            Ok(index) => keys[index],
            Err(index) => {
                let record = Record {
                    user: profile.id.clone(),
                    session: session.clone(),
                    profile: Arc::clone(profile),
                    active: true,
                    current: None,
                    newest,
                    attempt: None,
                    open: 0,
                    rooms: Few::new(),
                };
                let key = SessionKey(self.records.insert(record));
                keys.insert(index, key);
                key
            }
        }
    }

    fn key(&self, user: &UserId, session: &SessionId) -> Option<SessionKey> {
        let keys = self.users.get(user)?;
        let index = place_of(session, keys, &self.records).ok()?;
        Some(keys[index])
    }

    /// Forgets a connection.
    pub(super) fn detach(&mut self, generation: Generation) -> Option<Detached> {
        let key = self.connections.remove(&generation)?;
        let record = self.records.get_mut(key.0)?;
        record.open -= 1;
        let was_current = record.current == Some(generation);
        if was_current {
            record.current = None;
        }
        let (user, session) = (record.user.clone(), record.session.clone());
        let visitor = was_current.then(|| record.visitor(generation));
        self.note_evenness(&user, &session);
        Some(Detached { user, session, visitor })
    }

    fn record_of(&self, generation: Generation) -> Option<&Record> {
        self.connections.get(&generation).and_then(|key| self.records.get(key.0))
    }

    fn record_of_mut(&mut self, generation: Generation) -> Option<&mut Record> {
        self.connections.get(&generation).and_then(|key| self.records.get_mut(key.0))
    }

    /// The visitor of a connection that has its session.
    pub(super) fn current(&self, generation: Generation) -> Option<Visitor> {
        let record = self.record_of(generation)?;
        let may = record.current == Some(generation) || planted::is(Bug::NoFence);
        may.then(|| record.visitor(generation))
    }

    /// Notes how the user of a connection that has its session is to be seen.
    pub(super) fn show(&mut self, generation: Generation, profile: &Arc<Profile>) {
        if let Some(record) = self.record_of_mut(generation) {
            record.profile = Arc::clone(profile);
        }
    }

    /// The same, and whether it is in use.
    pub(super) fn show_visitor(&mut self, visitor: &Visitor) {
        if let Some(record) = self.record_of_mut(visitor.generation) {
            record.profile = Arc::clone(&visitor.profile);
            record.active = visitor.active;
        }
    }

    pub(super) fn record(&self, user: &UserId, session: &SessionId) -> Option<&Record> {
        self.key(user, session).and_then(|key| self.records.get(key.0))
    }

    pub(super) fn record_mut(&mut self, user: &UserId, session: &SessionId) -> Option<&mut Record> {
        self.key(user, session).and_then(|key| self.records.get_mut(key.0))
    }

    /// Notes that the session is in a room.
    pub(super) fn entered(&mut self, visitor: &Visitor, room: RoomKey) {
        if let Some(record) = self.record_mut(&visitor.profile.id, &visitor.session)
            && !record.rooms.contains(&room)
        {
            record.rooms.push(room);
        }
    }

    /// Notes that it is not, and forgets the session if nothing can act for it any more.
    pub(super) fn left(&mut self, user: &UserId, session: &SessionId, room: RoomKey) {
        if let Some(record) = self.record_mut(user, session) {
            record.rooms.retain(|held| *held != room);
        }
        self.forget_if_done(user, session);
    }

    pub(super) fn forget_if_done(&mut self, user: &UserId, session: &SessionId) {
        if let Some(keys) = self.users.get_mut(user)
            && let Ok(index) = place_of(session, keys, &self.records)
            && self.records.get(keys[index].0).is_some_and(Record::is_for_nobody)
        {
            self.records.remove(keys.remove(index).0);
            if keys.is_empty() {
                self.users.remove(user);
            }
        }
        self.note_evenness(user, session);
    }

    /// Must follow whatever changes the connections of a session.
    fn note_evenness(&mut self, user: &UserId, session: &SessionId) {
        let uneven = self.record(user, session).is_some_and(|record| !record.is_even());
        if uneven {
            self.uneven.insert((user.clone(), session.clone()));
        } else if !self.uneven.is_empty() {
            self.uneven.remove(&(user.clone(), session.clone()));
        }
    }

    pub(super) fn uneven_after(&self, after: Option<&(UserId, SessionId)>, limit: usize) -> Page<Uneven> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.uneven.range((start, Bound::Unbounded));
        let items = rest.by_ref().take(limit).filter_map(|(user, session)| {
            let record = self.record(user, session)?;
            Some(Uneven {
                user: user.clone(),
                session: session.clone(),
                open: record.open as usize,
                standing: record.standing(),
                user_attached: self.records(user).any(|record| record.current.is_some()),
            })
        });
        Page { items: items.collect(), more: rest.next().is_some() }
    }

    /// The sessions of a user, in the order of their ids.
    pub(super) fn records(&self, user: &UserId) -> impl Iterator<Item = &Record> {
        self.users.get(user).into_iter().flatten().filter_map(|key| self.records.get(key.0))
    }

    /// The same, each with the connection that has it and the rooms it is in, for one who is about to change them.
    pub(super) fn sessions_of(&self, user: &UserId) -> Vec<(SessionId, Option<Generation>, Few<RoomKey>)> {
        let records = self.records(user);
        records.map(|record| (record.session.clone(), record.current, record.rooms.clone())).collect()
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn connection_count(&self) -> usize {
        self.connections.len()
    }
}
