//! What clients say. Nothing panics; what is accepted is JSON within the limits, and says the same when it is written
//! down and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use presence_core::error::ErrorCode;
use presence_core::limits::Limits;
use presence_core::window::Window;
use presence_core::wire::{
    ClientMessage, Decoded, Json, StatePatch, SyncRequest, UserClaim, decode, decode_message, document,
};
use presence_fuzz::{is_deeper, small_limits};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("what was accepted is JSON")
}

/// The values that pass through as they are, in the place of which a marker is written first.
#[derive(Default)]
struct Passed(Vec<String>);

impl Passed {
    fn put(&mut self, json: &Json) -> Value {
        self.put_text(json.as_str().to_owned())
    }

    fn put_text(&mut self, text: String) -> Value {
        self.0.push(text);
        Value::String(format!("\u{1}{}", self.0.len() - 1))
    }

    /// Numbers are not read and written again, since not every number survives that.
    fn fill(&self, mut text: String) -> String {
        for (number, passed) in self.0.iter().enumerate() {
            text = text.replacen(&format!("\"\\u0001{number}\""), passed, 1);
        }
        text
    }
}

fn patch(state: &StatePatch, passed: &mut Passed) -> Value {
    let member = |(name, json): (&Box<str>, &Option<Json>)| {
        (name.to_string(), json.as_ref().map_or(Value::Null, |json| passed.put(json)))
    };
    Value::Object(state.iter().map(member).collect())
}

/// In the order in which they were said, which an object of serde_json does not keep.
fn cursors(sync: &SyncRequest) -> String {
    let cursors = sync.cursors.iter().map(|(room, seq)| format!("{}:{seq}", Value::from(room.as_str())));
    format!("{{{}}}", cursors.collect::<Vec<_>>().join(","))
}

fn claim(user: &UserClaim) -> Value {
    json!({
        "id": user.id.as_ref().map(|id| id.as_str()), "name": user.name.as_deref(), "email": user.email.as_deref(),
        "avatar": user.avatar.as_deref(),
        "sessionId": user.session.as_ref().map(|id| id.as_str()), "color": user.color.map(|c| c.as_str().to_owned()),
    })
}

/// The message as a client would say it.
fn said(message: &ClientMessage, passed: &mut Passed) -> Map<String, Value> {
    use ClientMessage as M;
    let fields = match message {
        M::Auth { token, user, session } => json!({
            "token": token.as_ref().map(|token| token.reveal().to_owned()),
            "client_id": user.as_ref().map(|id| id.as_str()), "session_id": session.as_ref().map(|id| id.as_str()),
        }),
        M::Join { user, state, since, window, .. } => json!({
            "user": claim(user), "state": state.as_ref().map(|state| patch(state, passed)),
            "since": since.as_ref().map(|since| json!({"epoch": since.epoch, "version": since.version.number()})),
            "window": window.map(rows),
        }),
        M::Window { window, .. } => rows(*window),
        M::Update { state, .. } => json!({ "state": patch(state, passed) }),
        M::Cursor { cursor, .. } => json!({ "cursor": cursor.as_ref().map(|cursor| passed.put(cursor)) }),
        M::Typing { typing, .. } => json!({ "typing": typing }),
        M::Activity { active } => json!({ "active": active }),
        M::Sync { since, digest, .. } => json!({
            "epoch": since.epoch, "version": since.version.number(), "digest": digest.map(|d| format!("{d:08x}")),
        }),
        M::Message { id, data, .. } => json!({ "id": id.as_str(), "data": passed.put(data) }),
        M::Ack { seq, .. } => json!({ "seq": seq.number() }),
        M::SyncAll(sync) => json!({
            "since": sync.since.map(|since| since.as_unix_millis()), "limit": sync.limit,
            "cursors": passed.put_text(cursors(sync)),
        }),
        M::Pong { timestamp } => json!({ "timestamp": timestamp }),
        M::Watch { users } | M::Unwatch { users } => {
            json!({ "users": users.iter().map(|id| id.as_str()).collect::<Vec<_>>() })
        }
        M::Leave { .. } | M::Heartbeat | M::ListUsers { .. } => json!({}),
    };
    let Value::Object(mut fields) = fields else { unreachable!("each is an object") };
    fields.insert("type".to_owned(), message.type_name().into());
    if let M::Join { room, .. }
    | M::Window { room, .. }
    | M::Leave { room }
    | M::Update { room, .. }
    | M::Cursor { room, .. }
    | M::Typing { room, .. }
    | M::Sync { room, .. }
    | M::Message { room, .. }
    | M::Ack { room, .. }
    | M::ListUsers { room } = message
    {
        fields.insert("room".to_owned(), room.as_ref().map(|room| room.as_str()).into());
    }
    fields
}

fn rows(window: Window) -> Value {
    let rows = window.rows();
    json!({"from": rows.start, "count": rows.len()})
}

fn within(message: &ClientMessage, limits: &Limits) {
    let bounded = |patch: &StatePatch| {
        let bytes =
            patch.iter().map(|(name, json)| name.len() + json.as_ref().map_or(4, |j| j.as_str().len()));
        assert!(bytes.sum::<usize>() <= limits.state_bytes_max);
    };
    match message {
        ClientMessage::Join { user, state, since, .. } => {
            state.as_ref().map(bounded);
            assert!(user.name.as_ref().is_none_or(|name| name.chars().count() <= limits.name_chars_max));
            assert!(user.avatar.as_ref().is_none_or(|avatar| avatar.len() <= limits.avatar_bytes_max));
            assert!(user.email.as_ref().is_none_or(|email| email.chars().count() <= 320));
            assert!(since.as_ref().is_none_or(|since| since.epoch.chars().count() <= 128));
        }
        ClientMessage::Window { window, .. } => assert!(window.rows().len() <= limits.window_rows_max),
        ClientMessage::Update { state, .. } => bounded(state),
        ClientMessage::Cursor { cursor: Some(cursor), .. } => {
            assert!(cursor.as_str().len() <= limits.cursor_bytes_max);
            let cursor = value(cursor.as_str());
            assert!(cursor["x"].is_number() && cursor["y"].is_number());
        }
        ClientMessage::Watch { users } | ClientMessage::Unwatch { users } => {
            assert!(users.len() <= limits.watched_users_max);
        }
        _ => {}
    }
}

fn check(decoded: &Decoded, bytes: &[u8], limits: &Limits) {
    let read: Result<Value, _> = serde_json::from_slice(bytes);
    let Ok(message) = &decoded.message else {
        let error = decoded.message.as_ref().expect_err("it is one");
        assert!(error.message.chars().count() <= 1_024, "a refusal is short: {}", error.message.len());
        // Of members of one name `read` has only the last, so it may have lost what is too deep.
        let brackets = bytes.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
        let deep = error.message.contains("deeper") && brackets > limits.json_depth_max;
        if error.code == ErrorCode::BadJson && read.is_ok_and(|read| read.is_object()) && !deep {
            panic!("a good object was called bad: {}", error.message);
        }
        return;
    };
    let read = read.expect("what was accepted is JSON");
    assert!(read.is_object() && !is_deeper(&read, limits.json_depth_max));
    within(message, limits);
    let mut passed = Passed::default();
    let mut fields = said(message, &mut passed);
    if let Some(reference) = &decoded.reference {
        let raw: &RawValue = serde_json::from_str(reference.as_str()).expect("it is JSON");
        assert!(raw.get().len() <= 256);
        fields.insert("ref".to_owned(), passed.put(reference));
    }
    let text = passed.fill(Value::Object(fields).to_string());
    let again = decode(text.as_bytes(), limits);
    assert_eq!(again, *decoded, "{text}");
}

fuzz_target!(|bytes: &[u8]| {
    let limits = small_limits();
    check(&decode(bytes, &limits), bytes, &limits);
    if let Ok((id, data)) = decode_message(bytes, &limits) {
        assert!((1..=128).contains(&id.as_str().chars().count()));
        assert!(!is_deeper(&value(data.as_str()), limits.json_depth_max));
    }
    if let Ok(kept) = document(bytes, &limits) {
        let (before, after): (Value, Value) = (
            serde_json::from_slice(bytes).expect("it is JSON"),
            serde_json::from_slice(&kept).expect("it is JSON"),
        );
        assert_eq!(before, after);
        assert_eq!(document(&kept, &limits).as_ref(), Ok(&kept), "once is enough");
        assert!(kept.len() <= bytes.len());
    }
});
