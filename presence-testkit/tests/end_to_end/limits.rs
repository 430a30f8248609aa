//! What one connection, one user and one address may do, and what they are told beyond that. Rows of docs/security.md
//! stand in front of the tests.

use anyhow::{Context, Result, bail, ensure};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind, SseWire};
use presence_testkit::http::{Answer, get};
use presence_testkit::wire::{Refusal, ServerMessage};
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::guarded;

async fn rate_limited(client: &mut Client) -> Result<Refusal> {
    let wanted = |m: &ServerMessage| matches!(m, ServerMessage::Error(error) if error.code == "rate_limited");
    match client.wait_for("rate_limited", wanted).await? {
        ServerMessage::Error(refusal) => Ok(refusal),
        other => bail!("{other:?} was not waited for"),
    }
}

/// The error of an answer says the same as its headers.
fn refused(answer: &Answer, status: u16, code: &str) -> Result<()> {
    let body: Value = answer.json()?;
    ensure!((answer.status, body["error"]["code"].as_str()) == (status, Some(code)), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").unwrap_or_default().parse()?;
    let millis = body["error"]["retry_after_ms"].as_u64();
    ensure!(millis.is_some_and(|millis| millis.div_ceil(1_000) == seconds), "{answer:?}");
    Ok(())
}

/// Asks until it is refused, and says how often it was not: a second may pass on a machine that has much to do, and then
/// there is a little more.
async fn until_refused(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Result<usize> {
    for asked in 0..50 {
        let answer = get(server.address, path, headers).await?;
        if answer.status != 200 {
            return refused(&answer, 429, "rate_limited").map(|()| asked);
        }
    }
    bail!("it may ask as often as it likes")
}

/// What somebody is told who is not let in.
fn told(connected: Result<Client>) -> Result<String> {
    connected.map_or_else(|error| Ok(format!("{error:#}")), |_| bail!("it was let in"))
}

/// D10, A9: rooms that are tried cost something, so that nobody goes through all of them.
async fn who_tries_many_rooms_is_refused_and_then_ended(kind: Kind) -> Result<()> {
    let config = Config { joins_per_second: 1, joins_burst: 5, abuse_max: 10, ..quick() };
    let server = TestServer::start(config)?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    for room in 0..5 {
        bob.join(&format!("room-{room}")).await?;
    }
    for room in 5..12 {
        bob.send(&json!({"type": "presence:join", "room": format!("room-{room}")})).await?;
    }
    let refusal = rate_limited(&mut bob).await?;
    ensure!(refusal.retry_after_ms.is_some_and(|wait| (1..=1_000).contains(&wait)), "{refusal:?}");
    bob.settle("room-0").await?;
    for room in 12..60 {
        if bob.send(&json!({"type": "presence:join", "room": format!("room-{room}")})).await.is_err() {
            break;
        }
    }
    assert_eq!(bob.closed().await?, Some(4008));
    ann.settle("doc").await
}

/// D10: more connections are no way to send more.
async fn the_connections_of_a_user_have_one_budget(kind: Kind) -> Result<()> {
    let config = Config {
        messages_per_second: 1,
        messages_burst: 20,
        user_messages_per_second: 1,
        user_messages_burst: 30,
        ..quick()
    };
    let server = TestServer::start(config)?;
    let mut first = Client::connect(kind, server.address, &Credentials::new("bob", "1")).await?;
    let mut second = Client::connect(kind, server.address, &Credentials::new("bob", "2")).await?;
    for _ in 0..18 {
        first.send(&json!({"type": "presence:heartbeat"})).await?;
        second.send(&json!({"type": "presence:heartbeat"})).await?;
    }
    let refusal = tokio::select! {
        one = rate_limited(&mut first) => one?,
        other = rate_limited(&mut second) => other?,
    };
    ensure!(refusal.message.contains("together"), "{refusal:?}");
    // Another user is not concerned.
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.settle("doc").await
}

/// D12: a user who is known by the request is refused before anything is opened.
async fn a_user_with_too_many_connections_is_refused(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { connections_per_user_max: 2, ..quick() })?;
    let first = Client::connect(kind, server.address, &Credentials::new("bob", "1")).await?;
    let mut second = server.enter(kind, "bob", "2", "doc").await?;
    let third = told(Client::connect(kind, server.address, &Credentials::new("bob", "3")).await)?;
    ensure!(third.contains("429") && third.to_lowercase().contains("retry-after: 5"), "{third}");
    // Who says it later hears it later.
    let mut late = Client::anonymous(kind, server.address).await?;
    late.send(&json!({"type": "auth", "client_id": "bob", "session_id": "4"})).await?;
    rate_limited(&mut late).await?;
    assert_eq!(late.closed().await?, Some(4008));
    let _ann = server.enter(kind, "ann", "a", "doc").await?;
    first.close(1000).await?;
    second.settle("doc").await?;
    // The place is free as soon as the server has seen the end.
    let who = Credentials::new("bob", "5");
    let again = async {
        while Client::connect(kind, server.address, &who).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), again).await?;
    Ok(())
}

/// D12: those who do not say who they are take nothing from those who do.
async fn too_many_who_say_nothing_are_refused(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { unauthenticated_max: 2, ..quick() })?;
    let mut first = Client::anonymous(kind, server.address).await?;
    let _second = Client::anonymous(kind, server.address).await?;
    let third = told(Client::anonymous(kind, server.address).await)?;
    ensure!(third.contains("503") && third.to_lowercase().contains("retry-after: 5"), "{third}");
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.settle("doc").await?;
    // Who says it makes room.
    first.send(&json!({"type": "auth", "client_id": "bob"})).await?;
    first.wait_for("connected", |m| matches!(m, ServerMessage::Connected(_))).await?;
    Client::anonymous(kind, server.address).await?;
    Ok(())
}

/// D10, D12: an address has so many connections, and opens so many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_with_too_many_connections_is_refused() -> Result<()> {
    let config = Config { trusted_proxies: Vec::new(), connections_per_address_max: 2, ..quick() };
    let server = TestServer::start(config)?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let _bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
    refused(&get(server.address, "/healthz", &[]).await?, 429, "rate_limited")?;
    // Nobody is believed who is not trusted.
    let forged = [("X-Forwarded-For", "203.0.113.7")];
    refused(&get(server.address, "/healthz", &forged).await?, 429, "rate_limited")?;
    ann.settle("doc").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_connects_too_often_is_refused() -> Result<()> {
    let config = Config { trusted_proxies: Vec::new(), connects_per_second: 1, connects_burst: 3, ..quick() };
    let server = TestServer::start(config)?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    until_refused(&server, "/healthz", &[]).await?;
    ann.settle("doc").await
}

/// D10: behind a proxy that is trusted, it is the address that it names; what the client itself writes there is nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_the_address_is_the_one_it_names() -> Result<()> {
    let config = Config { connects_per_second: 1, connects_burst: 2, requests_burst: 100, ..quick() };
    let server = TestServer::start(config)?;
    let open = async |number: usize, forwarded: &str| {
        let headers = [("X-Forwarded-For".to_owned(), forwarded.to_owned())];
        SseWire::connect(server.address, &format!("/sse?user_id=u{number}"), &headers, None).await
    };
    let mut streams = Vec::new();
    for number in 0..2 {
        streams.push(open(number, "203.0.113.7").await?);
    }
    for spoofed in ["198.51.100.1, 203.0.113.7", "127.0.0.1, 203.0.113.7", "203.0.113.7, 127.0.0.1"] {
        let mut tries = 10..20;
        let error = loop {
            let number = tries.next().with_context(|| format!("{spoofed} is let in again and again"))?;
            match open(number, spoofed).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break format!("{error:#}"),
            }
        };
        ensure!(error.contains("429") && error.contains("retry-after: "), "{spoofed}: {error}");
    }
    streams.push(open(3, "203.0.113.8").await?);
    // The proxy itself, and who comes without one from a trusted address, is not limited.
    for _ in 0..10 {
        assert_eq!(get(server.address, "/healthz", &[]).await?.status, 200);
    }
    Ok(())
}

/// D10: requests have a budget too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_asks_too_often_is_refused() -> Result<()> {
    let server = TestServer::start(Config { requests_per_second: 1, requests_burst: 3, ..quick() })?;
    let one = [("X-Forwarded-For", "2001:db8:0:1::7")];
    until_refused(&server, "/v1/rooms/doc/presence", &one).await?;
    // The same customer, and another one.
    let neighbour = [("X-Forwarded-For", "2001:db8:0:1:ffff::1")];
    ensure!(until_refused(&server, "/healthz", &neighbour).await? < 3, "it has a budget of its own");
    let other = [("X-Forwarded-For", "2001:db8:0:2::7")];
    assert_eq!(get(server.address, "/healthz", &other).await?.status, 200);
    let metrics = get(server.address, "/metrics", &[]).await?.body;
    ensure!(metrics.contains("presence_rate_limited_total{limit=\"requests\"}"), "it is not counted");
    Ok(())
}

/// D10: what a user has no budget for is refused where it is posted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_beyond_the_budget_of_its_user_says_when_to_come_again() -> Result<()> {
    let config = Config {
        messages_per_second: 1,
        messages_burst: 5,
        user_messages_per_second: 1,
        user_messages_burst: 5,
        ..quick()
    };
    let server = TestServer::start(config)?;
    let mut ann = SseWire::connect(server.address, "/sse?room=doc&user_id=ann", &[], None).await?;
    ann.recv().await?;
    let heartbeats = format!("[{0},{0},{0},{0},{0}]", r#"{"type":"presence:heartbeat"}"#);
    assert_eq!(ann.post(heartbeats.as_bytes()).await?.0, 202);
    // The stream's task takes in what was posted, and pays, at a time of its own.
    let told = async {
        loop {
            let (status, body) = ann.post(br#"{"type":"presence:leave","room":"no"}"#).await?;
            if status == 429 {
                return anyhow::Ok(body);
            }
            tokio::task::yield_now().await;
        }
    };
    let body = tokio::time::timeout(std::time::Duration::from_secs(10), told).await??;
    ensure!(body.contains("rate_limited") && body.contains("retry_after_ms"), "{body}");
    Ok(())
}

/// D10: who fails to prove who it is, in the request or in the first message, is soon not even listened to.
async fn an_address_that_fails_too_often_is_refused(kind: Kind) -> Result<()> {
    let config = Config { failed_auths_per_minute: 4, ..guarded() };
    let server = TestServer::start(Config { trusted_proxies: Vec::new(), ..config.clone() })?;
    for _ in 0..2 {
        assert_eq!(get(server.address, "/v1/stats?token=a.b.c", &[]).await?.status, 401);
        let mut nobody = Client::anonymous(kind, server.address).await?;
        nobody.send(&json!({"type": "auth", "token": "a.b.c"})).await?;
        assert_eq!(nobody.closed().await?, Some(4501));
    }
    let refusal = told(Client::anonymous(kind, server.address).await)?;
    ensure!(refusal.contains("429") && refusal.contains("failed too often"), "{refusal}");
    refused(&get(server.address, "/v1/stats?token=a.b.c", &[]).await?, 429, "rate_limited")?;
    // What needs no proof is there for everybody, and a proxy that is trusted fails for others.
    assert_eq!(get(server.address, "/healthz", &[]).await?.status, 200);
    let server = TestServer::start(config)?;
    for address in ["203.0.113.7", "203.0.113.8"] {
        let forwarded = [("X-Forwarded-For", address)];
        for status in [401, 401, 401, 401, 429] {
            let answer = get(server.address, "/v1/stats?token=a.b.c", &forwarded).await?;
            assert_eq!(answer.status, status, "{address}");
        }
    }
    Ok(())
}

on_every_kind! {
    an_address_that_fails_too_often_is_refused,
    who_tries_many_rooms_is_refused_and_then_ended,
    the_connections_of_a_user_have_one_budget,
    a_user_with_too_many_connections_is_refused,
    too_many_who_say_nothing_are_refused,
}
