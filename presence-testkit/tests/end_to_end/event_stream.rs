//! What a bare `EventSource` can do: open an address, and nothing else.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use presence_testkit::client::{Kind, SseWire};
use presence_testkit::http;
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::server::{TestServer, quick};

async fn open(server: SocketAddr, query: &str, last_event_id: Option<&str>) -> Result<SseWire> {
    let headers: Vec<_> =
        last_event_id.map(|id| ("Last-Event-ID".to_owned(), id.to_owned())).into_iter().collect();
    SseWire::connect(server, &format!("/sse?{query}"), &headers, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_makes_a_member() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(Kind::Sse, "bob", "b", "lobby").await?;
    let mut ann = open(server.address, "room=lobby&user_name=Ann", None).await?;
    let snapshot = ann.wait_for(|m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    let ServerMessage::CurrentUsers(snapshot) = snapshot else { bail!("that was waited for") };
    assert_eq!((snapshot.users.len(), snapshot.reason.as_str()), (2, "join"));
    bob.until("lobby", "Ann is here", |view| view.users().values().any(|user| user.name == "Ann")).await?;
    bob.send(&json!({"type": "presence:update", "room": "lobby", "state": {"n": 1}})).await?;
    ann.wait_for(|m| matches!(m, ServerMessage::UserUpdated(_))).await?;
    ann.end().await?;
    bob.until("lobby", "Ann is gone", |view| view.users().len() == 1).await?;
    Ok(())
}

/// S2: a browser that comes back by itself gets what it missed, since it says which event was its last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_event_id_resumes() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(Kind::Sse, "ann", "a", "doc").await?;
    let query = "room=doc&user_id=bob&session_id=b";
    let mut bob = open(server.address, query, None).await?;
    bob.wait_for(|m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    let last = bob.last_event_id().map(str::to_owned);
    ensure!(last.as_deref().is_some_and(|id| id.starts_with("doc;")), "the snapshot has the id {last:?}");
    bob.reset();
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"n": 7}})).await?;
    ann.settle("doc").await?;
    let mut bob = open(server.address, query, last.as_deref()).await?;
    let missed =
        |m: &ServerMessage| matches!(m, ServerMessage::UserUpdated(_) | ServerMessage::CurrentUsers(_));
    let first = bob.wait_for(missed).await?;
    ensure!(
        matches!(first, ServerMessage::UserUpdated(update) if update.user_id == "ann"),
        "it was not resumed"
    );
    bob.wait_for(|m| matches!(m, ServerMessage::Synced(_))).await?;
    ensure!(ann.view("doc").edges("bob").leaves == 0, "it was seen to leave");
    // An id that says nothing about this room begins afresh.
    for id in ["nonsense", "other;e;1", "doc;e;9", "doc;e", ";;"] {
        let mut carl = open(server.address, "room=doc&user_id=carl&session_id=c", Some(id)).await?;
        carl.wait_for(|m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_keeps_what_lies_between_from_gathering() -> Result<()> {
    let server = TestServer::start(quick())?;
    let head = http::head(server.address, "/sse?user_id=ann").await?;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert!(head.header("x-request-id").is_some());
    Ok(())
}

/// Each element of an array stands alone; what can not be taken at all is refused with a status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_one_message_or_several_and_a_bad_one_is_refused() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = open(server.address, "room=doc&user_id=ann", None).await?;
    ann.wait_for(|m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    let several = r#"[{"type":"presence:update","room":"doc","state":{"n":1}},{"type":"no"},{"type":"presence:update","room":"doc","state":{"m":2}}]"#;
    assert_eq!(ann.post(several.as_bytes()).await?.0, 202);
    let refused = ann.wait_for(|m| matches!(m, ServerMessage::Error(_))).await?;
    assert!(matches!(refused, ServerMessage::Error(error) if error.code == "unknown_type"));
    let state = || async {
        let truth = server.presence("doc").await?;
        anyhow::Ok(json!(truth.users[0].sessions[0].state))
    };
    assert_eq!(state().await?, json!({"n": 1, "m": 2}));

    let refusal = |(status, body): (u16, String)| {
        let body: serde_json::Value = serde_json::from_str(&body)?;
        anyhow::Ok((status, body["error"]["code"].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(refusal(ann.post(b"nonsense").await?)?, (400, "bad_json".to_owned()));
    assert_eq!(refusal(ann.post(b"[]").await?)?, (400, "bad_json".to_owned()));
    assert_eq!(refusal(ann.post(b"\xff").await?)?, (400, "bad_json".to_owned()));
    let long = json!("x".repeat(70_000)).to_string();
    assert_eq!(refusal(ann.post(long.as_bytes()).await?)?, (413, "too_large".to_owned()));
    let many = format!("[{}1]", "1,".repeat(300));
    assert_eq!(refusal(ann.post(many.as_bytes()).await?)?, (400, "bad_json".to_owned()));
    let unknown =
        http::send_json(server.address, "POST", &format!("/sse/{}", "0".repeat(32)), &json!({})).await?;
    assert_eq!(unknown.status, 404);
    Ok(())
}
