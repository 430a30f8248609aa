//! Clients that mean no good, for measuring what they do to the others. They have a thread of their own, so that they take
//! no time from the clients that are measured, and an address of their own where that is possible, so that the server can
//! tell them apart.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Another loopback address than that of the well-behaved: all of 127.0.0.0/8 is loopback (RFC 1122 section 3.2.1.3).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Between two bytes of who is slow on purpose.
const TRICKLE: Duration = Duration::from_millis(100);

/// Before an attacker that was cut off or turned away tries again.
const PAUSE: Duration = Duration::from_millis(20);

const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const PING: u8 = 0x89;

/// What an attacker does, again and again, until it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Connects, and says nothing.
    Silence,
    /// Connects, and goes.
    Connects,
    /// Headers, byte by byte.
    SlowHeaders,
    /// A body, byte by byte.
    SlowBody,
    /// A body without end, as fast as it is taken.
    EndlessBody,
    /// Requests whose answers it does not read.
    DeafRequests,
    /// Connections that do not say who they are.
    Strangers,
    /// More messages than it may send.
    Messages,
    /// More rooms than it may enter.
    Joins,
    /// More pings than it may send.
    Pings,
    /// A message in pieces of nothing.
    Pieces,
    /// A message, byte by byte.
    SlowMessage,
    /// Messages that are too large.
    LargeMessages,
    /// Messages that are no JSON, or too deep, or have a name twice.
    BadJson,
}

impl Attack {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Silence,
        Self::Connects,
        Self::SlowHeaders,
        Self::SlowBody,
        Self::EndlessBody,
        Self::DeafRequests,
        Self::Strangers,
        Self::Messages,
        Self::Joins,
        Self::Pings,
        Self::Pieces,
        Self::SlowMessage,
        Self::LargeMessages,
        Self::BadJson,
    ];

    /// What reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Connects => "connects",
            Self::SlowHeaders => "slow headers",
            Self::SlowBody => "slow bodies",
            Self::EndlessBody => "endless bodies",
            Self::DeafRequests => "requests without reading",
            Self::Strangers => "strangers",
            Self::Messages => "messages",
            Self::Joins => "joins",
            Self::Pings => "pings",
            Self::Pieces => "pieces of nothing",
            Self::SlowMessage => "slow messages",
            Self::LargeMessages => "large messages",
            Self::BadJson => "bad JSON",
        }
    }

    /// Once, until the server has had enough.
    async fn once(self, server: SocketAddr, attacker: usize) -> io::Result<()> {
        let mut stream = dial(server).await?;
        let user = format!("attacker-{attacker}");
        match self {
            Self::Silence => drain(&mut stream).await,
            Self::Connects => Ok(()),
            Self::SlowHeaders => {
                stream.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\nA: ").await?;
                trickle(&mut stream).await
            }
            Self::SlowBody => {
                stream.write_all(b"POST /sse/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n").await?;
                trickle(&mut stream).await
            }
            Self::EndlessBody => {
                stream
                    .write_all(b"POST /sse/0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await?;
                pour(&mut stream, format!("4000\r\n{}\r\n", "x".repeat(0x4000)).as_bytes()).await
            }
            Self::DeafRequests => {
                pour(&mut stream, &b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50)).await
            }
            Self::Strangers => {
                open(&mut stream, "").await?;
                drain(&mut stream).await
            }
            Self::SlowMessage => {
                open(&mut stream, &user).await?;
                stream.write_all(&[TEXT, 0x80 | 126, 0xff, 0, 0, 0, 0, 0]).await?;
                trickle(&mut stream).await
            }
            Self::Messages
            | Self::Joins
            | Self::Pings
            | Self::Pieces
            | Self::LargeMessages
            | Self::BadJson => {
                open(&mut stream, &user).await?;
                stream.write_all(&frame(TEXT, br#"{"type":"presence:join","room":"attacked"}"#)).await?;
                pour(&mut stream, &self.flood()).await
            }
        }
    }

    /// What is sent over and over on an open connection.
    fn flood(self) -> Vec<u8> {
        match self {
            Self::Messages => frame(TEXT, br#"{"type":"presence:update","state":{"x":1}}"#).repeat(100),
            Self::Joins => (0..100)
                .flat_map(|room| {
                    frame(TEXT, format!(r#"{{"type":"presence:join","room":"tried-{room}"}}"#).as_bytes())
                })
                .collect(),
            Self::Pings => frame(PING, b"").repeat(1_000),
            Self::Pieces => [frame(TEXT_BEGINS, b""), frame(CONTINUES, b"").repeat(1_000)].concat(),
            Self::LargeMessages => frame(TEXT, &[b'x'; 70_000]),
            _ => [
                frame(
                    TEXT,
                    format!(r#"{{"type":"presence:update","state":{}"#, "[".repeat(10_000)).as_bytes(),
                ),
                frame(TEXT, br#"{"type":"presence:join","type":"presence:leave"}"#),
                frame(TEXT, br#"{"type":"\ud800"}"#),
            ]
            .concat(),
        }
    }
}

/// A masked frame (RFC 6455 section 5.2). A mask of zeros leaves the payload as it is.
fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn dial(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if matches!(server, SocketAddr::V4(address) if address.ip().is_loopback()) {
        // Not every system gives all of the network to everybody.
        let _ = socket.bind((ADDRESS, 0).into());
    }
    socket.connect(server).await
}

/// Opens a WebSocket; nobody's without a user.
async fn open(stream: &mut TcpStream, user: &str) -> io::Result<()> {
    let query = if user.is_empty() { String::new() } else { format!("?user_id={user}") };
    let request = format!(
        "GET /ws{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if head.starts_with(b"HTTP/1.1 101") { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
}

async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

async fn trickle(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(TRICKLE).await;
    }
}

async fn pour(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes).await?;
        // One attacker is not to keep the others from it.
        tokio::task::yield_now().await;
    }
}

/// Attackers at work.
#[derive(Debug)]
pub struct Attackers {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<u64>>,
}

impl Attackers {
    /// Sets `count` of them on a server.
    pub fn start(attack: Attack, server: SocketAddr, count: usize) -> Self {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(attack_until(stopped, attack, server, count)))
        });
        Self { stop, thread }
    }

    /// Stops them. Says how often they were cut off or turned away.
    ///
    /// # Errors
    /// If they could not work.
    pub fn stop(self) -> Result<u64> {
        // They may have failed, which joining tells.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the attackers panicked"))?
    }
}

async fn attack_until(
    mut stopped: oneshot::Receiver<()>,
    attack: Attack,
    server: SocketAddr,
    count: usize,
) -> u64 {
    let mut attacking = JoinSet::new();
    let mut ended = 0;
    for attacker in 0..count {
        attacking.spawn(again(attack, server, attacker));
    }
    loop {
        tokio::select! {
            _ = &mut stopped => return ended,
            Some(Ok(attacker)) = attacking.join_next() => {
                ended += 1;
                attacking.spawn(again(attack, server, attacker));
            }
        }
    }
}

async fn again(attack: Attack, server: SocketAddr, attacker: usize) -> usize {
    tokio::time::sleep(PAUSE).await;
    // However it ends: it was meant to be ended.
    let _ = attack.once(server, attacker).await;
    attacker
}
