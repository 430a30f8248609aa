//! Every kind of transport through real proxies: what is said arrives at once, who goes is known to have gone, what is
//! for the inside stays there, and no query reaches a log.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http;
use presence_testkit::program::{Program, deployed_text};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::nginx::Nginx;
use crate::server::{quick, serve};

/// Caddy as configured, but for addresses, and without a certificate.
async fn caddy(server: SocketAddr) -> Result<Program> {
    let site = deployed_text("caddy/Caddyfile")?.replace("127.0.0.1:8080", &server.to_string());
    Program::start("caddy", |folder, address| {
        let site = site.replace("presence.example.org {", &format!("http://{address} {{"));
        let config = folder.write("Caddyfile", &format!("{{\n\tadmin off\n}}\n{site}"))?;
        let mut command = Command::new("caddy");
        command.arg("run").arg("--adapter").arg("caddyfile").arg("--config").arg(config);
        command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path());
        Ok(command)
    })
    .await
}

/// Presence through a proxy, as without one.
async fn works(proxy: SocketAddr) -> Result<()> {
    for kind in [Kind::Ws, Kind::Sse] {
        let room = format!("{kind:?}");
        let mut ann = Client::enter(kind, proxy, &Credentials::new("canary", "a"), &room).await?;
        let mut bob = Client::enter(kind, proxy, &Credentials::new("bob", "b"), &room).await?;
        ann.until(&room, "bob is here", |view| view.users().contains_key("bob")).await?;
        // More than a proxy's buffer, in many small events: it must not wait until that is full.
        for n in 0..20 {
            bob.send(&json!({"type": "presence:update", "room": room, "state": {"n": n}})).await?;
            ann.until(&room, "bob's state", |view| {
                view.users()["bob"].sessions[0].state.get("n") == Some(&json!(n))
            })
            .await?;
        }
        // The server must hear that its client has gone, although the proxy is still there.
        drop(bob);
        ann.until(&room, "bob is gone", |view| !view.users().contains_key("bob")).await?;
    }
    ensure!(http::get(proxy, "/readyz", &[]).await?.status == 200, "the server is not reached");
    for inside in ["/metrics", "/debug/connections", "/admin", "/admin/page.js"] {
        ensure!(http::get(proxy, inside, &[]).await?.status == 404, "{inside} can be reached from outside");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_passes_every_kind_of_transport_on() -> Result<()> {
    let server = serve(quick())?;
    let mut nginx = Nginx::deployed(server.address, |site| site).await?;
    works(nginx.address()).await?;
    nginx.program.stop()?;
    let log = nginx.program.folder.read("access")?;
    ensure!(log.contains("GET /ws") && !log.contains("canary"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_passes_every_kind_of_transport_on() -> Result<()> {
    let server = serve(quick())?;
    let mut caddy = caddy(server.address).await?;
    works(caddy.address).await?;
    caddy.stop()?;
    let log = caddy.folder.read("said")?;
    ensure!(log.contains("\"/ws\"") && !log.contains("canary"), "{log}");
    Ok(())
}

/// What a client says of its own address does not stand where the server looks for it: last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_is_told_last() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let nginx = Nginx::deployed(server, |site| site).await?;
    let caddy = caddy(server).await?;
    for (proxy, path) in [(nginx.address(), "/"), (nginx.address(), "/ws"), (caddy.address, "/ws")] {
        let forged = [("X-Forwarded-For", "192.0.2.1")];
        let asking = http::get(proxy, path, &forged);
        let heard = async {
            let (mut stream, _) = listener.accept().await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                ensure!(stream.read_buf(&mut head).await? > 0, "the request ended early");
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
            Ok(String::from_utf8(head)?.to_lowercase())
        };
        let (answer, head) = tokio::try_join!(asking, heard)?;
        ensure!(answer.status == 204, "{path}: {answer:?}");
        let said: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("x-forwarded-for:")).collect();
        let last = said.last().and_then(|said| said.rsplit(',').next()).unwrap_or_default();
        ensure!(last.trim() == "127.0.0.1", "{path}: {head}");
    }
    Ok(())
}
