//! The contract of transports, kept by WebSocket; and what only a WebSocket can get wrong.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::port::transport::{Departure, Incoming, Sent, Transport, TransportError};
use presence_testkit::client::WsWire;
use presence_testkit::contract::transport::{Fixture, MESSAGE_BYTES_MAX, Peer, check};
use presence_transport_ws::{WsConfig, WsTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONFIG: WsConfig = WsConfig { message_bytes_max: MESSAGE_BYTES_MAX as u32, fragments_max: 64 };

/// Both ends of a socket, after the handshake would have been.
async fn sockets() -> Result<(WsTransport<TcpStream>, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    server.writable().await?;
    Ok((WsTransport::new(server, peer, &[], CONFIG), client))
}

struct WebSockets;

#[async_trait]
impl Fixture for WebSockets {
    async fn pair(&self) -> Result<(Box<dyn Transport>, Box<dyn Peer>)> {
        let (transport, client) = sockets().await?;
        Ok((Box::new(transport), Box::new(WsWire::over(client, Vec::new()))))
    }
}

#[tokio::test]
async fn a_web_socket_keeps_the_contract() -> Result<()> {
    check(&WebSockets).await
}

/// A masked frame, as clients send them (RFC 6455 section 5.2). A mask of zeros leaves the payload as it is.
fn masked(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame =
        vec![first_byte, 0x80 | u8::try_from(payload.len()).expect("short payloads only"), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

async fn next(transport: &mut WsTransport<TcpStream>) -> Result<Incoming, TransportError> {
    loop {
        let incoming = tokio::time::timeout(Duration::from_secs(10), transport.recv());
        match incoming.await.expect("something comes in time")? {
            Incoming::Alive | Incoming::Control(_) | Incoming::Partial => {}
            incoming => return Ok(incoming),
        }
    }
}

#[tokio::test]
async fn a_ping_between_the_fragments_of_a_message_is_answered_at_once() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    let mut bytes = masked(TEXT_BEGINS, b"he");
    bytes.extend(masked(PING, b"are you there"));
    bytes.extend(masked(CONTINUES, b"ll"));
    bytes.extend(masked(ENDS, b"o"));
    client.write_all(&bytes).await?;
    ensure!(next(&mut transport).await? == Incoming::Text("hello".into()));
    let mut pong = [0; 15];
    client.read_exact(&mut pong).await?;
    ensure!(pong[..2] == [0x8a, 13] && &pong[2..] == b"are you there", "{pong:?}");
    Ok(())
}

#[tokio::test]
async fn what_breaks_the_rules_is_an_error() -> Result<()> {
    let mut unmasked = vec![TEXT, 2];
    unmasked.extend_from_slice(b"hi");
    let cases = [
        ("a frame without a mask", unmasked),
        ("text that is not UTF-8", masked(TEXT, &[0xff, 0xfe])),
        ("reserved bits", masked(TEXT | 0x40, b"hi")),
        ("an unknown opcode", masked(0x83, b"hi")),
        ("a fragment of nothing", masked(ENDS, b"hi")),
        ("a ping in fragments", masked(0x09, b"hi")),
    ];
    for (what, bytes) in cases {
        let (mut transport, mut client) = sockets().await?;
        client.write_all(&bytes).await?;
        match next(&mut transport).await {
            Err(TransportError::Protocol(_)) => {}
            other => bail!("{what}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn fragments_count_against_the_limit_together() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    client.write_all(&masked(TEXT_BEGINS, &[b'x'; 120])).await?;
    let sending = async {
        for _ in 0..MESSAGE_BYTES_MAX / 120 {
            // The transport may have closed by now.
            let _ = client.write_all(&masked(CONTINUES, &[b'x'; 120])).await;
        }
    };
    let ((), ended) = tokio::join!(sending, next(&mut transport));
    ensure!(matches!(ended, Err(TransportError::TooLarge { limit: MESSAGE_BYTES_MAX })), "{ended:?}");
    Ok(())
}

/// D4: pieces without anything in them never reach a limit of bytes.
#[tokio::test]
async fn a_message_in_too_many_pieces_is_an_error() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    let mut bytes = masked(TEXT_BEGINS, b"h");
    (0..62).for_each(|_| bytes.extend(masked(CONTINUES, b"")));
    bytes.extend(masked(ENDS, b"i"));
    client.write_all(&bytes).await?;
    ensure!(next(&mut transport).await? == Incoming::Text("hi".into()));
    bytes.truncate(masked(TEXT_BEGINS, b"h").len());
    (0..64).for_each(|_| bytes.extend(masked(CONTINUES, b"")));
    client.write_all(&bytes).await?;
    match next(&mut transport).await {
        Err(TransportError::Protocol(rule)) => ensure!(rule.contains("64 pieces"), "{rule}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// D4, D5: what costs something and says nothing is told, so that somebody can count it.
#[tokio::test]
async fn pings_and_unfinished_messages_are_told() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    let mut bytes = masked(PING, b"1");
    bytes.extend(masked(PING, b"2"));
    bytes.extend(masked(TEXT_BEGINS, b"h"));
    client.write_all(&bytes).await?;
    let (mut control, mut midway) = (0, false);
    while !midway {
        match transport.recv().await? {
            Incoming::Control(count) => control += count,
            incoming => midway = incoming == Incoming::Partial,
        }
    }
    ensure!(control == 2, "{control} pings");
    client.write_all(&masked(ENDS, b"i")).await?;
    ensure!(transport.recv().await? == Incoming::Text("hi".into()));
    Ok(())
}

#[tokio::test]
async fn a_close_is_echoed_with_its_code() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    client.write_all(&masked(CLOSE, &1000_u16.to_be_bytes())).await?;
    ensure!(next(&mut transport).await? == Incoming::Left(Departure::Finished));
    let mut echo = [0; 4];
    client.read_exact(&mut echo).await?;
    ensure!(echo == [CLOSE, 2, 3, 232], "{echo:?}");
    drop(client);
    transport.close(CloseReason::PeerClosed).await;
    Ok(())
}

/// X1: pings of a peer that does not read are not answered into memory.
#[tokio::test]
async fn a_flood_of_pings_from_one_who_does_not_read_costs_nothing() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    let large = Frame::one(Message::new("x".repeat(100_000)));
    while transport.send(std::slice::from_ref(&large))? == Sent::All {}
    let waiting = transport.waiting_bytes();
    // More than the kernel holds: the transport has to read while it is written to.
    let flooding = async {
        for _ in 0..2_000 {
            client.write_all(&masked(PING, &[b'p'; 120])).await?;
        }
        client.write_all(&masked(TEXT, b"done")).await
    };
    let (flooded, heard) = tokio::join!(flooding, next(&mut transport));
    flooded?;
    ensure!(heard? == Incoming::Text("done".into()));
    ensure!(transport.waiting_bytes() == waiting, "{} bytes wait", transport.waiting_bytes());
    Ok(())
}

/// X2: what a connection that says nothing keeps, beside its socket and task.
#[tokio::test]
async fn an_idle_transport_is_small() -> Result<()> {
    let (transport, _client) = sockets().await?;
    let own = std::mem::size_of_val(&transport);
    ensure!(own <= 128, "{own} bytes");
    Ok(())
}
