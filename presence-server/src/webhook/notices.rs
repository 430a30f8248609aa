//! Where the server says what a backend may want to know. Saying it never waits: what does not fit goes, the oldest first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use presence_core::id::{Epoch, RoomId, UserId};
use presence_core::room::Movement;
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;
use tokio::sync::Notify;

use super::Settings;
use super::event::{self, EventKind};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// Tells backends what happens, or nobody if none wants to know. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Notices(Option<Arc<Door>>);

/// What was said and is not kept yet.
#[derive(Debug)]
struct Door {
    wanted: Vec<EventKind>,
    /// Events that wait here at most.
    held_max: usize,
    queue: Mutex<Queue>,
    bell: Notify,
    clock: Clock,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Bytes>,
    /// Events before these that had to go.
    dropped: u64,
    closed: bool,
}

impl Notices {
    /// For nobody.
    pub fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(settings: &Settings, clock: Clock, metrics: &Metrics) -> Self {
        Self(Some(Arc::new(Door {
            wanted: settings.events.clone(),
            held_max: settings.held_max,
            queue: Mutex::default(),
            bell: Notify::new(),
            clock,
            metrics: metrics.clone(),
        })))
    }

    /// Who came into a room and who went, in the order of its versions.
    pub(crate) fn moved(&self, room: &RoomId, epoch: &Epoch, at: WallTime, movements: &[Movement]) {
        let Some(door) = &self.0 else { return };
        let wanted = movements.iter().filter(|movement| door.wants(EventKind::of(movement)));
        door.say(wanted.map(|movement| event::moved(room, epoch, at, movement)));
    }

    /// A message has its place in its stream. To be called once for each, in the order of a room's places.
    pub fn message(&self, seq: Seq, message: &NewMessage) {
        let Some(door) = &self.0 else { return };
        if door.wants(EventKind::Message) {
            door.say([event::message(seq, message)]);
        }
    }

    /// A message waits for a user who is nowhere connected: a backend may want to send them a push notification.
    pub fn absent(&self, room: &RoomId, user: &UserId, seq: Seq) {
        let Some(door) = &self.0 else { return };
        if door.wants(EventKind::UserAbsent) {
            door.say([event::absent(room, user, seq, door.clock.now().wall)]);
        }
    }

    /// Whether anybody wants to know who is absent, for those who would have to look for it first.
    pub fn wants_absent(&self) -> bool {
        self.0.as_ref().is_some_and(|door| door.wants(EventKind::UserAbsent))
    }

    /// Nothing is taken in after this.
    pub(super) fn close(&self) {
        let Some(door) = &self.0 else { return };
        door.queue().closed = true;
        door.bell.notify_one();
    }

    /// The next events to keep, as soon as there are some; `None` when it is closed and empty.
    pub(super) async fn take(&self, max: usize) -> Option<Vec<Bytes>> {
        let door = self.0.as_ref()?;
        loop {
            if let Some(taken) = door.take_now(max) {
                return taken;
            }
            door.bell.notified().await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.as_ref().is_none_or(|door| door.queue().closed)
    }
}

impl Door {
    fn wants(&self, kind: EventKind) -> bool {
        self.wanted.contains(&kind)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, events: impl IntoIterator<Item = Bytes>) {
        let mut dropped = 0;
        {
            let mut queue = self.queue();
            for event in events {
                if queue.closed {
                    dropped += 1;
                    continue;
                }
                if queue.events.len() >= self.held_max {
                    queue.events.pop_front();
                    queue.dropped += 1;
                    dropped += 1;
                }
                queue.events.push_back(event);
            }
        }
        self.metrics.webhook_events_dropped(dropped);
        self.bell.notify_one();
    }

    /// What is there; nothing yet, or nothing ever again.
    fn take_now(&self, max: usize) -> Option<Option<Vec<Bytes>>> {
        let mut queue = self.queue();
        if queue.events.is_empty() && queue.dropped == 0 {
            return queue.closed.then_some(None);
        }
        let gone = std::mem::take(&mut queue.dropped);
        let gone = (gone > 0).then(|| event::dropped(gone, self.clock.now().wall));
        let count = max.min(queue.events.len());
        Some(Some(gone.into_iter().chain(queue.events.drain(..count)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn notices(held_max: usize, wanted: &[EventKind]) -> Notices {
        let door = Door {
            wanted: wanted.to_vec(),
            held_max,
            queue: Mutex::default(),
            bell: Notify::new(),
            clock: Clock::start(),
            metrics: Metrics::new(),
        };
        Notices(Some(Arc::new(door)))
    }

    fn absent(notices: &Notices, seq: u64) {
        notices.absent(&RoomId::parse("doc").unwrap(), &UserId::parse("ann").unwrap(), Seq::new(seq));
    }

    async fn taken(notices: &Notices, max: usize) -> Vec<Value> {
        let events = notices.take(max).await.unwrap();
        events.iter().map(|event| serde_json::from_slice(event).unwrap()).collect()
    }

    fn seqs(events: &[Value]) -> Vec<u64> {
        events.iter().filter_map(|event| event["seq"].as_u64()).collect()
    }

    #[tokio::test]
    async fn what_is_said_comes_out_in_order_and_a_bit_at_a_time() {
        let notices = notices(10, &EventKind::ALL);
        (1..=5).for_each(|seq| absent(&notices, seq));
        assert_eq!(seqs(&taken(&notices, 3).await), [1, 2, 3]);
        notices.close();
        absent(&notices, 6);
        assert_eq!(seqs(&taken(&notices, 3).await), [4, 5]);
        assert!(notices.take(3).await.is_none());
    }

    #[tokio::test]
    async fn beyond_the_bound_the_oldest_go_and_the_next_says_how_many() {
        let notices = notices(3, &EventKind::ALL);
        (1..=5).for_each(|seq| absent(&notices, seq));
        let events = taken(&notices, 2).await;
        assert_eq!((&events[0]["type"], &events[0]["count"]), (&json!("events_dropped"), &json!(2)));
        assert_eq!(seqs(&events), [3, 4]);
        assert_eq!(seqs(&taken(&notices, 2).await), [5]);
    }

    #[tokio::test]
    async fn what_nobody_asked_for_is_not_said() {
        let notices = notices(3, &[EventKind::Message]);
        absent(&notices, 1);
        assert!(!notices.wants_absent() && !Notices::off().wants_absent());
        absent(&Notices::off(), 1);
        notices.close();
        assert!(notices.take(1).await.is_none());
    }

    #[tokio::test]
    async fn whoever_waits_hears_the_first_word() {
        let notices = notices(3, &EventKind::ALL);
        let waiting = tokio::spawn({
            let notices = notices.clone();
            async move { taken(&notices, 1).await }
        });
        absent(&notices, 1);
        assert_eq!(seqs(&waiting.await.unwrap()), [1]);
    }
}
