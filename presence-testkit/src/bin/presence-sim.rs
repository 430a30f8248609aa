//! The simulator: `presence-sim --seeds N` or `presence-sim --seed S`. `cargo xtask sim` starts it.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use presence_testkit::sim::{Outcome, Run, Scale};

/// Runs seeds of the simulation, each twice now and then, and says which do not hold.
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
    /// The end of it, after so many events.
    #[arg(long)]
    steps: Option<u64>,
    /// So many clients instead of a few.
    #[arg(long)]
    clients: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scale = arguments.clients.map_or(Scale::Usual, Scale::Clients);
    if let Some(seed) = arguments.seed {
        let outcome = Run { seed, scale, steps: arguments.steps, echo: true }.outcome();
        tell(&outcome, 0);
        return if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let began = Instant::now();
    let mut bad = 0;
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = Run { seed, scale, steps: arguments.steps, echo: false }.outcome();
        if outcome.violation.is_some() {
            bad += 1;
            tell(&outcome, 25);
        }
    }
    println!("{} seeds, {bad} bad, {:.1} s", arguments.seeds, began.elapsed().as_secs_f64());
    if bad > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tell(outcome: &Outcome, tail: usize) {
    println!("seed {}: hash {:016x}, {:?}", outcome.seed, outcome.hash, outcome.counts);
    let Some(violation) = &outcome.violation else { return };
    let skip = violation.tail.len().saturating_sub(tail);
    for line in &violation.tail[skip..] {
        println!("    {}", line.chars().take(200).collect::<String>());
    }
    println!("  {} at {} ms: {}", violation.invariant, violation.at, violation.said);
}
