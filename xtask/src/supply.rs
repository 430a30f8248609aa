//! Licences, origins and owners of all dependencies, by the rules of `deny.toml` and from what cargo knows. cargo-deny
//! reads the same rules, and also knows of advisories; but it takes minutes to install, so a new machine runs this.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::metadata::{Metadata, Package};

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

/// A package that nobody may use, or its owners only.
#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
    reason: String,
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// Fails, and says with what, if anything is wrong.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let rules =
        fs::read_to_string(metadata.workspace_root.join("deny.toml")).context("there is no deny.toml")?;
    let rules: Rules = toml::from_str(&rules).context("deny.toml")?;
    let wrong = faults(&rules, &metadata);
    ensure!(wrong.is_empty(), "dependencies that may not be:\n  {}", wrong.join("\n  "));
    Ok(())
}

fn faults(rules: &Rules, metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        wrong.extend(banned(&rules.bans, package, &metadata.users_of(package)));
        wrong.extend(foreign(&rules.sources, package));
        wrong.extend(unlicensed(&rules.licenses, package));
    }
    wrong.extend(metadata.members().flat_map(wildcards));
    wrong
}

fn banned(bans: &Bans, package: &Package, users: &[&str]) -> Option<String> {
    let Ban { name, reason, wrappers } = bans.deny.iter().find(|ban| ban.name == package.name)?;
    if wrappers.is_empty() {
        return Some(format!("{name} is banned, through {}: {reason}", users.join(" and ")));
    }
    let strangers: Vec<&str> =
        users.iter().copied().filter(|user| !wrappers.iter().any(|owner| owner == user)).collect();
    let found = !strangers.is_empty();
    found.then(|| {
        format!("{} must not use {name}, only {}: {reason}", strangers.join(" and "), wrappers.join(" and "))
    })
}

fn foreign(sources: &Sources, package: &Package) -> Option<String> {
    let source = package.source.as_deref()?;
    let registry = source.strip_prefix("registry+");
    let known = registry.is_some_and(|registry| sources.allow_registry.iter().any(|known| known == registry));
    (!known).then(|| format!("{} comes from {source}", package.name))
}

fn unlicensed(licences: &Licences, package: &Package) -> Option<String> {
    match &package.license {
        Some(licence) if permits(&licences.allow, licence) => None,
        Some(licence) => Some(format!("{} {} is under {licence}", package.name, package.version)),
        None => Some(format!("{} {} names no licence", package.name, package.version)),
    }
}

/// Whether an SPDX expression leaves us a way. Right for the expressions that crates have, a row of ORs or ANDs of
/// those; of deeper ones it refuses some that are good, and takes none that are not.
fn permits(allowed: &[String], expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let allowed = |licence: &str| allowed.iter().any(|allowed| allowed == licence.trim());
    expression.split(" AND ").all(|all| all.split(" OR ").any(allowed))
}

/// The dependencies of a package that may have any version.
fn wildcards(package: &Package) -> impl Iterator<Item = String> {
    let any =
        package.dependencies.iter().filter(|dependency| dependency.req == "*" && dependency.source.is_some());
    any.map(|dependency| format!("{} takes any version of {}", package.name, dependency.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        licenses.allow = ["MIT", "Apache-2.0", "Unicode-3.0"]
        sources.allow-registry = ["https://registry"]
        bans.deny = [
            { name = "openssl-sys", reason = "ring" },
            { name = "hyper", wrappers = ["server"], reason = "one owner" },
        ]
    "#;

    /// A workspace of `server` and `tests`, which use what is given.
    fn found(name: &str, licence: &str, source: &str, users: &[&str]) -> Vec<String> {
        let package = |name: &str, licence: &str, source: Option<&str>| {
            serde_json::json!({
                "id": name, "name": name, "version": "1.0.0", "license": licence, "source": source,
                "dependencies": [], "features": {},
            })
        };
        let packages = [
            package("server", "MIT", None),
            package("tests", "MIT", None),
            package(name, licence, Some(source)),
        ];
        let nodes: Vec<_> =
            users.iter().map(|user| serde_json::json!({"id": user, "dependencies": [name]})).collect();
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "packages": packages, "workspace_members": ["server", "tests"], "workspace_root": "", "target_directory": "",
            "resolve": {"nodes": nodes},
        }))
        .unwrap();
        faults(&toml::from_str(RULES).unwrap(), &metadata)
    }

    #[test]
    fn every_dependency_may_be() {
        run().unwrap();
    }

    #[test]
    fn a_dependency_that_may_not_be_is_found() {
        const HERE: &str = "registry+https://registry";
        assert_eq!(found("bytes", "MIT", HERE, &["server", "tests"]), [""; 0]);
        assert_eq!(found("hyper", "MIT", HERE, &["server"]), [""; 0]);
        assert_eq!(
            found("hyper", "MIT", HERE, &["server", "tests"]),
            ["tests must not use hyper, only server: one owner"]
        );
        assert_eq!(
            found("openssl-sys", "MIT", HERE, &["server"]),
            ["openssl-sys is banned, through server: ring"]
        );
        assert_eq!(found("bytes", "GPL-3.0-only", HERE, &["server"]), ["bytes 1.0.0 is under GPL-3.0-only"]);
        assert_eq!(
            found("bytes", "MIT", "git+https://registry", &["server"]),
            ["bytes comes from git+https://registry"]
        );
    }

    #[test]
    fn an_expression_is_read_as_it_is_meant() {
        let rules: Rules = toml::from_str(RULES).unwrap();
        let permits = |expression| permits(&rules.licenses.allow, expression);
        assert!(permits("MIT OR Apache-2.0"));
        assert!(permits("MIT/GPL-3.0"));
        assert!(permits("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!permits("GPL-3.0-only"));
        assert!(!permits("MIT AND GPL-3.0-only"));
    }
}
