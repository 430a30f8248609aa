//! A client at the other end of a session, and what the session wants done for it, in short words.

use std::sync::Arc;

use presence_core::error::CommandError;
use presence_core::feed::Feed;
use presence_core::frame::{Frame, Message};
use presence_core::id::{ConnectionId, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::people::Person;
use presence_core::port::transport::Silence;
use presence_core::profile::Profile;
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::session::{
    Delivery, Opening, OwnEntry, PeopleCommand, Proof, Session, SessionOutput, StreamCommand, StreamDelivery,
};
use presence_core::shard::{Entry, Join, RoomCommand};
use presence_core::stream::{Opened, Receiver, Seq, Tail, TailMessage};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use serde_json::Value;

/// The connection that all these tests are about.
pub(crate) const CONNECTION: ConnectionId = ConnectionId::from_random(5);

/// A client and its time.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) millis: u64,
}

impl Client {
    /// In dev mode, as `ann`, who has read what she was greeted with.
    pub(crate) fn ann() -> Self {
        Self::ann_within(Limits::default())
    }

    pub(crate) fn ann_within(limits: Limits) -> Self {
        let mut client = Self::opened(word(Some("ann")), limits, |_| {});
        client.wants();
        client.reads();
        client
    }

    /// As `ann`, who is well and receives a stream in which there is nothing yet.
    pub(crate) fn ann_receiving(limits: Limits) -> (Self, Stream) {
        let mut client = Self::ann_within(limits);
        client.session.handle_pong(client.now());
        let stream = Stream::of("doc", 0);
        client.gets_of_streams(stream.opened(0));
        (client, stream)
    }

    /// As `ann`, whose token lets her enter these rooms for ten minutes.
    pub(crate) fn ann_in(rooms: &[&str]) -> Self {
        let proof = Proof::Token(Box::new(grant("ann", rooms, 600_000)));
        let mut client = Self::opened(proof, Limits::default(), |_| {});
        client.wants();
        client.reads();
        client
    }

    /// As the proof says, and nothing taken out yet.
    pub(crate) fn opened(proof: Proof, limits: Limits, change: impl FnOnce(&mut Opening)) -> Self {
        let mut opening = Opening {
            connection: CONNECTION,
            default_room: RoomId::lobby(),
            proof,
            name: None,
            session: None,
            attempt: None,
            fallback_session: SessionId::parse("by-the-server").unwrap(),
            entry: OwnEntry::None,
            silence: Silence::IsDeath,
        };
        change(&mut opening);
        Self { session: Session::open(at(0), opening, Arc::new(limits)), millis: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        at(self.millis)
    }

    /// What is wanted after it has said this.
    pub(crate) fn says(&mut self, text: &str) -> Vec<String> {
        self.session.handle_text(self.now(), text.as_bytes());
        self.wants()
    }

    /// What is wanted after it has said this, and somebody has looked at its token.
    pub(crate) fn proves(&mut self, text: &str, verdict: Result<Grant, CommandError>) -> Vec<String> {
        self.session.handle_text(self.now(), text.as_bytes());
        let outputs = self.session.take_outputs();
        let asked = outputs.into_iter().find_map(|output| match output {
            SessionOutput::Verify(credentials) => Some(credentials),
            _ => None,
        });
        self.session.handle_verified(self.now(), *asked.unwrap(), verdict);
        self.wants()
    }

    /// What is wanted after this has come for it.
    pub(crate) fn gets(&mut self, delivery: Delivery) -> Vec<String> {
        self.session.handle_delivery(delivery);
        self.wants()
    }

    pub(crate) fn gets_of_streams(&mut self, delivery: StreamDelivery) -> Vec<String> {
        self.gets(Delivery::Stream(delivery))
    }

    /// What is wanted when it is asked at this time whether anything is due.
    pub(crate) fn waits_until(&mut self, millis: u64) -> Vec<String> {
        self.millis = millis;
        self.session.handle_timeout(self.now());
        self.wants()
    }

    /// What is wanted, in order.
    pub(crate) fn wants(&mut self) -> Vec<String> {
        let any = self.session.has_outputs();
        let outputs = self.session.take_outputs();
        assert_eq!((any, self.session.has_outputs()), (!outputs.is_empty(), false));
        outputs.iter().filter_map(wish).collect()
    }

    /// What it reads.
    pub(crate) fn reads(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        self.session.gather(self.now(), &mut frames);
        let messages = frames.iter().flat_map(Frame::messages);
        messages.map(|message| serde_json::from_slice(message.text()).unwrap()).collect()
    }

    /// The types of what it reads.
    pub(crate) fn reads_types(&mut self) -> Vec<String> {
        self.reads().iter().map(|message| message["type"].as_str().unwrap().to_owned()).collect()
    }

    /// What it reads, if that is errors and nothing else: code, field, `ref`.
    pub(crate) fn reads_errors(&mut self) -> Vec<String> {
        let part = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
        let line = |error: &Value| {
            assert_eq!(error["type"], "error");
            format!("{} {} {}", part(&error["code"]), part(&error["field"]), part(&error["ref"]))
        };
        self.reads().iter().map(line).collect()
    }

    /// It enters a room, which lets it in. Gives what the room says from then on.
    pub(crate) fn enters(&mut self, room: &str) -> Feed {
        let entry = self.asks_to_enter(room);
        let feed = Feed::new();
        self.is_let_in(room, entry, &feed);
        self.wants();
        self.reads();
        feed
    }

    /// It asks to enter a room; that is its entry.
    pub(crate) fn asks_to_enter(&mut self, room: &str) -> Entry {
        self.joins(room, "").entry
    }

    /// It says that it wants to enter a room, with more to say about that. Gives what the room is asked.
    pub(crate) fn joins(&mut self, room: &str, more: &str) -> Join {
        let text = format!(r#"{{"type":"presence:join","room":"{room}"{more}}}"#);
        self.session.handle_text(self.now(), text.as_bytes());
        let asked = self.session.take_outputs().into_iter().find_map(|output| match output {
            SessionOutput::Route { command: RoomCommand::Join(join), .. } => Some(join),
            _ => None,
        });
        asked.unwrap()
    }

    pub(crate) fn is_let_in(&mut self, name: &str, entry: Entry, feed: &Feed) {
        let (frame, reader) = (frame("snapshot"), RoomReader::Feed(feed.reader()));
        self.session.handle_delivery(Delivery::Position { room: room(name), entry, frame, reader });
    }

    /// Which rooms it is in, or about to be.
    pub(crate) fn rooms(&self) -> Vec<&str> {
        self.session.rooms().map(RoomId::as_str).collect()
    }
}

/// A stream that others write to, and how far the client's user is through it.
pub(crate) struct Stream {
    pub(crate) room: RoomId,
    pub(crate) tail: Tail,
    pub(crate) receiver: Receiver,
}

impl Stream {
    /// One with so many messages, of which nobody has any at hand.
    pub(crate) fn of(name: &str, head: u64) -> Self {
        let head = Seq::new(head);
        Self { room: room(name), tail: Tail::after(head), receiver: Receiver::new(head, head) }
    }

    /// Somebody writes to it.
    pub(crate) fn grows(&self, from: Option<ConnectionId>) {
        let seq = self.tail.head().next();
        let frame = message(seq.number());
        let expires = Timestamp::from_millis(u64::MAX);
        self.tail.append(TailMessage { seq, frame, from, expires }, &Limits::default());
    }

    /// There is something of it for a client who is this far.
    pub(crate) fn opened(&self, from: u64) -> StreamDelivery {
        StreamDelivery::Opened(Opened {
            room: self.room.clone(),
            tail: self.tail.clone(),
            receiver: self.receiver.clone(),
            from: Seq::new(from),
            told: Seq::default(),
        })
    }
}

pub(crate) fn at(millis: u64) -> Now {
    Now { at: Timestamp::from_millis(millis), wall: WallTime::from_unix_millis(millis.cast_signed()) }
}

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// Nobody proves anything.
pub(crate) fn word(user_id: Option<&str>) -> Proof {
    Proof::Word(user_id.map(user))
}

/// What a good token says.
pub(crate) fn grant(name: &str, rooms: &[&str], expires: i64) -> Grant {
    let patterns = rooms.iter().map(|pattern| Pattern::new(*pattern));
    Grant {
        profile: Arc::new(Profile::of_user(user(name))),
        rooms: Rooms::Like(patterns.collect()),
        expires: WallTime::from_unix_millis(expires),
    }
}

/// Somebody of whom nothing is kept.
pub(crate) fn person(name: &str) -> Person {
    Person {
        id: user(name),
        username: None,
        color: None,
        avatar: None,
        email: None,
        last_online: None,
        changed_at: WallTime::default(),
    }
}

pub(crate) fn frame(name: &str) -> Frame {
    Frame::one(Message::new(format!(r#"{{"type":"{name}"}}"#)))
}

/// A message of a stream.
pub(crate) fn message(seq: u64) -> Frame {
    frame(&format!("message-{seq}"))
}

/// What a session wants, in short; `None` for what it only reports.
fn wish(output: &SessionOutput) -> Option<String> {
    Some(match output {
        SessionOutput::Received(_) => return None,
        SessionOutput::Attach { user, session, .. } => format!("attach {user} as {session}"),
        SessionOutput::Detach { how } => format!("detach: {how:?}"),
        SessionOutput::Route { room, command } => format!("{room}: {}", ask(command)),
        SessionOutput::Stream(command) => stream_wish(command),
        SessionOutput::People(command) => people_wish(command),
        SessionOutput::Active(active) => format!("active: {active}"),
        SessionOutput::Said(profile) => format!("said: {}", profile.name),
        SessionOutput::Verify(credentials) => format!("verify {}", credentials.token.reveal()),
        SessionOutput::Close(reason) => format!("close: {reason:?}"),
        SessionOutput::RoundTrip(rtt) => format!("round trip: {rtt:?}"),
        SessionOutput::Limited(limit) => format!("limited: {limit:?}"),
        SessionOutput::Refused(code) => format!("refused: {code:?}"),
    })
}

fn ask(command: &RoomCommand) -> String {
    match command {
        RoomCommand::Join(join) => format!("join as {}", join.profile.name),
        RoomCommand::Profile { before, after } => format!("{} is {} now", before.name, after.name),
        other => format!("{other:?}"),
    }
}

fn stream_wish(command: &StreamCommand) -> String {
    match command {
        StreamCommand::Listen { room, after: None } => format!("listen to {room}"),
        StreamCommand::Listen { room, after: Some(after) } => format!("listen to {room} after {after}"),
        StreamCommand::Leave { room, sent: None } => format!("do not listen to {room}"),
        StreamCommand::Leave { room, sent: Some(sent) } => format!("do not listen to {room} after {sent}"),
        StreamCommand::Publish(publish) => {
            format!("publish {} in {} ({:?})", publish.id, publish.room, publish.standing)
        }
        StreamCommand::Acknowledge { room, seq, unsure: None } => format!("{room} is read up to {seq}"),
        StreamCommand::Acknowledge { room, seq, unsure: Some(_) } => {
            format!("{room} is read up to {seq}, if that may be")
        }
        StreamCommand::Fetch(fetch) => {
            format!("fetch {} after {}: {:?}", fetch.room, fetch.after, fetch.purpose)
        }
        StreamCommand::Sync(sync) => format!("sync of {}", sync.user),
        StreamCommand::Redelivered(count) => format!("redelivered: {count}"),
        StreamCommand::Violated(violation) => panic!("{violation:?}"),
    }
}

fn people_wish(command: &PeopleCommand) -> String {
    let names = |users: &std::collections::BTreeSet<UserId>| {
        users.iter().map(UserId::as_str).collect::<Vec<_>>().join(" ")
    };
    match command {
        PeopleCommand::ListUsers { room, rooms, .. } => {
            let room = room.as_ref().map_or("all", RoomId::as_str);
            format!("who is online of {room}, from {} rooms?", rooms.len())
        }
        PeopleCommand::Watch { users, .. } => format!("watch {}", names(users)),
        PeopleCommand::Unwatch { users } => format!("unwatch {}", names(users)),
    }
}
