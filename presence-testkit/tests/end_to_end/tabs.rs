//! Several tabs of one user: one person, counted by sessions.

use anyhow::Result;
use presence_testkit::client::Kind;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// P2: a join on 0→1 and a leave on 1→0, an update in between.
async fn the_first_tab_joins_and_the_last_one_leaves(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut tabs = Vec::new();
    for tab in 1..=3 {
        tabs.push(server.enter(kind, "bob", &tab.to_string(), "doc").await?);
        ann.until("doc", "the tab is counted", |view| {
            view.users().get("bob").is_some_and(|bob| bob.connection_count == tab)
        })
        .await?;
    }
    while let Some(tab) = tabs.pop() {
        tab.close(1000).await?;
        let left = tabs.len();
        ann.until("doc", "the tab is gone", |view| {
            view.users().get("bob").map_or(0, |bob| bob.connection_count) == left
        })
        .await?;
    }
    let edges = ann.view("doc").edges("bob");
    assert_eq!((edges.joins, edges.leaves), (1, 1));
    Ok(())
}

/// S1: the same session id under another user is another session.
async fn a_session_id_works_only_for_its_user(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "same", "doc").await?;
    let mut bob = server.enter(kind, "bob", "same", "doc").await?;
    ann.settle("doc").await?;
    bob.settle("doc").await?;
    assert_eq!(server.presence("doc").await?.total_connections, 2);
    Ok(())
}

on_every_kind! { the_first_tab_joins_and_the_last_one_leaves, a_session_id_works_only_for_its_user }
