//! Messages without a connection: sent, read and synced over HTTP.

use anyhow::{Context, Result};
use presence_core::id::{RoomId, UserId};
use presence_core::time::WallTime;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{Answer, get, request, send_json};
use presence_testkit::openapi::Document;
use presence_testkit::wire::{Ack, RoomMessages, SyncResult};
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

fn refusal(answer: &Answer) -> Result<(u16, String)> {
    let body: serde_json::Value = answer.json()?;
    let code = body["error"]["code"].as_str().context("an error has a code")?.to_owned();
    Ok((answer.status, code))
}

/// What is sent over HTTP reaches those who are connected, and is read back; all as documented.
async fn messages_are_sent_and_read_over_http(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let document = Document::parse(&get(server.address, "/openapi.json", &[]).await?.body)?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let _ann = server.enter(kind, "ann", "a", "doc").await?;
    let path = "/v1/rooms/doc/messages?user_id=ann";
    let body = json!({"id": "x", "data": {"n": 1}});
    for _ in 0..2 {
        let sent = send_json(server.address, "POST", path, &body).await?;
        document.check("POST", "/v1/rooms/{room}/messages", &sent)?;
        let ack: Ack = sent.json()?;
        assert_eq!((ack.id.as_str(), ack.seq, ack.durability.as_str()), ("x", 1, "memory"));
    }
    bob.until_place("doc", 1).await?;
    assert_eq!(bob.inbox().stream("doc").ids(), ["x"]);
    for (path, body, expected) in [
        (path, json!({"id": "x", "data": 2}), (409, "conflict")),
        (path, json!({"data": 2}), (400, "bad_message")),
        (path, json!({"id": "y"}), (400, "bad_message")),
        (path, json!([]), (400, "bad_json")),
        ("/v1/rooms/doc/messages", body.clone(), (400, "bad_message")),
        ("/v1/rooms/doc/messages?user_id=eve", body.clone(), (403, "not_joined")),
        ("/v1/rooms/a%20b/messages?user_id=ann", body.clone(), (400, "invalid_room")),
    ] {
        let answer = send_json(server.address, "POST", path, &body).await?;
        document.check("POST", "/v1/rooms/{room}/messages", &answer)?;
        assert_eq!(refusal(&answer)?, (expected.0, expected.1.to_owned()), "{path} {body}");
    }
    let inbox = send_json(server.address, "POST", "/v1/rooms/@bob/messages?user_id=eve", &body).await?;
    assert_eq!(inbox.status, 200);
    bob.until_place("@bob", 1).await?;

    for n in 2..=5 {
        send_json(server.address, "POST", path, &json!({"id": format!("x-{n}"), "data": n})).await?;
    }
    let answer = get(server.address, "/v1/rooms/doc/messages?user_id=bob&after=1&limit=3", &[]).await?;
    document.check("GET", "/v1/rooms/{room}/messages", &answer)?;
    let page: RoomMessages = answer.json()?;
    let places: Vec<u64> = page.messages.iter().map(|created| created.seq).collect();
    assert_eq!((places, page.more), (vec![2, 3, 4], true));
    let nowhere = get(server.address, "/v1/rooms/doc/messages?user_id=eve", &[]).await?;
    assert_eq!(refusal(&nowhere)?, (404, "not_found".to_owned()));

    let answer = get(server.address, "/v1/sync?user_id=bob&limit=200", &[]).await?;
    document.check("GET", "/v1/sync", &answer)?;
    let sync: SyncResult = answer.json()?;
    assert_eq!((sync.messages.len(), sync.cursors["doc"], sync.cursors["@bob"], sync.more), (6, 5, 1, false));
    let since = format!("/v1/sync?user_id=bob&since={}", sync.timestamp);
    assert!(get(server.address, &since, &[]).await?.json::<SyncResult>()?.messages.is_empty());
    Ok(())
}

/// S1, X4: with tokens everybody sends and reads where they belong, as themselves; the backend everywhere, for anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_say_where_and_as_whom() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let (room, ann) = (RoomId::parse("doc-1")?, UserId::parse("ann")?);
    server.streams.store().add_member(&room, &ann, WallTime::default()).await?;
    let bearer = format!("Bearer {}", token("ann", &["--room", "doc-*"])?);
    let (ann, backend) = ([("Authorization", bearer.as_str())], [("X-API-Key", API_KEY)]);
    for (path, headers, status) in [
        ("/v1/rooms/doc-1/messages", &ann, 200),
        ("/v1/rooms/doc-2/messages", &ann, 404),
        ("/v1/rooms/other/messages", &ann, 403),
        ("/v1/rooms/@bob/messages", &ann, 403),
        ("/v1/rooms/@ann/messages", &ann, 200),
        ("/v1/rooms/doc-1/messages?user_id=bob", &ann, 403),
        ("/v1/rooms/other/messages", &backend, 200),
        ("/v1/sync", &ann, 200),
        ("/v1/sync", &backend, 400),
        ("/v1/sync?user_id=ann", &backend, 200),
    ] {
        let answer = request(server.address, "GET", path, headers).await?;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    Ok(())
}

/// S1: a token without inboxes sends to none, and one that names them does.
async fn sending_to_inboxes_takes_a_token_that_names_them(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let connect = async |user: &str, rooms: &[&str]| {
        let token = token(user, rooms)?;
        let who = Credentials { token: Some(token), ..Credentials::new(user, "s") };
        Client::connect(kind, server.address, &who).await
    };
    let mut ann = connect("ann", &["--room", "doc-*"]).await?;
    let mut bob = connect("bob", &["--room", "doc-*", "--room", "@*"]).await?;
    ann.say("@bob", &json!(1)).await?;
    assert_eq!(ann.refusal().await?, ("forbidden".to_owned(), Some("room".to_owned())));
    ann.say("other", &json!(1)).await?;
    assert_eq!(ann.refusal().await?.0, "forbidden");
    bob.send_message("@ann", &json!(2)).await?;
    ann.until_place("@ann", 1).await?;
    Ok(())
}

on_every_kind! {
    messages_are_sent_and_read_over_http,
    sending_to_inboxes_takes_a_token_that_names_them,
}
