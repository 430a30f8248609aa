//! Stopping in good order.

use std::time::Duration;

use anyhow::{Context, Result};
use presence_testkit::client::Kind;
use presence_testkit::http;
use presence_testkit::wire::ServerMessage;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// X7: everyone is told when to come back and closed with 1012; nobody is seen to leave; then the server ends.
async fn a_stopping_server_sends_everyone_away_and_nobody_is_seen_to_leave(kind: Kind) -> Result<()> {
    let mut server = TestServer::start(quick())?;
    let mut clients = Vec::new();
    for n in 0..5 {
        clients.push(server.enter(kind, &format!("user-{n}"), "tab", "doc").await?);
    }
    let address = server.address;
    let stopping = server.stop();
    let mut waits = Vec::new();
    for client in &mut clients {
        let draining = client.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
        if let ServerMessage::Draining(draining) = draining {
            waits.push(draining.retry_after_ms);
        }
        assert_eq!(client.closed().await?, Some(1012));
        for n in 0..5 {
            assert_eq!(client.view("doc").edges(&format!("user-{n}")).leaves, 0);
        }
    }
    waits.dedup();
    assert!(waits.len() > 1, "they come back at different times: {waits:?}");
    drop(clients);
    tokio::time::timeout(Duration::from_secs(5), stopping).await.context("the server did not end")??;
    assert!(http::get(address, "/healthz", &[]).await.is_err(), "nobody answers any more");
    Ok(())
}

/// X7: a client that does not go is not waited for longer than configured.
async fn a_client_that_does_not_go_is_not_waited_for(kind: Kind) -> Result<()> {
    let mut server = TestServer::start(presence_server::Config { drain_ms: 300, ..quick() })?;
    let _stays = server.enter(kind, "ann", "a", "doc").await?;
    tokio::time::timeout(Duration::from_secs(5), server.stop()).await.context("the server did not end")??;
    Ok(())
}

on_every_kind! {
    a_stopping_server_sends_everyone_away_and_nobody_is_seen_to_leave,
    a_client_that_does_not_go_is_not_waited_for,
}
