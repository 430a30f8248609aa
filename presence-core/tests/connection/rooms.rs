//! What a connection says about rooms, and what becomes of it.

use presence_core::error::{CommandError, ErrorCode};
use presence_core::feed::Feed;
use presence_core::limits::Limits;
use presence_core::session::{Delivery, SessionOutput};
use presence_core::shard::{Entry, RoomCommand};

use crate::client::{Client, frame, room, word};

#[test]
fn what_is_about_one_room_goes_there_with_its_reference() {
    let mut client = Client::ann();
    client.enters("lobby");
    client.enters("doc");
    for (text, wanted) in [
        (
            r#"{"type":"presence:update","room":"doc","state":{"a":1},"ref":"r"}"#,
            r#"doc: Update { patch: {"a": Some(1)}, reference: Some("r") }"#,
        ),
        (
            r#"{"type":"presence:cursor","cursor":{"x":1,"y":2},"ref":7}"#,
            r#"lobby: Cursor { cursor: Some({"x":1,"y":2}), reference: Some(7) }"#,
        ),
        (
            r#"{"type":"presence:typing","room":"doc","typing":true,"ref":"r"}"#,
            r#"doc: Typing { typing: true, reference: Some("r") }"#,
        ),
        (
            r#"{"type":"presence:sync","room":"doc","epoch":"e","version":3,"digest":"000000ff","ref":"r"}"#,
            r#"doc: Sync { since: Since { epoch: "e", version: Version(3) }, digest: Some(255), entry: Entry(2), reference: Some("r") }"#,
        ),
    ] {
        assert_eq!(client.says(text), [wanted]);
        assert!(client.reads().is_empty());
    }
}

#[test]
fn what_is_about_the_connection_goes_to_all_its_rooms() {
    let mut client = Client::ann();
    client.enters("lobby");
    client.enters("doc");
    assert_eq!(client.says(r#"{"type":"presence:heartbeat"}"#), ["lobby: Touch", "doc: Touch"]);
    assert_eq!(
        client.says(r#"{"type":"presence:activity","active":false}"#),
        ["active: false", "lobby: Activity { active: false }", "doc: Activity { active: false }"]
    );
    assert!(!client.joins("team", "").active, "a room that is entered later hears of it too");
}

#[test]
fn a_room_that_was_not_entered_is_told_nothing() {
    let mut client = Client::ann();
    for text in [
        r#"{"type":"presence:update","state":{},"ref":"r"}"#,
        r#"{"type":"presence:cursor","cursor":null,"ref":"r"}"#,
        r#"{"type":"presence:typing","typing":true,"ref":"r"}"#,
        r#"{"type":"presence:sync","epoch":"e","version":3,"ref":"r"}"#,
    ] {
        assert_eq!(client.says(text), ["refused: NotJoined"], "{text}");
        assert_eq!(client.reads_errors(), ["not_joined room r"], "{text}");
    }
    assert!(client.says(r#"{"type":"presence:leave"}"#).is_empty(), "leaving it is no error");
    assert!(client.reads().is_empty());
}

#[test]
fn every_message_is_reported_by_its_type() {
    let mut client = Client::ann();
    client.session.handle_text(client.now(), br#"{"type":"presence:heartbeat"}"#);
    assert!(matches!(client.session.take_outputs()[..], [SessionOutput::Received("presence:heartbeat")]));
}

/// P9: joining twice is joining once, and each request is answered.
#[test]
fn p9_a_second_join_is_the_same_entry_and_a_refusal_of_one_does_not_end_the_other() {
    let mut client = Client::ann();
    let first = client.asks_to_enter("doc");
    assert_eq!(client.asks_to_enter("doc"), first);
    let refused = |entry| Delivery::NotEntered { entry, frame: frame("no") };
    client.gets(refused(first));
    assert_eq!((client.reads_types(), client.rooms()), (vec!["no".to_owned()], vec!["doc"]));
    client.is_let_in("doc", first, &Feed::new());
    assert_eq!(client.wants(), ["listen to doc"]);
    assert_eq!(client.reads_types(), ["snapshot"]);
    client.asks_to_enter("doc");
    client.gets(refused(first));
    assert_eq!(client.rooms(), ["doc"], "who is in stays in");

    let other = client.asks_to_enter("team");
    assert_ne!(other, first);
    client.gets(refused(Entry(99)));
    assert_eq!(client.rooms(), ["doc", "team"]);
    client.gets(refused(other));
    assert_eq!(client.rooms(), ["doc"]);
}

#[test]
fn a_connection_is_in_no_more_rooms_than_it_may_be() {
    let mut client = Client::ann_within(Limits { rooms_per_connection_max: 2, ..Limits::default() });
    client.enters("a");
    client.enters("b");
    let third = r#"{"type":"presence:join","room":"c","ref":"r"}"#;
    assert_eq!(client.says(third), ["refused: Conflict"]);
    assert_eq!(client.reads_errors(), ["conflict room r"]);
    client.enters("b");
    client.says(r#"{"type":"presence:leave","room":"a"}"#);
    assert_eq!(client.says(third), ["c: join as ann"]);
}

/// What the server can not do now is said to be so, to those who have asked for something.
#[test]
fn a_busy_server_says_so_to_who_has_asked_and_to_nobody_else() {
    let mut client = Client::ann();
    client.enters("doc");
    let say = |client: &mut Client, text: &str| {
        client.session.handle_text(client.now(), text.as_bytes());
        let routed = client.session.take_outputs().into_iter().find_map(|output| match output {
            SessionOutput::Route { command, .. } => Some(command),
            _ => None,
        });
        routed.unwrap()
    };
    for text in [
        r#"{"type":"presence:update","room":"doc","state":{},"ref":"r"}"#,
        r#"{"type":"presence:cursor","room":"doc","cursor":null,"ref":"r"}"#,
        r#"{"type":"presence:typing","room":"doc","typing":true,"ref":"r"}"#,
        r#"{"type":"presence:sync","room":"doc","epoch":"e","version":3,"ref":"r"}"#,
        r#"{"type":"presence:join","room":"doc","ref":"r"}"#,
    ] {
        let command = say(&mut client, text);
        assert!(command.may_be_refused(), "{text}");
        client.session.handle_busy(command);
        assert_eq!(client.wants(), ["refused: Busy"], "{text}");
        let refusal = client.reads();
        assert_eq!((&refusal[0]["code"], &refusal[0]["ref"]), (&"busy".into(), &"r".into()), "{text}");
        let wait = refusal[0]["retry_after_ms"].as_u64();
        assert_eq!(wait, Some(Limits::default().huge_room_tick.as_millis() as u64), "{text}");
        assert_eq!(client.rooms(), ["doc"], "who is in stays in");
    }
    let profile = std::sync::Arc::new(presence_core::profile::Profile::of_user(crate::client::user("ann")));
    for command in [
        RoomCommand::Leave,
        RoomCommand::PutOut,
        RoomCommand::Touch,
        RoomCommand::Activity { active: true },
        RoomCommand::Profile { before: profile.clone(), after: profile },
        RoomCommand::Restart { entry: Entry(1) },
        RoomCommand::LiveNow,
    ] {
        assert!(!command.may_be_refused(), "{command:?}");
        client.session.handle_busy(command);
        assert!(client.wants().is_empty() && client.reads().is_empty());
    }
}

#[test]
fn a_delivery_that_could_not_be_carried_out_is_answered_with_its_reference() {
    let mut client = Client::ann();
    let error = CommandError::new(ErrorCode::NotFound, "there is none");
    let reference = client.joins("doc", r#","ref":"r""#).reference;
    assert_eq!(client.gets(Delivery::Refused { error, reference }), ["refused: NotFound"]);
    assert_eq!(client.reads_errors(), ["not_found - r"]);
}

/// S1: what is said about a room is for those who may enter it.
#[test]
fn s1_a_notice_about_a_room_reaches_who_may_enter_it_and_nobody_else() {
    let notice = |name| Delivery::Notice { room: room(name), frame: frame("notice") };
    let mut client = Client::ann_in(&["doc-*"]);
    for (name, goes) in [("doc-1", true), ("team", false), ("@bob", false), ("@ann", true)] {
        client.gets(notice(name));
        assert_eq!(!client.reads().is_empty(), goes, "{name}");
    }
    let mut nobody = Client::opened(word(None), Limits::default(), |_| {});
    nobody.gets(notice("doc-1"));
    assert!(nobody.reads().is_empty());
}

#[test]
fn questions_about_people_name_the_rooms_that_the_asker_is_in() {
    let mut client = Client::ann_in(&["doc-*"]);
    client.enters("doc-1");
    assert_eq!(client.says(r#"{"type":"list_users"}"#), ["who is online of all, from 1 rooms?"]);
    assert_eq!(
        client.says(r#"{"type":"list_users","room":"doc-2"}"#),
        ["who is online of doc-2, from 1 rooms?"]
    );
    assert_eq!(client.says(r#"{"type":"list_users","room":"team"}"#), ["refused: Forbidden"]);
    assert_eq!(client.says(r#"{"type":"watch","users":["bob","eve","bob"]}"#), ["watch bob eve"]);
    assert_eq!(client.says(r#"{"type":"unwatch","users":["eve"]}"#), ["unwatch eve"]);
    for text in
        [r#"{"type":"list_users"}"#, r#"{"type":"watch","users":[]}"#, r#"{"type":"unwatch","users":[]}"#]
    {
        let mut nobody = Client::opened(word(None), Limits::default(), |_| {});
        assert_eq!(nobody.says(text), ["refused: Unauthorized"], "{text}");
    }
}

#[test]
fn a_mailbox_holds_as_many_answers_as_it_may_and_not_one_more() {
    let mut client = Client::ann_within(Limits { mailbox_max: 8, ..Limits::default() });
    for _ in 0..8 {
        assert!(client.gets(Delivery::Answer(frame("answer"))).is_empty());
    }
    assert_eq!(client.gets(Delivery::Answer(frame("answer"))), ["detach: Lost", "close: SlowConsumer"]);
}

/// X1: whoever asks for large answers and does not read them is let go before they are many; one is given whatever its size.
#[test]
fn a_mailbox_holds_one_answer_of_any_size_and_no_more_bytes_than_it_may_of_several() {
    let client = || Client::ann_within(Limits { mailbox_bytes_max: 1_024, ..Limits::default() });
    let ended = ["detach: Lost", "close: SlowConsumer"];
    let mut one = client();
    assert!(one.gets(Delivery::Answer(frame(&"x".repeat(1_025)))).is_empty());
    assert_eq!(one.gets(Delivery::Answer(frame("answer"))), ended);
    let mut several = client();
    for _ in 0..4 {
        let quarter = frame(&"x".repeat(245));
        assert_eq!(quarter.text_len(), 256);
        assert!(several.gets(Delivery::Answer(quarter)).is_empty());
    }
    assert_eq!(several.gets(Delivery::Answer(frame("answer"))), ended);
}
