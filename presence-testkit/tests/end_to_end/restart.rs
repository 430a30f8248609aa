//! One server stops in good order, and another takes up who was there.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use presence_testkit::wire::{CurrentUsers, RoomPresence, ServerMessage};
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

fn keeping(folder: &Folder) -> Config {
    // A test that runs beside many others should be back in time.
    Config { data_dir: folder.path().to_owned(), grace_ms: 4_000, ..quick() }
}

/// Stops a server. Those who are there are told to come back, and hear of nobody's leave.
async fn stop(mut server: TestServer, clients: &mut [&mut Client]) -> Result<()> {
    server.stop();
    for client in clients {
        client.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
        assert_eq!(client.closed().await?, Some(1012));
    }
    server.stop().await?;
    Ok(())
}

async fn back(client: Client, kind: Kind, server: &TestServer, session: &str) -> Result<Client> {
    let who = Credentials::new(client.name(), session);
    client.come_back(kind, server.address, &who).await
}

fn snapshot(messages: &[ServerMessage]) -> Option<&CurrentUsers> {
    match messages.last() {
        Some(ServerMessage::CurrentUsers(snapshot)) => Some(snapshot),
        _ => None,
    }
}

/// Without what moves on while somebody is connected.
fn lasting(mut presence: RoomPresence) -> RoomPresence {
    presence.timestamp = 0;
    presence.users.iter_mut().for_each(|user| user.last_seen = 0);
    presence
}

/// C10, P7, S1: whoever comes back has what it had and missed nothing, and nobody saw anybody go or come.
async fn a_restart_within_the_grace_is_seen_by_nobody(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let server = TestServer::start(keeping(&folder))?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let mut tab = server.enter(kind, "bob", "second", "doc").await?;
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"draft": "x"}})).await?;
    ann.send(&json!({"type": "presence:cursor", "room": "doc", "cursor": {"x": 1, "y": 2}})).await?;
    bob.until("doc", "the draft is out", |view| !view.users()["ann"].sessions[0].state.is_empty()).await?;
    for client in [&mut ann, &mut bob, &mut tab] {
        server.agrees_with(client, "doc").await?;
    }
    let before = server.presence("doc").await?;
    stop(server, &mut [&mut ann, &mut bob, &mut tab]).await?;

    let server = TestServer::start(Config { shards: 5, ..keeping(&folder) })?;
    assert_eq!(lasting(server.presence("doc").await?), lasting(before));
    let edges = bob.view("doc").edges("ann");
    let mut ann = back(ann, kind, &server, "a").await?;
    let mut bob = back(bob, kind, &server, "b").await?;
    let mut tab = back(tab, kind, &server, "second").await?;
    for client in [&mut ann, &mut bob, &mut tab] {
        let version = client.view("doc").version();
        let got = client.resume("doc").await?;
        let Some(ServerMessage::Restored(restored)) = got.first() else { anyhow::bail!("{got:?}") };
        if restored.user.id == "ann" {
            assert_eq!(json!([restored.state, restored.cursor]), json!([{"draft": "x"}, {"x": 1, "y": 2}]));
        }
        assert!(snapshot(&got).is_none() && client.view("doc").version() == version, "{got:?}");
    }
    // Life goes on where it was.
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"draft": "y"}})).await?;
    bob.until("doc", "the draft is out", |view| view.users()["ann"].sessions[0].state["draft"] == "y")
        .await?;
    for client in [&mut ann, &mut bob, &mut tab] {
        server.agrees_with(client, "doc").await?;
        client.settle("doc").await?;
        assert_eq!((client.view("doc").snapshots(), client.view("doc").edges("ann").leaves), (1, 0));
    }
    assert_eq!(bob.view("doc").edges("ann"), edges);
    Ok(())
}

/// P5, P1: who does not come back is there until the grace of the new server is over, and then leaves once.
async fn who_does_not_come_back_after_a_restart_leaves_once(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let server = TestServer::start(keeping(&folder))?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    ann.until("doc", "bob is here", |view| view.edges("bob").joins == 1).await?;
    stop(server, &mut [&mut ann, &mut bob]).await?;

    let server = TestServer::start(keeping(&folder))?;
    let mut ann = back(ann, kind, &server, "a").await?;
    ann.resume("doc").await?;
    // Who comes anew is shown everybody who is waited for.
    let mut cleo = server.enter(kind, "cleo", "c", "doc").await?;
    assert_eq!(cleo.view("doc").users().keys().collect::<Vec<_>>(), ["ann", "bob", "cleo"]);
    let left = cleo.wait_for("bob leaves", |m| matches!(m, ServerMessage::UserLeft(_))).await?;
    assert!(
        matches!(left, ServerMessage::UserLeft(left) if left.user_id == "bob" && left.cause == "timeout")
    );
    for client in [&mut ann, &mut cleo] {
        server.agrees_with(client, "doc").await?;
        assert_eq!(client.view("doc").edges("bob").leaves, 1);
    }
    // He is somebody new now.
    let mut bob = back(bob, kind, &server, "b").await?;
    let got = bob.resume("doc").await?;
    assert!(!matches!(got.first(), Some(ServerMessage::Restored(_))), "{got:?}");
    ann.until("doc", "bob is here", |view| view.edges("bob").joins == 2).await?;
    Ok(())
}

/// S2, P4: what was said while somebody was away is not forgotten by a restart.
async fn events_missed_before_a_restart_come_after_it(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let server = TestServer::start(keeping(&folder))?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let bob = server.enter(kind, "bob", "b", "doc").await?;
    // From here on bob does not read what he is sent.
    for n in 1..=3 {
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"n": n}})).await?;
        ann.until("doc", "it is out", |view| {
            view.users()["ann"].sessions[0].state.get("n") == Some(&json!(n))
        })
        .await?;
    }
    server.enter(kind, "cleo", "c", "doc").await?.close(1000).await?;
    ann.until("doc", "cleo has gone", |view| view.edges("cleo").leaves == 1).await?;
    stop(server, &mut [&mut ann]).await?;

    let server = TestServer::start(keeping(&folder))?;
    let mut bob = back(bob, kind, &server, "b").await?;
    let got = bob.resume("doc").await?;
    assert!(snapshot(&got).is_none(), "{got:?}");
    let edges = bob.view("doc").edges("cleo");
    assert_eq!((edges.joins, edges.leaves), (1, 1));
    assert_eq!(bob.view("doc").users()["ann"].sessions[0].state["n"], 3);
    server.agrees_with(&mut bob, "doc").await?;
    Ok(())
}

/// C6, X8: without a hand-over, or with one that can not be believed, it is another history, and a client is told so.
async fn without_a_hand_over_rooms_begin_anew(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    for config in [quick(), keeping(&folder)] {
        let server = TestServer::start(config.clone())?;
        let mut ann = server.enter(kind, "ann", "a", "doc").await?;
        stop(server, &mut [&mut ann]).await?;
        if config.data_dir.as_os_str().is_empty() {
            assert!(!folder.path().exists());
        } else {
            std::fs::write(folder.path().join("handover"), "presence-handover 1\nnonsense\n")?;
        }
        let server = TestServer::start(config)?;
        let mut ann = back(ann, kind, &server, "a").await?;
        let got = ann.resume("doc").await?;
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!(snapshot(&got).map(|snapshot| snapshot.reason.as_str()), Some("epoch"));
        ann.settle("doc").await?;
    }
    Ok(())
}

on_every_kind! {
    a_restart_within_the_grace_is_seen_by_nobody,
    who_does_not_come_back_after_a_restart_leaves_once,
    events_missed_before_a_restart_come_after_it,
    without_a_hand_over_rooms_begin_anew,
}
