//! One hub's task: it takes in what is said to its streams, puts it into the store in that order, and wakes those who
//! receive it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use presence_core::audit::{Breaches, Invariant};
use presence_core::frame::Frame;
use presence_core::id::{ConnectionId, RoomId, UserId};
use presence_core::port::store::{Standing, StoreError};
use presence_core::session::{Delivery, beyond};
use presence_core::stream::{Seq, StoredMessage, TailMessage};
use presence_core::time::{Now, Timestamp};
use presence_core::wire::{self, Reference};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{debug, error};

use super::absence::Absence;
use super::connected::Connections;
use super::line::Line;
use super::missed::Asked;
use super::publish::Done;
use super::seats::{Seats, Why};
use super::{Inbound, Who, World, told};
use crate::audit;

/// Inputs that are taken in before anything else is looked at.
const BATCH: usize = 256;

/// How often cursors that have moved are written down, and what has ended is looked for. A process that is killed forgets
/// the acknowledgements of this span: those messages come again, and their receivers know them already.
const TICK: Duration = Duration::from_millis(500);

/// Cursors that are written down at the same time.
const ACKS_AT_ONCE: usize = 1_024;

/// A hub at work.
pub(super) struct Hub {
    pub(super) world: World,
    inputs: mpsc::Receiver<Inbound>,
    /// Every connection; to find those of one user as well.
    pub(super) connections: Connections,
    /// Those that somebody listens to, or that have news. An inbox is there once it has had a message, see
    /// [`open_inbox`](Self::open_inbox).
    pub(super) streams: HashMap<RoomId, Seats>,
    pub(super) line: Line<Done>,
    /// Cursors that have moved since they were last written down.
    pub(super) dirty: BTreeMap<(RoomId, UserId), Seq>,
    acking: JoinSet<Written>,
    /// When receivers are forgotten whose connections have gone.
    pub(super) ends: BTreeSet<(Timestamp, RoomId, UserId)>,
    /// Streams with something in memory, and when that came.
    fresh: VecDeque<(Timestamp, RoomId)>,
    /// Who has no connection, if a backend wants to know.
    pub(super) absence: Option<Absence>,
    /// Rosters that are being read for it.
    pub(super) asking: JoinSet<Asked>,
    /// Those who wait until everything is written down.
    flushing: Vec<oneshot::Sender<()>>,
}

/// What became of a cursor on its way to the store.
struct Written {
    room: RoomId,
    user: UserId,
    seq: Seq,
    result: Result<Standing, StoreError>,
}

impl Hub {
    pub(super) fn new(world: World, inputs: mpsc::Receiver<Inbound>) -> Self {
        let opening = world.clock.now().at + world.limits.grace;
        let absence = world.notices.wants_absent().then(|| Absence::new(opening));
        Self {
            world,
            inputs,
            connections: Connections::default(),
            streams: HashMap::new(),
            line: Line::new(),
            dirty: BTreeMap::new(),
            acking: JoinSet::new(),
            ends: BTreeSet::new(),
            fresh: VecDeque::new(),
            absence,
            asking: JoinSet::new(),
            flushing: Vec::new(),
        }
    }

    /// Until nobody can speak to it any more.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut done = Vec::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.inputs.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    let now = self.world.clock.now();
                    for inbound in batch.drain(..) {
                        self.take_in(now, inbound);
                    }
                }
                () = poll_fn(|cx| self.line.poll_done(cx, &mut done)) => {
                    let now = self.world.clock.now();
                    for done in done.drain(..) {
                        self.finish(now, done);
                    }
                }
                Some(written) = self.acking.join_next() => {
                    if let Ok(written) = written {
                        self.written(written);
                    }
                }
                Some(Ok(asked)) = self.asking.join_next() => {
                    let now = self.world.clock.now();
                    self.roster_read(now.at, asked);
                }
                _ = tick.tick() => self.tick(),
            }
            self.settle_flush();
        }
    }

    fn take_in(&mut self, now: Now, inbound: Inbound) {
        match inbound {
            Inbound::Attach { who, mailbox } => self.attach(who, mailbox),
            Inbound::Detach { who, how } => self.detach(now.at, who, how),
            Inbound::Listen { who, room, after } => {
                self.open_inbox(&room);
                let why = if room.inbox_of().is_some() { Why::Member } else { Why::Present };
                self.listen(&who, &room, why);
                if let Some(after) = after {
                    self.catch_up(who, room, after);
                }
            }
            Inbound::JoinsRoster { who, room } => self.listen(&who, &room, Why::Member),
            Inbound::Leave { who, room, sent } => self.leave(&who, &room, sent),
            Inbound::Stands { who, room, standing, roster } => {
                self.stands(now.at, &who, &room, standing, roster);
            }
            Inbound::Publish(incoming) => self.publish(now, *incoming),
            Inbound::Acknowledge { who, room, seq, unsure } => self.acknowledge(who, room, seq, unsure),
            Inbound::Kept(stored) => self.pass_on(stored),
            Inbound::Removed { room, user } => self.remove_member(&room, &user),
            Inbound::Listeners { room, user, answer } => {
                // Whoever asked may have gone.
                let _ = answer.send(self.listening(&room, &user));
            }
            Inbound::Flush { answer } => {
                self.flushing.push(answer);
                // Who comes back to the next server gets what waits; this one will not see it.
                self.give_up_absent(Timestamp::from_millis(u64::MAX));
                self.write_cursors(usize::MAX);
            }
        }
    }

    fn acknowledge(&mut self, who: Who, room: RoomId, seq: Seq, unsure: Option<Reference>) {
        let Some(connected) = self.connections.get(&who) else { return };
        let user = who.user;
        let seats = self.streams.get(&room);
        let head = seats.map_or_else(Seq::default, |seats| seats.head);
        let held = seats.and_then(|seats| seats.receivers.get(&user));
        let Some(reference) = unsure else {
            if let Some(held) = held {
                held.receiver.acknowledge(seq);
            }
            return self.note_acked(room, user, seq);
        };
        if let Some(receiver) = held.map(|held| held.receiver.clone()) {
            // A sync may have brought more than was sent.
            if seq > receiver.sent().max(head) {
                connected.mailbox.deliver(Delivery::Refused { error: beyond(), reference });
            } else if receiver.acknowledge(seq) {
                self.note_acked(room, user, seq);
            }
            return;
        }
        // Nothing is known of them here: the store has to say.
        let (store, mailbox) = (Arc::clone(&self.world.store), Arc::clone(&connected.mailbox));
        self.line.join(async move {
            let error = match store.acknowledge(&room, &user, seq).await {
                Ok(_) => return Done::Nothing,
                Err(StoreError::Conflict(_)) => beyond(),
                Err(error) => told(&error),
            };
            mailbox.deliver(Delivery::Refused { error, reference });
            Done::Nothing
        });
    }

    pub(super) fn note_acked(&mut self, room: RoomId, user: UserId, seq: Seq) {
        let noted = self.dirty.entry((room, user)).or_default();
        *noted = seq.max(*noted);
    }

    fn written(&mut self, written: Written) {
        let Written { room, user, seq, result } = written;
        if let Ok(Standing { cursor, head }) = result {
            let mut breaches = Breaches::default();
            breaches.expect(Invariant::Acknowledgement, seq <= cursor && cursor <= head, || {
                format!("{user} acknowledged {seq}, and the store has {cursor} of {head}")
            });
            audit::violated(&self.world.metrics, breaches.of(Some(&room)));
        }
        // A store that is in trouble comes back. Whoever is no receiver in it has nothing waiting there.
        let again = matches!(result, Err(StoreError::Unavailable(_) | StoreError::Busy));
        if again && self.flushing.is_empty() {
            self.note_acked(room, user, seq);
        }
    }

    fn tick(&mut self) {
        let now = self.world.clock.now().at;
        self.give_up_absent(now);
        self.write_cursors(ACKS_AT_ONCE);
        while self.ends.first().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, room, user)) = self.ends.pop_first() else { break };
            let listening =
                self.streams.get(&room).is_some_and(|seats| seats.any_of(self.connections.of(&user)));
            if !listening {
                self.end(&room, &user);
            }
            self.forget_if_empty(&room);
        }
        let rested = self.world.limits.tail_age_max;
        while self.fresh.front().is_some_and(|(since, _)| *since + rested <= now) {
            let Some((_, room)) = self.fresh.pop_front() else { break };
            let Some(seats) = self.streams.get_mut(&room) else { continue };
            match seats.fresh_since.filter(|since| *since + rested > now) {
                Some(since) => self.fresh.push_back((since, room)),
                None => seats.rest(),
            }
        }
    }

    /// Writes down cursors that have moved.
    fn write_cursors(&mut self, at_once: usize) {
        while self.acking.len() < at_once
            && let Some(((room, user), seq)) = self.dirty.pop_first()
        {
            let store = Arc::clone(&self.world.store);
            self.acking.spawn(async move {
                let result = store.acknowledge(&room, &user, seq).await;
                Written { room, user, seq, result }
            });
        }
    }

    fn settle_flush(&mut self) {
        if !self.flushing.is_empty()
            && self.dirty.is_empty()
            && self.acking.is_empty()
            && self.asking.is_empty()
            && self.line.len() == 0
        {
            for answer in self.flushing.drain(..) {
                let _ = answer.send(());
            }
        }
    }

    /// A message is in the store: whoever is there gets it.
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        stored: StoredMessage,
        from: Option<ConnectionId>,
        arrived: Duration,
    ) {
        let seq = stored.seq;
        self.look_for_absent(now, &stored.message.room, seq, &stored.message.sender);
        self.open_inbox(&stored.message.room);
        let Some(seats) = self.streams.get_mut(&stored.message.room) else { return };
        let message = TailMessage {
            seq,
            frame: Frame::one(wire::stream_message(&stored)),
            from,
            expires: now + self.world.limits.message_age_max,
        };
        seats.tail_for(seq).append(message, &self.world.limits);
        let (room, user) = (stored.message.room.clone(), stored.message.sender.clone());
        // As the store does: what a user has sent themselves, with nothing else waiting, they have.
        let own = seats.receivers.get(&user).map(|held| held.receiver.clone());
        if seats.fresh_since.replace(now).is_none() {
            self.fresh.push_back((now, room.clone()));
        }
        let late = seats.wake(&room, seq, arrived);
        debug!(
            %room,
            seq = seq.number(),
            correlation = &*stored.message.correlation,
            listeners = seats.listeners().len(),
            "message handed out"
        );
        for who in late {
            self.catch_up(who, room.clone(), Seq::new(seq.number() - 1));
        }
        if let Some(receiver) = own
            && receiver.acked().next() == seq
            && receiver.acknowledge(seq)
        {
            self.note_acked(room, user, seq);
        }
    }
}

/// Streams whose hub has panicked would say nothing to anybody again. A process that ends is started anew, and its clients
/// come back.
impl Drop for Hub {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("a hub of streams has panicked; the server ends");
            std::process::abort();
        }
    }
}
