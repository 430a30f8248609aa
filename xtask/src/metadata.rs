//! What cargo knows of the workspace.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo::cargo;

/// The answer of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    workspace_members: Vec<String>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
    resolve: Resolve,
}

/// Which package really uses which, with all features and on all platforms.
#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// A package of the workspace, or one that it uses.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None`: it lies in this repository.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: std::collections::BTreeMap<String, Vec<String>>,
}

/// An arrow from one package to another.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None`: an ordinary one; else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// What it is used with.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// The versions it may have.
    pub(crate) req: String,
    /// `None`: it lies in this repository.
    pub(crate) source: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("cargo metadata gave something unexpected")
    }

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// One package of the workspace.
    pub(crate) fn member(&self, name: &str) -> Result<&Package> {
        self.members()
            .find(|package| package.name == name)
            .with_context(|| format!("there is no package {name}"))
    }

    /// The names of those that use this package themselves.
    pub(crate) fn users_of(&self, package: &Package) -> Vec<&str> {
        let users: Vec<&String> = self
            .resolve
            .nodes
            .iter()
            .filter(|node| node.dependencies.contains(&package.id))
            .map(|node| &node.id)
            .collect();
        let users = self.packages.iter().filter(|package| users.contains(&&package.id));
        users.map(|package| package.name.as_str()).collect()
    }
}
