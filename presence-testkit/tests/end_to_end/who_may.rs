//! Who may: tokens, rooms, keys and origins. Tokens are made as an operator makes them by hand.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use presence_server::Config;
use presence_server::auth::cli;
use presence_server::config::{Asked, Secret, Task, read};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{Answer, get, request};
use presence_testkit::wire::{Connected, ServerMessage};
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

const SECRET: &str = "a secret of these tests, long enough";
pub(crate) const API_KEY: &str = "the key of a backend";

pub(crate) fn guarded() -> Config {
    Config { token_secret: Secret::new(SECRET), api_key: Secret::new(API_KEY), ..quick() }
}

/// A token of `user`, made with more arguments of `token new`.
pub(crate) fn token(user: &str, arguments: &[&str]) -> Result<String> {
    let flags =
        ["token", "new", "--user", user].into_iter().chain(arguments.iter().copied()).map(OsString::from);
    let environment = [("PRESENCE_TOKEN_SECRET".to_owned(), SECRET.to_owned())];
    match read(flags, environment)? {
        Asked::Do(Task::Token(arguments), config) => Ok(cli::run(&arguments, &config)?.trim().to_owned()),
        other => bail!("that was no question about tokens: {other:?}"),
    }
}

fn with_token(user: &str, session: &str, token: String) -> Credentials {
    Credentials { token: Some(token), ..Credentials::new(user, session) }
}

async fn enter(kind: Kind, server: &TestServer, user: &str, room: &str) -> Result<Client> {
    let who = with_token(user, &format!("{user}-tab"), token(user, &[])?);
    Client::enter(kind, server.address, &who, room).await
}

async fn connected(client: &mut Client) -> Result<Connected> {
    match client.wait_for("connected", |m| matches!(m, ServerMessage::Connected(_))).await? {
        ServerMessage::Connected(connected) => Ok(connected),
        other => anyhow::bail!("{other:?} is not `connected`"),
    }
}

/// Whoever is sent away does not come back with the same token, but with a new one.
async fn a_kicked_user_needs_a_new_token(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let old = token("bob", &[])?;
    let mut bob = Client::enter(kind, server.address, &with_token("bob", "b", old.clone()), "doc").await?;
    let key = [("X-API-Key", API_KEY)];
    let kicked = request(server.address, "DELETE", "/v1/users/bob/sessions", &key).await?;
    assert_eq!((kicked.status, kicked.body.as_str()), (200, r#"{"kicked":1}"#));
    assert_eq!(bob.closed().await?, Some(4503));
    let refused = get(server.address, &format!("/v1/stats?token={old}"), &[]).await?;
    assert_eq!(refused.status, 401);
    Ok(())
}

/// Code and field of an error in an answer.
fn error(answer: &Answer) -> Result<(u16, String, Option<String>)> {
    let body: Value = answer.json()?;
    let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
    Ok((answer.status, text("code").context("no code")?, text("field")))
}

/// A2: in the URL, or in the header that programs can set.
async fn a_token_in_the_request_says_who_it_is(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let anns = token("ann", &["--name", "Ann of the token"])?;
    let mut ann = Client::enter(kind, server.address, &with_token("ann", "a", anns), "doc").await?;
    assert_eq!(ann.view("doc").users()["ann"].name, "Ann of the token");
    let headers = vec![("Authorization".to_owned(), format!("Bearer {}", token("bob", &[])?))];
    let bob = Credentials { headers, ..Credentials::new("bob", "b") };
    Client::enter(kind, server.address, &bob, "doc").await?;
    ann.until("doc", "bob is there", |view| view.users().contains_key("bob")).await?;
    Ok(())
}

/// A2: the only header of a WebSocket that a page can set. The token does not come back.
#[cfg(feature = "ws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_be_a_subprotocol_and_is_not_echoed() -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::start(guarded())?;
    let anns = token("ann", &[])?;
    let mut stream = tokio::net::TcpStream::connect(server.address).await?;
    let asked = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: presence.v1, bearer.{anns}\r\n\r\n",
        server.address
    );
    stream.write_all(asked.as_bytes()).await?;
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("Successfully connected as ann") {
        assert!(stream.read_buf(&mut answer).await? > 0, "{}", String::from_utf8_lossy(&answer));
    }
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.contains("sec-websocket-protocol: presence.v1\r\n"), "{answer}");
    assert!(!answer.contains("bearer."), "{answer}");
    Ok(())
}

/// A4: refused before anything is open, in one way.
async fn a_bad_token_in_the_request_is_401(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let good = token("ann", &[])?;
    let tampered = good.replace('.', ".A");
    for bad in ["", "x", "a.b.c", tampered.as_str()] {
        let refused = Client::connect(kind, server.address, &with_token("ann", "a", bad.to_owned())).await;
        let said = format!("{:#}", refused.err().context("it was let in")?);
        assert!(said.contains("401") && said.contains("\"unauthorized\""), "{said}");
        assert!(said.to_lowercase().contains("www-authenticate: bearer"), "{said}");
    }
    let stolen = Client::connect(kind, server.address, &with_token("bob", "b", good)).await;
    let said = format!("{:#}", stolen.err().context("it was let in")?);
    assert!(said.contains("403") && said.contains("user_id"), "{said}");
    Ok(())
}

/// PROTOCOL, Connecting: the first message, with or without `type`.
async fn a_first_message_may_bring_the_token(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let mut ann = Client::anonymous(kind, server.address).await?;
    ann.send(&json!({"type": "presence:join", "room": "doc", "user": {"id": "ann"}})).await?;
    assert_eq!(ann.refusal().await?.0, "unauthorized");
    ann.send(&json!({"token": token("ann", &[])?, "client_id": "ann", "session_id": "mine"})).await?;
    let known = connected(&mut ann).await?;
    assert_eq!((known.user_id.as_str(), known.session_id.as_str()), ("ann", "mine"));
    ann.join("doc").await?;
    ann.settle("doc").await?;
    Ok(())
}

/// A4: `error`, then 4501.
async fn a_first_message_with_a_bad_token_is_the_end(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    for first in [json!({"type": "auth", "token": "a.b.c"}), json!({"type": "auth", "client_id": "ann"})] {
        let mut nobody = Client::anonymous(kind, server.address).await?;
        nobody.send(&first).await?;
        assert_eq!(nobody.refusal().await?, ("unauthorized".to_owned(), Some("token".to_owned())));
        assert_eq!(nobody.closed().await?, Some(4501));
    }
    Ok(())
}

/// S2, A6: a token's end is its connection's, unless a new one came in time; nobody hears of a renewal.
async fn a_connection_ends_with_its_token_unless_that_is_renewed(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, ..guarded() })?;
    let mut observer = enter(kind, &server, "observer", "doc").await?;
    let brief = |user: &str| anyhow::Ok(with_token(user, user, token(user, &["--ttl", "3s"])?));
    let mut ann = Client::enter(kind, server.address, &brief("ann")?, "doc").await?;
    let mut bob = Client::enter(kind, server.address, &brief("bob")?, "doc").await?;
    ann.send(&json!({"type": "auth", "token": token("ann", &[])?, "ref": "renewal"})).await?;
    connected(&mut ann).await?;
    assert_eq!(bob.closed().await?, Some(4010));
    ann.settle("doc").await?;
    observer.settle("doc").await?;
    // Bob may come back, with a new token.
    let back = with_token("bob", "bob", token("bob", &[])?);
    Client::enter(kind, server.address, &back, "doc").await?.settle("doc").await?;
    observer.settle("doc").await?;
    for user in ["ann", "bob"] {
        let edges = observer.view("doc").edges(user);
        assert_eq!((edges.joins, edges.leaves), (1, 0), "{user}");
    }
    Ok(())
}

/// S7: whoever else a message names, and whosever token comes later.
async fn nobody_becomes_somebody_else(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let mut ann = enter(kind, &server, "ann", "doc").await?;
    let bobs = token("bob", &[])?;
    for (message, field) in [
        (json!({"type": "presence:join", "room": "doc", "user": {"id": "bob"}}), "user.id"),
        (json!({"type": "auth", "client_id": "bob"}), "client_id"),
        (json!({"type": "auth", "token": token("ann", &[])?, "client_id": "bob"}), "client_id"),
        (json!({"type": "auth", "token": bobs}), "token"),
    ] {
        ann.send(&message).await?;
        assert_eq!(ann.refusal().await?, ("forbidden".to_owned(), Some(field.to_owned())), "{message}");
    }
    ann.send(&json!({"type": "auth", "token": "a.b.c"})).await?;
    assert_eq!(ann.refusal().await?, ("unauthorized".to_owned(), Some("token".to_owned())));
    ann.settle("doc").await?;
    Ok(())
}

/// S1, S9: only where the token lets them; and a room that nobody is in looks the same as one with people.
async fn rooms_beyond_the_token_are_closed_and_look_alike(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let _there = enter(kind, &server, "bob", "busy").await?;
    let who = with_token("ann", "a", token("ann", &["--room", "doc-*"])?);
    let mut ann = Client::enter(kind, server.address, &who, "doc-1").await?;
    let mut said = Vec::new();
    for room in ["busy", "empty", "lobby", "doc"] {
        ann.send(&json!({"type": "presence:join", "room": room})).await?;
        let refused = ann.wait_for("an error", |m| matches!(m, ServerMessage::Error(_))).await?;
        said.push(format!("{refused:?}"));
        assert!(matches!(&refused, ServerMessage::Error(e) if e.code == "forbidden"), "{refused:?}");
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    ann.join("@ann").await?;
    ann.settle("doc-1").await?;
    Ok(())
}

/// PROTOCOL, Tokens: a renewal that allows fewer rooms ends the others.
async fn a_renewal_that_allows_fewer_rooms_ends_the_others(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let mut bob = enter(kind, &server, "bob", "team").await?;
    let mut ann = enter(kind, &server, "ann", "team").await?;
    ann.join("doc-1").await?;
    ann.send(&json!({"type": "auth", "token": token("ann", &["--room", "doc-*"])?})).await?;
    let refused = ann.wait_for("an error", |m| matches!(m, ServerMessage::Error(_))).await?;
    assert!(
        matches!(&refused, ServerMessage::Error(e) if e.code == "forbidden" && e.room.as_deref() == Some("team")),
        "{refused:?}"
    );
    let left = |m: &ServerMessage| matches!(m, ServerMessage::UserLeft(left) if left.user_id == "ann");
    let left = bob.wait_for("the leave", left).await?;
    assert!(matches!(&left, ServerMessage::UserLeft(left) if left.cause == "kicked"), "{left:?}");
    ann.settle("doc-1").await?;
    ann.send(&json!({"type": "presence:update", "room": "team", "state": {"x": 1}})).await?;
    assert_eq!(ann.refusal().await?.0, "not_joined");
    Ok(())
}

/// PROTOCOL, API key; S9.
async fn over_http_a_user_sees_their_rooms_and_the_backend_all(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let _bob = enter(kind, &server, "bob", "busy").await?;
    let bearer = |credential: &str| ("Authorization", format!("Bearer {credential}"));
    let anns = token("ann", &["--room", "doc-*"])?;
    let ask = async |path: &str, (name, value): (&'static str, String)| {
        get(server.address, path, &[(name, value.as_str())]).await
    };
    let (doc, busy, empty) =
        ("/v1/rooms/doc-1/presence", "/v1/rooms/busy/presence", "/v1/rooms/empty/presence");
    assert_eq!(ask(doc, bearer(&anns)).await?.status, 200);
    assert_eq!(get(server.address, &format!("{doc}?token={anns}"), &[]).await?.status, 200);
    let (forbidden, unknown) = (ask(busy, bearer(&anns)).await?, ask(empty, bearer(&anns)).await?);
    assert_eq!(error(&forbidden)?, (403, "forbidden".to_owned(), Some("room".to_owned())));
    assert_eq!((forbidden.status, forbidden.body), (unknown.status, unknown.body));
    for backend in [bearer(API_KEY), ("X-API-Key", API_KEY.to_owned())] {
        let answer = ask(busy, backend).await?;
        assert_eq!((answer.status, answer.json::<Value>()?["activeUsers"].clone()), (200, json!(["bob"])));
    }
    let nobody = [
        ("X-Nothing", String::new()),
        ("X-API-Key", "the key of nobody".to_owned()),
        ("Authorization", format!("Basic {anns}")),
        bearer("the key of nobody"),
        bearer(&format!("{API_KEY}x")),
    ];
    for wrong in nobody {
        let answer = ask(doc, wrong.clone()).await?;
        assert_eq!(error(&answer)?.0, 401, "{wrong:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    Ok(())
}

/// PROTOCOL, SSE: every post proves itself, and a stream that may not enter its room does not open.
#[cfg(feature = "sse")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_and_streams_need_a_token_that_fits() -> Result<()> {
    use presence_testkit::http::send_json;

    let server = TestServer::start(guarded())?;
    let (anns, bobs) = (token("ann", &["--room", "doc-*"])?, token("bob", &[])?);
    let mut ann = Client::anonymous(Kind::Sse, server.address).await?;
    ann.send(&json!({"type": "auth", "token": anns, "client_id": "ann"})).await?;
    let id = connected(&mut ann).await?.connection_id;
    let nowhere = "0".repeat(32);
    for (connection, credential, expected) in [
        (&id, String::new(), (401, "unauthorized")),
        (&id, "?token=a.b.c".to_owned(), (401, "unauthorized")),
        (&id, format!("?token={bobs}"), (403, "forbidden")),
        (&nowhere, String::new(), (401, "unauthorized")),
        (&nowhere, format!("?token={anns}"), (404, "not_found")),
    ] {
        let path = format!("/sse/{connection}{credential}");
        let answer = send_json(server.address, "POST", &path, &json!({"type": "presence:heartbeat"})).await?;
        let said = error(&answer)?;
        assert_eq!((said.0, said.1.as_str()), expected, "{credential}");
    }
    ann.join("doc-1").await?;
    ann.settle("doc-1").await?;
    let outside = get(server.address, &format!("/sse?room=team&token={anns}"), &[]).await?;
    assert_eq!(error(&outside)?, (403, "forbidden".to_owned(), Some("room".to_owned())));
    Ok(())
}

/// A11: what a browser hears before it shows an answer to a page of another origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_is_answered_if_that_is_allowed() -> Result<()> {
    let app = "https://app.example";
    let server = TestServer::start(Config { allowed_origins: vec![app.to_owned()], ..guarded() })?;
    let path = "/v1/rooms/doc/presence";
    let preflight = async |origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "GET")];
        request(server.address, "OPTIONS", path, &headers).await
    };
    let allowed = preflight(app).await?;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some(app)));
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    assert!(
        allowed.header("access-control-allow-headers").is_some_and(|names| names.contains("Authorization"))
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    for origin in ["https://evil.example", "http://app.example", "null", "http://localhost:5173"] {
        let refused = preflight(origin).await?;
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None), "{origin}");
        let asked = get(server.address, path, &[("Origin", origin), ("X-API-Key", API_KEY)]).await?;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (403, None), "{origin}");
    }
    let varies = |answer: &Answer| answer.header_values("vary").any(|header| header == "Origin");
    for (credential, status) in [("X-API-Key", 200), ("X-Nothing", 401)] {
        let answer = get(server.address, path, &[("Origin", app), (credential, API_KEY)]).await?;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(app)));
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(
            ["ETag", "Retry-After", "X-Request-Id"].iter().all(|name| exposed.contains(name)),
            "{exposed}"
        );
        assert!(varies(&answer));
    }
    let program = get(server.address, path, &[("X-API-Key", API_KEY)]).await?;
    assert!(program.header("access-control-allow-origin").is_none() && varies(&program));
    Ok(())
}

/// A1: with tokens, a page of this machine is as much a stranger as any other.
async fn with_tokens_pages_of_this_machine_need_to_be_allowed(kind: Kind) -> Result<()> {
    for (config, enters) in [(guarded(), false), (quick(), true)] {
        let server = TestServer::start(config)?;
        let headers = vec![("Origin".to_owned(), "http://localhost:5173".to_owned())];
        let who = Credentials { headers, ..with_token("ann", "a", token("ann", &[])?) };
        let entered = Client::connect(kind, server.address, &who).await;
        assert_eq!(entered.is_ok(), enters, "{entered:?}");
    }
    Ok(())
}

/// REQUIREMENTS, Names: user ids of a form, wherever one is said.
async fn user_ids_may_have_to_be_of_a_form(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { user_id_pattern: "hex24".to_owned(), ..quick() })?;
    let refused = Client::connect(kind, server.address, &Credentials::new("ann", "a")).await;
    assert!(format!("{:#}", refused.err().context("it was let in")?).contains("\"user_id\""));
    let mut client = Client::anonymous(kind, server.address).await?;
    for (message, field) in [
        (json!({"type": "auth", "client_id": "ann"}), "client_id"),
        (json!({"type": "presence:join", "user": {"id": "ann"}}), "user.id"),
    ] {
        client.send(&message).await?;
        assert_eq!(client.refusal().await?, ("bad_message".to_owned(), Some(field.to_owned())));
    }
    client.send(&json!({"type": "auth", "client_id": "507f1f77bcf86cd799439011"})).await?;
    connected(&mut client).await?;
    Ok(())
}

/// What is there for operators is as open as they set it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_debug_are_as_open_as_they_are_set() -> Result<()> {
    use presence_server::config::Exposure::{Key, Off, Open};

    for (exposure, stranger, backend) in [(Open, 200, 200), (Key, 401, 200), (Off, 404, 404)] {
        let config = Config { metrics_access: exposure, debug_access: exposure, ..guarded() };
        let server = TestServer::start(config)?;
        for path in ["/metrics", "/debug/connections"] {
            let statuses = (
                get(server.address, path, &[]).await?.status,
                get(server.address, path, &[("X-API-Key", API_KEY)]).await?.status,
            );
            assert_eq!(statuses, (stranger, backend), "{path} {exposure:?}");
        }
    }
    Ok(())
}

on_every_kind! {
    a_token_in_the_request_says_who_it_is,
    a_bad_token_in_the_request_is_401,
    a_first_message_may_bring_the_token,
    a_first_message_with_a_bad_token_is_the_end,
    a_connection_ends_with_its_token_unless_that_is_renewed,
    nobody_becomes_somebody_else,
    rooms_beyond_the_token_are_closed_and_look_alike,
    a_renewal_that_allows_fewer_rooms_ends_the_others,
    over_http_a_user_sees_their_rooms_and_the_backend_all,
    with_tokens_pages_of_this_machine_need_to_be_allowed,
    user_ids_may_have_to_be_of_a_form,
    a_kicked_user_needs_a_new_token,
}
