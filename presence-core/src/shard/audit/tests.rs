//! Each check fails on a shard that was harmed behind its back, and on none that was not.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::audit::Violation;
use crate::id::{Generation, Incarnation};
use crate::profile::Profile;
use crate::room::LeaveCause;
use crate::shard::{Detach, Entry, Join, RoomCommand, ShardInput, ShardOutput};
use crate::time::WallTime;

const GRACE: u64 = 10_000;

struct Node {
    shard: Shard,
    now: u64,
    generations: u64,
}

impl Node {
    fn new() -> Self {
        let limits = Limits { grace: Duration::from_millis(GRACE), ..Limits::default() };
        let shard = Shard::new(Arc::new(limits), Incarnation::from_random(1));
        Self { shard, now: 0, generations: 0 }
    }

    /// A node with ann and bob in a room; ann has lost her connection, bob has two tabs.
    fn with_two() -> Self {
        let mut node = Self::new();
        let (ann, _) = (node.enter("ann", "a", "doc"), node.enter("bob", "b", "doc"));
        node.enter("bob", "other", "doc");
        node.pass(100);
        node.input(ShardInput::Detach { generation: ann, how: Detach::Lost });
        node.pass(100);
        assert_eq!(node.found(), BTreeSet::new());
        node
    }

    fn clock(&self) -> Now {
        Now { at: Timestamp::from_millis(self.now), wall: WallTime::from_unix_millis(self.now as i64) }
    }

    fn input(&mut self, input: ShardInput) {
        self.shard.handle_input(self.clock(), input);
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.shard.handle_timeout(self.clock());
    }

    fn attach(&mut self, user: &str, session: &str) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let (user, session) = (id(user), session_id(session));
        self.input(ShardInput::Attach { user, session, generation, attempt: None });
        generation
    }

    fn join(&mut self, generation: Generation, user: &str, room: &str) {
        let profile = Arc::new(Profile::of_user(id(user)));
        let (entry, reference) = (Entry(1), None);
        let join = Join { profile, active: true, state: None, since: None, window: None, entry, reference };
        self.command(generation, room, RoomCommand::Join(join));
    }

    fn command(&mut self, generation: Generation, room: &str, command: RoomCommand) {
        let room = RoomId::parse(room).unwrap();
        self.input(ShardInput::Command { generation, room, command });
    }

    fn enter(&mut self, user: &str, session: &str, room: &str) -> Generation {
        let generation = self.attach(user, session);
        self.join(generation, user, room);
        generation
    }

    fn key(&self, room: &str) -> RoomKey {
        self.shard.key(&RoomId::parse(room).unwrap()).unwrap()
    }

    /// Does something to a room that the shard does not know of.
    fn harm_room(&mut self, harm: impl FnOnce(&mut Desk)) {
        let key = self.key("doc");
        harm(self.shard.desk_mut(key).unwrap());
    }

    /// Takes a tab of bob's out of the room, of which the shard does not know.
    fn dismiss_tab(&mut self) {
        self.harm_room(|desk| {
            desk.room_mut().dismiss(&id("bob"), &session_id("b"), LeaveCause::Kicked);
        });
    }

    /// What the shard has said since it was last asked.
    fn said(&mut self) -> Vec<Violation> {
        let outputs = std::iter::from_fn(|| self.shard.poll_output());
        let violations = outputs.filter_map(|output| match output {
            ShardOutput::Violated(violation) => Some(violation),
            _ => None,
        });
        violations.collect()
    }

    /// What a step over everything finds, beside what has been found before.
    fn found(&mut self) -> BTreeSet<&'static str> {
        self.shard.audit(self.clock(), usize::MAX);
        self.said().iter().map(|violation| violation.invariant.id()).collect()
    }
}

fn id(user: &str) -> UserId {
    UserId::parse(user).unwrap()
}

fn session_id(session: &str) -> SessionId {
    SessionId::parse(session).unwrap()
}

#[test]
fn nothing_is_found_in_a_life_with_tabs_losses_and_takeovers() {
    let mut node = Node::new();
    let check = |node: &mut Node, millis: u64| {
        assert_eq!(node.found(), BTreeSet::new(), "before the time has passed");
        node.pass(millis);
        assert_eq!(node.found(), BTreeSet::new(), "after it");
    };
    let tab = node.enter("ann", "a1", "doc");
    let (other, bob) = (node.enter("ann", "a2", "doc"), node.enter("bob", "b", "doc"));
    node.join(bob, "bob", "hall");
    check(&mut node, 50);
    // A takeover that takes only one of two rooms up again, and the old connection's end after it.
    let again = node.attach("bob", "b");
    node.join(again, "bob", "doc");
    check(&mut node, 50);
    node.input(ShardInput::Detach { generation: bob, how: Detach::Lost });
    check(&mut node, GRACE / 2);
    node.input(ShardInput::Detach { generation: again, how: Detach::Finished });
    check(&mut node, GRACE);
    node.input(ShardInput::Detach { generation: tab, how: Detach::Lost });
    check(&mut node, GRACE + 100);
    node.input(ShardInput::Kick { user: id("ann") });
    check(&mut node, 50);
    node.input(ShardInput::Detach { generation: other, how: Detach::Kicked });
    check(&mut node, 50);
    assert_eq!((node.shard.user_count(), node.shard.room_count()), (0, 0));
    // Nobody's time runs out once the server lets nobody in.
    let last = node.enter("cid", "c", "doc");
    check(&mut node, 50);
    node.input(ShardInput::Freeze);
    node.input(ShardInput::Detach { generation: last, how: Detach::Lost });
    check(&mut node, 10 * GRACE);
    assert_eq!(node.shard.tally().violations, [0; Invariant::ALL.len()]);
}

#[test]
fn what_is_harmed_behind_the_shards_back_is_found() {
    type Harm = fn(&mut Node);
    let harms: [(&str, Harm, &[&str]); 9] = [
        (
            "a connection that the directory does not have",
            |node| record(node, "bob", "b").current = None,
            &["P8"],
        ),
        (
            "a session that nobody would take away",
            |node| record(node, "ann", "a").rooms.clear(),
            &["P12", "P5"],
        ),
        ("a session in a room that does not have it", Node::dismiss_tab, &["L1", "P12"]),
        (
            "a session in a room that is not there",
            |node| record(node, "ann", "a").rooms.push(RoomKey(7)),
            &["P12"],
        ),
        ("a session that nobody has", leave_a_ghost, &["P12"]),
        (
            "a room that is listed and not kept",
            |node| assert!(node.shard.names.insert(RoomId::lobby())),
            &["P12"],
        ),
        ("a session whose time is over", |node| node.now += GRACE + 2_000, &["P5"]),
        ("a session that is waited for too long", |node| node.now = 0, &["P5"]),
        ("an empty room that nothing closes", empty_the_room, &["P12"]),
    ];
    for (what, harm, found) in harms {
        let mut node = Node::with_two();
        harm(&mut node);
        assert_eq!(node.found(), found.iter().copied().collect(), "{what}");
    }
}

fn record<'a>(node: &'a mut Node, user: &str, session: &str) -> &'a mut crate::shard::directory::Record {
    node.shard.directory.record_mut(&id(user), &session_id(session)).unwrap()
}

fn leave_a_ghost(node: &mut Node) {
    let key = node.key("doc");
    node.shard.directory.restore(&Arc::new(Profile::of_user(id("eve"))), &session_id("e"), key);
    record(node, "eve", "e").rooms.clear();
}

fn empty_the_room(node: &mut Node) {
    let (key, now) = (node.key("doc"), node.clock());
    for (user, session) in [("ann", "a"), ("bob", "b"), ("bob", "other")] {
        node.harm_room(|desk| {
            desk.room_mut().dismiss(&id(user), &session_id(session), LeaveCause::Kicked);
        });
        node.shard.directory.left(&id(user), &session_id(session), key);
    }
    let limits = Limits::default();
    node.harm_room(|desk| {
        desk.room_mut().hand_out(now, &limits);
    });
}

/// The few sessions that are looked at with every step are held against their rooms without a walk through those.
#[test]
fn a_session_in_the_midst_of_a_takeover_is_held_against_its_rooms_too() {
    let mut node = Node::with_two();
    let again = node.attach("bob", "b");
    node.join(again, "bob", "doc");
    node.pass(100);
    assert_eq!(node.found(), BTreeSet::new(), "the old connection is still there, and fenced off");
    record(&mut node, "bob", "b").current = Some(Generation::new(9));
    node.shard.audit(node.clock(), 1);
    assert!(node.said().is_empty(), "it was the turn of ann, who is waited for");
    node.shard.audit(node.clock(), 1);
    let said = node.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((said[0].invariant, &said[0].room), (Invariant::Fence, &None));
    let number = again.number();
    assert_eq!(said[0].found, format!("connection {number} of bob/b is attached and not its newest"));
}

#[test]
fn a_user_who_is_known_when_all_have_gone_is_found_without_looking_at_anybody() {
    let mut node = Node::with_two();
    leave_a_ghost(&mut node);
    node.shard.audit_counts();
    assert!(node.said().is_empty(), "there is a room, of which they may be");
    let mut node = Node::new();
    node.shard.directory.restore(&Arc::new(Profile::of_user(id("eve"))), &session_id("e"), RoomKey(0));
    node.shard.audit_counts();
    let said = node.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].invariant, Invariant::NoResidue);
    assert_eq!(said[0].found, "1 users are known though there is no connection and no room");
}

#[test]
fn news_that_nothing_would_hand_out_are_found() {
    let mut node = Node::with_two();
    node.enter("cid", "c", "doc");
    assert_eq!(node.found(), BTreeSet::new());
    node.shard.due.clear();
    assert_eq!(node.found(), ["L1"].into());
}

#[test]
fn a_session_that_its_room_does_not_have_is_found_when_its_connection_goes() {
    let mut node = Node::with_two();
    node.dismiss_tab();
    assert!(node.said().is_empty(), "nothing has looked");
    node.input(ShardInput::Detach { generation: Generation::new(2), how: Detach::Lost });
    let said = node.said();
    assert_eq!(said.iter().map(|violation| violation.invariant.id()).collect::<Vec<_>>(), ["P12"]);
    assert!(said[0].found.contains("bob/b"), "{}", said[0].found);
    let counted = node.shard.tally().violations;
    assert_eq!((counted[Invariant::NoResidue as usize], counted.iter().sum::<u64>()), (1, 1));
}

#[test]
fn a_large_room_is_looked_at_as_soon_as_enough_is_saved_up_for_it() {
    let mut node = Node::new();
    for user in ["ann", "bob", "cid", "dan", "eve"] {
        node.enter(user, "s", "doc");
    }
    node.pass(100);
    record(&mut node, "eve", "s").current = None;
    let mut steps = || {
        node.shard.audit(node.clock(), 2);
        node.said().len()
    };
    // It costs 6: a step for each member, and one for the room.
    assert_eq!([steps(), steps(), steps(), steps(), steps(), steps()], [0, 0, 1, 0, 0, 1]);
}

#[test]
fn every_room_has_its_turn() {
    let mut node = Node::new();
    let ann = node.attach("ann", "s");
    for room in ["a", "b", "c"] {
        node.join(ann, "ann", room);
    }
    node.pass(100);
    record(&mut node, "ann", "s").current = None;
    let mut rooms = Vec::new();
    for _ in 0..4 {
        node.shard.audit(node.clock(), 2);
        rooms.extend(
            node.said().into_iter().filter_map(|violation| Some(violation.room?.as_str().to_owned())),
        );
    }
    assert_eq!(rooms, ["a", "b", "c", "a"]);
}
