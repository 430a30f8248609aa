//! The contract of transports, kept by event streams; and what only an event stream can get wrong.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::port::transport::{
    Departure, Incoming, Inlet, PostError, Silence, Transport, TransportError,
};
use presence_testkit::client::{Received, SseWire};
use presence_testkit::contract::transport::{Fixture, MESSAGE_BYTES_MAX, Peer, check};
use presence_transport_sse::{SseConfig, SseTransport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const CONFIG: SseConfig = SseConfig { message_bytes_max: MESSAGE_BYTES_MAX, posts_max: 8 };

/// Both ends of a socket, after the head of the answer would have been.
async fn sockets() -> Result<(SseTransport<TcpStream>, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    server.writable().await?;
    Ok((SseTransport::new(server, peer, CONFIG), client))
}

/// A stream, and the way in for what a client would post over another connection.
struct Reader {
    wire: SseWire,
    inlet: Arc<dyn Inlet>,
}

#[async_trait]
impl Peer for Reader {
    async fn send_texts(&mut self, texts: &[&str]) -> Result<()> {
        let texts = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
        Ok(self.inlet.post(texts)?)
    }

    async fn send_in_pieces(&mut self, text: &str) -> Result<()> {
        // A post is whole before it is handed in.
        self.send_texts(&[text]).await
    }

    async fn send_binary(&mut self) -> Result<()> {
        bail!("everything that is posted is text")
    }

    async fn recv(&mut self) -> Result<Received> {
        self.wire.recv().await
    }

    async fn close(&mut self, _: u16) -> Result<()> {
        self.wire.end().await
    }

    fn reset(self: Box<Self>) {
        self.wire.reset();
    }
}

struct EventStreams;

#[async_trait]
impl Fixture for EventStreams {
    async fn pair(&self) -> Result<(Box<dyn Transport>, Box<dyn Peer>)> {
        let (transport, client) = sockets().await?;
        let inlet = transport.inlet().context("an event stream has a way in")?;
        let wire = SseWire::over(client.peer_addr()?, client);
        Ok((Box::new(transport), Box::new(Reader { wire, inlet })))
    }

    fn departure(&self, _: u16) -> Departure {
        Departure::GoingAway
    }
}

#[tokio::test]
async fn an_event_stream_keeps_the_contract() -> Result<()> {
    check(&EventStreams).await
}

async fn next(transport: &mut SseTransport<TcpStream>) -> Result<Incoming, TransportError> {
    let incoming = tokio::time::timeout(Duration::from_secs(10), transport.recv());
    incoming.await.expect("something comes in time")
}

#[tokio::test]
async fn posts_beyond_what_may_wait_are_refused_whole_and_in_time_there_is_room_again() -> Result<()> {
    let (mut transport, _client) = sockets().await?;
    let inlet = transport.inlet().context("an event stream has a way in")?;
    let texts = |count: usize| vec![Bytes::from_static(b"{}"); count];
    inlet.post(texts(6))?;
    ensure!(inlet.post(texts(3)) == Err(PostError::Full { limit: 8 }));
    inlet.post(texts(2))?;
    for _ in 0..8 {
        ensure!(next(&mut transport).await? == Incoming::Text("{}".into()));
    }
    inlet.post(texts(8))?;
    Ok(())
}

#[tokio::test]
async fn nobody_can_post_to_a_stream_that_is_over() -> Result<()> {
    let (transport, _client) = sockets().await?;
    let inlet = transport.inlet().context("an event stream has a way in")?;
    drop(transport);
    ensure!(inlet.post(vec![Bytes::from_static(b"{}")]) == Err(PostError::Over));
    Ok(())
}

/// X1: what is sent up a stream is neither kept nor listened to for long.
#[tokio::test]
async fn who_sends_up_a_stream_is_cut_off() -> Result<()> {
    let (mut transport, mut client) = sockets().await?;
    client.write_all(b"\r\n").await?;
    ensure!(next(&mut transport).await? == Incoming::Alive);
    client.write_all(&[b'x'; 4096]).await?;
    loop {
        match next(&mut transport).await {
            Ok(Incoming::Alive) => {}
            Err(TransportError::Protocol(_)) => return Ok(()),
            other => bail!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_browser_is_told_when_to_come_back_and_when_not_to() -> Result<()> {
    for (reason, wait) in [(CloseReason::SlowConsumer, 1_000), (CloseReason::TakenOver, i32::MAX as u64)] {
        let (mut transport, client) = sockets().await?;
        ensure!(transport.info().silence == Silence::MaySayNothing);
        let mut wire = SseWire::over(client.peer_addr()?, client);
        transport.send(&[Frame::one(Message::new("{}"))])?;
        transport.close(reason).await;
        while wire.recv().await? != Received::Closed(Some(reason.code())) {}
        ensure!(wire.retry() == Some(wait), "{reason:?}: {:?}", wire.retry());
    }
    Ok(())
}

/// X2: what a stream that says nothing keeps, beside its socket and task.
#[tokio::test]
async fn an_idle_transport_is_small() -> Result<()> {
    let (mut transport, _client) = sockets().await?;
    let own = std::mem::size_of_val(&transport);
    let waiting = std::mem::size_of_val(&*transport.recv());
    ensure!(own <= 128 && waiting <= 64, "{own} bytes and {waiting} bytes");
    Ok(())
}
