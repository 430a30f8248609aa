//! A client over WebSocket that costs little, so that it is the server that is measured: one read for whatever has come,
//! frames told apart by their headers alone. What a scenario wants to know it reads off the bytes.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::outcome::Faults;

/// How long a client waits for its snapshot.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many clients shake hands at the same time.
const ENTERING_AT_ONCE: usize = 200;

/// Bytes that are read from a socket at once.
const READ_AT_ONCE: usize = 256 * 1024;

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// What begins a snapshot.
pub const SNAPSHOT: &[u8] = b"{\"type\":\"presence:currentUsers\"";

thread_local! {
    /// Lent to one client at a time, so that none needs a buffer of its own.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_AT_ONCE].into_boxed_slice());
}

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its user. Its session is `s`.
    pub user: String,
    /// Its room.
    pub room: String,
    /// What proves it, if the server wants proof.
    pub token: Option<String>,
}

/// A client.
#[derive(Debug)]
pub struct Lean {
    /// Who it is.
    pub name: Name,
    stream: Arc<TcpStream>,
    /// The beginning of a frame that has not come whole.
    input: Vec<u8>,
}

impl Lean {
    /// Connects.
    ///
    /// # Errors
    /// If the server does not let it.
    pub async fn connect(server: SocketAddr, name: Name) -> Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let token = name.token.as_ref().map(|token| format!("&token={token}")).unwrap_or_default();
        let request = format!(
            "GET /ws?user_id={}&session_id=s&room={}{token} HTTP/1.1\r\nHost: {server}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            name.user, name.room
        );
        stream.write_all(request.as_bytes()).await?;
        let mut input = Vec::with_capacity(512);
        let end = loop {
            if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(stream.read_buf(&mut input).await? > 0, "the server closed instead of answering");
        };
        if !input.starts_with(b"HTTP/1.1 101") {
            bail!("the server refused: {}", String::from_utf8_lossy(&input));
        }
        let input = input.split_off(end);
        Ok(Self { name, stream: Arc::new(stream), input })
    }

    /// Connects and enters its room; `each` is given every message up to the snapshot.
    ///
    /// # Errors
    /// If the server does not let it in time.
    pub async fn enter(server: SocketAddr, name: Name, mut each: impl FnMut(&[u8])) -> Result<Self> {
        let entering = async {
            let mut client = Self::connect(server, name).await?;
            let join = format!(r#"{{"type":"presence:join","room":"{}"}}"#, client.name.room);
            client.voice().say(&framed(&join))?;
            let mut entered = false;
            while !entered {
                client
                    .receive(|message| {
                        entered |= message.starts_with(SNAPSHOT);
                        each(message);
                    })
                    .await?;
            }
            anyhow::Ok(client)
        };
        tokio::time::timeout(PATIENCE, entering).await.context("no snapshot in time")?
    }

    /// Connects and enters all, a few at a time; they are in the order of their names.
    ///
    /// # Errors
    /// If one of them cannot.
    pub async fn enter_all(server: SocketAddr, names: Vec<Name>) -> Result<Vec<Self>> {
        let mut clients: Vec<Option<Self>> = names.iter().map(|_| None).collect();
        let mut names = names.into_iter().enumerate();
        let mut entering = JoinSet::new();
        loop {
            while entering.len() < ENTERING_AT_ONCE
                && let Some((index, name)) = names.next()
            {
                entering.spawn_local(async move { (index, Self::enter(server, name, |_| {}).await) });
            }
            let Some(entered) = entering.join_next().await else { break };
            let (index, client) = entered?;
            clients[index] = Some(client.context("a client could not enter")?);
        }
        Ok(clients.into_iter().flatten().collect())
    }

    /// What speaks for it, also from another thread.
    pub fn voice(&self) -> Voice {
        Voice(Arc::clone(&self.stream))
    }

    /// Waits until something comes, and gives every message that is whole. Pings are answered on the way. Cancel-safe.
    ///
    /// # Errors
    /// If the connection is over.
    pub async fn receive(&mut self, mut each: impl FnMut(&[u8])) -> Result<()> {
        if !self.input.is_empty() {
            let rest = take_frames(&self.input, &self.stream, &mut each)?;
            let taken = self.input.len() - rest;
            if taken > 0 {
                self.input.drain(..taken);
                return Ok(());
            }
        }
        loop {
            self.stream.readable().await?;
            let done = READ_BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
                Ok(0) => bail!("{}: the server closed", self.name.user),
                Ok(read) => self.take_in(&buffer[..read], &mut each).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error.into()),
            })?;
            if done {
                return Ok(());
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Result<()> {
        if self.input.is_empty() {
            let rest = take_frames(bytes, &self.stream, each)?;
            self.input.extend_from_slice(&bytes[bytes.len() - rest..]);
        } else {
            self.input.extend_from_slice(bytes);
            let rest = take_frames(&self.input, &self.stream, each)?;
            self.input.drain(..self.input.len() - rest);
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Ok(())
    }

    /// Listens until the connection is over, and says why it is.
    pub async fn listen(mut self, mut each: impl FnMut(&[u8])) -> anyhow::Error {
        loop {
            if let Err(error) = self.receive(&mut each).await {
                // Whoever comes back to this machine finds nothing left of the old connection.
                self.reset();
                return error;
            }
        }
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Sets clients to listen, each in a task of its own; they end when this is dropped.
pub fn listen_all<F: FnMut(&[u8]) + 'static>(
    clients: Vec<Lean>,
    mut each: impl FnMut(usize) -> F,
) -> JoinSet<anyhow::Error> {
    let mut listening = JoinSet::new();
    for (index, client) in clients.into_iter().enumerate() {
        listening.spawn_local(client.listen(each(index)));
    }
    listening
}

/// Ends listening. Whoever has ended before has failed.
///
/// # Errors
/// If one of them panicked.
pub fn end(mut listening: JoinSet<anyhow::Error>, faults: &mut Faults) -> Result<()> {
    while let Some(ended) = listening.try_join_next() {
        faults.failure(format!("{:#}", ended?));
    }
    Ok(())
}

/// What a client speaks with.
#[derive(Clone, Debug)]
pub struct Voice(Arc<TcpStream>);

impl Voice {
    /// Sends what [`framed`] has made.
    ///
    /// # Errors
    /// If the server does not take all of it at once, which it is to do.
    pub fn say(&self, frames: &[u8]) -> io::Result<()> {
        loop {
            match self.0.try_write(frames) {
                Ok(written) if written == frames.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A text as a masked frame (RFC 6455 section 5.2). A mask of zeros leaves the payload as it is.
pub fn framed(text: &str) -> Vec<u8> {
    let mut frame = vec![TEXT];
    match text.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).expect("clients say little at once").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// Gives the messages of all frames that are whole; says how many bytes are left.
fn take_frames(mut bytes: &[u8], stream: &TcpStream, each: &mut impl FnMut(&[u8])) -> Result<usize> {
    while let Some((opcode, payload, rest)) = split_frame(bytes) {
        bytes = rest;
        match opcode {
            TEXT => each(payload),
            // A socket that is full has other signs of life on their way.
            PING => drop(stream.try_write(&[PONG, 0x80, 0, 0, 0, 0])),
            CLOSE => bail!("the server closed: {}", String::from_utf8_lossy(payload)),
            other => bail!("a frame that no server sends here: {other:#x}"),
        }
    }
    Ok(bytes.len())
}

/// The first frame of some bytes, and what comes after it.
fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (header, len) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(header..header + len)?;
    Some((bytes[0], payload, &bytes[header + len..]))
}

/// The whole number that stands behind `key` in a message.
pub fn number_after(message: &[u8], key: &[u8]) -> Option<u64> {
    let at = message.windows(key.len()).position(|window| window == key)? + key.len();
    let digits = message[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number: Option<u64>, digit| {
        number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_told_apart_wherever_the_bytes_end() {
        for len in [0_usize, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![TEXT];
            match len {
                0..=125 => bytes.push(len as u8),
                126..=65_535 => bytes.extend([&[126][..], &(len as u16).to_be_bytes()].concat()),
                _ => bytes.extend([&[127][..], &(len as u64).to_be_bytes()].concat()),
            }
            let header = bytes.len();
            bytes.resize(header + len, b'x');
            for cut in [0, 1, header, header + len - usize::from(len > 0)] {
                let whole = cut >= header + len;
                assert_eq!(split_frame(&bytes[..cut]).is_some(), whole, "{cut} bytes of one of {len}");
            }
            bytes.extend(*b"\x89\0");
            let (opcode, payload, rest) = split_frame(&bytes).unwrap();
            assert_eq!((opcode, payload.len(), rest), (TEXT, len, &b"\x89\0"[..]));
        }
    }

    #[test]
    fn a_number_is_read_off_the_bytes() {
        assert_eq!(number_after(br#"{"seq":120,"x":7}"#, b"\"seq\":"), Some(120));
        assert_eq!(number_after(br#"{"seq":null}"#, b"\"seq\":"), None);
        assert_eq!(number_after(br#"{"x":7}"#, b"\"seq\":"), None);
    }
}
