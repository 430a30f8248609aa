//! Whole connections: each line is something that a client of the three says or does, or time that passes, against the
//! real sessions and a real shard. Nothing panics, everything that is answered is JSON with a type, bounds hold, no timer
//! fires for ever, and when all have gone nobody is left.

#![no_main]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use presence_core::attempt::Attempt;
use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::Frame;
use presence_core::id::{ConnectionId, Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::port::transport::Silence;
use presence_core::profile::Profile;
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::session::{Delivery, Opening, OwnEntry, Proof, Session, SessionOutput};
use presence_core::shard::{Detach, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_fuzz::small_limits;
use serde_json::Value;

/// More rounds than one input of a connection can take to settle.
const ROUNDS_MAX: usize = 1_000;

struct World {
    limits: Arc<Limits>,
    now: u64,
    shard: Shard,
    generations: u64,
    sessions: BTreeMap<Generation, Session>,
}

impl World {
    fn new() -> Self {
        let limits = Arc::new(small_limits());
        let shard = Shard::new(Arc::clone(&limits), Incarnation::from_random(1));
        Self { limits, now: 1_000, shard, generations: 0, sessions: BTreeMap::new() }
    }

    fn clock(&self) -> Now {
        let wall = WallTime::from_unix_millis(self.now.cast_signed());
        Now { at: Timestamp::from_millis(self.now), wall }
    }

    /// One connects, in one of the ways there are.
    fn connect(&mut self, how: u8) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let user = |text| UserId::parse(text).expect("it is a name");
        let proof = match how % 4 {
            0 => Proof::Word(Some(user("ann"))),
            1 => Proof::Word(None),
            2 => Proof::Awaited,
            _ => Proof::Token(Box::new(self.grant("bob"))),
        };
        let opening = Opening {
            connection: ConnectionId::from_random(self.generations.into()),
            default_room: RoomId::lobby(),
            proof,
            name: (how & 4 != 0).then(|| "Name".into()),
            session: (how & 8 != 0).then(|| SessionId::parse("tab").expect("it is an id")),
            attempt: NonZeroU32::new(u32::from(how >> 5)).map(|number| Attempt::new(1, number)),
            fallback_session: SessionId::from_random(self.generations.into()),
            entry: OwnEntry::None,
            silence: if how & 16 != 0 { Silence::MaySayNothing } else { Silence::IsDeath },
        };
        let session = Session::open(self.clock(), opening, Arc::clone(&self.limits));
        self.sessions.insert(generation, session);
        generation
    }

    fn grant(&self, user: &str) -> Grant {
        Grant {
            profile: Arc::new(Profile::of_user(UserId::parse(user).expect("it is a name"))),
            rooms: Rooms::Like([Pattern::new("doc*"), Pattern::new("lobby")].into()),
            expires: WallTime::from_unix_millis(self.now.cast_signed() + 60_000),
        }
    }

    /// Carries out what sessions and the shard want of each other, until nobody wants anything.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "it does not settle");
            let mut idle = true;
            for generation in self.sessions.keys().copied().collect::<Vec<_>>() {
                let outputs =
                    self.sessions.get_mut(&generation).map(Session::take_outputs).unwrap_or_default();
                for output in outputs {
                    idle = false;
                    self.carry_out(generation, output);
                }
            }
            while let Some(output) = self.shard.poll_output() {
                idle = false;
                self.deliver(output);
            }
            if idle {
                return;
            }
        }
    }

    fn carry_out(&mut self, generation: Generation, output: SessionOutput) {
        let now = self.clock();
        match output {
            SessionOutput::Attach { user, session, attempt } => {
                self.shard.handle_input(now, ShardInput::Attach { user, session, generation, attempt });
            }
            SessionOutput::Detach { how } => {
                self.shard.handle_input(now, ShardInput::Detach { generation, how })
            }
            SessionOutput::Route { room, command } => {
                self.shard.handle_input(now, ShardInput::Command { generation, room, command });
            }
            SessionOutput::Verify(credentials) => {
                let token = credentials.token.reveal();
                let verdict = match token {
                    "ann" | "bob" => Ok(self.grant(token)),
                    _ => Err(CommandError::new(ErrorCode::Unauthorized, "no")),
                };
                if let Some(session) = self.sessions.get_mut(&generation) {
                    session.handle_verified(now, *credentials, verdict);
                }
            }
            SessionOutput::Close(_) => self.end(generation, Detach::Lost),
            _ => {}
        }
    }

    fn deliver(&mut self, output: ShardOutput) {
        let (to, delivery) = match output {
            ShardOutput::Position { to, name, entry, frame, reader, .. } => {
                (to, Delivery::Position { room: name, entry, frame, reader })
            }
            ShardOutput::NotEntered { to, entry, frame } => (to, Delivery::NotEntered { entry, frame }),
            ShardOutput::Answer { to, frame } => (to, Delivery::Answer(frame)),
            ShardOutput::Evict { to, reason } => (to, Delivery::Evict(reason)),
            _ => return,
        };
        if let Some(session) = self.sessions.get_mut(&to) {
            session.handle_delivery(delivery);
        }
    }

    /// Writes what a session has for its client.
    fn write(&mut self, generation: Generation) {
        let now = self.clock();
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "it never has said everything");
            let Some(session) = self.sessions.get_mut(&generation) else { return };
            let mut frames = Vec::new();
            let more = session.gather(now, &mut frames);
            frames.iter().for_each(check);
            if !more && !session.has_outputs() {
                assert!(session.rooms().count() <= self.limits.rooms_per_connection_max);
                return;
            }
            self.settle();
        }
    }

    fn end(&mut self, generation: Generation, how: Detach) {
        let Some(mut session) = self.sessions.remove(&generation) else { return };
        let mut frames = Vec::new();
        session.gather(self.clock(), &mut frames);
        frames.iter().for_each(check);
        session.handle_end(how);
        for output in session.take_outputs() {
            self.carry_out(generation, output);
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        for round in 0.. {
            assert!(round < 100 * ROUNDS_MAX, "timers fire for ever");
            let due = self
                .sessions
                .values()
                .filter_map(Session::poll_timeout)
                .chain(self.shard.poll_timeout())
                .min();
            let Some(due) = due.filter(|due| due.as_millis() <= end) else { break };
            self.now = self.now.max(due.as_millis());
            let now = self.clock();
            self.shard.handle_timeout(now);
            self.sessions.values_mut().for_each(|session| session.handle_timeout(now));
            self.settle();
            self.sessions.keys().copied().collect::<Vec<_>>().into_iter().for_each(|one| self.write(one));
        }
        self.now = end;
    }

    fn act(&mut self, line: &[u8], turn: &mut usize) {
        let Some((kind, rest)) = line.split_first() else { return };
        let now = self.clock();
        let Some(generation) = self.sessions.keys().nth(*turn % self.sessions.len().max(1)).copied() else {
            self.connect(*kind);
            return;
        };
        let crowded = self.sessions.len() >= 4;
        let Some(session) = self.sessions.get_mut(&generation) else { return };
        let number =
            || std::str::from_utf8(rest).ok().and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(1);
        match kind {
            b'+' => self.pass(u64::from(number())),
            b'>' => *turn += usize::from(number()),
            b'c' if !crowded => drop(self.connect(rest.first().copied().unwrap_or(0))),
            b'x' => {
                let ways = [Detach::Finished, Detach::GoingAway, Detach::Lost];
                self.end(generation, ways[rest.len() % 3]);
            }
            b'b' => session.handle_binary(now),
            b'p' => session.handle_pong(now),
            b'a' => session.handle_alive(now),
            b'k' => session.handle_control(now, u32::from(number())),
            b'h' => session.handle_partial(now),
            b'd' => session.handle_drain(u64::from(number())),
            b'K' => {
                if let Some(user) = session.user().cloned() {
                    self.shard.handle_input(now, ShardInput::Kick { user });
                }
            }
            _ => session.handle_text(now, line),
        }
        self.settle();
        self.write(generation);
        self.settle();
    }
}

fn check(frame: &Frame) {
    for message in frame.messages() {
        let said: Value = serde_json::from_slice(message.text()).expect("a message is JSON");
        assert!(said["type"].is_string(), "{said}");
        assert!(!message.text().contains(&b'\n'), "a message is one line");
    }
}

fuzz_target!(|script: &[u8]| {
    let (mut world, mut turn) = (World::new(), 0);
    world.connect(0);
    world.settle();
    for line in script.split(|byte| *byte == b'\n').take(64) {
        world.act(line, &mut turn);
    }
    world
        .sessions
        .keys()
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|one| world.end(one, Detach::Lost));
    world.settle();
    world.pass(600_000);
    let left = (world.shard.room_count(), world.shard.user_count(), world.shard.connection_count());
    assert_eq!(left, (0, 0, 0), "somebody is left");
});
