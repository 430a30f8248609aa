//! No secret and no body of a message reaches a log or a metric (S4): canaries in every place where a client can put
//! something, and a search for them at the most talkative level.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind, Received, WsWire};
use presence_testkit::http;
use presence_testkit::wire::ServerMessage;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Process, run};

/// In all that is planted, and nowhere else.
const CANARY: &str = "canary";

/// What a request says, beside its first line, where a log might look.
const HEADERS: &str = "Authorization: Bearer canary.header.token\r\nX-API-Key: canary-key\r\nCookie: s=canary-cookie\r\n\
    X-Other: canary-other\r\nLast-Event-ID: canary;canary;1\r\n";

/// Sends a request as it is, and reads as much of the answer as says which it is.
async fn request(server: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\n{HEADERS}{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.with_context(|| format!("no answer to {method} {path}"))?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

async fn requests(server: SocketAddr) -> Result<()> {
    let query = "?token=canary.query.token&access_token=canary&user_name=canary-name&x=canary";
    for path in [
        "/",
        "/healthz",
        "/metrics",
        "/v1/rooms/doc/presence",
        "/v1/stats",
        "/debug/connections",
        "/canary-path",
    ] {
        request(server, "GET", &format!("{path}{query}"), "", "").await?;
        request(server, "POST", &format!("{path}{query}"), "", r#"{"type":"canary","data":"canary"}"#)
            .await?;
    }
    request(server, "GET", "/v1/rooms/canary%20room/presence", "", "").await?;
    request(server, "GET", "/v1/rooms/doc/presence?since=canary", "If-None-Match: \"canary\"\r\n", "")
        .await?;
    for path in ["/ws", "/sse"] {
        let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Protocol: presence.v1, bearer.canary.subprotocol.token\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        request(server, "GET", &format!("{path}{query}&user_id=eve"), &format!("{handshake}{key}"), "")
            .await?;
        // A key that is none, and a page of a stranger.
        request(
            server,
            "GET",
            &format!("{path}{query}"),
            &format!("{handshake}Sec-WebSocket-Key: canary\r\n"),
            "",
        )
        .await?;
        let origin = "Origin: https://canary.example\r\n";
        request(server, "GET", &format!("{path}{query}"), &format!("{handshake}{key}{origin}"), "").await?;
    }
    // What is not even HTTP.
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"canary canary canary\r\n\r\n").await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    Ok(())
}

/// Everything that a client can say in a room, with something in it that nobody else should read.
async fn messages(server: SocketAddr) -> Result<()> {
    for kind in [Kind::Ws, Kind::Sse] {
        let mut ann = Client::enter(kind, server, &Credentials::new("ann", "a"), "doc").await?;
        let mut bob = Client::connect(kind, server, &Credentials::new("bob", "b")).await?;
        let user = json!({
            "id": "bob", "name": "canary name", "avatar": "https://example.org/canary.png", "email": "canary@example.org",
        });
        bob.send(
            &json!({"type": "presence:join", "room": "doc", "user": user, "state": {"canary": "canary"}}),
        )
        .await?;
        bob.settle("doc").await?;
        for message in [
            json!({"type": "auth", "token": "canary.message.token", "client_id": "bob"}),
            json!({"type": "auth", "token": "canary.message.token", "client_id": "canary-user"}),
            json!({"token": "canary.message.token", "client_id": "bob", "session_id": "canary-session"}),
            json!({"type": "presence:update", "room": "doc", "state": {"key": "canary state"}, "ref": "canary-ref"}),
            json!({"type": "presence:update", "room": "doc", "state": "canary"}),
            json!({"type": "presence:cursor", "room": "doc", "cursor": {"x": 1, "y": 1, "label": "canary"}}),
            json!({"type": "message", "room": "doc", "id": "canary-id", "data": {"text": "canary"}}),
            json!({"type": "canary"}),
            json!({"type": "presence:join", "room": "canary room"}),
            json!({"type": "presence:sync", "room": "doc", "epoch": "canary", "version": 1}),
        ] {
            bob.send(&message).await?;
        }
        bob.send_text("{\"canary\": not json").await?;
        bob.settle("doc").await?;
        ann.until("doc", "bob's state", |view| {
            view.users()
                .get("bob")
                .is_some_and(|bob| json!(bob.sessions[0].state).to_string().contains("canary state"))
        })
        .await?;
        bob.send_text(&format!("{{\"type\":\"{}\"}}", "canary".repeat(20_000))).await?;
        // The message was too large: that ends a WebSocket.
        while kind == Kind::Ws && bob.next().await.is_ok() {}
    }
    let path = "/ws?token=canary.query.token&user_id=eve&user_name=canary";
    let mut eve = WsWire::connect(server, path, &[], None).await?;
    ensure!(matches!(eve.recv().await?, Received::Text(_)), "eve is not greeted");
    Ok(())
}

/// Fails if the server has said anything of these, or nothing at all.
async fn search(mut server: Process, secrets: &[&str], said: &[&str]) -> Result<()> {
    let answer = http::get(server.address, "/metrics", &[]).await?;
    ensure!(answer.status == 200, "no metrics: {}", answer.body);
    let metrics = answer.body;
    ensure!(server.stop()?.code() == Some(0), "the server did not end in good order");
    let log = server.log()?;
    for said in said {
        ensure!(log.contains(said), "the log is not as talkative as it should be: no {said:?}");
    }
    for secret in secrets {
        let sings = |text: &str| text.lines().find(|line| line.contains(secret)).map(str::to_owned);
        ensure!(sings(&log).is_none(), "in the log: {}", sings(&log).unwrap_or_default());
        ensure!(sings(&metrics).is_none(), "in the metrics: {}", sings(&metrics).unwrap_or_default());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_and_no_body_reaches_a_log_or_a_metric() -> Result<()> {
    let server = Process::start(&["--log-level", "trace"], &[])?;
    requests(server.address).await?;
    messages(server.address).await?;
    let said = [
        "connection opened",
        "message received",
        "message refused",
        "handed out",
        "written",
        "request answered",
    ];
    search(server, &[CANARY], &said).await
}

/// Where tokens count, they and what signs them are as secret as where they do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_that_is_believed_and_no_key_reaches_a_log_or_a_metric() -> Result<()> {
    let secret = "canary-secret-of-thirty-two-bytes";
    let variables = [
        ("PRESENCE_TOKEN_SECRET", secret),
        ("PRESENCE_API_KEY", "canary-key-of-the-backend"),
        ("PRESENCE_WEBHOOK_SECRET", "canary-secret-that-webhooks-are-signed-with"),
        // Nobody is there.
        ("PRESENCE_WEBHOOK_URL", "http://127.0.0.1:9/hooks"),
    ];
    let server = Process::start(&["--log-level", "trace"], &variables)?;
    let made = run(&["token", "new", "--user", "ann", "--token-secret", secret])?;
    ensure!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout)?.trim().to_owned();
    let bearer = format!("Bearer {token}");
    for kind in [Kind::Ws, Kind::Sse] {
        let ann = Credentials::new("ann", "a");
        let mut by_url = Client::enter(
            kind,
            server.address,
            &Credentials { token: Some(token.clone()), ..ann.clone() },
            "doc",
        )
        .await?;
        by_url.settle("doc").await?;
        let headers = vec![("Authorization".to_owned(), bearer.clone())];
        let mut by_header =
            Client::enter(kind, server.address, &Credentials { headers, ..ann }, "doc").await?;
        by_header.settle("doc").await?;
        by_header.send(&json!({"type": "auth", "token": token})).await?;
        by_header.send(&json!({"type": "auth", "token": "canary.renewal.token"})).await?;
        by_header.wait_for("the refusal", |message| matches!(message, ServerMessage::Error(_))).await?;
    }
    let protocols = vec![("Sec-WebSocket-Protocol".to_owned(), format!("presence.v1, bearer.{token}"))];
    WsWire::connect(server.address, "/ws", &protocols, None).await?;
    let mut late = Client::anonymous(Kind::Ws, server.address).await?;
    late.send(&json!({"type": "auth", "token": token})).await?;
    late.wait_for("connected", |message| matches!(message, ServerMessage::Connected(_))).await?;
    let mut stranger = Client::anonymous(Kind::Ws, server.address).await?;
    stranger.send(&json!({"type": "auth", "token": "canary.message.token"})).await?;
    ensure!(stranger.closed().await? == Some(4501), "the stranger was let in");
    for (header, value) in [("X-API-Key", "canary-key-of-the-backend"), ("Authorization", &bearer)] {
        let answer = http::get(server.address, "/v1/rooms/doc/presence", &[(header, value)]).await?;
        ensure!(answer.status == 200, "{header}: {}", answer.body);
    }
    requests(server.address).await?;
    let mut secrets = vec![CANARY];
    secrets.extend(token.split('.'));
    let said = [
        "(hidden)",
        "connection opened",
        "message refused",
        "request answered",
        "not_authorized",
        "the backend has not taken",
    ];
    search(server, &secrets, &said).await
}
