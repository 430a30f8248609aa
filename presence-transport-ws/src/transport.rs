//! An open WebSocket as a [`Transport`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Cursor, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, FrameKind};
use presence_core::port::backlog::Backlog;
use presence_core::port::transport::{
    Departure, Incoming, Sent, Silence, Transport, TransportError, TransportInfo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::WsConfig;
use crate::frames::Frames;

/// Bytes that are read from a socket at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// A thread's write buffer that has grown beyond this is given back after use.
const WRITE_BUFFER_KEPT: usize = 1024 * 1024;

/// What tungstenite keeps of a connection that says nothing.
const CODEC_BUFFER: usize = 128;

/// Control replies that wait in tungstenite while the peer does not read; more replace each other.
const CONTROL_REPLIES_MAX: usize = 1024;

/// Bytes that a peer may still send after it was told to go.
const PARTING_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// Lent to one connection at a time between two awaits, so that none needs a buffer of its own.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
    static WRITE_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One open WebSocket on a socket, whether that is encrypted or not.
pub struct WsTransport<S> {
    socket: S,
    peer: SocketAddr,
    config: WsConfig,
    /// Only while there is something: without it the next bytes begin a frame, as they do for a new connection.
    under_way: Option<Box<UnderWay>>,
    /// Framed, and not taken by the socket yet.
    backlog: Backlog,
}

/// What has come and is not done with.
struct UnderWay {
    codec: WebSocketContext,
    /// Whether the codec has nothing that the next bytes go on with, and that is not on its way to the peer.
    spent: bool,
    /// Where in the frames that come it is.
    frames: Frames,
    /// Read, and not asked for yet.
    inbox: VecDeque<Incoming>,
    /// Why nothing more can be read.
    broken: Option<TransportError>,
}

impl UnderWay {
    fn new(config: WsConfig) -> Self {
        Self {
            codec: new_codec(config.message_bytes_max as usize),
            spent: true,
            frames: Frames::default(),
            inbox: VecDeque::new(),
            broken: None,
        }
    }

    fn next(&mut self) -> Option<Result<Incoming, TransportError>> {
        self.inbox.pop_front().map(Ok).or_else(|| self.broken.take().map(Err))
    }

    /// A pong that the socket does not take now, a close and a message that is not whole are still under way.
    fn is_over(&self) -> bool {
        self.spent && self.inbox.is_empty() && self.broken.is_none()
    }

    fn break_off(&mut self, error: TransportError) {
        self.broken.get_or_insert(error);
    }

    /// Goes through what has come, up to where it is not whole.
    fn decode(&mut self, mut wire: MemoryWire<'_>, config: WsConfig) {
        while self.broken.is_none() {
            match self.codec.read(&mut wire) {
                Ok(Message::Text(text)) => self.inbox.push_back(Incoming::Text(text.into())),
                Ok(Message::Binary(_)) => self.inbox.push_back(Incoming::Binary),
                Ok(Message::Pong(_)) => self.inbox.push_back(Incoming::Pong),
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Ok(Message::Close(frame)) => {
                    // The echo is on its way with this; tungstenite then reports the end, which is no news.
                    let _ = self.codec.flush(&mut wire);
                    self.spent = false;
                    self.inbox.push_back(Incoming::Left(departure(frame.as_ref())));
                    return;
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.broken = Some(describe(error, config)),
            }
        }
    }
}

fn describe(error: Error, config: WsConfig) -> TransportError {
    match error {
        Error::Capacity(_) => TransportError::TooLarge { limit: config.message_bytes_max as usize },
        Error::Io(error) => error.into(),
        error => TransportError::Protocol(error.to_string()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsTransport<S> {
    /// Takes over a socket after the handshake; `early` is what came along with it.
    pub fn new(socket: S, peer: SocketAddr, early: &[u8], config: WsConfig) -> Self {
        let mut transport = Self { socket, peer, config, under_way: None, backlog: Backlog::default() };
        if !early.is_empty() {
            transport.take_in(early);
        }
        transport
    }

    /// What came, as soon as something has.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        loop {
            if let Some(under_way) = &mut self.under_way {
                let next = under_way.next();
                if under_way.is_over() {
                    self.under_way = None;
                }
                if let Some(next) = next {
                    return Poll::Ready(next);
                }
            }
            if !self.backlog.is_empty() && self.poll_empty(cx)?.is_ready() {
                return Poll::Ready(Ok(Incoming::Drained));
            }
            if let Some(text) = ready!(self.poll_read(cx)) {
                return Poll::Ready(Ok(Incoming::Text(text)));
            }
        }
    }

    /// Reads what the socket has, up to one buffer. If that is one text, here it is; all else is under way from now on.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => {
                    self.under_way().break_off(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                Ok(()) => match self.lone_text(buffer.filled()) {
                    Some(text) => return Poll::Ready(Some(text)),
                    None => self.take_in(buffer.filled()),
                },
                Err(error) => self.under_way().break_off(error.into()),
            }
            Poll::Ready(None)
        })
    }

    /// The text that `bytes` are, if they are one and nothing else. Hardly ever do clients send anything else, and for that
    /// no codec has to be made and thrown away again. Whatever is wrong with a text is left to the codec to say.
    fn lone_text(&self, bytes: &[u8]) -> Option<Bytes> {
        if self.under_way.is_some() {
            return None;
        }
        let mut cursor = Cursor::new(bytes);
        let (header, len) = FrameHeader::parse(&mut cursor).ok()??;
        let masked = &bytes[cursor.position() as usize..];
        let whole = masked.len() as u64 == len && masked.len() <= self.config.message_bytes_max as usize;
        let (OpCode::Data(Data::Text), Some(mask), true) = (header.opcode, header.mask, whole) else {
            return None;
        };
        if !header.is_final || header.rsv1 || header.rsv2 || header.rsv3 {
            return None;
        }
        let mut text = masked.to_vec();
        unmask(&mut text, mask);
        std::str::from_utf8(&text).is_ok().then(|| text.into())
    }

    fn under_way(&mut self) -> &mut UnderWay {
        self.under_way.get_or_insert_with(|| Box::new(UnderWay::new(self.config)))
    }

    /// Takes whole messages out of `bytes`; tungstenite keeps what is not whole.
    fn take_in(&mut self, bytes: &[u8]) {
        let (config, blocked) = (self.config, !self.backlog.is_empty());
        let under_way = self.under_way();
        let seen = under_way.frames.pass(bytes);
        under_way.spent = !blocked && !under_way.frames.is_midway();
        let before = under_way.inbox.len();
        if seen.control > 0 {
            under_way.inbox.push_back(Incoming::Control(seen.control));
        }
        let mut replies = Vec::new();
        under_way.decode(MemoryWire { input: bytes, replies: &mut replies, blocked }, config);
        if seen.pieces > config.fragments_max {
            let rule = format!("a message may come in at most {} pieces", config.fragments_max);
            under_way.break_off(TransportError::Protocol(rule));
        }
        if under_way.broken.is_none() && under_way.frames.is_midway() {
            under_way.inbox.push_back(Incoming::Partial);
        } else if under_way.broken.is_none() && under_way.inbox.len() == before {
            under_way.inbox.push_back(Incoming::Alive);
        }
        if !replies.is_empty()
            && let Err(error) = self.write(&replies)
        {
            self.under_way().break_off(error.into());
        }
    }

    /// Writes as much as the socket takes and keeps the rest, after what waits already.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Nobody is to be woken: `recv` asks again as long as something waits.
        let mut cx = Context::from_waker(Waker::noop());
        let socket = &mut self.socket;
        self.backlog.write(bytes, |bytes| write_or_flush(socket, &mut cx, bytes))
    }

    /// Goes on with what waits. Ready once it is all out.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &mut self.socket;
        self.backlog.poll_empty(|bytes| write_or_flush(socket, cx, bytes))
    }
}

fn write_or_flush<S: AsyncWrite + Unpin>(
    socket: &mut S,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match bytes {
        [] => Pin::new(socket).poll_flush(cx).map_ok(|()| 0),
        bytes => Pin::new(socket).poll_write(cx, bytes),
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for WsTransport<S> {
    fn info(&self) -> TransportInfo {
        TransportInfo { kind: "ws", peer: self.peer, silence: Silence::IsDeath }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        self.poll_incoming(cx)
    }

    fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError> {
        WRITE_BUFFER
            .with_borrow_mut(|buffer| {
                frames.iter().for_each(|frame| encode(frame, buffer));
                let written = self.write(buffer);
                buffer.clear();
                buffer.shrink_to(WRITE_BUFFER_KEPT);
                written
            })
            .map_err(TransportError::from)?;
        Ok(if self.backlog.is_empty() { Sent::All } else { Sent::Waiting })
    }

    fn waiting_bytes(&self) -> usize {
        self.backlog.len()
    }

    async fn close(&mut self, reason: CloseReason) {
        if poll_fn(|cx| self.poll_empty(cx)).await.is_err() {
            return;
        }
        let mut replies = Vec::new();
        let mut wire = MemoryWire { input: &[], replies: &mut replies, blocked: false };
        let frame = CloseFrame { code: CloseCode::from(reason.code()), reason: reason.sentence().into() };
        // It refuses when the peer has closed first; then the echo has been written already.
        let codec = &mut self.under_way().codec;
        let _ = codec.close(&mut wire, Some(frame));
        if self.write(&replies).is_err() || poll_fn(|cx| self.poll_empty(cx)).await.is_err() {
            return;
        }
        if poll_fn(|cx| Pin::new(&mut self.socket).poll_shutdown(cx)).await.is_ok() {
            // Unread input would make the kernel reset the connection and with it the close frame. Who goes on for ever
            // has no use for that frame.
            let mut left = PARTING_BYTES_MAX;
            poll_fn(|cx| self.poll_to_end(cx, &mut left)).await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsTransport<S> {
    /// Reads and forgets whatever comes until the peer is done, or has said too much.
    fn poll_to_end(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            loop {
                let mut buffer = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => {
                        *left = left.saturating_sub(buffer.filled().len())
                    }
                    Ok(()) | Err(_) => return Poll::Ready(()),
                }
                if *left == 0 {
                    return Poll::Ready(());
                }
            }
        })
    }
}

/// Takes the mask off (RFC 6455 section 5.3). In whole words, so that the compiler does several at once.
fn unmask(text: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = text.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    rest.iter_mut().zip(mask).for_each(|(byte, key)| *byte ^= key);
}

fn new_codec(message_bytes_max: usize) -> WebSocketContext {
    let limits = WebSocketConfig::default()
        .read_buffer_size(CODEC_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_REPLIES_MAX)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    WebSocketContext::new(Role::Server, Some(limits))
}

/// What the peer's close code says of its return (RFC 6455 section 7.4.1). No code is as good as 1000.
fn departure(frame: Option<&CloseFrame>) -> Departure {
    match frame.map(|frame| frame.code) {
        None | Some(CloseCode::Normal | CloseCode::Status) => Departure::Finished,
        Some(CloseCode::Away) => Departure::GoingAway,
        Some(_) => Departure::Abrupt,
    }
}

/// Appends a frame's messages as unmasked text frames (RFC 6455 section 5.2), a heartbeat with a ping before them.
fn encode(frame: &Frame, out: &mut Vec<u8>) {
    if frame.kind() == FrameKind::Heartbeat {
        header(OpCode::Control(Control::Ping), 0, out);
    }
    for message in frame.messages() {
        header(OpCode::Data(Data::Text), message.text().len(), out);
        out.extend_from_slice(message.text());
    }
}

fn header(opcode: OpCode, len: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    header.format(len as u64, out).expect("a vector takes every write");
}

/// A socket made of memory: tungstenite reads from what has come and writes its replies into a buffer.
struct MemoryWire<'a> {
    input: &'a [u8],
    replies: &'a mut Vec<u8>,
    /// The real socket holds unwritten bytes: replies wait in tungstenite, which keeps the latest only.
    blocked: bool,
}

impl Read for MemoryWire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.input.read(buffer) }
    }
}

impl Write for MemoryWire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocked { Err(io::ErrorKind::WouldBlock.into()) } else { Write::write(self.replies, bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair() -> (WsTransport<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(1024);
        let config = WsConfig { message_bytes_max: 1024, fragments_max: 8 };
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        (WsTransport::new(server, peer, &[], config), client)
    }

    /// A mask of zeros leaves the payload as it is.
    const HELLO: [u8; 11] = *b"\x81\x85\0\0\0\0hello";

    #[tokio::test]
    async fn a_message_that_came_in_parts_costs_no_memory_once_it_is_there() {
        let (mut transport, mut client) = pair();
        client.write_all(&HELLO[..7]).await.unwrap();
        assert!(matches!(transport.recv().await, Ok(Incoming::Partial)));
        assert!(transport.under_way.is_some(), "it holds the beginning");
        client.write_all(&HELLO[7..]).await.unwrap();
        assert!(matches!(transport.recv().await, Ok(Incoming::Text(text)) if &*text == b"hello"));
        assert!(transport.under_way.is_none());
        client.write_all(&HELLO).await.unwrap();
        assert!(matches!(transport.recv().await, Ok(Incoming::Text(_))));
        assert!(transport.under_way.is_none());
    }

    #[tokio::test]
    async fn a_text_is_the_same_whether_it_comes_alone_or_with_others() {
        let (mut transport, mut client) = pair();
        let masked = *b"\x81\x85\x01\x02\x03\x04igohn";
        client.write_all(&masked).await.unwrap();
        assert!(matches!(transport.recv().await, Ok(Incoming::Text(text)) if &*text == b"hello"));
        assert!(transport.under_way.is_none());
        client.write_all(&[&masked[..], &HELLO, &HELLO[..7]].concat()).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(transport.recv().await, Ok(Incoming::Text(text)) if &*text == b"hello"));
        }
        assert!(matches!(transport.recv().await, Ok(Incoming::Partial)));
        client.write_all(&HELLO[7..]).await.unwrap();
        assert!(matches!(transport.recv().await, Ok(Incoming::Text(text)) if &*text == b"hello"));
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_text_that_comes_alone_is_said() {
        let mut large = b"\x81\xfe\x04\x01\0\0\0\0".to_vec();
        large.resize(large.len() + 1025, b'x');
        for (bytes, too_large) in [
            (&b"\x81\x05hello"[..], false),
            (b"\x81\x82\0\0\0\0\xc3(", false),
            (b"\xc1\x85\0\0\0\0hello", false),
            (&large[..1024], true),
        ] {
            let (mut transport, mut client) = pair();
            client.write_all(bytes).await.unwrap();
            let refusal = transport.recv().await.unwrap_err();
            assert_eq!(matches!(refusal, TransportError::TooLarge { .. }), too_large, "{refusal}");
        }
    }
}
