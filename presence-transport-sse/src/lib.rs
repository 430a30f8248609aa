//! Server-Sent Events down, POST up: the second kind of connection.
//!
//! Empty for now: the seam it will fill is [`presence_core::port::transport::Transport`].
