//! A shard as it should be: sets of sessions, too simple to be wrong. It takes in what the shard takes in, in the same order,
//! and after each turn both are held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence_core::attempt::Attempt;
use presence_core::id::{Generation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::room::{KeptRoom, Link, Movement};
use presence_core::shard::{Detach, RoomCommand, Shard, ShardInput};
use presence_core::time::Timestamp;

/// The shard's slow timers fire at multiples of this.
const SLOT: u64 = 10;

/// Whose, and which tab.
pub(in crate::sim) type Who = (UserId, SessionId);

/// One shard, simplified.
#[derive(Debug)]
pub(in crate::sim) struct Model {
    grace: Duration,
    going_away: Duration,
    frozen: Option<Timestamp>,
    sessions: BTreeMap<Who, Record>,
    connections: BTreeMap<Generation, Who>,
    pub(in crate::sim) rooms: BTreeMap<RoomId, BTreeMap<Who, Seat>>,
    /// Users who had no session in a room at some moment since it last said who came and went.
    emptied: BTreeSet<(RoomId, UserId)>,
    /// Who is in each room as far as it has said.
    told: BTreeMap<RoomId, BTreeSet<UserId>>,
}

#[derive(Debug, Default)]
struct Record {
    current: Option<Generation>,
    newest: Option<Generation>,
    attempt: Option<Attempt>,
    open: u32,
}

/// A session in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Seat {
    pub(in crate::sim) behind: Behind,
    pub(in crate::sim) active: bool,
    /// What it says of itself, as JSON.
    pub(in crate::sim) state: BTreeMap<String, String>,
}

/// What is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Behind {
    Connection(Generation),
    Nothing { until: Timestamp },
}

/// What is not as it should be: which invariant, and what was seen.
pub(in crate::sim) type Fault = (&'static str, String);

impl Model {
    pub(in crate::sim) fn new(limits: &Limits) -> Self {
        Self {
            grace: limits.grace,
            going_away: limits.going_away_grace,
            frozen: None,
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            rooms: BTreeMap::new(),
            emptied: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// The connection that has a session.
    pub(in crate::sim) fn current(&self, who: &Who) -> Option<Generation> {
        self.sessions.get(who)?.current
    }

    pub(in crate::sim) fn take_in(&mut self, now: Timestamp, input: &ShardInput) {
        match input {
            ShardInput::Attach { user, session, generation, attempt } => {
                self.attach(now, (user.clone(), session.clone()), *generation, *attempt);
            }
            ShardInput::Detach { generation, how } => self.detach(now, *generation, *how),
            ShardInput::Command { generation, room, command } => self.command(*generation, room, command),
            ShardInput::Freeze => self.frozen = self.frozen.or(Some(now)),
            ShardInput::Kick { .. } | ShardInput::Read { .. } => {}
        }
    }

    fn attach(&mut self, now: Timestamp, who: Who, generation: Generation, attempt: Option<Attempt>) {
        self.connections.insert(generation, who.clone());
        let record = self.sessions.entry(who.clone()).or_default();
        record.open += 1;
        let is_earlier = record.attempt.zip(attempt).is_some_and(|(newest, attempt)| attempt < newest);
        let is_later = record.attempt.zip(attempt).is_some_and(|(newest, attempt)| attempt > newest);
        if is_earlier || record.newest > Some(generation) && !is_later {
            return;
        }
        (record.newest, record.attempt) = (Some(generation), attempt);
        if let Some(old) = record.current.replace(generation) {
            self.lose(now, &who, old, self.grace);
        }
    }

    fn detach(&mut self, now: Timestamp, generation: Generation, how: Detach) {
        let Some(who) = self.connections.remove(&generation) else { return };
        let Some(record) = self.sessions.get_mut(&who) else { return };
        record.open -= 1;
        if record.current == Some(generation) {
            record.current = None;
            match how {
                Detach::Finished | Detach::Kicked => {
                    let rooms: Vec<RoomId> = self.rooms.keys().cloned().collect();
                    rooms.iter().for_each(|room| self.leave(room, &who, generation));
                }
                Detach::GoingAway => self.lose(now, &who, generation, self.going_away),
                Detach::Lost => self.lose(now, &who, generation, self.grace),
            }
        }
        self.forget(&who);
    }

    fn forget(&mut self, who: &Who) {
        let seated = self.rooms.values().any(|seats| seats.contains_key(who));
        if !seated && self.sessions.get(who).is_some_and(|record| record.open == 0) {
            self.sessions.remove(who);
        }
    }

    fn lose(&mut self, now: Timestamp, who: &Who, generation: Generation, grace: Duration) {
        let until = self.frozen.unwrap_or(now) + grace;
        for seats in self.rooms.values_mut() {
            if let Some(seat) = seats.get_mut(who)
                && seat.behind == Behind::Connection(generation)
            {
                seat.behind = Behind::Nothing { until };
            }
        }
    }

    fn leave(&mut self, room: &RoomId, who: &Who, generation: Generation) {
        let Some(seats) = self.rooms.get_mut(room) else { return };
        if seats.get(who).is_some_and(|seat| seat.behind == Behind::Connection(generation)) {
            seats.remove(who);
            self.gone(room, who);
        }
    }

    fn gone(&mut self, room: &RoomId, who: &Who) {
        let Some(seats) = self.rooms.get(room) else { return };
        if !seats.keys().any(|(user, _)| *user == who.0) {
            self.emptied.insert((room.clone(), who.0.clone()));
        }
        if seats.is_empty() {
            self.rooms.remove(room);
        }
        self.forget(who);
    }

    fn command(&mut self, generation: Generation, room: &RoomId, command: &RoomCommand) {
        let Some(who) = self.connections.get(&generation).cloned() else { return };
        // P8: what a connection does that has its session no more changes nothing.
        if self.current(&who) != Some(generation) {
            return;
        }
        if let RoomCommand::Join(join) = command {
            let seats = self.rooms.entry(room.clone()).or_default();
            let behind = Behind::Connection(generation);
            let seat =
                seats.entry(who).or_insert(Seat { behind, active: join.active, state: BTreeMap::new() });
            (seat.behind, seat.active) = (behind, join.active);
            for (name, value) in join.state.iter().flatten() {
                seat.merge(name, value.as_ref().map(|value| value.as_str()));
            }
            return;
        }
        let seat = self.rooms.get_mut(room).and_then(|seats| seats.get_mut(&who));
        let Some(seat) = seat.filter(|seat| seat.behind == Behind::Connection(generation)) else { return };
        match command {
            RoomCommand::Leave | RoomCommand::PutOut => self.leave(room, &who, generation),
            RoomCommand::Activity { active } => seat.active = *active,
            RoomCommand::Update { patch, .. } => {
                for (name, value) in patch {
                    seat.merge(name, value.as_ref().map(|value| value.as_str()));
                }
            }
            _ => {}
        }
    }

    /// Time has passed: whose time is over is gone, nobody else. That is so by the end of a slot, and may be before it, when
    /// the shard looked at them for another reason.
    pub(in crate::sim) fn pass(&mut self, now: Timestamp, shard: &Shard) {
        if self.frozen.is_some() {
            return;
        }
        let swept = now.as_millis() / SLOT * SLOT;
        let is_there = |room: &RoomId, who: &Who| {
            let member = shard.room(room).and_then(|room| room.member(who.0.as_str()));
            member.is_some_and(|member| member.session(&who.1).is_some())
        };
        let over = |room: &RoomId, who: &Who, seat: &Seat| {
            matches!(seat.behind, Behind::Nothing { until } if until <= now && swept > 0
                && (until.as_millis() <= swept || !is_there(room, who)))
        };
        let rooms = self.rooms.iter();
        let gone: Vec<(RoomId, Who)> = rooms
            .flat_map(|(room, seats)| {
                let over = seats.iter().filter(|(who, seat)| over(room, who, seat));
                over.map(|(who, _)| (room.clone(), who.clone()))
            })
            .collect();
        for (room, who) in gone {
            if let Some(seats) = self.rooms.get_mut(&room) {
                seats.remove(&who);
            }
            self.gone(&room, &who);
        }
    }

    /// A room has been handed over: everybody in it is waited for from now on.
    pub(in crate::sim) fn take_up(&mut self, now: Timestamp, room: &KeptRoom) {
        for member in &room.members {
            self.told.entry(room.id.clone()).or_default().insert(member.profile.id.clone());
            for session in &member.sessions {
                let who = (member.profile.id.clone(), session.id.clone());
                let state = session.state.iter();
                let state =
                    state.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect();
                let behind = Behind::Nothing { until: now + session.grace.min(self.grace) };
                let seat = Seat { behind, active: session.active, state };
                self.sessions.entry(who.clone()).or_default();
                self.rooms.entry(room.id.clone()).or_default().insert(who, seat);
            }
        }
    }

    /// A room says who came and went: each as it happened (P1, P2).
    pub(in crate::sim) fn moved(&mut self, room: &RoomId, movements: &[Movement]) -> Result<(), Fault> {
        let told = self.told.entry(room.clone()).or_default();
        for movement in movements {
            match movement {
                Movement::Joined { user, .. } => {
                    if !told.insert(user.clone()) {
                        return Err(("P1", format!("{room} says that {user} joined, who was there")));
                    }
                }
                Movement::Left { user, cause, .. } => {
                    if !told.remove(user) {
                        return Err(("P1", format!("{room} says that {user} left, who was not there")));
                    }
                    if !self.emptied.remove(&(room.clone(), user.clone())) {
                        let text =
                            format!("{room} says that {user} left ({cause:?}), who has a session there");
                        return Err(("P2", text));
                    }
                }
                Movement::Occupied { .. } | Movement::Vacated { .. } => {}
            }
        }
        self.emptied.retain(|(emptied, _)| emptied != room);
        Ok(())
    }

    /// Holds a shard against this.
    pub(in crate::sim) fn compare(&self, shard: &Shard) -> Result<(), Fault> {
        for (room, seats) in &self.rooms {
            self.compare_room(shard, room, seats)?;
        }
        if shard.room_count() > self.rooms.len() {
            let page = shard.rooms_after(None, "", usize::MAX);
            if let Some(extra) = page.items.iter().find(|item| !self.rooms.contains_key(&item.room)) {
                return Err(("P5", format!("{} is still there with {} users", extra.room, extra.users)));
            }
        }
        if shard.connection_count() != self.connections.len() {
            let counts = (shard.connection_count(), self.connections.len());
            return Err(("X3", format!("{} connections are known, and there are {}", counts.0, counts.1)));
        }
        let users: BTreeSet<&UserId> = self.sessions.keys().map(|(user, _)| user).collect();
        if shard.user_count() != users.len() {
            let text = format!("{} users are known, and there are {}", shard.user_count(), users.len());
            return Err(("P12", text));
        }
        Ok(())
    }

    fn compare_room(&self, shard: &Shard, id: &RoomId, seats: &BTreeMap<Who, Seat>) -> Result<(), Fault> {
        let Some(room) = shard.room(id) else {
            return Err(("P6", format!("{id} is not there, and {} sessions should be in it", seats.len())));
        };
        let mut seen = 0;
        for member in room.members() {
            for session in &member.sessions {
                seen += 1;
                let who = (member.profile.id.clone(), session.id.clone());
                let Some(seat) = seats.get(&who) else {
                    return Err(("P5", format!("{}/{} is in {id} and should be gone", who.0, who.1)));
                };
                let same = match (session.link, seat.behind) {
                    (Link::Attached(one), Behind::Connection(other)) => one == other,
                    (Link::Held { until: one, .. }, Behind::Nothing { until: other }) => one == other,
                    _ => false,
                };
                if !same {
                    let (is, should) = (session.link, seat.behind);
                    return Err((
                        "P8",
                        format!("{}/{} in {id} is {is:?}, should be {should:?}", who.0, who.1),
                    ));
                }
                let state = session.state.iter();
                let same = state.len() == seat.state.len()
                    && state
                        .zip(&seat.state)
                        .all(|(is, should)| **is.0 == **should.0 && is.1.as_str() == should.1);
                if !same {
                    let (is, should) = (&session.state, &seat.state);
                    return Err((
                        "R4",
                        format!("{}/{} in {id} says {is:?}, should say {should:?}", who.0, who.1),
                    ));
                }
                if session.active != seat.active {
                    return Err((
                        "P16",
                        format!("{}/{} in {id} is active: {}", who.0, who.1, session.active),
                    ));
                }
            }
        }
        if seen < seats.len() {
            let there =
                |who: &Who| room.member(who.0.as_str()).and_then(|member| member.session(&who.1)).is_some();
            if let Some((who, seat)) = seats.iter().find(|(who, _)| !there(who)) {
                let id_of = if let Behind::Connection(_) = seat.behind { "P6" } else { "P7" };
                return Err((id_of, format!("{}/{} is not in {id} and should be: {seat:?}", who.0, who.1)));
            }
        }
        self.compare_told(id, room)
    }

    fn compare_told(&self, id: &RoomId, room: &presence_core::room::Room) -> Result<(), Fault> {
        if room.has_news() {
            return Ok(());
        }
        let told = self.told.get(id);
        let same = told.is_some_and(|told| {
            told.len() == room.user_count() && room.members().all(|member| told.contains(&member.profile.id))
        });
        if same {
            return Ok(());
        }
        Err(("P17", format!("{id} has said that {told:?} are there, and has {} users", room.user_count())))
    }
}

impl Seat {
    fn merge(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.state.insert(name.to_owned(), value.to_owned()),
            None => self.state.remove(name),
        };
    }
}
