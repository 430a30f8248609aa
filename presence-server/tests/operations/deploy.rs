//! What the files in `deploy` and the documents name is there, and what is there is documented.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use presence_server::Config;
use presence_testkit::program::deployed_text;
use serde_json::Value;

/// Where every metric has its name.
const METRICS: &str = include_str!("../../src/metrics.rs");

/// What the text format adds to a histogram's name.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The words of a text, as metrics and variables are spelled.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let of_ours = |word: &&str| word.starts_with("presence_") || word.starts_with("process_");
    let whole = |word| PARTS.iter().find_map(|part| str::strip_suffix(word, part)).unwrap_or(word);
    words(text).filter(of_ours).map(whole).collect()
}

fn metrics() -> BTreeSet<&'static str> {
    let constants = METRICS.lines().filter_map(|line| line.strip_prefix("const ")?.split('"').nth(1));
    constants.flat_map(metrics_in).collect()
}

/// Those of `some` that are not in `others`.
fn missing<'a>(some: &BTreeSet<&'a str>, others: &BTreeSet<&'a str>) -> Vec<&'a str> {
    some.difference(others).copied().collect()
}

/// All expressions of the dashboard, wherever they stand.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if matches!(name.as_str(), "expr" | "query" | "definition") => {
                        found.push(text.clone());
                    }
                    member => expressions(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let known = metrics();
    ensure!(known.len() > 25, "only {known:?} are known");
    let alerts = deployed_text("prometheus/alerts.yml")?;
    let asked = metrics_in(&alerts);
    ensure!(!asked.is_empty() && asked.is_subset(&known), "alerts: {:?}", missing(&asked, &known));
    let dashboard: Value = serde_json::from_str(&deployed_text("grafana/presence.json")?)?;
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    let asked: BTreeSet<&str> = found.iter().flat_map(|text| metrics_in(text)).collect();
    ensure!(asked.is_subset(&known), "dashboard: {:?}", missing(&asked, &known));
    ensure!(known.is_subset(&asked), "on no panel: {:?}", missing(&known, &asked));
    Ok(())
}

#[test]
fn every_panel_has_a_place_and_a_name_of_its_own() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&deployed_text("grafana/presence.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut taken = BTreeSet::new();
    let mut names = BTreeSet::new();
    for panel in panels {
        ensure!(names.insert((panel["title"].as_str(), panel["id"].as_u64())), "{panel}");
        let place = |name: &str| panel["gridPos"][name].as_u64().context("no place");
        let (left, top) = (place("x")?, place("y")?);
        for x in left..left + place("w")? {
            for y in top..top + place("h")? {
                ensure!(x < 24 && taken.insert((x, y)), "{} stands on another panel", panel["title"]);
            }
        }
    }
    Ok(())
}

#[test]
fn the_documents_name_every_metric_and_no_other() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let page = fs::read_to_string(path)?;
    let (known, named) = (metrics(), metrics_in(&page));
    let named: BTreeSet<&str> = named.into_iter().filter(|name| *name != "presence_server").collect();
    ensure!(named.is_subset(&known), "there are no {:?}", missing(&named, &known));
    ensure!(known.is_subset(&named), "not documented: {:?}", missing(&known, &named));
    Ok(())
}

#[test]
fn the_variables_in_deploy_are_settings() -> Result<()> {
    let settings = Config::default().to_text().to_uppercase();
    let settings: BTreeSet<&str> = words(&settings).collect();
    for name in ["docker/Dockerfile", "systemd/presence-server.service"] {
        let text = deployed_text(name)?;
        let mut variables = words(&text).filter_map(|word| word.strip_prefix("PRESENCE_")).peekable();
        ensure!(variables.peek().is_some(), "{name} sets nothing");
        for variable in variables {
            ensure!(settings.contains(variable), "{name}: there is no setting for PRESENCE_{variable}");
        }
    }
    Ok(())
}

/// Security rules of containers that a file can show (the image itself is built where there is a registry).
#[test]
fn the_image_has_no_root_and_asks_for_its_own_health() -> Result<()> {
    let text = deployed_text("docker/Dockerfile")?;
    let last = text.rsplit("\nFROM ").next().context("no stage")?;
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).context("it runs as root")?;
    ensure!(!user.starts_with('0') && !user.starts_with("root"), "it runs as {user}");
    ensure!(last.contains(r#"CMD ["/usr/local/bin/presence-server", "healthcheck"]"#), "no health check");
    ensure!(last.contains(r#"ENTRYPOINT ["/usr/local/bin/presence-server"]"#), "a shell is in between");
    Ok(())
}
