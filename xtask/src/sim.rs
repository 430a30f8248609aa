//! `cargo xtask sim`: seeds of the simulator, built so that thousands of them are soon run.

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::metadata::Metadata;

const HELP: &str = "\
cargo xtask sim [--seeds N] [--from S] | --seed S [--steps E] | --planted

Runs seeds of the simulator: one server's life after another under virtual time, with everything that goes
wrong, and every invariant looked at. --seed tells one of them line by line; --steps ends it after so many
events; --clients C lets so many take part; --faults A,B lets only these happen (none: no faults).
--planted plants bugs, too, and says how each is found. docs/reliability.md says more.
";

/// How the binary is built and started.
const SIMULATOR: &str = "run --quiet --locked --package presence-testkit --bin presence-sim";

/// For thousands of seeds; for some hundreds it takes longer to build than it saves.
const FAST: &str = "--profile sim";

/// Plants bugs, for which the model has to be built so.
const PLANTED: &str = "--planted";

/// The arguments of cargo for a run of some hundred seeds.
pub(crate) fn command(arguments: &str) -> String {
    command_of(&[SIMULATOR], &arguments.split(' ').map(str::to_owned).collect::<Vec<_>>()).join(" ")
}

fn command_of(build: &[&str], arguments: &[String]) -> Vec<String> {
    let planted = arguments.iter().any(|argument| argument == PLANTED);
    let features: &[&str] = if planted { &["--features planted"] } else { &[] };
    let build =
        build.iter().chain(features).chain(&["--"]).flat_map(|words| words.split(' ')).map(str::to_owned);
    build.chain(arguments.iter().cloned()).collect()
}

/// Runs what was asked for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "help" | "-h" | "--help")) {
        print!("{HELP}");
        return Ok(());
    }
    let root = Metadata::read()?.workspace_root;
    let status = cargo().args(command_of(&[SIMULATOR, FAST], arguments)).current_dir(root).status();
    ensure!(status.context("cannot start the simulator")?.success(), "not every seed holds");
    Ok(())
}
