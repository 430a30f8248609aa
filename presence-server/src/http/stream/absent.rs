//! What a server answers where a kind of transport is not built in.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
#[cfg(not(feature = "sse"))]
use presence_core::port::transport::Inlet;

use crate::config::Config;
use crate::connection::{Connections, Hello};
#[cfg(not(feature = "sse"))]
use crate::http::answer::Answer;
use crate::http::answer::HttpError;
use crate::http::connection::Leave;

fn not_built_in(kind: &str, feature: &str) -> HttpError {
    let message = format!("{kind} is not built into this server: build it with `--features {feature}`");
    HttpError::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// `GET /ws`.
#[cfg(not(feature = "ws"))]
pub(in crate::http) fn web_socket(
    _: &Request<Incoming>,
    _: SocketAddr,
    _: Hello,
    _: &Config,
    _: &Arc<Connections>,
) -> Result<Leave, HttpError> {
    Err(not_built_in("WebSocket", "ws"))
}

/// `GET /sse`.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn event_stream(
    _: &Request<Incoming>,
    _: SocketAddr,
    _: Hello,
    _: &Config,
    _: &Arc<Connections>,
) -> Result<Leave, HttpError> {
    Err(not_built_in("SSE", "sse"))
}

/// Of what there is none.
#[cfg(not(feature = "sse"))]
#[derive(Debug, Default)]
pub(in crate::http) struct SharedStreams;

#[cfg(not(feature = "sse"))]
impl SharedStreams {
    pub(in crate::http) fn len(&self) -> usize {
        0
    }

    pub(in crate::http) fn drain(&self) {}
}

/// `GET /sse/shared`.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn shared_stream(
    _: &Request<Incoming>,
    _: Hello,
    _: &Config,
    _: &Connections,
    _: &Arc<SharedStreams>,
) -> Result<Leave, HttpError> {
    Err(not_built_in("SSE", "sse"))
}

/// `POST /sse/shared/{shared_id}`.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn open_on_shared(
    _: &str,
    _: &Request<Incoming>,
    _: SocketAddr,
    _: Hello,
    _: &Config,
    _: &Arc<Connections>,
    _: &SharedStreams,
) -> Result<Answer, HttpError> {
    Err(not_built_in("SSE", "sse"))
}

/// `DELETE /sse/{connection_id}`.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn end(_: &str, _: &Connections) -> Result<Answer, HttpError> {
    Err(not_built_in("SSE", "sse"))
}

/// `POST /sse/{connection_id}`: there is no stream to post to.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn way_in(_: &str, _: &Connections) -> Result<Arc<dyn Inlet>, HttpError> {
    Err(not_built_in("SSE", "sse"))
}

/// What [`way_in`] never lets anybody do.
#[cfg(not(feature = "sse"))]
pub(in crate::http) fn post(_: &dyn Inlet, _: &bytes::Bytes, _: &Config) -> Result<Answer, HttpError> {
    Err(not_built_in("SSE", "sse"))
}
