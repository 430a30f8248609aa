//! Event streams (Server-Sent Events, WHATWG HTML section 9.2): a response that never ends carries the server's messages
//! down, and what the client says comes up in requests of their own.
//!
//! The stream is a socket without HTTP around it once its head has been written, so that an idle one costs what an idle
//! WebSocket costs. Nothing here reads what a message means: a post is only taken apart into its messages.

mod event;
mod inbox;
mod lanes;
mod post;
mod shared;
mod stream;
mod transport;

pub use post::{PostedError, messages_of};
pub use shared::{JoinError, Shared, SharedConfig, SharedSseTransport};
pub use stream::{StreamError, accept};
pub use transport::SseTransport;

/// Bytes that a client may send after its request, where it has nothing to say.
const STRAY_BYTES_MAX: usize = 1024;

/// What an event stream may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseConfig {
    /// Largest message from a client, in bytes.
    pub message_bytes_max: usize,
    /// Posted messages that may wait to be taken in.
    pub posts_max: usize,
}
