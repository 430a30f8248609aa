//! `GET /ws`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use presence_transport_ws::{WsConfig, WsTransport, accept};

use super::{check_body, open};
use crate::config::Config;
use crate::connection::{Connections, Hello};
use crate::http::answer::HttpError;
use crate::http::connection::Leave;

/// Opens a WebSocket.
pub(in crate::http) fn web_socket(
    request: &Request<Incoming>,
    peer: SocketAddr,
    hello: Hello,
    config: &Config,
    connections: &Arc<Connections>,
) -> Result<Leave, HttpError> {
    check_body(request)?;
    let head =
        accept(request).map_err(|error| HttpError::new(error.status(), "bad_message", error.to_string()))?;
    let stall = Duration::from_millis(config.stall_ms);
    let message_bytes_max = u32::try_from(config.message_bytes_max).unwrap_or(u32::MAX);
    let config = WsConfig { message_bytes_max, fragments_max: config.fragments_max };
    open(head, connections, hello, move |socket, early| {
        // The heartbeat finds the dead; who is alive and does not read has longer.
        socket.set_patience(stall);
        WsTransport::new(socket, peer, &early, config)
    })
}
