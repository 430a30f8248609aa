//! The simulator: `presence-sim --seeds N` or `presence-sim --seed S`. `cargo xtask sim` starts it.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use presence_testkit::sim::{Fault, Outcome, Run, Scale};

/// Every so many'th seed is run a second time, and has to come to the same.
const TWICE: u64 = 25;

/// Seeds beyond the first that did not hold once; they are run with the first.
const FOUND: [u64; 12] =
    [949, 1_718, 2_497, 5_166, 7_935, 8_025, 9_164, 9_186, 9_291, 10_296, 20_672, 24_029];

/// Lines before a violation that are told.
const TAIL: usize = 25;

/// Runs seeds of the simulation, and says which do not hold.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// One seed, told line by line.
    #[arg(long)]
    seed: Option<u64>,
    /// The end of each, after so many events.
    #[arg(long)]
    steps: Option<u64>,
    /// So many clients instead of a few.
    #[arg(long)]
    clients: Option<usize>,
    /// Only these faults; `none`: no faults at all. Without this all kinds.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
    /// Plants bugs, one after the other, and says how each is found.
    #[cfg(feature = "planted")]
    #[arg(long)]
    planted: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let faults = match arguments.faults.as_deref().map(chosen).transpose() {
        Ok(faults) => faults,
        Err(unknown) => {
            let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
            eprintln!("there is no fault `{unknown}`; there are none, {}", known.join(", "));
            return ExitCode::from(64);
        }
    };
    let scale = arguments.clients.map_or(Scale::Usual, Scale::Clients);
    let run = |seed| Run { scale, steps: arguments.steps, faults: faults.clone(), ..Run::of(seed) };
    if let Some(seed) = arguments.seed {
        let outcome = Run { echo: true, ..run(seed) }.outcome();
        return if tell(&outcome, 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let found = FOUND.into_iter().filter(|seed| arguments.from == 0 && !seeds.contains(seed));
    let held = run_all(&seeds.clone().chain(found).collect::<Vec<_>>(), &run);
    #[cfg(feature = "planted")]
    let held = (!arguments.planted || plant_all()) && held;
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn chosen(names: &[String]) -> Result<Vec<Fault>, String> {
    let names = names.iter().filter(|name| *name != "none");
    let fault =
        |name: &String| Fault::ALL.into_iter().find(|fault| fault.as_str() == name).ok_or(name.clone());
    names.map(fault).collect()
}

/// Runs all of them, on as many threads as there are processors. Says whether all is well.
fn run_all(seeds: &[u64], run: &(impl Fn(u64) -> Run + Sync)) -> bool {
    let (began, count) = (Instant::now(), seeds.len());
    let bad = AtomicU64::new(0);
    share(count, |number| {
        let seed = seeds[number];
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed).outcome()));
        let Ok(outcome) = outcome else {
            println!("seed {seed}: panicked");
            return bad.fetch_add(1, Ordering::Relaxed);
        };
        let again = if seed.is_multiple_of(TWICE) { run(seed).outcome().hash } else { outcome.hash };
        if again != outcome.hash {
            println!("seed {seed}: hash {:016x}, and {again:016x} when run again", outcome.hash);
        }
        let well = outcome.violation.is_none() || tell(&outcome, TAIL);
        bad.fetch_add(u64::from(!well || again != outcome.hash), Ordering::Relaxed)
    });
    let bad = bad.into_inner();
    println!("{count} seeds, {bad} of them bad, in {:.1} s", began.elapsed().as_secs_f64());
    bad == 0
}

/// Does something with each number below `count`, on several threads.
fn share<T>(count: usize, each: impl Fn(usize) -> T + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            each(number);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
        work();
    });
}

/// Tells how a seed went. Says whether well.
fn tell(outcome: &Outcome, tail: usize) -> bool {
    static TELLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = TELLING.lock();
    println!("seed {}: hash {:016x}, {:?}", outcome.seed, outcome.hash, outcome.counts);
    let Some(violation) = &outcome.violation else { return true };
    let skip = violation.tail.len().saturating_sub(tail);
    for line in &violation.tail[skip..] {
        println!("    {}", line.chars().take(200).collect::<String>());
    }
    println!("  {} at {} ms: {}", violation.invariant, violation.at, violation.said);
    println!("  again, line by line: cargo xtask sim --seed {}", outcome.seed);
    false
}

/// Says of every planted bug how it is found, in rows of a table.
#[cfg(feature = "planted")]
fn plant_all() -> bool {
    use presence_core::planted::Bug;
    use presence_testkit::sim::planted::{find, within};

    // What a planted bug breaks may well panic, and nobody needs to read that.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let rows = Mutex::new(Vec::new());
    share(Bug::ALL.len(), |number| {
        let bug = Bug::ALL[number];
        let found = find(bug);
        let by = |found: &presence_testkit::sim::planted::Found| {
            found.violation.as_ref().map_or("panic".to_owned(), |violation| violation.invariant.clone())
        };
        let how =
            found.as_ref().map_or("not found".to_owned(), |found| format!("{} | {}", by(found), found.seed));
        let row = format!("| {} | {how} | {} |", bug.as_str(), within(bug));
        if let Ok(mut rows) = rows.lock() {
            rows.push((number, row, found.is_some()));
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort();
    for (_, row, _) in &rows {
        println!("{row}");
    }
    let missed = rows.iter().filter(|(.., found)| !found).count();
    println!("{} planted bugs, {missed} not found, in {:.1} s", rows.len(), began.elapsed().as_secs_f64());
    missed == 0
}
