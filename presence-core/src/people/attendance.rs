//! Who is here at all, in whatever room or none: a user with a connection, or with a session whose grace is not over.
//! Sans-I/O: a driver says what connections do and what time it is, and asks what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::standing::{Availability, Standing};
use crate::few::Few;
use crate::id::{ConnectionId, SessionId, UserId};
use crate::limits::Limits;
use crate::profile::Profile;
use crate::shard::Detach;
use crate::time::{Now, Timestamp, WallTime};

/// Everybody who is here. `L` is how a connection is reached; the model does not look into it.
#[derive(Debug)]
pub struct Attendance<L> {
    limits: Arc<Limits>,
    /// Each in a piece of memory of its own: a third of what a tree has room for is empty.
    users: BTreeMap<UserId, Box<Attendant<L>>>,
    /// The held sessions, by when their grace is over.
    graces: BTreeSet<(Timestamp, UserId, SessionId)>,
    /// Who came, went or became idle since somebody asked; with it, how they stood when they went.
    changed: BTreeMap<UserId, Option<WallTime>>,
    /// Who was seen online, and when, since somebody asked.
    seen: BTreeMap<UserId, WallTime>,
}

/// One user.
#[derive(Debug)]
struct Attendant<L> {
    /// In the order in which their connections came; never empty.
    sittings: Few<Sitting<L>>,
    /// When the newest of the connections that are gone went.
    left_at: WallTime,
}

/// A connection of a session, or what is left of one.
#[derive(Debug)]
struct Sitting<L> {
    session: SessionId,
    active: bool,
    /// What it says of its user, if it has said anything.
    said: Option<Arc<Profile>>,
    line: Line<L>,
}

#[derive(Debug)]
enum Line<L> {
    /// It is there.
    Open { id: ConnectionId, link: L },
    /// It is gone, and the session may come back.
    Lost { until: Timestamp },
}

/// A session that an earlier life of the server left in a room.
#[derive(Clone, Debug)]
pub struct LeftBehind {
    /// What the room showed of its user.
    pub profile: Arc<Profile>,
    /// Which one.
    pub session: SessionId,
    /// In use, or idle.
    pub active: bool,
    /// When the room last heard from the user.
    pub last_seen: WallTime,
}

impl<L> Default for Attendant<L> {
    fn default() -> Self {
        Self { sittings: Few::new(), left_at: WallTime::default() }
    }
}

impl<L> Attendant<L> {
    fn availability(&self) -> Availability {
        match (self.is_gone(), self.sittings.iter().any(|sitting| sitting.active)) {
            (true, _) => Availability::Offline,
            (false, true) => Availability::Online,
            (false, false) => Availability::Away,
        }
    }

    fn is_gone(&self) -> bool {
        self.sittings.is_empty()
    }

    fn is_connected(&self) -> bool {
        self.sittings.iter().any(Sitting::is_open)
    }

    fn of_connection(&mut self, connection: ConnectionId) -> Option<&mut Sitting<L>> {
        self.sittings.iter_mut().find(|sitting| sitting.is_of(connection))
    }
}

impl<L> Sitting<L> {
    fn is_open(&self) -> bool {
        self.lost_until().is_none()
    }

    fn is_of(&self, connection: ConnectionId) -> bool {
        matches!(self.line, Line::Open { id, .. } if id == connection)
    }

    fn lost_until(&self) -> Option<Timestamp> {
        match self.line {
            Line::Open { .. } => None,
            Line::Lost { until } => Some(until),
        }
    }
}

impl<L> Attendance<L> {
    /// Nobody is here.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            users: BTreeMap::new(),
            graces: BTreeSet::new(),
            changed: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// A connection has a user and a session now.
    pub fn attach(
        &mut self,
        now: Now,
        user: &UserId,
        session: &SessionId,
        connection: ConnectionId,
        link: L,
    ) {
        let Self { users, graces, .. } = self;
        let attendant = users.entry(user.clone()).or_default();
        attendant.sittings.retain(|sitting| match sitting.lost_until() {
            Some(until) if sitting.session == *session => {
                graces.remove(&(until, user.clone(), session.clone()));
                false
            }
            _ => !sitting.is_of(connection),
        });
        let line = Line::Open { id: connection, link };
        attendant.sittings.push(Sitting { session: session.clone(), active: true, said: None, line });
        self.note(user);
        self.saw(user, now.wall);
    }

    /// A connection has them no more.
    pub fn detach(&mut self, now: Now, user: &UserId, connection: ConnectionId, how: Detach) {
        let grace = self.grace_of(how);
        let Some(attendant) = self.users.get_mut(user) else { return };
        let index = attendant.sittings.iter().position(|sitting| sitting.is_of(connection));
        let Some(sitting) = index.map(|index| attendant.sittings.remove(index)) else { return };
        attendant.left_at = attendant.left_at.max(now.wall);
        let is_taken_over =
            attendant.sittings.iter().any(|other| other.is_open() && other.session == sitting.session);
        if let Some(grace) = grace.filter(|grace| !grace.is_zero() && !is_taken_over) {
            let until = now.at + grace;
            self.graces.insert((until, user.clone(), sitting.session.clone()));
            attendant.sittings.push(Sitting { line: Line::Lost { until }, ..sitting });
        }
        self.note(user);
        self.saw(user, now.wall);
    }

    fn grace_of(&self, how: Detach) -> Option<Duration> {
        match how {
            Detach::Finished | Detach::Kicked => None,
            Detach::GoingAway => Some(self.limits.going_away_grace),
            Detach::Lost => Some(self.limits.grace),
        }
    }

    /// A session that an earlier life of the server left behind: it is waited for.
    pub fn take_up(&mut self, now: Now, left: LeftBehind) {
        let LeftBehind { profile, session, active, last_seen } = left;
        let user = &profile.id;
        let until = now.at + self.limits.grace;
        let attendant = self.users.entry(user.clone()).or_default();
        attendant.left_at = attendant.left_at.max(last_seen);
        // It may have been in several rooms.
        let is_held = |sitting: &Sitting<L>| !sitting.is_open() && sitting.session == session;
        if !attendant.sittings.iter().any(is_held) {
            self.graces.insert((until, user.clone(), session.clone()));
            let line = Line::Lost { until };
            attendant.sittings.push(Sitting { session, active, said: Some(profile), line });
        }
    }

    /// What a connection says of its user.
    pub fn set_said(&mut self, connection: ConnectionId, said: Arc<Profile>) {
        let attendant = self.users.get_mut(&said.id);
        if let Some(sitting) = attendant.and_then(|attendant| attendant.of_connection(connection)) {
            sitting.said = (*said != Profile::of_user(said.id.clone())).then_some(said);
        }
    }

    /// What the newest connection says of a user that says anything; of one who is waited for, what it said.
    pub fn said(&self, user: &UserId) -> Option<&Arc<Profile>> {
        let attendant = self.users.get(user)?;
        let said = |open| {
            let of_these = attendant.sittings.iter().rev().filter(move |sitting| sitting.is_open() == open);
            of_these.filter_map(|sitting| sitting.said.as_ref()).next()
        };
        said(true).or_else(|| said(false))
    }

    /// A connection is in use, or idle.
    pub fn set_active(&mut self, user: &UserId, connection: ConnectionId, active: bool) {
        let attendant = self.users.get_mut(user);
        let sitting = attendant.and_then(|attendant| attendant.of_connection(connection));
        if let Some(sitting) = sitting.filter(|sitting| sitting.active != active) {
            sitting.active = active;
            self.note(user);
        }
    }

    /// The sessions of a user that are waited for are waited for no more.
    pub fn dismiss(&mut self, user: &UserId) {
        let Self { users, graces, .. } = self;
        let Some(attendant) = users.get_mut(user) else { return };
        attendant.sittings.retain(|sitting| {
            if let Some(until) = sitting.lost_until() {
                graces.remove(&(until, user.clone(), sitting.session.clone()));
            }
            sitting.is_open()
        });
        self.note(user);
    }

    /// Lets go of the sessions whose grace is over.
    pub fn expire(&mut self, now: Timestamp) {
        while self.graces.first().is_some_and(|(until, _, _)| *until <= now) {
            let Some((_, user, session)) = self.graces.pop_first() else { return };
            if let Some(attendant) = self.users.get_mut(&user) {
                attendant.sittings.retain(|sitting| sitting.is_open() || sitting.session != session);
            }
            self.note(&user);
        }
    }

    /// When to call [`expire`](Self::expire), if at all.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.graces.first().map(|(until, _, _)| *until)
    }

    /// Notes that everybody who is connected is online now, and goes on from `after` with at most `limit` of them. Gives
    /// the last, if there are more.
    pub fn beat(&mut self, now: Now, after: Option<&UserId>, limit: usize) -> Option<UserId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.users.range::<UserId, _>((start, Bound::Unbounded));
        let mut last = None;
        let mut connected = Vec::new();
        for (user, attendant) in rest.by_ref().take(limit) {
            last = Some(user.clone());
            connected.extend(attendant.is_connected().then(|| user.clone()));
        }
        let more = rest.next().is_some();
        for user in connected {
            self.saw(&user, now.wall);
        }
        last.filter(|_| more)
    }

    /// How a user stands who is here. While only their grace keeps them here they were last online when they went: what
    /// is said of them later is then never earlier (P15).
    pub fn standing(&self, user: &UserId, wall: WallTime) -> Option<Standing> {
        let attendant = self.users.get(user)?;
        let last_online = if attendant.is_connected() { wall } else { attendant.left_at };
        Some(Standing { availability: attendant.availability(), last_online: Some(last_online) })
    }

    /// Whether a user is here.
    pub fn availability(&self, user: &UserId) -> Availability {
        self.users.get(user).map_or(Availability::Offline, |attendant| attendant.availability())
    }

    /// How the connections of a user are reached.
    pub fn links(&self, user: &UserId) -> impl Iterator<Item = &L> {
        let attendant = self.users.get(user);
        let lines = attendant.into_iter().flat_map(|attendant| &attendant.sittings);
        lines.filter_map(|sitting| match &sitting.line {
            Line::Open { link, .. } => Some(link),
            Line::Lost { .. } => None,
        })
    }

    /// How many users are here.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The users whose standing may be another than before; of those who are gone, when they were last here.
    pub fn take_changed(&mut self) -> BTreeMap<UserId, Option<WallTime>> {
        std::mem::take(&mut self.changed)
    }

    /// The users who were seen online, and when.
    pub fn take_seen(&mut self) -> BTreeMap<UserId, WallTime> {
        std::mem::take(&mut self.seen)
    }

    /// When a user was seen online that nobody has taken yet.
    pub fn seen(&self, user: &UserId) -> Option<WallTime> {
        self.seen.get(user).copied()
    }

    fn saw(&mut self, user: &UserId, wall: WallTime) {
        let seen = self.seen.entry(user.clone()).or_insert(wall);
        *seen = wall.max(*seen);
    }

    /// Notes that the user's standing may have changed, and forgets who is gone (P12).
    fn note(&mut self, user: &UserId) {
        let gone = self.users.get(user).filter(|attendant| attendant.is_gone());
        let left_at = gone.map(|attendant| attendant.left_at);
        if left_at.is_some() {
            self.users.remove(user);
        }
        self.changed.insert(user.clone(), left_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    fn session(text: &str) -> SessionId {
        SessionId::parse(text).unwrap()
    }

    fn at(millis: u64) -> Now {
        Now {
            at: Timestamp::from_millis(millis),
            wall: WallTime::from_unix_millis(1_000_000 + millis as i64),
        }
    }

    fn connection(number: u128) -> ConnectionId {
        ConnectionId::from_random(number)
    }

    fn attendance() -> Attendance<u32> {
        let limits = Limits {
            grace: Duration::from_millis(100),
            going_away_grace: Duration::from_millis(10),
            ..Limits::default()
        };
        Attendance::new(Arc::new(limits))
    }

    fn availability(attendance: &Attendance<u32>, name: &str) -> Availability {
        attendance.availability(&user(name))
    }

    #[test]
    fn a_lost_connection_is_waited_for_and_a_finished_one_is_not() {
        let (mut here, ann) = (attendance(), user("ann"));
        for (how, lasts) in
            [(Detach::Finished, 0), (Detach::Kicked, 0), (Detach::GoingAway, 10), (Detach::Lost, 100)]
        {
            here.attach(at(0), &ann, &session("a"), connection(1), 1);
            here.detach(at(5), &ann, connection(1), how);
            assert_eq!(here.next_expiry(), (lasts > 0).then(|| at(5 + lasts).at), "{how:?}");
            if lasts > 0 {
                assert_eq!(here.standing(&ann, at(50).wall).unwrap().last_online, Some(at(5).wall));
                here.expire(at(5 + lasts - 1).at);
                assert_eq!(availability(&here, "ann"), Availability::Online);
                here.expire(at(5 + lasts).at);
            }
            assert_eq!(availability(&here, "ann"), Availability::Offline);
            assert_eq!(here.take_changed(), BTreeMap::from([(ann.clone(), Some(at(5).wall))]));
            assert!(here.is_empty());
        }
        assert_eq!(here.take_seen(), BTreeMap::from([(ann, at(5).wall)]));
    }

    #[test]
    fn who_comes_back_in_time_was_never_gone_and_takes_no_second_place() {
        let (mut here, ann) = (attendance(), user("ann"));
        here.attach(at(0), &ann, &session("a"), connection(1), 1);
        here.detach(at(5), &ann, connection(1), Detach::Lost);
        here.attach(at(50), &ann, &session("a"), connection(2), 2);
        here.expire(at(500).at);
        assert_eq!(availability(&here, "ann"), Availability::Online);
        // Taken over: the older connection's end says nothing.
        here.attach(at(600), &ann, &session("a"), connection(3), 3);
        here.detach(at(601), &ann, connection(2), Detach::Lost);
        assert_eq!((here.next_expiry(), here.links(&ann).copied().collect::<Vec<_>>()), (None, vec![3]));
        here.detach(at(700), &ann, connection(3), Detach::Finished);
        assert!(here.is_empty());
    }

    #[test]
    fn a_user_is_away_when_every_session_is_idle() {
        let (mut here, ann) = (attendance(), user("ann"));
        here.attach(at(0), &ann, &session("a"), connection(1), 1);
        here.attach(at(0), &ann, &session("b"), connection(2), 2);
        here.set_active(&ann, connection(1), false);
        assert_eq!(availability(&here, "ann"), Availability::Online);
        here.detach(at(0), &ann, connection(2), Detach::Lost);
        assert_eq!(availability(&here, "ann"), Availability::Online, "the one that is waited for was in use");
        here.dismiss(&ann);
        assert_eq!(availability(&here, "ann"), Availability::Away);
        here.set_active(&ann, connection(1), true);
        assert_eq!(availability(&here, "ann"), Availability::Online);
    }

    #[test]
    fn the_newest_that_says_anything_counts_and_is_remembered_while_it_is_waited_for() {
        let (mut here, ann) = (attendance(), user("ann"));
        let named = |name: &str| Arc::new(Profile { name: name.into(), ..Profile::of_user(user("ann")) });
        for number in 1..=3 {
            here.attach(at(0), &ann, &session(&number.to_string()), connection(number), 0);
        }
        assert!(here.said(&ann).is_none());
        here.set_said(connection(1), named("first"));
        here.set_said(connection(2), named("second"));
        here.set_said(connection(3), named("ann"));
        assert_eq!(&*here.said(&ann).unwrap().name, "second");
        here.detach(at(0), &ann, connection(1), Detach::Lost);
        here.detach(at(0), &ann, connection(2), Detach::Finished);
        assert_eq!(&*here.said(&ann).unwrap().name, "first");
    }

    #[test]
    fn what_an_earlier_life_left_is_waited_for_once() {
        let (mut here, ann) = (attendance(), user("ann"));
        for _ in 0..2 {
            let profile = Arc::new(Profile::of_user(ann.clone()));
            let left = LeftBehind { profile, session: session("a"), active: false, last_seen: at(0).wall };
            here.take_up(at(0), left);
        }
        assert_eq!(availability(&here, "ann"), Availability::Away);
        here.expire(at(100).at);
        assert!(here.is_empty() && here.next_expiry().is_none());
    }

    #[test]
    fn a_beat_sees_everybody_who_is_connected_part_by_part() {
        let mut here = attendance();
        for (number, name) in ["ann", "bob", "carl"].into_iter().enumerate() {
            here.attach(at(0), &user(name), &session("a"), connection(number as u128), 0);
        }
        here.detach(at(1), &user("bob"), connection(1), Detach::Lost);
        here.take_seen();
        let next = here.beat(at(9), None, 2);
        assert_eq!(next, Some(user("bob")));
        assert_eq!(here.beat(at(9), next.as_ref(), 2), None);
        let expected = BTreeMap::from([(user("ann"), at(9).wall), (user("carl"), at(9).wall)]);
        assert_eq!(here.take_seen(), expected);
    }

    #[test]
    fn who_is_waited_for_is_here_and_can_not_be_reached() {
        let (mut here, ann) = (attendance(), user("ann"));
        assert!(here.is_empty() && here.seen(&ann).is_none());
        here.attach(at(5), &ann, &session("a"), connection(1), 7);
        assert_eq!((here.links(&ann).copied().collect::<Vec<_>>(), here.len()), (vec![7], 1));
        assert_eq!(here.seen(&ann), Some(at(5).wall));
        here.detach(at(6), &ann, connection(1), Detach::Lost);
        assert_eq!((here.links(&ann).count(), here.len()), (0, 1));
        assert_eq!(availability(&here, "ann"), Availability::Online);
        here.expire(at(106).at);
        assert_eq!((here.len(), availability(&here, "ann")), (0, Availability::Offline));
        assert_eq!(here.take_seen().get(&ann), Some(&at(6).wall));
    }
}
