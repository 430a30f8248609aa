//! Rooms against a model that is too simple to be wrong: sets of sessions, and what one who watches may see.
//!
//! Seeded lists of operations drive a shard with several users, tabs and connections; after each hand-out every
//! watcher's feed is folded and held against the model.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use presence_core::audit::Invariant;
use presence_core::digest::Digest;
use presence_core::feed::Gathered;
use presence_core::frame::{Frame, Message};
use presence_core::id::{Generation, Incarnation, RoomId, SessionId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use presence_core::wire::{self, Since};
use serde_json::json;

const SEEDS: u64 = 2_000;
const STEPS: usize = 60;
const USERS: usize = 3;
const TABS: usize = 2;

/// The number of the user who watches.
const WATCHER: usize = 99;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// What the model knows of one session in the room.
#[derive(Clone, Copy, Debug)]
enum Present {
    Attached,
    Until(Timestamp),
}

struct World {
    shard: Shard,
    limits: Arc<Limits>,
    now: u64,
    generations: u64,
    /// The connection that has each session.
    attached: BTreeMap<(usize, usize), Generation>,
    /// Connections that were taken over and have not ended yet.
    stale: Vec<Generation>,
    /// The model of the room.
    present: BTreeMap<(usize, usize), Present>,
    watcher: Watcher,
}

/// One who was there from the start, and folds what the feed says.
struct Watcher {
    reader: Option<RoomReader>,
    epoch: Box<str>,
    version: u64,
    /// Connections by user, as told.
    told: BTreeMap<String, u64>,
}

fn user(number: usize) -> UserId {
    UserId::parse(&format!("user-{number}")).unwrap()
}

fn tab(number: usize) -> SessionId {
    SessionId::parse(&format!("tab-{number}")).unwrap()
}

impl World {
    fn new() -> Self {
        let limits = Arc::new(Limits { grace: Duration::from_millis(400), ..Limits::default() });
        let mut world = Self {
            shard: Shard::new(Arc::clone(&limits), Incarnation::from_random(7)),
            limits,
            now: 1_000,
            generations: 0,
            attached: BTreeMap::new(),
            stale: Vec::new(),
            present: BTreeMap::new(),
            watcher: Watcher { reader: None, epoch: Box::default(), version: 0, told: BTreeMap::new() },
        };
        let watcher = world.attach(user(WATCHER), tab(0));
        world.command(watcher, join(&user(WATCHER)));
        world.advance(0);
        world
    }

    fn clock(&self) -> Now {
        Now {
            at: Timestamp::from_millis(self.now),
            wall: WallTime::from_unix_millis(i64::try_from(self.now).unwrap()),
        }
    }

    fn attach(&mut self, user: UserId, session: SessionId) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        self.shard
            .handle_input(self.clock(), ShardInput::Attach { user, session, generation, attempt: None });
        generation
    }

    fn command(&mut self, generation: Generation, command: RoomCommand) {
        let room = RoomId::lobby();
        self.shard.handle_input(self.clock(), ShardInput::Command { generation, room, command });
    }

    fn detach(&mut self, generation: Generation, how: Detach) {
        self.shard.handle_input(self.clock(), ShardInput::Detach { generation, how });
    }

    /// Lets time pass, hands out what is due, and looks at what was said.
    fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            self.shard.handle_timeout(self.clock());
            while let Some(output) = self.shard.poll_output() {
                if let ShardOutput::Position { reader, frame, .. } = output
                    && self.watcher.reader.is_none()
                {
                    frame.messages().iter().for_each(|message| self.watcher.fold(message));
                    self.watcher.reader = Some(reader);
                }
            }
            match self.shard.poll_timeout() {
                Some(next) if next.as_millis() <= end => self.now = self.now.max(next.as_millis()),
                _ => break,
            }
        }
        self.now = end;
        // The shard's slow timers fire at multiples of 10 ms.
        let over = |until: &Timestamp| until.as_millis().next_multiple_of(10) <= end;
        self.audit();
        self.present.retain(|_, present| !matches!(present, Present::Until(until) if over(until)));
        self.watcher.read();
    }

    /// Nothing is found that is not as it must be, whatever is pending.
    fn audit(&mut self) {
        self.shard.audit(self.clock(), usize::MAX);
        let tally = self.shard.tally();
        assert_eq!((tally.violations, tally.drift), ([0; Invariant::ALL.len()], 0));
    }

    fn step(&mut self, random: &mut Random) {
        let key = (random.below(USERS), random.below(TABS));
        let attached = self.attached.get(&key).copied();
        match (random.below(9), attached) {
            (0..=2, None) | (0, Some(_)) => {
                // Connects and enters; whoever had the session is fenced off.
                let generation = self.attach(user(key.0), tab(key.1));
                self.stale.extend(self.attached.insert(key, generation));
                self.command(generation, join(&user(key.0)));
                self.present.insert(key, Present::Attached);
            }
            (1, Some(generation)) => {
                self.command(generation, join(&user(key.0)));
                self.present.insert(key, Present::Attached);
            }
            (2, Some(generation)) => {
                self.command(generation, RoomCommand::Leave);
                self.present.remove(&key);
            }
            (3, Some(generation)) => {
                self.attached.remove(&key);
                self.detach(generation, Detach::Finished);
                self.present.remove(&key);
            }
            (4, Some(generation)) => {
                self.attached.remove(&key);
                self.detach(generation, Detach::Lost);
                let until = self.clock().at + self.limits.grace;
                if let Some(present) = self.present.get_mut(&key) {
                    *present = Present::Until(until);
                }
            }
            // P8: whatever a connection that was taken over does, it changes nothing.
            (5, _) if !self.stale.is_empty() => {
                let generation = self.stale.swap_remove(random.below(self.stale.len()));
                self.command(generation, join(&user(key.0)));
                self.command(generation, RoomCommand::Leave);
                let how = [Detach::Finished, Detach::Lost, Detach::GoingAway][random.below(3)];
                self.detach(generation, how);
            }
            (6, _) if random.below(4) == 0 => self.restart(random),
            _ => self.advance([0, 5, 40, 500][random.below(4)]),
        }
    }

    /// The server stops in good order, and another one takes up what it hands over: with a clock and with connections
    /// that begin anew.
    fn restart(&mut self, random: &mut Random) {
        let frozen = self.clock().at;
        self.shard.handle_input(self.clock(), ShardInput::Freeze);
        for generation in std::mem::take(&mut self.attached).into_values() {
            // Not every connection ends in time.
            if random.below(2) == 0 {
                self.detach(generation, Detach::Lost);
            }
        }
        self.now += [0, 40, 5_000][random.below(3)];
        self.shard.handle_timeout(self.clock());
        let kept = self.shard.hand_over(self.clock());
        assert_eq!((self.shard.room_count(), kept.len()), (0, 1));

        self.shard =
            Shard::new(Arc::clone(&self.limits), Incarnation::from_random(random.below(1_000) as u64));
        (self.now, self.generations) = (random.below(20) as u64, 0);
        self.stale.clear();
        let now = self.clock();
        for room in kept {
            let read = wire::read_kept_room(&wire::kept_room(&room)).unwrap();
            assert_eq!(read, room);
            self.shard.take_up(now, read);
        }
        for present in self.present.values_mut() {
            let left = match *present {
                Present::Attached => self.limits.grace,
                Present::Until(until) => until.since(frozen),
            };
            *present = Present::Until(now.at + left);
        }
        let (epoch, version) = (self.watcher.epoch.clone(), Version::new(self.watcher.version));
        self.watcher.reader = None;
        let watcher = self.attach(user(WATCHER), tab(0));
        self.command(watcher, join_since(&user(WATCHER), Some(Since { epoch, version })));
        self.advance(0);
        assert!(self.watcher.reader.is_some());
    }

    /// P3, P11: when all is said, what was told is what is so.
    fn check(&mut self) {
        // Until nobody's grace has ended too lately to have been told.
        loop {
            let before = self.present.len();
            self.advance(50);
            if self.present.len() == before {
                break;
            }
        }
        let mut expected: BTreeMap<String, u64> = BTreeMap::from([(user(WATCHER).as_str().to_owned(), 1)]);
        for (number, _) in self.present.keys() {
            *expected.entry(user(*number).as_str().to_owned()).or_default() += 1;
        }
        assert_eq!(self.watcher.told, expected);
        let room = self.shard.room(&RoomId::lobby()).unwrap();
        let mut digest = Digest::default();
        for member in room.members() {
            digest.add(&member.profile.id, member.sessions.len());
        }
        assert_eq!(room.stand().digest, digest);
        assert_eq!(room.stand().version.number(), self.watcher.version);
    }

    /// P12: when all have gone, nothing is left but the watcher.
    fn leave_all(&mut self) {
        for generation in std::mem::take(&mut self.attached).into_values() {
            self.detach(generation, Detach::Lost);
        }
        for generation in std::mem::take(&mut self.stale) {
            self.detach(generation, Detach::Lost);
        }
        self.advance(1_000);
        self.present.clear();
        self.check();
        assert_eq!((self.shard.user_count(), self.shard.connection_count()), (1, 1));
        assert_eq!(self.shard.room_count(), 1);
    }
}

fn join(user: &UserId) -> RoomCommand {
    join_since(user, None)
}

fn join_since(user: &UserId, since: Option<Since>) -> RoomCommand {
    RoomCommand::Join(Join {
        profile: Arc::new(Profile::of_user(user.clone())),
        active: true,
        state: None,
        since,
        window: None,
        entry: Entry(1),
        reference: None,
    })
}

impl Watcher {
    fn read(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, usize::MAX), Gathered::Everything);
        frames.iter().flat_map(Frame::messages).for_each(|message| self.fold(message));
    }

    /// P1, P2, P4: each version is the next, joins and leaves alternate.
    fn fold(&mut self, message: &Message) {
        let message: serde_json::Value = serde_json::from_slice(message.text()).unwrap();
        match message["type"].as_str().unwrap() {
            "presence:currentUsers" => {
                assert_eq!(message["reason"], "join");
                self.epoch = message["epoch"].as_str().unwrap().into();
                self.version = message["version"].as_u64().unwrap();
                for user in message["users"].as_array().unwrap() {
                    let connections = user["connectionCount"].as_u64().unwrap();
                    self.told.insert(user["id"].as_str().unwrap().to_owned(), connections);
                }
            }
            "presence:restored" => {}
            "presence:synced" => {
                assert_eq!(
                    (&message["epoch"], &message["version"]),
                    (&json!(self.epoch), &json!(self.version))
                );
            }
            kind => {
                self.version += 1;
                assert_eq!(message["version"], self.version);
                self.fold_event(kind, &message);
            }
        }
    }

    fn fold_event(&mut self, kind: &str, event: &serde_json::Value) {
        match kind {
            "presence:userJoined" => {
                let id = event["user"]["id"].as_str().unwrap().to_owned();
                let connections = event["user"]["connectionCount"].as_u64().unwrap();
                assert_eq!(self.told.insert(id, connections), None, "{event}");
            }
            "presence:userLeft" => {
                let id = event["userId"].as_str().unwrap();
                assert!(self.told.remove(id).is_some(), "{event}");
            }
            "presence:userUpdated" => {
                let told = self.told.get_mut(event["userId"].as_str().unwrap()).unwrap();
                *told = event["connectionCount"].as_u64().unwrap();
            }
            other => panic!("{other} was not expected"),
        }
    }
}

#[test]
fn p1_p2_p3_p8_p11_p12_hold_for_any_list_of_operations() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random(seed);
            let mut world = World::new();
            for _ in 0..STEPS {
                world.step(&mut random);
                if random.below(4) == 0 {
                    world.check();
                }
            }
            world.leave_all();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

/// P2, exhaustively: every order in which three tabs of a user come and go.
#[test]
fn p2_every_interleaving_of_three_tabs() {
    for order in 0..6_usize.pow(6) {
        let mut steps = order;
        let mut here = BTreeSet::new();
        let mut world = World::new();
        let mut edges = 0;
        for _ in 0..6 {
            let (tab_number, pause) = (steps % 3, steps / 3 % 2 == 1);
            steps /= 6;
            let before = here.len();
            if here.remove(&tab_number) {
                let generation = world.attached.remove(&(0, tab_number)).unwrap();
                world.detach(generation, Detach::Finished);
                world.present.remove(&(0, tab_number));
            } else {
                here.insert(tab_number);
                let generation = world.attach(user(0), tab(tab_number));
                world.attached.insert((0, tab_number), generation);
                world.command(generation, join(&user(0)));
                world.present.insert((0, tab_number), Present::Attached);
            }
            edges += u64::from((before == 0) != here.is_empty());
            if pause {
                world.check();
            }
        }
        world.check();
        // Edges within one hand-out may cancel out in pairs; no edge may be invented.
        let tally = world.shard.tally();
        let said = tally.joins - 1 + tally.leaves.iter().sum::<u64>();
        assert!(
            said <= edges && (edges - said).is_multiple_of(2),
            "{said} of {edges} edges in order {order}"
        );
    }
}
