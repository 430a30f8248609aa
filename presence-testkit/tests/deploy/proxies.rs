//! Every kind of transport through real proxies: what is said arrives at once, who goes is known to have gone, what is
//! for the inside stays there, and no query reaches a log.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use presence_server::{Config, Server};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http;
use presence_testkit::program::{Program, deployed_text};
use serde_json::json;
use tokio::sync::oneshot;

/// A server on a port of its own, until the sender is dropped.
fn serve() -> Result<(SocketAddr, oneshot::Sender<()>)> {
    let config = Config {
        listen: "127.0.0.1:0".parse()?,
        grace_ms: 500,
        going_away_grace_ms: 500,
        ..Config::default()
    };
    let server = Server::bind(config, None)?;
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Ok((address, stop))
}

/// nginx as configured, but for addresses, certificates and folders.
async fn nginx(server: SocketAddr) -> Result<Program> {
    let site = deployed_text("nginx/presence.conf")?.replace("127.0.0.1:8080", &server.to_string());
    let is_tls = |line: &&str| !line.trim_start().starts_with("ssl_");
    let site: String = site.lines().filter(is_tls).map(|line| format!("{line}\n")).collect();
    Program::start("nginx-light", |folder, address| {
        let root = folder.path().display();
        let site = site.replace("listen 443 ssl;", &format!("listen {address};"));
        folder.write("site.conf", &site.replace("/var/log/nginx/presence.log", &format!("{root}/access")))?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
            .collect();
        let main = folder.write(
            "nginx.conf",
            &format!(
                "daemon off;\nmaster_process off;\npid {root}/pid;\nerror_log {root}/errors;\n\
                 events {{ worker_connections 64; }}\nhttp {{\n{temporary}include {root}/site.conf;\n}}\n"
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(main).arg("-e").arg(folder.path().join("errors")).arg("-p").arg(folder.path());
        Ok(command)
    })
    .await
}

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
    for inside in ["/metrics", "/debug/connections"] {
        ensure!(http::get(proxy, inside, &[]).await?.status == 404, "{inside} can be reached from outside");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_passes_every_kind_of_transport_on() -> Result<()> {
    let (server, _running) = serve()?;
    let mut nginx = nginx(server).await?;
    works(nginx.address).await?;
    nginx.stop()?;
    let log = nginx.folder.read("access")?;
    ensure!(log.contains("GET /ws") && !log.contains("canary"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_passes_every_kind_of_transport_on() -> Result<()> {
    let (server, _running) = serve()?;
    let mut caddy = caddy(server).await?;
    works(caddy.address).await?;
    caddy.stop()?;
    let log = caddy.folder.read("said")?;
    ensure!(log.contains("\"/ws\"") && !log.contains("canary"), "{log}");
    Ok(())
}
