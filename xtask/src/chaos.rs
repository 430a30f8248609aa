//! `cargo xtask chaos`: a server and its clients, each a process of its own, under one fault after the other. All that breaks
//! and judges is in `presence-chaos`; this only builds the two.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::cargo;
use crate::metadata::Metadata;
use crate::provide::{Need, path, provide};

const HELP: &str = "\
cargo xtask chaos [ROW…] [--seed N] [--minutes N] [--quick] [--debug]

Without a row all of them run, about ten minutes: kill term stop-server stop-clients cut cable latency descriptors
disk read-only clock storm stalled.
--seed N     another seed, another run
--minutes N  goes on with the next seeds for so long
--quick      only those that `cargo xtask test` runs
--debug      builds that are made faster and run slower
docs/reliability.md says what each row does, and what it came to.
";

/// What the rows need beside Rust.
const NEEDS: &[Need] = &[
    Need { program: "mount", package: "mount" },
    Need { program: "faketime", package: "faketime" },
    Need { program: "ip", package: "iproute2" },
    Need { program: "nft", package: "nftables" },
];

/// Runs what was asked for.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| matches!(argument.as_str(), "--help" | "-h")) {
        print!("{HELP}");
        return Ok(());
    }
    let debug = arguments.iter().any(|argument| argument == "--debug");
    let rows: Vec<&String> = arguments.iter().filter(|argument| *argument != "--debug").collect();
    if !rows.iter().any(|row| *row == "--quick") {
        // A row that lacks something says so, and is skipped.
        let _ = provide(&NEEDS.iter().collect::<Vec<_>>());
    }
    let metadata = Metadata::read()?;
    let folder = build(&metadata, debug)?;
    let status = Command::new(folder.join("presence-chaos"))
        .arg("--server")
        .arg(folder.join("presence-server"))
        .args(rows)
        .current_dir(&metadata.workspace_root)
        .env("PATH", path())
        .status()
        .context("cannot run presence-chaos")?;
    ensure!(status.success(), "something was lost, or could not be run");
    Ok(())
}

/// Builds both, and says where they are.
fn build(metadata: &Metadata, debug: bool) -> Result<PathBuf> {
    eprintln!("── building the server and the clients");
    let status = cargo()
        .args(["build", "--locked", "--bin", "presence-server", "--bin", "presence-chaos"])
        .args(["--package", "presence-server", "--package", "presence-testkit"])
        .args((!debug).then_some("--release"))
        .current_dir(&metadata.workspace_root)
        .status()?;
    ensure!(status.success(), "the build failed");
    Ok(PathBuf::from(&metadata.target_directory).join(if debug { "debug" } else { "release" }))
}
