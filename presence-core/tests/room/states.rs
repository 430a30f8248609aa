//! What sessions say about themselves, and whether they are in use.

use presence_core::limits::Limits;
use presence_core::profile::Color;
use presence_core::room::Status;
use presence_core::shard::{Detach, Join, RoomCommand};
use presence_core::wire::UserClaim;
use serde_json::{Value, json};

use crate::node::{Node, activity, joining, profile, room, state, update, user};

#[test]
fn p16_a_state_merges_field_by_field_and_null_removes_a_field() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    node.tell(ann, update(r#"{"tool":"pen","page":{"x":1,"y":2}}"#));
    let event = node.reads_one(bob);
    assert_eq!(event["type"], "presence:userUpdated");
    assert_eq!((&event["userId"], &event["sessionId"]), (&json!("ann"), &json!("a")));
    assert_eq!(event["state"], json!({"tool": "pen", "page": {"x": 1, "y": 2}}));
    // What has changed is said, and nothing else.
    node.tell(ann, update(r#"{"tool":null,"page":{"x":1,"y":2},"new":true}"#));
    assert_eq!(node.reads_one(bob)["state"], json!({"tool": null, "new": true}));
    let member = node.shard.room(&room("doc")).unwrap().member("ann").unwrap();
    let fields: Vec<_> = member.sessions[0].state.keys().map(|name| &**name).collect();
    assert_eq!(fields, ["new", "page"]);
}

#[test]
fn p9_an_update_that_changes_nothing_is_no_event() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.tell(ann, update(r#"{"a":1}"#));
    node.settles();
    for same in [r#"{"a":1}"#, "{}", r#"{"never":null}"#] {
        node.tell(ann, update(same));
        node.reads_nothing(bob);
    }
}

/// P17: what lies between two hand-outs may be left out, the end of it not.
#[test]
fn p17_updates_between_two_hand_outs_are_one_event_with_the_last_values() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    for text in [r#"{"a":1,"b":1}"#, r#"{"a":2}"#, r#"{"c":3}"#, r#"{"c":null}"#] {
        node.tell(ann, update(text));
    }
    assert_eq!(node.reads_one(bob)["state"], json!({"a": 2, "b": 1, "c": null}));
}

#[test]
fn a_state_may_be_as_large_as_it_may_and_no_larger() {
    let mut node = Node::within(Limits { state_bytes_max: 20, ..Limits::default() });
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    // Names count too: 1 + 7, and 1 + 11.
    node.tell(ann, update(r#"{"a":"12345"}"#));
    node.tell(ann, update(r#"{"b":"123456789"}"#));
    node.settles();
    for text in [r#"{"c":1}"#, r#"{"a":"123456"}"#] {
        node.tell(ann, update(text));
        let refusal = node.reads_one(ann);
        assert_eq!((&refusal["code"], &refusal["field"]), (&json!("too_large"), &json!("state")));
        assert_eq!(refusal["ref"], "r");
        node.reads_nothing(bob);
    }
    node.tell(ann, update(r#"{"b":null,"c":"123456789"}"#));
    assert_eq!(node.reads_one(bob)["state"], json!({"b": null, "c": "123456789"}));
}

#[test]
fn a_first_state_comes_with_the_join_and_a_later_one_is_merged_into_it() {
    let mut node = Node::within(Limits { state_bytes_max: 20, ..Limits::default() });
    let bob = node.enters("bob", "b");
    let join = |text: &str| RoomCommand::Join(Join { state: Some(state(text)), ..joining("ann") });
    let ann = node.attach("ann", "a");
    let too_large = r#"{"a":"12345678901234567890"}"#;
    node.tell(ann, join(too_large));
    assert_eq!(node.advance(1_000), [format!("{} has not entered", ann.number())]);
    let refusal = node.reads(ann).remove(0);
    assert_eq!((&refusal["code"], &refusal["ref"]), (&json!("too_large"), &json!("r")));
    node.reads_nothing(bob);

    node.tell(ann, join(r#"{"a":1,"b":null}"#));
    let joined = node.reads_one(bob);
    assert_eq!(joined["user"]["sessions"][0]["state"], json!({"a": 1}), "there is nothing to remove yet");
    node.tell(ann, join(r#"{"b":2}"#));
    assert_eq!(node.reads_one(bob)["state"], json!({"b": 2}));
    node.tell(ann, join(too_large));
    assert_eq!(node.advance(1_000), [format!("{} has not entered", ann.number())]);
    node.reads_nothing(bob);

    let tab = node.attach("ann", "another");
    node.tell(tab, join(too_large));
    assert_eq!(node.advance(1_000), [format!("{} has not entered", tab.number())]);
    node.tell(tab, join(r#"{"c":3}"#));
    assert_eq!(node.reads_one(bob)["sessions"][1]["state"], json!({"c": 3}));
}

/// P2: 1→2 and 2→1 sessions are updates.
#[test]
fn p2_a_user_is_away_when_all_their_sessions_are_idle_and_online_when_one_is_not() {
    let mut node = Node::new();
    let (bob, first) = (node.enters("bob", "b"), node.enters("ann", "1"));
    let second = node.attach("ann", "2");
    node.tell(second, RoomCommand::Join(joining("ann")));
    node.reads(bob);
    let event = node.reads_one(bob);
    assert_eq!((&event["type"], &event["connectionCount"]), (&json!("presence:userUpdated"), &json!(2)));
    node.tell(first, activity(false));
    let event = node.reads_one(bob);
    assert_eq!((&event["status"], &event["sessions"][0]["active"]), (&Value::Null, &json!(false)));
    node.tell(second, activity(false));
    assert_eq!(node.reads_one(bob)["status"], "away");
    node.tell(second, activity(false));
    node.reads_nothing(bob);
    node.tell(first, activity(true));
    assert_eq!(node.reads_one(bob)["status"], "online");
    node.detach(first, Detach::Finished);
    let event = node.reads_one(bob);
    assert_eq!((&event["status"], &event["connectionCount"]), (&json!("away"), &json!(1)));
    let member = node.shard.room(&room("doc")).unwrap().member("ann").unwrap();
    assert_eq!(member.status(), Status::Away);
}

#[test]
fn a_join_says_whether_the_session_is_in_use_and_so_does_coming_back() {
    let mut node = Node::new();
    let bob = node.enters("bob", "b");
    let join = |active| RoomCommand::Join(Join { active, ..joining("ann") });
    let ann = node.attach("ann", "a");
    node.tell(ann, join(false));
    assert_eq!(node.reads_one(bob)["user"]["status"], "away");
    node.tell(ann, join(false));
    node.reads_nothing(bob);
    node.tell(ann, join(true));
    let event = node.reads_one(bob);
    assert_eq!((&event["status"], &event["sessions"][0]["active"]), (&json!("online"), &json!(true)));
}

#[test]
fn who_is_seen_otherwise_is_said_to_be_and_each_thing_by_its_name() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    let before = profile("ann");
    let claim = UserClaim {
        color: Some(Color::parse("#123456").unwrap()),
        avatar: Some("https://example.org/a.png".into()),
        email: Some("ann@example.org".into()),
        ..UserClaim::default()
    };
    let after = before.with(&claim);
    node.tell(ann, RoomCommand::Profile { before: before.clone(), after: after.clone() });
    let event = node.reads_one(bob);
    assert_eq!((&event["color"], &event["avatar"]), (&json!("#123456"), &json!("https://example.org/a.png")));
    assert_eq!((&event["email"], &event["name"]), (&json!("ann@example.org"), &Value::Null));
    node.tell(ann, RoomCommand::Profile { before: before.clone(), after: after.clone() });
    node.reads_nothing(bob);
    let named = after.with(&UserClaim { name: Some("Ann".into()), ..UserClaim::default() });
    node.tell(ann, RoomCommand::Join(Join { profile: named, ..joining("ann") }));
    let event = node.reads_one(bob);
    assert_eq!((&event["name"], &event["color"]), (&json!("Ann"), &Value::Null));
    let stranger = node.attach("eve", "e");
    node.tell(stranger, RoomCommand::Profile { before, after });
    node.reads_nothing(bob);
}

/// P15: never earlier than it was, and as late as the last that was heard.
#[test]
fn p15_when_a_user_was_last_seen_never_goes_back() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    let last_seen = |node: &Node| node.shard.room(&room("doc")).unwrap().member("ann").unwrap().last_seen;
    let signs = [
        RoomCommand::Touch,
        update(r#"{"a":1}"#),
        crate::node::cursor(Some(r#"{"x":1,"y":1}"#)),
        crate::node::typing(true),
        activity(false),
        RoomCommand::Join(joining("ann")),
    ];
    for sign in signs {
        node.advance(7_000);
        let said = format!("{sign:?}");
        node.tell(ann, sign);
        assert_eq!(last_seen(&node), node.clock().wall, "{said}");
    }
    let latest = node.clock().wall;
    let earlier = presence_core::time::Now { wall: Default::default(), ..node.clock() };
    let touch = presence_core::shard::ShardInput::Command {
        generation: ann,
        room: room("doc"),
        command: RoomCommand::Touch,
    };
    node.shard.handle_input(earlier, touch);
    assert_eq!(last_seen(&node), latest, "a wall clock that jumps back moves nothing");
    node.settles();
    node.detach(ann, Detach::Finished);
    let left = node.reads_one(bob);
    assert_eq!((&left["userId"], &left["cause"]), (&json!(user("ann").as_str()), &json!("closed")));
    assert_eq!(left["lastSeen"], json!(node.clock().wall.as_unix_millis() - 1_000));
}
