//! One connection's protocol: who it is, what it may say, which rooms it reads, whether it is still there.
//!
//! Calling contract: whatever happened goes into a `handle_*`; then [`Session::take_outputs`] says what to do about
//! it, and [`Session::gather`] what to write. [`Session::poll_timeout`] says when to call
//! [`Session::handle_timeout`]. After an output [`SessionOutput::Close`] the session takes in nothing more but
//! [`Session::handle_end`].

mod auth;
mod budget;
mod commands;
mod ending;
mod heartbeat;
mod messages;
mod output;
mod pace;
mod people;
mod quality;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use crate::attempt::Attempt;
use crate::error::{CloseReason, CommandError};
use crate::feed::Gathered;
use crate::few::Few;
use crate::frame::{Frame, Message};
use crate::id::{ConnectionId, RoomId, SessionId, UserId};
use crate::limits::Limits;
use crate::people::Person;
use crate::port::transport::{Sent, Silence};
use crate::profile::{Profile, Text};
use crate::shard::{Entry, RoomCommand};
use crate::stream::Courier;
use crate::time::{Now, Timestamp};
use crate::window::RoomReader;
use crate::wire::{self, Reference, Since};
pub use auth::{Credentials, Proof};
use auth::{Rights, Wanted};
pub use budget::UserBudget;
use budget::{Budgets, Offences};
use commands::Wish;
use heartbeat::{Beat, Heartbeat};
pub use messages::{Publish, Standing, StreamCommand, StreamDelivery, Sync, Synced, beyond};
pub use output::{Delivery, SessionOutput};
pub use people::PeopleCommand;
pub use quality::Quality;
use waiting::Waiting;

/// What is known of a connection when it opens.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its name.
    pub connection: ConnectionId,
    /// The room that a message without `room` means.
    pub default_room: RoomId,
    /// How it is known to whom it belongs.
    pub proof: Proof,
    /// What others read, from the URL.
    pub name: Option<Text>,
    /// Which tab or device, from the URL.
    pub session: Option<SessionId>,
    /// Which of its client's requests has opened it, from the URL.
    pub attempt: Option<Attempt>,
    /// The session if the client chooses none.
    pub fallback_session: SessionId,
    /// Whether it enters the default room by itself.
    pub entry: OwnEntry,
    /// What its wire's silence means.
    pub silence: Silence,
}

/// Whether a connection enters its default room by itself, as soon as its user is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnEntry {
    /// It waits for the client to say so.
    #[default]
    None,
    /// It does, and has read the room up to here, if ever.
    Enter(Option<Since>),
}

/// One connection's protocol.
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    connection: ConnectionId,
    default_room: RoomId,
    phase: Phase,
    heartbeat: Heartbeat,
    budgets: Budgets,
    /// Once there is one.
    offences: Option<Box<Offences>>,
    entries: u32,
    rooms: Few<Seat>,
    /// Written before anything that the rooms say.
    outbox: Waiting<Frame>,
    /// Since when a message is on its way that has not come whole.
    unfinished: Option<Timestamp>,
    /// Deliveries of streams, once there is one.
    courier: Option<Box<Courier>>,
    /// Whether the answer to a sync is under way.
    syncing: bool,
    /// Since when the peer has not read all that it was sent.
    stalled: Option<Timestamp>,
    outputs: Waiting<SessionOutput>,
}

#[derive(Debug)]
enum Phase {
    /// Nobody knows who it is yet.
    Opening {
        until: Timestamp,
        wanted: Wanted,
        session: SessionId,
        chosen_by: ChosenBy,
        /// Goes with the session that it has when it is known whose it is. Afterwards there is no room for it: who names
        /// another session only then is taken for the newest of that.
        attempt: Option<Attempt>,
        /// Boxed, or whoever is ready would keep room for it.
        entry: Box<OwnEntry>,
    },
    /// Somebody.
    Ready(Identity),
    /// It is over.
    Closed,
}

#[derive(Debug)]
struct Identity {
    /// What others see: what is kept of the user over what the connection says.
    profile: Arc<Profile>,
    /// What the connection says.
    said: Arc<Profile>,
    /// What is kept of the user, if that is known and anything that others see.
    kept: Option<Arc<Person>>,
    session: SessionId,
    /// Who chose the session id.
    chosen_by: ChosenBy,
    rights: Rights,
    active: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChosenBy {
    Client,
    Server,
}

/// A room that this connection has asked to enter.
#[derive(Debug)]
struct Seat {
    room: RoomId,
    /// The same for all requests to enter until it has left, since each of them is answered.
    entry: Entry,
    /// Requests to enter that the room has not answered.
    asked: u32,
    /// `None` until the room has answered, and while it prepares a fresh start.
    reader: Option<RoomReader>,
    /// Whether it has said that it types.
    typing: bool,
}

impl Session {
    /// A connection that has just opened.
    pub fn open(now: Now, opening: Opening, limits: Arc<Limits>) -> Self {
        let Opening {
            connection,
            default_room,
            proof,
            name,
            session,
            attempt,
            fallback_session,
            entry,
            silence,
        } = opening;
        let wanted = if let Proof::Word(_) = proof { Wanted::Word } else { Wanted::Token };
        let (session, chosen_by) = match session {
            Some(session) => (session, ChosenBy::Client),
            None => (fallback_session, ChosenBy::Server),
        };
        let until = now.at + limits.hello;
        let mut opened = Self {
            connection,
            default_room,
            phase: Phase::Opening { until, wanted, session, chosen_by, attempt, entry: Box::new(entry) },
            heartbeat: Heartbeat::new(now.at, silence),
            budgets: Budgets::default(),
            offences: None,
            entries: 0,
            rooms: Few::new(),
            outbox: Waiting::default(),
            unfinished: None,
            courier: None,
            syncing: false,
            stalled: None,
            outputs: Waiting::default(),
            limits,
        };
        opened.begin(now, proof, name);
        // Who speaks over other connections has to know first which connection it speaks for.
        if opened.user().is_none() && silence == Silence::MaySayNothing {
            opened.say(wire::opened(connection, now.wall));
        }
        opened
    }

    /// Who it is, once that is known.
    pub fn user(&self) -> Option<&UserId> {
        match &self.phase {
            Phase::Ready(identity) => Some(&identity.profile.id),
            Phase::Opening { .. } | Phase::Closed => None,
        }
    }

    /// Which session it has, once its user is known.
    pub fn session_id(&self) -> Option<&SessionId> {
        match &self.phase {
            Phase::Ready(identity) => Some(&identity.session),
            Phase::Opening { .. } | Phase::Closed => None,
        }
    }

    /// The connection's name.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Whether it has said its last.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The last round-trip time that was measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.heartbeat.rtt()
    }

    /// Rooms that it is in, or about to be.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.iter().map(|seat| &seat.room)
    }

    /// The same rooms, each with how many frames of it wait to be read; `None` while the room prepares an answer.
    pub fn readings(&self) -> impl Iterator<Item = (&RoomId, Option<u64>)> {
        self.rooms.iter().map(|seat| (&seat.room, seat.reader.as_ref().map(RoomReader::behind)))
    }

    /// Bytes of direct answers that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.iter().map(Frame::text_len).sum()
    }

    /// What to do about what was handled, in this order.
    pub fn take_outputs(&mut self) -> Vec<SessionOutput> {
        self.outputs.take()
    }

    /// Whether [`take_outputs`](Self::take_outputs) would give any.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Opening { until, .. } => Some(*until),
            Phase::Ready(identity) => {
                let stall = self.stalled.map(|since| since + self.limits.stall);
                let streams = self.courier.as_ref().and_then(|courier| courier.poll_timeout(&self.limits));
                let next = [
                    Some(self.heartbeat.next()),
                    stall,
                    self.unfinished_until(),
                    identity.rights.until(),
                    streams,
                ];
                next.into_iter().flatten().min()
            }
            Phase::Closed => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match &self.phase {
            Phase::Opening { until, .. } if *until <= now.at => self.close(CloseReason::NotAuthorized),
            Phase::Ready(identity) => {
                if identity.rights.until().is_some_and(|until| until <= now.at) {
                    return self.close(CloseReason::TokenExpired);
                }
                if self.stalled.is_some_and(|since| since + self.limits.stall <= now.at) {
                    return self.close(CloseReason::SlowConsumer);
                }
                if self.unfinished_until().is_some_and(|until| until <= now.at) {
                    return self.give_up_waiting();
                }
                if let Some(courier) = &mut self.courier {
                    courier.handle_timeout(now.at, self.stalled.is_none(), &self.limits);
                }
                self.beat(now);
            }
            Phase::Opening { .. } | Phase::Closed => {}
        }
    }

    fn beat(&mut self, now: Now) {
        let spread = self.connection.spread();
        match self.heartbeat.beat(now.at, spread, &self.limits) {
            Beat::Nothing => {}
            Beat::Dead => self.close(CloseReason::HeartbeatTimeout),
            Beat::Ping => {
                let rtt = self.heartbeat.rtt().map(|rtt| rtt.as_millis() as u64);
                // A peer that does not read finds one ping when it reads again, not all of them.
                self.outbox.retain(|frame| frame.kind() != crate::frame::FrameKind::Heartbeat);
                self.outbox.push(Frame::heartbeat(wire::ping(now.wall, rtt)));
            }
        }
    }

    /// The wire's own answer to a ping came.
    pub fn handle_pong(&mut self, now: Now) {
        if let Some(rtt) = self.heartbeat.answered(now.at) {
            self.outputs.push(SessionOutput::RoundTrip(rtt));
            // From here on the next ping counts, not the end of waiting for this answer.
            self.beat(now);
        }
    }

    /// A sign of life came that says nothing.
    pub fn handle_alive(&mut self, now: Now) {
        self.heartbeat.heard(now.at);
    }

    /// What became of what was written.
    pub fn handle_sent(&mut self, now: Now, sent: Sent) {
        match sent {
            Sent::All => self.stalled = None,
            Sent::Waiting => {
                self.stalled.get_or_insert(now.at);
            }
        }
    }

    /// A shard has something for this connection.
    pub fn handle_delivery(&mut self, delivery: Delivery) {
        if self.is_closed() {
            return;
        }
        match delivery {
            Delivery::Position { room, entry, frame, reader } => {
                // The answer to an entry that has been left comes too late to matter.
                if let Some(seat) = self.rooms.iter_mut().find(|seat| seat.entry == entry) {
                    let after = self.courier.as_ref().and_then(|courier| courier.told_of(&room));
                    let listen = StreamCommand::Listen { room: room.clone(), after };
                    seat.reader = Some(reader);
                    seat.asked = seat.asked.saturating_sub(1);
                    // The same id as the room's own, and not another copy of its text for every connection.
                    if self.default_room == room {
                        self.default_room = room.clone();
                    }
                    seat.room = room;
                    self.outbox.push(frame);
                    self.outputs.push(SessionOutput::Stream(listen));
                }
            }
            Delivery::NotEntered { entry, frame } => {
                self.not_entered(entry);
                self.outbox.push(frame);
            }
            Delivery::Answer(frame) => self.outbox.push(frame),
            Delivery::Refused { error, reference } => self.refuse(&error, &reference),
            Delivery::Stream(delivery) => self.handle_stream(delivery),
            Delivery::Person(person) => self.know(person),
            Delivery::Notice { room, frame } => self.hear_of(&room, frame),
            Delivery::Evict(reason) => return self.close(reason),
        }
        if self.is_overfull() {
            self.close(CloseReason::SlowConsumer);
        }
    }

    /// Whether more waits for the peer than may. One answer may be as large as it is.
    fn is_overfull(&self) -> bool {
        let answers = self.outbox.len();
        answers > self.limits.mailbox_max
            || (answers > 1 && self.waiting_bytes() > self.limits.mailbox_bytes_max)
    }

    /// The server is going away: says so and closes.
    pub fn handle_drain(&mut self, retry_after_millis: u64) {
        if !self.is_closed() {
            self.outbox.push(Frame::one(wire::server_draining(retry_after_millis)));
            self.close(CloseReason::Draining);
        }
    }

    /// The transport broke the connection's rules for its size or form: says what, and closes.
    pub fn handle_violation(&mut self, error: &CommandError) {
        if !self.is_closed() {
            self.refuse(error, &None);
            self.close(CloseReason::ProtocolAbused);
        }
    }

    /// Adds to `frames` what should be written now: direct answers, then messages, then what the rooms say. Call it only
    /// when the wire takes more, and when every delivery that is there has been handled: a room's answer is older than what
    /// the room has said since. Says whether there is more than fitted.
    pub fn gather(&mut self, now: Now, frames: &mut Vec<Frame>) -> bool {
        frames.append(&mut self.outbox.take());
        if self.is_closed() {
            return false;
        }
        let mut more = self.gather_streams(now, frames);
        for seat in self.rooms.iter_mut() {
            let Some(reader) = &mut seat.reader else { continue };
            let command = match reader.gather(frames, self.limits.gather_bytes_max) {
                Gathered::Everything => continue,
                Gathered::More => {
                    more = true;
                    continue;
                }
                Gathered::LiveGone => RoomCommand::LiveNow,
                Gathered::PresenceGone => {
                    seat.reader = None;
                    // A fresh start is answered as a request to enter is: until then the seat is kept.
                    seat.asked += 1;
                    RoomCommand::Restart { entry: seat.entry }
                }
            };
            self.outputs.push(SessionOutput::Route { room: seat.room.clone(), command });
        }
        more
    }

    fn identify(&mut self, now: Now, profile: Arc<Profile>, rights: Rights, reference: &Reference) {
        let Phase::Opening { session, chosen_by, attempt, .. } = &self.phase else { return };
        let (session, chosen_by, attempt) = (session.clone(), *chosen_by, *attempt);
        let user = profile.id.clone();
        self.outputs.push(SessionOutput::Attach { user, session: session.clone(), attempt });
        let said = Arc::clone(&profile);
        if *said != Profile::of_user(said.id.clone()) {
            self.outputs.push(SessionOutput::Said(Arc::clone(&said)));
        }
        let identity = Identity { profile, said, kept: None, session, chosen_by, rights, active: true };
        let ready = Phase::Ready(identity);
        let before = std::mem::replace(&mut self.phase, ready);
        self.say_connected(now, reference);
        self.beat(now);
        if let Phase::Opening { entry, .. } = before
            && let OwnEntry::Enter(since) = *entry
            && let Err(error) =
                self.enter(self.default_room.clone(), Wish { since, ..Wish::default() }, &None)
        {
            self.refuse(&error, &None);
        }
    }

    fn say_connected(&mut self, now: Now, reference: &Reference) {
        let Phase::Ready(Identity { profile, session, .. }) = &self.phase else { return };
        let message = wire::connected(self.connection, profile, session, now.wall, &self.limits, reference);
        self.say(message);
    }

    fn say(&mut self, message: Message) {
        self.outbox.push(Frame::one(message));
    }

    fn refuse(&mut self, error: &CommandError, reference: &Reference) {
        self.outputs.push(SessionOutput::Refused(error.code));
        self.say(wire::error(error, reference));
    }
}
