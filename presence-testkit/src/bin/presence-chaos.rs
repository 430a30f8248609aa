//! Real processes under faults: `presence-chaos --server BINARY [ROW…]`. `cargo xtask chaos` builds and starts it.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use presence_testkit::chaos::company::Company;
use presence_testkit::chaos::row::Row;
use presence_testkit::chaos::row::cable::Inside;
use presence_testkit::chaos::stage::{Given, Outcome};
use serde_json::json;
use tokio::task::LocalSet;

/// Faults, and what they cost.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The server's binary.
    #[arg(long, default_value = "target/release/presence-server")]
    server: PathBuf,
    /// Another seed, another run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Goes on with the next seeds for so many minutes.
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// Only the rows that are run with every check.
    #[arg(long)]
    quick: bool,
    /// Where to write the outcome, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The rows; all unless named.
    #[arg(value_parser = row)]
    rows: Vec<Row>,
}

/// What it is when it starts itself.
#[derive(Subcommand)]
enum Part {
    /// Clients in a process of their own.
    #[command(hide = true)]
    Company(Company),
    /// A row that plays on another machine's network.
    #[command(hide = true)]
    Inside(Inside),
}

fn row(name: &str) -> Result<Row, String> {
    let known = || Row::ALL.map(Row::name).join(" ");
    Row::named(name).ok_or_else(|| format!("there are: {}", known()))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let done = match arguments.part.take() {
        Some(Part::Company(company)) => keep(company).map(|()| true),
        Some(Part::Inside(inside)) => play(inside).map(|()| true),
        None => work(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("presence-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn keep(company: Company) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, company.keep())
}

fn play(inside: Inside) -> Result<()> {
    raise_descriptor_limit();
    let own = std::env::current_exe().context("cannot find this program")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, inside.play(&own))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// Says whether all ledgers are clean.
fn work(arguments: &Arguments) -> Result<bool> {
    raise_descriptor_limit();
    let rows = match &arguments.rows[..] {
        [] if arguments.quick => Row::QUICK.to_vec(),
        [] => Row::ALL.to_vec(),
        rows => rows.to_vec(),
    };
    let own = std::env::current_exe().context("cannot find this program")?;
    let (began, mut good, mut outcomes) = (Instant::now(), true, Vec::new());
    let mut seed = arguments.seed;
    loop {
        for row in &rows {
            let given = Given { server: arguments.server.clone(), own: own.clone(), seed };
            let started = Instant::now();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let verdict = LocalSet::new().block_on(&runtime, row.run(&given));
            // Whatever blocks in there is not waited for.
            runtime.shutdown_background();
            let seconds = started.elapsed().as_secs_f64();
            let is_good = tell(*row, seed, seconds, &verdict);
            if !is_good && let Ok(Outcome::Played(played)) = &verdict {
                let path = std::env::temp_dir().join(format!("presence-chaos-{}-{seed}.json", row.name()));
                fs::write(&path, serde_json::to_vec(&played.history)?)?;
                println!("    what happened is in {}", path.display());
            }
            good &= is_good;
            let outcome = match verdict {
                Ok(outcome) => {
                    json!({"row": row.name(), "seed": seed, "seconds": seconds, "outcome": outcome})
                }
                Err(error) => json!({"row": row.name(), "seed": seed, "error": format!("{error:#}")}),
            };
            outcomes.push(outcome);
        }
        if began.elapsed().as_secs_f64() >= arguments.minutes * 60.0 {
            break;
        }
        seed += 1;
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&outcomes)?)?;
    }
    println!("\n{} runs in {:.0} s: {}", outcomes.len(), began.elapsed().as_secs_f64(), judged(good));
    Ok(good)
}

fn judged(good: bool) -> &'static str {
    if good { "nothing lost" } else { "NOT GOOD" }
}

/// Says whether it is good.
fn tell(row: Row, seed: u64, seconds: f64, outcome: &Result<Outcome>) -> bool {
    match outcome {
        Ok(Outcome::Skipped(why)) => {
            println!("\n{} → skipped: {why}", row.name());
            true
        }
        Ok(Outcome::Played(verdict)) => {
            let good = verdict.ledger.is_clean();
            println!("\n{} seed {seed} ({seconds:.0} s) → {}", row.name(), judged(good));
            println!("  {}", verdict.ledger);
            println!("  agreed {:.1} s after the last fault", verdict.settled);
            verdict.figures.iter().for_each(|figure| println!("  {figure}"));
            verdict.ledger.reasons.iter().for_each(|reason| println!("    {reason}"));
            good
        }
        Err(error) => {
            println!("\n{} seed {seed} ({seconds:.0} s) → could not be run: {error:#}", row.name());
            false
        }
    }
}

/// A client is a descriptor.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Whoever cannot raise it finds out when a client cannot connect.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
