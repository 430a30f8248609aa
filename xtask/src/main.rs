//! `cargo xtask`: everything one does with this repository beside running the server.

mod cargo;
mod cargo_tool;
mod chaos;
mod client;
mod coverage;
mod fuzz;
mod instructions;
mod layers;
mod loadtest;
mod metadata;
mod mutants;
mod provide;
mod sim;
mod space;
mod step;
mod supply;
mod test;
mod tidy;
mod tokens;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  test        all checks, as CI runs them
  loadtest    a server under load, measured and checked; --help says more
  instructions  what the most frequent work costs, counted and compared
  sim         seeds of the simulator; --help says more
  fuzz        hostile input, searched for: cargo xtask fuzz [target] [--minutes N]
  chaos       a server and clients under faults, and what was lost; --help says more
  layers      which crate may use which, and what the model must not know
  tidy        what formatters and linters do not look at
  supply      licences and origins of all dependencies
  coverage    how much of the model its tests run, by file
  mutants     whether they notice what is changed in it; takes hours
";

/// Commands that are told nothing more.
const ALONE: [&str; 5] = ["test", "layers", "tidy", "supply", "coverage"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, argument, ..] = &arguments[..]
        && ALONE.contains(&command.as_str())
    {
        if matches!(argument.as_str(), "-h" | "--help") {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        eprint!("`{command}` is told nothing more, and was told `{argument}`\n\n{HELP}");
        return ExitCode::from(64);
    }
    let done = match arguments.first().map(String::as_str) {
        Some("test") => test::run(),
        Some("loadtest") => loadtest::run(&arguments[1..]),
        Some("instructions") => instructions::run(&arguments[1..]),
        Some("sim") => sim::run(&arguments[1..]),
        Some("fuzz") => fuzz::run(&arguments[1..]),
        Some("chaos") => chaos::run(&arguments[1..]),
        Some("layers") => layers::run(),
        Some("tidy") => tidy::run(),
        Some("supply") => supply::run(),
        Some("coverage") => coverage::run(),
        Some("mutants") => mutants::run(&arguments[1..]),
        Some(unknown) if !matches!(unknown, "help" | "-h" | "--help") => {
            eprint!("there is no command `{unknown}`\n\n{HELP}");
            return ExitCode::from(64);
        }
        _ => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
