//! An open event stream as a [`Transport`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use presence_core::error::CloseReason;
use presence_core::frame::Frame;
use presence_core::port::backlog::Backlog;
use presence_core::port::transport::{
    Departure, Incoming, Inlet, Sent, Silence, Transport, TransportError, TransportInfo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::inbox::{Inbox, Posted};
use crate::{STRAY_BYTES_MAX, SseConfig, event};

/// A thread's write buffer that has grown beyond this is given back after use.
const WRITE_BUFFER_KEPT: usize = 1024 * 1024;

/// After how long a browser comes back when a stream breaks: soon, since its session is held only so long.
const RETURN: Duration = Duration::from_millis(1000);

thread_local! {
    /// Lent to one connection at a time between two awaits, so that none needs a buffer of its own.
    static WRITE_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One open event stream on a socket, whether that is encrypted or not.
#[derive(Debug)]
pub struct SseTransport<S> {
    socket: S,
    inbox: Arc<Inbox>,
    peer: SocketAddr,
    /// Bytes that came down the wire after the request.
    stray: usize,
    /// Encoded, and not taken by the socket yet.
    backlog: Backlog,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SseTransport<S> {
    /// Takes over a socket after the head of the answer.
    pub fn new(socket: S, peer: SocketAddr, config: SseConfig) -> Self {
        let inbox = Arc::new(Inbox::new(config));
        let mut transport = Self { socket, inbox, peer, stray: 0, backlog: Backlog::default() };
        let mut opening = Vec::new();
        event::retry(RETURN, &mut opening);
        // If the socket is broken, reading will tell.
        let _ = transport.write(&opening);
        transport
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Nobody is to be woken: `recv` asks again as long as something waits.
        let mut cx = Context::from_waker(Waker::noop());
        let socket = &mut self.socket;
        self.backlog.write(bytes, |bytes| write_or_flush(socket, &mut cx, bytes))
    }

    /// Goes on with what waits. Ready once it is all out.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &mut self.socket;
        self.backlog.poll_empty(|bytes| write_or_flush(socket, cx, bytes))
    }

    fn poll_inbox(&self, cx: &mut Context<'_>) -> Poll<Incoming> {
        self.inbox.poll(cx).map(Posted::into_incoming)
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if let Poll::Ready(incoming) = self.poll_inbox(cx) {
            return Poll::Ready(Ok(incoming));
        }
        if !self.backlog.is_empty() && self.poll_empty(cx)?.is_ready() {
            return Poll::Ready(Ok(Incoming::Drained));
        }
        let mut bytes = [0; 256];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)).map_err(TransportError::from)?;
        let read = buffer.filled().len();
        if read == 0 {
            // What was posted before it ended may have come between the two looks.
            return Poll::Ready(Ok(match self.poll_inbox(cx) {
                Poll::Ready(incoming) => incoming,
                Poll::Pending => Incoming::Left(Departure::GoingAway),
            }));
        }
        self.stray += read;
        Poll::Ready(if self.stray > STRAY_BYTES_MAX {
            let rule = "an event stream carries nothing up: messages are posted";
            Err(TransportError::Protocol(rule.to_owned()))
        } else {
            Ok(Incoming::Alive)
        })
    }
}

fn write_or_flush<S: AsyncWrite + Unpin>(
    socket: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match bytes {
        [] => Pin::new(socket).poll_flush(cx).map_ok(|()| 0),
        bytes => Pin::new(socket).poll_write(cx, bytes),
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for SseTransport<S> {
    fn info(&self) -> TransportInfo {
        TransportInfo { kind: "sse", peer: self.peer, silence: Silence::MaySayNothing }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        self.poll_incoming(cx)
    }

    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError> {
        WRITE_BUFFER
            .with_borrow_mut(|buffer| {
                let messages = frames.iter().flat_map(Frame::messages);
                messages.for_each(|message| event::encode(message, buffer));
                let written = self.write(buffer);
                buffer.clear();
                buffer.shrink_to(WRITE_BUFFER_KEPT);
                written
            })
            .map_err(TransportError::from)?;
        Ok(if self.backlog.is_empty() { Sent::All } else { Sent::Waiting })
    }

    fn waiting_bytes(&self) -> usize {
        self.backlog.len()
    }

    fn inlet(&self) -> Option<Arc<dyn Inlet>> {
        Some(Arc::clone(&self.inbox) as Arc<dyn Inlet>)
    }

    async fn close(&mut self, reason: CloseReason) {
        self.inbox.end();
        let mut goodbye = Vec::new();
        event::close(reason, &mut goodbye);
        // If the socket is broken there is nobody to tell.
        if self.write(&goodbye).is_ok() && poll_fn(|cx| self.poll_empty(cx)).await.is_ok() {
            let _ = poll_fn(|cx| Pin::new(&mut self.socket).poll_shutdown(cx)).await;
        }
    }
}

impl<S> Drop for SseTransport<S> {
    fn drop(&mut self) {
        self.inbox.end();
    }
}
