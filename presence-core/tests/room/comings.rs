//! Coming, going, being lost and coming back.

use presence_core::id::{Generation, SessionId};
use presence_core::limits::Limits;
use presence_core::shard::{Detach, Join, RoomCommand, ShardInput};
use serde_json::json;

use crate::node::{Node, joining, room, state, update, user};

/// Milliseconds that a lost session is waited for, and one whose page went away.
fn graces() -> (u64, u64) {
    let limits = Limits::default();
    (limits.grace.as_millis() as u64, limits.going_away_grace.as_millis() as u64)
}

#[test]
fn p13_whoever_enters_is_answered_with_a_room_that_has_them_in_it() {
    let mut node = Node::new();
    let ann = node.attach("ann", "a");
    node.tell(ann, RoomCommand::Join(joining("ann")));
    let answer = node.reads_one(ann);
    assert_eq!((&answer["type"], &answer["ref"]), (&json!("presence:currentUsers"), &json!("r")));
    assert_eq!(answer["self"], json!({"userId": "ann", "sessionId": "a"}));
    assert_eq!((&answer["users"][0]["id"], &answer["reason"]), (&json!("ann"), &json!("join")));
    assert_eq!(answer["version"], 1);
}

#[test]
fn who_comes_and_who_goes_is_counted_by_users_and_not_by_tabs() {
    let mut node = Node::new();
    let tabs = [node.attach("ann", "a1"), node.attach("ann", "a2"), node.attach("bob", "b")];
    for (tab, name) in tabs.into_iter().zip(["ann", "ann", "bob"]) {
        node.tell(tab, RoomCommand::Join(joining(name)));
    }
    node.settles();
    let counted = |node: &Node| (node.shard.tally().joins, node.shard.tally().leaves);
    assert_eq!(counted(&node), (2, [0; 5]));
    for (tab, leaves) in [(tabs[0], [0; 5]), (tabs[1], [1, 0, 0, 0, 0]), (tabs[2], [2, 0, 0, 0, 0])] {
        node.tell(tab, RoomCommand::Leave);
        node.settles();
        assert_eq!(counted(&node), (2, leaves));
    }
}

#[test]
fn how_a_connection_ends_decides_when_its_session_leaves_and_what_that_is_called() {
    let (grace, going_away) = graces();
    for (how, after, cause) in [
        (Detach::Finished, 0, "closed"),
        (Detach::Kicked, 0, "kicked"),
        (Detach::GoingAway, going_away, "closed"),
        (Detach::Lost, grace, "timeout"),
    ] {
        let mut node = Node::new();
        let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
        node.settles();
        node.detach(ann, how);
        if after > 0 {
            node.advance(after - 1);
            assert!(node.reads(bob).is_empty(), "{how:?}");
        }
        let left = node.reads_one(bob);
        assert_eq!((&left["type"], &left["cause"]), (&json!("presence:userLeft"), &json!(cause)), "{how:?}");
        assert!(node.shard.sighting(&user("ann")).is_none(), "P12: {how:?}");
    }
}

#[test]
fn who_leaves_by_saying_so_or_is_put_out_is_gone_at_once_and_reads_no_more() {
    for (command, cause) in [(RoomCommand::Leave, "left"), (RoomCommand::PutOut, "kicked")] {
        let mut node = Node::new();
        let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
        node.settles();
        node.tell(ann, command);
        assert_eq!(node.advance(1_000), [format!("silence {}", ann.number())]);
        assert_eq!(node.reads(bob)[0]["cause"], cause);
        assert!(node.reads(ann).is_empty());
        assert_eq!(node.shard.room(&room("doc")).unwrap().user_count(), 1);
    }
}

/// P7, R4: a session that comes back in time has what it had, and nobody hears of it.
#[test]
fn p7_who_comes_back_in_time_is_given_back_what_they_had() {
    let (grace, _) = graces();
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.tell(ann, update(r#"{"tool":"pen"}"#));
    node.tell(ann, crate::node::cursor(Some(r#"{"x":1,"y":2}"#)));
    node.settles();
    node.detach(ann, Detach::Lost);
    node.advance(grace - 2_000);
    let again = node.attach("ann", "a");
    node.tell(again, RoomCommand::Join(joining("ann")));
    node.advance(1_000);
    let read = node.reads(again);
    assert_eq!(
        (&read[0]["type"], &read[1]["type"]),
        (&json!("presence:restored"), &json!("presence:currentUsers"))
    );
    assert_eq!((&read[0]["state"], &read[0]["cursor"]), (&json!({"tool": "pen"}), &json!({"x": 1, "y": 2})));
    node.advance(2 * grace);
    assert!(node.reads(bob).is_empty());
    assert_eq!(node.shard.tally().restores, 1);
}

/// P8, R3: the newer connection has the session, and the older one can do nothing to it any more.
#[test]
fn p8_a_connection_that_was_taken_over_changes_nothing_any_more() {
    let mut node = Node::new();
    let (old, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    let new = node.attach("ann", "a");
    node.tell(new, RoomCommand::Join(joining("ann")));
    let silenced = format!("silence {}", old.number());
    assert_eq!(node.advance(1_000), [format!("evict {}: TakenOver", old.number()), silenced]);
    node.settles();
    for command in [RoomCommand::Leave, update(r#"{"a":1}"#), RoomCommand::Join(joining("ann"))] {
        node.tell(old, command);
    }
    node.detach(old, Detach::Finished);
    node.reads_nothing(bob);
    assert_eq!((node.shard.tally().fenced, node.shard.tally().takeovers), (3, 1));
    assert!(node.shard.room(&room("doc")).unwrap().member("ann").is_some());
}

#[test]
fn p8_the_grace_of_an_earlier_loss_does_not_end_a_later_one() {
    let (grace, _) = graces();
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.detach(ann, Detach::Lost);
    node.advance(grace - 2_000);
    let again = node.enters("ann", "a");
    node.detach(again, Detach::Lost);
    node.advance(grace - 1);
    assert!(node.reads(bob).is_empty());
    assert_eq!(node.reads_one(bob)["cause"], "timeout");
}

#[test]
fn what_a_user_had_is_gone_when_they_come_back_after_they_left() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.tell(ann, update(r#"{"tool":"pen"}"#));
    node.settles();
    // Within one hand-out: others hear of a leave and a join, and of nothing between.
    node.tell(ann, update(r#"{"page":1}"#));
    node.tell(ann, RoomCommand::Leave);
    node.tell(ann, RoomCommand::Join(Join { state: Some(state(r#"{"new":1}"#)), ..joining("ann") }));
    node.advance(1_000);
    let read = node.reads(bob);
    assert_eq!(
        (&read[0]["type"], &read[1]["type"]),
        (&json!("presence:userLeft"), &json!("presence:userJoined"))
    );
    assert_eq!(read[1]["user"]["sessions"][0]["state"], json!({"new": 1}));
    assert_eq!(read.len(), 2);
}

/// P2: the first to come and the last to go are told, and those between are updates.
#[test]
fn p2_a_tab_that_closes_leaves_the_user_there_with_the_others() {
    let mut node = Node::new();
    let (bob, first, second) = (node.enters("bob", "b"), node.enters("ann", "1"), node.enters("ann", "2"));
    node.settles();
    node.detach(first, Detach::Finished);
    let event = node.reads_one(bob);
    assert_eq!((&event["type"], &event["connectionCount"]), (&json!("presence:userUpdated"), &json!(1)));
    assert_eq!(event["sessions"][0]["sessionId"], "2");
    // One that comes and goes between two hand-outs leaves the count as it was.
    let third = node.attach("ann", "3");
    node.tell(third, RoomCommand::Join(joining("ann")));
    node.detach(third, Detach::Finished);
    let event = node.reads_one(bob);
    assert_eq!((&event["connectionCount"], &event["status"]), (&json!(1), &json!(null)));
    node.detach(second, Detach::Finished);
    assert_eq!(node.reads_one(bob)["type"], "presence:userLeft");
}

#[test]
fn a_kick_ends_the_user_in_every_room_and_what_they_waited_for() {
    let mut node = Node::new();
    let bob = node.enters("bob", "b");
    let (here, lost) = (node.enters("ann", "here"), node.enters("ann", "lost"));
    node.detach(lost, Detach::Lost);
    node.settles();
    node.tell(here, RoomCommand::Join(joining("ann")));
    node.shard.handle_input(node.clock(), ShardInput::Kick { user: user("ann") });
    let number = here.number();
    assert_eq!(node.advance(1_000), [format!("silence {number}"), format!("evict {number}: Kicked")]);
    assert_eq!(node.reads(bob)[0]["cause"], "kicked");
    assert!(node.reads(here).is_empty());
    node.detach(here, Detach::Kicked);
    assert!(node.shard.sighting(&user("ann")).is_none());
    node.shard.handle_input(node.clock(), ShardInput::Kick { user: user("nobody") });
    assert!(node.advance(1_000).is_empty());
}

/// P12.
#[test]
fn p12_a_room_that_everybody_has_left_is_gone_and_its_place_is_used_again() {
    let mut node = Node::new();
    let ann = node.enters("ann", "a");
    let key = node.shard.key(&room("doc")).unwrap();
    node.detach(ann, Detach::Finished);
    assert_eq!(node.advance(1_000), [format!("silence {}", ann.number()), "closed".to_owned()]);
    assert!(node.shard.room(&room("doc")).is_none() && node.shard.key(&room("doc")).is_none());
    assert_eq!((node.shard.room_count(), node.shard.user_count(), node.shard.connection_count()), (0, 0, 0));
    let bob = node.attach("bob", "b");
    node.tell_room("other", bob, RoomCommand::Join(joining("bob")));
    assert_eq!(node.shard.key(&room("other")), Some(key));
    assert_eq!((node.shard.room_count(), node.shard.user_count(), node.shard.connection_count()), (1, 1, 1));
}

#[test]
fn while_the_server_goes_away_nobodys_time_runs_out() {
    let (grace, _) = graces();
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.settles();
    node.detach(ann, Detach::Lost);
    node.shard.handle_input(node.clock(), ShardInput::Freeze);
    node.advance(2 * grace);
    assert!(node.reads(bob).is_empty());
}

/// P8: whichever of two connections of a session is heard of first, the newer one has it.
#[test]
fn p8_a_connection_that_is_heard_of_after_a_newer_one_of_its_session_is_too_late() {
    let mut node = Node::new();
    let new = node.enters("ann", "a");
    let old = Generation::new(0);
    let session = SessionId::parse("a").unwrap();
    let attach = ShardInput::Attach { user: user("ann"), session, generation: old, attempt: None };
    node.shard.handle_input(node.clock(), attach);
    assert_eq!(node.advance(1_000), ["evict 0: TakenOver"]);
    node.tell(old, RoomCommand::Leave);
    node.detach(old, Detach::Finished);
    node.tell(new, update(r#"{"a":1}"#));
    assert_eq!(node.reads_types(new), ["presence:userUpdated"]);
}

/// P8: a request that its client has given up may arrive after the one that followed it. It is told that it is too late,
/// and the session stays where the client is, also while it is away for a moment.
#[test]
fn p8_a_request_that_was_given_up_and_comes_late_does_not_take_the_session() {
    let mut node = Node::new();
    let new = node.attach_by("ann", "a", Some("7-2"));
    node.tell(new, RoomCommand::Join(joining("ann")));
    node.settles();
    let late = node.attach_by("ann", "a", Some("7-1"));
    assert_eq!(node.advance(1_000), ["evict 2: TakenOver"]);
    node.tell(late, RoomCommand::Leave);
    node.detach(late, Detach::Finished);
    node.tell(new, update(r#"{"a":1}"#));
    assert_eq!(node.reads_types(new), ["presence:userUpdated"]);

    node.detach(new, Detach::Lost);
    node.attach_by("ann", "a", Some("7-1"));
    assert_eq!(node.advance(1_000), ["silence 1", "evict 3: TakenOver"]);
    let back = node.attach_by("ann", "a", Some("7-3"));
    node.tell(back, RoomCommand::Join(joining("ann")));
    assert!(node.advance(1_000).is_empty());
    let told = node.reads(back);
    let ann = told.iter().find_map(|message| message["users"].get(0)).unwrap();
    assert_eq!((&ann["connectionCount"], &ann["sessions"][0]["state"]), (&json!(1), &json!({"a": 1})));
}

/// P8: only requests of one life of a client have an order. One that repeats its request, as a bare `EventSource` does,
/// one that was loaded anew, and one that says nothing are newer than what was there.
#[test]
fn p8_requests_that_tell_nothing_of_each_other_are_as_new_as_they_come() {
    let mut node = Node::new();
    let mut before = node.attach_by("ann", "a", Some("7-9"));
    for attempt in [Some("7-9"), Some("8-1"), None, Some("7-1")] {
        let next = node.attach_by("ann", "a", attempt);
        assert_eq!(node.advance(1_000), [format!("evict {}: TakenOver", before.number())], "{attempt:?}");
        before = next;
    }
}
