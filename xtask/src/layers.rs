//! Which crate may use which. Arrows point one way, and the model at their end knows no clock, runtime or socket, and
//! no JSON outside its `wire` module.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::Metadata;
use crate::tidy::files;

/// What each crate of the workspace may use of it in its ordinary dependencies.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("presence-core", &[]),
    ("presence-transport-ws", &["presence-core"]),
    ("presence-transport-sse", &["presence-core"]),
    ("presence-server", &["presence-core", "presence-transport-ws", "presence-transport-sse"]),
    ("presence-testkit", &["presence-core"]),
    ("xtask", &[]),
];

/// Only tests may use these, and so may nobody else.
const FOR_TESTS: [&str; 2] = ["presence-server", "presence-testkit"];

/// All that the model is made of.
const CORE_DEPENDENCIES: [&str; 5] = ["async-trait", "bytes", "serde", "serde_json", "thiserror"];

/// What the model must not name, and why.
const CORE_KNOWS_NOT: [(&str, &str); 8] = [
    ("std::time::Instant", "it takes a `Now`"),
    ("std::time::SystemTime", "it takes a `Now`"),
    ("tokio", "it has no runtime"),
    ("std::thread", "it has no threads"),
    ("std::env", "it takes `Limits`"),
    ("std::fs", "it has no files"),
    ("TcpStream", "it has no sockets"),
    ("tracing::", "its driver logs"),
];

/// Prints what is wrong, and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let mut wrong = arrows(&metadata)?;
    wrong.extend(purity(&metadata.workspace_root.join("presence-core/src"))?);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("the layers are broken:\n  {}", wrong.join("\n  "))
}

fn arrows(metadata: &Metadata) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let names: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    for package in metadata.members() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            wrong.push(format!("{} is not in the table of layers", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let (from, to) = (&package.name, dependency.name.as_str());
            let ordinary = dependency.kind.as_deref() != Some("dev");
            if names.contains(&to) && ordinary && !allowed.contains(&to) {
                wrong.push(format!("{from} must not use {to}"));
            }
            if names.contains(&to) && !ordinary && !FOR_TESTS.contains(&to) && !allowed.contains(&to) {
                wrong.push(format!("the tests of {from} must not use {to}"));
            }
        }
    }
    for dependency in &metadata.member("presence-core")?.dependencies {
        if dependency.kind.is_none() && !CORE_DEPENDENCIES.contains(&dependency.name.as_str()) {
            wrong.push(format!("presence-core must not use {}", dependency.name));
        }
    }
    Ok(wrong)
}

fn purity(core: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in files(core, "rs")? {
        let (code, shown) = (fs::read_to_string(&file)?, file.display().to_string());
        wrong.extend(
            impure(&code, file.starts_with(core.join("wire"))).map(|fault| format!("{shown}: {fault}")),
        );
    }
    Ok(wrong)
}

/// What a file of the model names that it should not know.
fn impure(code: &str, wire: bool) -> impl Iterator<Item = String> {
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let json = (!wire && code.contains("serde")).then(|| "names serde: only `wire` knows JSON".to_owned());
    let rest = CORE_KNOWS_NOT.into_iter().filter(move |(name, _)| code.contains(name));
    rest.map(|(name, why)| format!("names {name}: {why}")).chain(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_hold() {
        run().unwrap();
    }

    #[test]
    fn a_model_that_knows_a_clock_or_json_is_found() {
        assert_eq!(impure("use std::time::Duration;\n// tokio", false).count(), 0);
        assert_eq!(impure("let now = std::time::Instant::now();", false).count(), 1);
        assert_eq!(impure("use serde_json::Value;", false).count(), 1);
        assert_eq!(impure("use serde_json::Value;", true).count(), 0);
    }
}
