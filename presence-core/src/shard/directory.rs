//! Which connection has which session, as one shard knows it: the fence (P8).
//!
//! A session's record lives as long as anything can still act for it: a connection that has not said that it is
//! detached, or a room that holds the session. So a late command of an old connection always meets the record that
//! tells that it is old, and when nothing can come any more, nothing stays behind (P12).

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::census::{Standing, Uneven};
use super::input::RoomKey;
use super::look::Page;
use crate::id::{Generation, SessionId, UserId};
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::room::Visitor;

/// Sessions by user, connections by generation. Looked up, never iterated: the order of neither can reach an output.
#[derive(Debug, Default)]
pub(super) struct Directory {
    users: HashMap<UserId, Vec<Record>>,
    connections: HashMap<Generation, Visitor>,
    /// The sessions that do not have exactly one connection: held ones, and such as are taken over just now. They are
    /// few, and whoever counts sessions needs to look at no others.
    uneven: BTreeSet<(UserId, SessionId)>,
}

/// One session.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) session: SessionId,
    /// The newest connection that attached, while it is attached.
    pub(super) current: Option<Generation>,
    /// The newest that ever did, while this record lives.
    newest: Generation,
    /// Connections that have not detached yet, the newest among them.
    open: u32,
    /// Rooms in which the session is, attached or held.
    pub(super) rooms: Vec<RoomKey>,
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

    fn is_even(&self) -> bool {
        self.current.is_some() && self.open == 1
    }
}

impl Directory {
    pub(super) fn attach(&mut self, visitor: Visitor) -> Attached {
        let (user, session) = (visitor.profile.id.clone(), visitor.session.clone());
        let attached = self.note_attach(visitor);
        self.note_evenness(&user, &session);
        attached
    }

    fn note_attach(&mut self, visitor: Visitor) -> Attached {
        let generation = visitor.generation;
        self.connections.insert(generation, visitor.clone());
        let record = self.record_or_new(&visitor.profile.id, &visitor.session, generation);
        record.open += 1;
        if record.newest > generation && !planted::is(Bug::LastHeardWins) {
            return Attached::TooLate;
        }
        record.newest = generation;
        match record.current.replace(generation) {
            Some(old) => Attached::TakenFrom(old),
            None => Attached::Free,
        }
    }

    /// Notes a session that an earlier life of the server left in a room: any connection of this one may have it.
    pub(super) fn restore(&mut self, user: &UserId, session: &SessionId, room: RoomKey) {
        let record = self.record_or_new(user, session, Generation::new(0));
        record.rooms.push(room);
        self.note_evenness(user, session);
    }

    fn record_or_new(&mut self, user: &UserId, session: &SessionId, newest: Generation) -> &mut Record {
        let records = self.users.entry(user.clone()).or_default();
        let index = match records.binary_search_by(|record| record.session.cmp(session)) {
            Ok(index) => index,
            Err(index) => {
                let (session, rooms) = (session.clone(), Vec::new());
                // Most users have one session.
                records.reserve_exact(1);
                records.insert(index, Record { session, current: None, newest, open: 0, rooms });
                index
            }
        };
        &mut records[index]
    }

    /// Forgets a connection. Gives its visitor, and whether it was the one that had the session.
    pub(super) fn detach(&mut self, generation: Generation) -> Option<(Visitor, bool)> {
        let visitor = self.connections.remove(&generation)?;
        let record = self.record_mut(&visitor.profile.id, &visitor.session)?;
        record.open -= 1;
        let was_current = record.current == Some(generation);
        if was_current {
            record.current = None;
        }
        self.note_evenness(&visitor.profile.id, &visitor.session);
        Some((visitor, was_current))
    }

    /// The visitor of a connection that has its session.
    pub(super) fn current(&self, generation: Generation) -> Option<&Visitor> {
        let visitor = self.connections.get(&generation)?;
        let record = self.record(&visitor.profile.id, &visitor.session)?;
        (record.current == Some(generation) || planted::is(Bug::NoFence)).then_some(visitor)
    }

    /// The visitor of a connection, fenced off or not.
    pub(super) fn visitor_mut(&mut self, generation: Generation) -> Option<&mut Visitor> {
        self.connections.get_mut(&generation)
    }

    /// Notes how a connection is to be seen.
    pub(super) fn show(&mut self, generation: Generation, profile: &Arc<Profile>) {
        if let Some(visitor) = self.connections.get_mut(&generation) {
            visitor.profile = Arc::clone(profile);
        }
    }

    pub(super) fn record(&self, user: &UserId, session: &SessionId) -> Option<&Record> {
        let records = self.users.get(user)?;
        let index = records.binary_search_by(|record| record.session.cmp(session)).ok()?;
        records.get(index)
    }

    pub(super) fn record_mut(&mut self, user: &UserId, session: &SessionId) -> Option<&mut Record> {
        let records = self.users.get_mut(user)?;
        let index = records.binary_search_by(|record| record.session.cmp(session)).ok()?;
        records.get_mut(index)
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
        let Some(records) = self.users.get_mut(user) else { return };
        records.retain(|record| record.session != *session || !record.is_for_nobody());
        if records.is_empty() {
            self.users.remove(user);
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
                user_attached: self.records(user).iter().any(|record| record.current.is_some()),
            })
        });
        Page { items: items.collect(), more: rest.next().is_some() }
    }

    /// The sessions of a user, in the order of their ids.
    pub(super) fn records(&self, user: &UserId) -> &[Record] {
        self.users.get(user).map(Vec::as_slice).unwrap_or_default()
    }

    /// The same, each with the connection that has it and the rooms it is in, for one who is about to change them.
    pub(super) fn sessions_of(&self, user: &UserId) -> Vec<(SessionId, Option<Generation>, Vec<RoomKey>)> {
        let records = self.records(user).iter();
        records.map(|record| (record.session.clone(), record.current, record.rooms.clone())).collect()
    }

    /// The visitor of a connection.
    pub(super) fn visitor(&self, generation: Generation) -> Option<&Visitor> {
        self.connections.get(&generation)
    }

    pub(super) fn user_count(&self) -> usize {
        self.users.len()
    }

    pub(super) fn connection_count(&self) -> usize {
        self.connections.len()
    }
}
