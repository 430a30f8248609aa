//! Event streams that several connections share: each is one like any other, for its user and for everybody else. What
//! every connection does, those on shared streams show with all other tests; this is what only they can get wrong.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use presence_server::Config;
use presence_testkit::client::events::Events;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{Answer, get, request, send_json};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{TestServer, quick};
use crate::who_may::{guarded, token};

const PATIENCE: Duration = Duration::from_secs(30);

/// A shared stream as a browser has it, and requests beside it.
struct Stream {
    server: SocketAddr,
    socket: TcpStream,
    events: Events,
    /// What has come while something else was waited for.
    skipped: Vec<(Option<String>, Value)>,
    id: String,
}

impl Stream {
    async fn open(server: SocketAddr, query: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4 * 1024)?;
        let mut socket = socket.connect(server).await?;
        let request = format!("GET /sse/shared?{query} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
        }
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let mut stream =
            Self { server, socket, events: Events::default(), skipped: Vec::new(), id: String::new() };
        let (name, greeting) = stream.next().await?.context("it has ended")?;
        ensure!(name.is_none(), "the greeting is nobody's");
        stream.id = greeting["shared_id"].as_str().context("it is not named")?.to_owned();
        Ok(stream)
    }

    /// Whose the next event is, and what it says; nothing at the end.
    async fn next(&mut self) -> Result<Option<(Option<String>, Value)>> {
        if !self.skipped.is_empty() {
            return Ok(Some(self.skipped.remove(0)));
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<Option<(Option<String>, Value)>> {
        loop {
            if let Some(event) = self.events.pop() {
                return Ok(Some((event.event, serde_json::from_str(&event.data.unwrap_or_default())?)));
            }
            let mut bytes = Vec::with_capacity(64 * 1024);
            match tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut bytes)).await? {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => self.events.push(&bytes),
            }
        }
    }

    /// Reads until a connection is told something of this type.
    async fn hears(&mut self, connection: &str, kind: &str) -> Result<Value> {
        let wanted = |(name, message): &(Option<String>, Value)| {
            name.as_deref() == Some(connection) && message["type"] == kind
        };
        if let Some(at) = self.skipped.iter().position(wanted) {
            return Ok(self.skipped.remove(at).1);
        }
        let search = async {
            while let Some(event) = self.read().await? {
                if wanted(&event) {
                    return Ok(event.1);
                }
                self.skipped.push(event);
            }
            bail!("the stream ended before {kind}")
        };
        tokio::time::timeout(PATIENCE, search).await.with_context(|| format!("no {kind} in time"))?
    }

    /// Reads until a connection is told that a session has said this of itself.
    async fn hears_of_state(&mut self, connection: &str, session: &str, state: &Value) -> Result<()> {
        loop {
            let update = self.hears(connection, "presence:userUpdated").await?;
            if update["sessionId"] == session && update["state"] == *state {
                return Ok(());
            }
        }
    }

    async fn ask(&self, query: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        request(self.server, "POST", &format!("/sse/shared/{}?{query}", self.id), headers).await
    }

    /// Opens a connection that enters `doc`, and waits until it is there.
    async fn enter(&mut self, user: &str, session: &str) -> Result<String> {
        let query = format!("user_id={user}&session_id={session}&room=doc");
        let answer = self.ask(&query, &[]).await?;
        ensure!(answer.status == 201, "{}: {}", answer.status, answer.body);
        let connection = id_of(&answer)?;
        self.hears(&connection, "presence:currentUsers").await?;
        Ok(connection)
    }

    async fn post(&self, connection: &str, message: &Value) -> Result<()> {
        let answer = send_json(self.server, "POST", &format!("/sse/{connection}"), message).await?;
        ensure!(answer.status == 202, "{}: {}", answer.status, answer.body);
        Ok(())
    }
}

fn id_of(answer: &Answer) -> Result<String> {
    let body: Value = answer.json()?;
    Ok(body["connection_id"].as_str().context("it is not named")?.to_owned())
}

async fn end(server: SocketAddr, connection: &str) -> Result<u16> {
    Ok(request(server, "DELETE", &format!("/sse/{connection}"), &[]).await?.status)
}

/// Waits until a user is there with so many sessions; 0: until they have left.
async fn counts(watcher: &mut Client, user: &str, sessions: usize) -> Result<()> {
    watcher
        .until("doc", "the sessions are counted", |view| {
            view.users().get(user).map_or(0, |user| user.connection_count) == sessions
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_on_one_stream_are_two_sessions_and_one_goes_alone() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut watcher = server.enter(Kind::Sse, "watcher", "w", "doc").await?;
    let mut stream = Stream::open(server.address, "").await?;
    let (first, second) = (stream.enter("ann", "a1").await?, stream.enter("ann", "a2").await?);
    counts(&mut watcher, "ann", 2).await?;
    stream.post(&second, &json!({"type": "presence:update", "room": "doc", "state": {"tab": 2}})).await?;
    stream.hears_of_state(&first, "a2", &json!({"tab": 2})).await?;

    // What was posted before is taken in before the end.
    stream.post(&first, &json!({"type": "presence:update", "room": "doc", "state": {"last": true}})).await?;
    assert_eq!(end(server.address, &first).await?, 204);
    stream.hears_of_state(&second, "a1", &json!({"last": true})).await?;
    counts(&mut watcher, "ann", 1).await?;
    assert_eq!(watcher.view("doc").edges("ann").leaves, 0);
    // What is gone already is what was asked for.
    assert_eq!(end(server.address, &first).await?, 204);

    stream
        .post(&second, &json!({"type": "presence:sync", "room": "doc", "epoch": "x", "version": 0}))
        .await?;
    stream.hears(&second, "presence:currentUsers").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_can_share_a_stream_and_each_has_their_own_room_with_it() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut stream = Stream::open(server.address, "").await?;
    let (ann, bob) = (stream.enter("ann", "a").await?, stream.enter("bob", "b").await?);
    stream.hears(&ann, "presence:userJoined").await?;
    assert_eq!(server.presence("doc").await?.total_active_users, 2);
    // Only whoever does not go is told.
    end(server.address, &bob).await?;
    let left = stream.hears(&ann, "presence:userLeft").await?;
    assert_eq!((&left["userId"], &left["cause"]), (&json!("bob"), &json!("closed")));
    Ok(())
}

/// P3: the sessions of a stream that ends are waited for like any other, and come back by another stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_share_a_stream_can_go_over_to_another_one_and_nobody_sees_it() -> Result<()> {
    let server = TestServer::start(Config { going_away_grace_ms: 1_000, ..quick() })?;
    let mut watcher = server.enter(Kind::Sse, "watcher", "w", "doc").await?;
    let mut stream = Stream::open(server.address, "").await?;
    stream.enter("ann", "a1").await?;
    stream.enter("ann", "a2").await?;
    counts(&mut watcher, "ann", 2).await?;
    drop(stream);
    let mut stream = Stream::open(server.address, "").await?;
    stream.enter("ann", "a1").await?;
    let second = stream.enter("ann", "a2").await?;

    // An older stream that still seems alive loses them to a newer one, and they alone are told.
    let mut newer = Stream::open(server.address, "").await?;
    newer.enter("ann", "a2").await?;
    let closed = stream.hears(&second, "close").await?;
    assert_eq!(closed["code"], 4409);
    watcher.settle("doc").await?;
    let ann = &watcher.view("doc").users()["ann"];
    assert_eq!((ann.connection_count, watcher.view("doc").edges("ann").leaves), (2, 0));

    drop((stream, newer));
    counts(&mut watcher, "ann", 0).await?;
    assert_eq!(watcher.view("doc").edges("ann").leaves, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_sent_away_goes_alone() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut stream = Stream::open(server.address, "").await?;
    let (ann, bob) = (stream.enter("ann", "a").await?, stream.enter("bob", "b").await?);
    let kicked = request(server.address, "DELETE", &format!("/v1/connections/{bob}"), &[]).await?;
    assert_eq!(kicked.status, 204);
    // The two may come in any order.
    let (mut left, mut closed) = (None, None);
    while left.is_none() || closed.is_none() {
        let (name, message) = stream.next().await?.context("the stream has ended")?;
        match message["type"].as_str() {
            Some("presence:userLeft") if name.as_ref() == Some(&ann) => left = Some(message),
            Some("close") => closed = Some((name, message)),
            _ => {}
        }
    }
    assert_eq!(left.map(|left| left["cause"].clone()), Some(json!("kicked")));
    let (whose, closed) = closed.context("that was waited for")?;
    assert_eq!((whose, &closed["code"]), (Some(bob), &json!(4503)));
    Ok(())
}

fn refusal(answer: &Answer) -> Result<(u16, String)> {
    let body: Value = answer.json()?;
    Ok((answer.status, body["error"]["code"].as_str().unwrap_or_default().to_owned()))
}

/// D12, D10: a stream has so many connections, and each counts for its user like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_too_many_is_refused() -> Result<()> {
    let bounds = Config { shared_connections_max: 3, connections_per_user_max: 2, ..quick() };
    let server = TestServer::start(bounds)?;
    let mut stream = Stream::open(server.address, "").await?;
    stream.enter("ann", "1").await?;
    let second = stream.enter("ann", "2").await?;
    let busy = (429, "rate_limited".to_owned());
    assert_eq!(refusal(&stream.ask("user_id=ann&session_id=3", &[]).await?)?, busy);
    stream.enter("bob", "1").await?;
    let refused = stream.ask("user_id=carl&session_id=1", &[]).await?;
    assert_eq!(refusal(&refused)?, busy);
    assert_eq!(refused.header("retry-after"), Some("5"));
    // Somebody goes, and there is a place as soon as the server has seen it.
    end(server.address, &second).await?;
    let again = async {
        while stream.ask("user_id=carl&session_id=1", &[]).await?.status != 201 {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, again).await?
}

/// A1, A2, A6: a stream gives nobody any right: every connection on it proves itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_on_a_stream_proves_itself() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let (ann, bob) = (token("ann", &["--room", "doc"])?, format!("Bearer {}", token("bob", &[])?));
    let mut stream = Stream::open(server.address, &format!("token={ann}")).await?;
    let query = format!("token={ann}&session_id=a&room=doc");
    let opened = stream.ask(&query, &[]).await?;
    assert_eq!(opened.status, 201);
    let connection = id_of(&opened)?;
    let connected = stream.hears(&connection, "connected").await?;
    assert_eq!((&connected["user_id"], &connected["session_id"]), (&json!("ann"), &json!("a")));

    let refused = |answer: Answer| refusal(&answer);
    let forbidden = (403, "forbidden".to_owned());
    let unauthorized = (401, "unauthorized".to_owned());
    assert_eq!(refused(stream.ask("token=nonsense", &[]).await?)?, unauthorized);
    assert_eq!(refused(stream.ask(&format!("token={ann}&room=other"), &[]).await?)?, forbidden);
    assert_eq!(refused(stream.ask(&query, &[("Origin", "https://evil.example")]).await?)?, forbidden);
    let path = format!("/sse/{connection}");
    let delete = async |headers: &[(&str, &str)]| request(server.address, "DELETE", &path, headers).await;
    assert_eq!(refused(delete(&[]).await?)?, unauthorized);
    assert_eq!(refused(delete(&[("Authorization", &bob)]).await?)?, forbidden);
    let own = format!("Bearer {ann}");
    assert_eq!(delete(&[("Authorization", &own)]).await?.status, 204);

    let shared = async |headers: &[(&str, &str)]| get(server.address, "/sse/shared", headers).await;
    assert_eq!(refused(shared(&[("Authorization", "Bearer nonsense")]).await?)?, unauthorized);
    assert_eq!(refused(shared(&[("Origin", "https://evil.example")]).await?)?, forbidden);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_stream_that_is_not_there_nothing_opens() -> Result<()> {
    let server = TestServer::start(Config { hello_ms: 100, ..quick() })?;
    // One on which there is nobody ends by itself.
    let mut stream = Stream::open(server.address, "").await?;
    ensure!(stream.next().await?.is_none(), "it goes on");
    let nowhere = (404, "not_found".to_owned());
    assert_eq!(refusal(&stream.ask("user_id=ann", &[]).await?)?, nowhere);
    for id in ["0".repeat(32), "nonsense".to_owned()] {
        let answer = request(server.address, "POST", &format!("/sse/shared/{id}?user_id=ann"), &[]).await?;
        assert_eq!(refusal(&answer)?, nowhere);
    }
    let socket = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let connections: Value = get(server.address, "/debug/connections", &[]).await?.json()?;
    let id = connections["connections"][0]["connection_id"].as_str().context("nobody is there")?;
    assert_eq!(end(server.address, id).await?, 409);
    drop(socket);
    Ok(())
}

/// X7: those who share a stream are sent away one by one, and it ends with the last of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_ends_shared_streams_too() -> Result<()> {
    let mut server = TestServer::start(quick())?;
    let mut empty = Stream::open(server.address, "").await?;
    let mut stream = Stream::open(server.address, "").await?;
    stream.enter("ann", "1").await?;
    stream.enter("ann", "2").await?;
    let stopping = server.stop();
    let (mut waits, mut closes) = (Vec::new(), 0);
    while let Some((_, message)) = stream.next().await? {
        match message["type"].as_str() {
            Some("server_draining") => waits.push(message["retry_after_ms"].as_u64()),
            Some("close") => {
                assert_eq!(message["code"], 1012);
                closes += 1;
            }
            _ => {}
        }
    }
    waits.dedup();
    assert_eq!((waits.len(), closes), (2, 2), "each has its own time to come back: {waits:?}");
    while empty.next().await?.is_some() {}
    tokio::time::timeout(Duration::from_secs(5), stopping).await.context("the server did not end")??;
    Ok(())
}

/// X1, M13, P4: who does not read a shared stream costs little, however many share it, and all of them start afresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_those_who_share_a_slow_stream_is_bounded() -> Result<()> {
    let config =
        Config { feed_messages_max: 16, messages_per_second: 10_000, messages_burst: 10_000, ..quick() };
    let server = TestServer::start(Config { tick_ms: 1, ..config })?;
    let who = Credentials::new("ann", "a");
    let mut ann = Client::enter(Kind::Sse, server.address, &who, "doc").await?;
    let mut stream = Stream::open(server.address, "").await?;
    let slow = [stream.enter("slow", "1").await?, stream.enter("slow", "2").await?];
    let page = "x".repeat(12 * 1024);
    let updates = 800;
    for n in 0..updates {
        let state = json!({"n": n, "page": format!("{n} {page}")});
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": state})).await?;
        ann.until("doc", "the update is out", |view| {
            view.users()["ann"].sessions[0].state.get("n") == Some(&json!(n))
        })
        .await?;
    }
    let connections: Value = get(server.address, "/debug/connections", &[]).await?.json()?;
    for connection in connections["connections"].as_array().context("no list")? {
        let waiting = connection["bytes_waiting"].as_u64().context("no number")?;
        ensure!(waiting < 600_000, "{connection}");
    }
    let (mut lagged, mut newest) = (Vec::new(), Vec::new());
    while newest.len() < slow.len() {
        let (name, message) = stream.next().await?.context("the stream has ended")?;
        let name = name.context("it is somebody's")?;
        if message["reason"] == "lagged" {
            lagged.push(name.clone());
        }
        let state = match ServerMessage::parse(&message.to_string())? {
            ServerMessage::CurrentUsers(_) => &message["users"][0]["sessions"][0]["state"],
            _ => &message["state"],
        };
        if state["n"] == updates - 1 {
            newest.push(name);
        }
    }
    lagged.sort_unstable();
    let mut slow = slow.to_vec();
    slow.sort_unstable();
    assert_eq!(lagged, slow);
    ann.settle("doc").await
}
