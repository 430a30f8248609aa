//! One connection that speaks HTTP, until it ends or becomes a stream of messages.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tracing::debug;

use super::caller::Caller;
use super::router::Router;
use super::socket::Socket;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// What a request is answered with.
pub(super) enum Reply {
    /// An answer, and then the next request.
    Answer(Response<Full<Bytes>>),
    /// This head, and then no HTTP any more.
    Leave(Leave),
}

impl Reply {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Answer(answer) => answer.status(),
            Self::Leave(leave) => leave.head.status(),
        }
    }

    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Answer(answer) => answer.headers_mut(),
            Self::Leave(leave) => leave.head.headers_mut(),
        }
    }
}

/// How a socket leaves HTTP.
pub(super) struct Leave {
    /// The head of the answer.
    pub(super) head: Response<()>,
    /// What to do with the socket then; the bytes are what the client has sent already.
    pub(super) then: Box<dyn FnOnce(Socket, Bytes) + Send>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Answers requests until the connection ends, or hands its socket over.
pub(super) async fn serve(socket: Socket, caller: Caller, router: Arc<Router>, header_timeout: Duration) {
    let peer = caller.peer;
    let leaving: Arc<Mutex<Option<Leave>>> = Arc::default();
    let service = service_fn({
        let leaving = Arc::clone(&leaving);
        move |request: Request<Incoming>| -> Answering {
            let (router, leaving, caller) = (Arc::clone(&router), Arc::clone(&leaving), caller.clone());
            Box::pin(async move {
                match router.answer(request, &caller).await {
                    Reply::Answer(answer) => Ok(answer),
                    Reply::Leave(leave) => {
                        put(&leaving, leave);
                        // There is no answer for hyper to write: the connection is taken from it before it asks again.
                        pending().await
                    }
                }
            })
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        match take(&leaving) {
            Some(leave) => Poll::Ready(Ok(Some(leave))),
            None => polled.map_ok(|()| None),
        }
    })
    .await;
    match ended {
        Ok(None) => {}
        Err(error) => debug!(%peer, %error, "HTTP connection failed"),
        Ok(Some(Leave { head, then })) => {
            let parts = connection.into_parts();
            // A copy: what hyper has read lies in a large buffer, which should go.
            let early = Bytes::copy_from_slice(&parts.read_buf);
            let socket = parts.io.into_inner();
            drop(parts.read_buf);
            match tokio::time::timeout(header_timeout, socket.leave_http(&head)).await {
                Ok(Ok(socket)) => then(socket, early),
                Ok(Err(error)) => debug!(%peer, %error, "the client left before its connection opened"),
                Err(_) => debug!(%peer, "the client did not read the head of its answer"),
            }
        }
    }
}

fn put(place: &Mutex<Option<Leave>>, leave: Leave) {
    *place.lock().expect("nothing panics while it holds this") = Some(leave);
}

fn take(place: &Mutex<Option<Leave>>) -> Option<Leave> {
    place.lock().expect("nothing panics while it holds this").take()
}
