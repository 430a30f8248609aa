//! What can be seen of shards from outside, held against what was put in.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use presence_core::error::CloseReason;
use presence_core::id::{Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::room::Status;
use presence_core::shard::census::{Census, Headcount};
use presence_core::shard::look::RoomCount;
use presence_core::shard::{Detach, Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput, Sighting};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::wire::UserClaim;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// Two shards: rooms whose names begin with a capital are on the second.
struct Node {
    shards: [Shard; 2],
    now: u64,
    generations: u64,
}

impl Node {
    fn new() -> Self {
        let limits = Arc::new(Limits { grace: Duration::from_secs(1), ..Limits::default() });
        let shard = |number| Shard::new(Arc::clone(&limits), Incarnation::from_random(number));
        Self { shards: [shard(1), shard(2)], now: 0, generations: 0 }
    }

    fn clock(&self) -> Now {
        Now { at: Timestamp::from_millis(self.now), wall: WallTime::from_unix_millis(1) }
    }

    fn put_in_everywhere(&mut self, input: &ShardInput) {
        for shard in 0..self.shards.len() {
            let now = self.clock();
            self.shards[shard].handle_input(now, input.clone());
        }
    }

    fn attach(&mut self, name: &str, session: &str) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let session = SessionId::parse(session).unwrap();
        self.put_in_everywhere(&ShardInput::Attach { user: user(name), session, generation, attempt: None });
        generation
    }

    fn detach(&mut self, generation: Generation, how: Detach) {
        self.put_in_everywhere(&ShardInput::Detach { generation, how });
    }

    fn command(&mut self, generation: Generation, name: &str, command: RoomCommand) {
        let now = self.clock();
        let shard = usize::from(name.starts_with(char::is_uppercase));
        self.shards[shard].handle_input(now, ShardInput::Command { generation, room: room(name), command });
    }

    fn join(&mut self, generation: Generation, who: &str, name: &str) {
        let claim = UserClaim { name: Some(format!("{who}!").into()), ..UserClaim::default() };
        let profile = Arc::new(Profile::of_user(user(who))).with(&claim);
        let (entry, reference) = (Entry(1), None);
        let join = Join { profile, active: true, state: None, since: None, window: None, entry, reference };
        self.command(generation, name, RoomCommand::Join(join));
    }

    fn advance(&mut self, millis: u64) -> Vec<ShardOutput> {
        self.now += millis;
        let now = self.clock();
        let mut outputs = Vec::new();
        for shard in &mut self.shards {
            shard.handle_timeout(now);
            outputs.extend(std::iter::from_fn(|| shard.poll_output()));
        }
        outputs
    }

    fn sighting(&self, name: &str) -> Option<Sighting> {
        self.shards.iter().filter_map(|shard| shard.sighting(&user(name))).reduce(Sighting::and)
    }

    fn headcount(&self) -> Headcount {
        Headcount::of(&self.shards.each_ref().map(|shard| shard.census(None, usize::MAX)))
    }
}

fn names(rooms: &[RoomCount]) -> Vec<&str> {
    rooms.iter().map(|count| count.room.as_str()).collect()
}

#[test]
fn rooms_are_listed_in_order_page_by_page() {
    let mut node = Node::new();
    let ann = node.attach("ann", "a");
    for name in ["b/2", "a", "b/10", "c", "b/1", "b"] {
        node.join(ann, "ann", name);
    }
    let bob = node.attach("bob", "1");
    node.join(bob, "bob", "a");
    let more = node.attach("bob", "2");
    node.join(more, "bob", "a");
    let first = node.shards[0].rooms_after(None, "", 2);
    assert_eq!(first.items[0], RoomCount { room: room("a"), users: 2, sessions: 3 });
    assert_eq!((names(&first.items), first.more), (vec!["a", "b"], true));
    let rest = node.shards[0].rooms_after(Some(&room("b")), "", 9);
    assert_eq!((names(&rest.items), rest.more), (vec!["b/1", "b/10", "b/2", "c"], false));
    assert_eq!(names(&node.shards[0].rooms_after(None, "b/", 9).items), ["b/1", "b/10", "b/2"]);
    assert_eq!(names(&node.shards[0].rooms_after(Some(&room("b/10")), "b/", 9).items), ["b/2"]);
    assert!(node.shards[0].rooms_after(Some(&room("c")), "b/", 9).items.is_empty());
    node.command(ann, "c", RoomCommand::Leave);
    assert_eq!(names(&node.shards[0].rooms_after(Some(&room("b/2")), "", 9).items), Vec::<&str>::new());
}

#[test]
fn a_user_in_two_rooms_of_two_shards_is_one_user_with_one_status() {
    let mut node = Node::new();
    assert!(node.sighting("ann").is_none());
    let tab = node.attach("ann", "1");
    assert_eq!(node.sighting("ann").unwrap().seen().name.as_str(), "ann");
    node.join(tab, "ann", "doc");
    let other = node.attach("ann", "2");
    node.join(other, "ann", "Doc");
    assert_eq!(node.headcount(), Headcount { rooms: 2, users: 1, sessions: 2 });
    assert_eq!(node.sighting("ann").unwrap().seen().name.as_str(), "ann!");
    node.command(tab, "doc", RoomCommand::Activity { active: false });
    assert_eq!(node.sighting("ann").unwrap().status(), Status::Online);
    node.command(other, "Doc", RoomCommand::Activity { active: false });
    assert_eq!(node.sighting("ann").unwrap().status(), Status::Away);
}

#[test]
fn a_held_session_counts_until_its_grace_is_over() {
    let mut node = Node::new();
    let ann = node.attach("ann", "1");
    node.join(ann, "ann", "Doc");
    node.detach(ann, Detach::Lost);
    node.advance(500);
    assert_eq!(node.headcount(), Headcount { rooms: 1, users: 1, sessions: 1 });
    assert_eq!(node.sighting("ann").unwrap().seen().name.as_str(), "ann!");
    node.advance(600);
    assert_eq!(node.headcount(), Headcount::default());
    assert!(node.sighting("ann").is_none());
}

#[test]
fn what_an_earlier_life_of_the_server_left_is_seen_too() {
    let mut before = Node::new();
    let ann = before.attach("ann", "1");
    before.join(ann, "ann", "doc");
    let now = before.clock();
    let mut after = Node::new();
    for kept in before.shards[0].hand_over(now) {
        after.shards[0].take_up(now, kept);
    }
    assert!(before.shards[0].rooms_after(None, "", 9).items.is_empty());
    assert_eq!(names(&after.shards[0].rooms_after(None, "", 9).items), ["doc"]);
    assert_eq!(after.headcount(), Headcount { rooms: 1, users: 1, sessions: 1 });
    assert_eq!(after.sighting("ann").unwrap().seen().name.as_str(), "ann!");
    after.put_in_everywhere(&ShardInput::Kick { user: user("ann") });
    after.advance(50);
    assert_eq!(after.headcount(), Headcount::default());
}

#[test]
fn a_kick_ends_attached_and_held_sessions_at_once_and_tells_the_connections() {
    let mut node = Node::new();
    let lost = node.attach("ann", "lost");
    node.join(lost, "ann", "doc");
    node.detach(lost, Detach::Lost);
    let here = node.attach("ann", "here");
    node.join(here, "ann", "Doc");
    let bob = node.attach("bob", "b");
    node.join(bob, "bob", "doc");
    node.advance(50);
    node.put_in_everywhere(&ShardInput::Kick { user: user("ann") });
    let kicked = |output: &ShardOutput| matches!(output, ShardOutput::Evict { to, reason: CloseReason::Kicked } if *to == here);
    let outputs = node.advance(50);
    assert!(outputs.iter().any(kicked), "{outputs:?}");
    assert!(!outputs.iter().any(|output| matches!(output, ShardOutput::Evict { to, .. } if *to == bob)));
    let leaves: u64 = node.shards.iter().map(|shard| shard.tally().leaves[3]).sum();
    assert_eq!(leaves, 2);
    node.detach(here, Detach::Kicked);
    assert_eq!(node.headcount(), Headcount { rooms: 1, users: 1, sessions: 1 });
    assert!(node.sighting("ann").is_none());
}

#[test]
fn a_room_shows_its_members_and_what_it_keeps() {
    let mut node = Node::new();
    let ann = node.attach("ann", "1");
    node.join(ann, "ann", "doc");
    let bob = node.attach("bob", "1");
    node.join(bob, "bob", "doc");
    let before = node.shards[0].inspect(node.clock().at, &room("doc"), 1).unwrap();
    assert!(before.pending && before.waiting == 2 && before.members.more && before.users == 2);
    node.advance(1);
    let after = node.shards[0].inspect(node.clock().at, &room("doc"), 9).unwrap();
    assert!(!after.pending && after.waiting == 0 && !after.members.more);
    assert_eq!((after.version.number(), after.feed.messages), (2, 2));
    assert!(node.shards[0].inspect(node.clock().at, &room("other"), 9).is_none());
}

/// SplitMix64.
fn random(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % end
}

/// P9: whatever happens, the headcount is what one gets by counting.
#[test]
fn p9_the_headcount_is_what_one_gets_by_counting() {
    for seed in 0..200 {
        let (mut node, mut state) = (Node::new(), seed);
        // Who has which session, and connections of each session that were taken over.
        let mut attached: BTreeMap<(u64, u64), Generation> = BTreeMap::new();
        let mut stale: Vec<Generation> = Vec::new();
        for _ in 0..60 {
            let key = (random(&mut state, 3), random(&mut state, 2));
            let (name, session) = (format!("user-{}", key.0), format!("tab-{}", key.1));
            match (random(&mut state, 6), attached.get(&key).copied()) {
                (0 | 1, old) => {
                    stale.extend(old);
                    attached.insert(key, node.attach(&name, &session));
                }
                (2, Some(generation)) => node.join(generation, &name, "doc"),
                (3, Some(generation)) => node.join(generation, &name, "Doc"),
                (4, Some(generation)) => {
                    attached.remove(&key);
                    let how = if random(&mut state, 2) == 0 { Detach::Lost } else { Detach::Finished };
                    node.detach(generation, how);
                }
                _ => {
                    if let Some(generation) = stale.pop() {
                        node.detach(generation, Detach::Lost);
                    }
                    node.advance(random(&mut state, 700));
                }
            }
            let there: BTreeSet<(UserId, SessionId)> = (0..3)
                .map(|number| user(&format!("user-{number}")))
                .flat_map(|user| {
                    let sessions = node.shards.iter().flat_map(|shard| shard.sessions_of(&user));
                    sessions.map(|session| (user.clone(), session)).collect::<Vec<_>>()
                })
                .collect();
            let users: BTreeSet<&UserId> = there.iter().map(|(user, _)| user).collect();
            let headcount = node.headcount();
            let counted = (headcount.users, headcount.sessions);
            assert_eq!(counted, (users.len(), there.len()), "seed {seed}");
            assert!(attached.len() <= there.len());
            assert_eq!(by_pages(&node.shards[1]), node.shards[1].census(None, usize::MAX), "seed {seed}");
        }
    }
}

/// The census of a shard, one uneven session at a time.
fn by_pages(shard: &Shard) -> Census {
    let mut all = shard.census(None, 1);
    while all.uneven.more {
        let last = all.uneven.items.last().map(|last| (last.user.clone(), last.session.clone()));
        let next = shard.census(last.as_ref(), 1);
        all.uneven.items.extend(next.uneven.items);
        all.uneven.more = next.uneven.more;
    }
    all
}
