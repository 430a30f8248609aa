//! Everybody at once.

use std::sync::Arc;

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Kind};
use tokio::task::JoinSet;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// P3, P4, L4: hundreds join one room at once, and everyone ends with the same roster.
async fn hundreds_join_one_room_at_once_and_all_agree(kind: Kind) -> Result<()> {
    const MEMBERS: usize = 300;
    let server = Arc::new(TestServer::start(quick())?);
    let clients = all_enter(&server, kind, MEMBERS).await?;
    let truth = server.presence("doc").await?;
    assert_eq!(truth.total_active_users, MEMBERS);
    for client in &clients {
        assert_eq!(client.view("doc").difference(&truth), None);
    }
    Ok(())
}

/// L4, P7: all connections are reset at once and come back; who watches sees nobody leave. The grace is long: how fast
/// they are back is for the load test to say.
async fn all_are_dropped_and_come_back_and_nobody_sees_it(kind: Kind) -> Result<()> {
    const MEMBERS: usize = 200;
    let server = Arc::new(TestServer::start(Config { grace_ms: 120_000, ..quick() })?);
    let mut observer = server.enter(kind, "observer", "o", "doc").await?;
    for client in all_enter(&server, kind, MEMBERS).await? {
        client.reset();
    }
    all_enter(&server, kind, MEMBERS).await?;
    observer.settle("doc").await?;
    for member in 0..MEMBERS {
        let edges = observer.view("doc").edges(&format!("user-{member}"));
        assert_eq!((edges.joins, edges.leaves), (1, 0), "user-{member}");
    }
    Ok(())
}

/// Everybody enters, each in a task of its own, and reads until all are there.
async fn all_enter(server: &Arc<TestServer>, kind: Kind, members: usize) -> Result<Vec<Client>> {
    let mut entering = JoinSet::new();
    for member in 0..members {
        let server = Arc::clone(server);
        entering.spawn(async move {
            let mut client = server.enter(kind, &format!("user-{member}"), "tab", "doc").await?;
            client.until("doc", "all are here", |view| view.users().len() >= members).await?;
            client.settle("doc").await?;
            anyhow::Ok(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(entered) = entering.join_next().await {
        clients.push(entered??);
    }
    Ok(clients)
}

on_every_kind! { hundreds_join_one_room_at_once_and_all_agree, all_are_dropped_and_come_back_and_nobody_sees_it }
