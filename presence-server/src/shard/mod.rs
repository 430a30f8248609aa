//! The shards: each owns a set of rooms and runs in a task of its own. Everybody else speaks to them by bounded
//! inboxes; each full inbox has an outcome that the sender chooses.

mod alarm;
mod driver;
mod look;
mod readings;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use presence_core::attempt::Attempt;
use presence_core::id::{Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::room::KeptRoom;
use presence_core::shard::{Detach, RoomCommand, RoomReading, Shard, ShardInput};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::connection::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::webhook::Notices;
use driver::Driver;
pub use look::RoomSight;
use readings::Readings;

/// The shards of a server. Cloning shares them; they end when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Shards {
    inboxes: Arc<[mpsc::Sender<Inbound>]>,
    generations: Arc<AtomicU64>,
    readings: Arc<Readings>,
}

/// What comes into a shard's inbox; `HandOver` is the last that it takes in.
#[derive(Debug)]
enum Inbound {
    Attach {
        user: UserId,
        session: SessionId,
        generation: Generation,
        attempt: Option<Attempt>,
        mailbox: Arc<Mailbox>,
    },
    Detach {
        generation: Generation,
        how: Detach,
    },
    Command {
        generation: Generation,
        room: RoomId,
        command: RoomCommand,
    },
    Read {
        room: RoomId,
        answer: oneshot::Sender<Arc<RoomReading>>,
    },
    Kick {
        user: UserId,
    },
    Look(look::Look),
    Knock {
        answer: oneshot::Sender<()>,
    },
    Freeze,
    HandOver {
        answer: oneshot::Sender<Vec<KeptRoom>>,
    },
}

/// The shard has too much to do, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has too much to do")]
pub struct Busy;

impl Shards {
    /// Starts `count` shards with nobody in them. Must be called within a runtime.
    pub fn start(
        count: usize,
        limits: &Arc<Limits>,
        incarnation: Incarnation,
        clock: Clock,
        metrics: &Metrics,
    ) -> Self {
        Self::start_with(Vec::new(), count, limits, incarnation, clock, metrics, &Notices::off())
    }

    /// Starts `count` shards that take up what was handed over, and tell who comes and goes.
    pub fn start_with(
        kept: Vec<KeptRoom>,
        count: usize,
        limits: &Arc<Limits>,
        incarnation: Incarnation,
        clock: Clock,
        metrics: &Metrics,
        notices: &Notices,
    ) -> Self {
        let count = count.max(1);
        let mut kept_by_shard: Vec<Vec<KeptRoom>> = Vec::new();
        kept_by_shard.resize_with(count, Vec::new);
        for room in kept {
            kept_by_shard[shard_of(&room.id, count)].push(room);
        }
        let start = |(number, kept): (usize, Vec<KeptRoom>)| {
            let (inbox, inputs) = mpsc::channel(limits.shard_inbox_max);
            let mut shard = Shard::new(Arc::clone(limits), incarnation.of_shard(number as u64));
            let now = clock.now();
            kept.into_iter().for_each(|room| shard.take_up(now, room));
            let driver = Driver::new(number, shard, inputs, clock, metrics.clone(), notices.clone());
            tokio::spawn(driver.run());
            inbox
        };
        let inboxes = kept_by_shard.into_iter().enumerate().map(start).collect();
        Self { inboxes, generations: Arc::new(AtomicU64::new(0)), readings: Arc::new(Readings::new(clock)) }
    }

    /// A generation that is higher than all before.
    pub fn next_generation(&self) -> Generation {
        Generation::new(self.generations.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn inbox_of(&self, room: &RoomId) -> &mpsc::Sender<Inbound> {
        &self.inboxes[shard_of(room, self.inboxes.len())]
    }

    /// Tells every shard that a connection has a session now.
    pub async fn attach(
        &self,
        user: &UserId,
        session: &SessionId,
        generation: Generation,
        attempt: Option<Attempt>,
        mailbox: &Arc<Mailbox>,
    ) {
        for inbox in &*self.inboxes {
            let (user, session, mailbox) = (user.clone(), session.clone(), Arc::clone(mailbox));
            // A shard that is gone went with the server.
            let _ = inbox.send(Inbound::Attach { user, session, generation, attempt, mailbox }).await;
        }
    }

    /// Tells every shard that it has it no more.
    pub async fn detach(&self, generation: Generation, how: Detach) {
        for inbox in &*self.inboxes {
            let _ = inbox.send(Inbound::Detach { generation, how }).await;
        }
    }

    /// Gives a command to its room's shard, or back if that has too much to do.
    ///
    /// # Errors
    /// The room and the command.
    pub fn try_command(
        &self,
        generation: Generation,
        room: RoomId,
        command: RoomCommand,
    ) -> Result<(), Box<(RoomId, RoomCommand)>> {
        match self.inbox_of(&room).try_send(Inbound::Command { generation, room, command }) {
            Ok(()) => Ok(()),
            Err(refused) => match refused.into_inner() {
                Inbound::Command { room, command, .. } => Err(Box::new((room, command))),
                Inbound::Attach { .. }
                | Inbound::Detach { .. }
                | Inbound::Read { .. }
                | Inbound::Kick { .. }
                | Inbound::Look(_)
                | Inbound::Knock { .. }
                | Inbound::Freeze
                | Inbound::HandOver { .. } => Ok(()),
            },
        }
    }

    /// Gives a command to its room's shard, and waits while that has too much to do.
    pub async fn command(&self, generation: Generation, room: RoomId, command: RoomCommand) {
        let inbox = self.inbox_of(&room);
        let _ = inbox.send(Inbound::Command { generation, room, command }).await;
    }

    /// Who is in a room.
    ///
    /// # Errors
    /// If its shard has too much to do.
    pub async fn read(&self, room: RoomId) -> Result<Arc<RoomReading>, Busy> {
        if let Some(reading) = self.readings.get(&room) {
            return Ok(reading);
        }
        let (answer, reading) = oneshot::channel();
        let question = Inbound::Read { room: room.clone(), answer };
        self.inbox_of(&room).try_send(question).map_err(|_| Busy)?;
        let reading = reading.await.map_err(|_| Busy)?;
        self.readings.keep(room, &reading);
        Ok(reading)
    }

    /// Until every shard has answered: all of them are at work.
    ///
    /// # Errors
    /// If one has ended.
    pub async fn answer(&self) -> Result<(), Busy> {
        for inbox in &*self.inboxes {
            let (answer, answered) = oneshot::channel();
            inbox.send(Inbound::Knock { answer }).await.map_err(|_| Busy)?;
            answered.await.map_err(|_| Busy)?;
        }
        Ok(())
    }

    /// Tells every shard that nobody is let in any more.
    pub async fn freeze(&self) {
        for inbox in &*self.inboxes {
            let _ = inbox.send(Inbound::Freeze).await;
        }
    }

    /// Ends every shard. Gives the rooms, as they are when all that was said to them before has been done.
    pub async fn hand_over(&self) -> Vec<KeptRoom> {
        let mut rooms = Vec::new();
        for inbox in &*self.inboxes {
            let (answer, kept) = oneshot::channel();
            if inbox.send(Inbound::HandOver { answer }).await.is_ok() {
                rooms.extend(kept.await.unwrap_or_default());
            }
        }
        rooms
    }
}

fn shard_of(room: &RoomId, count: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    (hasher.finish() % count as u64) as usize
}

impl Inbound {
    /// As the core takes it, if it is for the core; `ticket` stands for who asked.
    fn into_input(self, ticket: u64) -> Option<ShardInput> {
        Some(match self {
            Self::Attach { user, session, generation, attempt, .. } => {
                ShardInput::Attach { user, session, generation, attempt }
            }
            Self::Detach { generation, how } => ShardInput::Detach { generation, how },
            Self::Command { generation, room, command } => ShardInput::Command { generation, room, command },
            Self::Read { room, .. } => ShardInput::Read { ticket, room },
            Self::Freeze => ShardInput::Freeze,
            Self::Kick { user } => ShardInput::Kick { user },
            Self::Look(_) | Self::HandOver { .. } => return None,
            Self::Knock { answer } => {
                // Whoever knocked may have gone.
                let _ = answer.send(());
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// The watchdog of the service manager is fed by this.
    #[tokio::test]
    async fn shards_answer_as_long_as_all_of_them_are_at_work() {
        let limits = Arc::new(Limits::default());
        let shards = Shards::start(3, &limits, Incarnation::from_random(1), Clock::start(), &Metrics::new());
        assert_eq!(shards.answer().await, Ok(()));

        let (inbox, inputs) = mpsc::channel(1);
        let stuck = Shards { inboxes: [inbox].into(), ..shards };
        let mut answer = pin!(stuck.answer());
        assert_eq!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        drop(inputs);
        assert_eq!(answer.await, Err(Busy));
    }
}
