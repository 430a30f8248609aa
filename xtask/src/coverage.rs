//! `cargo xtask coverage`: how much of the model its own tests run, file by file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo::cargo;
use crate::cargo_tool::{CargoTool, has_component};
use crate::metadata::Metadata;

const PACKAGE: &str = "presence-core";

/// Of each file's lines, in percent.
const LINES_MIN: f64 = 95.0;

/// Not held to it: the bugs that can be planted, which only the simulator's build plants.
const EXCEPTED: &str = "planted.rs";

const TOOL: CargoTool = CargoTool { name: "llvm-cov", package: "cargo-llvm-cov", version: "0.9.1" };

/// What cargo-llvm-cov says.
#[derive(Debug, Deserialize)]
struct Export {
    data: Vec<Measured>,
}

#[derive(Debug, Deserialize)]
struct Measured {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    filename: String,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.count == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.count as f64 }
    }
}

/// Runs the model's tests, says how much of each file they ran, and fails if that is too little of one.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    TOOL.provide()?;
    has_component("llvm-tools")?;
    let report = metadata.target_directory.join("coverage.json");
    let arguments = ["llvm-cov", "--locked", "--package", PACKAGE, "--json", "--summary-only"];
    let status = cargo()
        .args(arguments)
        .arg("--output-path")
        .arg(&report)
        .current_dir(&metadata.workspace_root)
        .status()
        .context("cannot run cargo llvm-cov")?;
    ensure!(status.success(), "cargo llvm-cov failed");
    let root = metadata.workspace_root.join(PACKAGE).join("src").display().to_string();
    let files = read(&std::fs::read_to_string(&report)?, &root)?;
    let poor = show(&files);
    ensure!(
        poor.is_empty(),
        "less than {LINES_MIN} % of their lines are tested: {}\n  which lines: cargo llvm-cov --package {PACKAGE} \
         --show-missing-lines",
        poor.join(", ")
    );
    Ok(())
}

/// Files below `root`, each with its lines.
fn read(report: &str, root: &str) -> Result<BTreeMap<String, Lines>> {
    let export: Export = serde_json::from_str(report).context("cargo llvm-cov gave something unexpected")?;
    let files = export.data.into_iter().flat_map(|measured| measured.files);
    let below = |file: File| {
        let name = file.filename.strip_prefix(root)?.trim_start_matches(['/', '\\']).to_owned();
        Some((name, file.summary.lines))
    };
    let files: BTreeMap<String, Lines> = files.filter_map(below).collect();
    ensure!(!files.is_empty(), "cargo llvm-cov measured nothing below {root}");
    Ok(files)
}

/// Prints a line for each. Gives those that have too little.
fn show(files: &BTreeMap<String, Lines>) -> Vec<&str> {
    let (mut count, mut covered) = (0, 0);
    for (name, lines) in files {
        println!("{:6.1} %  {} of {} lines  {name}", lines.percent(), lines.covered, lines.count);
        count += lines.count;
        covered += lines.covered;
    }
    println!("{:6.1} %  {covered} of {count} lines in all", Lines { count, covered }.percent());
    let poor = files.iter().filter(|(name, lines)| *name != EXCEPTED && lines.percent() < LINES_MIN);
    poor.map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_too_few_tested_lines_is_named() {
        let file = |name: &str, count: u64, covered: u64| {
            format!(
                r#"{{"filename":"{name}","summary":{{"lines":{{"count":{count},"covered":{covered}}}}}}}"#
            )
        };
        let files = [
            file("/x/core/src/a.rs", 20, 19),
            file("/x/core/src/room/b.rs", 100, 94),
            file("/x/core/src/empty.rs", 0, 0),
            file("/x/core/src/planted.rs", 6, 3),
            file("/x/other/src/c.rs", 10, 0),
        ];
        let report = format!(r#"{{"data":[{{"files":[{}]}}],"version":"3"}}"#, files.join(","));
        let files = read(&report, "/x/core/src").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a.rs", "empty.rs", "planted.rs", "room/b.rs"]);
        assert_eq!(show(&files), ["room/b.rs"]);
        assert!(read(&report, "/elsewhere").is_err());
    }
}
