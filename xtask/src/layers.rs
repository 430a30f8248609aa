//! Which crate may use which. Arrows point one way, and the model at their end knows no clock, runtime or socket, and
//! no JSON outside its `wire` module.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::metadata::{Metadata, Package};
use crate::tokens::Code;

/// A crate of the workspace, and what it may use of it.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    /// What its tests may use besides.
    tests_use: &'static [&'static str],
}

const LAYERS: [Layer; 6] = [
    Layer { name: "presence-core", uses: &[], tests_use: &[] },
    Layer { name: "presence-transport-ws", uses: &["presence-core"], tests_use: &["presence-testkit"] },
    Layer { name: "presence-transport-sse", uses: &["presence-core"], tests_use: &["presence-testkit"] },
    Layer {
        name: "presence-server",
        uses: &["presence-core", "presence-transport-ws", "presence-transport-sse"],
        tests_use: &["presence-testkit"],
    },
    Layer { name: "presence-testkit", uses: &["presence-core"], tests_use: &["presence-server"] },
    Layer { name: "xtask", uses: &[], tests_use: &[] },
];

/// The feature that makes bugs possible which the simulator is to find.
const PLANTED: &str = "planted";

/// All that the model is made of.
const CORE_DEPENDENCIES: [&str; 6] = ["arcstr", "async-trait", "bytes", "serde", "serde_json", "thiserror"];

/// What the model must not say, and why. An address is data, so `SocketAddr` is not among it.
const CORE_SAYS_NOT: [(&str, &str); 13] = [
    ("Instant", "it takes a `Now`"),
    ("SystemTime", "it takes a `Now`"),
    ("tokio", "it has no runtime"),
    ("std :: thread", "it has no threads"),
    ("thread :: spawn", "it has no threads"),
    ("std :: env", "it takes `Limits`"),
    ("env ::", "it takes `Limits`"),
    ("std :: fs", "it has no files"),
    ("fs ::", "it has no files"),
    ("TcpStream", "it has no sockets"),
    ("TcpListener", "it has no sockets"),
    ("UdpSocket", "it has no sockets"),
    ("tracing", "its driver logs"),
];

/// Fails, and says with what, if anything is wrong.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let mut wrong: Vec<String> = metadata.members().flat_map(|member| arrows(&metadata, member)).collect();
    wrong.extend(metadata.members().flat_map(plants));
    wrong.extend(purity(&metadata.workspace_root.join("presence-core/src"))?);
    ensure!(wrong.is_empty(), "the layers are broken:\n  {}", wrong.join("\n  "));
    Ok(())
}

/// The arrows of one crate that must not be.
fn arrows(metadata: &Metadata, member: &Package) -> Vec<String> {
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == member.name) else {
        return vec![format!("{} is not in the table of layers", member.name)];
    };
    let inside = |name: &str| metadata.members().any(|package| package.name == name);
    let mut wrong = Vec::new();
    for dependency in &member.dependencies {
        let to = dependency.name.as_str();
        let in_tests = dependency.kind.as_deref() == Some("dev");
        let may = layer.uses.contains(&to) || (in_tests && layer.tests_use.contains(&to));
        if inside(to) && !may {
            let who = if in_tests { "the tests of " } else { "" };
            wrong.push(format!("{who}{} must not use {to}", member.name));
        } else if member.name == "presence-core" && !in_tests && !CORE_DEPENDENCIES.contains(&to) {
            wrong.push(format!("presence-core must not use {to}"));
        }
    }
    wrong
}

/// Where a crate lets planted bugs in that must not: only the simulator asks for them, and only when it is told to.
fn plants(member: &Package) -> Vec<String> {
    let simulates = member.name == "presence-testkit";
    let of_features = member.features.iter().flat_map(|(name, brings)| {
        let brings = brings.iter().filter(|brought| brought.ends_with(PLANTED));
        brings.filter(move |_| !(simulates && name == PLANTED)).map(move |_| format!("the feature `{name}`"))
    });
    let of_dependencies = member.dependencies.iter().filter_map(|dependency| {
        let planted = dependency.features.iter().any(|feature| feature == PLANTED);
        planted.then(|| format!("the dependency {}", dependency.name))
    });
    let found = of_features.chain(of_dependencies);
    found.map(|by| format!("{by} of {} must not bring planted bugs", member.name)).collect()
}

fn purity(core: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in rust_files(core)? {
        let shown = file.display();
        let code = fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        let faults = impure(&code, file.starts_with(core.join("wire")))?;
        wrong.extend(faults.into_iter().map(|fault| format!("{shown}{fault}")));
    }
    Ok(wrong)
}

/// What a file of the model says that it should not know.
fn impure(code: &str, wire: bool) -> Result<Vec<String>> {
    let code = Code::read(code)?;
    let json: &[(&str, &str)] = if wire {
        &[]
    } else {
        &[("serde", "only `wire` knows JSON"), ("serde_json", "only `wire` knows JSON")]
    };
    let found = CORE_SAYS_NOT.iter().chain(json).flat_map(|(says, why)| {
        code.says(says).map(move |line| format!(":{line} says {}: {why}", says.replace(' ', "")))
    });
    Ok(found.collect())
}

/// The Rust files below a folder.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_hold() {
        run().unwrap();
    }

    /// A workspace of the crates in the table and one more, in which one crate uses another.
    fn with_arrow(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let packages: Vec<_> = LAYERS
            .iter()
            .map(|layer| layer.name)
            .chain(["newcomer"])
            .map(|name| {
                let arrow = serde_json::json!({"name": to, "kind": kind, "req": "*", "source": null});
                let dependencies = if name == from { vec![arrow] } else { Vec::new() };
                serde_json::json!({
                    "id": name, "name": name, "version": "0.1.0", "license": null, "source": null,
                    "dependencies": dependencies, "features": {},
                })
            })
            .collect();
        let members: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "packages": packages, "workspace_members": members, "workspace_root": "", "target_directory": "", "resolve": {"nodes": []},
        }))
        .unwrap();
        arrows(&metadata, metadata.member(from).unwrap())
    }

    #[test]
    fn an_arrow_that_points_another_way_is_found() {
        assert_eq!(with_arrow("presence-server", "presence-core", None), [""; 0]);
        assert_eq!(with_arrow("presence-testkit", "presence-server", Some("dev")), [""; 0]);
        for (from, to, kind) in [
            ("presence-core", "presence-server", None),
            ("presence-transport-ws", "presence-transport-sse", None),
            ("presence-server", "presence-testkit", None),
            ("presence-testkit", "presence-server", None),
            ("presence-testkit", "presence-server", Some("build")),
            ("presence-transport-ws", "presence-server", Some("dev")),
            ("xtask", "presence-core", None),
            ("presence-core", "tokio", None),
            ("newcomer", "presence-core", None),
        ] {
            assert_eq!(with_arrow(from, to, kind).len(), 1, "{from} → {to} {kind:?}");
        }
    }

    #[test]
    fn planted_bugs_are_for_the_simulator_alone() {
        let member = |name: &str, feature: &str, brings: &str, with: &str| {
            let dependency = serde_json::json!({"name": "presence-core", "kind": null, "req": "*", "source": null, "features": [with]});
            let package = serde_json::json!({
                "id": name, "name": name, "version": "0.1.0", "license": null, "source": null,
                "dependencies": [dependency], "features": {feature: [brings]},
            });
            plants(&serde_json::from_value(package).unwrap()).len()
        };
        assert_eq!(member("presence-testkit", "planted", "presence-core/planted", "other"), 0);
        assert_eq!(member("presence-testkit", "default", "planted", "other"), 1);
        assert_eq!(member("presence-server", "planted", "presence-core/planted", "planted"), 2);
    }

    #[test]
    fn a_model_that_knows_a_clock_or_json_is_found() {
        let faults = |code: &str, wire: bool| impure(code, wire).unwrap().len();
        assert_eq!(faults("use std::time::Duration;\n// tokio\nuse std::net::SocketAddr;", false), 0);
        assert_eq!(faults("fn now() { std::time::Instant::now() }", false), 1);
        assert_eq!(faults("use std::time::{Duration, SystemTime};", false), 1);
        assert_eq!(faults("fn home() { std::env::var(\"HOME\") }", false), 2);
        assert_eq!(faults("use serde_json::Value;", false), 1);
        assert_eq!(faults("use serde_json::Value;", true), 0);
    }
}
