//! A transport without a wire, for tests that want none. It keeps the contract, which keeps it honest.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::Frame;
use presence_core::port::transport::{
    Departure, Incoming, Sent, Silence, Transport, TransportError, TransportInfo,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::SendError;

use super::transport::{Fixture, MESSAGE_BYTES_MAX, Peer};
use crate::client::Received;

/// Messages that the wire holds in each direction.
const WIRE: usize = 64;

/// The server's end.
pub struct FakeTransport {
    info: TransportInfo,
    incoming: mpsc::Receiver<FromPeer>,
    outgoing: mpsc::Sender<Received>,
    waiting: VecDeque<String>,
    /// Waits for room on the wire.
    reserving: Option<Reserving>,
}

type Reserving = BoxFuture<Result<OwnedPermit<Received>, SendError<()>>>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;

/// The client's end.
#[derive(Debug)]
pub struct FakePeer {
    sending: mpsc::Sender<FromPeer>,
    receiving: mpsc::Receiver<Received>,
}

#[derive(Debug)]
enum FromPeer {
    Text(Bytes),
    Binary,
    Close(u16),
}

/// Two ends of one wire.
pub fn pair() -> (FakeTransport, FakePeer) {
    let (sending, incoming) = mpsc::channel(WIRE);
    let (outgoing, receiving) = mpsc::channel(WIRE);
    let info = TransportInfo {
        kind: "fake",
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        silence: Silence::IsDeath,
    };
    let transport = FakeTransport { info, incoming, outgoing, waiting: VecDeque::new(), reserving: None };
    (transport, FakePeer { sending, receiving })
}

fn lost() -> TransportError {
    TransportError::Io("the peer is gone".into())
}

impl FakeTransport {
    /// Ready once everything that waits is on the wire.
    fn poll_send_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        while let Some(text) = self.waiting.front() {
            let outgoing = &self.outgoing;
            let reserving = self.reserving.get_or_insert_with(|| Box::pin(outgoing.clone().reserve_owned()));
            let permit = ready!(reserving.as_mut().poll(cx));
            self.reserving = None;
            permit.map_err(|_| lost())?.send(Received::Text(text.clone()));
            self.waiting.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Transport for FakeTransport {
    fn info(&self) -> TransportInfo {
        self.info
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if !self.waiting.is_empty() && self.poll_send_waiting(cx)?.is_ready() {
            return Poll::Ready(Ok(Incoming::Drained));
        }
        Poll::Ready(match ready!(self.incoming.poll_recv(cx)) {
            Some(FromPeer::Text(text)) if text.len() > MESSAGE_BYTES_MAX => {
                Err(TransportError::TooLarge { limit: MESSAGE_BYTES_MAX })
            }
            Some(FromPeer::Text(text)) => Ok(Incoming::Text(text)),
            Some(FromPeer::Binary) => Ok(Incoming::Binary),
            Some(FromPeer::Close(1000)) => Ok(Incoming::Left(Departure::Finished)),
            Some(FromPeer::Close(1001)) => Ok(Incoming::Left(Departure::GoingAway)),
            Some(FromPeer::Close(_)) => Ok(Incoming::Left(Departure::Abrupt)),
            None => Err(lost()),
        })
    }

    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError> {
        for message in frames.iter().flat_map(Frame::messages) {
            let text = String::from_utf8_lossy(message.text()).into_owned();
            match self.outgoing.try_reserve() {
                Ok(permit) if self.waiting.is_empty() => permit.send(Received::Text(text)),
                Ok(_) | Err(mpsc::error::TrySendError::Full(())) => self.waiting.push_back(text),
                Err(mpsc::error::TrySendError::Closed(())) => return Err(lost()),
            }
        }
        Ok(if self.waiting.is_empty() { Sent::All } else { Sent::Waiting })
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(String::len).sum()
    }

    async fn close(&mut self, reason: CloseReason) {
        self.reserving = None;
        while let Some(text) = self.waiting.pop_front() {
            if self.outgoing.send(Received::Text(text)).await.is_err() {
                return;
            }
        }
        // A peer that is gone needs no goodbye.
        let _ = self.outgoing.send(Received::Closed(Some(reason.code()))).await;
    }
}

#[async_trait]
impl Peer for FakePeer {
    async fn send_texts(&mut self, texts: &[&str]) -> Result<()> {
        for text in texts {
            self.sending.send(FromPeer::Text(Bytes::copy_from_slice(text.as_bytes()))).await?;
        }
        Ok(())
    }

    async fn send_in_pieces(&mut self, text: &str) -> Result<()> {
        // The wire has no smaller pieces than messages.
        self.send_texts(&[text]).await
    }

    async fn send_binary(&mut self) -> Result<()> {
        Ok(self.sending.send(FromPeer::Binary).await?)
    }

    async fn recv(&mut self) -> Result<Received> {
        Ok(self.receiving.recv().await.unwrap_or(Received::Closed(None)))
    }

    async fn close(&mut self, code: u16) -> Result<()> {
        Ok(self.sending.send(FromPeer::Close(code)).await?)
    }

    fn reset(self: Box<Self>) {}
}

/// Makes fakes.
#[derive(Clone, Copy, Debug)]
pub struct Fakes;

#[async_trait]
impl Fixture for Fakes {
    async fn pair(&self) -> Result<(Box<dyn Transport>, Box<dyn Peer>)> {
        let (transport, peer) = pair();
        Ok((Box::new(transport), Box::new(peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() -> Result<()> {
        crate::contract::transport::check(&Fakes).await
    }
}
