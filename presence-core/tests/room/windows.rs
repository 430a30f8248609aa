//! Windows of a large room: what one who watches a part of it is shown, when, and when not.

use std::collections::BTreeSet;
use std::time::Duration;

use presence_core::id::Generation;
use presence_core::limits::Limits;
use presence_core::shard::{Detach, Entry, Join, RoomCommand};
use presence_core::window::Window;
use serde_json::{Value, json};

use crate::node::{Node, activity, cursor, joining, reference, room, typing, update};

fn rows(from: u64, count: u64) -> Window {
    Window::parse(from, count, &Limits::default()).unwrap()
}

impl Node {
    /// Enters the room and watches some rows of it from then on; reads nothing yet.
    fn watches(&mut self, name: &str, session: &str, window: Window) -> Generation {
        let generation = self.attach(name, session);
        self.tell(
            generation,
            RoomCommand::Join(Join { window: Some(window), reference: None, ..joining(name) }),
        );
        generation
    }

    fn moves(&mut self, who: Generation, window: Window) {
        self.tell(who, RoomCommand::Window { window, entry: Entry(1), reference: reference() });
    }

    /// So many users, who watch nothing.
    fn crowd(&mut self, from: usize, to: usize) -> Vec<Generation> {
        (from..to).map(|number| self.enters(&format!("user-{number:05}"), "s")).collect()
    }
}

fn ids(message: &Value) -> Vec<&str> {
    let users = message["users"].as_array().unwrap();
    users.iter().map(|user| user["id"].as_str().unwrap()).collect()
}

fn totals(message: &Value) -> (u64, u64) {
    (message["total"].as_u64().unwrap(), message["sessions"].as_u64().unwrap())
}

#[test]
fn p13_whoever_enters_with_a_window_is_shown_it_at_once_and_counted_in_it() {
    let mut node = Node::new();
    node.crowd(0, 30);
    let ann = node.watches("ann", "a", rows(0, 20));
    let shown = node.reads_one(ann);
    assert_eq!(
        (&shown["type"], &shown["room"], totals(&shown)),
        (&json!("presence:window"), &json!("doc"), (31, 31))
    );
    assert_eq!((&shown["from"], &shown["count"], &shown["mode"]), (&json!(0), &json!(20), &json!("exact")));
    assert_eq!(shown["version"], node.shard.room(&room("doc")).unwrap().stand().version.number());
    let expected: Vec<String> =
        std::iter::once("ann".to_owned()).chain((0..19).map(|n| format!("user-{n:05}"))).collect();
    assert_eq!(ids(&shown), expected);
    assert_eq!(shown["users"][0]["sessions"][0]["sessionId"], "a");
    // Those who read everything see it come as anybody else.
    let bob = node.enters("bob", "b");
    assert_eq!(node.shard.tally().windows, 1);
    let also = node.watches("cid", "c", rows(0, 20));
    assert_eq!(node.reads_types(bob), ["presence:userJoined"]);
    assert_eq!(totals(&node.reads_one(also)), (33, 33));
}

#[test]
fn a_window_is_widened_to_whole_steps_and_cut_where_the_room_ends() {
    for (from, count, shown) in
        [(0, 1, 0..20), (19, 2, 0..40), (40, 20, 40..60), (45, 200, 40..260), (u64::MAX, 5, 20_000..20_020)]
    {
        assert_eq!(rows(from, count).widened().rows(), shown, "{from} {count}");
        assert_eq!(rows(from, count).widened().widened(), rows(from, count).widened());
    }
    for count in [0, 201, u64::MAX] {
        let refused = Window::parse(0, count, &Limits::default()).unwrap_err();
        assert_eq!(refused.to_string(), "must be from 1 to 200");
    }
    let mut node = Node::new();
    node.crowd(0, 25);
    let ann = node.watches("ann", "a", rows(20, 20));
    let shown = node.reads_one(ann);
    assert_eq!((ids(&shown).len(), totals(&shown)), (6, (26, 26)));
    node.moves(ann, rows(10_000, 20));
    let beyond = node.reads_one(ann);
    assert_eq!((ids(&beyond).len(), &beyond["from"], totals(&beyond)), (0, &json!(10_000), (26, 26)));
}

#[test]
fn only_the_totals_are_sent_when_the_rows_are_as_they_were_and_nothing_when_those_are_too() {
    let mut node = Node::new();
    let users = node.crowd(0, 40);
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    // Somebody far down comes: the rows are the same.
    node.enters("zoe", "z");
    let shown = node.reads(ann);
    assert!(shown.is_empty(), "{shown:?}: settling has read it");
    let zed = node.attach("zed", "z");
    node.tell(zed, RoomCommand::Join(joining("zed")));
    let shown = node.reads_one(ann);
    assert_eq!((shown.get("users"), totals(&shown)), (None, (43, 43)));
    // Another tab of somebody far down is a session more and no user more.
    let tab = node.attach("zed", "z2");
    node.tell(tab, RoomCommand::Join(joining("zed")));
    let shown = node.reads_one(ann);
    assert_eq!((shown.get("users"), totals(&shown)), (None, (43, 44)));
    // What somebody says of itself is nothing to those who do not see it, and rows to those who do.
    node.tell(users[39], update(r#"{"a":1}"#));
    node.reads_nothing(ann);
    node.tell(users[3], update(r#"{"a":1}"#));
    let shown = node.reads_one(ann);
    assert_eq!(shown["users"][4]["sessions"][0]["state"], json!({"a": 1}));
    node.tell(users[3], activity(false));
    assert_eq!(node.reads_one(ann)["users"][4]["status"], "away");
    // Being heard from is no news.
    node.tell(users[3], RoomCommand::Touch);
    node.reads_nothing(ann);
}

#[test]
fn the_live_lane_of_a_room_is_not_for_those_who_watch_a_part_of_it() {
    let mut node = Node::new();
    let bob = node.enters("bob", "b");
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    node.settles();
    node.tell(bob, typing(true));
    node.tell(bob, cursor(Some(r#"{"x":1,"y":1}"#)));
    node.reads_nothing(ann);
    node.tell(ann, cursor(Some(r#"{"x":2,"y":2}"#)));
    assert_eq!(node.reads_types(bob), ["presence:cursors", "presence:typing", "presence:cursors"]);
}

/// P17: who reads slowly finds the newest and nothing else.
#[test]
fn p17_who_does_not_read_is_shown_the_newest_when_it_reads_again() {
    let mut node = Node::new();
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    for name in ["bob", "cid", "dan"] {
        let who = node.attach(name, "s");
        node.tell(who, RoomCommand::Join(joining(name)));
        node.advance(1_000);
    }
    // The rows were different once, and the totals after that: it has neither.
    let tab = node.attach("dan", "far");
    node.tell(tab, RoomCommand::Join(joining("dan")));
    let shown = node.reads_one(ann);
    assert_eq!((ids(&shown), totals(&shown)), (vec!["ann", "bob", "cid", "dan"], (4, 5)));
}

#[test]
fn a_busy_room_shows_its_windows_once_a_window_tick_and_the_last_of_it_all_the_same() {
    let mut node = Node::new();
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    node.settles();
    let mut shown = Vec::new();
    for number in 0..20 {
        let who = node.attach(&format!("user-{number:05}"), "s");
        node.tell(who, RoomCommand::Join(joining(&format!("user-{number:05}"))));
        node.advance(50);
        shown.extend(node.reads(ann).into_iter().map(|message| totals(&message).0));
    }
    assert_eq!(shown, [2, 7, 12, 17], "at once, and then every 250 ms");
    node.advance(250);
    let last = node.reads(ann);
    assert_eq!(last.iter().map(|message| totals(message).0).collect::<Vec<_>>(), [21]);
    node.reads_nothing(ann);
}

#[test]
fn a_window_that_moves_is_answered_and_the_old_rows_are_not_shown_any_more() {
    let mut node = Node::new();
    let users = node.crowd(0, 60);
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    node.moves(ann, rows(40, 20));
    let shown = node.reads_one(ann);
    assert_eq!((&shown["ref"], &shown["from"]), (&json!("r"), &json!(40)));
    assert_eq!(ids(&shown)[0], "user-00039");
    node.tell(users[0], update(r#"{"a":1}"#));
    node.reads_nothing(ann);
    node.tell(users[39], update(r#"{"a":1}"#));
    assert_eq!(node.reads_one(ann)["users"][0]["sessions"][0]["state"], json!({"a": 1}));
    // To watch the same again is to be shown it again.
    node.moves(ann, rows(40, 20));
    assert_eq!(ids(&node.reads_one(ann)).len(), 20);
}

/// The other window has looked the same for a while, and others watch it; it was last encoded then.
#[test]
fn p10_who_moves_to_a_window_that_did_not_change_does_not_go_back_in_the_rooms_history() {
    let mut node = Node::new();
    let users = node.crowd(0, 60);
    let bob = node.watches("bob", "b", rows(40, 20));
    node.reads_one(bob);
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    node.reads_one(bob);
    node.tell(users[0], update(r#"{"a":1}"#));
    let before = node.reads_one(ann)["version"].as_u64();
    node.reads_nothing(bob);
    node.moves(ann, rows(40, 20));
    let after = node.reads_one(ann);
    assert_eq!((after["version"].as_u64(), ids(&after).len()), (before, 20));
}

#[test]
fn who_reads_everything_can_watch_a_part_instead_and_the_other_way_round() {
    let mut node = Node::new();
    let (ann, bob) = (node.enters("ann", "a"), node.enters("bob", "b"));
    node.moves(ann, rows(0, 20));
    assert_eq!(node.advance(1_000), ["silence 1"]);
    assert_eq!(ids(&node.reads_one(ann)), ["ann", "bob"]);
    node.tell(bob, update(r#"{"a":1}"#));
    assert_eq!(node.reads_types(ann), ["presence:window"]);
    node.tell(ann, RoomCommand::Join(joining("ann")));
    assert_eq!(node.reads_types(ann), ["presence:currentUsers"]);
    node.tell(bob, update(r#"{"a":2}"#));
    assert_eq!(node.reads_types(ann), ["presence:userUpdated"]);
}

/// P4: a window is whole each time, so there is nothing to catch up with.
#[test]
fn p4_whoever_watches_a_window_is_shown_it_whatever_it_asks_for() {
    let mut node = Node::new();
    node.enters("bob", "b");
    let ann = node.watches("ann", "a", rows(0, 20));
    node.reads_one(ann);
    let stand = node.shard.room(&room("doc")).unwrap().stand();
    let since = presence_core::wire::Since { epoch: stand.epoch.as_str().into(), version: stand.version };
    let (entry, reference) = (Entry(1), reference());
    node.tell(ann, RoomCommand::Sync { since, digest: Some(1), entry, reference });
    let shown = node.reads_one(ann);
    assert_eq!(
        (&shown["type"], &shown["ref"], ids(&shown)),
        (&json!("presence:window"), &json!("r"), vec!["ann", "bob"])
    );
    node.tell(ann, RoomCommand::Restart { entry });
    assert_eq!(node.reads_types(ann), ["presence:window"]);
}

/// P7, P8: a session outlives its connection, a window does not.
#[test]
fn p8_a_session_that_comes_back_is_there_as_before_and_says_anew_what_it_watches() {
    let mut node = Node::new();
    let bob = node.watches("bob", "b", rows(0, 20));
    let old = node.watches("ann", "a", rows(0, 20));
    node.settles();
    // Taken over while it still seems alive, this time to read everything.
    let new = node.enters("ann", "a");
    node.reads_nothing(bob);
    node.moves(old, rows(20, 20));
    node.reads_nothing(old);
    node.detach(old, Detach::Lost);
    node.reads_nothing(new);
    // Lost, and back with a window within its grace.
    node.detach(new, Detach::Lost);
    node.advance(1_000);
    let back = node.watches("ann", "a", rows(0, 20));
    assert_eq!(node.reads_types(back), ["presence:restored", "presence:window"]);
    node.reads_nothing(bob);
    // Gone for good, with all that it watched.
    node.detach(back, Detach::Finished);
    assert_eq!(totals(&node.reads_one(bob)), (1, 1));
    node.tell(bob, RoomCommand::Leave);
    node.advance(1_000);
    assert_eq!(node.shard.room_count(), 0);
}

#[test]
fn one_who_is_not_in_the_room_can_not_watch_it() {
    let mut node = Node::new();
    node.enters("bob", "b");
    let ann = node.attach("ann", "a");
    node.moves(ann, rows(0, 20));
    let refused = node.reads_one(ann);
    assert_eq!((&refused["code"], &refused["ref"]), (&json!("not_joined"), &json!("r")));
    node.tell_room(
        "nowhere",
        ann,
        RoomCommand::Window { window: rows(0, 20), entry: Entry(1), reference: reference() },
    );
    assert_eq!(node.reads_one(ann)["code"], "not_joined");
}

#[test]
fn one_window_too_many_is_refused_and_one_that_is_watched_already_is_not() {
    let mut node = Node::within(Limits { windows_per_room_max: 2, ..Limits::default() });
    let ann = node.watches("ann", "a", rows(0, 20));
    let bob = node.watches("bob", "b", rows(20, 20));
    node.settles();
    let cid = node.watches("cid", "c", rows(40, 20));
    let refused = node.reads_one(cid);
    assert_eq!((&refused["code"], &refused["field"]), (&json!("busy"), &json!("window")));
    assert_eq!(node.shard.room(&room("doc")).unwrap().user_count(), 2);
    let cid = node.watches("cid", "c", rows(5, 10));
    assert_eq!(totals(&node.reads_one(cid)), (3, 3));
    node.settles();
    node.moves(ann, rows(60, 20));
    assert_eq!(node.reads_one(ann)["field"], "window");
    // Whoever goes makes room for another.
    node.detach(bob, Detach::Finished);
    node.moves(ann, rows(60, 20));
    node.advance(1_000);
    assert!(node.reads(ann).iter().any(|message| message["from"] == 60));
}

#[test]
fn a_room_that_is_too_large_to_be_sent_whole_is_entered_with_a_window() {
    let mut node = Node::within(Limits { exact_users_max: 2, ..Limits::default() });
    let ann = node.enters("ann", "a");
    node.enters("bob", "b");
    node.enters("cid", "c");
    let dan = node.attach("dan", "d");
    node.tell(dan, RoomCommand::Join(joining("dan")));
    let refused = node.reads_one(dan);
    assert_eq!((&refused["code"], &refused["field"]), (&json!("too_large"), &json!("window")));
    assert_eq!(refused["message"], "a room of more than 2 users is entered with a `window`");
    node.tell(dan, RoomCommand::Join(Join { window: Some(rows(0, 20)), ..joining("dan") }));
    assert_eq!(totals(&node.reads_one(dan)), (4, 4));
    // Whoever is there already stays, and comes back.
    node.settles();
    node.detach(ann, Detach::Lost);
    let ann = node.attach("ann", "a");
    node.tell(ann, RoomCommand::Join(joining("ann")));
    assert_eq!(node.reads_types(ann), ["presence:restored", "presence:currentUsers"]);
}

#[test]
fn those_who_read_everything_are_told_when_the_room_tells_less_closely_and_when_it_does_again() {
    let limits = Limits { large_room_users: 10, huge_room_users: 20, ..Limits::default() };
    let mut node = Node::within(limits);
    let ann = node.attach("ann", "a");
    node.tell(ann, RoomCommand::Join(joining("ann")));
    assert_eq!(node.reads_one(ann)["mode"], "exact");
    let mut modes = Vec::new();
    let mut others = Vec::new();
    for number in 0..25 {
        let name = format!("user-{number}");
        let who = node.attach(&name, "s");
        node.tell(who, RoomCommand::Join(joining(&name)));
        node.advance(1_000);
        others.push(who);
        modes.extend(
            node.reads(ann)
                .into_iter()
                .filter(|message| message["type"] == "presence:mode")
                .map(|m| (number + 2, m["mode"].clone())),
        );
    }
    for (number, who) in others.into_iter().enumerate() {
        node.detach(who, Detach::Finished);
        node.advance(1_000);
        modes.extend(
            node.reads(ann)
                .into_iter()
                .filter(|message| message["type"] == "presence:mode")
                .map(|m| (25 - number, m["mode"].clone())),
        );
    }
    assert_eq!(modes, [(11, json!("wide")), (9, json!("exact"))]);
    assert_eq!(node.shard.room(&room("doc")).unwrap().mode().tick(&node.limits), Duration::from_millis(33));
    let distinct: BTreeSet<&str> =
        presence_core::room::Mode::ALL.map(presence_core::room::Mode::as_str).into();
    assert_eq!(distinct.len(), 2);
}

/// The more there are, the longer what has just been told is followed by nothing else.
#[test]
fn a_larger_room_tells_what_happens_in_it_less_often() {
    let limits = Limits { large_room_users: 10, huge_room_users: 20, ..Limits::default() };
    for (users, tick) in [(5, limits.tick), (15, limits.large_room_tick), (25, limits.huge_room_tick)] {
        let mut node = Node::within(limits.clone());
        let ann = node.enters("ann", "a");
        let others = node.crowd(1, users);
        node.advance(1_000);
        node.reads(ann);
        // At once, since the room was quiet; then not before the tick is over, but for the eighth of it by which the room may
        // find times of its own.
        let tick = tick.as_millis() as u64;
        for (value, wait, expected) in
            [(1, 0, Some(1)), (2, tick - tick / 8 - 1, None), (2, tick / 8 + 1, Some(2))]
        {
            node.tell(others[0], update(&format!(r#"{{"a":{value}}}"#)));
            node.advance(wait);
            let told = node.reads(ann);
            let states: Vec<u64> = told.iter().filter_map(|message| message["state"]["a"].as_u64()).collect();
            assert_eq!(states, Vec::from_iter(expected), "{users} users, after {wait} ms");
        }
    }
}
