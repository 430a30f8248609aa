//! What the server answers over plain HTTP.

use anyhow::{Context, Result};
use presence_server::Config;
use presence_testkit::client::Kind;
use presence_testkit::http::{Answer, get, raw, request};
use presence_testkit::view::View;
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// S3: who is in a room, at which version; unchanged is 304, by header and by query.
async fn presence_over_http_is_what_the_room_says(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "team/doc").await?;
    let answer = get(server.address, "/v1/rooms/team%2Fdoc/presence", &[]).await?;
    assert_eq!(ann.view("team/doc").difference(&answer.json()?), None);
    let etag = answer.header("etag").unwrap_or_default().to_owned();
    let unchanged = get(server.address, "/v1/rooms/team/doc/presence", &[("If-None-Match", &etag)]).await?;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    let since = etag.trim_matches('"');
    let unchanged = get(server.address, &format!("/v1/rooms/team/doc/presence?since={since}"), &[]).await?;
    assert_eq!(unchanged.status, 304);
    ann.send(&json!({"type": "presence:update", "room": "team/doc", "state": {"x": 1}})).await?;
    ann.settle("team/doc").await?;
    ann.until("team/doc", "the update is out", |view| !view.users()["ann"].sessions[0].state.is_empty())
        .await?;
    let changed = get(server.address, "/v1/rooms/team/doc/presence", &[("If-None-Match", &etag)]).await?;
    assert_eq!(changed.status, 200);
    assert_eq!(ann.view("team/doc").difference(&changed.json()?), None);
    Ok(())
}

/// P3: however often somebody asks, an answer is never older than what a member has seen before, nor than a kick that was
/// answered.
async fn presence_over_http_is_never_older_than_what_is_known(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    for n in 0..20 {
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"n": n}})).await?;
        let told = |view: &View| view.users()["ann"].sessions[0].state.get("n") == Some(&json!(n));
        ann.until("doc", "the update is out", told).await?;
        for _ in 0..3 {
            let presence = server.presence("doc").await?;
            let ann = presence.users.iter().find(|user| user.id == "ann").context("ann is there")?;
            assert_eq!(ann.sessions[0].state["n"], n);
        }
    }
    assert_eq!(request(server.address, "DELETE", "/v1/users/bob/sessions", &[]).await?.status, 200);
    assert_eq!(server.presence("doc").await?.users.len(), 1);
    Ok(())
}

/// S3: whoever accepts gzip is sent the same, packed, and may ask from there on. Who does not is sent it as it is, and so is
/// who asks for a small room.
async fn presence_of_a_large_room_is_packed_for_whoever_accepts_that(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let path = "/v1/rooms/doc/presence";
    let accepts = [("Accept-Encoding", "br, gzip")];
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let small = get(server.address, path, &accepts).await?;
    assert_eq!((small.header("content-encoding"), small.header("vary")), (None, Some("accept-encoding")));

    let long = "x".repeat(2_000);
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"long": long}})).await?;
    ann.until("doc", "the update is out", |view| !view.users()["ann"].sessions[0].state.is_empty()).await?;
    let plain = get(server.address, path, &[("Accept-Encoding", "gzip;q=0")]).await?;
    let packed = get(server.address, path, &accepts).await?;
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
    let length = |answer: &Answer| answer.header("content-length").and_then(|len| len.parse::<usize>().ok());
    assert!(length(&plain) > Some(2_000) && length(&packed) < Some(600));
    assert_eq!(ann.view("doc").difference(&plain.json()?), None);
    assert_eq!(ann.view("doc").difference(&packed.json()?), None);

    let tag = packed.header("etag").unwrap_or_default().to_owned();
    assert_eq!(Some(&*tag), plain.header("etag").map(|strong| format!("W/{strong}")).as_deref());
    let unchanged = get(server.address, path, &[accepts[0], ("If-None-Match", &tag)]).await?;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_one_shape() -> Result<()> {
    let server = TestServer::start(quick())?;
    let cases = [
        ("/nowhere", 404, "not_found", None),
        ("/v1/rooms/a%20b/presence", 400, "invalid_room", Some("room")),
        ("/v1/rooms/@ann/presence", 403, "forbidden", Some("room")),
        ("/v1/rooms/doc/presence?since=x", 400, "bad_message", Some("since")),
        #[cfg(feature = "ws")]
        ("/ws", 426, "bad_message", None),
    ];
    for (path, status, code, field) in cases {
        let answer = get(server.address, path, &[]).await?;
        let body: Value = answer.json()?;
        let said = (answer.status, body["error"]["code"].as_str(), body["error"]["field"].as_str());
        assert_eq!(said, (status, Some(code), field), "{path}");
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(request(server.address, "POST", "/healthz", &[]).await?.status, 405);
    Ok(())
}

/// O6: what is not built in says what to build.
#[cfg(not(all(feature = "ws", feature = "sse")))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_not_built_in_names_its_feature() -> Result<()> {
    let server = TestServer::start(quick())?;
    let (path, feature) = if cfg!(feature = "ws") { ("/sse", "sse") } else { ("/ws", "ws") };
    let answer = get(server.address, path, &[]).await?;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains(&format!("`--features {feature}`")), "{}", answer.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_stranger_may_not_connect() -> Result<()> {
    let server = TestServer::start(quick())?;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "https://evil.example"),
    ];
    let answer = get(server.address, "/ws", &upgrade).await?;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("allowed_origins"), "{}", answer.body);
    Ok(())
}

/// O3, O4: alive, ready, and metrics that count what happened.
async fn health_and_metrics_are_there(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let _ann = server.enter(kind, "ann", "a", "doc").await?;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(server.address, path, &[]).await?.status, 200, "{path}");
    }
    let metrics = get(server.address, "/metrics", &[]).await?.body;
    for name in [
        "presence_connections{",
        "presence_joins_total ",
        "presence_messages_received_total{type=\"presence:join\"}",
        "presence_delivery_seconds_bucket{",
        "presence_build_info{",
        "# HELP presence_joins_total ",
        "process_open_fds ",
        "presence_tasks ",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_comes_with_a_strict_policy() -> Result<()> {
    let server = TestServer::start(quick())?;
    let page = get(server.address, "/?room=doc", &[]).await?;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Nothing may make HTML of text, whatever the script has in it.
    assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"), "{policy}");
    for part in ["/page.js", "/page.css"] {
        assert!(page.body.contains(part), "the page does without {part}");
        assert_eq!(get(server.address, part, &[]).await?.status, 200, "{part}");
    }
    Ok(())
}

/// X4, F: a request whose headers do not come is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_do_not_come_are_not_waited_for() -> Result<()> {
    let server = TestServer::start(Config { header_timeout_ms: 200, ..quick() })?;
    // The server ends the connection; what it says before is its own affair.
    let ended = raw(server.address, b"GET / HTTP/1.1\r\nHost: x\r\nSlow:").await;
    assert!(ended.map_or_else(|error| !error.to_string().contains("in time"), |answer| answer.status == 408));
    Ok(())
}

/// One connection more than allowed is told so, and nobody else suffers.
async fn a_connection_too_many_is_told_so(kind: Kind) -> Result<()> {
    // An event stream speaks over a second connection, and a shared one is one itself.
    let connections_max = match kind {
        Kind::Ws => 1,
        Kind::Sse => 2,
        Kind::Shared => 3,
    };
    let server = TestServer::start(Config { connections_max, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let answer = get(server.address, "/healthz", &[]).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    ann.settle("doc").await?;
    Ok(())
}

on_every_kind! {
    presence_over_http_is_what_the_room_says,
    presence_over_http_is_never_older_than_what_is_known,
    presence_of_a_large_room_is_packed_for_whoever_accepts_that,
    health_and_metrics_are_there,
    a_connection_too_many_is_told_so,
}
