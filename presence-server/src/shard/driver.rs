//! One shard's task: puts in what has come, takes out what the shard wants done. It decides nothing about presence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use presence_core::id::Generation;
use presence_core::session::Delivery;
use presence_core::shard::{RoomKey, RoomReading, Shard, ShardOutput, Tally};
use presence_core::time::{Now, Timestamp};
use presence_core::window::RoomReader;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use super::Inbound;
use super::alarm::Alarm;
use super::look::Sight;
use crate::audit;
use crate::clock::Clock;
use crate::connection::mailbox::Mailbox;
use crate::metrics::{Metrics, ShardGauges};
use crate::webhook::Notices;

/// Inputs that are taken in before anything is handed out.
const BATCH: usize = 256;

/// How often a shard looks whether all is as it must be.
const AUDIT: Duration = Duration::from_secs(1);

/// How many members it looks at then: some 15 µs of work. A room that has more is looked at less often.
const AUDITED_MEMBERS: usize = 32;

/// A build that is not for use looks after everything that happened, and at more; a large room still has to wait for its
/// turn, or a storm of joins would cost the square of its size.
const AUDITED_MEMBERS_IN_TESTS: usize = 64;

/// A shard at work.
pub(super) struct Driver {
    number: usize,
    shard: Shard,
    inputs: mpsc::Receiver<Inbound>,
    clock: Clock,
    metrics: Metrics,
    notices: Notices,
    gauges: ShardGauges,
    /// What the metrics have been told.
    told: Tally,
    mailboxes: HashMap<Generation, Arc<Mailbox>>,
    /// By [`RoomKey::index`].
    listeners: Vec<Listeners>,
    questions: HashMap<u64, oneshot::Sender<Arc<RoomReading>>>,
    tickets: u64,
    /// When it looks again.
    audit: Timestamp,
}

/// Who is woken when a room has news, in the order of generations: newcomers go to the end.
#[derive(Default)]
pub(super) struct Listeners(Vec<(Generation, Arc<Mailbox>)>);

impl Listeners {
    fn add(&mut self, generation: Generation, mailbox: &Arc<Mailbox>) {
        if let Err(index) = self.0.binary_search_by_key(&generation, |(listening, _)| *listening) {
            if self.0.len() == self.0.capacity() {
                // Most rooms are small, and half of what is doubled would lie idle.
                self.0.reserve_exact(1 + self.0.len() / 8);
            }
            self.0.insert(index, (generation, Arc::clone(mailbox)));
        }
    }

    fn remove(&mut self, generation: Generation) {
        if let Ok(index) = self.0.binary_search_by_key(&generation, |(listening, _)| *listening) {
            self.0.remove(index);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The mailboxes of some, those who have listened longest.
    pub(super) fn first(&self, count: usize) -> Vec<Arc<Mailbox>> {
        self.0.iter().take(count).map(|(_, mailbox)| Arc::clone(mailbox)).collect()
    }

    fn wake(&self, since: Timestamp) {
        wake_all(self.0.iter().map(|(_, mailbox)| mailbox), since);
    }
}

impl Driver {
    pub(super) fn new(
        number: usize,
        shard: Shard,
        inputs: mpsc::Receiver<Inbound>,
        clock: Clock,
        metrics: Metrics,
        notices: Notices,
    ) -> Self {
        Self {
            number,
            shard,
            inputs,
            clock,
            gauges: metrics.shard_gauges(number),
            metrics,
            notices,
            told: Tally::default(),
            mailboxes: HashMap::new(),
            listeners: Vec::new(),
            questions: HashMap::new(),
            tickets: 0,
            audit: Timestamp::default(),
        }
    }

    /// Until nobody can speak to the shard any more, or it has handed over.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut alarm = Alarm::new(self.clock);
        loop {
            alarm.set(self.next_due());
            tokio::select! {
                biased;
                received = self.inputs.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                }
                // What is due is done after each batch, however many come.
                () = alarm.rings() => {}
            }
            let now = self.clock.now();
            let mut detached = Vec::new();
            let mut heir = None;
            for inbound in batch.drain(..) {
                match inbound {
                    Inbound::HandOver { answer } => heir = Some(answer),
                    Inbound::Look(look) => {
                        // What came before it in this batch is to be seen by it.
                        self.carry_out_all();
                        look.at(&self.sight(now));
                    }
                    inbound => self.take_in(now, inbound, &mut detached),
                }
            }
            self.shard.handle_timeout(now);
            self.audit(now);
            self.carry_out_all();
            for generation in detached {
                self.mailboxes.remove(&generation);
            }
            self.tell_metrics();
            if let Some(heir) = heir {
                self.shard.audit(now, usize::MAX);
                let rooms = self.shard.hand_over(now);
                self.carry_out_all();
                // Whoever asked may have run out of time.
                let _ = heir.send(rooms);
                break;
            }
        }
    }

    /// When the shard has something to do, unless somebody speaks to it. One without rooms has nothing to look at.
    fn next_due(&self) -> Option<Timestamp> {
        let audit = (self.shard.room_count() > 0).then_some(self.audit);
        self.shard.poll_timeout().into_iter().chain(audit).min()
    }

    fn audit(&mut self, now: Now) {
        if cfg!(debug_assertions) {
            self.shard.audit(now, AUDITED_MEMBERS_IN_TESTS);
        }
        if self.audit <= now.at {
            self.shard.audit(now, AUDITED_MEMBERS);
            self.audit = now.at + AUDIT;
        }
    }

    fn sight(&self, now: Now) -> Sight<'_> {
        let Self { shard, mailboxes, listeners, .. } = self;
        Sight { shard, now: now.at, mailboxes, listeners }
    }

    fn take_in(&mut self, now: Now, mut inbound: Inbound, detached: &mut Vec<Generation>) {
        match &mut inbound {
            Inbound::Attach { generation, mailbox, .. } => {
                self.mailboxes.insert(*generation, Arc::clone(mailbox));
                detached.retain(|gone| gone != generation);
            }
            Inbound::Detach { generation, .. } => detached.push(*generation),
            Inbound::Command { generation, room, .. } => {
                let (shard, generation) = (self.number, generation.number());
                debug!(shard, generation, room = room.as_str(), "command");
            }
            Inbound::Kick { .. }
            | Inbound::Look(_)
            | Inbound::Knock { .. }
            | Inbound::Freeze
            | Inbound::HandOver { .. } => {}
            Inbound::Read { answer, .. } => {
                self.tickets += 1;
                let (closed, _) = oneshot::channel();
                self.questions.insert(self.tickets, std::mem::replace(answer, closed));
            }
        }
        if let Some(input) = inbound.into_input(self.tickets) {
            self.shard.handle_input(now, input);
        }
    }

    fn carry_out_all(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: ShardOutput) {
        match output {
            ShardOutput::Position { to, room, name, entry, frame, reader } => {
                let Some(mailbox) = self.mailboxes.get(&to) else { return };
                if let RoomReader::Feed(_) = reader {
                    listeners(&mut self.listeners, room).add(to, mailbox);
                }
                mailbox.deliver(Delivery::Position { room: name, entry, frame, reader });
            }
            ShardOutput::Silence { to, room } => listeners(&mut self.listeners, room).remove(to),
            ShardOutput::NotEntered { to, entry, frame } => {
                debug!(shard = self.number, generation = to.number(), "entry refused");
                self.deliver(to, Delivery::NotEntered { entry, frame });
            }
            ShardOutput::Answer { to, frame } => self.deliver(to, Delivery::Answer(frame)),
            ShardOutput::Evict { to, reason } => self.deliver(to, Delivery::Evict(reason)),
            ShardOutput::Wake { room, name, version, messages, since } => {
                let listeners = listeners(&mut self.listeners, room);
                let (room, version, listeners_count) = (name.as_str(), version.number(), listeners.0.len());
                debug!(
                    shard = self.number,
                    room,
                    version,
                    messages,
                    listeners = listeners_count,
                    "handed out"
                );
                listeners.wake(since);
            }
            ShardOutput::Show { name, to, since } => {
                debug!(shard = self.number, room = name.as_str(), watchers = to.len(), "windows shown");
                wake_all(to.iter().filter_map(|to| self.mailboxes.get(to)), since);
            }
            ShardOutput::Moved { room, epoch, at, movements } => {
                self.notices.moved(&room, &epoch, at, &movements);
            }
            ShardOutput::Reading { ticket, reading } => {
                if let Some(answer) = self.questions.remove(&ticket) {
                    // Whoever asked may have gone.
                    let _ = answer.send(reading);
                }
            }
            ShardOutput::Violated(violation) => audit::say(&violation),
            ShardOutput::Closed { room } => *listeners(&mut self.listeners, room) = Listeners::default(),
        }
    }

    fn deliver(&self, to: Generation, delivery: Delivery) {
        if let Some(mailbox) = self.mailboxes.get(&to) {
            mailbox.deliver(delivery);
        }
    }

    fn tell_metrics(&mut self) {
        self.metrics.shard(self.number, &self.gauges, &self.shard, &mut self.told, self.inputs.len());
    }
}

/// Rooms whose shard has panicked can not be trusted and would answer nobody again. A process that ends is started
/// anew, and its clients come back.
impl Drop for Driver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(shard = self.number, "a shard has panicked; the server ends");
            std::process::abort();
        }
    }
}

/// Wakes all; the last one measures how long the news took, since it had to wait for all the others.
fn wake_all<'a>(mailboxes: impl Iterator<Item = &'a Arc<Mailbox>>, since: Timestamp) {
    let mut mailboxes = mailboxes.peekable();
    while let Some(mailbox) = mailboxes.next() {
        match mailboxes.peek() {
            Some(_) => mailbox.wake(),
            None => mailbox.wake_and_measure(since),
        }
    }
}

fn listeners(all: &mut Vec<Listeners>, room: RoomKey) -> &mut Listeners {
    if all.len() <= room.index() {
        all.resize_with(room.index() + 1, Listeners::default);
    }
    &mut all[room.index()]
}
