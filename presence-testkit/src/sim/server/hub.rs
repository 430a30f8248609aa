//! The hub of streams, small and without a runtime, in the order of the server's: it takes in what is said, puts it in line
//! for the store, and wakes those who receive it once it is safe. What they are sent, and when again, is the model's part.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use presence_core::frame::Frame;
use presence_core::id::{ConnectionId, RoomId, UserId};
use presence_core::planted::{self, Bug};
use presence_core::port::store::{Appended, Durability, Standing};
use presence_core::session::{Publish, StreamDelivery, beyond};
use presence_core::shard::Detach;
use presence_core::stream::{Opened, Receiver, Seq, StoredMessage, Tail, TailMessage};
use presence_core::wire::{self, Kept, Reference};

use super::super::agenda::Event;
use super::super::world::World;
use super::disk::Write;
use presence_core::session::Delivery;

/// How often cursors are written down, and what has ended is looked for.
const TICK: u64 = 500;

/// A hub at work.
#[derive(Debug, Default)]
pub(in crate::sim) struct Hub {
    pub(super) inbox: VecDeque<Input>,
    connections: BTreeMap<u64, UserId>,
    /// Those of whose users the store has said where they stand.
    pub(super) arrived: BTreeSet<u64>,
    pub(super) streams: BTreeMap<RoomId, Seats>,
    /// Writes that wait to become safe, and what is done then.
    pub(super) line: VecDeque<(Write, Then)>,
    pub(super) dirty: BTreeMap<(RoomId, UserId), Seq>,
    pub(super) settling: bool,
    scheduled: bool,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Seats {
    listeners: BTreeMap<u64, Listener>,
    pub(super) receivers: BTreeMap<UserId, Receiver>,
    /// Who has gone and may be back, and until when.
    awaited: BTreeMap<UserId, u64>,
    tail: Option<Tail>,
    head: Seq,
    fresh_since: u64,
}

#[derive(Clone, Debug)]
struct Listener {
    user: UserId,
    present: bool,
    member: bool,
    told: bool,
    known: bool,
}

/// What comes into a hub.
#[derive(Debug)]
pub(super) enum Input {
    Attach { connection: u64, user: UserId },
    Detach { connection: u64, how: Detach },
    Listen { connection: u64, room: RoomId, after: Option<Seq> },
    Leave { connection: u64, room: RoomId, sent: Option<Seq> },
    Publish { connection: u64, id: ConnectionId, publish: Box<Publish> },
    Acknowledge { connection: u64, room: RoomId, seq: Seq, unsure: Option<Reference> },
}

/// What is done when a write is safe.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    Place { room: RoomId, user: UserId },
    CaughtUp { connection: u64, room: RoomId, user: UserId, after: Seq },
    Message { connection: u64, id: ConnectionId, reference: Reference },
    Acked { room: RoomId, user: UserId, seq: Seq },
}

impl World {
    pub(super) fn hub(&mut self) -> Option<&mut Hub> {
        self.server.as_mut().map(|server| &mut server.hub)
    }

    /// Puts something into the hub's inbox, if it takes that.
    pub(super) fn put_to_hub(&mut self, input: Input) -> Result<(), Input> {
        let inbox_max = self.plan.limits.hub_inbox_max;
        let Some(server) = &mut self.server else { return Ok(()) };
        if server.hub.inbox.len() >= inbox_max {
            return Err(input);
        }
        server.hub.inbox.push_back(input);
        let life = server.life;
        if !std::mem::replace(&mut server.hub.scheduled, true) {
            self.soon(Event::Hub { life });
        }
        Ok(())
    }

    pub(in crate::sim) fn run_hub(&mut self) {
        let Some(hub) = self.hub() else { return };
        hub.scheduled = false;
        while let Some(input) = self.hub().and_then(|hub| hub.inbox.pop_front()) {
            self.take_into_hub(input);
        }
    }

    fn take_into_hub(&mut self, input: Input) {
        match input {
            Input::Attach { connection, user } => {
                let inbox = RoomId::inbox(&user);
                if let Some(hub) = self.hub() {
                    hub.connections.insert(connection, user);
                }
                self.listen(connection, &inbox, false);
                self.send_errand(connection, super::Errand::Arrive);
            }
            Input::Detach { connection, how } => self.detach_from_hub(connection, how),
            Input::Listen { connection, room, after } => {
                self.listen(connection, &room, true);
                if let Some(after) = after {
                    self.catch_up(connection, room, after);
                }
            }
            Input::Leave { connection, room, sent } => self.leave_stream(connection, &room, sent),
            Input::Publish { connection, id, publish } => self.publish(connection, id, *publish),
            Input::Acknowledge { connection, room, seq, unsure } => {
                self.acknowledge(connection, room, seq, unsure);
            }
        }
    }

    pub(super) fn listen(&mut self, connection: u64, room: &RoomId, present: bool) {
        let Some(hub) = self.hub() else { return };
        let Some(user) = hub.connections.get(&connection).cloned() else { return };
        let seats = hub.streams.entry(room.clone()).or_default();
        seats.awaited.remove(&user);
        let known = seats.receivers.contains_key(&user);
        let new = Listener { user: user.clone(), present: false, member: false, told: false, known };
        let listener = seats.listeners.entry(connection).or_insert(new);
        if present && room.inbox_of().is_none() {
            listener.present = true;
        } else {
            listener.member = true;
        }
        self.open_stream(room, &user);
    }

    /// Tells a user's connections that there is something for them, if there is.
    fn open_stream(&mut self, room: &RoomId, user: &UserId) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let Some(receiver) = seats.receivers.get(user).cloned() else { return };
        if receiver.acked() >= seats.head {
            return;
        }
        let from = receiver.acked();
        let waiting = seats.listeners.iter().filter(|(_, known)| known.user == *user && !known.told);
        let waiting: Vec<u64> = waiting.map(|(connection, _)| *connection).collect();
        waiting.into_iter().for_each(|connection| self.tell(connection, room, from));
    }

    fn tell(&mut self, connection: u64, room: &RoomId, from: Seq) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let tail = seats.tail();
        let Some(listener) = seats.listeners.get_mut(&connection) else { return };
        let Some(receiver) = seats.receivers.get(&listener.user).cloned() else { return };
        listener.told = true;
        let told = tail.head();
        let opened = Opened { room: room.clone(), tail, receiver, from, told };
        self.deliver(connection, Delivery::Stream(StreamDelivery::Opened(opened)));
    }

    pub(super) fn catch_up(&mut self, connection: u64, room: RoomId, after: Seq) {
        let Some(user) = self.hub().and_then(|hub| hub.connections.get(&connection).cloned()) else { return };
        let then = Then::CaughtUp { connection, room: room.clone(), user: user.clone(), after };
        self.join_line(Write::Subscribe(room, user), then);
    }

    pub(super) fn join_line(&mut self, write: Write, then: Then) {
        let delay = self.dice.between(1, 30) + if self.now < self.slow_store_until { 1_500 } else { 0 };
        let Some(server) = &mut self.server else { return };
        server.hub.line.push_back((write, then));
        let life = server.life;
        if !std::mem::replace(&mut server.hub.settling, true) {
            self.agenda_at(self.now + delay, Event::Settled { life });
        }
    }

    fn leave_stream(&mut self, connection: u64, room: &RoomId, sent: Option<Seq>) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let Some(listener) = seats.listeners.get_mut(&connection) else { return };
        let user = listener.user.clone();
        if listener.member {
            (listener.present, listener.told) = (false, false);
            return match sent {
                Some(sent) => self.open_after(connection, room, sent),
                None => self.open_stream(room, &user),
            };
        }
        seats.listeners.remove(&connection);
        let others = seats.listeners.values().any(|other| other.user == user);
        if !others && !seats.awaited.contains_key(&user) {
            self.end_receiving(room, &user);
        }
    }

    /// A user does not receive a stream any more, unless as a member.
    fn end_receiving(&mut self, room: &RoomId, user: &UserId) {
        let member = self.disk.is_member(room, user);
        let Some(hub) = self.hub() else { return };
        let Some(seats) = hub.streams.get_mut(room) else { return };
        seats.awaited.remove(user);
        let removed = seats.receivers.remove(user);
        self.checks.receivers.remove(&(room.clone(), user.clone()));
        if removed.is_none() || member {
            return;
        }
        let Some(hub) = self.hub() else { return };
        if let Some(seq) = hub.dirty.remove(&(room.clone(), user.clone())) {
            self.join_line(Write::Acknowledge(room.clone(), user.clone(), seq), Then::Nothing);
        }
        self.join_line(Write::Unsubscribe(room.clone(), user.clone()), Then::Nothing);
    }

    fn detach_from_hub(&mut self, connection: u64, how: Detach) {
        let limits = &self.plan.limits;
        let wait = match how {
            Detach::Finished | Detach::Kicked => 0,
            Detach::GoingAway => super::super::millis(limits.going_away_grace),
            Detach::Lost => super::super::millis(limits.grace),
        };
        let until = self.now + wait;
        let Some(hub) = self.hub() else { return };
        let Some(user) = hub.connections.remove(&connection) else { return };
        hub.arrived.remove(&connection);
        for seats in hub.streams.values_mut() {
            let Some(gone) = seats.listeners.remove(&connection) else { continue };
            let others = seats.listeners.values().any(|other| other.user == user);
            if !others && (seats.receivers.contains_key(&user) || (wait > 0 && gone.present)) {
                let known = seats.awaited.entry(user.clone()).or_insert(until);
                *known = until.max(*known);
            }
        }
    }

    fn publish(&mut self, connection: u64, id: ConnectionId, publish: Publish) {
        let now = self.clock();
        let room = publish.room.clone();
        let listening = self.hub().and_then(|hub| hub.streams.get(&room));
        let here = listening.is_some_and(|seats| seats.listeners.values().any(|l| l.user == publish.sender));
        let sure = here || publish.standing == presence_core::session::Standing::Sure;
        if !sure && !self.disk.is_member(&room, &publish.sender) {
            let error = presence_core::error::CommandError::new(
                presence_core::error::ErrorCode::NotJoined,
                "you are neither in the room nor on its roster",
            );
            return self.deliver(connection, Delivery::Refused { error, reference: publish.reference });
        }
        self.ask_for_strangers(&room);
        let message = presence_core::stream::NewMessage {
            room,
            kind: presence_core::stream::MessageKind::Message,
            sender: publish.sender,
            sender_name: publish.sender_name,
            id: publish.id,
            body: publish.body,
            correlation: "c".into(),
            at: now.wall,
        };
        if planted::is(Bug::AckBeforeWrite) {
            self.acknowledge_unwritten(connection, &message, &publish.reference);
        }
        let then = Then::Message { connection, id, reference: publish.reference };
        self.join_line(Write::Append(Box::new(message)), then);
    }

    fn acknowledge_unwritten(
        &mut self,
        connection: u64,
        message: &presence_core::stream::NewMessage,
        reference: &Reference,
    ) {
        let seq = Seq::new(self.disk.newest(&message.room) + 1);
        self.say_kept(connection, message, seq, reference);
    }

    fn ask_for_strangers(&mut self, room: &RoomId) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let mut strangers: BTreeSet<UserId> = BTreeSet::new();
        for listener in seats.listeners.values_mut().filter(|listener| !listener.known) {
            listener.known = true;
            strangers.insert(listener.user.clone());
        }
        strangers.extend(seats.awaited.keys().cloned());
        strangers.retain(|user| !seats.receivers.contains_key(user));
        for user in strangers {
            let then = Then::Place { room: room.clone(), user: user.clone() };
            self.join_line(Write::Subscribe(room.clone(), user), then);
        }
    }

    fn acknowledge(&mut self, connection: u64, room: RoomId, seq: Seq, unsure: Option<Reference>) {
        let Some(hub) = self.hub() else { return };
        let Some(user) = hub.connections.get(&connection).cloned() else { return };
        let seats = hub.streams.get(&room);
        let head = seats.map_or_else(Seq::default, |seats| seats.head);
        let receiver = seats.and_then(|seats| seats.receivers.get(&user)).cloned();
        let Some(reference) = unsure else {
            if let Some(receiver) = receiver {
                receiver.acknowledge(seq);
            }
            return self.note_acked(room, user, seq);
        };
        match receiver {
            Some(receiver) if seq > receiver.sent().max(head) => {
                self.deliver(connection, Delivery::Refused { error: beyond(), reference });
            }
            Some(receiver) => {
                if receiver.acknowledge(seq) {
                    self.note_acked(room, user, seq);
                }
            }
            None if seq.number() > self.disk.newest(&room) => {
                self.deliver(connection, Delivery::Refused { error: beyond(), reference });
            }
            None => self.join_line(Write::Acknowledge(room, user, seq), Then::Nothing),
        }
    }

    pub(super) fn note_acked(&mut self, room: RoomId, user: UserId, seq: Seq) {
        let Some(hub) = self.hub() else { return };
        let noted = hub.dirty.entry((room, user)).or_default();
        *noted = seq.max(*noted);
    }

    /// The store has said where a user stands.
    pub(super) fn place(&mut self, room: &RoomId, user: &UserId, standing: Option<Standing>) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let here = seats.listeners.values().any(|listener| listener.user == *user)
            || seats.awaited.contains_key(user);
        match standing {
            _ if !here => self.join_line(Write::Unsubscribe(room.clone(), user.clone()), Then::Nothing),
            Some(standing) => {
                seats.head = seats.head.max(standing.head);
                let new = || Receiver::new(standing.cursor, standing.head);
                seats.receivers.entry(user.clone()).or_insert_with(new);
                self.open_stream(room, user);
            }
            None => {
                let of_user = seats.listeners.values_mut().filter(|listener| listener.user == *user);
                of_user.for_each(|listener| listener.known = false);
            }
        }
    }

    /// Tells a connection that has everything up to a place that there is more, if there is and it does not know.
    pub(super) fn open_after(&mut self, connection: u64, room: &RoomId, after: Seq) {
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(room)) else { return };
        let untold = seats.listeners.get(&connection).is_some_and(|listener| !listener.told);
        if after < seats.head && untold {
            self.tell(connection, room, after);
        }
    }

    /// The ack to a sender.
    pub(super) fn say_kept(
        &mut self,
        connection: u64,
        message: &presence_core::stream::NewMessage,
        seq: Seq,
        reference: &Reference,
    ) {
        let kept =
            Kept { id: &message.id, room: &message.room, seq, at: message.at, durability: Durability::Disk };
        let frame = Frame::one(wire::message_ack(kept, reference));
        let room = message.room.clone();
        self.deliver(connection, Delivery::Stream(StreamDelivery::Kept { room, seq, frame }));
    }

    /// A message is safe: whoever is there gets it.
    pub(super) fn hand_on(&mut self, stored: StoredMessage, from: ConnectionId) {
        let now = self.clock();
        let limits = std::sync::Arc::clone(&self.plan.limits);
        let (room, seq, sender) = (stored.message.room.clone(), stored.seq, stored.message.sender.clone());
        let at = self.now;
        let Some(seats) = self.hub().and_then(|hub| hub.streams.get_mut(&room)) else { return };
        let before = Seq::new(seq.number() - 1);
        let head = before.max(seats.head);
        seats.head = seats.head.max(seq);
        seats.fresh_since = at;
        let tail = seats.tail.get_or_insert_with(|| Tail::after(head)).clone();
        let frame = Frame::one(wire::stream_message(&stored));
        tail.append(
            TailMessage { seq, frame, from: Some(from), expires: now.at + limits.message_age_max },
            &limits,
        );
        let own = seats.receivers.get(&sender).cloned();
        let listeners: Vec<(u64, Listener)> =
            seats.listeners.iter().map(|(connection, listener)| (*connection, listener.clone())).collect();
        let acked: BTreeMap<UserId, Seq> =
            seats.receivers.iter().map(|(user, receiver)| (user.clone(), receiver.acked())).collect();
        for (connection, listener) in listeners {
            match acked.get(&listener.user) {
                _ if listener.told => {}
                Some(acked) => self.tell(connection, &room, before.min(*acked)),
                // They came while the message was on its way.
                None => self.catch_up(connection, room.clone(), before),
            }
            self.wake(connection);
        }
        if let Some(receiver) = own
            && receiver.acked().next() == seq
            && receiver.acknowledge(seq)
        {
            self.note_acked(room, sender, seq);
        }
    }

    /// What has ended is ended, and what has moved is written down.
    pub(in crate::sim) fn tick_hub(&mut self) {
        let (at, rested) = (self.now, super::super::millis(self.plan.limits.tail_age_max));
        let Some(server) = &mut self.server else { return };
        let life = server.life;
        let mut ended: Vec<(RoomId, UserId)> = Vec::new();
        for (room, seats) in &mut server.hub.streams {
            let over = seats.awaited.iter().filter(|(_, until)| **until <= at);
            ended.extend(over.map(|(user, _)| (room.clone(), user.clone())));
            if seats.fresh_since + rested <= at
                && let Some(tail) = &seats.tail
            {
                tail.clear();
            }
        }
        self.agenda_at(at + TICK, Event::Tick { life });
        ended.into_iter().for_each(|(room, user)| self.end_receiving(&room, &user));
        self.write_cursors();
    }

    pub(super) fn write_cursors(&mut self) {
        let dirty = self.hub().map(|hub| std::mem::take(&mut hub.dirty)).unwrap_or_default();
        for ((room, user), seq) in dirty {
            let then = Then::Acked { room: room.clone(), user: user.clone(), seq };
            self.join_line(Write::Acknowledge(room, user, seq), then);
        }
    }

    /// Where the store says that a user who has just connected stands.
    pub(super) fn arrive_at_streams(&mut self, connection: u64) {
        let Some(hub) = self.hub() else { return };
        let Some(user) = hub.connections.get(&connection).cloned() else { return };
        hub.arrived.insert(connection);
        for (room, standing, member) in self.disk.standings(&user) {
            let until = self.now + super::super::millis(self.plan.limits.grace);
            let Some(seats) = self.hub().map(|hub| hub.streams.entry(room.clone()).or_default()) else {
                return;
            };
            seats.head = seats.head.max(standing.head);
            if standing.cursor < standing.head || !member {
                let new = || Receiver::new(standing.cursor, standing.head);
                seats.receivers.entry(user.clone()).or_insert_with(new);
            }
            if member {
                self.listen(connection, &room, false);
            } else if seats.listeners.values().any(|listener| listener.user == user) {
                self.open_stream(&room, &user);
            } else {
                // They were in the room when the server ended.
                seats.awaited.entry(user.clone()).or_insert(until);
            }
        }
    }
}

impl Seats {
    /// The end of the stream, at least at what is known.
    fn tail(&mut self) -> Tail {
        let head = self.head;
        let tail = self.tail.get_or_insert_with(|| Tail::after(head));
        tail.advance(head);
        tail.clone()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.listeners.is_empty() && self.receivers.is_empty() && self.awaited.is_empty()
    }
}

impl Then {
    /// Whether it came to a message's place.
    pub(super) fn appended(wrote: super::disk::Wrote) -> Option<Appended> {
        if let super::disk::Wrote::Appended(appended) = wrote { Some(appended) } else { None }
    }
}
