//! The request that opens a stream, and the head of its answer.

use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

/// Why a request does not open an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Not a GET.
    #[error("an event stream is opened with GET")]
    Method,
}

impl StreamError {
    /// The status that fits.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// The answer to a request that asks for a stream. Once it has been written, the socket is one: hand it to
/// [`SseTransport::new`](crate::SseTransport::new).
///
/// Its body ends with the connection, since it has no length and needs no other end. The headers ask whatever lies
/// between to pass every event on at once: not to gather, not to compress, not to keep.
///
/// # Errors
/// If the request can not ask for one.
pub fn accept<B>(request: &Request<B>) -> Result<Response<()>, StreamError> {
    if request.method() != Method::GET {
        return Err(StreamError::Method);
    }
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}
