//! `bigchurn`: a large room, of which everybody watches a window, and which many enter and leave each second. How long it
//! takes until everybody who watches knows of each change.
//!
//! Each change makes one version, so the version of a window says how many of the changes are in it; who has been shown
//! the change of some moment is right about the room as it was then. Who comes has been away for long, and who goes has been
//! there for long, so that no two changes cancel out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Field;
use crate::load::ledger::{Latencies, curve, latencies};
use crate::load::member::Phase;
use crate::load::outcome::{Faults, Outcome};
use crate::load::watcher::{SharedGallery, Watcher};
use crate::random::Random;
use crate::wire::{RoomPresence, WindowShown};

mod truth;

/// Where it happens.
const ROOM: &str = "bigchurn";

/// Of the changes that a window shows, how many have their latency taken, evenly.
const SAMPLES: usize = 8;

/// How many clients connect at the same time.
const CONNECTING_AT_ONCE: usize = 200;

/// How long those who are there first may take to be in.
const PATIENCE: Duration = Duration::from_secs(120);

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Bigchurn {
    /// Members.
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// Joins a second, and as many leaves.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Rows that each watches.
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// Of a hundred clients, how many watch rows somewhere in the room and not the first.
    #[arg(long, default_value_t = 0)]
    elsewhere: usize,
    /// Seconds of coming and going.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// What is drawn by lot.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Somebody comes, or goes.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// Microseconds of the clock.
    at: u64,
    client: usize,
    comes: bool,
}

/// What the clients share.
struct Shared {
    changes: Vec<Change>,
    /// The version before the first change.
    base: u64,
    /// How many are in, or at hand.
    ready: usize,
    /// From a change to its window, for the oldest change that a window shows.
    oldest: Latencies,
    /// The same for all of them.
    each: Latencies,
    entered: Latencies,
}

impl Bigchurn {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { members, rate, rows, elsewhere, seconds, seed } = self;
        ensure!(members > 0 && rate > 0.0 && elsewhere <= 100, "there must be members, and changes");
        let parameters = format!(
            "a room of {members}, {rate} joins and {rate} leaves a second on live connections, each watches {rows} rows, {elsewhere} % of them not the first; {seconds} s"
        );
        let mut outcome = Outcome { scenario: "bigchurn".to_owned(), parameters, ..Outcome::default() };
        let mut random = Random::new(seed);
        // Who is out stays out for two seconds.
        let clients = members + (rate * 2.0) as usize;
        let gallery = SharedGallery::default();
        let users = names(clients, &mut random);
        let shared = Rc::new(RefCell::new(Shared {
            changes: Vec::new(),
            base: 0,
            ready: 0,
            oldest: latencies(),
            each: latencies(),
            entered: latencies(),
        }));
        let mut working: JoinSet<Result<Option<Watcher>>> = JoinSet::new();
        let orders = self.begin(&field, &users, &shared, &gallery, &mut working, &mut random);
        until_ready(&shared, clients, &mut working).await?;
        field.begin().await;
        let before = field.presence(ROOM).await?;
        ensure!(before.total_active_users == members, "{} are in", before.total_active_users);
        let start = field.clock.micros() + 500_000;
        let changes = schedule(members, clients, rate, seconds, start, &mut random);
        {
            let mut shared = shared.borrow_mut();
            (shared.base, shared.changes) = (before.version, changes.clone());
        }
        gallery.borrow_mut().collect();
        let (received, bytes) = (gallery.borrow().received, gallery.borrow().bytes);
        let cpu = field.target.cpu_micros()?;
        for (number, change) in changes.iter().enumerate() {
            tokio::time::sleep_until(field.clock.at(change.at)).await;
            // A client that has failed is told of at the end.
            let _ = orders[change.client].send(number);
        }
        let took = (field.clock.micros() - start) as f64 / 1e6;
        let cpu = field.target.cpu_micros()? - cpu;
        let received = (gallery.borrow().received - received) as f64;
        let bytes = (gallery.borrow().bytes - bytes) as f64;
        field.pass("settling", 2.0).await;
        let after = field.presence(ROOM).await?;
        field.phase.send_replace(Phase::End);
        compare(&mut working, &after, &mut outcome.faults).await?;
        let shared = shared.borrow();
        let made = after.version - before.version;
        outcome.faults.missing += made.abs_diff(shared.changes.len() as u64);
        truth::check(&users, members, &shared, gallery.borrow_mut().take_collected(), &mut outcome);
        outcome.figure("changes", shared.changes.len() as f64 / took, "per s");
        outcome.figure("windows received", received / took, "per s");
        outcome.figure("bytes per window", bytes / received.max(1.0), "bytes");
        if cpu > 0.0 {
            outcome.figure("server CPU", cpu / 1e6 / took, "cores");
            outcome.figure("server CPU per window", cpu / received.max(1.0), "µs");
        }
        outcome.latency.push(curve("change to window, the oldest of each window", &shared.oldest));
        outcome.latency.push(curve("change to window", &shared.each));
        outcome.latency.push(curve("own join to window", &shared.entered));
        Ok(outcome)
    }

    /// Sets all clients to work. Gives what they are ordered by.
    fn begin(
        &self,
        field: &Field,
        users: &[String],
        shared: &Rc<RefCell<Shared>>,
        gallery: &SharedGallery,
        working: &mut JoinSet<Result<Option<Watcher>>>,
        random: &mut Random,
    ) -> Vec<mpsc::UnboundedSender<usize>> {
        let door = Rc::new(Semaphore::new(CONNECTING_AT_ONCE));
        let client = |(number, user): (usize, &String)| {
            let (order, ordered) = mpsc::unbounded_channel();
            let is_elsewhere = random.below(100) < self.elsewhere;
            let window = (if is_elsewhere { random.below(self.members) } else { 0 }, self.rows);
            let (user, door, gallery) = (user.clone(), Rc::clone(&door), Rc::clone(gallery));
            let (field, shared, inside) = (field.clone(), Rc::clone(shared), number < self.members);
            working.spawn_local(async move {
                let at_door = door.acquire().await?;
                let address = field.target.address;
                let watcher = Watcher::connect(address, user, ROOM, window, &gallery).await?;
                drop(at_door);
                Client { watcher, inside: None, awaited: None, ordered }.work(field, shared, inside).await
            });
            order
        };
        users.iter().enumerate().map(client).collect()
    }
}

/// Names of clients, by lot: who they are has nothing to do with when they come and go.
fn names(clients: usize, random: &mut Random) -> Vec<String> {
    let mut names: Vec<String> = (0..clients).map(|number| format!("user-{number:06}")).collect();
    for last in (1..clients).rev() {
        names.swap(last, random.below(last + 1));
    }
    names
}

/// Until those who are there first are in, and the others at hand.
async fn until_ready(
    shared: &RefCell<Shared>,
    clients: usize,
    working: &mut JoinSet<Result<Option<Watcher>>>,
) -> Result<()> {
    let entering = async {
        while shared.borrow().ready < clients {
            // Nobody is done yet, so this one has failed.
            if let Some(failed) = working.try_join_next() {
                failed??;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let entered = tokio::time::timeout(PATIENCE, entering).await;
    entered.with_context(|| format!("only {} are ready", shared.borrow().ready))?
}

/// Comings and goings at even times, which of them by lot: who has been out longest comes, who has been in longest goes.
fn schedule(
    members: usize,
    clients: usize,
    rate: f64,
    seconds: f64,
    start: u64,
    random: &mut Random,
) -> Vec<Change> {
    let (mut inside, mut outside): (VecDeque<usize>, VecDeque<usize>) =
        ((0..members).collect(), (members..clients).collect());
    // Never so many on one side that somebody has to turn round at once.
    let enough = outside.len() / 2;
    let change = |number: usize| {
        let comes = match outside.len() {
            few if few <= enough => false,
            many if many >= clients - members + enough => true,
            _ => random.below(2) == 0,
        };
        let (from, to) = if comes { (&mut outside, &mut inside) } else { (&mut inside, &mut outside) };
        let client = from.pop_front().unwrap_or_default();
        to.push_back(client);
        Change { at: start + (number as f64 * 1e6 / (2.0 * rate)) as u64, client, comes }
    };
    (0..(2.0 * rate * seconds) as usize).map(change).collect()
}

/// A client at work.
struct Client {
    watcher: Watcher,
    /// How many changes it has been shown, while it is in the room.
    inside: Option<u64>,
    /// The `ref` of the join that was not answered yet.
    awaited: Option<u64>,
    ordered: mpsc::UnboundedReceiver<usize>,
}

impl Client {
    /// Gives the watcher back if it is in the room at the end.
    async fn work(
        mut self,
        field: Field,
        shared: Rc<RefCell<Shared>>,
        inside: bool,
    ) -> Result<Option<Watcher>> {
        let mut phase = field.phase.subscribe();
        if inside {
            self.watcher.join(0)?;
            while !Watcher::is_answer(&*self.watcher.shown().await?, 0) {}
            self.inside = Some(0);
        }
        shared.borrow_mut().ready += 1;
        while *phase.borrow_and_update() != Phase::End {
            tokio::select! {
                _ = phase.changed() => {}
                Some(number) = self.ordered.recv() => self.obey(number, &shared)?,
                shown = self.watcher.shown() => {
                    field.ledger.borrow_mut().messages += 1;
                    self.look(&*shown?, field.clock.micros(), &mut shared.borrow_mut());
                }
            }
        }
        Ok(self.inside.is_some().then_some(self.watcher))
    }

    fn obey(&mut self, number: usize, shared: &RefCell<Shared>) -> Result<()> {
        let comes = shared.borrow().changes[number].comes;
        if comes {
            // 0 is what those who were there first have.
            self.awaited = Some(number as u64 + 1);
            self.watcher.join(number as u64 + 1)
        } else {
            (self.inside, self.awaited) = (None, None);
            self.watcher.leave()
        }
    }

    fn look(&mut self, shown: &WindowShown, now: u64, shared: &mut Shared) {
        let seen = shown.version.saturating_sub(shared.base);
        if let Some(awaited) = self.awaited {
            if Watcher::is_answer(shown, awaited) {
                let joined = shared.changes[awaited as usize - 1].at;
                shared.entered.saturating_record(now.saturating_sub(joined).max(1));
                (self.awaited, self.inside) = (None, Some(seen));
            }
            return;
        }
        let Some(before) = self.inside.filter(|before| *before < seen) else { return };
        self.inside = Some(seen);
        let news = shared.changes.get(before as usize..seen as usize).unwrap_or_default();
        let took = |change: &Change| now.saturating_sub(change.at).max(1);
        let samples: Vec<u64> = news.iter().step_by(news.len().div_ceil(SAMPLES).max(1)).map(took).collect();
        if let Some(oldest) = samples.first() {
            shared.oldest.saturating_record(*oldest);
        }
        samples.into_iter().for_each(|sample| shared.each.saturating_record(sample));
    }
}

/// Holds every window against the room.
async fn compare(
    working: &mut JoinSet<Result<Option<Watcher>>>,
    truth: &RoomPresence,
    faults: &mut Faults,
) -> Result<()> {
    let mut inside = 0;
    while let Some(done) = working.join_next().await {
        match done? {
            Ok(Some(watcher)) => {
                inside += 1;
                if let Some(difference) = watcher.difference(truth) {
                    faults.wrong(format!("{}: {difference}", watcher.user()));
                }
            }
            Ok(None) => {}
            Err(error) => faults.failure(format!("{error:#}")),
        }
    }
    faults.missing += truth.total_active_users.abs_diff(inside) as u64;
    Ok(())
}
