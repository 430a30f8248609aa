//! The contract of transports, kept by event streams; and what only an event stream can get wrong.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::id::ConnectionId;
use presence_core::port::transport::{
    Departure, Incoming, Inlet, PostError, Sent, Silence, Transport, TransportError,
};
use presence_testkit::client::events::Events;
use presence_testkit::client::{Received, SseWire};
use presence_testkit::contract::transport::{Fixture, MESSAGE_BYTES_MAX, Peer, check};
use presence_transport_sse::{JoinError, Shared, SharedConfig, SharedSseTransport, SseConfig, SseTransport};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(60);
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

/// The client's end of a shared stream on which there is one connection, and the way in to that.
async fn shared() -> Result<(SharedSseTransport<TcpStream>, Arc<Shared<TcpStream>>, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    server.writable().await?;
    let config = SharedConfig { each: CONFIG, connections_max: 2 };
    let stream = Arc::new(Shared::new(server, config, &Message::new("{}")));
    let running = Arc::clone(&stream);
    tokio::spawn(async move { running.run(LONG).await });
    let transport = stream.join(ConnectionId::from_random(1), peer)?;
    Ok((transport, stream, client))
}

struct SharedStreams;

#[async_trait]
impl Fixture for SharedStreams {
    async fn pair(&self) -> Result<(Box<dyn Transport>, Box<dyn Peer>)> {
        let (transport, _, client) = shared().await?;
        let inlet = transport.inlet().context("it has a way in")?;
        let mut wire = SseWire::over(client.peer_addr()?, client);
        ensure!(wire.recv().await? == Received::Text("{}".to_owned()), "the greeting comes first");
        Ok((Box::new(transport), Box::new(Reader { wire, inlet })))
    }

    fn departure(&self, _: u16) -> Departure {
        Departure::GoingAway
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

#[tokio::test]
async fn a_shared_event_stream_keeps_the_contract() -> Result<()> {
    check(&SharedStreams).await
}

async fn next(transport: &mut dyn Transport) -> Result<Incoming, TransportError> {
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

/// Whoever ends a connection from elsewhere has said all before that.
#[tokio::test]
async fn a_client_can_end_its_connection_by_a_request_too() -> Result<()> {
    let (mut single, _client) = sockets().await?;
    let (mut one_of_several, _stream, _other_client) = shared().await?;
    for transport in [&mut single as &mut dyn Transport, &mut one_of_several] {
        let inlet = transport.inlet().context("an event stream has a way in")?;
        inlet.post(vec![Bytes::from_static(b"last")])?;
        inlet.leave();
        ensure!(inlet.post(vec![Bytes::from_static(b"later")]) == Err(PostError::Over));
        ensure!(next(transport).await? == Incoming::Text("last".into()));
        ensure!(next(transport).await? == Incoming::Left(Departure::GoingAway));
    }
    Ok(())
}

#[tokio::test]
async fn who_shares_a_stream_is_told_apart_and_ends_alone() -> Result<()> {
    let (mut ann, stream, client) = shared().await?;
    let peer = ann.info().peer;
    let mut bob = stream.join(ConnectionId::from_random(2), peer)?;
    ensure!(stream.join(ConnectionId::from_random(3), peer).err() == Some(JoinError::Full { limit: 2 }));
    ann.send(&[Frame::one(Message::new("for ann"))])?;
    bob.send(&[Frame::one(Message::new("for bob"))])?;
    ann.close(CloseReason::Kicked).await;
    drop(ann);
    bob.send(&[Frame::one(Message::new("still here"))])?;
    let mut events = Events::default();
    let mut said = Vec::new();
    while said.len() < 5 {
        client.readable().await?;
        let mut bytes = [0; 1024];
        match client.try_read(&mut bytes) {
            Ok(read) => events.push(&bytes[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        said.extend(std::iter::from_fn(|| events.pop()));
    }
    let said: Vec<_> = said.into_iter().map(|event| (event.event, event.data.unwrap_or_default())).collect();
    let named = |name: char, text: &str| (Some(format!("{name:0>32}")), text.to_owned());
    let closed = said.iter().position(|(_, text)| text.contains("4503")).context("nobody is told why")?;
    ensure!(said[closed].0 == named('1', "").0, "{said:?}");
    for expected in
        [(None, "{}".to_owned()), named('1', "for ann"), named('2', "for bob"), named('2', "still here")]
    {
        ensure!(said.contains(&expected), "{expected:?} is not among {said:?}");
    }
    // There is a place again.
    stream.join(ConnectionId::from_random(3), peer)?;
    Ok(())
}

#[tokio::test]
async fn all_hear_of_the_end_of_a_stream_that_they_share() -> Result<()> {
    for reset in [false, true] {
        let (ann, stream, mut client) = shared().await?;
        let bob = stream.join(ConnectionId::from_random(2), ann.info().peer)?;
        match reset {
            true => SseWire::over(client.peer_addr()?, client).reset(),
            false => client.shutdown().await?,
        }
        for mut transport in [ann, bob] {
            match (reset, next(&mut transport).await) {
                (false, Ok(Incoming::Left(Departure::GoingAway))) | (true, Err(TransportError::Io(_))) => {}
                (_, other) => bail!("{other:?}"),
            }
        }
        ensure!(
            stream.join(ConnectionId::from_random(3), "127.0.0.1:1".parse()?).err() == Some(JoinError::Over)
        );
    }
    Ok(())
}

/// One that nobody uses ends by itself, and so does one that is closed, once the last has left it.
#[tokio::test]
async fn a_shared_stream_ends_when_nobody_is_on_it_any_more() -> Result<()> {
    let (ann, stream, client) = shared().await?;
    stream.close();
    ensure!(stream.join(ConnectionId::from_random(2), ann.info().peer).err() == Some(JoinError::Over));
    drop(ann);
    let mut wire = SseWire::over(client.peer_addr()?, client);
    while wire.recv().await? != Received::Closed(None) {}

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    let config = SharedConfig { each: CONFIG, connections_max: 2 };
    Shared::new(server, config, &Message::new("{}")).run(Duration::from_millis(1)).await;
    let mut wire = SseWire::over(client.peer_addr()?, client);
    while wire.recv().await? != Received::Closed(None) {}
    Ok(())
}

/// One of several that does not keep up: what waits of it is bounded, and the others are heard all the same.
#[tokio::test]
async fn who_says_too_much_on_a_shared_stream_waits_and_the_others_have_their_turns() -> Result<()> {
    let (mut loud, stream, client) = shared().await?;
    let mut quiet = stream.join(ConnectionId::from_random(2), loud.info().peer)?;
    let much = Frame::one(Message::new("x".repeat(1_000_000)));
    while loud.send(&[Frame::clone(&much)])? == Sent::All {}
    ensure!(quiet.send(&[Frame::one(Message::new("a word"))])? == Sent::Waiting, "it is not free");
    ensure!(loud.waiting_bytes() > quiet.waiting_bytes() && quiet.waiting_bytes() < 100);
    let mut wire = SseWire::over(client.peer_addr()?, client);
    let reading = async {
        while wire.recv().await? != Received::Text("a word".to_owned()) {}
        anyhow::Ok(())
    };
    let (read, drained) = tokio::join!(reading, next(&mut quiet));
    read?;
    ensure!(drained? == Incoming::Drained && quiet.waiting_bytes() == 0);
    Ok(())
}

/// X2: what a stream that says nothing keeps, beside its socket and task.
#[tokio::test]
async fn an_idle_transport_is_small() -> Result<()> {
    let (transport, _client) = sockets().await?;
    let own = std::mem::size_of_val(&transport);
    ensure!(own <= 96, "{own} bytes");
    Ok(())
}
