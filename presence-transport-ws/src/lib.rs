//! WebSocket connections (RFC 6455): the handshake as a request and its answer, then a socket without HTTP around it,
//! so that an idle connection costs a socket, a small task and no buffer.
//!
//! tungstenite does the protocol of what comes in: masks, fragments, control frames, UTF-8, limits. What goes out is
//! framed into a buffer that all connections of a thread share and leaves in one write. Nothing here parses a message
//! or knows what presence is.

mod frames;
mod handshake;
mod transport;

pub use handshake::{HandshakeError, accept};
pub use transport::WsTransport;

/// The subprotocol that is echoed when a client offers it.
pub const SUBPROTOCOL: &str = "presence.v1";

/// What a WebSocket connection may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WsConfig {
    /// Largest message from a client, in bytes.
    pub message_bytes_max: u32,
    /// Most pieces that a message may come in; one more ends the connection with 4500.
    pub fragments_max: u32,
}
