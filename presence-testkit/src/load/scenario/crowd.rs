//! `crowd`: everybody comes to one empty room at once, each with a window of it. How long until all are in, and until all
//! see that.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Field;
use crate::load::ledger::{Latencies, Stopwatch, curve, latencies};
use crate::load::member::Phase;
use crate::load::outcome::{Faults, Outcome};
use crate::load::watcher::{SharedGallery, Watcher};

/// How long the last of them may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it stays quiet when everybody sees what is there: longer than a tick.
const QUIET: Duration = Duration::from_secs(1);

/// Where they come to.
const ROOM: &str = "crowd";

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Crowd {
    /// Clients.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Rows that each watches, from the first on.
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// Clients that are about to come at the same time.
    #[arg(long, default_value_t = 400)]
    at_once: usize,
}

/// How far they are.
struct Progress {
    clients: usize,
    inside: usize,
    inside_at: f64,
    seeing_all: usize,
    seeing_all_at: f64,
    entered: Latencies,
}

impl Crowd {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { clients, rows, at_once } = self;
        ensure!(clients > 0 && at_once > 0, "somebody must come");
        let parameters =
            format!("{clients} clients enter one empty room, {at_once} at a time, each watches {rows} rows");
        let mut outcome = Outcome { scenario: "crowd".to_owned(), parameters, ..Outcome::default() };
        let progress = Rc::new(RefCell::new(Progress {
            clients,
            inside: 0,
            inside_at: 0.0,
            seeing_all: 0,
            seeing_all_at: 0.0,
            entered: latencies(),
        }));
        let (gallery, door) = (SharedGallery::default(), Rc::new(Semaphore::new(at_once)));
        let (began, cpu) = (field.clock.seconds(), field.target.cpu_micros()?);
        let mut coming: JoinSet<Result<Watcher>> = JoinSet::new();
        for number in 0..clients {
            let (field, progress) = (field.clone(), Rc::clone(&progress));
            let (gallery, door) = (Rc::clone(&gallery), Rc::clone(&door));
            coming.spawn_local(async move {
                let user = format!("user-{number:06}");
                let at_door = door.acquire().await?;
                let arrived = field.clock.micros();
                let address = field.target.address;
                let mut watcher = Watcher::connect(address, user, ROOM, (0, rows), &gallery).await?;
                watcher.join(number as u64)?;
                let shown = watcher.shown().await?;
                drop(at_door);
                let took = field.clock.micros() - arrived;
                progress.borrow_mut().entered.saturating_record(took.max(1));
                progress.borrow_mut().enter(&field.clock);
                look_on(&field, watcher, shown.total, &progress).await
            });
        }
        wait(&field, &progress, &mut coming, &mut outcome.faults).await?;
        let spent = field.target.cpu_micros()? - cpu;
        tokio::time::sleep(QUIET).await;
        field.phase.send_replace(Phase::End);
        let truth = field.presence(ROOM).await?;
        while let Some(came) = coming.join_next().await {
            match came? {
                Ok(watcher) => {
                    if let Some(difference) = watcher.difference(&truth) {
                        outcome.faults.wrong(format!("{}: {difference}", watcher.user()));
                    }
                }
                Err(error) => outcome.faults.failure(format!("{error:#}")),
            }
        }
        outcome.faults.missing += (clients - truth.total_active_users.min(clients)) as u64;
        let progress = progress.borrow();
        outcome.figure("all in after", progress.inside_at - began, "s");
        outcome.figure("all windows right after", progress.seeing_all_at - began, "s");
        outcome.figure("windows received", gallery.borrow().received as f64, "");
        outcome.figure("bytes received", gallery.borrow().bytes as f64 / 1e6, "MB");
        if spent > 0.0 {
            outcome.figure("server CPU", spent / 1e6, "s");
            outcome.figure("server CPU per client", spent / clients as f64, "µs");
        }
        outcome.latency.push(curve("connect to window", &progress.entered));
        Ok(outcome)
    }
}

impl Progress {
    fn enter(&mut self, clock: &Stopwatch) {
        self.inside += 1;
        self.inside_at = clock.seconds();
    }
}

/// Reads on until it is over, and notes when it sees that all are there.
async fn look_on(
    field: &Field,
    mut watcher: Watcher,
    mut total: usize,
    progress: &RefCell<Progress>,
) -> Result<Watcher> {
    let mut phase = field.phase.subscribe();
    let mut sees_all = false;
    while *phase.borrow_and_update() != Phase::End {
        if !sees_all && total == progress.borrow().clients {
            sees_all = true;
            let mut progress = progress.borrow_mut();
            progress.seeing_all += 1;
            progress.seeing_all_at = field.clock.seconds();
        }
        tokio::select! {
            _ = phase.changed() => {}
            shown = watcher.shown() => {
                total = shown?.total;
                field.ledger.borrow_mut().messages += 1;
            }
        }
    }
    Ok(watcher)
}

/// Until everybody sees that everybody is there.
async fn wait(
    field: &Field,
    progress: &RefCell<Progress>,
    coming: &mut JoinSet<Result<Watcher>>,
    faults: &mut Faults,
) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut said = field.clock.seconds();
    while progress.borrow().seeing_all < progress.borrow().clients && tokio::time::Instant::now() < deadline {
        if let Some(came) = coming.try_join_next() {
            // Nobody is done yet, so this one has failed, and nobody will see everybody.
            if let Err(error) = came? {
                faults.failure(format!("{error:#}"));
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        if field.clock.seconds() > said + 1.0 {
            said = field.clock.seconds();
            let Progress { inside, seeing_all, .. } = *progress.borrow();
            eprintln!("  {said:6.1} s  {inside} are in, {seeing_all} see everybody");
        }
    }
    Ok(())
}
