//! A set of rooms, and the only thing that changes them.
//!
//! Calling contract: `handle_input` and `handle_timeout` take in, `poll_output` is drained after either,
//! `poll_timeout` says when `handle_timeout` must come next. An input does not hand anything out by itself, so a driver
//! may put in all it has before it calls `handle_timeout` with the same time: a room that was quiet is due at once,
//! and hands it all out together.

mod apply;
mod audit;
pub mod census;
mod desk;
mod directory;
mod handover;
mod input;
pub mod look;
mod reading;
mod sighting;
mod tally;
mod windows;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use input::{Detach, Entry, Join, RoomCommand, RoomKey, ShardInput, ShardOutput};
pub use reading::{Packed, RoomReading};
pub use sighting::Sighting;
pub use tally::Tally;

use crate::attempt::Attempt;
use crate::error::{CloseReason, CommandError};
use crate::few::Few;
use crate::frame::Frame;
use crate::id::{Epoch, Generation, Incarnation, RoomId, SessionId, UserId};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::room::{Entered, LeaveCause, Room, Visitor};
use crate::time::{Now, Timestamp};
use crate::wire::{self, Reference};
use apply::{Applied, apply};
use desk::{Desk, Want};
use directory::{Attached, Detached, Directory};

/// How exact the shard's slow timers are: grace, typing, forgetting.
const ALARM_SLOT: Duration = Duration::from_millis(10);

/// A set of rooms.
#[derive(Debug)]
pub struct Shard {
    limits: Arc<Limits>,
    incarnation: Incarnation,
    epochs: u64,
    /// Looked up, never iterated.
    keys: HashMap<RoomId, RoomKey>,
    /// The same rooms in the order of their ids, for those who list them. Touched only when a room opens or closes.
    names: BTreeSet<RoomId>,
    desks: Vec<Option<Desk>>,
    free: Vec<RoomKey>,
    directory: Directory,
    /// Rooms by when they hand out.
    due: BTreeSet<(Timestamp, RoomKey)>,
    alarms: crate::wheel::Wheel<Alarm>,
    outputs: VecDeque<ShardOutput>,
    tally: Tally,
    round: audit::Round,
    /// Since when nobody's time runs out any more, if so.
    frozen: Option<Timestamp>,
}

/// What a slow timer is about. Whoever it calls looks whether it still matters.
#[derive(Debug)]
enum Alarm {
    Grace { room: RoomKey, user: UserId, session: SessionId },
    Typing { room: RoomKey },
    Forget { room: RoomKey },
}

impl Shard {
    /// A shard without rooms. The epochs of its rooms are its own if `incarnation` is.
    pub fn new(limits: Arc<Limits>, incarnation: Incarnation) -> Self {
        Self {
            limits,
            incarnation,
            epochs: 0,
            keys: HashMap::new(),
            names: BTreeSet::new(),
            desks: Vec::new(),
            free: Vec::new(),
            directory: Directory::default(),
            due: BTreeSet::new(),
            alarms: crate::wheel::Wheel::new(ALARM_SLOT),
            outputs: VecDeque::new(),
            tally: Tally::default(),
            round: audit::Round::default(),
            frozen: None,
        }
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Now, input: ShardInput) {
        match input {
            ShardInput::Attach { user, session, generation, attempt } => {
                let profile = Arc::new(Profile::of_user(user));
                self.attach(now, Visitor { profile, session, generation, active: true }, attempt);
            }
            ShardInput::Detach { generation, how } => self.detach(now, generation, how),
            ShardInput::Command { generation, room, command } => self.command(now, generation, room, command),
            ShardInput::Freeze => self.frozen = self.frozen.or(Some(now.at)),
            ShardInput::Kick { user } => self.kick(now, &user),
            ShardInput::Read { ticket, room } => self.read(now, ticket, room),
        }
    }

    /// Does what has come due.
    pub fn handle_timeout(&mut self, now: Now) {
        let mut alarms = Vec::new();
        self.alarms.sweep(now.at, &mut alarms);
        for alarm in alarms {
            self.alarm(now, alarm);
        }
        while let Some((at, key)) = self.due.first().copied()
            && at <= now.at
        {
            self.due.remove(&(at, key));
            self.hand_out(now, key);
        }
    }

    /// The next thing that the shard wants done.
    pub fn poll_output(&mut self) -> Option<ShardOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, if at all.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.due.first().map(|(at, _)| *at);
        due.into_iter().chain(self.alarms.next_sweep()).min()
    }

    /// What it has done so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many rooms there are.
    pub fn room_count(&self) -> usize {
        self.keys.len()
    }

    /// How many users have a session here, attached or held.
    pub fn user_count(&self) -> usize {
        self.directory.user_count()
    }

    /// How many connections have attached and not detached.
    pub fn connection_count(&self) -> usize {
        self.directory.connection_count()
    }

    /// One room, for those who look from outside.
    pub fn room(&self, id: &RoomId) -> Option<&Room> {
        self.keys.get(id).and_then(|key| self.desk(*key)).map(Desk::room)
    }

    /// Where a room is kept.
    pub fn key(&self, id: &RoomId) -> Option<RoomKey> {
        self.keys.get(id).copied()
    }

    fn desk(&self, key: RoomKey) -> Option<&Desk> {
        self.desks.get(key.index()).and_then(Option::as_ref)
    }

    fn desk_mut(&mut self, key: RoomKey) -> Option<&mut Desk> {
        self.desks.get_mut(key.index()).and_then(Option::as_mut)
    }

    fn attach(&mut self, now: Now, visitor: Visitor, attempt: Option<Attempt>) {
        let generation = visitor.generation;
        match self.directory.attach(visitor.clone(), attempt) {
            Attached::Free => {}
            Attached::TooLate => {
                self.outputs.push_back(ShardOutput::Evict { to: generation, reason: CloseReason::TakenOver });
            }
            Attached::TakenFrom(old) => {
                self.tally.takeovers += 1;
                self.outputs.push_back(ShardOutput::Evict { to: old, reason: CloseReason::TakenOver });
                let fenced = Visitor { generation: old, ..visitor };
                if !planted::is(Bug::KeptByOld) {
                    self.hold(now, &fenced, self.limits.grace, LeaveCause::Timeout);
                }
            }
        }
    }

    fn detach(&mut self, now: Now, generation: Generation, how: Detach) {
        let Some(Detached { user, session, visitor }) = self.directory.detach(generation) else { return };
        if let Some(visitor) = visitor {
            match how {
                Detach::Finished => self.leave_all(now, &visitor, LeaveCause::Closed),
                Detach::Kicked => self.leave_all(now, &visitor, LeaveCause::Kicked),
                Detach::GoingAway => {
                    self.hold(now, &visitor, self.limits.going_away_grace, LeaveCause::Closed)
                }
                Detach::Lost => self.hold(now, &visitor, self.limits.grace, LeaveCause::Timeout),
            }
        }
        self.directory.forget_if_done(&user, &session);
        self.audit_session(&user, &session);
    }

    /// Ends every session of a user: the rooms hear of it now, and the connections as soon as they look.
    fn kick(&mut self, now: Now, user: &UserId) {
        for (session, current, rooms) in self.directory.sessions_of(user) {
            for &key in &rooms {
                let Some(desk) = self.desk_mut(key) else { continue };
                if !desk.room_mut().dismiss(user, &session, LeaveCause::Kicked) {
                    continue;
                }
                if let Some(generation) = current {
                    desk.part_with(generation);
                    self.outputs.push_back(ShardOutput::Silence { to: generation, room: key });
                }
                self.directory.left(user, &session, key);
                self.schedule(now, key);
            }
            if let Some(to) = current {
                self.outputs.push_back(ShardOutput::Evict { to, reason: CloseReason::Kicked });
            }
        }
    }

    fn rooms_of(&self, visitor: &Visitor) -> Few<RoomKey> {
        let record = self.directory.record(&visitor.profile.id, &visitor.session);
        record.map(|record| record.rooms.clone()).unwrap_or_default()
    }

    /// The connection is gone; its session stays in its rooms for a while.
    fn hold(&mut self, now: Now, visitor: &Visitor, grace: Duration, cause: LeaveCause) {
        let grace = if planted::is(Bug::NoGrace) { Duration::ZERO } else { grace };
        let until = self.frozen.unwrap_or(now.at) + grace;
        for &key in &self.rooms_of(visitor) {
            let Some(desk) = self.desk_mut(key) else { continue };
            if desk.room_mut().lose(now, visitor, until, cause) {
                desk.part_with(visitor.generation);
                self.outputs.push_back(ShardOutput::Silence { to: visitor.generation, room: key });
                let (user, session) = (visitor.profile.id.clone(), visitor.session.clone());
                self.alarms.set(until, Alarm::Grace { room: key, user, session });
                self.schedule(now, key);
            }
        }
    }

    fn leave_all(&mut self, now: Now, visitor: &Visitor, cause: LeaveCause) {
        for &key in &self.rooms_of(visitor) {
            self.leave(now, key, visitor, cause);
        }
    }

    fn leave(&mut self, now: Now, key: RoomKey, visitor: &Visitor, cause: LeaveCause) {
        let Some(desk) = self.desk_mut(key) else { return };
        if desk.room_mut().leave(now, visitor, cause) {
            desk.part_with(visitor.generation);
            self.outputs.push_back(ShardOutput::Silence { to: visitor.generation, room: key });
            self.directory.left(&visitor.profile.id, &visitor.session, key);
            self.schedule(now, key);
        }
    }

    fn command(&mut self, now: Now, generation: Generation, room: RoomId, command: RoomCommand) {
        let Some(visitor) = self.directory.current(generation) else {
            self.tally.fenced += 1;
            return;
        };
        if let RoomCommand::Join(join) = command {
            return self.join(now, visitor, room, join);
        }
        let Some(key) = self.keys.get(&room).copied() else {
            return self.refuse_absent(generation, &room, command);
        };
        match command {
            RoomCommand::Leave => return self.leave(now, key, &visitor, LeaveCause::Left),
            RoomCommand::PutOut => return self.leave(now, key, &visitor, LeaveCause::Kicked),
            RoomCommand::Profile { ref after, .. } => self.directory.show(generation, after),
            _ => {}
        }
        let limits = Arc::clone(&self.limits);
        let Some(desk) = self.desk_mut(key) else { return };
        match apply(desk, now, &visitor, command, &limits) {
            Ok(Applied::Nothing) => {}
            Ok(Applied::Answer(frame)) => {
                self.outputs.push_back(ShardOutput::Answer { to: generation, frame });
            }
            Ok(Applied::Silence) => {
                self.outputs.push_back(ShardOutput::Silence { to: generation, room: key });
            }
            Ok(Applied::TypingUntil(until)) => self.alarms.set(until, Alarm::Typing { room: key }),
            Err((error, reference)) => self.refuse(generation, &error, &reference),
        }
        self.schedule(now, key);
    }

    fn join(&mut self, now: Now, visitor: Visitor, room: RoomId, join: Join) {
        let generation = visitor.generation;
        let visitor = Visitor { profile: join.profile, active: join.active, ..visitor };
        self.directory.show_visitor(&visitor);
        let limits = Arc::clone(&self.limits);
        let key = self.open(room);
        let Some(desk) = self.desk_mut(key) else { return };
        let admitted = desk.admit(&visitor, join.window, &limits);
        let state = join.state.as_ref();
        match admitted.and_then(|()| desk.room_mut().join(now, &visitor, state, &limits)) {
            Ok(entered) => {
                let restored = entered == Entered::Restored;
                let want = Want::Enter { since: join.since, restored };
                desk.wait(&visitor, join.entry, want, join.reference);
                desk.watch(generation, join.window);
                if join.window.is_some() {
                    self.outputs.push_back(ShardOutput::Silence { to: generation, room: key });
                }
                self.tally.restores += u64::from(restored);
                self.directory.entered(&visitor, key);
            }
            Err(error) => {
                self.tally.refused(error.code);
                let frame = Frame::one(wire::error(&error, &join.reference));
                let refusal = ShardOutput::NotEntered { to: generation, entry: join.entry, frame };
                self.outputs.push_back(refusal);
            }
        }
        self.schedule(now, key);
    }

    fn read(&mut self, now: Now, ticket: u64, room: RoomId) {
        if let Some(key) = self.keys.get(&room).copied() {
            if let Some(desk) = self.desk_mut(key) {
                desk.wait_to_read(ticket);
            }
            return self.schedule(now, key);
        }
        // A room that is not there is a room with nobody in it, and not worth opening.
        let nobody = Room::new(room, Epoch::new(self.incarnation, 0));
        let stand = nobody.stand();
        let body = wire::room_presence(stand, nobody.members(), now.wall).into();
        let reading = Arc::new(RoomReading::once(stand, now.at, body));
        self.outputs.push_back(ShardOutput::Reading { ticket, reading });
    }

    /// The room's key; opens the room if it is not there.
    fn open(&mut self, id: RoomId) -> RoomKey {
        if let Some(key) = self.keys.get(&id) {
            return *key;
        }
        self.epochs += 1;
        let epoch = Epoch::new(self.incarnation, self.epochs);
        self.place(Room::new(id, epoch))
    }

    fn place(&mut self, room: Room) -> RoomKey {
        let (id, desk) = (room.id().clone(), Desk::new(room));
        let key = self.free.pop().unwrap_or_else(|| {
            self.desks.push(None);
            RoomKey(u32::try_from(self.desks.len() - 1).expect("rooms are fewer than four billion"))
        });
        self.desks[key.index()] = Some(desk);
        self.names.insert(id.clone());
        self.keys.insert(id, key);
        key
    }

    fn refuse(&mut self, to: Generation, error: &CommandError, reference: &Reference) {
        self.tally.refused(error.code);
        let frame = Frame::one(wire::error(error, reference));
        self.outputs.push_back(ShardOutput::Answer { to, frame });
    }

    /// Answers a command to a room that is not there.
    fn refuse_absent(&mut self, to: Generation, room: &RoomId, command: RoomCommand) {
        let reference = match command {
            RoomCommand::Update { reference, .. }
            | RoomCommand::Cursor { reference, .. }
            | RoomCommand::Typing { reference, .. }
            | RoomCommand::Sync { reference, .. }
            | RoomCommand::Window { reference, .. } => reference,
            RoomCommand::Join(_)
            | RoomCommand::Leave
            | RoomCommand::PutOut
            | RoomCommand::Touch
            | RoomCommand::Activity { .. }
            | RoomCommand::Profile { .. }
            | RoomCommand::Restart { .. }
            | RoomCommand::LiveNow => return,
        };
        self.refuse(to, &crate::room::not_joined(room), &reference);
    }

    fn alarm(&mut self, now: Now, alarm: Alarm) {
        match alarm {
            Alarm::Grace { .. } if self.frozen.is_some() && !planted::is(Bug::GraceWhileStopping) => {}
            Alarm::Grace { .. } if planted::is(Bug::EndlessGrace) => {}
            Alarm::Grace { room, user, session } => {
                let Some(desk) = self.desk_mut(room) else { return };
                if desk.room_mut().expire(now.at, &user, &session) {
                    self.directory.left(&user, &session, room);
                    self.schedule(now, room);
                }
            }
            Alarm::Typing { .. } if planted::is(Bug::TypingForEver) => {}
            Alarm::Typing { room } => {
                if let Some(desk) = self.desk_mut(room) {
                    desk.room_mut().end_typing(now);
                    self.schedule(now, room);
                }
            }
            Alarm::Forget { room } => {
                let limits = Arc::clone(&self.limits);
                let Some(desk) = self.desk_mut(room) else { return };
                if let Some(next) = desk.forget_old(now.at, &limits) {
                    self.alarms.set(next, Alarm::Forget { room });
                }
            }
        }
    }

    fn schedule(&mut self, now: Now, key: RoomKey) {
        let limits = Arc::clone(&self.limits);
        let Some(desk) = self.desk_mut(key) else { return };
        let Some(next) = desk.next_due(now.at, key, &limits) else { return };
        match desk.due {
            Some(due) if due <= next => {}
            earlier => {
                desk.due = Some(next);
                if let Some(later) = earlier {
                    self.due.remove(&(later, key));
                }
                self.due.insert((next, key));
            }
        }
    }

    fn hand_out(&mut self, now: Now, key: RoomKey) {
        let Some(desk) = self.desks.get_mut(key.index()).and_then(Option::as_mut) else { return };
        desk.due = None;
        desk.hand_out(now, key, &self.limits, &mut self.tally, &mut self.outputs);
        if desk.is_done() {
            return self.close(key);
        }
        if !desk.forgetting {
            desk.forgetting = true;
            self.alarms.set(now.at + self.limits.feed_age_max, Alarm::Forget { room: key });
        }
        // Those who watch windows may have to be shown later what has been said now.
        self.schedule(now, key);
    }

    fn close(&mut self, key: RoomKey) {
        if let Some(desk) = self.desks[key.index()].take() {
            self.keys.remove(desk.room().id());
            self.names.remove(desk.room().id());
            self.free.push(key);
            self.outputs.push_back(ShardOutput::Closed { room: key });
        }
    }
}
