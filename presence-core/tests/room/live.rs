//! The live lane: cursors and typing.

use presence_core::shard::{Detach, RoomCommand};
use serde_json::json;

use crate::node::{Node, cursor, joining, reference, typing};

const HERE: &str = r#"{"x":1,"y":2}"#;
const THERE: &str = r#"{"x":3,"y":4}"#;

#[test]
fn the_latest_cursor_of_each_session_is_said_once_and_changes_no_version() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    let version = |node: &Node| node.shard.room(&crate::node::room("doc")).unwrap().stand().version;
    let before = version(&node);
    node.tell(ann, cursor(Some(HERE)));
    node.tell(ann, cursor(Some(THERE)));
    node.tell(bob, cursor(Some(HERE)));
    let said = node.reads_one(bob);
    assert_eq!(
        said["cursors"],
        json!([
            {"userId": "ann", "sessionId": "a", "cursor": {"x": 3, "y": 4}},
            {"userId": "bob", "sessionId": "b", "cursor": {"x": 1, "y": 2}},
        ])
    );
    node.tell(ann, cursor(Some(THERE)));
    node.reads_nothing(bob);
    node.tell(ann, cursor(None));
    assert_eq!(node.reads_one(bob)["cursors"], json!([{"userId": "ann", "sessionId": "a", "cursor": null}]));
    assert_eq!(version(&node), before);
}

#[test]
fn a_cursor_of_one_who_has_gone_is_not_said() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    node.tell(ann, cursor(Some(HERE)));
    node.tell(ann, RoomCommand::Leave);
    assert_eq!(node.reads_types(bob), ["presence:userLeft"]);
}

#[test]
fn typing_is_said_when_it_begins_and_when_it_ends_and_not_between() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    node.tell(ann, typing(true));
    let said = node.reads_one(bob);
    assert_eq!((&said["type"], &said["userIds"]), (&json!("presence:typing"), &json!(["ann"])));
    node.tell(ann, typing(true));
    node.reads_nothing(bob);
    node.tell(ann, typing(false));
    assert_eq!(node.reads_one(bob)["userIds"], json!([]));
    node.tell(ann, typing(false));
    node.reads_nothing(bob);
    node.tell(ann, typing(true));
    node.tell(ann, typing(false));
    node.reads_nothing(bob);
}

#[test]
fn a_user_types_while_one_of_their_sessions_does() {
    let mut node = Node::new();
    let (bob, first, second) = (node.enters("bob", "b"), node.enters("ann", "1"), node.enters("ann", "2"));
    node.settles();
    node.tell(first, typing(true));
    assert_eq!(node.reads_one(bob)["userIds"], json!(["ann"]));
    node.tell(second, typing(true));
    node.tell(first, typing(false));
    node.reads_nothing(bob);
    node.tell(second, typing(false));
    assert_eq!(node.reads_one(bob)["userIds"], json!([]));
}

#[test]
fn typing_ends_by_itself_and_lasts_on_from_the_last_time_it_was_said() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    let lasts = node.limits.typing.as_millis() as u64;
    node.tell(ann, typing(true));
    node.advance(lasts - 1_000);
    node.tell(ann, typing(true));
    node.advance(lasts - 10);
    assert_eq!(node.reads(bob).len(), 1, "it has begun, and not ended");
    node.advance(10);
    assert_eq!(node.reads(bob).pop().unwrap()["userIds"], json!([]));
}

#[test]
fn who_goes_or_is_lost_types_no_more() {
    for how in [Detach::Lost, Detach::Finished] {
        let mut node = Node::new();
        let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
        node.tell(ann, typing(true));
        node.settles();
        node.detach(ann, how);
        node.advance(1_000);
        let read = node.reads(bob);
        let typing = read.iter().find(|message| message["type"] == "presence:typing");
        assert_eq!(typing.unwrap()["userIds"], json!([]), "{how:?}");
    }
}

#[test]
fn who_comes_in_learns_who_is_typing() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    let bob = node.attach("bob", "b");
    node.tell(bob, RoomCommand::Join(joining("bob")));
    assert_eq!(node.reads_types(bob), ["presence:currentUsers"]);
    node.tell(ann, typing(true));
    node.settles();
    let eve = node.attach("eve", "e");
    node.tell(eve, RoomCommand::Join(joining("eve")));
    assert_eq!(node.reads_types(eve), ["presence:currentUsers", "presence:typing"]);
}

#[test]
fn who_missed_some_of_it_gets_the_latest_of_everything() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.tell(ann, cursor(Some(HERE)));
    node.tell(bob, typing(true));
    node.settles();
    node.tell(bob, RoomCommand::LiveNow);
    node.advance(0);
    let read = node.reads(bob);
    let cursors = json!([
        {"userId": "ann", "sessionId": "a", "cursor": {"x": 1, "y": 2}},
        {"userId": "bob", "sessionId": "b", "cursor": null},
    ]);
    assert_eq!((&read[0]["cursors"], &read[1]["userIds"]), (&cursors, &json!(["bob"])));
    let stranger = node.attach("eve", "e");
    node.tell(stranger, RoomCommand::LiveNow);
    node.reads_nothing(stranger);
}

#[test]
fn who_is_not_in_the_room_neither_points_nor_types_nor_says_anything_there() {
    let mut node = Node::new();
    let bob = node.enters("bob", "b");
    let stranger = node.attach("eve", "e");
    let patch = crate::node::state(r#"{"a":1}"#);
    for command in [cursor(Some(HERE)), typing(true), RoomCommand::Update { patch, reference: reference() }] {
        let said = format!("{command:?}");
        node.tell(stranger, command);
        let refusal = node.reads_one(stranger);
        assert_eq!((&refusal["code"], &refusal["ref"]), (&json!("not_joined"), &json!("r")), "{said}");
    }
    for command in [RoomCommand::Touch, crate::node::activity(false), RoomCommand::Leave] {
        node.tell(stranger, command);
        node.reads_nothing(stranger);
    }
    assert_eq!(node.reads(bob), [json!(null); 0]);
}
