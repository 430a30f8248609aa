//! An event stream that several connections share: each of its events says whose it is. Browsers allow six connections to
//! a server over HTTP/1.1, and so the tabs of one browser can all be there by one.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::id::ConnectionId;
use presence_core::port::transport::{
    Departure, Incoming, Inlet, Sent, Silence, Transport, TransportError, TransportInfo,
};
use presence_core::wire;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::inbox::{Inbox, Posted};
use crate::lanes::{LaneId, Lanes};
use crate::{STRAY_BYTES_MAX, SseConfig, event};

/// How long the end of a stream may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a shared stream may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedConfig {
    /// Of each of its connections.
    pub each: SseConfig,
    /// Connections at once.
    pub connections_max: usize,
}

/// Why a connection can not be opened on a shared stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It has as many as it may have.
    #[error("a shared stream may have at most {limit} connections")]
    Full {
        /// How many.
        limit: usize,
    },
    /// It has ended, or is about to.
    #[error("the shared stream is over")]
    Over,
}

/// One event stream, and the connections that share it. [`run`](Self::run) makes it work.
#[derive(Debug)]
pub struct Shared<S> {
    config: SharedConfig,
    state: Mutex<State<S>>,
}

#[derive(Debug)]
struct State<S> {
    socket: S,
    lanes: Lanes,
    phase: Phase,
    /// Bytes that came down the wire after the request.
    stray: usize,
    /// Who runs it.
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nobody more, and ends with its last connection.
    Closing,
    Over(Ending),
}

/// How it was for its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client has ended it.
    GoingAway,
    /// It broke.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> State<S> {
    fn end(&mut self, how: Ending) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(how);
            self.lanes.wake_all();
            self.call();
        }
    }

    /// Wakes whoever runs it.
    fn call(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Writes what waits. Ready once it is all out.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, lanes) = (&mut self.socket, &mut self.lanes);
        ready!(lanes.poll_write(|bytes| Pin::new(&mut *socket).poll_write(cx, bytes)))?;
        Pin::new(socket).poll_flush(cx)
    }

    /// Looks whether the client is there still. Nobody asks anything on a stream, so what comes is only counted.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let mut bytes = [0; 256];
            let mut buffer = ReadBuf::new(&mut bytes);
            if ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(Ending::Lost);
            }
            self.stray += buffer.filled().len();
            if buffer.filled().is_empty() {
                return Poll::Ready(Ending::GoingAway);
            }
            if self.stray > STRAY_BYTES_MAX {
                return Poll::Ready(Ending::Lost);
            }
        }
    }

    /// Says something for one connection, at once if nobody else has anything to say.
    fn say(&mut self, lane: LaneId, encode: impl FnOnce(&mut Vec<u8>)) {
        let was_idle = self.lanes.is_idle();
        self.lanes.put(lane, encode);
        if !was_idle {
            return;
        }
        // Nobody is to be woken by this: whoever runs the stream goes on with what waits.
        match self.poll_write(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => self.end(Ending::Lost),
            Poll::Pending => self.call(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Takes over a socket after the head of the answer, and says `greeting` on it, which is nobody's.
    pub fn new(socket: S, config: SharedConfig, greeting: &Message) -> Self {
        let mut opening = Vec::new();
        event::encode(greeting, &mut opening);
        let lanes = Lanes::beginning_with(opening);
        let state = State { socket, lanes, phase: Phase::Open, stray: 0, waker: None };
        Self { config, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().expect("nothing panics while it holds a shared stream")
    }

    /// One more connection, whose events are called by its id.
    ///
    /// # Errors
    /// If it has too many, or is over.
    pub fn join(
        self: &Arc<Self>,
        connection: ConnectionId,
        peer: SocketAddr,
    ) -> Result<SharedSseTransport<S>, JoinError> {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Err(JoinError::Over);
        }
        let limit = self.config.connections_max;
        if state.lanes.len() >= limit {
            return Err(JoinError::Full { limit });
        }
        let lane = state.lanes.open();
        state.call();
        drop(state);
        let inbox = Arc::new(Inbox::new(self.config.each));
        let shared = Arc::clone(self);
        Ok(SharedSseTransport { shared, lane, connection, inbox, peer, wire: Wire::Free })
    }

    /// Takes nobody more, and ends with its last connection.
    pub fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
            state.call();
        }
    }

    /// Carries what its connections say, until it ends. One on which there is nobody ends by itself after `patience`.
    pub async fn run(&self, patience: Duration) {
        loop {
            let occupied = self.until(|state| state.lanes.len() > 0 || state.phase == Phase::Closing);
            if let Ok(Run::Over) = tokio::time::timeout(patience, occupied).await {
                return;
            }
            if self.end_if_empty() {
                break;
            }
            if self.until(|state| state.lanes.len() == 0).await == Run::Over {
                return;
            }
        }
        let goodbye = poll_fn(|cx| {
            let mut state = self.state();
            ready!(state.poll_write(cx))?;
            Pin::new(&mut state.socket).poll_shutdown(cx)
        });
        // Who does not take the end of it is left.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    /// Works until something holds, or it is over.
    async fn until(&self, holds: impl Fn(&State<S>) -> bool) -> Run {
        poll_fn(|cx| {
            let mut state = self.state();
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
            if let Poll::Ready(ending) = state.poll_read(cx) {
                state.end(ending);
            } else if let Poll::Ready(Err(_)) = state.poll_write(cx) {
                state.end(Ending::Lost);
            }
            match state.phase {
                Phase::Over(_) => Poll::Ready(Run::Over),
                Phase::Open | Phase::Closing if holds(&state) => Poll::Ready(Run::So),
                Phase::Open | Phase::Closing => Poll::Pending,
            }
        })
        .await
    }

    fn end_if_empty(&self) -> bool {
        let mut state = self.state();
        let empty = state.lanes.len() == 0;
        if empty {
            state.end(Ending::GoingAway);
        }
        empty
    }
}

/// Why a shared stream has stopped working for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// What it was to work for is so.
    So,
    Over,
}

/// One connection on a shared stream.
#[derive(Debug)]
pub struct SharedSseTransport<S: AsyncRead + AsyncWrite + Unpin> {
    shared: Arc<Shared<S>>,
    lane: LaneId,
    connection: ConnectionId,
    inbox: Arc<Inbox>,
    peer: SocketAddr,
    wire: Wire,
}

/// Whether all is out that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Free,
    /// It is not, and it is to be said when it is.
    Waiting,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SharedSseTransport<S> {
    fn poll_inbox(&self, cx: &mut Context<'_>) -> Poll<Incoming> {
        self.inbox.poll(cx).map(Posted::into_incoming)
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if let Poll::Ready(incoming) = self.poll_inbox(cx) {
            return Poll::Ready(Ok(incoming));
        }
        let mut state = self.shared.state();
        let Phase::Over(ending) = state.phase else {
            if self.wire == Wire::Free {
                state.lanes.wait(self.lane, cx);
                return Poll::Pending;
            }
            ready!(state.lanes.poll_out(self.lane, cx));
            self.wire = Wire::Free;
            return Poll::Ready(Ok(Incoming::Drained));
        };
        drop(state);
        // What was posted before it ended may have come between the two looks.
        if let Poll::Ready(incoming) = self.poll_inbox(cx) {
            return Poll::Ready(Ok(incoming));
        }
        Poll::Ready(match ending {
            Ending::GoingAway => Ok(Incoming::Left(Departure::GoingAway)),
            Ending::Lost => Err(lost()),
        })
    }
}

fn lost() -> TransportError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug + 'static> Transport
    for SharedSseTransport<S>
{
    fn info(&self) -> TransportInfo {
        TransportInfo { kind: "sse", peer: self.peer, silence: Silence::MaySayNothing }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        self.poll_incoming(cx)
    }

    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError> {
        let mut state = self.shared.state();
        match state.phase {
            Phase::Open | Phase::Closing => {}
            // `recv` says how it ended.
            Phase::Over(Ending::GoingAway) => return Ok(Sent::All),
            Phase::Over(Ending::Lost) => return Err(lost()),
        }
        state.say(self.lane, |out| {
            let messages = frames.iter().flat_map(Frame::messages);
            messages.for_each(|message| event::encode_for(self.connection, message, out));
        });
        if state.lanes.waiting(self.lane) == 0 {
            return Ok(Sent::All);
        }
        self.wire = Wire::Waiting;
        Ok(Sent::Waiting)
    }

    fn waiting_bytes(&self) -> usize {
        self.shared.state().lanes.waiting(self.lane)
    }

    fn inlet(&self) -> Option<Arc<dyn Inlet>> {
        Some(Arc::clone(&self.inbox) as Arc<dyn Inlet>)
    }

    async fn close(&mut self, reason: CloseReason) {
        self.inbox.end();
        let goodbye = wire::close(reason);
        self.shared.state().say(self.lane, |out| event::encode_for(self.connection, &goodbye, out));
        poll_fn(|cx| {
            let mut state = self.shared.state();
            match state.phase {
                // There is nobody to tell.
                Phase::Over(_) => Poll::Ready(()),
                Phase::Open | Phase::Closing => state.lanes.poll_out(self.lane, cx),
            }
        })
        .await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for SharedSseTransport<S> {
    fn drop(&mut self) {
        self.inbox.end();
        let mut state = self.shared.state();
        state.lanes.close(self.lane);
        state.call();
    }
}
