//! `cargo xtask mutants`: the model with one thing changed in it at a time, to see whether a test notices.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cargo;
use crate::cargo_tool::CargoTool;
use crate::metadata::Metadata;

const TOOL: CargoTool = CargoTool { name: "mutants", package: "cargo-mutants", version: "27.1.0" };

/// Where survivors are explained.
const PAGE: &str = "docs/reliability.md";

/// A part of the model, and the tests that notice most of what is changed in it. What they do not notice is tried
/// again with all tests, which takes ten times as long.
struct Module {
    name: &'static str,
    files: &'static str,
    tests: &'static [&'static str],
}

const MODULES: [Module; 4] = [
    Module { name: "room", files: "presence-core/src/room/**", tests: &["room", "handover", "movements"] },
    Module { name: "feed", files: "presence-core/src/feed.rs", tests: &["room", "connection"] },
    Module {
        name: "session",
        files: "presence-core/src/session/**",
        tests: &["connection", "session", "people"],
    },
    Module { name: "stream", files: "presence-core/src/stream/**", tests: &["connection", "courier"] },
];

/// How cargo-mutants says that it did its work: all were caught, some were missed, some ran out of time.
const DONE: [i32; 3] = [0, 2, 3];

/// What became of the mutants of a module.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    caught: usize,
    unviable: usize,
    timed_out: Vec<String>,
    missed: Vec<String>,
}

/// Runs one module, or all of them; fails if a survivor is not explained.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let chosen: Vec<&Module> = match arguments {
        [] => MODULES.iter().collect(),
        [name] => MODULES.iter().filter(|module| module.name == name).collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        let names = MODULES.map(|module| module.name).join(" | ");
        bail!("cargo xtask mutants [{names}]");
    }
    TOOL.provide()?;
    let metadata = Metadata::read()?;
    let page = fs::read_to_string(metadata.workspace_root.join(PAGE)).context("cannot read the page")?;
    let mut unexplained = Vec::new();
    for module in chosen {
        let outcome = mutate(&metadata, module)?;
        println!(
            "── {}: {} mutants: {} caught, {} unviable, {} timed out, {} survived",
            module.name,
            outcome.caught + outcome.unviable + outcome.timed_out.len() + outcome.missed.len(),
            outcome.caught,
            outcome.unviable,
            outcome.timed_out.len(),
            outcome.missed.len(),
        );
        unexplained.extend(outcome.missed.into_iter().filter(|mutant| !is_explained(&page, mutant)));
    }
    ensure!(
        unexplained.is_empty(),
        "no test notices these, and {PAGE} does not say why:\n  {}",
        unexplained.join("\n  ")
    );
    Ok(())
}

fn mutate(metadata: &Metadata, module: &Module) -> Result<Outcome> {
    let folder = metadata.target_directory.join("mutants").join(module.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what was found before")?;
    }
    fs::create_dir_all(&folder)?;
    let few: Vec<&str> =
        ["--lib"].into_iter().chain(module.tests.iter().flat_map(|test| ["--test", test])).collect();
    try_out(metadata, module, &folder, &[], &few)?;
    let first = Outcome::read(&folder.join("mutants.out"))?;
    if first.missed.is_empty() {
        return Ok(first);
    }
    try_out(metadata, module, &folder, &["--iterate"], &["--lib", "--tests"])?;
    let second = Outcome::read(&folder.join("mutants.out"))?;
    let timed_out = second.timed_out.len();
    // What ran out of time before was tried again too.
    let tried = first.missed.len() + first.timed_out.len();
    let noticed = tried - timed_out - second.missed.len();
    Ok(Outcome { caught: first.caught + noticed, unviable: first.unviable, ..second })
}

fn try_out(
    metadata: &Metadata,
    module: &Module,
    folder: &Path,
    arguments: &[&str],
    tests: &[&str],
) -> Result<()> {
    let status = cargo()
        .args(["mutants", "--package", "presence-core", "--file", module.files, "--jobs", "1"])
        .args(["--no-shuffle", "--minimum-test-timeout", "60", "--output"])
        .arg(folder)
        .args(arguments)
        .arg("--")
        .args(tests)
        .current_dir(&metadata.workspace_root)
        // One target for all copies, so that what the model uses is built once.
        .env("CARGO_TARGET_DIR", metadata.target_directory.join("mutants").join("target"))
        .status()
        .context("cannot run cargo mutants")?;
    ensure!(status.code().is_some_and(|code| DONE.contains(&code)), "cargo mutants failed: {status}");
    Ok(())
}

impl Outcome {
    fn read(folder: &Path) -> Result<Self> {
        let list = |name: &str| -> Result<Vec<String>> {
            let text =
                fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read {name}"))?;
            Ok(text.lines().map(nameless_place).collect())
        };
        Ok(Self {
            caught: list("caught.txt")?.len(),
            unviable: list("unviable.txt")?.len(),
            timed_out: list("timeout.txt")?,
            missed: list("missed.txt")?,
        })
    }
}

/// A mutant without the line and column that it stands at, which any change above it moves: `presence-core/src/feed.rs:1:2:
/// replace …` is `feed.rs: replace …`.
fn nameless_place(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(change)) => {
            format!("{}:{change}", file.trim_start_matches("presence-core/src/"))
        }
        _ => line.to_owned(),
    }
}

/// Whether the page has a row that begins with it.
fn is_explained(page: &str, mutant: &str) -> bool {
    // A bar ends a cell of a table, so the page has a backslash before it.
    let cell = format!("| `{}` |", mutant.replace('|', "\\|"));
    page.lines().any(|line| line.starts_with(&cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_is_known_by_its_file_and_its_change_wherever_it_stands() {
        let mutant =
            nameless_place("presence-core/src/room/live.rs:48:9: replace || with && in Live::has_news");
        assert_eq!(mutant, "room/live.rs: replace || with && in Live::has_news");
        let page = "| `room/live.rs: replace \\|\\| with && in Live::has_news` | why |\n";
        assert!(is_explained(page, &mutant));
        assert!(!is_explained(page, "room/live.rs: replace || with && in Live::typing"));
    }

    #[test]
    fn the_files_and_tests_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for module in MODULES {
            assert!(root.join(module.files.trim_end_matches("/**")).exists(), "{}", module.files);
            for test in module.tests {
                let tests = root.join("presence-core").join("tests");
                let (file, folder) = (tests.join(format!("{test}.rs")), tests.join(test).join("main.rs"));
                assert!(file.exists() || folder.exists(), "{test}");
            }
        }
    }
}
