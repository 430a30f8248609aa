//! What a room answers to those who ask it something.

use presence_core::id::{Generation, Version};
use presence_core::limits::Limits;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, ShardInput};
use presence_core::wire::Since;
use serde_json::json;

use crate::node::{Node, activity, cursor, joining, profile, reference, room, typing, update};

/// What somebody has: so many versions more or less than the room, of its history.
fn has(node: &Node, more: i64) -> Since {
    let stand = node.shard.room(&room("doc")).unwrap().stand();
    let version = Version::new(stand.version.number().checked_add_signed(more).unwrap());
    Since { epoch: stand.epoch.as_str().into(), version }
}

fn syncs(node: &mut Node, who: Generation, since: Since, digest: Option<u32>) {
    let reference = reference();
    node.tell(who, RoomCommand::Sync { since, digest, entry: Entry(1), reference });
}

#[test]
fn p4_who_is_behind_gets_what_was_missed_in_order_and_then_how_the_room_stands() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    for text in [r#"{"a":1}"#, r#"{"a":2}"#] {
        node.tell(ann, update(text));
        node.settles();
    }
    let since = has(&node, -2);
    syncs(&mut node, bob, since, None);
    node.advance(1_000);
    let read = node.reads(bob);
    let stand = node.shard.room(&room("doc")).unwrap().stand();
    let versions: Vec<u64> = read.iter().map(|message| message["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [stand.version.number() - 1, stand.version.number(), stand.version.number()]);
    assert_eq!((&read[2]["type"], &read[2]["ref"]), (&json!("presence:synced"), &json!("r")));
    assert_eq!(read[2]["digest"], stand.digest.to_string());
    assert_eq!(node.shard.tally().replays, 1);
}

#[test]
fn who_has_what_the_room_has_is_told_so() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    let (since, digest) = (has(&node, 0), node.shard.room(&room("doc")).unwrap().stand().digest.value());
    for digest in [None, Some(digest)] {
        syncs(&mut node, ann, since.clone(), digest);
        assert_eq!(node.reads_types(ann), ["presence:synced"]);
    }
}

/// B11, C6: what can not be compared, or differs, is started afresh, and it is said why.
#[test]
fn c6_who_can_not_go_on_from_what_they_have_starts_afresh_and_is_told_why() {
    let mut node = Node::within(Limits { feed_messages_max: 2, ..Limits::default() });
    let ann = node.enters("ann", "a");
    for version in 0..4 {
        node.tell(ann, update(&format!(r#"{{"a":{version}}}"#)));
        node.settles();
    }
    let digest = node.shard.room(&room("doc")).unwrap().stand().digest.value();
    let (now, ahead, old) = (has(&node, 0), has(&node, 1), has(&node, -4));
    let other = Since { epoch: "of-another-server".into(), ..now.clone() };
    for (since, digest, reason) in [
        (now.clone(), Some(digest ^ 1), "drift"),
        (other, Some(digest), "epoch"),
        (ahead, None, "gap"),
        (old, None, "gap"),
    ] {
        syncs(&mut node, ann, since.clone(), digest);
        let answer = node.reads_one(ann);
        assert_eq!(answer["type"], "presence:currentUsers");
        assert_eq!((&answer["reason"], &answer["ref"]), (&json!(reason), &json!("r")), "{since:?}");
    }
    // A digest of another version says nothing.
    let before = has(&node, -1);
    syncs(&mut node, ann, before, Some(digest ^ 1));
    assert_eq!(node.reads_types(ann), ["presence:userUpdated", "presence:synced"]);
    assert_eq!(node.shard.tally().snapshots, [1, 2, 1, 1, 0]);
}

#[test]
fn a_join_that_says_what_it_has_gets_what_it_has_not() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    let since = Some(has(&node, 0));
    node.tell(ann, update(r#"{"a":1}"#));
    node.settles();
    let bob = node.attach("bob", "b");
    node.tell(bob, RoomCommand::Join(Join { since, ..joining("bob") }));
    assert_eq!(node.reads_types(bob), ["presence:userUpdated", "presence:userJoined", "presence:synced"]);
}

#[test]
fn who_fell_behind_is_started_afresh() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    node.tell(ann, RoomCommand::Restart { entry: Entry(1) });
    assert_eq!(node.reads_one(ann)["reason"], "lagged");
}

#[test]
fn who_left_before_the_answer_came_is_not_answered() {
    let mut node = Node::new();
    node.enters("bob", "b");
    let ann = node.attach("ann", "a");
    node.tell(ann, RoomCommand::Join(joining("ann")));
    node.tell(ann, RoomCommand::Leave);
    node.reads_nothing(ann);
    let stranger = node.attach("eve", "e");
    node.tell(stranger, RoomCommand::Restart { entry: Entry(1) });
    node.reads_nothing(stranger);
}

/// S9: whether there is such a room can not be told from the answer.
#[test]
fn s9_a_room_that_is_not_there_answers_as_one_that_one_is_not_in() {
    let mut node = Node::new();
    node.enters("bob", "b");
    let stranger = node.attach("eve", "e");
    let since = has(&node, 0);
    let sync = RoomCommand::Sync { since, digest: None, entry: Entry(1), reference: reference() };
    let questions = [update("{}"), cursor(None), typing(true), sync];
    for question in questions {
        let said = format!("{question:?}");
        node.tell_room("doc", stranger, question.clone());
        let there = node.reads_one(stranger);
        node.tell_room("nowhere", stranger, question);
        let nowhere = node.reads_one(stranger);
        assert_eq!((&nowhere["code"], &nowhere["ref"]), (&json!("not_joined"), &json!("r")), "{said}");
        assert_eq!(there.to_string().replace("doc", "nowhere"), nowhere.to_string());
    }
    let (before, after) = (profile("eve"), profile("eve"));
    for silent in [
        RoomCommand::Leave,
        RoomCommand::PutOut,
        RoomCommand::Touch,
        activity(true),
        RoomCommand::Profile { before, after },
        RoomCommand::Restart { entry: Entry(1) },
        RoomCommand::LiveNow,
    ] {
        node.tell_room("nowhere", stranger, silent);
        node.reads_nothing(stranger);
    }
    assert!(node.shard.room(&room("nowhere")).is_none());
}

#[test]
fn whoever_asks_from_outside_reads_the_room_as_it_stands_after_what_it_was_told_before() {
    let mut node = Node::new();
    node.enters("ann", "a");
    let bob = node.attach("bob", "b");
    node.tell(bob, RoomCommand::Join(joining("bob")));
    for (ticket, name) in [(7, "doc"), (8, "doc"), (9, "nowhere")] {
        node.shard.handle_input(node.clock(), ShardInput::Read { ticket, room: room(name) });
    }
    let mut read = node.advance(1_000);
    read.sort();
    assert_eq!(
        read,
        ["reading 7: version 2, 2 users", "reading 8: version 2, 2 users", "reading 9: version 0, 0 users"]
    );
    assert_eq!(node.shard.room_count(), 1, "a room is not opened by looking at it");
}

#[test]
fn whoever_asks_from_outside_shares_an_answer_until_something_changes_or_it_is_a_second_old() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    let first = node.body();
    assert_eq!(node.body().as_ptr(), first.as_ptr());
    // To look whether all is well changes nothing.
    node.shard.audit(node.clock(), 100);
    assert_eq!(node.body().as_ptr(), first.as_ptr());
    node.millis += 999;
    assert_eq!(node.body().as_ptr(), first.as_ptr());
    node.millis += 1;
    let second = node.body();
    assert_ne!(second, first, "it says when it was true");
    // This has no version.
    node.tell(ann, cursor(Some(r#"{"x":1,"y":2}"#)));
    let third = String::from_utf8(node.body().to_vec()).unwrap();
    assert!(third.contains(r#""cursor":{"x":1,"y":2}"#), "{third}");
    assert_eq!(node.body(), third);
}

/// P3: what a room has said of itself holds until it changes, or is a second old, and of a room that is not there not at all.
#[test]
fn what_a_room_has_said_holds_until_it_changes() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    node.advance(1_000);
    let first = node.reading();
    assert!(first.holds(node.clock().at));
    node.tell(ann, update(r#"{"a":1}"#));
    assert!(!first.holds(node.clock().at), "before anybody hears of it");

    let second = node.reading();
    node.millis += 999;
    assert!(second.holds(node.clock().at));
    node.millis += 1;
    assert!(!second.holds(node.clock().at));

    let third = node.reading();
    node.detach(ann, Detach::Finished);
    assert!(!third.holds(node.clock().at));
    node.advance(600_000);
    assert!(!node.reading().holds(node.clock().at), "there is no such room");
}
