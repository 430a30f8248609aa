//! Coming back with the last version: exactly what was missed, or a snapshot and why.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// Enters with `since` and gives what comes, until `synced` or a snapshot.
async fn resume(client: &mut Client, since: &Value) -> Result<Vec<ServerMessage>> {
    client.send(&json!({"type": "presence:join", "room": "doc", "since": since})).await?;
    let mut got = Vec::new();
    loop {
        let message = client.next().await?;
        let last = matches!(message, ServerMessage::Synced(_) | ServerMessage::CurrentUsers(_));
        got.push(message);
        if last {
            return Ok(got);
        }
    }
}

fn reason(messages: &[ServerMessage]) -> Option<&str> {
    match messages.last() {
        Some(ServerMessage::CurrentUsers(snapshot)) => Some(&snapshot.reason),
        _ => None,
    }
}

fn stand(client: &Client) -> Value {
    json!({"epoch": client.view("doc").epoch(), "version": client.view("doc").version()})
}

/// S2, P4: in order, without a gap, and then `synced`.
async fn who_says_its_version_gets_exactly_what_it_missed(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.settle("doc").await?;
    let since = stand(&bob);
    bob.reset();
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    for n in 1..=3 {
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"n": n}})).await?;
        ann.until("doc", "the update is out", |view| {
            json!(view.users()["ann"].sessions[0].state) == json!({"n": n})
        })
        .await?;
    }
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    // The new client has not seen the snapshot that the old one had; only the versions are looked at.
    bob.send(&json!({"type": "presence:join", "room": "doc", "since": since})).await?;
    let mut versions = Vec::new();
    loop {
        let text = match bob.wire().recv().await? {
            presence_testkit::client::Received::Text(text) => text,
            closed => anyhow::bail!("{closed:?}"),
        };
        match ServerMessage::parse(&text)? {
            ServerMessage::UserJoined(joined) => versions.push(joined.version),
            ServerMessage::UserUpdated(updated) => versions.push(updated.version),
            ServerMessage::Synced(synced) => {
                assert_eq!(synced.version, ann.view("doc").version().unwrap_or_default());
                assert_eq!(synced.digest, ann.view("doc").digest());
                break;
            }
            ServerMessage::CurrentUsers(_) => anyhow::bail!("a snapshot came: {text}"),
            _ => {}
        }
    }
    let first = since["version"].as_u64().unwrap_or_default() + 1;
    assert_eq!(versions, (first..first + 4).collect::<Vec<_>>());
    Ok(())
}

/// S2: what is no longer kept, a version that never was, and another history each get a snapshot with its reason.
async fn what_cannot_be_replayed_is_a_snapshot_that_says_why(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { feed_messages_max: 4, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let epoch = json!(ann.view("doc").epoch());
    for n in 0..8 {
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"n": n}})).await?;
        ann.settle("doc").await?;
        ann.until("doc", "the update is out", |view| {
            json!(view.users()["ann"].sessions[0].state) == json!({"n": n})
        })
        .await?;
    }
    for (since, why) in [
        (json!({"epoch": epoch, "version": 1}), "gap"),
        (json!({"epoch": epoch, "version": 1_000_000}), "gap"),
        (json!({"epoch": "another", "version": 1}), "epoch"),
    ] {
        let messages = resume(&mut ann, &since).await?;
        assert_eq!(reason(&messages), Some(why), "since {since}");
    }
    let since = stand(&ann);
    let messages = resume(&mut ann, &since).await?;
    assert_eq!((messages.len(), reason(&messages)), (1, None), "nothing was missed");
    Ok(())
}

/// S4 on the server's side: a digest that is wrong at the right version is answered with a snapshot.
async fn drift_is_answered_with_a_snapshot(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.settle("doc").await?;
    let mut sync = stand(&ann);
    sync["type"] = json!("presence:sync");
    sync["room"] = json!("doc");
    sync["digest"] = json!("deadbeef");
    sync["ref"] = json!(17);
    ann.send(&sync).await?;
    let snapshot = ann.wait_for("a snapshot", |m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    let ServerMessage::CurrentUsers(snapshot) = snapshot else { unreachable!("that was waited for") };
    assert_eq!((snapshot.reason.as_str(), snapshot.reference), ("drift", Some(json!(17))));
    Ok(())
}

on_every_kind! {
    who_says_its_version_gets_exactly_what_it_missed,
    what_cannot_be_replayed_is_a_snapshot_that_says_why,
    drift_is_answered_with_a_snapshot,
}
