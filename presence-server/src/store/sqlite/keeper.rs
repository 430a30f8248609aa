//! The thread that writes: it has the file, and knows what to do while it has none that works.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use presence_core::port::store::{Balance, StoreHealth};
use rusqlite::Connection;
use tracing::{error, info, warn};

use super::Options;
use super::fault::Fault;
use super::file::{self, OpenError, Reserve};
use super::gather::Gather;
use super::reading;
use super::streams::Transaction;
use super::writer::{Errand, Job, Shared};
use crate::audit;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// All that the thread has.
pub(super) struct Keeper {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) inbox: Receiver<Errand>,
    pub(super) shared: Arc<Shared>,
    pub(super) reserve: Reserve,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

/// A file that is open, and its counts as they were committed last.
struct Open {
    db: Connection,
    balance: Balance,
}

/// What it is to be without a file that works.
struct Broken {
    fault: Fault,
    /// Still open for what makes space.
    open: Option<Box<Open>>,
    next_try: Duration,
    patience: Duration,
}

/// What a batch came to.
enum Outcome {
    Safe,
    /// Nothing of it was written; the file is well.
    Wrong(rusqlite::Error),
    Fault(Fault, rusqlite::Error),
}

impl Keeper {
    pub(super) fn run(&mut self, opened: &SyncSender<Result<(), OpenError>>) {
        let (first, mut state) = match self.open(None) {
            Ok(open) => {
                self.recovered(false);
                (Ok(()), Ok(open))
            }
            Err((error, open)) => {
                let broken = self.broken(error.fault(), &error, open);
                (Err(error), Err(broken))
            }
        };
        // Whoever started the thread waits for this.
        let _ = opened.send(first);
        loop {
            let next = match state {
                Ok(open) => self.serve(open),
                Err(broken) => self.endure(broken),
            };
            match next {
                Some(next) => state = next,
                None => return,
            }
        }
    }

    /// Opens the file, and shows after a fault that it can be written to. An error may leave it open for less.
    fn open(&mut self, after: Option<Fault>) -> Result<Open, (OpenError, Option<Box<Open>>)> {
        let db = file::open(&self.path, &self.options).map_err(|error| (error, None))?;
        let balance = reading::balance(&db).map_err(|error| (error.into(), None))?;
        self.shared.opened.fetch_add(1, Ordering::Release);
        let open = Open { db, balance };
        let proven = after.map_or(Ok(()), |fault| file::prove(&open.db, fault == Fault::Damaged));
        match proven.and_then(|()| Ok(self.reserve.take()?)) {
            Ok(()) => Ok(open),
            Err(error) if error.fault() == Fault::Full => {
                self.reserve.give();
                Err((error, Some(Box::new(open))))
            }
            Err(error) => Err((error, None)),
        }
    }

    fn recovered(&self, was_broken: bool) {
        if was_broken {
            info!("the store is well again");
        }
        self.metrics.store_health(true);
        self.shared.set_health(StoreHealth::Well);
    }

    fn broken(&self, fault: Fault, why: &dyn Display, open: Option<Box<Open>>) -> Broken {
        error!(fault = fault.as_str(), %why, "the store is failing; messages are refused until it is well");
        self.shared.set_health(StoreHealth::Failing(fault.sentence().to_owned()));
        self.metrics.store_failed(fault.as_str());
        self.metrics.store_health(false);
        let (patience, _) = fault.patience();
        Broken { fault, open, next_try: self.clock.elapsed() + patience, patience }
    }

    /// Writes until something breaks. `None`: nobody is left who could ask.
    fn serve(&mut self, mut open: Open) -> Option<Result<Open, Broken>> {
        let (mut batch, mut settling) = (Vec::new(), None);
        let mut gather = Gather::new(self.options.gather);
        loop {
            let mut next = Some(self.inbox.recv().ok()?);
            std::thread::sleep(gather.wait(self.clock.elapsed()));
            while let Some(errand) = next {
                match errand {
                    Errand::Call(job) => batch.push(job),
                    Errand::Suspect(error) => {
                        let broken = self.broken(Fault::Damaged, &error, None);
                        self.refuse(batch);
                        return Some(Err(broken));
                    }
                    Errand::Settle(done) => {
                        settling = Some(done);
                        break;
                    }
                }
                next = (batch.len() < self.options.batch_max).then(|| self.inbox.try_recv().ok()).flatten();
            }
            let waiting = self.shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed) - batch.len();
            let (began, calls) = (self.clock.elapsed(), batch.len());
            gather.begin(began, calls);
            let outcome = self.commit(&mut open, &mut batch);
            self.metrics.store_committed(calls, self.clock.elapsed() - began, waiting);
            match outcome {
                Outcome::Safe => batch.drain(..).for_each(|job| job.answer(Ok(()))),
                Outcome::Wrong(_) => {
                    for job in batch.drain(..) {
                        if let Some((fault, error)) = self.alone(&mut open, job) {
                            return Some(Err(self.stopped(open, fault, &error)));
                        }
                    }
                }
                Outcome::Fault(fault, error) => {
                    let broken = self.stopped(open, fault, &error);
                    batch.drain(..).for_each(|job| job.answer(Err(self.shared.unavailable())));
                    return Some(Err(broken));
                }
            }
            if let Some(done) = settling.take() {
                give_back(&open.db);
                let _ = done.send(());
            }
        }
    }

    /// Keeps a file open that is only full.
    fn stopped(&self, open: Open, fault: Fault, error: &rusqlite::Error) -> Broken {
        let open = (fault == Fault::Full).then(|| Box::new(open));
        if open.is_some() {
            self.reserve.give();
        }
        self.broken(fault, error, open)
    }

    /// Carries a batch out in one transaction: all of it, or nothing.
    fn commit(&self, open: &mut Open, batch: &mut [Box<dyn Job>]) -> Outcome {
        let (mut balance, mut violations) = (open.balance, Vec::new());
        let mut write = || {
            open.db.execute_batch("BEGIN IMMEDIATE")?;
            let (balance, violations) = (&mut balance, &mut violations);
            let limits = &self.options.limits;
            let mut transaction = Transaction { db: &open.db, limits, balance, violations };
            batch.iter_mut().try_for_each(|job| job.run(&mut transaction))?;
            if *transaction.balance != open.balance {
                reading::save_balance(&open.db, transaction.balance)?;
            }
            open.db.execute_batch("COMMIT")
        };
        let Err(error) = write() else {
            open.balance = balance;
            audit::violated(&self.metrics, violations);
            return Outcome::Safe;
        };
        // Some errors have ended the transaction already.
        if !open.db.is_autocommit()
            && let Err(error) = open.db.execute_batch("ROLLBACK")
        {
            return Outcome::Fault(Fault::Unwritable, error);
        }
        match Fault::of(&error) {
            Fault::None => Outcome::Wrong(error),
            fault => Outcome::Fault(fault, error),
        }
    }

    /// Carries out one call of a batch in which one was wrong. Says what is wrong with the file, if that is it.
    fn alone(&self, open: &mut Open, job: Box<dyn Job>) -> Option<(Fault, rusqlite::Error)> {
        let mut batch = [job];
        let outcome = self.commit(open, &mut batch);
        let [job] = batch;
        match outcome {
            Outcome::Safe => job.answer(Ok(())),
            Outcome::Wrong(error) => {
                error!(%error, "the store can not carry out a call");
                self.metrics.store_failed(Fault::None.as_str());
                job.answer(Err(Fault::None.unavailable()));
            }
            Outcome::Fault(fault, error) => {
                job.answer(Err(fault.unavailable()));
                return Some((fault, error));
            }
        }
        None
    }

    /// Answers for a file that does not work, and tries from time to time. `None`: nobody is left who could ask.
    fn endure(&mut self, mut broken: Broken) -> Option<Result<Open, Broken>> {
        loop {
            match self.inbox.recv_timeout(broken.next_try.saturating_sub(self.clock.elapsed())) {
                Ok(Errand::Call(job)) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    match &mut broken.open {
                        Some(open) if job.makes_space() => self.make_space(open, job),
                        _ => job.answer(Err(self.shared.unavailable())),
                    }
                }
                Ok(Errand::Suspect(_) | Errand::Settle(_)) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.clock.elapsed() < broken.next_try {
                continue;
            }
            drop(broken.open.take());
            match self.open(Some(broken.fault)) {
                Ok(open) => {
                    self.recovered(true);
                    return Some(Ok(open));
                }
                Err((error, open)) => {
                    broken.fault = error.fault();
                    let (_, patience_max) = broken.fault.patience();
                    warn!(fault = broken.fault.as_str(), why = %error, "the store is still failing");
                    self.shared.set_health(StoreHealth::Failing(broken.fault.sentence().to_owned()));
                    broken.open = open;
                    broken.patience = (broken.patience * 2).min(patience_max);
                    broken.next_try = self.clock.elapsed() + broken.patience;
                }
            }
        }
    }

    /// Carries out what removes something, and gives what it leaves back to the system.
    fn make_space(&self, open: &mut Open, job: Box<dyn Job>) {
        if self.alone(open, job).is_none() {
            give_back(&open.db);
        }
    }

    fn refuse(&self, batch: Vec<Box<dyn Job>>) {
        self.shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.into_iter().for_each(|job| job.answer(Err(self.shared.unavailable())));
    }
}

/// Carries the log over into the file, and gives what both do not need back to the system.
fn give_back(db: &Connection) {
    if let Err(error) = db.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);") {
        warn!(%error, "the store can not give space back");
    }
}
