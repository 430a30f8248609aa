//! What clients say, read with limits: each refusal names the field that is at fault.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::{Frame, Mark, Message};
use presence_core::id::{RoomId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::port::store::{Durability, Gap, GapReason};
use presence_core::stream::{MessageId, MessageKind, NewMessage, Seq, StoredMessage};
use presence_core::time::WallTime;
use presence_core::wire::{self, ClientMessage, Kept, Since, SyncResult, decode, decode_message};
use serde_json::{Value, json};

fn limits() -> Limits {
    Limits {
        state_bytes_max: 20,
        cursor_bytes_max: 30,
        name_chars_max: 5,
        avatar_bytes_max: 30,
        watched_users_max: 2,
        json_depth_max: 4,
        ..Limits::default()
    }
}

/// Code and field of the refusal of what a client said.
fn refused(text: &str) -> (ErrorCode, String) {
    let CommandError { code, field, .. } = decode(text.as_bytes(), &limits()).message.unwrap_err();
    (code, field.unwrap_or_default().into_owned())
}

#[test]
fn every_type_of_message_is_read_as_itself() {
    for (text, name) in [
        (r#"{"type":"auth","token":"t"}"#, "auth"),
        (r#"{"type":"presence:join"}"#, "presence:join"),
        (r#"{"type":"presence:leave"}"#, "presence:leave"),
        (r#"{"type":"presence:heartbeat"}"#, "presence:heartbeat"),
        (r#"{"type":"presence:update","state":{}}"#, "presence:update"),
        (r#"{"type":"presence:cursor","cursor":null}"#, "presence:cursor"),
        (r#"{"type":"presence:typing","typing":false}"#, "presence:typing"),
        (r#"{"type":"presence:activity","active":true}"#, "presence:activity"),
        (r#"{"type":"presence:sync","epoch":"e","version":0}"#, "presence:sync"),
        (r#"{"type":"message","id":"m","data":null}"#, "message"),
        (r#"{"type":"ack","seq":0}"#, "ack"),
        (r#"{"type":"sync"}"#, "sync"),
        (r#"{"type":"pong"}"#, "pong"),
        (r#"{"type":"list_users"}"#, "list_users"),
        (r#"{"type":"watch","users":[]}"#, "watch"),
        (r#"{"type":"unwatch","users":[]}"#, "unwatch"),
    ] {
        assert_eq!(decode(text.as_bytes(), &limits()).message.unwrap().type_name(), name);
        assert!(ClientMessage::TYPES.contains(&name));
    }
}

/// Readers differ in which of two they take, so neither is taken; in a large object no less than in a small one.
#[test]
fn a_name_that_stands_in_an_object_twice_is_refused_wherever_it_stands() {
    for count in [2, 8, 9, 10, 40] {
        let message = |names: &[String]| {
            let members: Vec<String> = names.iter().map(|name| format!(r#""{name}":1"#)).collect();
            format!(r#"{{"type":"pong",{}}}"#, members.join(","))
        };
        let names: Vec<String> = (0..count - 1).map(|index| format!("n{index}")).collect();
        assert!(decode(message(&names).as_bytes(), &limits()).message.is_ok(), "{count}");
        for (first, second) in [(0, 1), (0, count - 1), (count - 2, count - 1)] {
            let mut names = names.clone();
            names.insert(second, names[first].clone());
            assert_eq!(refused(&message(&names)), (ErrorCode::BadMessage, names[second].clone()), "{count}");
        }
    }
}

#[test]
fn what_is_no_json_object_is_bad_json() {
    for bad in ["", "[]", "7", "{", r#"{"a":[[[[1]]]]}"#, r#"{"a":"\ud83d"}"#, r#"{"a":1e400}"#] {
        assert_eq!(refused(bad), (ErrorCode::BadJson, String::new()), "{bad}");
    }
    assert_eq!(decode(b"\xff", &limits()).message.unwrap_err().code, ErrorCode::BadJson);
}

#[test]
fn a_bad_message_names_the_field_that_is_at_fault() {
    for (text, field) in [
        ("{}", "type"),
        (r#"{"type":7}"#, "type"),
        (r#"{"type":"pong","type":"pong"}"#, "type"),
        (r#"{"type":"pong","ref":{}}"#, "ref"),
        (r#"{"type":"pong","ref":true}"#, "ref"),
        (r#"{"type":"pong","timestamp":"now"}"#, "timestamp"),
        (r#"{"type":"presence:update"}"#, "state"),
        (r#"{"type":"presence:update","state":[]}"#, "state"),
        (r#"{"type":"presence:update","state":{"a":1,"a":2}}"#, "state.a"),
        (r#"{"type":"presence:join","user":{"id":""}}"#, "user.id"),
        (r#"{"type":"presence:join","user":{"name":"123456"}}"#, "user.name"),
        (r#"{"type":"presence:join","user":{"sessionId":""}}"#, "user.sessionId"),
        (r#"{"type":"presence:join","user":{"color":"red"}}"#, "user.color"),
        (r#"{"type":"presence:join","user":{"avatar":"http://a"}}"#, "user.avatar"),
        (r#"{"type":"presence:join","user":{"avatar":"https://example.org/longest.png"}}"#, "user.avatar"),
        (r#"{"type":"presence:join","since":{"version":1}}"#, "since.epoch"),
        (r#"{"type":"presence:join","since":{"epoch":"e","version":-1}}"#, "since.version"),
        (r#"{"type":"presence:sync","epoch":"e"}"#, "version"),
        (r#"{"type":"presence:sync","epoch":"e","version":1,"digest":"ff"}"#, "digest"),
        (r#"{"type":"presence:sync","epoch":"e","version":1,"digest":"0000000g"}"#, "digest"),
        (r#"{"type":"presence:cursor"}"#, "cursor"),
        (r#"{"type":"presence:cursor","cursor":7}"#, "cursor"),
        (r#"{"type":"presence:cursor","cursor":{"x":1}}"#, "cursor.y"),
        (r#"{"type":"presence:cursor","cursor":{"x":1,"y":"2"}}"#, "cursor.y"),
        (r#"{"type":"presence:cursor","cursor":{"x":1,"y":2,"visible":3}}"#, "cursor.visible"),
        (r#"{"type":"presence:typing"}"#, "typing"),
        (r#"{"type":"message","data":1}"#, "id"),
        (r#"{"type":"message","id":"m"}"#, "data"),
        (r#"{"type":"ack","seq":-1}"#, "seq"),
        (r#"{"type":"sync","limit":0}"#, "limit"),
        (r#"{"type":"sync","cursors":{"doc":"x"}}"#, "cursors.doc"),
        (r#"{"type":"watch"}"#, "users"),
        (r#"{"type":"watch","users":["a","b","c"]}"#, "users"),
        (r#"{"type":"watch","users":["a",""]}"#, "users[1]"),
        (r#"{"client_id":""}"#, "client_id"),
    ] {
        let error = decode(text.as_bytes(), &limits()).message.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadMessage, Some(field)), "{text}");
        assert!(error.message.starts_with(&format!("`{field}` ")), "{}", error.message);
    }
    let longest = r#"{"type":"presence:join","user":{"avatar":"https://example.org/longer.png"}}"#;
    assert!(decode(longest.as_bytes(), &limits()).message.is_ok());
}

#[test]
fn a_reference_is_a_short_string_or_a_number() {
    let reference = |text: &str| {
        let text = format!(r#"{{"type":"pong","ref":{text}}}"#);
        decode(text.as_bytes(), &limits()).reference.map(|reference| reference.as_str().to_owned())
    };
    for good in [r#""r""#, "7", "-7", &format!(r#""{}""#, "x".repeat(254))] {
        assert_eq!(reference(good).as_deref(), Some(good));
    }
    for bad in ["null", "[1]", &format!(r#""{}""#, "x".repeat(255))] {
        assert_eq!(reference(bad), None, "{bad}");
    }
}

/// S8.
#[test]
fn s8_what_is_too_large_says_so() {
    let update = |size: usize| {
        let value = "x".repeat(size - 3);
        format!(r#"{{"type":"presence:update","state":{{"a":"{value}"}}}}"#)
    };
    assert!(decode(update(20).as_bytes(), &limits()).message.is_ok());
    assert_eq!(refused(&update(21)), (ErrorCode::TooLarge, "state".to_owned()));
    let cursor =
        |more: &str| format!(r#"{{"type":"presence:cursor","cursor":{{"x":1,"y":2,"more":"{more}"}}}}"#);
    assert!(decode(cursor("1234567").as_bytes(), &limits()).message.is_ok());
    assert_eq!(refused(&cursor("12345678")), (ErrorCode::TooLarge, "cursor".to_owned()));
}

#[test]
fn rooms_that_are_none_are_invalid_wherever_they_are_named() {
    for (text, field) in [
        (r#"{"type":"presence:join","room":""}"#, "room"),
        (r#"{"type":"presence:leave","room":"@"}"#, "room"),
        (r#"{"type":"sync","cursors":{"a b":1}}"#, "cursors.a b"),
    ] {
        assert_eq!(refused(text), (ErrorCode::InvalidRoom, field.to_owned()), "{text}");
    }
    let null = decode(br#"{"type":"presence:leave","room":null}"#, &limits()).message;
    assert_eq!(null, Ok(ClientMessage::Leave { room: None }));
}

#[test]
fn a_type_that_nobody_knows_is_said_to_be_so_and_not_at_length() {
    let text = format!(r#"{{"type":"{}","ref":1}}"#, "x".repeat(1_000));
    assert_eq!(refused(&text), (ErrorCode::UnknownType, "type".to_owned()));
    let error = decode(text.as_bytes(), &limits()).message.unwrap_err();
    assert!(error.message.len() < 120, "{}", error.message);
}

/// S7: a name of blanks is none, and what is said of a user is kept word for word.
#[test]
fn s7_a_claim_is_read_field_by_field() {
    let text = r##"{"type":"presence:join","user":{"id":"ann","name":"Ann","sessionId":"tab","color":"#FFF","avatar":"https://a","email":"a@b"}}"##;
    let ClientMessage::Join { user, .. } = decode(text.as_bytes(), &limits()).message.unwrap() else {
        panic!("it is a join")
    };
    assert_eq!((user.id.unwrap().as_str(), user.session.unwrap().as_str()), ("ann", "tab"));
    assert_eq!((user.name.as_deref(), user.color.unwrap().as_str()), (Some("Ann"), "#fff"));
    assert_eq!((user.avatar.as_deref(), user.email.as_deref()), (Some("https://a"), Some("a@b")));
    let blank = br#"{"type":"presence:join","user":{"name":"   "}}"#;
    let ClientMessage::Join { user, .. } = decode(blank, &limits()).message.unwrap() else {
        panic!("it is a join")
    };
    assert_eq!(user.name, None);
}

#[test]
fn the_id_of_an_event_reads_back_as_what_its_reader_has() {
    let (room, since) = Since::of_event("doc;0001-2;7").unwrap();
    assert_eq!((room.as_str(), &*since.epoch, since.version), ("doc", "0001-2", Version::new(7)));
    let long = format!("doc;{};7", "e".repeat(129));
    for other in ["", "doc", "doc;e", "doc;e;x", "doc;e;7;8", "a b;e;7", "doc;e;-7", &long] {
        assert_eq!(Since::of_event(other), None, "{other}");
    }
}

#[test]
fn a_message_that_comes_without_a_type_is_an_id_and_data() {
    let read = |text: &str| decode_message(text.as_bytes(), &limits());
    let (id, data) = read(r#"{"id":"m","data": { "a": 1 } }"#).unwrap();
    assert_eq!((id.as_str(), data.as_str()), ("m", r#"{"a":1}"#));
    assert_eq!(read(r#"{"id":"m","data":null}"#).unwrap().1.as_str(), "null");
    for (text, field) in [
        (r#"{"data":1}"#, Some("id")),
        (r#"{"id":"m"}"#, Some("data")),
        (r#"{"id":"m","data":1,"data":2}"#, Some("data")),
        ("[]", None),
    ] {
        assert_eq!(read(text).unwrap_err().field.as_deref(), field, "{text}");
    }
}

fn stored(kind: MessageKind, body: &'static str) -> StoredMessage {
    let message = NewMessage {
        room: RoomId::parse("doc").unwrap(),
        kind,
        sender: UserId::parse("ann").unwrap(),
        sender_name: "Ann".into(),
        id: MessageId::parse("m").unwrap(),
        body: body.into(),
        correlation: "c".into(),
        at: WallTime::from_unix_millis(5),
    };
    StoredMessage { seq: Seq::new(7), message }
}

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// S5: what a store gives back damaged is said to be nothing, and stops nobody.
#[test]
fn s5_a_stored_message_that_can_not_be_read_any_more_has_no_text() {
    let message = wire::stream_message(&stored(MessageKind::Message, "{damaged"));
    assert_eq!(value(message.text())["snapshot"], Value::Null);
    let invitation = wire::stream_message(&stored(MessageKind::Invitation, "{damaged"));
    assert_eq!(value(invitation.text())["room"], "");
}

#[test]
fn what_goes_again_says_so_and_is_otherwise_the_same() {
    let marked = wire::stream_message(&stored(MessageKind::Message, "1"));
    let again = wire::redelivered(&Frame::new([marked.clone(), Message::new(r#"{"type":"x"}"#)]));
    let mut first = value(again.messages()[0].text());
    assert_eq!(first["redelivered"], true);
    first.as_object_mut().unwrap().remove("redelivered");
    assert_eq!(first, value(marked.text()));
    assert_eq!(again.messages()[0].mark(), Some(&Mark::Correlation("c".into())));
    assert_eq!(value(again.messages()[1].text()), json!({"type": "x", "redelivered": true}));
    assert_eq!(again.messages()[1].mark(), None);
}

#[test]
fn over_http_a_room_and_a_sync_are_what_they_are_over_a_connection() {
    let messages = [stored(MessageKind::Message, "1"), stored(MessageKind::Invitation, r#"{"room":"team"}"#)];
    let body = value(&wire::room_messages(&messages, true));
    assert_eq!((&body["more"], &body["messages"][0]["snapshot"]), (&json!(true), &json!(1)));
    assert_eq!(
        (&body["messages"][0]["kind"], &body["messages"][1]["kind"]),
        (&Value::Null, &json!("invitation"))
    );
    let StoredMessage { seq, message } = &messages[0];
    let (id, at, durability) = (&message.id, message.at, Durability::Memory);
    let kept = value(&wire::message_kept(Kept { id, room: &message.room, seq: *seq, at, durability }));
    assert_eq!(kept, json!({"id": "m", "room": "doc", "seq": 7, "timestamp": 5, "durability": "memory"}));
    let room = RoomId::parse("doc").unwrap();
    let gap = Gap { from: Seq::new(2), to: Seq::new(4), reason: GapReason::Expired };
    let result = SyncResult {
        messages: messages[..1].to_vec(),
        dropped: vec![(room.clone(), gap)],
        cursors: vec![(room, Seq::new(7))],
        more: true,
        ..SyncResult::default()
    };
    let body = value(&wire::sync_body(&result));
    let dropped = json!([{"room": "doc", "count": 3, "from_seq": 2, "to_seq": 4, "reason": "expired"}]);
    assert_eq!((&body["dropped"], &body["cursors"]), (&dropped, &json!({"doc": 7})));
    let mut over_connection = value(wire::sync_result(&result, &None).text());
    assert_eq!(over_connection.as_object_mut().unwrap().remove("type"), Some(json!("sync_result")));
    assert_eq!(over_connection, body);
}
