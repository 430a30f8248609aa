//! The WebSocket: an opening handshake with any headers, and then any bytes in pieces of any length. Nothing panics; it
//! ends; what waits is bounded; and how the bytes are cut changes nothing of what is understood.

#![no_main]

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Method, Request};
use libfuzzer_sys::fuzz_target;
use presence_core::error::CloseReason;
use presence_core::frame::{Frame, Message};
use presence_core::port::transport::{Departure, Incoming, Transport, TransportError};
use presence_fuzz::pieces;
use presence_transport_ws::{WsConfig, WsTransport, accept};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const CONFIG: WsConfig = WsConfig { message_bytes_max: 2_048, fragments_max: 6 };

/// More than a peer that does not read can make wait: the answers to one buffer of pings, and those that tungstenite keeps.
const WAITING_MAX: usize = 64 * 1024;

/// What a transport understood, without how it came.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Text(Vec<u8>),
    Binary,
    Pong,
    Left(Departure),
}

/// Why it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Left,
    TooLarge,
    Protocol,
    /// Some rule counts what lies in one piece together.
    Fragments,
    Broken,
}

/// Whether the client takes what is written to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    All,
    Nothing,
}

fn handshake(head: &[u8]) {
    let mut lines = head.split(|byte| *byte == b'\n');
    let method = lines.next().and_then(|line| Method::from_bytes(line).ok()).unwrap_or(Method::GET);
    let mut request = Request::new(());
    *request.method_mut() = method;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    match accept(&request) {
        Ok(answer) => {
            assert_eq!((answer.status().as_u16(), request.method()), (101, &Method::GET));
            assert_eq!(answer.headers()["sec-websocket-accept"].len(), 28);
            let key = &request.headers()["sec-websocket-key"];
            assert!(key.len() == 24 && request.headers()["sec-websocket-version"] == "13");
        }
        Err(refused) => assert!(refused.status().is_client_error()),
    }
}

async fn hear(bytes: &[u8], early: usize, cuts: &[u8], reads: Reads) -> (Vec<Heard>, End) {
    let (server, client) = duplex(if reads == Reads::All { 64 * 1024 } else { 64 });
    let (early, rest) = bytes.split_at(early.min(bytes.len()));
    let mut transport = WsTransport::new(server, SocketAddr::from(([127, 0, 0, 1], 1)), early, CONFIG);
    let (mut from, mut to) = tokio::io::split(client);
    let writing = async {
        for piece in pieces(rest, cuts) {
            if to.write_all(piece).await.is_err() {
                break;
            }
            // So that the server reads each piece by itself.
            tokio::task::yield_now().await;
        }
        // Then there is an end to it.
        let _ = to.shutdown().await;
    };
    let reading = async {
        let mut sink = Vec::new();
        match reads {
            Reads::All => drop(from.read_to_end(&mut sink).await),
            Reads::Nothing => std::future::pending().await,
        }
    };
    let serving = async {
        let heard = serve(&mut transport, bytes.len()).await;
        if reads == Reads::All {
            transport.close(CloseReason::Kicked).await;
        }
        drop(transport);
        heard
    };
    tokio::select! {
        biased;
        (heard, ()) = async { tokio::join!(serving, writing) } => heard,
        () = async { reading.await; std::future::pending().await } => unreachable!("it only reads"),
    }
}

async fn serve(transport: &mut WsTransport<tokio::io::DuplexStream>, bytes: usize) -> (Vec<Heard>, End) {
    let (mut heard, mut came, mut texts) = (Vec::new(), 0, 0);
    let end = loop {
        assert!(transport.waiting_bytes() <= WAITING_MAX, "{} bytes wait", transport.waiting_bytes());
        came += 1;
        assert!(came <= 3 * bytes + 16, "more came than was sent");
        match transport.recv().await {
            Ok(Incoming::Text(text)) => {
                texts += text.len();
                let whole = text.len() <= CONFIG.message_bytes_max as usize;
                assert!(std::str::from_utf8(&text).is_ok() && whole);
                assert!(texts <= bytes, "more text than bytes");
                if transport.waiting_bytes() == 0 {
                    // Whether it can be written does not matter here.
                    let _ = transport.send(&[Frame::one(Message::new(text.clone()))]);
                }
                heard.push(Heard::Text(text.to_vec()));
            }
            Ok(Incoming::Binary) => heard.push(Heard::Binary),
            Ok(Incoming::Pong) => heard.push(Heard::Pong),
            Ok(Incoming::Control(count)) => assert!(count as usize <= bytes / 2),
            Ok(Incoming::Alive | Incoming::Partial | Incoming::Drained) => {}
            Ok(Incoming::Left(how)) => {
                heard.push(Heard::Left(how));
                break End::Left;
            }
            Err(TransportError::TooLarge { .. }) => break End::TooLarge,
            Err(TransportError::Protocol(rule)) if rule.contains("pieces") => break End::Fragments,
            Err(TransportError::Protocol(_)) => break End::Protocol,
            Err(TransportError::Io(_)) => break End::Broken,
        }
    };
    (heard, end)
}

/// Nothing that one way of cutting gives contradicts what another gives.
fn agree(one: &(Vec<Heard>, End), other: &(Vec<Heard>, End)) {
    if one.1 == End::Fragments || other.1 == End::Fragments {
        let both = one.0.len().min(other.0.len());
        assert_eq!(one.0[..both], other.0[..both]);
    } else {
        assert_eq!(one, other);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    if choice & 1 == 1 {
        return handshake(bytes);
    }
    let cuts = usize::from(choice >> 4).min(bytes.len());
    let (cuts, bytes) = bytes.split_at(cuts);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("there is a runtime");
    runtime.block_on(async {
        let whole = hear(bytes, 0, &[], Reads::All).await;
        if !cuts.is_empty() {
            agree(&whole, &hear(bytes, 0, cuts, Reads::All).await);
            agree(&whole, &hear(bytes, usize::from(cuts[0]), &cuts[1..], Reads::All).await);
        }
        if choice & 2 == 2 {
            let _ = hear(bytes, 0, cuts, Reads::Nothing).await;
        }
    });
});
