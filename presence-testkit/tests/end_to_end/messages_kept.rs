//! Messages in a store on disk: they outlive the server, and a disk that is full is said to be so.

use anyhow::{Result, ensure};
use presence_server::Config;
use presence_testkit::client::Kind;
use presence_testkit::folder::Folder;
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::messages::back;
use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// M1, X8: what was acknowledged is there after the server has ended, once.
async fn what_was_acknowledged_outlives_the_server(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let keeping = || Config { data_dir: folder.path().to_owned(), ..quick() };
    let mut server = TestServer::start(keeping())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let ack = ann.send_message("doc", &json!(1)).await?;
    assert_eq!(ack.durability, "disk");
    bob.until_place("doc", 1).await?;
    bob.ack("doc").await?;
    ann.send_message("doc", &json!(2)).await?;
    ann.send_message("@bob", &json!(3)).await?;
    bob.until_place("doc", 2).await?;
    server.stop();
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.closed().await?, Some(1012));
    }
    server.stop().await?;
    drop(server);

    let server = TestServer::start(keeping())?;
    let mut ann = back(ann, kind, &server, "a").await?;
    ann.resume("doc").await?;
    ann.send(&json!({"type": "message", "room": "doc", "id": "ann-2", "data": 2, "ref": "ann-2"})).await?;
    assert_eq!(ann.acked("ann-2").await?.seq, 2);
    let mut bob = back(bob, kind, &server, "b").await?;
    bob.resume("doc").await?;
    ann.send_message("doc", &json!(4)).await?;
    bob.until_place("doc", 3).await?;
    bob.until_place("@bob", 1).await?;
    assert_eq!(bob.inbox().stream("doc").ids(), ["ann-1", "ann-2", "ann-4"]);
    assert_eq!(bob.inbox().stream("@bob").ids(), ["ann-3"]);
    Ok(())
}

/// M11: a store that is full says so to the sender, nobody gets what was not kept, and presence goes on.
async fn when_the_store_is_full_messages_are_refused_and_presence_goes_on(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let config = Config {
        data_dir: folder.path().to_owned(),
        store_bytes_max: 1 << 20,
        messages_burst: 5_000,
        ..quick()
    };
    let server = TestServer::start(config)?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let filling = "x".repeat(8_000);
    let mut kept = Vec::new();
    let refusal = loop {
        let id = ann.say("doc", &json!(filling)).await?;
        let answer = ann
            .wait_for("an answer", |m| matches!(m, ServerMessage::Ack(_) | ServerMessage::Error(_)))
            .await?;
        match answer {
            ServerMessage::Error(refusal) => break refusal,
            _ => kept.push(id),
        }
        ensure!(kept.len() < 1_000, "it does not get full");
    };
    assert_eq!(refusal.code, "unavailable");
    assert!(refusal.retry_after_ms.is_some());
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": 1}})).await?;
    bob.until("doc", "the state is out", |view| !view.users()["ann"].sessions[0].state.is_empty()).await?;
    server.enter(kind, "cleo", "c", "doc").await?.settle("doc").await?;
    bob.until_place("doc", kept.len() as u64).await?;
    assert_eq!(bob.inbox().stream("doc").ids(), kept);
    Ok(())
}

on_every_kind! {
    what_was_acknowledged_outlives_the_server,
    when_the_store_is_full_messages_are_refused_and_presence_goes_on,
}
