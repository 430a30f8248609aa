//! Server-Sent Events: any post is cut into its messages or refused; any text is one event and nothing but that to
//! whoever reads by the rules for browsers; and what comes up a stream that carries nothing up ends it, soon.

#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use presence_core::error::CloseReason;
use presence_core::frame::{EventId, Frame, Message};
use presence_core::id::{Epoch, Incarnation, RoomId, Version};
use presence_core::port::transport::{Incoming, Transport, TransportError};
use presence_core::wire::Since;
use presence_fuzz::{Event, pieces, read_events};
use presence_transport_sse::{SseConfig, SseTransport, accept, messages_of};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const CONFIG: SseConfig = SseConfig { message_bytes_max: 64, posts_max: 4 };
const MESSAGES_MAX: usize = 5;

/// Bytes that a stream takes before it ends: its own bound, and one buffer.
const STRAY_MAX: usize = 1_024 + 256;

fn posted(body: &[u8]) -> Vec<Bytes> {
    let body = Bytes::copy_from_slice(body);
    let Ok(messages) = messages_of(&body, MESSAGES_MAX) else {
        if let Ok(Value::Object(_)) = serde_json::from_slice::<Value>(&body) {
            panic!("an object was refused");
        }
        return Vec::new();
    };
    assert!((1..=MESSAGES_MAX).contains(&messages.len()));
    let each: Vec<Value> =
        messages.iter().filter_map(|message| serde_json::from_slice(message).ok()).collect();
    match serde_json::from_slice(&body) {
        Ok(Value::Array(all)) => assert_eq!(all, each),
        Ok(one) => assert_eq!(vec![one], each),
        // Such as a number that is too large for those who look into it.
        Err(_) => {}
    }
    messages
}

/// Room, version and text of what is sent: with an id where there is a version.
fn sent(text: &str, version: Option<u64>) -> (Message, String) {
    let Some(version) = version else { return (Message::new(text.to_owned()), String::new()) };
    let (room, epoch) = (RoomId::lobby(), Epoch::new(Incarnation::from_random(version), version));
    let id = EventId { room, epoch, version: Version::new(version) };
    let shown = id.to_string();
    (Message::versioned(text.to_owned(), id), shown)
}

async fn encoded(text: &str, version: Option<u64>) {
    let (server, mut client) = duplex(1 << 20);
    let mut transport = SseTransport::new(server, SocketAddr::from(([127, 0, 0, 1], 1)), CONFIG);
    let (message, id) = sent(text, version);
    transport.send(&[Frame::new(vec![message, Message::new("{}")])]).expect("there is room");
    transport.close(CloseReason::Kicked).await;
    let mut stream = String::new();
    client.read_to_string(&mut stream).await.expect("it is UTF-8");
    let events = read_events(&stream);
    let [first, second, close] = &events[..] else { panic!("{stream:?} has {} events", events.len()) };
    let data = text.replace(['\r', '\n'], " ");
    assert_eq!(*first, Event { data, id: id.clone(), retry: Some(1_000) });
    assert_eq!((second.data.as_str(), &second.id), ("{}", &id));
    assert!(close.data.contains("4503") && close.retry == Some(2_147_483_647));
    if let Some((room, since)) = Since::of_event(&first.id) {
        assert_eq!((room, Some(since.version.number())), (RoomId::lobby(), version));
    }
}

async fn stray(bytes: &[u8], cuts: &[u8]) {
    let (server, mut client) = duplex(1 << 20);
    let mut transport = SseTransport::new(server, SocketAddr::from(([127, 0, 0, 1], 1)), CONFIG);
    for piece in pieces(bytes, cuts) {
        client.write_all(piece).await.expect("there is room");
    }
    client.shutdown().await.expect("it is open");
    for _ in 0..=STRAY_MAX {
        match transport.recv().await {
            Ok(Incoming::Alive) => {}
            Ok(Incoming::Left(_)) => return assert!(bytes.len() <= STRAY_MAX),
            Err(TransportError::Protocol(_)) => return assert!(bytes.len() > 1_024),
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not end");
}

/// What was posted comes in its order, or not at all.
async fn inbox(messages: Vec<Bytes>) {
    let (server, _client) = duplex(1_024);
    let mut transport = SseTransport::new(server, SocketAddr::from(([127, 0, 0, 1], 1)), CONFIG);
    let inlet = transport.inlet().expect("it has one");
    let fits = messages.len() <= CONFIG.posts_max
        && messages.iter().all(|message| message.len() <= CONFIG.message_bytes_max);
    assert_eq!(inlet.post(messages.clone()).is_ok(), fits);
    for message in messages.into_iter().filter(|_| fits) {
        match transport.recv().await {
            Ok(Incoming::Text(text)) => assert_eq!(text, message),
            other => panic!("{other:?}"),
        }
    }
    drop(transport);
    assert!(inlet.post(vec![Bytes::from_static(b"{}")]).is_err());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("there is a runtime");
    runtime.block_on(async {
        match choice % 4 {
            0 => inbox(posted(bytes)).await,
            1 => {
                let version = (choice & 0x80 != 0).then_some(u64::from(*choice) << 24);
                encoded(&String::from_utf8_lossy(bytes), version).await;
            }
            2 => stray(bytes, &[*choice]).await,
            _ => {
                let Ok(method) = Method::from_bytes(bytes) else { return };
                let request = Request::builder().method(method.clone()).body(()).expect("it is a request");
                assert_eq!(accept(&request).is_ok(), method == Method::GET);
            }
        }
    });
});
