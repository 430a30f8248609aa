//! What comes over open connections from those who mean no good: floods of what says nothing, messages that do not end.
//! Rows of docs/security.md stand in front of the tests.

use std::time::Duration;

use anyhow::{Result, ensure};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind, Wire};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

const TEXT_BEGINS: u8 = 0x01;
const TEXT: u8 = 0x81;
const CONTINUES: u8 = 0x00;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A masked frame (RFC 6455 section 5.2). A mask of zeros leaves the payload as it is.
fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("short payloads only");
    let mut frame = vec![first_byte, 0x80 | len, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// Sends bytes as they are. The server may have closed by now.
async fn send_bytes(client: &mut Client, bytes: &[u8]) {
    if let Wire::Ws(wire) = client.wire() {
        let _ = wire.send_bytes(bytes).await;
    }
}

async fn refused_as(client: &mut Client, code: &str) -> Result<()> {
    let refused = |m: &ServerMessage| matches!(m, ServerMessage::Error(error) if error.code == code);
    client.wait_for(code, refused).await.map(|_| ())
}

/// D4: a message that goes on for ever in pieces of nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_pieces_of_nothing_end_the_connection() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let mut bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
    send_bytes(&mut bob, &masked(TEXT_BEGINS, b"")).await;
    send_bytes(&mut bob, &masked(CONTINUES, b"").repeat(10_000)).await;
    refused_as(&mut bob, "bad_message").await?;
    assert_eq!(bob.closed().await?, Some(4500));
    ann.settle("doc").await
}

/// D4: a message that keeps coming and does not come to its end. Its sender may come back and has lost nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_come_to_its_end_is_not_waited_for() -> Result<()> {
    let server = TestServer::start(Config { message_time_ms: 300, ..quick() })?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    for beginning in [vec![TEXT, 0x80 | 126, 0xff, 0, 0, 0, 0, 0], masked(TEXT_BEGINS, b"{")] {
        let mut bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
        send_bytes(&mut bob, &beginning).await;
        refused_as(&mut bob, "bad_message").await?;
        assert_eq!(bob.closed().await?, Some(4001));
    }
    let _bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
    ann.settle("doc").await?;
    assert_eq!((ann.view("doc").edges("bob").joins, ann.view("doc").edges("bob").leaves), (1, 0));
    Ok(())
}

/// D4: a slow message is one message; who finishes each in time is not cut, however long it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finishes_every_message_in_time_stays() -> Result<()> {
    let server = TestServer::start(Config { message_time_ms: 400, ..quick() })?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let frame = masked(TEXT, br#"{"type":"presence:heartbeat"}"#);
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    // Every write ends one message and begins the next, for longer than one may take.
    send_bytes(&mut ann, &frame[..9]).await;
    for _ in 0..60 {
        pace.tick().await;
        send_bytes(&mut ann, &[&frame[9..], &frame[..9]].concat()).await;
    }
    send_bytes(&mut ann, &frame[9..]).await;
    ann.settle("doc").await
}

/// D5: pings and pongs that nobody asked for are refused first, and end the connection later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_or_pongs_is_refused_and_then_ended() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    for control in [PING, PONG] {
        let mut bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
        // A few are fine.
        send_bytes(&mut bob, &masked(control, b"").repeat(10)).await;
        bob.settle("doc").await?;
        send_bytes(&mut bob, &masked(control, b"").repeat(20)).await;
        refused_as(&mut bob, "rate_limited").await?;
        bob.settle("doc").await?;
        send_bytes(&mut bob, &masked(control, b"").repeat(10_000)).await;
        assert_eq!(bob.closed().await?, Some(4008));
    }
    ann.settle("doc").await
}

/// D5: who does not answer a close, but goes on sending, is left to itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_after_the_close_is_cut() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
    let Wire::Ws(wire) = bob.wire() else { anyhow::bail!("it was asked for") };
    wire.send_bytes(&masked(0x83, b"no such opcode")).await?;
    let noise = vec![0; 16 * 1024];
    let going_on = async { while wire.send_bytes(&noise).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), going_on).await?;
    Ok(())
}

/// D4: what is no UTF-8 is no text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_is_not_utf_8_ends_the_connection() -> Result<()> {
    let server = TestServer::start(quick())?;
    for bytes in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"{\"type\":\"\xf4\x90\x80\x80\"}"] {
        let mut bob = server.enter(Kind::Ws, "bob", "b", "doc").await?;
        send_bytes(&mut bob, &masked(TEXT, bytes)).await;
        refused_as(&mut bob, "bad_message").await?;
        assert_eq!(bob.closed().await?, Some(4500));
    }
    Ok(())
}

/// D5, D10: nothing is free, not even the answer to a ping.
async fn a_flood_of_answers_is_refused_and_then_ended(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { control_burst: 20, abuse_max: 10, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    // An error ends the flood: the connection may be over.
    for _ in 0..200 {
        if bob.send(&json!({"type": "pong"})).await.is_err() {
            break;
        }
    }
    refused_as(&mut bob, "rate_limited").await?;
    assert_eq!(bob.closed().await?, Some(4008));
    ann.settle("doc").await
}

/// D10: a leave is carried out even when nothing else would be, and who leaves all the time is ended.
async fn a_leave_is_never_refused_but_it_counts(kind: Kind) -> Result<()> {
    let config = Config { messages_per_second: 1, messages_burst: 2, abuse_max: 10, ..quick() };
    let server = TestServer::start(config)?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.send(&json!({"type": "presence:heartbeat"})).await?;
    bob.send(&json!({"type": "presence:heartbeat"})).await?;
    bob.send(&json!({"type": "presence:leave", "room": "doc"})).await?;
    ann.until("doc", "bob has left", |view| view.edges("bob").leaves == 1).await?;
    for _ in 0..30 {
        if bob.send(&json!({"type": "presence:leave", "room": "doc"})).await.is_err() {
            break;
        }
    }
    assert_eq!(bob.closed().await?, Some(4008));
    ensure!(ann.view("doc").users().len() == 1);
    Ok(())
}

on_every_kind! {
    a_flood_of_answers_is_refused_and_then_ended,
    a_leave_is_never_refused_but_it_counts,
}
