//! Connections that are neither alive nor closed.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::proxy::Proxy;
use presence_testkit::wire::ServerMessage;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

fn impatient() -> Config {
    Config { heartbeat_ms: 500, heartbeat_timeout_ms: 300, ..quick() }
}

/// L1, L2: a cable that is pulled is noticed by the heartbeat, and after the grace there is one leave.
async fn a_connection_cut_without_a_word_is_noticed(kind: Kind) -> Result<()> {
    let server = TestServer::start(impatient())?;
    let proxy = Proxy::to(server.address).await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let bob = Client::enter(kind, proxy.address(), &Credentials::new("bob", "b"), "doc").await?;
    ann.until("doc", "bob is here", |view| view.edges("bob").joins == 1).await?;
    let fault = proxy.silence();
    let left = ann.wait_for("bob leaves", |m| matches!(m, ServerMessage::UserLeft(_))).await?;
    assert!(
        matches!(left, ServerMessage::UserLeft(left) if left.user_id == "bob" && left.cause == "timeout")
    );
    drop((fault, bob));
    ann.settle("doc").await?;
    Ok(())
}

/// P7, B18: who comes back before the loss was noticed was never gone.
async fn who_is_back_before_the_loss_is_noticed_was_never_gone(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { heartbeat_ms: 1_500, heartbeat_timeout_ms: 500, ..quick() })?;
    let proxy = Proxy::to(server.address).await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let stale = Client::enter(kind, proxy.address(), &Credentials::new("bob", "b"), "doc").await?;
    let fault = proxy.silence();
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    // The marker is cut now: when its heartbeat and grace are over, so are those of the stale connection.
    let other = Proxy::to(server.address).await?;
    let marker = Client::enter(kind, other.address(), &Credentials::new("marker", "m"), "doc").await?;
    let second_fault = other.silence();
    let watch = async {
        ann.until("doc", "the marker is gone", |view| view.edges("marker").leaves == 1).await?;
        anyhow::Ok(ann.view("doc").edges("bob"))
    };
    let alive = async {
        loop {
            bob.next().await?;
        }
    };
    let edges = tokio::select! { edges = watch => edges?, end = alive => return end };
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    drop((fault, second_fault, stale, marker));
    Ok(())
}

/// L1: a client that only answers pings stays, however quiet it is.
async fn a_quiet_client_that_answers_stays(kind: Kind) -> Result<()> {
    let server = TestServer::start(impatient())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    for _ in 0..4 {
        ann.wait_for("a ping", |m| matches!(m, ServerMessage::Ping(_))).await?;
    }
    let ping = ann.wait_for("a ping", |m| matches!(m, ServerMessage::Ping(_))).await?;
    assert!(matches!(ping, ServerMessage::Ping(ping) if ping.rtt_ms.is_some()), "the round trip is measured");
    ann.settle("doc").await?;
    Ok(())
}

on_every_kind! {
    a_connection_cut_without_a_word_is_noticed,
    who_is_back_before_the_loss_is_noticed_was_never_gone,
    a_quiet_client_that_answers_stays,
}
