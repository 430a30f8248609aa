//! Requests that become streams of messages, and messages that are posted to a stream. Every kind of transport is a file
//! and a feature; what is not built in says so.

pub(super) mod about;
#[cfg(not(all(feature = "ws", feature = "sse")))]
mod absent;
#[cfg(feature = "sse")]
mod shared;
#[cfg(feature = "sse")]
mod sse;
#[cfg(feature = "ws")]
mod ws;

#[cfg(not(all(feature = "ws", feature = "sse")))]
pub(super) use absent::*;
#[cfg(feature = "sse")]
pub(super) use shared::{SharedStreams, open_on_shared, shared_stream};
#[cfg(feature = "sse")]
pub(super) use sse::{end, event_stream, post, way_in};
#[cfg(feature = "ws")]
pub(super) use ws::web_socket;

#[cfg(any(feature = "ws", feature = "sse"))]
mod opening {
    use std::sync::Arc;

    use bytes::Bytes;
    use hyper::body::{Body, Incoming};
    use hyper::{Request, Response, StatusCode};
    use presence_core::port::transport::Transport;

    use crate::connection::{Connections, Hello};
    use crate::http::answer::HttpError;
    use crate::http::connection::Leave;
    use crate::http::socket::Socket;
    use crate::limits::Refused;

    /// A connection opens as soon as the head of the answer has been written.
    pub(super) fn open<T: Transport>(
        head: Response<()>,
        connections: &Arc<Connections>,
        mut hello: Hello,
        transport: impl FnOnce(Socket, Bytes) -> T + Send + 'static,
    ) -> Result<Leave, HttpError> {
        connections.admit(&mut hello).map_err(Refused::answer)?;
        let connections = Arc::clone(connections);
        let then = Box::new(move |socket, early| connections.open(Box::new(transport(socket, early)), hello));
        Ok(Leave { head, then })
    }

    /// A stream is opened by a request without a body; what follows such a request is the stream's.
    pub(super) fn check_body(request: &Request<Incoming>) -> Result<(), HttpError> {
        if request.body().is_end_stream() {
            return Ok(());
        }
        Err(HttpError::new(StatusCode::BAD_REQUEST, "bad_message", "a stream is opened without a body"))
    }
}
#[cfg(any(feature = "ws", feature = "sse"))]
use opening::{check_body, open};
