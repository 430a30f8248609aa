//! A session that moves between kinds of transport is one session.

use anyhow::Result;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::server::{TestServer, quick};

/// P7, S1: whoever moves keeps state, and nobody hears of it; the old connection is told to stay away.
async fn a_session_moves(from: Kind, to: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let mut old = server.enter(from, "bob", "b", "doc").await?;
    old.send(&json!({"type": "presence:update", "room": "doc", "state": {"tool": "pen"}})).await?;
    let has_pen = |view: &presence_testkit::view::View| {
        view.users().get("bob").is_some_and(|bob| json!(bob.sessions[0].state) == json!({"tool": "pen"}))
    };
    ann.until("doc", "bob has a pen", has_pen).await?;

    let mut new = Client::connect(to, server.address, &Credentials::new("bob", "b")).await?;
    new.send(&json!({"type": "presence:join", "room": "doc"})).await?;
    let restored = new.wait_for("restored", |m| matches!(m, ServerMessage::Restored(_))).await?;
    assert!(matches!(restored, ServerMessage::Restored(r) if json!(r.state) == json!({"tool": "pen"})));
    assert_eq!(old.closed().await?, Some(4409));
    new.settle("doc").await?;
    ann.settle("doc").await?;
    let edges = ann.view("doc").edges("bob");
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    assert_eq!(ann.view("doc").users()["bob"].connection_count, 1);
    server.agrees_with(&mut ann, "doc").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_event_stream_to_a_web_socket() -> Result<()> {
    a_session_moves(Kind::Sse, Kind::Ws).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_web_socket_to_an_event_stream() -> Result<()> {
    a_session_moves(Kind::Ws, Kind::Sse).await
}
