//! What a connection sends to streams, and how it says what it has dealt with.

use std::sync::Arc;

use presence_core::frame::Frame;
use presence_core::limits::Limits;
use presence_core::port::store::Durability;
use presence_core::session::{Publish, SessionOutput, Standing, StreamCommand, StreamDelivery};
use presence_core::stream::{MessageId, Seq};
use presence_core::time::WallTime;
use presence_core::wire::{self, Kept};
use serde_json::Value;

use crate::client::{CONNECTION, Client, Stream, room, user, word};

/// What it says, and what is to be kept of that.
fn published(client: &mut Client, text: &str) -> Publish {
    client.session.handle_text(client.now(), text.as_bytes());
    let outputs = client.session.take_outputs();
    let publish = outputs.into_iter().find_map(|output| match output {
        SessionOutput::Stream(StreamCommand::Publish(publish)) => Some(*publish),
        _ => None,
    });
    publish.unwrap()
}

#[test]
fn a_message_carries_its_sender_and_its_body_word_for_word() {
    let mut client = Client::ann();
    client.says(r#"{"type":"presence:join","user":{"name":"Ann 💡"}}"#);
    let text = r#"{"type":"message","id":"m-1","data":{ "text": "a  b" },"ref":"r"}"#;
    let Publish { room, id, body, sender, sender_name, standing, reference } = published(&mut client, text);
    assert_eq!((room.as_str(), id.as_str(), sender), ("lobby", "m-1", user("ann")));
    assert_eq!(body, r#"{"text":"a  b"}"#);
    assert_eq!((sender_name, standing), (Arc::from("Ann 💡"), Standing::Sure));
    assert_eq!(reference.unwrap().as_str(), r#""r""#);
}

#[test]
fn who_is_not_in_the_room_has_to_be_on_its_roster_and_an_inbox_needs_neither() {
    let mut client = Client::ann();
    client.enters("doc");
    for (name, standing) in [
        ("doc", Standing::Sure),
        ("team", Standing::OnRoster),
        ("@bob", Standing::Sure),
        ("@ann", Standing::Sure),
    ] {
        let text = format!(r#"{{"type":"message","room":"{name}","id":"m","data":null}}"#);
        let publish = published(&mut client, &text);
        assert_eq!((publish.room, publish.standing), (room(name), standing));
    }
}

#[test]
fn s1_a_token_says_where_its_user_may_send() {
    let say = |client: &mut Client, name: &str| {
        client.says(&format!(r#"{{"type":"message","room":"{name}","id":"m","data":1,"ref":"r"}}"#))
    };
    let mut client = Client::ann_in(&["doc-*"]);
    assert_eq!(say(&mut client, "doc-1"), ["publish m in doc-1 (OnRoster)"]);
    assert_eq!(say(&mut client, "@ann"), ["publish m in @ann (Sure)"]);
    for name in ["team", "@bob"] {
        assert_eq!(say(&mut client, name), ["refused: Forbidden"]);
        assert_eq!(client.reads_errors(), ["forbidden room r"]);
    }
    let mut client = Client::ann_in(&["@*"]);
    assert_eq!(say(&mut client, "@bob"), ["publish m in @bob (Sure)"]);
}

/// The protocol: typing ends on a message.
#[test]
fn whoever_has_sent_a_message_types_it_no_more() {
    let mut client = Client::ann();
    client.enters("lobby");
    client.enters("doc");
    client.says(r#"{"type":"presence:typing","typing":true}"#);
    let message = r#"{"type":"message","id":"m","data":1}"#;
    assert_eq!(
        published(&mut client, r#"{"type":"message","room":"doc","id":"m","data":1}"#).room,
        room("doc")
    );
    assert_eq!(
        client.says(message),
        ["lobby: Typing { typing: false, reference: None }", "publish m in lobby (Sure)"]
    );
    assert_eq!(client.says(message), ["publish m in lobby (Sure)"], "it is said once");
    client.says(r#"{"type":"presence:typing","typing":true}"#);
    client.says(r#"{"type":"presence:typing","typing":false}"#);
    assert_eq!(client.says(message), ["publish m in lobby (Sure)"], "it was said already");
}

#[test]
fn s1_nobody_sends_acknowledges_or_syncs_before_they_are_known() {
    for text in [
        r#"{"type":"message","id":"m","data":1,"ref":"r"}"#,
        r#"{"type":"ack","seq":1,"ref":"r"}"#,
        r#"{"type":"sync","ref":"r"}"#,
    ] {
        let mut client = Client::opened(word(None), Limits::default(), |_| {});
        assert_eq!(client.says(text), ["refused: Unauthorized"], "{text}");
        assert_eq!(client.reads_errors(), ["unauthorized - r"], "{text}");
    }
}

/// M1: the ack is what others say it is, and its sender does not get the message itself.
#[test]
fn the_sender_reads_the_ack_and_never_its_own_message() {
    let mut client = Client::ann();
    let stream = Stream::of("lobby", 0);
    let kept = |seq: u64| {
        let (id, seq) = (MessageId::parse("m").unwrap(), Seq::new(seq));
        let kept = Kept {
            id: &id,
            room: &room("lobby"),
            seq,
            at: WallTime::default(),
            durability: Durability::Disk,
        };
        StreamDelivery::Kept { room: room("lobby"), seq, frame: Frame::one(wire::message_ack(kept, &None)) }
    };
    assert!(client.gets_of_streams(kept(1)).is_empty());
    assert_eq!(client.reads_types(), ["ack"], "also on a connection that receives no stream");

    client.gets_of_streams(stream.opened(0));
    stream.grows(Some(CONNECTION));
    stream.grows(None);
    assert!(client.reads().is_empty(), "what others sent later waits until it knows of its own");
    client.gets_of_streams(kept(1));
    let read = client.reads();
    assert_eq!((&read[0]["seq"], &read[1]["type"]), (&Value::from(1), &Value::from("message-2")));
    assert_eq!(read.len(), 2);
}

#[test]
fn an_ack_moves_the_cursor_and_is_free_while_it_does() {
    let limits = Limits { messages_per_second: 1, messages_burst: 1, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    let stream = Stream::of("lobby", 0);
    (0..3).for_each(|_| stream.grows(None));
    client.gets_of_streams(stream.opened(0));
    assert_eq!(client.reads_types(), ["message-1", "message-2", "message-3"]);
    for seq in 1..=3 {
        let wanted = client.says(&format!(r#"{{"type":"ack","seq":{seq}}}"#));
        assert_eq!(wanted, [format!("lobby is read up to {seq}")]);
    }
    assert_eq!(stream.receiver.acked(), Seq::new(3));
    let again = r#"{"type":"ack","room":"lobby","seq":3,"ref":"r"}"#;
    assert!(client.says(again).is_empty(), "M5: a cursor does not go back");
    assert_eq!(client.says(again), ["refused: RateLimited", "limited: Messages"], "and that was the budget");
    assert_eq!(client.reads_errors(), ["rate_limited - r"]);
}

#[test]
fn m10_an_ack_beyond_what_was_sent_is_an_error_and_its_abuse_ends_the_connection() {
    let limits = Limits { abuse_max: 2, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    let stream = Stream::of("lobby", 4);
    client.gets_of_streams(stream.opened(4));
    let beyond = r#"{"type":"ack","seq":5,"ref":"r"}"#;
    for _ in 0..2 {
        assert_eq!(client.says(beyond), ["refused: Conflict"]);
        assert_eq!(client.reads_errors(), ["conflict seq r"]);
    }
    assert_eq!(client.says(beyond), ["refused: Conflict", "detach: Lost", "close: ProtocolAbused"]);
    assert_eq!(stream.receiver.acked(), Seq::new(4));
}

#[test]
fn an_ack_of_a_stream_that_nothing_was_delivered_of_is_for_others_to_judge_and_costs() {
    let limits = Limits { messages_per_second: 1, messages_burst: 2, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    let ack = r#"{"type":"ack","room":"doc","seq":9,"ref":"r"}"#;
    assert_eq!(client.says(ack), ["doc is read up to 9, if that may be"]);
    client.gets_of_streams(Stream::of("lobby", 0).opened(0));
    assert_eq!(client.says(ack), ["doc is read up to 9, if that may be"]);
    assert_eq!(client.says(ack), ["refused: RateLimited", "limited: Messages"]);
}
