//! A reader that stops reading: it costs nothing, stops nobody, and starts afresh when it reads again.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// X1, M13, P4: falls off the feed, gets a snapshot with reason `lagged`, and goes on from there.
async fn who_reads_too_slowly_gets_a_snapshot_and_stops_nobody(kind: Kind) -> Result<()> {
    let config =
        Config { feed_messages_max: 16, messages_per_second: 10_000, messages_burst: 10_000, ..quick() };
    let server = TestServer::start(Config { tick_ms: 1, ..config })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let slow = Credentials { receive_buffer: Some(4 * 1024), ..Credentials::new("slow", "s") };
    let mut slow = Client::enter(kind, server.address, &slow, "doc").await?;
    // Much more than both kernels' buffers hold, and more than the feed keeps.
    let page = "x".repeat(12 * 1024);
    let updates = 800;
    for n in 0..updates {
        let state = json!({"n": n, "page": format!("{n} {page}")});
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": state})).await?;
        ann.until("doc", "the update is out", |view| {
            view.users()["ann"].sessions[0].state.get("n") == Some(&json!(n))
        })
        .await?;
    }
    let snapshot = slow
        .wait_for("a snapshot", |m| matches!(m, ServerMessage::CurrentUsers(s) if s.reason == "lagged"))
        .await?;
    assert!(matches!(snapshot, ServerMessage::CurrentUsers(s) if s.room == "doc"));
    let last = json!(updates - 1);
    slow.until("doc", "the newest state is there", |view| {
        view.users()["ann"].sessions[0].state.get("n") == Some(&last)
    })
    .await?;
    slow.settle("doc").await?;
    ann.settle("doc").await?;
    assert_eq!(slow.view("doc").difference(&server.presence("doc").await?), None);
    Ok(())
}

on_every_kind! { who_reads_too_slowly_gets_a_snapshot_and_stops_nobody }
