//! A shard, the connections that speak to it, and what each of them reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use presence_core::attempt::Attempt;
use presence_core::feed::Gathered;
use presence_core::frame::Frame;
use presence_core::id::{Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, RoomReading, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use presence_core::wire::{ClientMessage, Json, Reference, StatePatch, decode};
use serde_json::Value;

/// One shard with one room of interest, `doc`.
pub(crate) struct Node {
    pub(crate) shard: Shard,
    pub(crate) limits: Arc<Limits>,
    pub(crate) millis: u64,
    generations: u64,
    readers: BTreeMap<Generation, RoomReader>,
    inboxes: BTreeMap<Generation, Vec<Value>>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::within(Limits::default())
    }

    pub(crate) fn within(limits: Limits) -> Self {
        let limits = Arc::new(limits);
        let shard = Shard::new(Arc::clone(&limits), Incarnation::from_random(1));
        let (readers, inboxes) = (BTreeMap::new(), BTreeMap::new());
        Self { shard, limits, millis: 0, generations: 0, readers, inboxes }
    }

    pub(crate) fn clock(&self) -> Now {
        let wall = WallTime::from_unix_millis(self.millis.cast_signed());
        Now { at: Timestamp::from_millis(self.millis), wall }
    }

    /// A connection comes that has this session.
    pub(crate) fn attach(&mut self, name: &str, session: &str) -> Generation {
        self.attach_by(name, session, None)
    }

    /// The same, by one of its client's requests.
    pub(crate) fn attach_by(&mut self, name: &str, session: &str, attempt: Option<&str>) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let session = SessionId::parse(session).unwrap();
        let attempt = attempt.map(|text| Attempt::parse(text).unwrap());
        let input = ShardInput::Attach { user: user(name), session, generation, attempt };
        self.shard.handle_input(self.clock(), input);
        generation
    }

    pub(crate) fn detach(&mut self, generation: Generation, how: Detach) {
        self.shard.handle_input(self.clock(), ShardInput::Detach { generation, how });
    }

    /// Tells the room something.
    pub(crate) fn tell(&mut self, generation: Generation, command: RoomCommand) {
        self.tell_room("doc", generation, command);
    }

    pub(crate) fn tell_room(&mut self, name: &str, generation: Generation, command: RoomCommand) {
        let room = room(name);
        self.shard.handle_input(self.clock(), ShardInput::Command { generation, room, command });
    }

    /// Enters the room and reads what it is answered, and nobody else reads anything of it.
    pub(crate) fn enters(&mut self, name: &str, session: &str) -> Generation {
        let generation = self.attach(name, session);
        self.tell(generation, RoomCommand::Join(joining(name)));
        self.settles();
        generation
    }

    /// Everything is said and read.
    pub(crate) fn settles(&mut self) {
        self.advance(1_000);
        let everybody: Vec<Generation> = self.readers.keys().copied().collect();
        for generation in everybody {
            self.reads(generation);
        }
    }

    /// Lets time pass. Gives what is wanted of others, in short.
    pub(crate) fn advance(&mut self, millis: u64) -> Vec<String> {
        self.millis += millis;
        self.shard.handle_timeout(self.clock());
        let mut wanted = Vec::new();
        while let Some(output) = self.shard.poll_output() {
            match output {
                ShardOutput::Position { to, frame, reader, .. } => {
                    self.deliver(to, &frame);
                    self.readers.insert(to, reader);
                }
                ShardOutput::Silence { to, .. } => {
                    self.readers.remove(&to);
                    wanted.push(format!("silence {}", to.number()));
                }
                ShardOutput::NotEntered { to, frame, .. } => {
                    self.deliver(to, &frame);
                    wanted.push(format!("{} has not entered", to.number()));
                }
                ShardOutput::Answer { to, frame } => self.deliver(to, &frame),
                ShardOutput::Evict { to, reason } => {
                    wanted.push(format!("evict {}: {reason:?}", to.number()))
                }
                ShardOutput::Reading { ticket, reading } => {
                    let body: Value = serde_json::from_slice(&reading.body).unwrap();
                    let (version, users) = (reading.version, &body["totalActiveUsers"]);
                    wanted.push(format!("reading {ticket}: version {version}, {users} users"));
                }
                ShardOutput::Violated(violation) => panic!("{violation:?}"),
                ShardOutput::Closed { .. } => wanted.push("closed".to_owned()),
                ShardOutput::Wake { .. } | ShardOutput::Show { .. } | ShardOutput::Moved { .. } => {}
            }
        }
        wanted
    }

    /// What somebody who asks from outside is told, as soon as the room says it.
    pub(crate) fn body(&mut self) -> Bytes {
        self.reading().body.clone()
    }

    /// The same, with what else there is to say of it.
    pub(crate) fn reading(&mut self) -> Arc<RoomReading> {
        self.shard.handle_input(self.clock(), ShardInput::Read { ticket: 1, room: room("doc") });
        loop {
            self.shard.handle_timeout(self.clock());
            while let Some(output) = self.shard.poll_output() {
                if let ShardOutput::Reading { reading, .. } = output {
                    return reading;
                }
            }
            self.millis += 1;
        }
    }

    fn deliver(&mut self, to: Generation, frame: &Frame) {
        let values = frame.messages().iter().map(|message| serde_json::from_slice(message.text()).unwrap());
        self.inboxes.entry(to).or_default().extend(values);
    }

    /// What a connection reads.
    pub(crate) fn reads(&mut self, generation: Generation) -> Vec<Value> {
        let mut read = self.inboxes.remove(&generation).unwrap_or_default();
        if let Some(reader) = self.readers.get_mut(&generation) {
            let mut frames = Vec::new();
            assert_eq!(reader.gather(&mut frames, usize::MAX), Gathered::Everything);
            let messages = frames.iter().flat_map(Frame::messages);
            read.extend(messages.map(|message| serde_json::from_slice::<Value>(message.text()).unwrap()));
        }
        read
    }

    /// What a connection reads a little later, which is this one message.
    pub(crate) fn reads_one(&mut self, generation: Generation) -> Value {
        self.advance(1_000);
        let mut read = self.reads(generation);
        assert_eq!(read.len(), 1, "{read:?}");
        read.remove(0)
    }

    /// A little later, a connection has read nothing.
    pub(crate) fn reads_nothing(&mut self, generation: Generation) {
        self.advance(1_000);
        assert_eq!(self.reads(generation), [Value::Null; 0]);
    }

    /// The types of what a connection reads a little later.
    pub(crate) fn reads_types(&mut self, generation: Generation) -> Vec<String> {
        self.advance(1_000);
        let read = self.reads(generation);
        read.iter().map(|message| message["type"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub(crate) fn profile(name: &str) -> Arc<Profile> {
    Arc::new(Profile::of_user(user(name)))
}

pub(crate) fn joining(name: &str) -> Join {
    Join {
        profile: profile(name),
        active: true,
        state: None,
        since: None,
        window: None,
        entry: Entry(1),
        reference: reference(),
    }
}

/// The `ref` that all commands here have.
pub(crate) fn reference() -> Reference {
    decode(br#"{"type":"presence:heartbeat","ref":"r"}"#, &Limits::default()).reference
}

pub(crate) fn state(text: &str) -> StatePatch {
    let text = format!(r#"{{"type":"presence:update","state":{text}}}"#);
    match decode(text.as_bytes(), &Limits::default()).message.unwrap() {
        ClientMessage::Update { state, .. } => state,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn json(text: &str) -> Json {
    state(&format!(r#"{{"it":{text}}}"#)).remove("it").unwrap().unwrap()
}

pub(crate) fn update(text: &str) -> RoomCommand {
    RoomCommand::Update { patch: state(text), reference: reference() }
}

pub(crate) fn cursor(text: Option<&str>) -> RoomCommand {
    RoomCommand::Cursor { cursor: text.map(json), reference: reference() }
}

pub(crate) fn typing(typing: bool) -> RoomCommand {
    RoomCommand::Typing { typing, reference: reference() }
}

pub(crate) fn activity(active: bool) -> RoomCommand {
    RoomCommand::Activity { active }
}
