//! What an operator opens: the page at `/admin`, and the live trace of a connection.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use presence_server::Config;
use presence_server::config::Exposure;
use presence_server::connection::trace::TRACES_MAX;
use presence_testkit::client::events::Events;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{get, request};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

const KEY: [(&str, &str); 1] = [("X-API-Key", API_KEY)];

/// How long a line may take to come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A trace that is read event by event.
struct Trace {
    stream: TcpStream,
    events: Events,
    /// Everything that came, as it came.
    seen: Vec<String>,
}

impl Trace {
    async fn open(server: SocketAddr, connection: &str) -> Result<Self> {
        Self::over(TcpStream::connect(server).await?, server, connection).await
    }

    /// Opens one over a connection that is there already.
    async fn over(mut stream: TcpStream, server: SocketAddr, connection: &str) -> Result<Self> {
        let path = trace_of(connection);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nX-API-Key: {API_KEY}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.context("the head is cut off")?);
        }
        let head = String::from_utf8(head)?.to_lowercase();
        ensure!(head.starts_with("http/1.1 200"), "no trace: {head}");
        for header in ["content-type: text/event-stream", "cache-control: no-cache, no-transform"] {
            ensure!(head.contains(header), "no {header}: {head}");
        }
        let mut trace = Self { stream, events: Events::default(), seen: Vec::new() };
        let first = trace.next().await?.context("the trace ends at once")?;
        ensure!(first["event"] == "began" && first["at"].is_i64(), "{first}");
        Ok(trace)
    }

    /// The next event, or nothing once the trace is over.
    async fn next(&mut self) -> Result<Option<Value>> {
        let reading = async {
            loop {
                while let Some(event) = self.events.pop() {
                    if let Some(data) = event.data {
                        let event = serde_json::from_str(&data)?;
                        self.seen.push(data);
                        return Ok(Some(event));
                    }
                }
                let mut bytes = Vec::with_capacity(64 * 1024);
                if self.stream.read_buf(&mut bytes).await? == 0 {
                    return Ok(None);
                }
                self.events.push(&bytes);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.context("no line in time")?
    }

    /// The next event that has all of these members.
    async fn until(&mut self, wanted: Value) -> Result<Value> {
        let members = wanted.as_object().context("members are wanted")?;
        while let Some(event) = self.next().await? {
            if members.iter().all(|(name, value)| event.get(name) == Some(value)) {
                return Ok(event);
            }
        }
        anyhow::bail!("the trace ended before {wanted}; it had {:#?}", self.seen)
    }
}

fn trace_of(connection: &str) -> String {
    format!("/debug/connections/{connection}/trace")
}

/// The id of a user's only connection.
async fn connection_of(server: &TestServer, user: &str) -> Result<String> {
    let listed: Value =
        get(server.address, &format!("/debug/connections?user={user}"), &KEY).await?.json()?;
    Ok(listed["connections"][0]["connection_id"].as_str().context("no connection")?.to_owned())
}

fn with_token(user: &str, token: String) -> Credentials {
    Credentials { token: Some(token), ..Credentials::new(user, "canary-session") }
}

async fn a_trace_shows_what_a_connection_receives_and_is_sent_and_not_what_it_says(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let secret = token("ann", &["--ttl", "1h"])?;
    let mut ann = Client::enter(kind, server.address, &with_token("ann", secret.clone()), "doc").await?;
    ann.settle("doc").await?;
    let mut trace = Trace::open(server.address, &connection_of(&server, "ann").await?).await?;

    let state = json!({"type": "presence:update", "room": "doc", "state": {"x": "canary"}, "ref": "canary"});
    ann.send(&state).await?;
    let received =
        trace.until(json!({"event": "received", "type": "presence:update", "room": "doc"})).await?;
    assert_eq!(received["bytes"], state.to_string().len());
    let sent = trace.until(json!({"event": "sent", "type": "presence:userUpdated", "room": "doc"})).await?;
    assert_eq!((&sent["outcome"], sent["version"].is_u64()), (&json!("written"), true), "{sent}");

    let mut bob = Client::enter(kind, server.address, &with_token("bob", token("bob", &[])?), "doc").await?;
    let joined = trace.until(json!({"event": "sent", "type": "presence:userJoined"})).await?;
    ann.until("doc", "bob is there", |view| view.users().contains_key("bob")).await?;
    assert_eq!(joined["version"].as_u64(), ann.view("doc").version());

    let ack = bob.send_message("doc", &json!({"text": "canary"})).await?;
    trace.until(json!({"event": "sent", "type": "message_created", "room": "doc", "seq": ack.seq})).await?;
    ann.until_place("doc", ack.seq).await?;
    ann.ack("doc").await?;
    trace.until(json!({"event": "received", "type": "ack", "room": "doc", "seq": ack.seq})).await?;

    ann.send(&json!({"type": "canary", "room": "canary room", "seq": "canary"})).await?;
    trace.until(json!({"event": "received", "type": "unknown"})).await?;
    trace.until(json!({"event": "sent", "type": "error", "code": "unknown_type"})).await?;
    let all = trace.seen.join("\n");
    ensure!(!all.contains("canary") && !all.contains(&secret), "a trace tells too much: {all}");
    Ok(())
}

/// Somebody whom nobody knows yet can be watched too, and the token that says who it is stays out of it.
async fn a_trace_shows_how_somebody_says_who_it_is(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let mut ann = Client::anonymous(kind, server.address).await?;
    let opened = async {
        loop {
            let listed: Value = get(server.address, "/debug/connections", &KEY).await?.json()?;
            if let Some(connection) = listed["connections"][0]["connection_id"].as_str() {
                return anyhow::Ok(connection.to_owned());
            }
        }
    };
    let connection = tokio::time::timeout(PATIENCE, opened).await.context("no connection in time")??;
    let mut trace = Trace::open(server.address, &connection).await?;
    let secret = token("ann", &[])?;
    let auth = json!({"type": "auth", "token": secret, "client_id": "ann", "session_id": "canary"});
    ann.send(&auth).await?;
    let received = trace.until(json!({"event": "received", "type": "auth"})).await?;
    assert_eq!(received["bytes"], auth.to_string().len());
    trace.until(json!({"event": "sent", "type": "connected", "outcome": "written"})).await?;
    trace.until(json!({"event": "sent", "type": "ping", "outcome": "written"})).await?;
    ann.wait_for("connected", |message| matches!(message, ServerMessage::Connected(_))).await?;
    ann.join("doc").await?;
    trace.until(json!({"event": "received", "type": "presence:join", "room": "doc"})).await?;
    trace.until(json!({"event": "sent", "type": "presence:currentUsers", "room": "doc"})).await?;
    let all = trace.seen.join("\n");
    ensure!(!all.contains("canary") && !all.contains(&secret), "a trace tells too much: {all}");
    Ok(())
}

async fn a_trace_says_how_its_connection_ended(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let _ann = Client::enter(kind, server.address, &with_token("ann", token("ann", &[])?), "doc").await?;
    let connection = connection_of(&server, "ann").await?;
    let mut trace = Trace::open(server.address, &connection).await?;
    let mut other = Trace::open(server.address, &connection).await?;
    let kicked = request(server.address, "DELETE", &format!("/v1/connections/{connection}"), &KEY).await?;
    assert_eq!(kicked.status, 204);
    for trace in [&mut trace, &mut other] {
        assert_eq!(trace.until(json!({"event": "ended"})).await?["reason"], "kicked");
        assert!(trace.next().await?.is_none(), "a trace goes on after its end");
    }
    assert_eq!(get(server.address, &trace_of(&connection), &KEY).await?.status, 404);
    Ok(())
}

/// A3: a trace is for whom the other debug routes are for.
async fn a_trace_is_for_operators_only(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let secret = token("ann", &[])?;
    let _ann = Client::enter(kind, server.address, &with_token("ann", secret.clone()), "doc").await?;
    let path = trace_of(&connection_of(&server, "ann").await?);
    let bearer = format!("Bearer {secret}");
    assert_eq!(get(server.address, &path, &[]).await?.status, 401);
    assert_eq!(get(server.address, &path, &[("Authorization", &bearer)]).await?.status, 403);
    assert_eq!(request(server.address, "HEAD", &path, &KEY).await?.status, 405);

    let closed = TestServer::start(Config { debug_access: Exposure::Off, ..guarded() })?;
    assert_eq!(get(closed.address, &trace_of(&"0".repeat(32)), &KEY).await?.status, 404);
    Ok(())
}

async fn so_many_are_traced_at_a_time_and_whoever_goes_makes_room(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let _ann = Client::enter(kind, server.address, &with_token("ann", token("ann", &[])?), "doc").await?;
    let connection = connection_of(&server, "ann").await?;
    let mut traces = Vec::new();
    for _ in 0..TRACES_MAX {
        traces.push(Trace::open(server.address, &connection).await?);
    }
    let refused = get(server.address, &trace_of(&connection), &KEY).await?;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.body);
    traces.pop();
    let again = async { while Trace::open(server.address, &connection).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.context("the place of one who went stays taken")?;
    Ok(())
}

/// L1: whoever watches and does not read costs a bounded number of lines, and the connection nothing.
#[cfg(feature = "ws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_does_not_read_loses_lines_and_is_told_how_many() -> Result<()> {
    let server = TestServer::start(Config {
        messages_per_second: 100_000,
        messages_burst: 100_000,
        user_messages_per_second: 100_000,
        user_messages_burst: 100_000,
        ..guarded()
    })?;
    let mut ann =
        Client::enter(Kind::Ws, server.address, &with_token("ann", token("ann", &[])?), "doc").await?;
    let connection = connection_of(&server, "ann").await?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let stream = socket.connect(server.address).await?;
    let mut trace = Trace::over(stream, server.address, &connection).await?;
    let count = 10_000u64;
    for number in 0..count {
        let active = number % 2 == 0;
        ann.send(&json!({"type": "presence:activity", "active": active})).await?;
    }
    ann.settle("doc").await?;
    let lost = trace.until(json!({"event": "lost"})).await?["lines"].as_u64().context("how many")?;
    let told = trace.seen.len() as u64;
    ensure!(lost > 0 && told + lost <= count + 100, "{told} were told and {lost} lost of {count}");
    Ok(())
}

/// The page tells nothing by itself: everybody gets it, and what stands beside it, under a policy that lets nothing else in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_there_without_a_key_and_lets_nothing_else_in() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let page = get(server.address, "/admin", &[]).await?;
    let files = page.body.split('"').filter(|text| text.starts_with("/admin/"));
    let mut paths = vec!["/admin"];
    paths.extend(files);
    ensure!(paths.contains(&"/admin/page.js") && paths.contains(&"/admin/page.css"), "{paths:?}");
    for path in paths {
        let answer = get(server.address, path, &[]).await?;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").context("no policy")?;
        for rule in
            ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"]
        {
            ensure!(policy.contains(rule), "{path}: {policy}");
        }
        ensure!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{path}");
    }
    assert_eq!(get(server.address, "/admin/nothing.js", &[]).await?.status, 404);
    assert_eq!(request(server.address, "POST", "/admin", &[]).await?.status, 405);
    // Without anybody's key the page has nobody to ask for: in dev mode it works as it is.
    let open = TestServer::start(quick())?;
    assert_eq!(get(open.address, "/v1/rooms?limit=1", &[]).await?.status, 200);
    assert_eq!(get(open.address, "/debug/connections", &[]).await?.status, 200);
    Ok(())
}

on_every_kind! {
    a_trace_shows_what_a_connection_receives_and_is_sent_and_not_what_it_says,
    a_trace_shows_how_somebody_says_who_it_is,
    a_trace_says_how_its_connection_ended,
    a_trace_is_for_operators_only,
    so_many_are_traced_at_a_time_and_whoever_goes_makes_room,
}
