//! The clients of a load test: `presence-load --server ADDRESS --pid PID SCENARIO`. `cargo xtask loadtest` starts it, with
//! a server beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use presence_testkit::client::Kind;
use presence_testkit::load::outcome::Outcome;
use presence_testkit::load::process::Target;
use presence_testkit::load::report;
use presence_testkit::load::scenario::{
    acks, attack, bigchurn, churn, crowd, cursors, fanout, idle, messages, rename, restart, run, slow,
    snapshot, soak, storm, unbatched,
};
use presence_testkit::load::{median, plots};

/// Many clients, which count and measure what they receive.
#[derive(Parser)]
struct Arguments {
    /// The server.
    #[arg(long)]
    server: Option<SocketAddr>,
    /// The server's process, to measure what it costs.
    #[arg(long)]
    pid: Option<u32>,
    /// What the clients are connected by.
    #[arg(long, value_enum, default_value = "ws")]
    transport: Transport,
    /// Where to write the outcome, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// A kind of transport.
#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    Ws,
    Sse,
}

impl From<Transport> for Kind {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Ws => Self::Ws,
            Transport::Sse => Self::Sse,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Messages, each acknowledged.
    #[command(args_override_self = true)]
    Acks(acks::Acks),
    /// Everybody moves a cursor.
    #[command(args_override_self = true)]
    Cursors(cursors::Cursors),
    /// The server is killed and started again; everybody comes back.
    #[command(args_override_self = true)]
    Restart(restart::Restart),
    /// Who is in a room, asked over HTTP.
    #[command(args_override_self = true)]
    Snapshot(snapshot::Snapshot),
    /// One small update at a time, handed out at once.
    #[command(args_override_self = true)]
    Unbatched(unbatched::Unbatched),
    /// Members that do nothing: what one more of them costs.
    #[command(args_override_self = true)]
    Idle(idle::Idle),
    /// Rooms × members × updates a second.
    #[command(args_override_self = true)]
    Fanout(fanout::Fanout),
    /// A large room with comings and goings.
    #[command(args_override_self = true)]
    Bigroom(churn::Churn),
    /// A room with many comings and goings.
    #[command(args_override_self = true)]
    Churn(churn::Churn),
    /// Everybody comes to one empty room at once, to watch a window of it.
    #[command(args_override_self = true)]
    Crowd(crowd::Crowd),
    /// A room of many thousands with many comings and goings, of which everybody watches a window.
    #[command(args_override_self = true)]
    Bigchurn(bigchurn::Bigchurn),
    /// All dropped at once, and back.
    #[command(args_override_self = true)]
    Storm(storm::Storm),
    /// Some members stop reading.
    #[command(args_override_self = true)]
    Slow(slow::Slow),
    /// Attackers of every kind beside well-behaved pairs.
    #[command(args_override_self = true)]
    Attack(attack::Assault),
    /// Rooms in which messages are sent that last.
    #[command(args_override_self = true)]
    Messages(messages::Messages),
    /// Somebody who shares many rooms takes other names.
    #[command(args_override_self = true)]
    Rename(rename::Rename),
    /// Everything at once, for long: nothing may grow.
    #[command(args_override_self = true)]
    Soak(soak::Soak),
    /// Makes one page of several outcomes.
    Report {
        /// Where to write it.
        #[arg(long)]
        html: PathBuf,
        /// The outcomes.
        outcomes: Vec<PathBuf>,
    },
    /// Makes one outcome of several runs of the same.
    Median {
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// The runs.
        runs: Vec<PathBuf>,
    },
    /// Draws plots of several outcomes.
    Plots {
        /// The folder to put them into.
        #[arg(long)]
        folder: PathBuf,
        /// The outcomes.
        outcomes: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match work(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("presence-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says whether nothing was lost.
fn work(arguments: Arguments) -> Result<bool> {
    let Arguments { server, pid, transport, json, command } = arguments;
    let kind = Kind::from(transport);
    let target = || anyhow::Ok(Target { address: server.context("--server is missing")?, pid });
    raise_descriptor_limit();
    let outcome = match command {
        Command::Acks(acks) => run(target()?, kind, |field| acks.run(field))?,
        Command::Cursors(cursors) => run(target()?, kind, |field| cursors.run(field))?,
        Command::Snapshot(snapshot) => run(target()?, kind, |field| snapshot.run(field))?,
        Command::Unbatched(unbatched) => run(target()?, kind, |field| unbatched.run(field))?,
        Command::Restart(restart) => {
            run(Target { pid: None, ..target()? }, kind, |field| restart.run(field, pid))?
        }
        Command::Idle(idle) => run(target()?, kind, |field| idle.run(field))?,
        Command::Fanout(fanout) => run(target()?, kind, |field| fanout.run(field))?,
        Command::Bigroom(churn) => run(target()?, kind, |field| churn.run(field, "bigroom"))?,
        Command::Churn(churn) => run(target()?, kind, |field| churn.run(field, "churn"))?,
        Command::Crowd(crowd) => run(target()?, kind, |field| crowd.run(field))?,
        Command::Bigchurn(bigchurn) => run(target()?, kind, |field| bigchurn.run(field))?,
        Command::Storm(storm) => run(target()?, kind, |field| storm.run(field))?,
        Command::Slow(slow) => run(target()?, kind, |field| slow.run(field))?,
        Command::Rename(rename) => run(target()?, kind, |field| rename.run(field))?,
        Command::Attack(attack) => run(target()?, kind, |field| attack.run(field))?,
        Command::Soak(soak) => {
            let mut outcome = run(target()?, kind, |field| soak.run(field))?;
            soak::hold_flat(&mut outcome);
            outcome
        }
        Command::Messages(messages) => {
            // A process that is killed can not be measured.
            let measured = Target { pid: pid.filter(|_| !messages.kill), ..target()? };
            run(measured, kind, |field| messages.run(field, pid))?
        }
        Command::Report { html, outcomes } => {
            fs::write(&html, report::page(&read(&outcomes)?)?)?;
            return Ok(true);
        }
        Command::Median { out, runs } => {
            let outcome = median::of(&read(&runs)?).context("no run is given")?;
            print!("{}", report::table(&outcome));
            fs::write(&out, serde_json::to_vec_pretty(&outcome)?)?;
            return Ok(outcome.faults.none());
        }
        Command::Plots { folder, outcomes } => {
            fs::create_dir_all(&folder)?;
            for (file, plot) in plots::plots(&read(&outcomes)?)? {
                fs::write(folder.join(file), plot)?;
            }
            return Ok(true);
        }
    };
    print!("{}", report::table(&outcome));
    if let Some(path) = json {
        fs::write(&path, serde_json::to_vec_pretty(&outcome)?)?;
    }
    Ok(outcome.faults.none())
}

fn read(outcomes: &[PathBuf]) -> Result<Vec<Outcome>> {
    outcomes.iter().map(|path| Ok(serde_json::from_str(&fs::read_to_string(path)?)?)).collect()
}

/// A client is a descriptor.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    // Whoever cannot raise it finds out when a client cannot connect.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
