//! An event stream of a client and what it posts, with nothing between a test and the bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::chunks::Chunks;
use super::events::{Event, Events};
use super::{PATIENCE, Received};
use crate::wire::ServerMessage;

/// An open event stream, and the connection that posts to it.
#[derive(Debug)]
pub struct SseWire {
    server: SocketAddr,
    stream: TcpStream,
    /// For a stream that comes in chunks, as a proxy sends it.
    chunks: Option<Chunks>,
    events: Events,
    /// Received, and not asked for yet.
    received: VecDeque<Received>,
    /// Where to post to, once the server has said so.
    connection: Option<String>,
    /// On a stream that others could share: only events of this name are heard.
    only: Option<String>,
    /// What goes along with every request.
    headers: Vec<(String, String)>,
    /// The token that goes along with every post.
    token: Option<String>,
    /// The token of an `auth` that has not been answered.
    offered: Option<String>,
    posting: Option<TcpStream>,
    last_event_id: Option<String>,
    retry: Option<u64>,
}

impl SseWire {
    /// Opens a stream.
    ///
    /// # Errors
    /// If the server refuses; the error has its answer.
    pub async fn connect(
        server: SocketAddr,
        path: &str,
        headers: &[(String, String)],
        receive_buffer: Option<usize>,
    ) -> Result<Self> {
        let stream = super::dial(server, receive_buffer).await?;
        Self::open(stream, server, path, headers).await
    }

    /// Opens a stream over a connection that is there already.
    ///
    /// # Errors
    /// If the server refuses; the error has its answer.
    pub async fn open(
        mut stream: TcpStream,
        server: SocketAddr,
        path: &str,
        headers: &[(String, String)],
    ) -> Result<Self> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let (head, rest) = super::head_of_answer(&mut stream).await?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(super::refused(stream, head, rest).await);
        }
        ensure!(
            head.to_lowercase().contains("content-type: text/event-stream"),
            "not an event stream: {head}"
        );
        let mut wire = Self::over(server, stream);
        wire.headers = headers.to_vec();
        wire.chunks = head.to_lowercase().contains("transfer-encoding: chunked").then(Chunks::default);
        wire.take_bytes(&rest)?;
        Ok(wire)
    }

    /// Reads events from a stream whose head has been read.
    pub fn over(server: SocketAddr, stream: TcpStream) -> Self {
        Self {
            server,
            stream,
            chunks: None,
            events: Events::default(),
            received: VecDeque::new(),
            connection: None,
            only: None,
            headers: Vec::new(),
            token: None,
            offered: None,
            posting: None,
            last_event_id: None,
            retry: None,
        }
    }

    /// Opens a connection on the stream, which is a shared one. `query` begins with a question mark, or is empty.
    ///
    /// # Errors
    /// If the server refuses; the error has its answer.
    pub async fn share(&mut self, query: &str) -> Result<()> {
        let Received::Text(greeting) = self.recv().await? else { bail!("the shared stream has ended") };
        let greeting: Value = serde_json::from_str(&greeting)?;
        let id = greeting["shared_id"].as_str().context("the first event of a shared stream names it")?;
        let mut request = format!(
            "POST /sse/shared/{id}{query} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n",
            self.server
        );
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut posting = super::dial(self.server, None).await?;
        let (status, body) = exchange(&mut posting, (request + "\r\n").as_bytes()).await?;
        ensure!(status == 201, "refused: HTTP/1.1 {status}\r\n\r\n{body}");
        self.posting = Some(posting);
        let opened: Value = serde_json::from_str(&body)?;
        self.only = opened["connection_id"].as_str().map(str::to_owned);
        self.connection = self.only.clone();
        Ok(())
    }

    /// Posts with this token from now on.
    pub fn present(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Where to post to, once the server has said so.
    pub fn post_path(&self) -> Option<String> {
        self.connection.as_ref().map(|connection| format!("/sse/{connection}"))
    }

    /// The id of the last event that had one.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// After how many milliseconds a browser would come back.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Receives until the first message that is wanted.
    ///
    /// # Errors
    /// If it does not come in time, or the stream ends before.
    pub async fn wait_for(&mut self, wanted: impl Fn(&ServerMessage) -> bool) -> Result<ServerMessage> {
        let search = async {
            loop {
                match self.recv().await? {
                    Received::Text(text) => {
                        let message = ServerMessage::parse(&text)?;
                        if wanted(&message) {
                            return Ok(message);
                        }
                    }
                    Received::Closed(code) => bail!("the stream ended with {code:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.context("it did not come in time")?
    }

    /// The next text, or the end. Cancel-safe.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn recv(&mut self) -> Result<Received> {
        loop {
            if let Some(received) = self.received.pop_front() {
                if matches!(received, Received::Closed(_)) {
                    self.received.push_front(received.clone());
                }
                return Ok(received);
            }
            while let Some(event) = self.events.pop() {
                self.take_in(event)?;
            }
            if !self.received.is_empty() {
                continue;
            }
            // A proxy may keep the connection for another request.
            let mut over = self.chunks.as_ref().is_some_and(Chunks::is_over);
            if !over {
                let mut bytes = Vec::with_capacity(64 * 1024);
                over = self.stream.read_buf(&mut bytes).await? == 0;
                self.take_bytes(&bytes)?;
            }
            if over {
                self.received.push_back(Received::Closed(None));
            }
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.chunks {
            Some(chunks) => self.events.push(&chunks.take(bytes)?),
            None => self.events.push(bytes),
        }
        Ok(())
    }

    fn take_in(&mut self, event: Event) -> Result<()> {
        self.last_event_id = event.id.or(self.last_event_id.take());
        self.retry = event.retry.or(self.retry);
        if self.only.is_some() && self.only != event.event {
            return Ok(());
        }
        let Some(data) = event.data else { return Ok(()) };
        // A text that is no message is for the reader to judge.
        let received = match ServerMessage::parse(&data) {
            Ok(ServerMessage::Close(close)) => Received::Closed(Some(close.code)),
            Ok(ServerMessage::Opened(opened)) => {
                self.connection = Some(opened.connection_id);
                Received::Text(data)
            }
            Ok(ServerMessage::Connected(connected)) => {
                self.connection = Some(connected.connection_id);
                // The token was good.
                self.token = self.offered.take().or(self.token.take());
                Received::Text(data)
            }
            Ok(ServerMessage::Error(_)) => {
                self.offered = None;
                Received::Text(data)
            }
            _ => Received::Text(data),
        };
        self.received.push_back(received);
        Ok(())
    }

    /// Posts a message. A refusal is received like an answer that comes down the stream, as an SDK would have it.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        while self.connection.is_none() {
            let event = loop {
                if let Some(event) = self.events.pop() {
                    break event;
                }
                let mut bytes = Vec::new();
                ensure!(
                    self.stream.read_buf(&mut bytes).await? > 0,
                    "the stream ended before it was connected"
                );
                self.take_bytes(&bytes)?;
            };
            self.take_in(event)?;
        }
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        self.offered = message["token"].as_str().map(str::to_owned).or(self.offered.take());
        let (status, body) = self.post(text.as_bytes()).await?;
        ensure!(!matches!(status, 404 | 409), "the stream is over: {body}");
        if status != 202 {
            let refusal: Value = serde_json::from_str(&body).with_context(|| format!("{status}: {body}"))?;
            let mut refusal = refusal["error"].clone();
            refusal["type"] = "error".into();
            self.received.push_back(Received::Text(refusal.to_string()));
        }
        Ok(())
    }

    /// Posts a body, and gives status and body of the answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&mut self, body: &[u8]) -> Result<(u16, String)> {
        let connection = self.connection.as_deref().context("the server has not said where to post to")?;
        let mut request = format!(
            "POST /sse/{connection} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.server,
            body.len(),
        );
        let token = self.token.iter().map(|token| ("Authorization", format!("Bearer {token}")));
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in own.chain(token) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend_from_slice(body);
        // The server may have closed a connection that was kept for the next post.
        if let Some(mut kept) = self.posting.take()
            && let Ok(answer) = exchange(&mut kept, &request).await
        {
            self.posting = Some(kept);
            return Ok(answer);
        }
        let mut fresh = super::dial(self.server, None).await?;
        let answer = exchange(&mut fresh, &request).await?;
        self.posting = Some(fresh);
        Ok(answer)
    }

    /// Ends the connection that is kept for the next post.
    pub fn rest(&mut self) {
        self.posting = None;
    }

    /// Ends the stream, as a page does that goes away.
    ///
    /// # Errors
    /// If it is gone already.
    pub async fn end(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        // Without it the kernel would say goodbye.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// One request and its answer, which says its length.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<(u16, String)> {
    stream.write_all(request).await?;
    let (head, mut body) = super::head_of_answer(stream).await?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok())
        .context("the answer does not say its length")?;
    while body.len() < length {
        ensure!(stream.read_buf(&mut body).await? > 0, "the answer is cut off");
    }
    Ok((status, String::from_utf8(body)?))
}
