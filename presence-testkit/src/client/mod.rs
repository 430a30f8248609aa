//! A client on real sockets. It keeps a transcript and a [`View`] of each room; a message that breaks an invariant is
//! an error of the call that received it.

mod chunks;
pub mod events;
mod sse;
mod streams;
mod wire;
mod ws;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::http::is_whole;
use crate::inbox::Inbox;
use crate::view::View;
use crate::window::WindowView;
use crate::wire::{Ack, ServerMessage};
pub use sse::SseWire;
pub use wire::Wire;
pub use ws::WsWire;

/// How long a client waits for what should come: long enough for a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many acks are kept for those who ask for them.
const ACKS_KEPT: usize = 10_000;

/// How many of the last messages a failure shows.
const SHOWN: usize = 30;

/// The kinds of transport. Every end-to-end test runs on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WebSocket.
    Ws,
    /// Server-Sent Events, and posts.
    Sse,
    /// The same on a stream that others could share.
    Shared,
}

/// What comes over a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Text(String),
    /// The end, with the server's close code if it gave one.
    Closed(Option<u16>),
}

/// Who connects.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user. Like the others, as it stands in a URL.
    pub user: String,
    /// The session; the server chooses one if absent.
    pub session: Option<String>,
    /// Which of this client's requests for a connection it is.
    pub attempt: Option<String>,
    /// What others read; their id if absent.
    pub name: Option<String>,
    /// A token, to be carried in the URL.
    pub token: Option<String>,
    /// Headers of the request that opens the connection, and of posts.
    pub headers: Vec<(String, String)>,
    /// Bytes of the socket's receive buffer, for a client that is meant to stop reading.
    pub receive_buffer: Option<usize>,
}

impl Credentials {
    /// A user, with a session.
    pub fn new(user: &str, session: &str) -> Self {
        Self { user: user.to_owned(), session: Some(session.to_owned()), ..Self::default() }
    }

    fn query(&self) -> String {
        let mut query = format!("?user_id={}", self.user);
        let others = [
            ("session_id", &self.session),
            ("attempt", &self.attempt),
            ("user_name", &self.name),
            ("token", &self.token),
        ];
        for (name, value) in others.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query.push_str(&format!("&{name}={value}"));
        }
        query
    }
}

/// A client.
#[derive(Debug)]
pub struct Client {
    name: String,
    wire: Wire,
    views: BTreeMap<String, View>,
    windows: BTreeMap<String, WindowView>,
    inbox: Inbox,
    sent: u64,
    /// Acks that nobody has asked for yet.
    acks: Vec<Ack>,
    transcript: Vec<String>,
}

impl Client {
    /// Connects without saying who it is.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn anonymous(kind: Kind, server: SocketAddr) -> Result<Self> {
        Self::open(kind, server, "anonymous", "", &Credentials::default()).await
    }

    /// Connects, says in the URL who it is, and waits for `connected`.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn connect(kind: Kind, server: SocketAddr, who: &Credentials) -> Result<Self> {
        let mut client = Self::open(kind, server, &who.user, &who.query(), who).await?;
        client.wait_for("connected", |message| matches!(message, ServerMessage::Connected(_))).await?;
        Ok(client)
    }

    /// Connects and enters a room.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn enter(kind: Kind, server: SocketAddr, who: &Credentials, room: &str) -> Result<Self> {
        let mut client = Self::connect(kind, server, who).await?;
        client.join(room).await?;
        Ok(client)
    }

    async fn open(
        kind: Kind,
        server: SocketAddr,
        name: &str,
        query: &str,
        who: &Credentials,
    ) -> Result<Self> {
        let mut wire = Wire::connect(kind, server, query, &who.headers, who.receive_buffer).await?;
        if let (Wire::Sse(wire), Some(token)) = (&mut wire, &who.token) {
            wire.present(token);
        }
        Ok(Self {
            name: name.to_owned(),
            wire,
            views: BTreeMap::new(),
            windows: BTreeMap::new(),
            inbox: Inbox::default(),
            sent: 0,
            acks: Vec::new(),
            transcript: Vec::new(),
        })
    }

    /// Its user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it sees of a room it has entered.
    ///
    /// # Panics
    /// If it has not.
    pub fn view(&self, room: &str) -> &View {
        self.views.get(room).expect("the client has entered the room")
    }

    /// What it sees of a room of which it watches a window.
    ///
    /// # Panics
    /// If it does not.
    pub fn window(&self, room: &str) -> &WindowView {
        self.windows.get(room).expect("the client watches the room")
    }

    /// The raw wire.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.send_text(&message.to_string()).await
    }

    /// Sends any text.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        self.transcript.push(format!("→ {text}"));
        self.wire.send_text(text).await
    }

    /// Enters a room and waits for its snapshot.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn join(&mut self, room: &str) -> Result<()> {
        self.send(&json!({"type": "presence:join", "room": room})).await?;
        self.wait_for(
            "snapshot",
            |message| matches!(message, ServerMessage::CurrentUsers(snapshot) if snapshot.room == room),
        )
        .await?;
        Ok(())
    }

    /// Comes back on a connection of its own, perhaps to another server, and still knows what it has seen.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn come_back(self, kind: Kind, server: SocketAddr, who: &Credentials) -> Result<Self> {
        let mut back = Self::connect(kind, server, who).await?;
        let mut before = self;
        back.take_over(&mut before);
        Ok(back)
    }

    /// Goes on with what an earlier connection has seen.
    pub fn take_over(&mut self, before: &mut Self) {
        self.views.append(&mut before.views);
        // What came before the answer to the handshake is newer.
        let early = std::mem::replace(&mut self.inbox, std::mem::take(&mut before.inbox));
        self.inbox.reconnect();
        self.inbox.follow(early);
        self.acks.splice(0..0, before.acks.drain(..));
        self.sent = before.sent;
        self.transcript.splice(0..0, before.transcript.drain(..));
    }

    /// Enters a room with what it knows of it, and gives all that the room says up to the last word: `synced`, or a
    /// snapshot.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn resume(&mut self, room: &str) -> Result<Vec<ServerMessage>> {
        let view = self.view(room);
        let since = json!({"epoch": view.epoch(), "version": view.version()});
        self.send(&json!({"type": "presence:join", "room": room, "since": since})).await?;
        let mut got = Vec::new();
        loop {
            let message = self.next().await?;
            let last = matches!(message, ServerMessage::Synced(_) | ServerMessage::CurrentUsers(_));
            if message.room() == Some(room) {
                got.push(message);
            }
            if last {
                return Ok(got);
            }
        }
    }

    /// Asks whether its view is right, and waits for `synced`: everything that the room had said when it was asked
    /// has then been received and checked.
    ///
    /// # Errors
    /// If the view is wrong.
    pub async fn settle(&mut self, room: &str) -> Result<()> {
        self.until(room, "a snapshot is there", |view| view.snapshots() > 0).await?;
        let view = self.view(room);
        let (epoch, version, digest) = (view.epoch(), view.version(), view.digest());
        let sync = json!({
            "type": "presence:sync", "room": room, "epoch": epoch, "version": version, "digest": digest, "ref": "settle",
        });
        self.send(&sync).await?;
        self.wait_for(
            "synced",
            |message| matches!(message, ServerMessage::Synced(synced) if synced.room == room),
        )
        .await?;
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    /// If none comes in time, the connection ends, or the message breaks an invariant.
    pub async fn next(&mut self) -> Result<ServerMessage> {
        let received = tokio::time::timeout(PATIENCE, self.wire.recv()).await;
        let received = received.map_err(|_| self.failure("nothing came"))?;
        match received.map_err(|error| self.failure(&format!("{error:#}")))? {
            Received::Closed(code) => Err(self.failure(&format!("the server closed with {code:?}"))),
            Received::Text(text) => self.take_in(text).await,
        }
    }

    async fn take_in(&mut self, text: String) -> Result<ServerMessage> {
        let message = ServerMessage::parse(&text).with_context(|| format!("{}: {text}", self.name))?;
        self.transcript.push(format!("← {text}"));
        if let ServerMessage::Ping(ping) = &message {
            let pong = json!({"type": "pong", "timestamp": ping.timestamp});
            // The connection may be closing; the next receive tells.
            let _ = self.wire.send_text(&pong.to_string()).await;
        }
        let taken = self.inbox.apply(&message);
        taken.map_err(|misdelivery| {
            let text = self.failure(&misdelivery.to_string()).to_string();
            anyhow::Error::new(misdelivery).context(text)
        })?;
        if let ServerMessage::Ack(ack) = &message {
            // Who does not ask for them does not want them.
            self.acks.truncate(ACKS_KEPT);
            self.acks.push(ack.clone());
        }
        // A failure shows the last ones only.
        if self.transcript.len() > 10 * SHOWN {
            self.transcript.drain(..9 * SHOWN);
        }
        if let ServerMessage::Window(shown) = &message {
            let applied = self.windows.entry(shown.room.clone()).or_default().apply(shown);
            applied.map_err(|violation| self.failure(&violation.to_string()))?;
        }
        if let Some(room) = message.room() {
            let applied = self.views.entry(room.to_owned()).or_default().apply(&message);
            applied.map_err(|violation| self.failure(&violation.to_string()))?;
        }
        Ok(message)
    }

    /// Receives until a message is `wanted`; `what` names it.
    ///
    /// # Errors
    /// If it does not come in time.
    pub async fn wait_for(
        &mut self,
        what: &str,
        wanted: impl Fn(&ServerMessage) -> bool,
    ) -> Result<ServerMessage> {
        let search = async {
            loop {
                let message = self.next().await?;
                if wanted(&message) {
                    return anyhow::Ok(message);
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found.with_context(|| format!("{what} did not come")),
            Err(_) => Err(self.failure(&format!("{what} did not come in time"))),
        }
    }

    /// Receives until the view of a room is as `wanted`; `what` names that.
    ///
    /// # Errors
    /// If it does not get so in time.
    pub async fn until(&mut self, room: &str, what: &str, wanted: impl Fn(&View) -> bool) -> Result<()> {
        let search = async {
            while !self.views.get(room).is_some_and(&wanted) {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found.with_context(|| format!("not so: {what}")),
            Err(_) => Err(self.failure(&format!("not so in time: {what}"))),
        }
    }

    /// Receives until the window of a room is as `wanted`; `what` names that.
    ///
    /// # Errors
    /// If it does not get so in time.
    pub async fn until_window(
        &mut self,
        room: &str,
        what: &str,
        wanted: impl Fn(&WindowView) -> bool,
    ) -> Result<()> {
        let search = async {
            while !self.windows.get(room).is_some_and(&wanted) {
                self.next().await?;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found.with_context(|| format!("not so: {what}")),
            Err(_) => Err(self.failure(&format!("not so in time: {what}"))),
        }
    }

    /// Receives until the end. Gives the server's close code.
    ///
    /// # Errors
    /// If the connection goes on.
    pub async fn closed(&mut self) -> Result<Option<u16>> {
        let search = async {
            loop {
                match self.wire.recv().await {
                    Ok(Received::Closed(code)) => return Ok(code),
                    Ok(Received::Text(text)) => {
                        self.take_in(text).await?;
                    }
                    Err(_) => return Ok(None),
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| Err(anyhow!("the connection goes on")))
    }

    /// Waits for an error, and gives its code and field.
    ///
    /// # Errors
    /// If none comes.
    pub async fn refusal(&mut self) -> Result<(String, Option<String>)> {
        match self.wait_for("an error", |message| matches!(message, ServerMessage::Error(_))).await? {
            ServerMessage::Error(refusal) => Ok((refusal.code, refusal.field)),
            other => bail!("{other:?} is no error"),
        }
    }

    /// Closes in good order with a code (1000: done, 1001: the page goes away), and waits for the server to end it
    /// too. A wire without close codes leaves its rooms first if it is done.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn close(mut self, code: u16) -> Result<()> {
        if matches!(self.wire, Wire::Sse(_)) && code == 1000 {
            for room in self.views.keys().chain(self.windows.keys()).cloned().collect::<Vec<_>>() {
                self.send(&json!({"type": "presence:leave", "room": room})).await?;
            }
        }
        self.wire.close(code).await?;
        self.closed().await?;
        Ok(())
    }

    /// Ends the connection with a reset: no goodbye.
    pub fn reset(self) {
        self.wire.reset();
    }

    fn failure(&self, why: &str) -> anyhow::Error {
        let mut text = format!("{}: {why}\n", self.name);
        for line in self.transcript.iter().skip(self.transcript.len().saturating_sub(SHOWN)) {
            let shown: String = line.chars().take(400).collect();
            let _ = writeln!(text, "  {shown}");
        }
        anyhow!(text)
    }
}

/// A socket to a server.
async fn dial(server: SocketAddr, receive_buffer: Option<usize>) -> Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(u32::try_from(bytes)?)?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The error of a request that was refused: it has the whole answer, for the body says why.
async fn refused(mut stream: TcpStream, head: String, rest: Vec<u8>) -> anyhow::Error {
    let mut answer = [head.into_bytes(), rest].concat();
    while !is_whole(&answer) && stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    anyhow!("refused: {}", String::from_utf8_lossy(&answer))
}

/// The head of an answer, and what came along with it.
async fn head_of_answer(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut answer = Vec::new();
    loop {
        if let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = answer.split_off(at + 4);
            return Ok((String::from_utf8(answer)?, rest));
        }
        if stream.read_buf(&mut answer).await? == 0 {
            bail!("no answer but {:?}", String::from_utf8_lossy(&answer));
        }
    }
}
