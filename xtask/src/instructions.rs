//! `cargo xtask instructions`: how many instructions the server's most frequent work takes, held against what it took when
//! somebody last looked. Callgrind counts the same each time, whatever else the machine does; so a slowdown is seen where a
//! clock would see noise.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cargo::cargo;
use crate::metadata::Metadata;
use crate::provide::{Need, path, provide};

/// What counts.
pub(crate) const NEEDS: &[Need] = &[Need { program: "valgrind", package: "valgrind" }];

/// By how many hundredths a count may rise: another compiler or C library differs by some.
const TOLERANCE: f64 = 5.0;

/// What is counted, and nothing else: the function of that name in the bench.
const COUNTED: &str = "--toggle-collect=instructions::counted*";

const BASELINE: &str = "presence-core/benches/instructions.json";

const HELP: &str = "\
cargo xtask instructions [--update]

Counts the instructions of presence-core/benches/instructions.rs, and fails if one of its counts has risen
by more than 5 % above the one in instructions.json. --update writes what was counted there.
";

type Counts = BTreeMap<String, u64>;

/// Counts, and compares or updates.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let update = match arguments {
        [] => false,
        [only] if only == "--update" => true,
        _ => {
            print!("{HELP}");
            return Ok(());
        }
    };
    provide(&NEEDS.iter().collect::<Vec<_>>())?;
    let root = Metadata::read()?.workspace_root;
    let bench = build(&root)?;
    let names = Command::new(&bench).output().context("cannot run the bench")?.stdout;
    let mut counts = Counts::new();
    for name in String::from_utf8(names)?.lines() {
        counts.insert(name.to_owned(), count(&bench, name)?);
    }
    let file = root.join(BASELINE);
    if update {
        return Ok(fs::write(&file, serde_json::to_string_pretty(&counts)? + "\n")?);
    }
    let known: Counts = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let (table, bad) = compare(&known, &counts);
    print!("{table}");
    ensure!(bad.is_empty(), "{}; if that is meant, `cargo xtask instructions --update`", bad.join("; "));
    Ok(())
}

/// Builds the bench, and says where it is.
fn build(root: &Path) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--quiet", "--release", "--locked", "--message-format", "json"])
        .args(["--package", "presence-core", "--bench", "instructions"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the bench could not be built");
    let built = String::from_utf8(output.stdout)?;
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "instructions")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    built.lines().find_map(executable).context("cargo does not say where the bench is")
}

fn count(bench: &Path, name: &str) -> Result<u64> {
    let outcome = bench.with_extension(format!("{name}.callgrind"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", COUNTED])
        .arg(format!("--callgrind-out-file={}", outcome.display()))
        .arg(bench)
        .arg(name)
        .env("PATH", path())
        .output()
        .context("cannot run valgrind")?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&outcome)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        Some(0) | None => bail!("{name}: nothing was counted"),
        Some(total) => Ok(total),
    }
}

/// A table of all, and what is wrong with some.
fn compare(known: &Counts, counts: &Counts) -> (String, Vec<String>) {
    let (mut table, mut bad) = (String::new(), Vec::new());
    for (name, count) in counts {
        let Some(before) = known.get(name) else {
            bad.push(format!("{name} is not in {BASELINE}"));
            continue;
        };
        let change = (*count as f64 / *before as f64 - 1.0) * 100.0;
        table += &format!("   {name:<12} {count:>14} instructions  {change:+.2} %\n");
        if change > TOLERANCE {
            bad.push(format!("{name} takes {change:.1} % more instructions than it did"));
        }
    }
    for name in known.keys().filter(|name| !counts.contains_key(*name)) {
        bad.push(format!("{name} is counted no more"));
    }
    (table, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_rises_by_more_than_the_tolerance_is_named() {
        let known = counts(&[("join", 1_000), ("tick", 1_000), ("decode", 1_000)]);
        let (_, bad) = compare(&known, &counts(&[("join", 1_049), ("tick", 1_051), ("decode", 10)]));
        assert_eq!(bad, ["tick takes 5.1 % more instructions than it did"]);
    }

    #[test]
    fn what_is_new_or_gone_is_named() {
        let (_, bad) = compare(&counts(&[("join", 1)]), &counts(&[("tick", 1)]));
        assert_eq!(bad.len(), 2);
    }
}
