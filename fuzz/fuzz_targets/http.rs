//! The whole server over HTTP, with the store in memory: any method, path, query, headers and body as a well-formed
//! request, or any bytes at all. Nothing panics, nothing is answered with 5xx, every error has the one shape that errors
//! have, and an answer comes.
//!
//! The first byte says whether users must prove themselves and whether the rest is sent as it is. Otherwise the first
//! line is the method and the address, those after it up to an empty one are headers, and the rest is the body.

#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use presence_server::Server;
use presence_server::config::{Config, Secret};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Inputs after which a server makes room for a new one: what it is told it keeps.
const INPUTS_MAX: u32 = 5_000;

/// More than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const API_KEY: &str = "an api key for fuzzing";
const TOKEN_SECRET: &str = "a secret that everybody knows, for fuzzing";

/// ann's, until 2100: `{"sub":"ann","exp":4102444800,"rooms":["doc*"]}` under [`TOKEN_SECRET`].
fn token() -> String {
    let signed = format!("{}.{}", encode(br#"{"typ":"JWT","alg":"HS256"}"#), encode(CLAIMS));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, TOKEN_SECRET.as_bytes());
    format!("{signed}.{}", encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

const CLAIMS: &[u8] = br#"{"sub":"ann","exp":4102444800,"rooms":["doc*"]}"#;

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Two servers: one believes everybody, one nobody.
struct World {
    runtime: Runtime,
    addresses: [SocketAddr; 2],
    inputs: u32,
    token: String,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fn config() -> Config {
    const PLENTY: u32 = 100_000_000;
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        shards: 1,
        connects_per_second: PLENTY,
        connects_burst: PLENTY,
        requests_per_second: PLENTY,
        requests_burst: PLENTY,
        failed_auths_per_minute: PLENTY,
        abuses_per_minute: PLENTY,
        user_messages_per_second: PLENTY,
        user_messages_burst: PLENTY,
        debug_access: presence_server::config::Exposure::Open,
        body_bytes_max: 2_048,
        message_bytes_max: 1_024,
        state_bytes_max: 256,
        cursor_bytes_max: 256,
        avatar_bytes_max: 256,
        document_bytes_max: 512,
        grace_ms: 10,
        going_away_grace_ms: 10,
        stream_messages_max: 20,
        ..Config::default()
    }
}

impl World {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        let guarded =
            Config { api_key: Secret::new(API_KEY), token_secret: Secret::new(TOKEN_SECRET), ..config() };
        let addresses = runtime.block_on(async {
            [config(), guarded].map(|config| {
                let server = Server::bind(config, None).expect("the settings are good");
                let address = server.address();
                tokio::spawn(server.run(std::future::pending()));
                address
            })
        });
        Self { runtime, addresses, inputs: 0, token: token() }
    }
}

/// What is sent. What frames a message is left to this; all else is as the input says.
fn request(input: &[u8], token: &str) -> Option<(Vec<u8>, bool)> {
    let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let (method, address) = (http::Method::from_bytes(&first[..space]).ok()?, &first[space + 1..]);
    let address: http::Uri = std::str::from_utf8(address).ok()?.parse().ok()?;
    let mut bytes =
        format!("{method} {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n").into_bytes();
    for line in lines {
        match line {
            b"as ann" => bytes.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes()),
            b"as backend" => bytes.extend_from_slice(format!("X-API-Key: {API_KEY}\r\n").as_bytes()),
            line => {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = http::HeaderName::from_bytes(&line[..colon]).ok()?;
                let value = http::HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
                let framing =
                    ["host", "connection", "upgrade", "content-length", "transfer-encoding", "expect"];
                if framing.contains(&name.as_str()) {
                    continue;
                }
                bytes.extend_from_slice(name.as_str().as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
        }
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    Some((bytes, method != http::Method::HEAD))
}

/// Sends, and gives all that comes back, up to the head of an answer that does not end.
async fn exchange(address: SocketAddr, bytes: &[u8], whole: bool) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    // So that the ports of thousands of connections a second can be used again.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    // A server that has refused the head may have closed before the body is out.
    let _ = stream.write_all(bytes).await;
    if !whole {
        let _ = stream.shutdown().await;
    }
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    let reading = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
            }
            let endless = answer.windows(19).any(|part| part.eq_ignore_ascii_case(b"text/event-stream; "))
                || answer.starts_with(b"HTTP/1.1 101");
            if endless && answer.windows(4).any(|end| end == b"\r\n\r\n") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer comes");
    (!answer.is_empty()).then_some(answer)
}

fn status(answer: &[u8]) -> u16 {
    let digits = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).expect("it is an answer")
}

fn check(answer: &[u8], has_body: bool) {
    let status = status(answer);
    assert!(status < 500, "{}", String::from_utf8_lossy(answer));
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("it has a head");
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).to_lowercase(), &answer[end + 4..]);
    assert!(head.contains("x-content-type-options: nosniff"), "the router has answered: {head}");
    if status >= 400 && has_body {
        let said: Value = serde_json::from_slice(body).expect("an error is JSON");
        let error = &said["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{said}");
        assert!(body.len() < 4_096, "an error is short");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    WORLD.with_borrow_mut(|world| {
        if world.as_ref().is_some_and(|world| world.inputs >= INPUTS_MAX) {
            *world = None;
        }
        let world = world.get_or_insert_with(World::new);
        world.inputs += 1;
        let address = world.addresses[usize::from(choice & 1)];
        if choice & 2 == 2 {
            if let Some(answer) = world.runtime.block_on(exchange(address, input, false)) {
                assert!(status(&answer) < 500, "{}", String::from_utf8_lossy(&answer));
            }
        } else if let Some((bytes, has_body)) = request(input, &world.token) {
            let answer = world.runtime.block_on(exchange(address, &bytes, true));
            let answer = answer.unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(&bytes)));
            check(&answer, has_body);
        }
    });
});
