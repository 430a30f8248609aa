//! Licences and origins of all dependencies, from what cargo knows: nothing has to be installed for it. `deny.toml` says
//! the same to cargo-deny, which also knows of advisories, for those who have it.

use anyhow::{Result, bail};

use crate::metadata::{Metadata, Package};

/// Licences that everything may be taken under.
const LICENCES: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Never, and what instead.
const BANNED: [(&str, &str); 8] = [
    ("openssl-sys", "ring"),
    ("aws-lc-sys", "ring"),
    ("serde_yaml", "toml"),
    ("serde_yml", "toml"),
    ("rustls-pemfile", "rustls-pki-types"),
    ("tokio-tungstenite", "tungstenite"),
    ("backoff", "backon"),
    ("atty", "std::io::IsTerminal"),
];

/// Who alone may use what.
const OWNERS: [(&str, &[&str]); 2] = [
    ("tungstenite", &["presence-transport-ws", "presence-testkit"]),
    ("hyper", &["presence-transport-ws", "presence-transport-sse", "presence-server"]),
];

/// Prints what is wrong, and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let mut wrong: Vec<String> = metadata.packages.iter().flat_map(faults).collect();
    for package in metadata.members() {
        for (name, owners) in OWNERS {
            let uses = package.dependencies.iter().any(|dependency| dependency.name == name);
            if uses && !owners.contains(&package.name.as_str()) {
                wrong.push(format!(
                    "{} must not use {name}: that is for {}",
                    package.name,
                    owners.join(" and ")
                ));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("dependencies that may not be:\n  {}", wrong.join("\n  "))
}

fn faults(package: &Package) -> Vec<String> {
    let name = format!("{} {}", package.name, package.version);
    let mut faults = Vec::new();
    if let Some((_, instead)) = BANNED.iter().find(|(banned, _)| *banned == package.name) {
        faults.push(format!("{name} is banned: use {instead}"));
    }
    if let Some(source) = &package.source
        && !source.starts_with("registry+")
    {
        faults.push(format!("{name} comes from {source}, not from a registry"));
    }
    match &package.license {
        Some(licence) if permits(licence) => {}
        licence => faults.push(format!("{name} has the licence {licence:?}")),
    }
    faults
}

/// Whether an SPDX expression leaves us a way. Good for the expressions that crates have: no nesting beyond one level.
fn permits(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let allowed = |licence: &str| LICENCES.contains(&licence.trim());
    expression.split(" AND ").all(|all| all.split(" OR ").any(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_may_be() {
        run().unwrap();
    }

    #[test]
    fn an_expression_is_read_as_it_is_meant() {
        assert!(permits("MIT OR Apache-2.0"));
        assert!(permits("MIT/GPL-3.0"));
        assert!(permits("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!permits("GPL-3.0-only"));
        assert!(!permits("MIT AND GPL-3.0-only"));
    }
}
