//! The wire of a client, whichever kind it is.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use tungstenite::Message;

use super::{Kind, Received, SseWire, WsWire};

/// An open connection to a server.
#[derive(Debug)]
pub enum Wire {
    /// A WebSocket.
    Ws(Box<WsWire>),
    /// An event stream.
    Sse(Box<SseWire>),
}

impl Wire {
    /// Opens one. `query` begins with a question mark, or is empty.
    ///
    /// # Errors
    /// If the server refuses; the error has its answer.
    pub async fn connect(
        kind: Kind,
        server: SocketAddr,
        query: &str,
        headers: &[(String, String)],
        receive_buffer: Option<usize>,
    ) -> Result<Self> {
        Ok(match kind {
            Kind::Ws => {
                let path = format!("/ws{query}");
                Self::Ws(Box::new(WsWire::connect(server, &path, headers, receive_buffer).await?))
            }
            Kind::Sse => {
                let path = format!("/sse{query}");
                Self::Sse(Box::new(SseWire::connect(server, &path, headers, receive_buffer).await?))
            }
            Kind::Shared => {
                let (path, query) = (format!("/sse/shared{query}"), query);
                let mut wire = SseWire::connect(server, &path, headers, receive_buffer).await?;
                wire.share(query).await?;
                Self::Sse(Box::new(wire))
            }
        })
    }

    /// The next text, or the end. Cancel-safe.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn recv(&mut self) -> Result<Received> {
        match self {
            Self::Ws(wire) => wire.recv().await,
            Self::Sse(wire) => wire.recv().await,
        }
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Ws(wire) => wire.send_text(text).await,
            Self::Sse(wire) => wire.send_text(text).await,
        }
    }

    /// Sends a message that is not text, where the wire has such messages.
    ///
    /// # Errors
    /// If it has none, or the connection is gone.
    pub async fn send_binary(&mut self) -> Result<()> {
        match self {
            Self::Ws(wire) => wire.send(Message::binary(vec![1])).await,
            Self::Sse(_) => bail!("everything that is posted is text"),
        }
    }

    /// Says that this is the end; why, only if the wire can say that.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn close(&mut self, code: u16) -> Result<()> {
        match self {
            Self::Ws(wire) => wire.send_close(code).await,
            Self::Sse(wire) => wire.end().await,
        }
    }

    /// Gives up what it does not need to listen.
    pub fn rest(&mut self) {
        match self {
            Self::Ws(_) => {}
            Self::Sse(wire) => wire.rest(),
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        match self {
            Self::Ws(wire) => wire.reset(),
            Self::Sse(wire) => wire.reset(),
        }
    }
}
