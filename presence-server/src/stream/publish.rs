//! A message's way into the store, and back to its sender.

use std::sync::Arc;
use std::time::Duration;

use presence_core::audit::{Breaches, Invariant};
use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::Frame;
use presence_core::id::{Generation, RoomId, UserId};
use presence_core::port::store::{Appended, Standing, StoreError};
use presence_core::session::{Delivery, Standing as Right, StreamDelivery};
use presence_core::stream::{MessageKind, NewMessage, Seq, StoredMessage};
use presence_core::time::Now;
use presence_core::wire::{self, Kept, Reference};
use tracing::{debug, warn};

use super::hub::Hub;
use super::{Incoming, Origin, Taken, busy, told};
use crate::audit;
use crate::metrics::Outcome;

/// What became of a call to the store.
pub(super) enum Done {
    /// Nobody waits for it.
    Nothing,
    /// Where a user stands.
    Place { room: RoomId, user: UserId, result: Result<Standing, StoreError> },
    /// The same, of a connection that has been told of messages up to a place.
    CaughtUp {
        generation: Generation,
        room: RoomId,
        user: UserId,
        after: Seq,
        result: Result<Standing, StoreError>,
    },
    /// A message.
    Message(Box<Published>),
    /// A message that somebody else has put into the store.
    Kept { stored: Box<StoredMessage>, arrived: Duration },
}

/// A message on its way back.
pub(super) struct Published {
    message: NewMessage,
    origin: Origin,
    reference: Reference,
    arrived: Duration,
    result: Result<Appended, Refusal>,
}

/// Why a message was not kept.
enum Refusal {
    /// Its sender is neither in the room nor on its roster.
    NotJoined,
    Store(StoreError),
}

impl Hub {
    /// Puts a message in line, after those who should receive it and are not known to the store as receivers.
    pub(super) fn publish(&mut self, now: Now, incoming: Incoming) {
        let Incoming { publish, correlation, origin, arrived } = incoming;
        let (sender, reference) = (publish.sender, publish.reference);
        if self.line.len() >= self.world.limits.hub_inbox_max {
            self.world.metrics.message_published(Outcome::Busy, None);
            return refuse(origin, busy(), reference);
        }
        let room = publish.room;
        self.open_inbox(&room);
        let mut right = publish.standing;
        let seats = self.streams.get(&room);
        if seats.is_some_and(|seats| seats.any_of(self.connections.of(&sender))) {
            right = Right::Sure;
        }
        self.ask_for_strangers(&room);
        let message = NewMessage {
            room,
            kind: MessageKind::Message,
            sender,
            sender_name: publish.sender_name,
            id: publish.id,
            body: publish.body,
            correlation,
            at: now.wall,
        };
        let store = Arc::clone(&self.world.store);
        self.line.join(async move {
            let kept = message.clone();
            let result = match right {
                Right::Sure => store.append(kept).await.map_err(Refusal::Store),
                Right::OnRoster => match store.is_member(&message.room, &message.sender).await {
                    Ok(true) => store.append(kept).await.map_err(Refusal::Store),
                    Ok(false) => Err(Refusal::NotJoined),
                    Err(error) => Err(Refusal::Store(error)),
                },
            };
            Done::Message(Box::new(Published { message, origin, reference, arrived, result }))
        });
    }

    /// Somebody else has put a message into the store. It stands in line like any other: who has just connected must not
    /// have it before what waited for them.
    pub(super) fn pass_on(&mut self, stored: Box<StoredMessage>) {
        let arrived = self.world.clock.elapsed();
        self.open_inbox(&stored.message.room);
        self.ask_for_strangers(&stored.message.room);
        self.line.join(async move { Done::Kept { stored, arrived } });
    }

    /// Has the store say where those stand who listen and are not known as receivers.
    fn ask_for_strangers(&mut self, room: &RoomId) {
        let Some(seats) = self.streams.get_mut(room) else { return };
        for user in seats.take_strangers() {
            let (store, room) = (Arc::clone(&self.world.store), room.clone());
            self.line.join(async move {
                let result = store.subscribe(&room, &user).await;
                Done::Place { room, user, result }
            });
        }
    }

    /// A call is done with.
    pub(super) fn finish(&mut self, now: Now, done: Done) {
        match done {
            Done::Nothing => {}
            Done::Place { room, user, result } => self.place(&room, &user, result),
            Done::CaughtUp { generation, room, user, after, result } => {
                self.caught_up(generation, &room, &user, after, result);
            }
            Done::Message(published) => self.published(now, *published),
            Done::Kept { stored, arrived } => self.append(now.at, *stored, None, arrived),
        }
    }

    fn published(&mut self, now: Now, published: Published) {
        let Published { message, origin, reference, arrived, result } = published;
        let correlation = Arc::clone(&message.correlation);
        match result {
            Ok(appended) => {
                let (seq, at, outcome) = match appended {
                    Appended::New { seq } => (seq, message.at, Outcome::New),
                    Appended::Again { seq, at } => (seq, at, Outcome::Again),
                };
                let took = self.world.clock.elapsed().saturating_sub(arrived);
                self.world.metrics.message_published(outcome, Some(took));
                debug!(correlation = &*correlation, room = %message.room, seq = seq.number(), outcome = outcome.as_str(), "message kept");
                let taken = Taken { id: message.id.clone(), room: message.room.clone(), seq, at };
                let from = if let Origin::Connection { connection, .. } = &origin {
                    Some(*connection)
                } else {
                    None
                };
                self.acknowledge_sender(origin, taken, reference);
                if let Appended::New { seq } = appended {
                    self.check_order(&message.room, seq);
                    self.world.notices.message(seq, &message);
                    self.append(now.at, StoredMessage { seq, message }, from, arrived);
                }
            }
            Err(refusal) => {
                let (error, outcome) = refusal.told(&message.room);
                self.world.metrics.message_published(outcome, None);
                debug!(correlation = &*correlation, room = %message.room, outcome = outcome.as_str(), "message not kept");
                refuse(origin, error, reference);
            }
        }
    }

    /// What is kept later has a later place: whoever reads by places would never find it otherwise.
    fn check_order(&mut self, room: &RoomId, seq: Seq) {
        let Some(seats) = self.streams.get_mut(room) else { return };
        let before = std::mem::replace(&mut seats.kept, seq);
        let mut breaches = Breaches::default();
        breaches.expect(Invariant::Order, before < seq, || format!("message {seq} was kept after {before}"));
        audit::violated(&self.world.metrics, breaches.of(Some(room)));
    }

    fn acknowledge_sender(&self, origin: Origin, taken: Taken, reference: Reference) {
        match origin {
            Origin::Connection { mailbox, .. } => {
                let kept = taken.kept(self.world.store.durability());
                let frame = Frame::one(wire::message_ack(kept, &reference));
                let (room, seq) = (taken.room, taken.seq);
                mailbox.deliver(Delivery::Stream(StreamDelivery::Kept { room, seq, frame }));
            }
            // Whoever asked may have gone.
            Origin::Call(answer) => drop(answer.send(Ok(taken))),
        }
    }
}

impl Taken {
    /// As the wire says it.
    pub fn kept(&self, durability: presence_core::port::store::Durability) -> Kept<'_> {
        Kept { id: &self.id, room: &self.room, seq: self.seq, at: self.at, durability }
    }
}

impl Refusal {
    fn told(&self, room: &RoomId) -> (CommandError, Outcome) {
        match self {
            Self::NotJoined => {
                let message = format!("you are neither in {room} nor on its roster");
                (CommandError::field(ErrorCode::NotJoined, "room", message), Outcome::NotJoined)
            }
            Self::Store(StoreError::Conflict(_)) => {
                let message = "you have used this `id` for another message";
                (CommandError::field(ErrorCode::Conflict, "id", message), Outcome::Conflict)
            }
            Self::Store(error) => {
                let outcome = if *error == StoreError::Busy { Outcome::Busy } else { Outcome::Unavailable };
                if let StoreError::Unavailable(why) = error {
                    warn!(why, "a message could not be kept");
                }
                (told(error), outcome)
            }
        }
    }
}

fn refuse(origin: Origin, error: CommandError, reference: Reference) {
    match origin {
        Origin::Connection { mailbox, .. } => mailbox.deliver(Delivery::Refused { error, reference }),
        // Whoever asked may have gone.
        Origin::Call(answer) => drop(answer.send(Err(error))),
    }
}
