//! What every kind of [`Transport`] must do. A kind brings a [`Fixture`], which makes a transport and the peer at its other
//! end, and calls [`check`].

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::port::transport::{Departure, Incoming, Sent, Transport, TransportError};

use crate::client::Received;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest message that the transports of a fixture take.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Makes connected pairs of one kind of transport.
#[async_trait]
pub trait Fixture: Sync {
    /// A transport that takes messages of up to [`MESSAGE_BYTES_MAX`], and its peer.
    async fn pair(&self) -> Result<(Box<dyn Transport>, Box<dyn Peer>)>;

    /// What the transport makes of a peer that closes with this code. A wire without codes has one way to leave.
    fn departure(&self, code: u16) -> Departure {
        match code {
            1000 => Departure::Finished,
            1001 => Departure::GoingAway,
            _ => Departure::Abrupt,
        }
    }
}

/// The other end of a transport.
#[async_trait]
pub trait Peer: Send {
    /// Sends texts, together if the wire can.
    async fn send_texts(&mut self, texts: &[&str]) -> Result<()>;
    /// Sends a text in the smallest pieces that the wire has.
    async fn send_in_pieces(&mut self, text: &str) -> Result<()>;
    /// Sends something that is not text, or fails where everything is text.
    async fn send_binary(&mut self) -> Result<()>;
    /// The next message, or the end.
    async fn recv(&mut self) -> Result<Received>;
    /// Closes with a code.
    async fn close(&mut self, code: u16) -> Result<()>;
    /// Ends without a word.
    fn reset(self: Box<Self>);
}

/// Runs the whole contract.
///
/// # Errors
/// Names the first clause that does not hold.
pub async fn check(fixture: &dyn Fixture) -> Result<()> {
    texts_arrive_whole_and_in_order(fixture).await.context("texts arrive whole and in order")?;
    what_is_not_text_is_told_apart(fixture).await.context("what is not text is told apart")?;
    waiting_for_a_message_can_be_given_up(fixture).await.context("waiting for a message can be given up")?;
    frames_arrive_in_order(fixture).await.context("frames arrive in order")?;
    a_heartbeat_is_a_message_too(fixture).await.context("a heartbeat is a message too")?;
    a_slow_peer_loses_nothing(fixture).await.context("a slow peer loses nothing and gets all in order")?;
    a_message_beyond_the_limit_is_an_error(fixture)
        .await
        .context("a message beyond the limit is an error")?;
    a_departure_says_how(fixture).await.context("a departure says how")?;
    a_lost_peer_is_an_error(fixture).await.context("a lost peer is an error")?;
    the_peer_is_told_why(fixture).await.context("the peer is told why")?;
    Ok(())
}

async fn in_time<T>(what: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, what).await.context("nothing happened in time")
}

/// The next thing that is more than a sign of life.
async fn next(transport: &mut dyn Transport) -> Result<Incoming> {
    loop {
        match in_time(transport.recv()).await?? {
            Incoming::Alive | Incoming::Pong | Incoming::Control(_) | Incoming::Partial => {}
            incoming => return Ok(incoming),
        }
    }
}

async fn next_text(transport: &mut dyn Transport) -> Result<Bytes> {
    match next(transport).await? {
        Incoming::Text(text) => Ok(text),
        other => bail!("{other:?} is no text"),
    }
}

async fn peer_text(peer: &mut dyn Peer) -> Result<String> {
    match in_time(peer.recv()).await?? {
        Received::Text(text) => Ok(text),
        Received::Closed(code) => bail!("closed with {code:?}"),
    }
}

async fn texts_arrive_whole_and_in_order(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    let long = "x".repeat(MESSAGE_BYTES_MAX);
    let texts = ["one", "", "zwölf 💡", &long, "five"];
    peer.send_texts(&texts).await?;
    peer.send_in_pieces("in pieces").await?;
    for text in texts.iter().copied().chain(["in pieces"]) {
        ensure!(next_text(&mut *transport).await? == text.as_bytes(), "{text:.20} did not arrive");
    }
    Ok(())
}

async fn what_is_not_text_is_told_apart(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    let sent = peer.send_binary().await.is_ok();
    peer.send_texts(&["after"]).await?;
    if sent {
        ensure!(next(&mut *transport).await? == Incoming::Binary, "it was not told apart");
    }
    ensure!(next_text(&mut *transport).await? == "after", "the connection did not live on");
    Ok(())
}

/// Gives a wait up after every single poll, while a message comes in pieces.
async fn waiting_for_a_message_can_be_given_up(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    let text = "a message that comes slowly ".repeat(8);
    let sending = tokio::spawn({
        let text = text.clone();
        async move {
            peer.send_in_pieces(&text).await?;
            peer.send_texts(&["after"]).await?;
            anyhow::Ok(peer)
        }
    });
    let mut got = Vec::new();
    let receiving = async {
        while got.len() < 2 {
            let mut wait = transport.recv();
            let polled = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await;
            drop(wait);
            match polled {
                Poll::Ready(Ok(Incoming::Text(text))) => got.push(text),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
        anyhow::Ok(())
    };
    in_time(receiving).await??;
    ensure!(got == [text.as_bytes(), b"after"], "something was lost");
    sending.await??;
    Ok(())
}

fn frame(texts: &[String]) -> Frame {
    Frame::new(texts.iter().map(|text| Message::new(text.clone())).collect::<Vec<_>>())
}

async fn frames_arrive_in_order(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    // Around the lengths at which a WebSocket frame's header grows.
    let texts: Vec<String> =
        [0, 1, 125, 126, 127, 65_535, 65_536, 70_000].map(|len| "y".repeat(len)).to_vec();
    let frames = [frame(&texts[..3]), frame(&texts[3..5]), frame(&texts[5..])];
    let reading = async {
        for text in &texts {
            let got = peer_text(&mut *peer).await?;
            ensure!(got == *text, "{} bytes came for {}", got.len(), text.len());
        }
        Ok(())
    };
    let mut sent = transport.send(&frames)?;
    let writing = async {
        while sent == Sent::Waiting {
            if next(&mut *transport).await? == Incoming::Drained {
                sent = Sent::All;
            }
        }
        anyhow::Ok(())
    };
    let (read, written) = tokio::join!(reading, writing);
    read.and(written)
}

async fn a_heartbeat_is_a_message_too(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    ensure!(transport.send(&[Frame::heartbeat(Message::new("ping"))])? == Sent::All, "it waits");
    ensure!(peer_text(&mut *peer).await? == "ping", "it did not arrive");
    Ok(())
}

async fn a_slow_peer_loses_nothing(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    let text = |number: usize| format!("{number:>8} {}", "z".repeat(100_000));
    let mut count = 0;
    while transport.send(&[frame(&[text(count)])])? == Sent::All {
        count += 1;
        ensure!(count < 10_000, "it never waits");
    }
    count += 1;
    let waiting = transport.waiting_bytes();
    ensure!(waiting > 0 && waiting < 200_000, "{waiting} bytes wait of one message");
    // Who does not read can still be heard.
    peer.send_texts(&["still here"]).await?;
    ensure!(next_text(&mut *transport).await? == "still here", "it was not heard");
    let reading = async {
        for number in 0..count {
            ensure!(peer_text(&mut *peer).await? == text(number), "message {number} is not the {number}th");
        }
        Ok(())
    };
    let draining = async {
        ensure!(next(&mut *transport).await? == Incoming::Drained, "it does not say that it is done");
        ensure!(transport.waiting_bytes() == 0, "something waits still");
        Ok(())
    };
    let (read, drained) = tokio::join!(reading, draining);
    read.and(drained)
}

async fn a_message_beyond_the_limit_is_an_error(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, mut peer) = fixture.pair().await?;
    let sent = peer.send_texts(&[&"x".repeat(MESSAGE_BYTES_MAX + 1)]).await;
    // A wire may refuse it before it has come; then the connection lives on.
    if sent.is_err() && peer.send_texts(&["after"]).await.is_ok() {
        ensure!(next_text(&mut *transport).await? == "after", "the connection did not live on");
        return Ok(());
    }
    loop {
        match in_time(transport.recv()).await? {
            Ok(Incoming::Alive | Incoming::Control(_) | Incoming::Partial) => {}
            Err(TransportError::TooLarge { limit: MESSAGE_BYTES_MAX }) => return Ok(()),
            other => bail!("{other:?}"),
        }
    }
}

async fn a_departure_says_how(fixture: &dyn Fixture) -> Result<()> {
    for code in [1000, 1001, 4000] {
        let departure = fixture.departure(code);
        let (mut transport, mut peer) = fixture.pair().await?;
        peer.send_texts(&["before"]).await?;
        peer.close(code).await?;
        ensure!(next_text(&mut *transport).await? == "before", "what was said before is lost");
        let left = next(&mut *transport).await?;
        ensure!(left == Incoming::Left(departure), "{code} is {left:?}");
    }
    Ok(())
}

async fn a_lost_peer_is_an_error(fixture: &dyn Fixture) -> Result<()> {
    let (mut transport, peer) = fixture.pair().await?;
    peer.reset();
    match in_time(transport.recv()).await? {
        Err(TransportError::Io(_)) => Ok(()),
        other => bail!("{other:?}"),
    }
}

async fn the_peer_is_told_why(fixture: &dyn Fixture) -> Result<()> {
    for reason in [CloseReason::TakenOver, CloseReason::Draining] {
        let (mut transport, mut peer) = fixture.pair().await?;
        transport.send(&[frame(&["last words".to_owned()])])?;
        // A transport waits for its peer to have read the close: the peer goes when it has.
        let (closed, told) = tokio::join!(in_time(transport.close(reason)), async move {
            ensure!(peer_text(&mut *peer).await? == "last words", "the last words are lost");
            in_time(peer.recv()).await?
        });
        closed?;
        ensure!(told? == Received::Closed(Some(reason.code())), "{reason:?} is not told");
    }
    Ok(())
}
