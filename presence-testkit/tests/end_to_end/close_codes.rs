//! How a connection ends decides how fast its session leaves.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Kind};
use presence_testkit::wire::{ServerMessage, UserLeft};
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn left(observer: &mut Client, user: &str) -> Result<UserLeft> {
    let left = |m: &ServerMessage| matches!(m, ServerMessage::UserLeft(left) if left.user_id == user);
    match observer.wait_for("the leave", left).await? {
        ServerMessage::UserLeft(left) => Ok(left),
        other => anyhow::bail!("{other:?} is no leave"),
    }
}

/// L2: a close with 1000 and an explicit leave take effect at once, whatever the graces are.
async fn done_is_gone_at_once(kind: Kind) -> Result<()> {
    // Graces so long that waiting for one would fail the test.
    let server = TestServer::start(Config { grace_ms: 600_000, going_away_grace_ms: 600_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    server.enter(kind, "bob", "b", "doc").await?.close(1000).await?;
    // An event stream has no close code for it: whoever is done says so first.
    assert_eq!(left(&mut ann, "bob").await?.cause, if kind == Kind::Ws { "closed" } else { "left" });
    let mut carl = server.enter(kind, "carl", "c", "doc").await?;
    carl.send(&json!({"type": "presence:leave", "room": "doc"})).await?;
    assert_eq!(left(&mut ann, "carl").await?.cause, "left");
    Ok(())
}

/// L2: a page that goes away is waited for, but not as long as one that was lost.
async fn a_page_that_goes_away_has_the_short_grace(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, going_away_grace_ms: 200, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let lost = server.enter(kind, "lost", "l", "doc").await?;
    lost.reset();
    server.enter(kind, "bob", "b", "doc").await?.close(1001).await?;
    assert_eq!(left(&mut ann, "bob").await?.cause, "closed");
    ann.settle("doc").await?;
    assert_eq!(ann.view("doc").edges("lost").leaves, 0);
    Ok(())
}

/// P7: a reload (1001, and back with the same session) shows nothing.
async fn a_reload_shows_nothing(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { going_away_grace_ms: 1_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    server.enter(kind, "bob", "b", "doc").await?.close(1001).await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    server.enter(kind, "marker", "m", "doc").await?.close(1001).await?;
    left(&mut ann, "marker").await?;
    assert_eq!(ann.view("doc").edges("bob").leaves, 0);
    bob.settle("doc").await?;
    Ok(())
}

on_every_kind! { done_is_gone_at_once, a_page_that_goes_away_has_the_short_grace, a_reload_shows_nothing }
