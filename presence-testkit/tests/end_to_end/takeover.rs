//! A session that is taken over by a newer connection while the older one is still alive.

use std::io::Write;

use anyhow::Result;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// R3, P7, P8: the older connection is closed with 4409, and nobody else hears of it, not even when it ends.
async fn the_older_connection_is_told_to_stay_away_and_nobody_else_hears_of_it(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut old = server.enter(kind, "bob", "b", "doc").await?;
    old.send(&json!({"type": "presence:update", "room": "doc", "state": {"draft": 1}})).await?;
    old.settle("doc").await?;

    let mut new = server.enter(kind, "bob", "b", "doc").await?;
    assert_eq!(old.closed().await?, Some(4409));
    assert_eq!(new.view("doc").users()["bob"].connection_count, 1);
    assert_eq!(new.view("doc").users()["bob"].sessions[0].state["draft"], 1);
    drop(old);

    // Lost after the takeover: when this one's grace is over, so would be that of the older connection.
    server.enter(kind, "marker", "m", "doc").await?.reset();
    ann.until("doc", "the marker has come", |view| view.edges("marker").joins == 1).await?;
    ann.until("doc", "the marker's grace is over", |view| view.edges("marker").leaves == 1).await?;
    let edges = ann.view("doc").edges("bob");
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    new.settle("doc").await?;
    Ok(())
}

/// B15, B18: the takeover wins in whatever order it arrives, again and again.
async fn a_session_that_is_taken_over_again_and_again_stays_one(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(server.enter(kind, "bob", "b", "doc").await?);
    }
    let mut last = connections.pop().expect("there are twenty");
    for mut old in connections {
        assert_eq!(old.closed().await?, Some(4409));
    }
    last.settle("doc").await?;
    ann.settle("doc").await?;
    assert_eq!(ann.view("doc").edges("bob").joins, 1);
    assert_eq!(server.presence("doc").await?.total_connections, 2);
    last.send(&json!({"type": "presence:leave", "room": "doc"})).await?;
    ann.until("doc", "bob is gone", |view| view.edges("bob").leaves == 1).await?;
    Ok(())
}

/// A takeover that enters no room lets go of the rooms of the older connection after the grace.
async fn a_takeover_that_enters_no_room_leaves_after_the_grace(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let _old = server.enter(kind, "bob", "b", "doc").await?;
    let mut new = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    let left = ann
        .wait_for("bob leaves", |m| matches!(m, ServerMessage::UserLeft(left) if left.user_id == "bob"))
        .await?;
    assert!(matches!(left, ServerMessage::UserLeft(left) if left.cause == "timeout"));
    new.join("doc").await?;
    ann.until("doc", "bob is back", |view| view.edges("bob").joins == 2).await?;
    Ok(())
}

/// Whoever gave up while their request waited does not take the session from who came in their place. One thread: the server
/// does not see the request before the peer has gone.
async fn who_has_gone_before_they_were_heard_takes_nothing_over(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let (path, more) = match kind {
        Kind::Sse => ("sse?room=doc&", ""),
        _ => ("ws?", UPGRADE),
    };
    let mut stale = std::net::TcpStream::connect(server.address)?;
    let address = server.address;
    let request = format!("GET /{path}user_id=bob&session_id=b HTTP/1.1\r\nHost: {address}\r\n{more}\r\n");
    stale.write_all(request.as_bytes())?;
    drop(stale);
    let mut marker = server.enter(kind, "marker", "m", "doc").await?;
    bob.until("doc", "the marker has come", |view| view.edges("marker").joins == 1).await?;
    bob.settle("doc").await?;
    marker.settle("doc").await?;
    assert_eq!(marker.view("doc").users()["bob"].connection_count, 1);
    Ok(())
}

/// P8: a client that has given a request up and made another one keeps its session where it is, though the network brings
/// the first one last.
async fn a_request_that_was_given_up_and_comes_late_takes_nothing_over(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let request =
        |attempt: &str| Credentials { attempt: Some(attempt.to_owned()), ..Credentials::new("bob", "b") };
    let mut bob = Client::connect(kind, server.address, &request("77-2")).await?;
    bob.join("doc").await?;
    let mut late = Client::connect(kind, server.address, &request("77-1")).await?;
    assert_eq!(late.closed().await?, Some(4409));
    drop(late);
    bob.settle("doc").await?;
    assert_eq!(bob.view("doc").users()["bob"].connection_count, 1);

    let mut next = Client::connect(kind, server.address, &request("77-3")).await?;
    assert_eq!(bob.closed().await?, Some(4409));
    next.join("doc").await?;
    ann.settle("doc").await?;
    let edges = ann.view("doc").edges("bob");
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    Ok(())
}

/// What is no attempt is named, and opens nothing.
async fn a_bad_attempt_is_refused_by_name(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let wrong = Credentials { attempt: Some("first".to_owned()), ..Credentials::new("bob", "b") };
    let refused = Client::connect(kind, server.address, &wrong).await;
    let refused = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(refused.contains("400") && refused.contains("`attempt` must be two whole numbers"), "{refused}");
    Ok(())
}

/// RFC 6455 section 1.3.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

mod on_one_thread {
    use presence_testkit::client::Kind;

    #[cfg(feature = "ws")]
    #[tokio::test]
    async fn who_has_gone_before_they_were_heard_takes_nothing_over_ws() -> anyhow::Result<()> {
        super::who_has_gone_before_they_were_heard_takes_nothing_over(Kind::Ws).await
    }

    #[cfg(feature = "sse")]
    #[tokio::test]
    async fn who_has_gone_before_they_were_heard_takes_nothing_over_sse() -> anyhow::Result<()> {
        super::who_has_gone_before_they_were_heard_takes_nothing_over(Kind::Sse).await
    }
}

on_every_kind! {
    the_older_connection_is_told_to_stay_away_and_nobody_else_hears_of_it,
    a_session_that_is_taken_over_again_and_again_stays_one,
    a_takeover_that_enters_no_room_leaves_after_the_grace,
    a_request_that_was_given_up_and_comes_late_takes_nothing_over,
    a_bad_attempt_is_refused_by_name,
}
