//! What formatters and linters do not look at.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::metadata::Metadata;
use crate::tokens::Code;

/// Lines that a file may have.
const FILE_LINES_MAX: usize = 500;

/// Lines that a function may have.
const FUNCTION_LINES_MAX: usize = 70;

/// Bytes that a file may have.
const BLOB_BYTES_MAX: u64 = 200 * 1024;

/// What no Rust file may say, as tokens, and what to do instead.
const BANNED: [(&str, &str); 3] = [
    ("todo !", "write it, or write an issue"),
    ("unimplemented !", "write it, or write an issue"),
    ("# [ ignore", "a test that does not run is no test"),
];

/// What names something.
const NAMING: [&str; 5] = ["struct", "enum", "trait", "mod", "type"];

/// Words that no name may have, in the spelling of types and of modules: they say nothing.
const EMPTY_WORDS: [(&str, &str); 3] = [("Manager", "manager"), ("Helper", "helper"), ("Util", "util")];

/// What counts a metric.
const COUNTING: [&str; 3] = ["counter !", "gauge !", "histogram !"];

/// Split, so that this file does not say it.
const UNFINISHED: &str = concat!("FIX", "ME");

/// What would be true of one machine only.
const MACHINE_PATHS: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Fails, and says with what, if anything is wrong.
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

fn look_at_code(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{path} does not say what it is: begin with `//!`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        wrong.push(format!("{path} has {lines} lines: is it one thing?"));
    }
    if text.contains(UNFINISHED) {
        wrong.push(format!("{path} says {UNFINISHED}: mend it, or write an issue"));
    }
    match Code::read(text) {
        Ok(code) => wrong.extend(look_at_tokens(path, &code)),
        Err(error) => wrong.push(format!("{path} {error}")),
    }
    wrong
}

fn look_at_tokens(path: &str, code: &Code) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ban = |pattern: &str, instead: &str| {
        let shown = pattern.replace(' ', "");
        wrong.extend(code.says(pattern).map(|line| format!("{path}:{line} says `{shown}`: {instead}")));
    };
    for (pattern, instead) in BANNED {
        ban(pattern, instead);
    }
    if path.contains("/tests/") {
        ban("sleep (", "wait for what you mean");
    }
    if path.starts_with("presence-server/") && !path.ends_with("/clock.rs") {
        ban("Instant :: now", "only clock.rs reads a clock");
        ban("SystemTime :: now", "only clock.rs reads a clock");
    }
    if path.starts_with("presence-server/") && !path.contains("/metrics.rs") && !path.contains("/metrics/") {
        for pattern in COUNTING {
            ban(pattern, "only metrics.rs names a metric");
        }
    }
    for (line, name) in NAMING.iter().flat_map(|word| code.after(word)) {
        if EMPTY_WORDS.iter().any(|(of_type, of_module)| name.contains(of_type) || name.contains(of_module)) {
            wrong.push(format!("{path}:{line} names something {name}: say what it is"));
        }
    }
    let long = code.functions().iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    wrong.extend(long.map(|function| format!("{path}: `{}` has {} lines", function.name, function.lines)));
    wrong
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
        assert_eq!(faults("a/src/b.rs", "//! B.\nfn b() {\n"), 1);
        assert_eq!(faults("a/src/b.rs", &format!("//! B.\n{}", "\n".repeat(FILE_LINES_MAX))), 1);
        assert_eq!(faults("a/src/b.rs", "//! B.\nfn b() { todo!() }\n"), 1);
        assert_eq!(faults("a/src/b.rs", "//! B.\n#[test]\n#[ignore]\nfn b() {}\n"), 1);
        assert_eq!(faults("a/src/b.rs", &format!("//! B.\n// {UNFINISHED}\nfn b() {{}}\n")), 1);
        assert_eq!(faults("a/src/b.rs", "//! B.\nstruct RoomManager;\nmod utils;\n"), 2);
        let long = format!("//! B.\n    fn b() {{\n{}    }}\n", "        b();\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(faults("a/src/b.rs", &long), 1);
    }

    #[test]
    fn what_belongs_in_one_place_is_found_elsewhere() {
        let faults = |path: &str, code: &str| look_at_code(path, &format!("//! B.\n{code}\n")).len();
        assert_eq!(faults("a/tests/b.rs", "fn b() { sleep(1) }"), 1);
        assert_eq!(faults("a/src/b.rs", "fn b() { sleep(1) }"), 0);
        assert_eq!(faults("presence-server/src/b.rs", "fn b() { Instant::now() }"), 1);
        assert_eq!(faults("presence-server/src/clock.rs", "fn b() { Instant::now() }"), 0);
        assert_eq!(faults("presence-server/src/b.rs", "fn b() { counter!(\"presence_b\") }"), 1);
        assert_eq!(faults("presence-server/src/metrics.rs", "fn b() { counter!(\"presence_b\") }"), 0);
    }
}
