//! nginx's patience: what it does with streams that say little, and with snapshots that say much.

use anyhow::{Result, ensure};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::program::deployed_text;
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::nginx::{DEPLOYED, Nginx};
use crate::server::{quick, serve};

/// How long nginx waits for something from the server, unless it is told otherwise.
const STOCK_READ_TIMEOUT_MS: u64 = 60_000;

const KINDS: [Kind; 2] = [Kind::Ws, Kind::Sse];

/// The deployed file, with less patience than nginx has by itself.
fn impatient(site: String) -> String {
    site.replace(
        "proxy_http_version 1.1;",
        "proxy_http_version 1.1; proxy_read_timeout 3s; proxy_send_timeout 3s;",
    )
}

/// L2, B56: nginx's own times are enough, so that nobody has to know of them.
#[test]
fn no_time_of_nginx_has_to_be_set() -> Result<()> {
    let site = deployed_text(DEPLOYED)?;
    let set: Vec<&str> = site
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && line.contains("_timeout"))
        .collect();
    ensure!(set.is_empty(), "{set:?}");
    ensure!(
        Config::default().heartbeat_ms * 2 < STOCK_READ_TIMEOUT_MS,
        "the heartbeat is too slow for nginx"
    );
    Ok(())
}

/// L2, B55, B56: who says nothing is kept by the heartbeat. The heartbeat is a third of nginx's patience, which is less
/// than the one less than a half that it is by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_client_is_kept_by_the_heartbeat() -> Result<()> {
    let server = serve(Config { heartbeat_ms: 1_000, heartbeat_timeout_ms: 800, ..quick() })?;
    let nginx = Nginx::deployed(server.address, impatient).await?;
    for kind in KINDS {
        let mut ann = Client::enter(kind, nginx.address(), &Credentials::new("ann", "a"), "doc").await?;
        for _ in 0..6 {
            ann.wait_for("a ping", |message| matches!(message, ServerMessage::Ping(_))).await?;
        }
        ann.settle("doc").await?;
    }
    Ok(())
}

/// The same nginx does cut who is not kept: otherwise the test above would show nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_that_is_too_slow_does_not_keep_it() -> Result<()> {
    let server = serve(Config { heartbeat_ms: 60_000, heartbeat_timeout_ms: 10_000, ..quick() })?;
    let nginx = Nginx::deployed(server.address, impatient).await?;
    for kind in KINDS {
        let mut ann = Client::enter(kind, nginx.address(), &Credentials::new("ann", "a"), "doc").await?;
        ann.closed().await?;
    }
    Ok(())
}

/// B53: nginx as it comes gathers what a server says, but not what the server asks it to pass on at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_as_it_comes_passes_every_event_on_at_once() -> Result<()> {
    let server = serve(quick())?;
    let nginx = Nginx::bare(server.address).await?;
    for kind in KINDS {
        let room = format!("{kind:?}");
        let mut ann = Client::enter(kind, nginx.address(), &Credentials::new("ann", "a"), &room).await?;
        let mut bob = Client::enter(kind, server.address, &Credentials::new("bob", "b"), &room).await?;
        // Each is far smaller than a buffer, and the next is not said before this one has come.
        for n in 0..5 {
            bob.send(&json!({"type": "presence:update", "room": room, "state": {"n": n}})).await?;
            ann.until(&room, "bob's state", |view| {
                view.users().get("bob").is_some_and(|bob| bob.sessions[0].state.get("n") == Some(&json!(n)))
            })
            .await?;
        }
        ann.close(1001).await?;
        bob.until(&room, "ann is gone", |view| !view.users().contains_key("ann")).await?;
    }
    Ok(())
}

/// A roster that is many times larger than all of nginx's buffers comes whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_snapshot_passes() -> Result<()> {
    const MEMBERS: usize = 12;
    let server = serve(Config { message_bytes_max: 128 * 1024, state_bytes_max: 120 * 1024, ..quick() })?;
    let wide = "x".repeat(100_000);
    let mut many = Vec::new();
    for number in 0..MEMBERS {
        let who = Credentials::new(&format!("user-{number}"), "s");
        let mut member = Client::enter(Kind::Ws, server.address, &who, "doc").await?;
        member.send(&json!({"type": "presence:update", "room": "doc", "state": {"wide": wide}})).await?;
        member.settle("doc").await?;
        many.push(member);
    }
    for nginx in [Nginx::bare(server.address).await?, Nginx::deployed(server.address, |site| site).await?] {
        for kind in KINDS {
            let mut ann = Client::enter(kind, nginx.address(), &Credentials::new("ann", "a"), "doc").await?;
            ann.settle("doc").await?;
            let view = ann.view("doc");
            let has_all = (0..MEMBERS).all(|number| {
                view.users()[&format!("user-{number}")].sessions[0].state.get("wide") == Some(&json!(wide))
            });
            ensure!(has_all, "{kind:?}: something is missing");
            ann.close(1000).await?;
        }
    }
    Ok(())
}
