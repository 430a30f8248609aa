//! `cargo xtask test`: all checks, in the order in which they fail fastest.

use std::time::Instant;

use anyhow::Result;

use crate::client;
use crate::instructions;
use crate::metadata::Metadata;
use crate::provide::{Need, provide};
use crate::sim;
use crate::space;
use crate::step::{Beside, Course, Step};

const BROWSER: &[Need] = &[
    Need { program: "chromium", package: "chromium" },
    Need { program: "chromedriver", package: "chromium-driver" },
];

const DEPLOY: &[Need] = &[
    Need { program: "prometheus", package: "prometheus" },
    Need { program: "promtool", package: "prometheus" },
    Need { program: "nginx", package: "nginx-light" },
    Need { program: "caddy", package: "caddy" },
    Need { program: "systemd-analyze", package: "systemd" },
];

const NETWORK: &[Need] = &[Need { program: "ip", package: "iproute2" }];

/// What a server with one kind of transport has to show: who comes and goes, what it says of the kinds that it has not, and
/// what is around them. All the rest is told where all kinds are.
const ALONE: &str =
    "close_codes errors http join_leave messages openapi replay restart server stories takeover";

/// Runs all checks; stops at the first that fails and says how to repeat it.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let began = Instant::now();
    let steps = steps(&metadata)?;
    // Before the checks: whoever lacks something wants to know it at once.
    provide(&steps.iter().flat_map(|step| step.needs).collect::<Vec<_>>())?;
    client::node_is_recent()?;
    if let Some(warning) = space::warning(&metadata.target_directory) {
        println!("── {warning}");
    }
    run_all(&steps, &metadata).map_err(|error| match space::suspicion(&metadata.target_directory) {
        Some(suspicion) => error.context(suspicion),
        None => error,
    })?;
    println!("── all {} checks passed in {:.0} s", steps.len(), began.elapsed().as_secs_f64());
    Ok(())
}

fn run_all(steps: &[Step], metadata: &Metadata) -> Result<()> {
    let mut beside = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        println!("── {}/{} {}: {}", number + 1, steps.len(), step.name, step.shown());
        match step.course {
            Course::InTurn => step.run(metadata)?,
            Course::Beside => beside.push(Beside::start(step, metadata)?),
        }
    }
    for running in beside {
        running.end()?;
    }
    Ok(())
}

fn steps(metadata: &Metadata) -> Result<Vec<Step>> {
    let mut steps = vec![
        Step::cargo("format", "fmt --all --check"),
        Step::cargo("layers", "xtask layers"),
        Step::cargo("tidy", "xtask tidy"),
        Step::cargo("supply", "xtask supply"),
        Step::cargo(
            "lints",
            "clippy --quiet --workspace --all-targets --all-features --locked -- -D warnings",
        ),
    ];
    steps.extend(steps_of_features(metadata)?);
    steps.push(Step {
        environment: Some(("RUSTDOCFLAGS", "-D warnings".to_owned())),
        ..Step::cargo("documents", "doc --quiet --workspace --no-deps --locked")
    });
    steps.push(Step::cargo("tests", "test --workspace --locked"));
    steps.push(Step::cargo("simulator", &sim::command("--seeds 300 --planted")));
    // Instructions are the same however many others run. What follows waits for clocks, and leaves a processor to them and to
    // the targets of the fuzzers, which take minutes to build.
    steps.push(Step {
        needs: instructions::NEEDS,
        course: Course::Beside,
        ..Step::cargo("instructions", "xtask instructions")
    });
    steps.push(Step { course: Course::Beside, ..Step::cargo("fuzzing", "xtask fuzz --seconds 3") });
    steps.push(Step {
        needs: DEPLOY,
        ..Step::cargo(
            "deploy",
            "test --package presence-testkit --locked --features deploy --test deploy --test prometheus",
        )
    });
    steps.push(Step {
        needs: BROWSER,
        ..Step::cargo("browser", "test --package presence-testkit --locked --features browser --test browser")
    });
    steps.push(Step {
        needs: NETWORK,
        ..Step::cargo(
            "network",
            "test --package presence-testkit --locked --features network --test network -- --nocapture",
        )
    });
    steps.push(Step::cargo("chaos", "xtask chaos --quick --debug"));
    steps.extend(client::steps(&metadata.target_directory));
    Ok(steps)
}

/// What is tried with each kind of transport and store.
fn steps_of_features(metadata: &Metadata) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let server = metadata.member("presence-server")?;
    let features: Vec<&str> = server.features.keys().map(String::as_str).collect();
    let is_transport = |feature: &str| {
        let brings = server.features.get(feature).map_or(&[][..], Vec::as_slice);
        brings.iter().any(|dependency| dependency.starts_with("dep:presence-transport-"))
    };
    for set in feature_sets(&features) {
        let chosen = if set.is_empty() { String::new() } else { format!(" --features {}", set.join(",")) };
        let server = format!("--quiet --package presence-server --locked --no-default-features{chosen}");
        let name = if set.is_empty() { "no feature".to_owned() } else { set.join(" and ") };
        steps.push(Step::cargo(
            &format!("lints with {name}"),
            &format!("clippy {server} --all-targets -- -D warnings"),
        ));
        // One kind alone is built with its tests by the lints, and shows itself in what a server does with it.
        if set.len() != 1 {
            steps.push(Step::cargo(&format!("server with {name}"), &format!("test {server} --lib")));
        }
        // Everything that a server with one kind of transport does, and what it says of the others.
        if let [feature] = set[..]
            && is_transport(feature)
        {
            let alone = format!(
                "--quiet --package presence-testkit --locked --no-default-features --features {feature}"
            );
            let name = format!("end to end with {feature}");
            steps.push(Step::cargo(&name, &format!("test {alone} --test end_to_end -- {ALONE}")));
        }
    }
    Ok(steps)
}

/// A feature makes a kind possible and changes no other, so each must do alone, and none of them, and all.
fn feature_sets<'a>(features: &[&'a str]) -> Vec<Vec<&'a str>> {
    let kinds: Vec<&str> = features.iter().copied().filter(|feature| *feature != "default").collect();
    let mut sets = vec![Vec::new()];
    sets.extend(kinds.iter().map(|feature| vec![*feature]));
    if kinds.len() > 1 {
        sets.push(kinds);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_tried_alone_together_and_not_at_all() {
        let sets = |features: &[&'static str]| feature_sets(features);
        assert_eq!(sets(&["default"]), [[""; 0]; 1]);
        assert_eq!(sets(&["default", "ws"]), [vec![], vec!["ws"]]);
        assert_eq!(sets(&["default", "sse", "ws"]), [vec![], vec!["sse"], vec!["ws"], vec!["sse", "ws"]]);
    }
}
