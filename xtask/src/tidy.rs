//! What formatters and linters do not look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;

/// Lines that a file may have.
const FILE_LINES_MAX: usize = 500;

/// Lines that a function may have.
const FUNCTION_LINES_MAX: usize = 70;

/// Bytes that a file may have.
const BLOB_BYTES_MAX: u64 = 200 * 1024;

/// What no Rust file may say, and what to do instead. Split, so that this file does not say it.
const BANNED: [(&str, &str); 8] = [
    (concat!("todo", "!("), "write it, or write an issue"),
    (concat!("unimplemented", "!("), "write it, or write an issue"),
    (concat!("#[ign", "ore"), "a test that does not run is no test"),
    (concat!("FIX", "ME"), "mend it, or write an issue"),
    (concat!("struct ", "Manager"), "say what it manages"),
    (concat!("Hel", "per "), "say what it helps with"),
    (concat!("mod ", "util"), "say what it is"),
    (concat!("mod ", "helpers"), "say what it is"),
];

/// What would be true of one machine only.
const MACHINE_PATHS: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Prints what is wrong, and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let root = Metadata::read()?.workspace_root;
    let mut wrong = Vec::new();
    for path in tracked(&root)? {
        wrong.extend(look(&root, &path)?);
    }
    let readme = fs::read_to_string(root.join("README.md")).context("there is no README.md")?;
    for command in ["cargo run --release", "cargo xtask test"] {
        if !readme.contains(command) {
            wrong.push(format!("README.md does not name `{command}`"));
        }
    }
    if !fs::read_to_string(root.join(".ci/run"))?.contains("cargo xtask test") {
        wrong.push(".ci/run does not run what the README names".to_owned());
    }
    ensure!(wrong.is_empty(), "untidy:\n  {}", wrong.join("\n  "));
    Ok(())
}

/// The files of this ending below a folder.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What git has, and what it would take.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn look(root: &Path, path: &str) -> Result<Vec<String>> {
    let file = root.join(path);
    let Ok(about) = fs::metadata(&file) else { return Ok(Vec::new()) };
    let mut wrong = Vec::new();
    if about.len() > BLOB_BYTES_MAX {
        wrong.push(format!("{path} has {} bytes: keep it elsewhere", about.len()));
    }
    let Ok(text) = fs::read_to_string(&file) else { return Ok(wrong) };
    let machine = MACHINE_PATHS.iter().filter(|prefix| text.contains(**prefix));
    wrong.extend(machine.map(|prefix| format!("{path} names a path of one machine: {prefix}")));
    if path.ends_with(".rs") {
        wrong.extend(look_at_code(path, &text));
    }
    Ok(wrong)
}

fn look_at_code(path: &str, code: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !code.starts_with("//!") {
        wrong.push(format!("{path} does not say what it is: begin with `//!`"));
    }
    let lines = code.lines().count();
    if lines > FILE_LINES_MAX {
        wrong.push(format!("{path} has {lines} lines: is it one thing?"));
    }
    let said = BANNED.iter().filter(|(text, _)| code.contains(text));
    wrong.extend(said.map(|(text, instead)| format!("{path} says `{text}`: {instead}")));
    if path.contains("/tests/") && code.contains("sleep(") {
        wrong.push(format!("{path} sleeps: wait for what you mean"));
    }
    let reads_clock = code.contains("Instant::now()") || code.contains("SystemTime::now()");
    if path.starts_with("presence-server/") && !path.ends_with("/clock.rs") && reads_clock {
        wrong.push(format!("{path} reads a clock: only clock.rs does"));
    }
    let names_metric = code.contains("\"presence_") && code.contains("metrics::");
    if path.starts_with("presence-server/") && !path.ends_with("/metrics.rs") && names_metric {
        wrong.push(format!("{path} names a metric: only metrics.rs does"));
    }
    wrong.extend(long_functions(code).map(|(name, lines)| format!("{path}: `{name}` has {lines} lines")));
    wrong
}

/// Functions that are longer than a screen. Formatted code ends a function with a brace as deep as its head.
fn long_functions(code: &str) -> impl Iterator<Item = (String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let head = line.trim_start();
        let Some(at) = head.find("fn ").filter(|at| *at == 0 || head[..*at].ends_with(' ')) else { continue };
        if head.starts_with("//") {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - head.len()]);
        let Some(length) = lines[start..].iter().position(|line| *line == end) else { continue };
        let body_is_elsewhere =
            lines[start..start + length].iter().any(|line| line.ends_with(';') && *line == lines[start]);
        if length + 1 > FUNCTION_LINES_MAX && !body_is_elsewhere {
            let name = head[at + 3..].split(['(', '<']).next().unwrap_or_default();
            found.push((name.to_owned(), length + 1));
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_tidy() {
        run().unwrap();
    }

    #[test]
    fn each_fault_is_found() {
        let faults = |path: &str, code: &str| look_at_code(path, code).len();
        assert_eq!(faults("a/src/b.rs", "//! B.\nfn b() {}\n"), 0);
        assert_eq!(faults("a/src/b.rs", "fn b() {}\n"), 1);
        assert_eq!(faults("a/src/b.rs", &format!("//! B.\n{}", "\n".repeat(FILE_LINES_MAX))), 1);
        assert_eq!(faults("a/src/b.rs", concat!("//! B.\nfn b() { todo", "!() }\n")), 1);
        assert_eq!(faults("a/tests/b.rs", "//! B.\nfn b() { sleep(1) }\n"), 1);
        assert_eq!(faults("presence-server/src/b.rs", "//! B.\nfn b() { Instant::now() }\n"), 1);
        assert_eq!(faults("presence-server/src/clock.rs", "//! B.\nfn b() { Instant::now() }\n"), 0);
        let long = format!("//! B.\n    fn b() {{\n{}    }}\n", "        b();\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(faults("a/src/b.rs", &long), 1);
    }
}
