//! How many a room holds, and when it says what has happened.

use std::collections::BTreeSet;
use std::time::Duration;

use presence_core::id::Generation;
use presence_core::limits::Limits;
use presence_core::shard::RoomCommand;
use serde_json::json;

use crate::node::{Node, joining, room, update};

#[test]
fn a_full_room_lets_nobody_new_in_and_tells_them_to_come_again() {
    let mut node = Node::within(Limits { users_per_room_max: 2, ..Limits::default() });
    node.enters("ann", "a");
    let bob = node.enters("bob", "b");
    let eve = node.attach("eve", "e");
    node.tell(eve, RoomCommand::Join(joining("eve")));
    assert_eq!(node.advance(1_000), [format!("{} has not entered", eve.number())]);
    let refusal = node.reads(eve).remove(0);
    assert_eq!((&refusal["code"], &refusal["ref"]), (&json!("busy"), &json!("r")));
    assert_eq!(refusal["retry_after_ms"], json!(node.limits.grace.as_millis() as u64));
    assert!(node.reads(bob).is_empty());
    assert_eq!(node.shard.tally().errors.iter().sum::<u64>(), 1);

    let tab = node.attach("ann", "another");
    node.tell(tab, RoomCommand::Join(joining("ann")));
    assert_eq!(node.reads_types(tab), ["presence:currentUsers"], "it holds two users, whatever they bring");
    node.tell(bob, RoomCommand::Leave);
    node.tell(eve, RoomCommand::Join(joining("eve")));
    assert_eq!(node.reads_types(eve), ["presence:currentUsers"]);
}

#[test]
fn a_user_has_no_more_sessions_in_a_room_than_they_may() {
    let mut node = Node::within(Limits { sessions_per_user_max: 2, ..Limits::default() });
    let first = node.enters("ann", "1");
    node.enters("ann", "2");
    let third = node.attach("ann", "3");
    node.tell(third, RoomCommand::Join(joining("ann")));
    assert_eq!(node.advance(1_000), [format!("{} has not entered", third.number())]);
    assert_eq!(node.reads(third)[0]["code"], "conflict");
    assert_eq!(node.shard.room(&room("doc")).unwrap().member("ann").unwrap().sessions.len(), 2);
    node.tell(first, RoomCommand::Join(joining("ann")));
    assert_eq!(node.reads_types(first).last().unwrap(), "presence:currentUsers", "who is in is in");
}

/// X5: a room says what has happened at most once a tick, and the first at once.
#[test]
fn x5_a_quiet_room_speaks_at_once_and_a_busy_one_once_a_tick() {
    let mut node = Node::within(Limits { tick: Duration::from_millis(50), ..Limits::default() });
    let ann = node.enters("ann", "a");
    // Some time after it last spoke.
    node.millis += 1_000;
    node.tell(ann, update(r#"{"a":0}"#));
    assert!(node.shard.poll_timeout() <= Some(node.clock().at));
    node.advance(0);
    assert_eq!(node.reads(ann).len(), 1);
    let began = node.clock().at;
    for turn in 1..=3 {
        node.advance(10);
        node.tell(ann, update(&format!(r#"{{"a":{turn}}}"#)));
        assert!(node.shard.poll_timeout() <= Some(began + Duration::from_millis(50)));
    }
    node.advance(19);
    assert!(node.reads(ann).is_empty());
    node.advance(1);
    assert_eq!(node.reads(ann).len(), 1);
    assert_eq!(node.shard.tally().hand_outs, 3);
    assert_eq!(node.shard.tally().messages, 3);
}

/// Hand-outs of each room within so many milliseconds of something new in all of them each millisecond: when they were.
fn hand_outs(node: &mut Node, members: &[(String, Generation)], millis: u64) -> Vec<Vec<u64>> {
    let mut times = vec![Vec::new(); members.len()];
    for _ in 0..millis {
        for (at, (room, member)) in members.iter().enumerate() {
            node.tell_room(room, *member, update(&format!(r#"{{"a":{}}}"#, node.millis)));
            if !node.reads(*member).is_empty() {
                times[at].push(node.millis);
            }
        }
        node.advance(1);
    }
    times
}

/// X5: what many rooms say is spread over the tick, though they became busy together, and none says it more often.
#[test]
fn x5_rooms_that_became_busy_together_hand_out_at_times_of_their_own() {
    let mut node = Node::within(Limits { tick: Duration::from_millis(50), ..Limits::default() });
    let members: Vec<(String, Generation)> = (0..10)
        .map(|number| {
            let (room, member) = (format!("room-{number}"), node.attach(&format!("user-{number}"), "s"));
            node.tell_room(&room, member, RoomCommand::Join(joining(&format!("user-{number}"))));
            (room, member)
        })
        .collect();
    node.settles();
    node.millis += 1_000;
    let first = hand_outs(&mut node, &members, 1_000);
    assert!(first.iter().all(|times| times[0] == first[0][0]), "all were quiet");
    assert!(
        first.iter().flat_map(|times| times.windows(2)).all(|pair| (44..=50).contains(&(pair[1] - pair[0])))
    );

    let then = hand_outs(&mut node, &members, 1_000);
    assert!(then.iter().flat_map(|times| times.windows(2)).all(|pair| pair[1] - pair[0] == 50), "{then:?}");
    let places: BTreeSet<u64> = then.iter().map(|times| times[0] % 50).collect();
    assert_eq!(places.into_iter().collect::<Vec<_>>(), [0, 6, 12, 18, 25, 31, 37, 43]);
}

#[test]
fn a_shard_with_nothing_to_do_wants_to_be_called_only_to_forget() {
    let mut node = Node::new();
    assert_eq!(node.shard.poll_timeout(), None);
    node.enters("ann", "a");
    let forget = node.shard.poll_timeout().unwrap();
    assert!(forget <= node.clock().at + node.limits.feed_age_max);
    node.advance(node.limits.feed_age_max.as_millis() as u64 + 1_000);
    assert_eq!(node.shard.poll_timeout(), None, "what was said is forgotten, and nothing else is due");
}
