//! What one connection has of each stream that it receives: how far it was sent, what it has not acknowledged, what goes
//! again, and what has to be asked of the store. Nothing is kept for a stream until there is something to deliver.

use std::time::Duration;

use super::{Fetch, Fetched, Found, Purpose, Receiver, Seq, Tail, TailReader, Told};
use crate::audit::{Invariant, Violation};
use crate::frame::Frame;
use crate::id::{ConnectionId, RoomId};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::time::Timestamp;
use crate::wire;

/// Writes of one stream whose acknowledgement is waited for one by one; of more, neighbours count as one.
const FLIGHTS_MAX: usize = 16;

/// After how long a store that could not be read is asked again.
const FETCH_AGAIN: Duration = Duration::from_secs(1);

/// A stream that a connection is to receive.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which.
    pub room: RoomId,
    /// What is new in it.
    pub tail: Tail,
    /// Whose it is.
    pub receiver: Receiver,
    /// What comes after this is to be delivered.
    pub from: Seq,
    /// The connection has been told of its own messages up to here.
    pub told: Seq,
}

/// What became of a client's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// The user's cursor is there now.
    To(Seq),
    /// It was there already.
    Already,
    /// There is nothing so new that it could have been sent to the user.
    Beyond,
    /// Nothing of this stream was delivered to this connection.
    NotOpen,
}

/// One connection's deliveries.
#[derive(Debug)]
pub struct Courier {
    connection: ConnectionId,
    lanes: Vec<Lane>,
    /// While a sync is not answered, nothing is delivered: the streams whose places the client has said with it.
    held: Option<Vec<RoomId>>,
    /// Streams that a sync has told of and that are not open: how far.
    told_of: Vec<(RoomId, Seq)>,
    /// Messages that have gone again, since somebody last asked.
    redelivered: u64,
    /// What is not as it must be, and nobody has asked for yet.
    violations: Vec<Violation>,
}

#[derive(Debug)]
struct Lane {
    room: RoomId,
    tail: Tail,
    receiver: Receiver,
    /// Everything up to here has been written to this connection, or is its own.
    sent: Seq,
    /// The last of it that was really written.
    written: Seq,
    /// The client has been told of its own messages up to here.
    told: Seq,
    flights: Vec<Flight>,
    /// What is to go again: after the first, up to the second.
    again: Option<(Seq, Seq)>,
    source: Source,
}

/// Something written and not acknowledged: all up to `to` that no earlier flight has.
#[derive(Clone, Copy, Debug)]
struct Flight {
    to: Seq,
    at: Timestamp,
    /// How often it has gone again.
    attempts: u32,
}

/// Where a lane's next messages come from.
#[derive(Debug)]
enum Source {
    /// The tail.
    Tail,
    /// The store, which has been asked.
    Asked,
    /// The store's answer.
    Answered(Box<Fetched>),
    /// The store, which could not be read.
    Failed,
    /// The store, which is asked again then.
    Paused(Timestamp),
}

impl Courier {
    /// Nothing to deliver yet.
    pub fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            lanes: Vec::new(),
            held: None,
            told_of: Vec::new(),
            redelivered: 0,
            violations: Vec::new(),
        }
    }

    fn lane(&mut self, room: &RoomId) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.room == *room)
    }

    /// There is something to deliver of a stream. If it was open already, it goes on from where it is; if a sync has told of
    /// it, from there.
    pub fn open(&mut self, opened: Opened) {
        let Opened { room, tail, receiver, from, told } = opened;
        let synced = self.told_of.iter().position(|(known, _)| *known == room);
        let sent = synced.map_or(from, |index| self.told_of.swap_remove(index).1);
        receiver.note_sent(sent);
        match self.lane(&room) {
            Some(lane) => {
                (lane.tail, lane.receiver) = (tail, receiver);
                lane.told = told.max(lane.told);
            }
            None => {
                let (flights, again, source) = (Vec::new(), None, Source::Tail);
                self.lanes.reserve_exact(1);
                let written = sent;
                self.lanes.push(Lane { room, tail, receiver, sent, written, told, flights, again, source });
            }
        }
    }

    /// The client is told that a message of its own is there.
    pub fn tell(&mut self, room: &RoomId, seq: Seq) {
        if let Some(lane) = self.lane(room) {
            lane.told = seq.max(lane.told);
        }
    }

    /// How far a sync has told of a stream that is not open.
    pub fn told_of(&self, room: &RoomId) -> Option<Seq> {
        self.told_of.iter().find(|(known, _)| known == room).map(|(_, place)| *place)
    }

    /// The stream is not received any more. Says how far it was sent.
    pub fn close(&mut self, room: &RoomId) -> Option<Seq> {
        let told = self.told_of(room);
        let sent = self.lane(room).map(|lane| lane.sent).or(told);
        self.told_of.retain(|(known, _)| known != room);
        self.lanes.retain(|lane| lane.room != *room);
        sent
    }

    /// Only these streams are received from now on.
    pub fn retain(&mut self, received: impl Fn(&RoomId) -> bool) {
        self.told_of.retain(|(room, _)| received(room));
        self.lanes.retain(|lane| received(&lane.room));
    }

    /// Adds to `frames` what is to be written now, and to `fetches` what the store has to be asked. Says whether there is
    /// more than fitted.
    pub fn gather(
        &mut self,
        now: Timestamp,
        limits: &Limits,
        frames: &mut Vec<Frame>,
        fetches: &mut Vec<Fetch>,
    ) -> bool {
        let mut more = false;
        if self.held.is_some() && !planted::is(Bug::SyncHoldsNothing) {
            return false;
        }
        for lane in &mut self.lanes {
            let before = frames.len();
            more |= lane.gather_again(now, self.connection, limits, frames, fetches);
            let again: u64 = frames[before..].iter().map(|frame| frame.messages().len() as u64).sum();
            self.redelivered += again;
            let sent = lane.sent;
            more |= lane.gather_new(now, self.connection, limits, frames, fetches);
            if sent > lane.sent || lane.written > lane.sent {
                self.violations.push(lane.out_of_order(sent));
            }
        }
        more
    }

    /// The store has answered.
    pub fn handle_fetched(&mut self, fetched: Fetched) {
        if let Some(lane) = self.lane(&fetched.fetch.room)
            && matches!(lane.source, Source::Asked)
        {
            lane.source = Source::Answered(Box::new(fetched));
        }
    }

    /// The store could not be read.
    pub fn handle_not_fetched(&mut self, room: &RoomId) {
        if let Some(lane) = self.lane(room)
            && matches!(lane.source, Source::Asked)
        {
            lane.source = Source::Failed;
        }
    }

    /// The client has dealt with everything up to `seq`. What it has sent itself it need not acknowledge.
    pub fn acknowledge(&mut self, room: &RoomId, seq: Seq) -> Acknowledged {
        let Some(lane) = self.lane(room) else { return Acknowledged::NotOpen };
        // It may have more than was sent here: from an earlier connection's sync, or because it is its own.
        if seq > lane.receiver.sent() && seq > lane.told && seq > lane.tail.head() {
            return Acknowledged::Beyond;
        }
        let seq = if seq >= lane.written { seq.max(lane.sent) } else { seq };
        let moved = lane.receiver.acknowledge(seq);
        lane.land();
        if moved { Acknowledged::To(seq) } else { Acknowledged::Already }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self, limits: &Limits) -> Option<Timestamp> {
        if self.held.is_some() {
            return None;
        }
        let due = |lane: &Lane| {
            // What goes again has to be on its way before more does.
            let waits = lane.flights.iter().filter(|_| lane.again.is_none());
            let open = waits.filter(|flight| flight.attempts < limits.redeliveries_max);
            let paused = if let Source::Paused(until) = lane.source { Some(until) } else { None };
            open.map(|flight| flight.at + limits.redelivery).chain(paused).min()
        };
        self.lanes.iter().filter_map(due).min()
    }

    /// Time has passed: what was not acknowledged in time goes again, a bounded number of times. A peer that is not even
    /// reading is not sent more.
    pub fn handle_timeout(&mut self, now: Timestamp, is_reading: bool, limits: &Limits) {
        for lane in &mut self.lanes {
            lane.land();
            lane.repeat(now, is_reading, limits);
        }
    }

    /// How many messages have gone again, since this was last asked.
    pub fn take_redelivered(&mut self) -> u64 {
        std::mem::take(&mut self.redelivered)
    }

    /// Something that is not as it must be and has not been given yet.
    pub fn pop_violation(&mut self) -> Option<Violation> {
        self.violations.pop()
    }

    /// The client has asked for what it does not have, in these streams from places of its own. Until it has that, nothing
    /// else is delivered, of streams that are opened meanwhile neither: what is new must not come before what is older.
    pub fn hold(&mut self, named: Vec<RoomId>) {
        self.held = Some(named);
    }

    /// How far the connection was sent the streams whose places the client has not said.
    pub fn sent_unnamed(&self) -> Vec<(RoomId, Seq)> {
        let unnamed = self.lanes.iter().filter(|lane| !self.names(&lane.room));
        unnamed.map(|lane| (lane.room.clone(), lane.sent)).collect()
    }

    fn names(&self, room: &RoomId) -> bool {
        self.held.as_ref().is_some_and(|named| named.contains(room))
    }

    /// Whether with this answer to a sync something would be missing between what was sent and what it tells.
    pub fn would_skip(&self, places: &[Told]) -> bool {
        let mut unnamed = self.lanes.iter().filter(|lane| !self.names(&lane.room));
        unnamed.any(|lane| places.iter().any(|told| told.room == lane.room && told.from > lane.sent))
    }

    /// A sync is answered, and has brought these streams to these places: deliveries go on from there.
    pub fn release(&mut self, places: &[Told]) {
        let named = self.held.take().unwrap_or_default();
        for Told { room, to, .. } in places {
            if let Some(lane) = self.lane(room) {
                lane.go_on_from(*to, named.contains(room));
                lane.source = Source::Tail;
            } else {
                self.told_of.retain(|(known, _)| known != room);
                self.told_of.push((room.clone(), *to));
            }
        }
    }
}

impl Lane {
    /// What is sent only rises, and what was written last is of it (M3): `before` is how far it was.
    #[cold]
    fn out_of_order(&self, before: Seq) -> Violation {
        let (sent, written) = (self.sent, self.written);
        Violation {
            invariant: Invariant::Order,
            room: Some(self.room.clone()),
            found: format!(
                "a connection had all up to {before}, has {sent}, and {written} is the last of it"
            ),
        }
    }

    /// Forgets flights that have arrived.
    fn land(&mut self) {
        let acked = self.receiver.acked();
        self.flights.retain(|flight| flight.to > acked);
        if self.flights.is_empty() {
            self.flights = Vec::new();
        }
    }

    /// Sends what is due again: the first of it, and what is due next to that. What is due beyond waits until that is on
    /// its way, since what lies between may not go so often.
    fn repeat(&mut self, now: Timestamp, is_reading: bool, limits: &Limits) {
        let is_due = |flight: &Flight| {
            flight.attempts < limits.redeliveries_max && flight.at + limits.redelivery <= now
        };
        if !is_reading {
            self.flights.iter_mut().filter(|flight| is_due(flight)).for_each(|flight| flight.at = now);
            return;
        }
        if self.again.is_some() {
            return;
        }
        let Some(first) = self.flights.iter().position(is_due) else { return };
        let after = first.checked_sub(1).map_or(self.receiver.acked(), |before| self.flights[before].to);
        for flight in self.flights[first..].iter_mut().take_while(|flight| is_due(flight)) {
            flight.at = now;
            flight.attempts += u32::from(!planted::is(Bug::RedeliveryForEver));
            self.again = Some((after, flight.to));
        }
    }

    fn gather_again(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        limits: &Limits,
        frames: &mut Vec<Frame>,
        fetches: &mut Vec<Fetch>,
    ) -> bool {
        let again = Purpose::Again { to: Seq::default() };
        if let Some(fetched) = self.take_answer(now, again) {
            frames.extend(fetched.frame);
            self.again = self.again.map(|(_, to)| (fetched.up_to, to));
        }
        let Some((after, to)) = self.again else { return false };
        let after = after.max(self.receiver.acked());
        if after >= to || !matches!(self.source, Source::Tail) {
            self.again = self.again.filter(|_| after < to);
            return false;
        }
        let mut texts = Vec::new();
        let reader = TailReader { connection, told: self.told };
        match self.tail.read(now, (after, to), reader, &mut texts, limits.gather_bytes_max) {
            Found::UpTo { seq, more, .. } => {
                let again = |frame: &Frame| {
                    if planted::is(Bug::RedeliveryUnmarked) {
                        frame.clone()
                    } else {
                        wire::redelivered(frame)
                    }
                };
                frames.extend(texts.iter().map(again));
                self.again = more.then_some((seq, to));
                more
            }
            Found::Gone => {
                self.ask(after, Purpose::Again { to }, fetches);
                false
            }
        }
    }

    fn gather_new(
        &mut self,
        now: Timestamp,
        connection: ConnectionId,
        limits: &Limits,
        frames: &mut Vec<Frame>,
        fetches: &mut Vec<Fetch>,
    ) -> bool {
        if let Some(fetched) = self.take_answer(now, Purpose::New)
            && fetched.fetch.after == self.sent
        {
            frames.extend(fetched.frame);
            self.note(now, fetched.up_to.max(self.sent), fetched.last);
        }
        if !matches!(self.source, Source::Tail) {
            return false;
        }
        let range = (self.sent, Seq::LAST);
        let reader = TailReader { connection, told: self.told };
        match self.tail.read(now, range, reader, frames, limits.gather_bytes_max) {
            Found::UpTo { seq, foreign, more } => {
                self.note(now, seq, foreign);
                more
            }
            Found::Gone => {
                self.ask(self.sent, Purpose::New, fetches);
                false
            }
        }
    }

    /// The store's answer to a question of this kind, if it is there. From then on the tail is read again.
    fn take_answer(&mut self, now: Timestamp, purpose: Purpose) -> Option<Fetched> {
        let fits = |asked: Purpose| (asked == Purpose::New) == (purpose == Purpose::New);
        match &self.source {
            Source::Answered(fetched) if fits(fetched.fetch.purpose) => {}
            Source::Failed => {
                self.source = Source::Paused(now + FETCH_AGAIN);
                return None;
            }
            Source::Paused(until) if *until <= now => {
                self.source = Source::Tail;
                return None;
            }
            Source::Answered(_) | Source::Paused(_) | Source::Tail | Source::Asked => {
                return None;
            }
        }
        match std::mem::replace(&mut self.source, Source::Tail) {
            Source::Answered(fetched) => Some(*fetched),
            _ => None,
        }
    }

    fn ask(&mut self, after: Seq, purpose: Purpose, fetches: &mut Vec<Fetch>) {
        self.source = Source::Asked;
        fetches.push(Fetch { room: self.room.clone(), after, purpose });
    }

    /// Notes that everything up to `sent` is written; `last` is the last message that it has.
    fn note(&mut self, now: Timestamp, sent: Seq, last: Option<Seq>) {
        self.sent = sent;
        self.receiver.note_sent(sent);
        let Some(last) = last else { return };
        self.written = last;
        if last <= self.receiver.acked() {
            return;
        }
        self.flights.push(Flight { to: last, at: now, attempts: 0 });
        if self.flights.len() > FLIGHTS_MAX {
            let alike = self.flights.windows(2).position(|pair| pair[0].attempts == pair[1].attempts);
            let first = self.flights.remove(alike.unwrap_or(0));
            let second = &mut self.flights[alike.unwrap_or(0)];
            // Never more often than it may, rather less.
            second.attempts = second.attempts.max(first.attempts);
        }
    }

    fn go_on_from(&mut self, place: Seq, back_too: bool) {
        self.receiver.note_sent(place);
        if place > self.sent || back_too {
            self.sent = place;
            self.written = if back_too { self.written.min(place) } else { place };
            self.flights.retain(|flight| flight.to <= place);
            self.again = self.again.filter(|(after, _)| *after < place);
        }
    }
}
