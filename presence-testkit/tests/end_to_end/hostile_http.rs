//! What comes over HTTP from those who mean no good: slow, endless, or of two meanings. Rows of docs/security.md stand in
//! front of the tests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_server::Config;
use presence_testkit::client::Kind;
#[cfg(feature = "sse")]
use presence_testkit::client::SseWire;
use presence_testkit::http::{get, raw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::server::{TestServer, quick};

/// How long a server may take to do what its settings say it does in a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends bytes, and gives the statuses of all answers once the server has closed.
async fn statuses(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u16>> {
    let mut stream = TcpStream::connect(server).await?;
    // The server may have closed before it has read everything.
    let _ = stream.write_all(bytes).await;
    let answers = until_closed(&mut stream).await?;
    let statuses = answers.match_indices("HTTP/1.1 ").map(|(at, found)| {
        answers.get(at + found.len()..).and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    });
    Ok(statuses.collect())
}

async fn until_closed(stream: &mut TcpStream) -> Result<String> {
    let mut answers = Vec::new();
    let reading = async {
        // A reset is an end too.
        while stream.read_buf(&mut answers).await.unwrap_or(0) > 0 {}
    };
    tokio::time::timeout(PATIENCE, reading).await.context("the server does not close")?;
    Ok(String::from_utf8_lossy(&answers).into_owned())
}

/// A stream, and where to post to it: the body of a post for nobody is not even read.
#[cfg(feature = "sse")]
async fn open_stream(server: SocketAddr) -> Result<(SseWire, String)> {
    let mut stream = SseWire::connect(server, "/sse?user_id=ann", &[], None).await?;
    stream.recv().await?;
    let path = stream.post_path().context("the stream does not say where to post to")?;
    Ok((stream, path))
}

/// Sends a byte now and then until the server has had enough.
async fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let trickling = async {
        loop {
            pace.tick().await;
            if stream.write_all(bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, trickling).await.context("the server goes on listening")
}

/// D1: a connection that asks for nothing is not kept, neither at its beginning nor after an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_and_says_nothing_is_cut() -> Result<()> {
    let server = TestServer::start(Config { header_timeout_ms: 200, ..quick() })?;
    let mut silent = TcpStream::connect(server.address).await?;
    until_closed(&mut silent).await?;
    let mut idle = TcpStream::connect(server.address).await?;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    ensure!(until_closed(&mut idle).await?.starts_with("HTTP/1.1 200"));
    Ok(())
}

/// D1: headers that come byte by byte are cut in time, however lively they are; meanwhile others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_trickle_are_cut() -> Result<()> {
    let server = TestServer::start(Config { header_timeout_ms: 300, ..quick() })?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    let mut slow = JoinSet::new();
    for _ in 0..50 {
        let address = server.address;
        slow.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\nSlow: ").await?;
            trickle(&mut stream, b"x").await
        });
    }
    ann.settle("doc").await?;
    while let Some(cut) = slow.join_next().await {
        cut??;
    }
    ann.settle("doc").await
}

/// D1: heads that are too large are refused before they are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_are_refused() -> Result<()> {
    let server = TestServer::start(quick())?;
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(20_000));
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "b".repeat(20_000));
    for head in [many, long, path] {
        assert_eq!(statuses(server.address, head.as_bytes()).await?, [431], "{:.60}", head);
    }
    Ok(())
}

/// D2: a body is no longer than it may be and takes no longer than it may, whatever it says of itself.
#[cfg(feature = "sse")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_end_are_cut() -> Result<()> {
    let server = TestServer::start(Config { body_timeout_ms: 300, body_bytes_max: 10_000, ..quick() })?;
    let (_stream, path) = open_stream(server.address).await?;
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
    for head in ["Content-Length: 9000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2000\r\n"] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(format!("{post}{head}").as_bytes()).await?;
        trickle(&mut stream, b"x").await?;
    }
    let mut silent = TcpStream::connect(server.address).await?;
    silent.write_all(format!("{post}Content-Length: 9000\r\n\r\nhalf").as_bytes()).await?;
    ensure!(until_closed(&mut silent).await?.starts_with("HTTP/1.1 408"));
    let said = format!("{post}Content-Length: 10001\r\n\r\n");
    assert_eq!(statuses(server.address, said.as_bytes()).await?, [413]);
    let endless = format!(
        "{post}Transfer-Encoding: chunked\r\n\r\n{}",
        "400\r\n".to_owned() + &"x".repeat(1_024) + "\r\n"
    );
    let mut stream = TcpStream::connect(server.address).await?;
    stream.write_all(endless.as_bytes()).await?;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    Ok(())
}

/// D8: what two servers could read as different requests is refused, and nothing after it is looked at.
#[cfg(feature = "sse")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_two_meanings_is_the_last_of_its_connection() -> Result<()> {
    let server = TestServer::start(quick())?;
    let (_stream, path) = open_stream(server.address).await?;
    // Lines end with `|`. A smuggled request would be answered with 200.
    let post = [
        "Content-Length: 0|Content-Length: 3||",
        "Content-Length: 3, 3||",
        "Content-Length: +3||",
        "Content-Length: -3||",
        "Content-Length: 0x3||",
        "Content-Length: 3 3||",
        "Content-Length: ||",
        "Content-Length: 99999999999999999999||",
        "Content-Length : 3||",
        "Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||",
        "Transfer-Encoding: chunked|Transfer-Encoding: identity||0||",
        "Transfer-Encoding: identity, chunked||0||",
        "Transfer-Encoding: chunked, identity||0||",
        "Transfer-Encoding: xchunked||0||",
        "Transfer-Encoding:\u{b}chunked||0||",
        "Transfer-Encoding : chunked||0||",
        "Transfer-Encoding: chunked||ffffffffffffffff1|abc|0||",
        "Transfer-Encoding: chunked||-1|abc|0||",
        "Transfer-Encoding: chunked||0x3|abc|0||",
        "Transfer-Encoding: chunked|| 3|abc|0||",
        "Transfer-Encoding: chunked||3|abcd|0||",
        "Transfer-Encoding: chunked||3\nabc\n0\n\n",
        "X: a| b||",
        "X: a\rTransfer-Encoding: chunked||0||",
        "X: a\0b||",
        "X Y: a||",
        "\tX: a||",
        ": a||",
        "X||",
        "Host: y||",
    ];
    let next = "GET /readyz HTTP/1.1|Host: x|Connection: close||";
    for headers in post {
        let request = format!("POST {path} HTTP/1.1|Host: x|{headers}{next}").replace('|', "\r\n");
        assert_eq!(statuses(server.address, request.as_bytes()).await?, [400], "{headers:?}");
    }
    let heads = [
        "POST /sse/0 HTTP/1.0|Host: x|Transfer-Encoding: chunked||0||",
        "GET /healthz HTTP/1.1||",
        "GET /healthz HTTP/1.2|Host: x||",
        "GET /healthz HTTP/0.9|Host: x||",
        "GET  /healthz HTTP/1.1|Host: x||",
        "GET /healthz||",
        " GET /healthz HTTP/1.1|Host: x||",
        "GET\0 /healthz HTTP/1.1|Host: x||",
        "GET /healthz HTTP/1.1| Host: x||",
    ];
    for head in heads {
        let request = format!("{head}{next}").replace('|', "\r\n");
        assert_eq!(statuses(server.address, request.as_bytes()).await?, [400], "{head:?}");
    }
    // RFC 9112 section 6.1: read as chunked, and the connection closes after it.
    for lengths in
        ["Content-Length: 3|Transfer-Encoding: chunked", "Transfer-Encoding: chunked|Content-Length: 3"]
    {
        let request = format!("POST /sse/0 HTTP/1.1|Host: x|{lengths}||0||{next}").replace('|', "\r\n");
        assert_eq!(statuses(server.address, request.as_bytes()).await?, [404], "{lengths:?}");
    }
    // No HTTP/2 here: its preface is no request (D7).
    ensure!(statuses(server.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?.is_empty());
    Ok(())
}

/// D8: and requests of one meaning follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_meaning_are_all_answered() -> Result<()> {
    let server = TestServer::start(quick())?;
    let requests = [
        "POST /sse/0 HTTP/1.1|Host: x|Content-Length: 3||abc",
        "POST /sse/0 HTTP/1.1|Host: x|Transfer-Encoding: chunked||3;a=b|abc|0||",
        "||GET /healthz HTTP/1.1|Host: x|Content-Length: 3||abc",
        "GET http://x/healthz HTTP/1.1|Host: x||",
        "GET /ws HTTP/1.1|Host: x|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 12||",
        "GET /healthz HTTP/1.1|Host: x|Connection: close||",
    ];
    let all = requests.concat().replace('|', "\r\n");
    assert_eq!(statuses(server.address, all.as_bytes()).await?, [404, 404, 200, 200, 426, 200]);
    Ok(())
}

/// D3: who asks and asks and never reads an answer is given up; its requests wait on its side meanwhile.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_never_reads_is_given_up() -> Result<()> {
    let server = TestServer::start(Config { silent_timeout_ms: 1_000, ..quick() })?;
    let mut deaf = TcpStream::connect(server.address).await?;
    let request = b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let asking = async { while deaf.write_all(&request).await.is_ok() {} };
    let given_up = tokio::time::timeout(Duration::from_secs(30), asking);
    let (given_up, answer) = tokio::join!(given_up, get(server.address, "/healthz", &[]));
    given_up.context("the server goes on waiting for who does not read")?;
    assert_eq!(answer?.status, 200);
    Ok(())
}

/// D1: half of a handshake is no connection; the room never hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_is_cut_and_leaves_nothing() -> Result<()> {
    let server = TestServer::start(Config { header_timeout_ms: 200, ..quick() })?;
    let half = "GET /ws?user_id=bob HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    for head in [half.to_owned(), half.replace("/ws?", "/sse?room=doc&")] {
        let ended = raw(server.address, head.as_bytes()).await;
        ensure!(
            ended.map_or_else(|error| !error.to_string().contains("in time"), |answer| answer.status == 408)
        );
    }
    ensure!(server.presence("doc").await?.users.is_empty());
    Ok(())
}
