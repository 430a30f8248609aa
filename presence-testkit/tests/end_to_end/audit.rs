//! The server looks at itself while it runs: every invariant is on its metrics from the start, and stays 0.

use anyhow::{Result, ensure};
use presence_testkit::client::Kind;
use presence_testkit::http;
use presence_testkit::load::process::Target;
use presence_testkit::view::View;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn nothing_is_found_in_a_story_with_tabs_and_messages(kind: Kind) -> Result<()> {
    let mut server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "tab-1", "doc").await?;
    let mut bob = server.enter(kind, "bob", "tab-1", "doc").await?;
    let other = server.enter(kind, "ann", "tab-2", "doc").await?;
    let place = ann.send_message("doc", &json!({ "text": "hello" })).await?.seq;
    bob.until_place("doc", place).await?;
    bob.ack("doc").await?;
    other.close(1000).await?;
    let tabs = |view: &View| view.users().get("ann").map_or(0, |ann| ann.connection_count);
    bob.until("doc", "ann's other tab is gone", |view| tabs(view) == 1).await?;
    server.agrees_with(&mut bob, "doc").await?;
    server.agrees_with(&mut ann, "doc").await?;

    let metrics = http::get(server.address, "/metrics", &[]).await?.body;
    for id in ["P1", "P2", "P3", "P4", "P5", "P8", "P11", "P12", "L1", "M3", "M5", "M6", "M7", "M9"] {
        let line = format!("presence_invariant_violations_total{{id=\"{id}\"}} 0");
        ensure!(metrics.lines().any(|known| known == line), "no {line} in {metrics}");
    }
    for found_by in ["server", "client"] {
        let line = format!("presence_drift_total{{found_by=\"{found_by}\"}} 0");
        ensure!(metrics.lines().any(|known| known == line), "no {line} in {metrics}");
    }
    let target = Target { address: server.address, pid: None };
    ensure!(target.violations().await?.is_empty());
    // The walk over everything at the end finds nothing either, or the server's end fails the test.
    server.stop().await?;
    Ok(())
}

on_every_kind! { nothing_is_found_in_a_story_with_tabs_and_messages }
