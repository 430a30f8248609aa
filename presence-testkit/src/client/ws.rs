//! The WebSocket of a client, with nothing between a test and the frames.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::Received;
use crate::contract::transport::Peer;

/// An open WebSocket, on the client's side.
pub struct WsWire {
    stream: TcpStream,
    codec: WebSocketContext,
    /// Received, not yet decoded.
    input: Vec<u8>,
    /// The close code that the server gave.
    closed: Option<Option<u16>>,
}

impl std::fmt::Debug for WsWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WsWire").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl WsWire {
    /// Shakes hands with a server.
    ///
    /// # Errors
    /// If the server refuses; the error has its answer.
    pub async fn connect(
        server: SocketAddr,
        path: &str,
        headers: &[(String, String)],
        receive_buffer: Option<usize>,
    ) -> Result<Self> {
        let mut stream = super::dial(server, receive_buffer).await?;
        let own: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{own}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let (head, rest) = super::head_of_answer(&mut stream).await?;
        if !head.starts_with("HTTP/1.1 101") {
            return Err(super::refused(stream, head, rest).await);
        }
        // The example of RFC 6455 section 1.3 has this key and this answer to it.
        if !head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
            bail!("the server does not know the key: {head}");
        }
        Ok(Self::over(stream, rest))
    }

    /// Speaks over a stream on which hands have been shaken; `input` came along with that.
    pub fn over(stream: TcpStream, input: Vec<u8>) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let codec = WebSocketContext::new(Role::Client, Some(config));
        Self { stream, codec, input, closed: None }
    }

    /// The next text, or the end. Pings are answered on the way. Cancel-safe.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn recv(&mut self) -> Result<Received> {
        loop {
            if let Some(code) = self.closed {
                return Ok(Received::Closed(code));
            }
            if let Some(text) = self.decode()? {
                return Ok(Received::Text(text));
            }
            if self.closed.is_none() && self.stream.read_buf(&mut self.input).await? == 0 {
                self.closed = Some(None);
            }
        }
    }

    fn decode(&mut self) -> Result<Option<String>> {
        let mut wire = Memory { input: &self.input, output: Vec::new() };
        let decoded = loop {
            match self.codec.read(&mut wire) {
                Ok(Message::Text(text)) => break Some(text.to_string()),
                Ok(Message::Close(frame)) => self.closed = Some(frame.map(|frame| frame.code.into())),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break None,
                Err(error) => return Err(error).context("the server broke the protocol"),
            }
            if self.closed.is_some() {
                let _ = self.codec.flush(&mut wire);
                break None;
            }
        };
        let (left, output) = (wire.input.len(), wire.output);
        self.input.drain(..self.input.len() - left);
        // Replies are small, and a server that does not take them is gone.
        if !output.is_empty() {
            let _ = self.stream.try_write(&output);
        }
        Ok(decoded)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        self.send(Message::text(text)).await
    }

    /// Sends a close frame.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_close(&mut self, code: u16) -> Result<()> {
        self.send(Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: "".into() }))).await
    }

    /// Sends any message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, message: Message) -> Result<()> {
        let bytes = self.encode(message)?;
        self.send_bytes(&bytes).await
    }

    /// A message as it goes over the wire.
    ///
    /// # Errors
    /// If nothing may be sent any more.
    pub fn encode(&mut self, message: Message) -> Result<Vec<u8>> {
        let mut wire = Memory { input: &[], output: Vec::new() };
        match self.codec.write(&mut wire, message).and_then(|()| self.codec.flush(&mut wire)) {
            Ok(()) | Err(Error::ConnectionClosed) => Ok(wire.output),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Whether something has been received that was not decoded yet, so that `recv` may not have to wait.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        // Without it the kernel would say goodbye.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// A socket made of memory.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Read::read(&mut self.input, buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Peer for WsWire {
    async fn send_texts(&mut self, texts: &[&str]) -> Result<()> {
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend(self.encode(Message::text(*text))?);
        }
        self.send_bytes(&bytes).await
    }

    async fn send_in_pieces(&mut self, text: &str) -> Result<()> {
        for byte in self.encode(Message::text(text))? {
            self.send_bytes(&[byte]).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn send_binary(&mut self) -> Result<()> {
        self.send(Message::binary(vec![1, 2, 3])).await
    }

    async fn recv(&mut self) -> Result<Received> {
        WsWire::recv(self).await
    }

    async fn close(&mut self, code: u16) -> Result<()> {
        self.send_close(code).await
    }

    fn reset(self: Box<Self>) {
        WsWire::reset(*self);
    }
}
