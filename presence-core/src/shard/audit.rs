//! The walk over a shard: from time to time each room and each session that has no connection of its own is held against
//! what the directory, the schedule and the clock say. It changes nothing but a digest that is not its room's.

use std::ops::Bound;
use std::time::Duration;

use super::desk::Desk;
use super::directory::Directory;
use super::{ALARM_SLOT, RoomKey, Shard};
use crate::audit::{Breaches, Invariant};
use crate::id::{RoomId, SessionId, UserId};
use crate::limits::Limits;
use crate::room::{Link, SessionPresence};
use crate::time::{Now, Timestamp};

/// How much longer than its time somebody may be waited for, beyond what the timers are exact to.
const OVERDUE: Duration = Duration::from_secs(1);

/// Of so many members that a step may look at, one may be such a session instead.
const UNEVEN_SHARE: usize = 8;

/// How far the walk is.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The room that was looked at last.
    room: Option<RoomId>,
    /// The session without one connection that was looked at last.
    session: Option<(UserId, SessionId)>,
    /// Members that may be looked at: saved up for a room that has more than one step may look at.
    credit: usize,
}

impl Shard {
    /// Takes a step of the walk, which costs what it costs to look at so many `members`; a room is looked at as a whole,
    /// as soon as enough is saved up for it. Must come after [`handle_timeout`](Self::handle_timeout) of the same time.
    pub fn audit(&mut self, now: Now, members: usize) {
        self.audit_counts();
        self.audit_some_uneven((members / UNEVEN_SHARE).max(1));
        self.round.credit = self.round.credit.saturating_add(members);
        // Once around at most.
        for _ in 0..self.names.len() {
            let Some((name, key)) = self.next_room() else { break };
            let cost = 1 + self.desk(key).map_or(0, |desk| desk.room().user_count());
            if cost > self.round.credit {
                return;
            }
            self.round.credit -= cost;
            self.audit_room(now.at, key);
            self.round.room = Some(name);
        }
        self.round.credit = 0;
    }

    /// The next of the sessions that do not have exactly one connection: all that could be left behind are among them.
    fn audit_some_uneven(&mut self, limit: usize) {
        let after = self.round.session.take();
        let page = self.directory.uneven_after(after.as_ref(), limit);
        for uneven in &page.items {
            self.audit_session(&uneven.user, &uneven.session);
        }
        let last = page.items.into_iter().next_back().filter(|_| page.more);
        self.round.session = last.map(|uneven| (uneven.user, uneven.session));
    }

    /// The room after the one that was looked at last, in the order of their ids, and after the last one the first.
    fn next_room(&self) -> Option<(RoomId, RoomKey)> {
        let start = self.round.room.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let name =
            self.names.range::<RoomId, _>((start, Bound::Unbounded)).next().or_else(|| self.names.first())?;
        Some((name.clone(), self.keys.get(name).copied()?))
    }

    /// What can be seen without looking at anybody.
    fn audit_counts(&mut self) {
        let mut breaches = Breaches::default();
        let (keys, names, desks) = (self.keys.len(), self.names.len(), self.desks.len() - self.free.len());
        breaches.expect(Invariant::NoResidue, keys == names && keys == desks, || {
            format!("{keys} rooms have a key, {names} are listed, and {desks} are kept")
        });
        let (users, connections) = (self.directory.user_count(), self.directory.connection_count());
        let waited_for = connections > 0 || keys > 0;
        breaches.expect(Invariant::NoResidue, users == 0 || waited_for, || {
            format!("{users} users are known though there is no connection and no room")
        });
        let found = self.tally.violated(None, breaches);
        self.outputs.extend(found);
    }

    fn audit_room(&mut self, now: Timestamp, key: RoomKey) {
        let Some(desk) = self.desks.get_mut(key.index()).and_then(Option::as_mut) else { return };
        let mut breaches = Breaches::default();
        if desk.audit(&mut breaches) {
            self.tally.drift += 1;
        }
        let timed = self.frozen.is_none().then_some(now);
        audit_members(desk, key, &self.directory, timed, &self.limits, &mut breaches);
        let scheduled = desk.due.is_some_and(|due| self.due.contains(&(due, key)));
        breaches.expect(Invariant::NoResidue, desk.room().user_count() > 0 || scheduled, || {
            "nobody is in it, and nothing will close it".to_owned()
        });
        let waiting = desk.room().has_news() || desk.waiting() > 0;
        breaches.expect(Invariant::Visibility, !waiting || scheduled, || {
            format!("it has news or {} who wait, and no time at which it hands out", desk.waiting())
        });
        audit_watchers(desk, &self.directory, &mut breaches);
        let found = self.tally.violated(Some(desk.room().id()), breaches);
        self.outputs.extend(found);
    }

    /// Whether a session's record has a reason to be there, and says what the rooms say.
    pub(super) fn audit_session(&mut self, user: &UserId, session: &SessionId) {
        let Some(record) = self.directory.record(user, session) else { return };
        let mut breaches = Breaches::default();
        breaches.expect(Invariant::NoResidue, !record.is_for_nobody(), || {
            format!("session {user}/{session} is known though no connection and no room has it")
        });
        for key in &record.rooms {
            let desk = self.desks.get(key.index()).and_then(Option::as_ref);
            let member = desk.and_then(|desk| desk.room().member(user.as_str()));
            let present = member.and_then(|member| member.session(session));
            breaches.expect(Invariant::NoResidue, present.is_some(), || {
                format!("session {user}/{session} counts as in a room that does not have it")
            });
            if let Some(Link::Attached(generation)) = present.map(|present| present.link) {
                breaches.expect(Invariant::Fence, record.current == Some(generation), || {
                    let generation = generation.number();
                    format!("connection {generation} of {user}/{session} is attached and not its newest")
                });
            }
        }
        let found = self.tally.violated(None, breaches);
        self.outputs.extend(found);
    }
}

/// Holds the members of a room against the directory, and against the time, unless that stands still.
fn audit_members(
    desk: &Desk,
    key: RoomKey,
    directory: &Directory,
    now: Option<Timestamp>,
    limits: &Limits,
    breaches: &mut Breaches,
) {
    for member in desk.room().members() {
        let user = &member.profile.id;
        for session in &member.sessions {
            let record = directory.record(user, &session.id);
            let listed = record.is_some_and(|record| record.rooms.contains(&key));
            breaches.expect(Invariant::NoPhantom, listed, || {
                format!("session {user}/{} is there and nobody would take it away", session.id)
            });
            match session.link {
                Link::Attached(generation) => {
                    let current = record.and_then(|record| record.current);
                    breaches.expect(Invariant::Fence, current == Some(generation), || {
                        let (id, generation) = (&session.id, generation.number());
                        format!("connection {generation} of {user}/{id} is attached and not its newest")
                    });
                }
                Link::Held { until, .. } => audit_held(session, until, now, limits, breaches),
            }
        }
        let there = |session: &SessionId| member.session(session).is_some();
        let listed = directory.records(user).filter(|record| record.rooms.contains(&key));
        for record in listed {
            breaches.expect(Invariant::NoResidue, there(&record.session), || {
                format!("session {user}/{} counts as in the room, which does not have it", record.session)
            });
        }
    }
}

/// Whoever watches a window is in the room.
fn audit_watchers(desk: &Desk, directory: &Directory, breaches: &mut Breaches) {
    for generation in desk.watchers() {
        let is_in = directory.current(generation).is_some_and(|visitor| desk.room().is_in(&visitor));
        breaches.expect(Invariant::NoResidue, is_in, || {
            format!("connection {} watches a window of a room that it is not in", generation.number())
        });
    }
}

fn audit_held(
    session: &SessionPresence,
    until: Timestamp,
    now: Option<Timestamp>,
    limits: &Limits,
    breaches: &mut Breaches,
) {
    let Some(now) = now else { return };
    let (earliest, latest) = (now - ALARM_SLOT - OVERDUE, now + limits.grace.max(limits.going_away_grace));
    breaches.expect(Invariant::NoPhantom, earliest <= until && until <= latest, || {
        let (id, until, now) = (&session.id, until.as_millis(), now.as_millis());
        format!("session {id} is waited for until {until} ms, and it is {now} ms")
    });
}

#[cfg(test)]
mod tests;
