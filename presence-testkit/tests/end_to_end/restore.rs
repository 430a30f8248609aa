//! Coming back within the grace: the session has what it had, and nobody saw it go.

use anyhow::Result;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// S1, P7.
async fn a_lost_session_comes_back_to_what_it_had_and_nobody_saw_it_go(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.send(&json!({"type": "presence:update", "room": "doc", "state": {"draft": "x"}})).await?;
    bob.send(&json!({"type": "presence:cursor", "room": "doc", "cursor": {"x": 1, "y": 2}})).await?;
    bob.settle("doc").await?;
    bob.reset();

    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    bob.send(&json!({"type": "presence:join", "room": "doc"})).await?;
    let restored = bob.wait_for("restored", |m| matches!(m, ServerMessage::Restored(_))).await?;
    let ServerMessage::Restored(restored) = restored else { unreachable!("that was waited for") };
    assert_eq!(json!(restored.state), json!({"draft": "x"}));
    assert_eq!(restored.cursor, Some(json!({"x": 1, "y": 2})));
    assert_eq!(restored.user.id, "bob");

    server.enter(kind, "marker", "m", "doc").await?.reset();
    ann.until("doc", "the marker's grace is over", |view| view.edges("marker").leaves == 1).await?;
    let edges = ann.view("doc").edges("bob");
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    bob.settle("doc").await?;
    assert_eq!(bob.view("doc").difference(&server.presence("doc").await?), None);
    Ok(())
}

/// L2, P3: who does not come back leaves once, when the grace is over.
async fn who_does_not_come_back_leaves_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    server.enter(kind, "bob", "b", "doc").await?.reset();
    let left = ann.wait_for("bob leaves", |m| matches!(m, ServerMessage::UserLeft(_))).await?;
    assert!(
        matches!(left, ServerMessage::UserLeft(left) if left.user_id == "bob" && left.cause == "timeout")
    );
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    bob.join("doc").await?;
    ann.until("doc", "bob is back", |view| view.edges("bob").joins == 2).await?;
    ann.settle("doc").await?;
    Ok(())
}

/// P12: when everybody has gone, the room has gone.
async fn an_empty_room_is_gone(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let ann = server.enter(kind, "ann", "a", "doc").await?;
    let epoch = ann.view("doc").epoch().map(str::to_owned);
    ann.close(1000).await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    while bob.view("doc").users().contains_key("ann") {
        bob.next().await?;
    }
    bob.close(1000).await?;
    let carl = server.enter(kind, "carl", "c", "other").await?;
    carl.close(1000).await?;
    let dora = server.enter(kind, "dora", "d", "other").await?;
    assert_ne!(dora.view("other").epoch().map(str::to_owned), epoch, "no two rooms share a history");
    // The first answer may be the room's last words.
    assert_eq!(server.presence("doc").await?.users, []);
    let truth = server.presence("doc").await?;
    assert_eq!((truth.total_active_users, truth.version, truth.users.len()), (0, 0, 0));
    Ok(())
}

on_every_kind! {
    a_lost_session_comes_back_to_what_it_had_and_nobody_saw_it_go,
    who_does_not_come_back_leaves_once,
    an_empty_room_is_gone,
}
