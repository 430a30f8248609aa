//! A shard's rooms in the next life of the server: what stays as it was, who is waited for, and for how long.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::sync::Arc;
use std::time::Duration;

use presence_core::frame::Frame;
use presence_core::id::{Generation, Incarnation, RoomId, SessionId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use presence_core::wire::{self, ClientMessage, Since};
use serde_json::{Value, json};

const GRACE: u64 = 15_000;
const TICK: u64 = 33;

/// One life of a server with one shard.
struct Life {
    shard: Shard,
    limits: Arc<Limits>,
    now: u64,
    generations: u64,
}

/// What a connection was given.
struct Given {
    messages: Vec<Value>,
    reader: RoomReader,
}

impl Life {
    fn first(limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let shard = Shard::new(Arc::clone(&limits), Incarnation::from_random(1));
        Self { shard, limits, now: 100_000, generations: 0 }
    }

    /// Stops this life `pause` after it let nobody in any more, and begins the next.
    fn next(mut self, pause: u64) -> Self {
        self.input(ShardInput::Freeze);
        self.now += pause;
        self.run();
        let lines: Vec<Vec<u8>> = self.shard.hand_over(self.clock()).iter().map(wire::kept_room).collect();
        let shard = Shard::new(Arc::clone(&self.limits), Incarnation::from_random(2));
        let mut next = Self { shard, limits: self.limits, now: 0, generations: 0 };
        // Taken up twice is taken up once.
        for line in lines.iter().chain(&lines) {
            next.shard.take_up(next.clock(), wire::read_kept_room(line).unwrap());
        }
        next
    }

    fn clock(&self) -> Now {
        // The clock on the wall jumps back at a restart, and nobody minds.
        let wall = WallTime::from_unix_millis(1_000_000 + i64::try_from(self.now).unwrap());
        Now { at: Timestamp::from_millis(self.now), wall }
    }

    fn input(&mut self, input: ShardInput) {
        self.shard.handle_input(self.clock(), input);
    }

    fn run(&mut self) -> Vec<ShardOutput> {
        self.shard.handle_timeout(self.clock());
        std::iter::from_fn(|| self.shard.poll_output()).collect()
    }

    fn wait(&mut self, millis: u64) {
        self.now += millis;
        self.run();
    }

    fn attach(&mut self, user: &str, session: &str) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let (user, session) = (UserId::parse(user).unwrap(), SessionId::parse(session).unwrap());
        self.input(ShardInput::Attach { user, session, generation, attempt: None });
        generation
    }

    fn join(&mut self, user: &str, session: &str, since: Option<Since>) -> (Generation, Given) {
        let generation = self.attach(user, session);
        let mut profile = Profile::of_user(UserId::parse(user).unwrap());
        profile.name = "A name".into();
        let join = Join {
            profile: Arc::new(profile),
            active: true,
            state: None,
            since,
            window: None,
            entry: Entry(1),
            reference: None,
        };
        self.command(generation, RoomCommand::Join(join));
        // A tick, so that the room was quiet.
        self.now += TICK;
        let given = self.run().into_iter().find_map(|output| match output {
            ShardOutput::Position { to, frame, reader, .. } if to == generation => {
                Some(Given { messages: values(&[frame]), reader })
            }
            _ => None,
        });
        (generation, given.unwrap())
    }

    fn command(&mut self, generation: Generation, command: RoomCommand) {
        self.input(ShardInput::Command { generation, room: RoomId::lobby(), command });
    }

    fn say(&mut self, generation: Generation, message: &Value) {
        let reference = None;
        let command = match wire::decode(message.to_string().as_bytes(), &self.limits).message.unwrap() {
            ClientMessage::Update { state, .. } => RoomCommand::Update { patch: state, reference },
            ClientMessage::Cursor { cursor, .. } => RoomCommand::Cursor { cursor, reference },
            ClientMessage::Activity { active } => RoomCommand::Activity { active },
            other => panic!("{other:?} was not expected"),
        };
        self.command(generation, command);
        self.wait(TICK);
    }

    fn lose(&mut self, generation: Generation, how: Detach) {
        self.input(ShardInput::Detach { generation, how });
    }

    fn since(&self) -> Since {
        let stand = self.shard.room(&RoomId::lobby()).unwrap().stand();
        Since { epoch: stand.epoch.as_str().into(), version: stand.version }
    }

    /// The room as REST shows it, without the time at which it was asked.
    fn reading(&mut self) -> Value {
        self.input(ShardInput::Read { ticket: 1, room: RoomId::lobby() });
        let reading = self.run().into_iter().find_map(|output| match output {
            ShardOutput::Reading { reading, .. } => Some(reading),
            _ => None,
        });
        let mut value: Value = serde_json::from_slice(&reading.unwrap().body).unwrap();
        value.as_object_mut().unwrap().remove("timestamp").unwrap();
        value
    }
}

fn values(frames: &[Frame]) -> Vec<Value> {
    let messages = frames.iter().flat_map(Frame::messages);
    messages.map(|message| serde_json::from_slice(message.text()).unwrap()).collect()
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

impl Given {
    fn news(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        self.reader.gather(&mut frames, usize::MAX);
        values(&frames)
    }
}

fn limits() -> Limits {
    Limits { grace: Duration::from_millis(GRACE), ..Limits::default() }
}

#[test]
fn a_room_is_in_the_next_life_what_it_was() {
    let mut life = Life::first(limits());
    let (ann, _) = life.join("ann", "a", None);
    life.join("ann", "b", None);
    let (bob, _) = life.join("bob", "a", None);
    life.say(ann, &json!({"type": "presence:update", "state": {"tool": {"kind": "pen"}, "n": 1.50}}));
    life.say(ann, &json!({"type": "presence:cursor", "cursor": {"x": 1, "y": 2}}));
    life.say(bob, &json!({"type": "presence:activity", "active": false}));
    let (before, since) = (life.reading(), life.since());
    assert_eq!((&before["users"][1]["status"], &before["totalConnections"]), (&json!("away"), &json!(3)));

    let mut life = life.next(2_000);
    assert_eq!(life.reading(), before);
    assert_eq!((life.shard.user_count(), life.shard.connection_count()), (2, 0));
    // Who comes back has missed nothing, and what it had is still there.
    let (_, mut ann) = life.join("ann", "a", Some(since));
    assert_eq!(types(&ann.messages), ["presence:restored", "presence:synced"]);
    assert_eq!(ann.messages[0]["state"], json!({"tool": {"kind": "pen"}, "n": 1.50}));
    assert_eq!(ann.messages[1]["digest"], before["digest"]);
    assert_eq!(life.since().version.number(), before["version"]);
    // Nobody heard of it, and who is not back yet is in the snapshot of who comes anew.
    let (_, cleo) = life.join("cleo", "c", None);
    assert_eq!(types(&ann.news()), ["presence:userJoined"]);
    let users: Vec<_> =
        cleo.messages[0]["users"].as_array().unwrap().iter().map(|user| &user["id"]).collect();
    assert_eq!(users, ["ann", "bob", "cleo"]);
}

#[test]
fn who_does_not_come_back_leaves_once_when_the_grace_of_the_next_life_is_over() {
    let mut life = Life::first(limits());
    life.join("ann", "a", None);
    life.join("bob", "b", None);
    let (cleo, _) = life.join("cleo", "c", None);
    life.lose(cleo, Detach::GoingAway);
    let mut life = life.next(60_000);
    let (_, mut ann) = life.join("ann", "a", None);
    life.wait(2_990 - TICK);
    assert_eq!(ann.news(), Vec::<Value>::new());
    // Cleo's page had gone away before: its short grace is over first.
    life.wait(20);
    let left = ann.news();
    assert_eq!((types(&left), &left[0]["cause"]), (vec!["presence:userLeft"], &json!("closed")));
    life.wait(GRACE - 3_020);
    assert_eq!(ann.news(), Vec::<Value>::new());
    life.wait(20);
    let left = ann.news();
    assert_eq!((left.len(), &left[0]["userId"], &left[0]["cause"]), (1, &json!("bob"), &json!("timeout")));
    life.wait(10 * GRACE);
    assert_eq!(ann.news(), Vec::<Value>::new());
    assert_eq!(life.shard.user_count(), 1);
}

/// P5: a ghost does not live from one restart to the next.
#[test]
fn restarts_do_not_make_the_grace_longer() {
    let mut life = Life::first(limits());
    life.join("ann", "a", None);
    for _ in 0..5 {
        life = life.next(60_000);
        life.wait(GRACE / 5 + 10);
    }
    assert_eq!(life.shard.room_count(), 0);
}

#[test]
fn events_that_were_missed_before_the_restart_come_after_it() {
    let mut life = Life::first(limits());
    let (ann, _) = life.join("ann", "a", None);
    let (bob, _) = life.join("bob", "b", None);
    let since = life.since();
    life.lose(bob, Detach::Lost);
    for n in 1..=3 {
        life.say(ann, &json!({"type": "presence:update", "state": {"n": n}}));
    }
    let mut life = life.next(0);
    let (_, bob) = life.join("bob", "b", Some(since.clone()));
    let update = "presence:userUpdated";
    assert_eq!(types(&bob.messages), ["presence:restored", update, update, update, "presence:synced"]);
    for (n, message) in (1..=3).zip(&bob.messages[1..]) {
        assert_eq!(
            (&message["version"], &message["state"]),
            (&json!(since.version.number() + n), &json!({"n": n}))
        );
    }
}

#[test]
fn what_was_not_handed_over_is_a_snapshot_that_says_why() {
    let mut life = Life::first(Limits { kept_events_bytes_max: 0, ..limits() });
    let (ann, _) = life.join("ann", "a", None);
    life.join("bob", "b", None);
    let since = life.since();
    life.say(ann, &json!({"type": "presence:update", "state": {"n": 1}}));
    let mut life = life.next(0);
    let (_, ann) = life.join("ann", "a", Some(since.clone()));
    assert_eq!(types(&ann.messages), ["presence:restored", "presence:currentUsers"]);
    assert_eq!(
        (&ann.messages[1]["reason"], ann.messages[1]["users"].as_array().unwrap().len()),
        (&json!("gap"), 2)
    );
    let ahead = Since { version: Version::new(since.version.number() + 100), ..since };
    let (_, ahead) = life.join("ann", "a", Some(ahead));
    assert_eq!(ahead.messages.last().unwrap()["reason"], "gap");
}

/// C6: what nobody handed over is another history.
#[test]
fn a_life_without_an_inheritance_has_another_epoch() {
    let mut life = Life::first(limits());
    life.join("ann", "a", None);
    let since = life.since();
    let shard = Shard::new(Arc::clone(&life.limits), Incarnation::from_random(2));
    let mut life = Life { shard, ..life };
    let (_, ann) = life.join("ann", "a", Some(since));
    assert_eq!(ann.messages[0]["reason"], "epoch");
}

/// C2: a room that ends in the next life and opens again there is a new history, of that life.
#[test]
fn a_room_that_opens_again_has_an_epoch_of_its_own() {
    let mut life = Life::first(limits());
    life.join("ann", "a", None);
    let inherited = life.since().epoch;
    let mut life = life.next(0);
    assert_eq!(life.since().epoch, inherited);
    life.wait(GRACE + 100);
    assert_eq!(life.shard.room_count(), 0);
    life.join("ann", "a", None);
    assert_ne!(life.since().epoch, inherited);
}
