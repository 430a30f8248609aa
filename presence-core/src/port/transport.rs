//! [`Transport`]: one accepted connection as a duplex of whole messages. It parses none of them and knows no presence.

use std::error::Error;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::CloseReason;
use crate::frame::Frame;

/// What stays true of a connection for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportInfo {
    /// The kind, as metrics and logs name it: `ws`, `sse`.
    pub kind: &'static str,
    /// The other end of the socket.
    pub peer: SocketAddr,
}

/// What [`Transport::recv`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole message, valid UTF-8, not yet parsed.
    Text(Bytes),
    /// A message that is not text. No kind of client needs one.
    Binary,
    /// The wire's own answer to [`FrameKind::Heartbeat`](crate::frame::FrameKind::Heartbeat).
    Pong,
    /// Something came that is no message: a sign of life.
    Alive,
    /// Everything that [`Transport::send`] left waiting has gone out.
    Drained,
    /// The peer ended the connection in good order. Nothing more will come.
    Left(Departure),
}

/// How a peer took its leave; it decides how fast its session leaves its rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said that it is done (close code 1000).
    Finished,
    /// Its page went away (close code 1001, or an event stream that the client ended): closed, or reloaded.
    GoingAway,
    /// Any other ending: as good as lost.
    Abrupt,
}

/// What became of the frames given to [`Transport::send`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The wire took everything.
    All,
    /// The peer reads slower than this: the transport holds the rest and [`Incoming::Drained`] will say when it is
    /// gone. Until then `send` must not be called again.
    Waiting,
}

/// Why a connection can not go on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The peer broke the rules of the wire.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// The peer sent a message above the size limit.
    #[error("a message is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] Box<dyn Error + Send + Sync>),
}

/// One accepted connection as a duplex of whole messages.
///
/// Calling contract: one task owns it and calls one method at a time. After `recv` gave [`Incoming::Left`] or any
/// method an error, only `close` may follow. `close` is called at most once, last.
#[async_trait]
pub trait Transport: Send + 'static {
    /// What stays true of it.
    fn info(&self) -> &TransportInfo;

    /// The next thing that came. Also carries on with what `send` left waiting. Cancel-safe: dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// When the connection can not go on.
    async fn recv(&mut self) -> Result<Incoming, TransportError>;

    /// Hands over all frames in one write and never waits: what the socket does not take at once the transport
    /// keeps, and `recv` carries on with it.
    ///
    /// # Errors
    /// When the connection can not go on.
    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError>;

    /// Bytes that [`Sent::Waiting`] left behind.
    fn waiting_bytes(&self) -> usize;

    /// Tells the peer why, if the wire can carry that, and ends the connection. Best effort, and bounded in time by
    /// the caller.
    async fn close(&mut self, reason: CloseReason);
}
