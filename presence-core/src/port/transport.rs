//! [`Transport`]: one accepted connection as a duplex of whole messages. It parses none of them and knows no presence.

use std::error::Error;
use std::fmt::Debug;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

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
    /// What its silence means.
    pub silence: Silence,
}

/// What it means that nothing comes after a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nobody is there: the wire itself answers pings, whatever the client does.
    IsDeath,
    /// Nothing, until the client has answered a ping once: the wire carries nothing back, so whether the peer is
    /// there is for writes to find out. Who answers is held to it from then on.
    MaySayNothing,
}

/// The way in to a transport whose peer speaks over other connections.
pub trait Inlet: Debug + Send + Sync {
    /// Takes all of these messages, which [`Transport::recv`] then gives in this order, or none.
    ///
    /// # Errors
    /// If they can not be taken.
    fn post(&self, texts: Vec<Bytes>) -> Result<(), PostError>;

    /// The peer ends the connection: after what it has posted, [`Transport::recv`] gives [`Incoming::Left`].
    fn leave(&self);
}

/// Why an [`Inlet`] took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// A message is above the size limit.
    #[error("a message may have at most {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Too many messages wait to be taken in.
    #[error("{limit} messages wait to be taken in; send slower")]
    Full {
        /// How many may wait.
        limit: usize,
    },
    /// The connection is over.
    #[error("the connection is over")]
    Over,
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
    /// So many frames came that say nothing and still cost something: pings, pongs.
    Control(u32),
    /// A message has begun to come, and its end is not there yet.
    Partial,
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

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self::Io(Box::new(error))
    }
}

/// One accepted connection as a duplex of whole messages.
///
/// Calling contract: one task owns it and calls one method at a time. After `recv` gave [`Incoming::Left`] or any
/// method an error, only `close` may follow. `close` is called at most once, last.
#[async_trait]
pub trait Transport: Send + 'static {
    /// What stays true of it. By value, so that nobody has to keep what can be put together.
    fn info(&self) -> TransportInfo;

    /// The next thing that came. Also carries on with what `send` left waiting. Polled, since a future that waits would
    /// be one more piece of memory of every idle connection.
    ///
    /// # Errors
    /// When the connection can not go on.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>>;

    /// Waits for what [`poll_recv`](Self::poll_recv) gives. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection can not go on.
    async fn recv(&mut self) -> Result<Incoming, TransportError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Hands over all frames in one write and never waits: what the socket does not take at once the transport
    /// keeps, and `recv` carries on with it.
    ///
    /// # Errors
    /// When the connection can not go on.
    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError>;

    /// Bytes that [`Sent::Waiting`] left behind.
    fn waiting_bytes(&self) -> usize;

    /// The way in for what the peer says over other connections, if the wire itself carries nothing back.
    fn inlet(&self) -> Option<Arc<dyn Inlet>> {
        None
    }

    /// Tells the peer why, if the wire can carry that, and ends the connection. Best effort, and bounded in time by
    /// the caller.
    async fn close(&mut self, reason: CloseReason);
}
