//! The way to the one thread that writes. It takes whatever waits, carries it out in one transaction, and answers when
//! that is safe: the busier it is, the more calls share the cost of one commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use presence_core::port::store::{StoreError, StoreHealth};
use tokio::sync::oneshot;

use super::Options;
use super::fault::Refusal;
use super::file::{OpenError, Reserve};
use super::keeper::Keeper;
use super::streams::Transaction;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// What the threads and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    health: Mutex<StoreHealth>,
    /// How often the file has been opened; 0: not yet.
    pub(super) opened: AtomicU64,
    /// Calls that wait to be taken.
    pub(super) waiting: AtomicUsize,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            health: Mutex::new(StoreHealth::Failing("it is not open yet".to_owned())),
            opened: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_health(&self, health: StoreHealth) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    /// What is answered while nothing can be done.
    pub(super) fn unavailable(&self) -> StoreError {
        StoreError::Unavailable(match self.health() {
            StoreHealth::Well => "its thread has ended".to_owned(),
            StoreHealth::Failing(why) => why,
        })
    }
}

/// A call that waits to be carried out.
pub(super) trait Job: Send {
    /// Carries it out. It may be asked to again, after what it did was undone.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;

    /// Tells the caller what came of it, or that it could not be made safe.
    fn answer(self: Box<Self>, safe: Result<(), StoreError>);

    /// Whether it makes space, so that it is to be tried where there is none.
    fn makes_space(&self) -> bool;
}

struct Call<F, T> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    makes_space: bool,
}

impl<F, T> Job for Call<F, T>
where
    F: FnMut(&mut Transaction<'_>) -> Result<T, Refusal> + Send,
    T: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.outcome = Some(match (self.work)(transaction) {
            Ok(done) => Ok(done),
            Err(Refusal::Answer(refusal)) => Err(refusal),
            Err(Refusal::File(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, safe: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        // The caller may have gone away; what is written stays written.
        let _ = reply.send(safe.and_then(|()| outcome.expect("what is safe has been carried out")));
    }

    fn makes_space(&self) -> bool {
        self.makes_space
    }
}

/// What the thread is asked for.
pub(super) enum Errand {
    Call(Box<dyn Job>),
    /// A reader has found the file damaged.
    Suspect(rusqlite::Error),
    /// The log is to be carried over into the file, after all that was asked before.
    Settle(oneshot::Sender<()>),
}

/// The way to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    errands: Sender<Errand>,
    shared: Arc<Shared>,
    queue_max: usize,
}

impl Writer {
    /// Starts the thread, which drops `alive` when it ends; says what came of the first try to open the file.
    pub(super) fn start(
        path: PathBuf,
        options: Options,
        shared: Arc<Shared>,
        clock: Clock,
        metrics: Metrics,
        alive: SyncSender<()>,
    ) -> std::io::Result<(Self, Result<(), OpenError>)> {
        let (errands, inbox) = channel();
        let (opened, first) = sync_channel(1);
        let queue_max = options.queue_max;
        let mut keeper = Keeper {
            reserve: Reserve::of(&path, options.reserve_bytes),
            path,
            options,
            inbox,
            shared: Arc::clone(&shared),
            clock,
            metrics,
        };
        std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| keeper.run(&opened)));
            let why = match ended {
                Ok(()) => "it has been closed",
                Err(_) => "its writing thread has failed; only a restart helps",
            };
            keeper.shared.set_health(StoreHealth::Failing(why.to_owned()));
            drop(alive);
        })?;
        let first =
            first.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread has failed").into()));
        Ok((Self { errands, shared, queue_max }, first))
    }

    pub(super) async fn call<T, F>(&self, makes_space: bool, work: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue_max {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let call = Call { work, outcome: None, reply, makes_space };
        let sent = self.errands.send(Errand::Call(Box::new(call)));
        match (sent, answer) {
            (Ok(()), answer) => answer.await.unwrap_or_else(|_| Err(self.shared.unavailable())),
            (Err(_), _) => Err(self.shared.unavailable()),
        }
    }

    /// Carries the log over into the file.
    pub(super) async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.errands.send(Errand::Settle(done)).is_ok() {
            // A thread that has failed has said so.
            let _ = settled.await;
        }
    }

    /// Has the file checked, in which a reader has found this.
    pub(super) fn suspect(&self, error: rusqlite::Error) {
        // A thread that has ended has said so.
        let _ = self.errands.send(Errand::Suspect(error));
    }
}
