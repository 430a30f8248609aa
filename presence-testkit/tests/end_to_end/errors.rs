//! Bad input gets an error that names the field, and the connection lives on.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// X3.
async fn every_bad_message_names_its_field_and_the_connection_lives_on(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let deep =
        format!(r#"{{"type":"presence:update","state":{{"x":{}{}}}}}"#, "[".repeat(64), "]".repeat(64));
    let large =
        json!({"type": "presence:update", "room": "doc", "state": {"x": "y".repeat(20_000)}}).to_string();
    let cases = [
        ("nonsense", "bad_json", None),
        ("[]", "bad_json", None),
        (r#"{"type":"presence:update","state":{"x":"\ud800"}}"#, "bad_json", None),
        (deep.as_str(), "bad_json", None),
        ("{}", "bad_message", Some("type")),
        (r#"{"type":7}"#, "bad_message", Some("type")),
        (r#"{"type":"presence:nothing"}"#, "unknown_type", Some("type")),
        (r#"{"type":"presence:join","type":"presence:leave"}"#, "bad_message", Some("type")),
        (r#"{"type":"presence:join","ref":{}}"#, "bad_message", Some("ref")),
        (r#"{"type":"presence:join","room":7}"#, "bad_message", Some("room")),
        (r#"{"type":"presence:join","room":""}"#, "invalid_room", Some("room")),
        (r#"{"type":"presence:join","room":"@"}"#, "invalid_room", Some("room")),
        (r#"{"type":"presence:join","room":"@bob"}"#, "forbidden", Some("room")),
        (r#"{"type":"presence:join","user":{"id":"bob"}}"#, "forbidden", Some("user.id")),
        (r#"{"type":"presence:join","user":{"sessionId":"z"}}"#, "conflict", Some("user.sessionId")),
        (r#"{"type":"presence:join","user":{"color":"red"}}"#, "bad_message", Some("user.color")),
        (r#"{"type":"presence:join","user":{"avatar":"javascript:x"}}"#, "bad_message", Some("user.avatar")),
        (r#"{"type":"presence:join","since":{"epoch":"e"}}"#, "bad_message", Some("since.version")),
        (r#"{"type":"presence:update","room":"doc"}"#, "bad_message", Some("state")),
        (r#"{"type":"presence:update","room":"doc","state":[]}"#, "bad_message", Some("state")),
        (large.as_str(), "too_large", Some("state")),
        (r#"{"type":"presence:update","room":"other","state":{}}"#, "not_joined", Some("room")),
        (r#"{"type":"presence:cursor","room":"doc","cursor":{"x":1}}"#, "bad_message", Some("cursor.y")),
        (r#"{"type":"presence:cursor","room":"doc"}"#, "bad_message", Some("cursor")),
        (r#"{"type":"presence:typing","room":"doc","typing":"yes"}"#, "bad_message", Some("typing")),
        (r#"{"type":"presence:sync","room":"doc","version":1}"#, "bad_message", Some("epoch")),
        (
            r#"{"type":"presence:sync","room":"doc","epoch":"e","version":1,"digest":"x"}"#,
            "bad_message",
            Some("digest"),
        ),
    ];
    for (text, code, field) in cases {
        ann.send_text(text).await?;
        let refusal = ann.refusal().await?;
        assert_eq!((refusal.0.as_str(), refusal.1.as_deref()), (code, field), "{text}");
    }
    ann.settle("doc").await?;
    Ok(())
}

/// A message that is not text is an error, and the connection lives on.
#[cfg(feature = "ws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_message_is_an_error_and_the_connection_lives_on() -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    ann.wire().send_binary().await?;
    assert_eq!(ann.refusal().await?.0, "bad_message");
    ann.settle("doc").await?;
    Ok(())
}

/// Every direct answer repeats `ref`.
async fn an_answer_repeats_the_reference(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send(&json!({"type": "presence:update", "room": "no where", "state": {}, "ref": "r-1"})).await?;
    let refused = ann.wait_for("an error", |m| matches!(m, ServerMessage::Error(_))).await?;
    assert!(matches!(refused, ServerMessage::Error(error) if error.reference == Some(json!("r-1"))));
    Ok(())
}

/// S7, S10: text is text, whatever it looks like.
async fn names_are_text_whatever_they_look_like(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut odd = Client::anonymous(kind, server.address).await?;
    let user = json!({"id": "__proto__", "name": "<b>\u{202e}💡</b>", "sessionId": "constructor"});
    odd.send(
        &json!({"type": "presence:join", "room": "doc", "user": user, "state": {"__proto__": {"x": 1}}}),
    )
    .await?;
    odd.wait_for("a snapshot", |m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    let seen = &odd.view("doc").users()["__proto__"];
    assert_eq!(seen.name, "<b>\u{202e}💡</b>");
    assert_eq!(json!(seen.sessions[0].state), json!({"__proto__": {"x": 1}}));
    odd.settle("doc").await?;
    Ok(())
}

/// X4: whoever says nothing of itself is not kept.
async fn nobody_may_stay_unknown(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { hello_ms: 200, ..quick() })?;
    let mut nobody = Client::anonymous(kind, server.address).await?;
    nobody.send(&json!({"type": "presence:heartbeat"})).await?;
    assert_eq!(nobody.refusal().await?.0, "unauthorized");
    assert_eq!(nobody.closed().await?, Some(4501));
    Ok(())
}

/// X2: too much is refused first, with a time to wait, and ended later.
async fn a_flood_is_refused_and_then_ended(kind: Kind) -> Result<()> {
    let server =
        TestServer::start(Config { messages_per_second: 1, messages_burst: 5, abuse_max: 10, ..quick() })?;
    let mut flood = Client::connect(kind, server.address, &Credentials::new("flood", "f")).await?;
    for _ in 0..16 {
        // The last ones may come after the end.
        let _ = flood.send(&json!({"type": "presence:heartbeat"})).await;
    }
    // What is posted to a stream that has ended is refused too, for another reason.
    let refused =
        |m: &ServerMessage| matches!(m, ServerMessage::Error(error) if error.code == "rate_limited");
    let refused = flood.wait_for("a refusal", refused).await?;
    let ServerMessage::Error(refused) = refused else { unreachable!("that was waited for") };
    assert!(refused.retry_after_ms.is_some_and(|wait| (1..=1_000).contains(&wait)));
    assert_eq!(flood.closed().await?, Some(4008));
    Ok(())
}

/// S8: a message beyond the limit ends a connection that has taken it in, after an error that says so. A post that is
/// too large is refused as a whole, and its stream lives on.
async fn a_message_beyond_the_limit_is_not_taken(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send_text(&json!("x".repeat(70_000)).to_string()).await?;
    assert_eq!(ann.refusal().await?.0, "too_large");
    match kind {
        Kind::Ws => assert_eq!(ann.closed().await?, Some(4500)),
        Kind::Sse | Kind::Shared => ann.settle("doc").await?,
    }
    Ok(())
}

on_every_kind! {
    every_bad_message_names_its_field_and_the_connection_lives_on,
    an_answer_repeats_the_reference,
    names_are_text_whatever_they_look_like,
    nobody_may_stay_unknown,
    a_flood_is_refused_and_then_ended,
    a_message_beyond_the_limit_is_not_taken,
}
