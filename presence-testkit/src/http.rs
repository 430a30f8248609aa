//! A GET, and its answer: as much HTTP/1.1 (RFC 9112) as tests need.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, as text, and unpacked.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).next()
    }

    /// Every header of this name.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).with_context(|| format!("unexpected body: {}", self.body))
    }
}

/// Asks for `path`.
///
/// # Errors
/// If there is no answer in time.
pub async fn get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    request(server, "GET", path, headers).await
}

/// Asks for `path`, and reads only the head of the answer: good for bodies that do not end.
///
/// # Errors
/// If there is no answer in time.
pub async fn head(server: SocketAddr, path: &str) -> Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                return parse(&answer[..end + 4]);
            }
            if stream.read_buf(&mut answer).await? == 0 {
                bail!("the answer has no end of headers");
            }
        }
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("no answer in time")?
}

/// Asks with any method, without a body.
///
/// # Errors
/// If there is no answer in time.
pub async fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    raw(server, text.as_bytes()).await
}

/// Sends JSON with any method.
///
/// # Errors
/// If there is no answer in time.
pub async fn send_json(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: &serde_json::Value,
) -> Result<Answer> {
    send(server, method, path, &[], &body.to_string()).await
}

/// Sends a body with any method and more headers, as JSON, whatever it is.
///
/// # Errors
/// If there is no answer in time.
pub async fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(server, (head + "\r\n" + body).as_bytes()).await
}

/// Sends bytes as they are, and reads an answer.
///
/// # Errors
/// If there is no answer in time.
pub async fn raw(server: SocketAddr, bytes: &[u8]) -> Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        while !is_whole(&answer) && stream.read_buf(&mut answer).await? > 0 {}
        parse(&answer)
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("no answer in time")?
}

/// Whether an answer that says its length has come; one that does not is over when the server closes.
pub(crate) fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}

fn parse(answer: &[u8]) -> Result<Answer> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        bail!("no end of headers in {:?}", String::from_utf8_lossy(answer))
    };
    let (head, body) = (std::str::from_utf8(&answer[..end])?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let header = |line: &str| -> Option<(String, String)> {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let says = |name: &str, value: &str| headers.iter().any(|(one, said)| one == name && said == value);
    let body = match (says("transfer-encoding", "chunked"), says("content-encoding", "gzip")) {
        (true, _) => unchunk(std::str::from_utf8(body)?)?,
        (false, true) => std::io::read_to_string(GzDecoder::new(body))?,
        (false, false) => std::str::from_utf8(body)?.to_owned(),
    };
    Ok(Answer { status, headers, body })
}

fn unchunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            break;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    Ok(body)
}
