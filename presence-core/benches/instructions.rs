//! What the server does most often, each done a fixed number of times, so that its instructions can be counted:
//! `cargo xtask instructions` runs this under callgrind, which counts the same each time whatever else the machine does, and
//! holds the counts against those in `instructions.json`. Run by itself it only says what there is to count.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected ends the count")]
#![expect(clippy::disallowed_macros, reason = "a program that is run by hand says what it can do")]

use std::hint::black_box;
use std::sync::Arc;

use presence_core::frame::Frame;
use presence_core::id::{ConnectionId, Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::shard::{Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput};
use presence_core::stream::{
    Courier, MessageId, MessageKind, NewMessage, Opened, Receiver, Seq, StoredMessage, Tail, TailMessage,
};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use presence_core::wire::{self, ClientMessage};

/// Members of the room that is counted in.
const MEMBERS: u64 = 300;

/// Its name, and what one step of it stands for.
type Workload = (&'static str, fn());

const WORKLOADS: [Workload; 7] = [
    ("decode", decode),
    ("join", join),
    ("snapshot", snapshot),
    ("tick", tick),
    ("cursors", cursors),
    ("fan-out", fan_out),
    ("messages", messages),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, work) in WORKLOADS {
        match &wanted {
            None => println!("{name}"),
            Some(wanted) if wanted == name => work(),
            Some(_) => {}
        }
    }
}

/// What happens in here is counted, and nothing else.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(black_box(work)())
}

/// A shard with one room, and the readers of those in it.
struct Hall {
    shard: Shard,
    limits: Arc<Limits>,
    now: u64,
    readers: Vec<RoomReader>,
}

impl Hall {
    fn empty() -> Self {
        let limits = Arc::new(Limits::default());
        let shard = Shard::new(Arc::clone(&limits), Incarnation::from_random(1));
        Self { shard, limits, now: 0, readers: Vec::new() }
    }

    fn of(members: u64) -> Self {
        let mut hall = Self::empty();
        (1..=members).for_each(|number| hall.enter(number));
        hall.hand_out();
        hall
    }

    fn clock(&self) -> Now {
        Now { at: Timestamp::from_millis(self.now), wall: WallTime::from_unix_millis(self.now as i64) }
    }

    fn put(&mut self, input: ShardInput) {
        self.shard.handle_input(self.clock(), input);
    }

    fn enter(&mut self, number: u64) {
        let (user, session) = (user(number), SessionId::parse("tab").unwrap());
        let generation = Generation::new(number);
        let profile = Arc::new(Profile::of_user(user.clone()));
        self.put(ShardInput::Attach { user, session, generation, attempt: None });
        let join = Join {
            profile,
            active: true,
            state: None,
            since: None,
            window: None,
            entry: Entry(1),
            reference: None,
        };
        self.command(number, RoomCommand::Join(join));
    }

    fn command(&mut self, number: u64, command: RoomCommand) {
        self.put(ShardInput::Command { generation: Generation::new(number), room: room(), command });
    }

    /// What a client has said, to the room.
    fn say(&mut self, number: u64, text: &str) {
        let message = wire::decode(text.as_bytes(), &self.limits).message.unwrap();
        let command = match message {
            ClientMessage::Update { state, .. } => RoomCommand::Update { patch: state, reference: None },
            ClientMessage::Cursor { cursor, .. } => RoomCommand::Cursor { cursor, reference: None },
            other => panic!("{other:?} is nothing that is counted"),
        };
        self.command(number, command);
    }

    /// Lets a tick pass.
    fn hand_out(&mut self) {
        self.now += 1_000;
        let now = self.clock();
        self.shard.handle_timeout(now);
        while let Some(output) = self.shard.poll_output() {
            if let ShardOutput::Position { reader, .. } = black_box(output) {
                self.readers.push(reader);
            }
        }
    }
}

fn room() -> RoomId {
    RoomId::parse("doc").unwrap()
}

fn user(number: u64) -> UserId {
    UserId::parse(&format!("user-{number}")).unwrap()
}

/// 1,000 messages of clients are read, four kinds by turns.
fn decode() {
    let limits = Limits::default();
    let texts = [
        r#"{"type":"presence:join","room":"doc","state":{"page":3,"tool":"pen"},"ref":1}"#,
        r#"{"type":"presence:update","room":"doc","state":{"selection":{"from":120,"to":180},"tool":null}}"#,
        r#"{"type":"presence:cursor","room":"doc","cursor":{"x":0.2512,"y":0.7731}}"#,
        r#"{"type":"message","room":"doc","id":"m-17","data":{"text":"Good morning, everybody.","mentions":["ann"]}}"#,
    ];
    counted(|| {
        for _ in 0..250 {
            for text in texts {
                black_box(wire::decode(black_box(text.as_bytes()), &limits).message.unwrap());
            }
        }
    });
}

/// 100 users enter the room one after another, each with a hand-out of its own: snapshots and all.
fn join() {
    let mut hall = Hall::of(MEMBERS);
    counted(|| {
        for number in MEMBERS + 1..=MEMBERS + 100 {
            hall.enter(number);
            hall.hand_out();
        }
    });
}

/// 100 users enter the room within one tick: they share the encoded roster.
fn snapshot() {
    let mut hall = Hall::of(MEMBERS);
    counted(|| {
        (MEMBERS + 1..=MEMBERS + 100).for_each(|number| hall.enter(number));
        hall.hand_out();
    });
}

/// 100 members change their state, ten ticks long.
fn tick() {
    let mut hall = Hall::of(MEMBERS);
    counted(|| {
        for round in 0..10 {
            for number in 1..=100 {
                hall.say(number, &format!(r#"{{"type":"presence:update","state":{{"n":{round}}}}}"#));
            }
            hall.hand_out();
        }
    });
}

/// 50 members move their cursors once in each of 20 ticks.
fn cursors() {
    let mut hall = Hall::of(50);
    counted(|| {
        for round in 0..20 {
            for number in 1..=50 {
                let text = format!(r#"{{"type":"presence:cursor","cursor":{{"x":{round},"y":{number}}}}}"#);
                hall.say(number, &text);
            }
            hall.hand_out();
        }
    });
}

/// All members read what a room says, ten times.
fn fan_out() {
    let mut hall = Hall::of(MEMBERS);
    let mut readers = std::mem::take(&mut hall.readers);
    let mut frames: Vec<Frame> = Vec::new();
    for round in 0..10 {
        hall.say(1, &format!(r#"{{"type":"presence:update","state":{{"n":{round}}}}}"#));
        hall.hand_out();
        counted(|| {
            for reader in &mut readers {
                black_box(reader.gather(&mut frames, hall.limits.gather_bytes_max));
                frames.clear();
            }
        });
    }
}

/// 100 messages of a room go to 50 receivers each, who acknowledge every one.
fn messages() {
    let limits = Limits::default();
    let tail = Tail::after(Seq::default());
    let mut receiving: Vec<(Courier, Receiver)> = (1..=50).map(|number| receiving(number, &tail)).collect();
    let (mut frames, mut fetches) = (Vec::new(), Vec::new());
    counted(|| {
        for number in 1..=100 {
            let frame = Frame::one(wire::stream_message(&stored(number)));
            let expires = Timestamp::from_millis(u64::MAX);
            tail.append(TailMessage { seq: Seq::new(number), frame, from: None, expires }, &limits);
            for (courier, _) in &mut receiving {
                courier.gather(Timestamp::default(), &limits, &mut frames, &mut fetches);
                black_box(courier.acknowledge(&room(), Seq::new(number)));
                frames.clear();
            }
        }
    });
    assert!(receiving.iter().all(|(_, receiver)| receiver.acked() == Seq::new(100)) && fetches.is_empty());
}

fn receiving(number: u128, tail: &Tail) -> (Courier, Receiver) {
    let mut courier = Courier::new(ConnectionId::from_random(number));
    let receiver = Receiver::new(Seq::default(), Seq::default());
    let (from, told) = (Seq::default(), Seq::default());
    let (of, tail) = (receiver.clone(), tail.clone());
    courier.open(Opened { room: room(), tail, receiver: of, from, told });
    (courier, receiver)
}

fn stored(number: u64) -> StoredMessage {
    let message = NewMessage {
        room: room(),
        kind: MessageKind::Message,
        sender: user(1),
        sender_name: "Ann".into(),
        id: MessageId::parse(&format!("m-{number}")).unwrap(),
        body: r#"{"text":"Good morning, everybody."}"#.into(),
        correlation: "c".into(),
        at: WallTime::default(),
    };
    StoredMessage { seq: Seq::new(number), message }
}
