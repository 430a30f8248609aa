//! Who came and went, as a shard tells it to others than those who listen.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use presence_core::id::{Epoch, Generation, Incarnation, RoomId, SessionId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::profile::Profile;
use presence_core::room::{KeptRoom, LeaveCause, Movement};
use presence_core::shard::{Detach, Entry, Join, RoomCommand, Shard, ShardInput, ShardOutput};
use presence_core::time::{Now, Timestamp, WallTime};

const GRACE: u64 = 1_000;

fn limits() -> Arc<Limits> {
    Arc::new(Limits { grace: Duration::from_millis(GRACE), ..Limits::default() })
}

/// A shard, and what it has told.
struct Node {
    shard: Shard,
    now: u64,
    generations: u64,
    told: Vec<(RoomId, Epoch, Movement)>,
}

impl Node {
    fn new() -> Self {
        let shard = Shard::new(limits(), Incarnation::from_random(1));
        Self { shard, now: 0, generations: 0, told: Vec::new() }
    }

    fn after(kept: Vec<KeptRoom>) -> Self {
        let mut node = Self { generations: 1_000, ..Self::new() };
        let now = node.clock();
        kept.into_iter().for_each(|room| node.shard.take_up(now, room));
        node
    }

    fn clock(&self) -> Now {
        Now { at: Timestamp::from_millis(self.now), wall: WallTime::from_unix_millis(self.now as i64) }
    }

    fn attach(&mut self, user: &str, session: &str) -> Generation {
        self.generations += 1;
        let generation = Generation::new(self.generations);
        let (user, session) = (UserId::parse(user).unwrap(), SessionId::parse(session).unwrap());
        self.shard
            .handle_input(self.clock(), ShardInput::Attach { user, session, generation, attempt: None });
        generation
    }

    fn detach(&mut self, generation: Generation, how: Detach) {
        self.shard.handle_input(self.clock(), ShardInput::Detach { generation, how });
    }

    fn join(&mut self, generation: Generation, user: &str, room: &str) {
        let profile = Arc::new(Profile::of_user(UserId::parse(user).unwrap()));
        let (entry, reference) = (Entry(1), None);
        let join = Join { profile, active: true, state: None, since: None, window: None, entry, reference };
        self.command(generation, room, RoomCommand::Join(join));
    }

    fn command(&mut self, generation: Generation, room: &str, command: RoomCommand) {
        let room = RoomId::parse(room).unwrap();
        self.shard.handle_input(self.clock(), ShardInput::Command { generation, room, command });
    }

    fn enter(&mut self, user: &str, room: &str) -> Generation {
        let generation = self.attach(user, "s");
        self.join(generation, user, room);
        generation
    }

    fn listen(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            if let ShardOutput::Moved { room, epoch, at, movements } = output {
                assert_eq!(at.as_unix_millis(), self.now as i64);
                assert!(!movements.is_empty());
                let moved = movements.into_iter();
                self.told.extend(moved.map(|movement| (room.clone(), epoch.clone(), movement)));
            }
        }
    }

    /// Lets time pass. Gives what was told of it, in words.
    fn advance(&mut self, millis: u64) -> Vec<String> {
        self.now += millis;
        let now = self.clock();
        self.shard.handle_timeout(now);
        self.news()
    }

    fn news(&mut self) -> Vec<String> {
        let known = self.told.len();
        self.listen();
        self.told[known..].iter().map(|(_, _, movement)| in_words(movement)).collect()
    }
}

fn in_words(movement: &Movement) -> String {
    let version = movement.version().number();
    match movement {
        Movement::Occupied { .. } => format!("{version}: occupied"),
        Movement::Joined { user, .. } => format!("{version}: {user} joined"),
        Movement::Left { user, cause, .. } => format!("{version}: {user} {}", cause.as_str()),
        Movement::Vacated { .. } => format!("{version}: vacated"),
    }
}

#[test]
fn the_first_who_comes_occupies_a_room_and_the_last_who_goes_vacates_it() {
    let mut node = Node::new();
    let ann = node.enter("ann", "doc");
    assert_eq!(node.advance(0), ["1: occupied", "1: ann joined"]);
    let bob = node.enter("bob", "doc");
    assert_eq!(node.advance(100), ["2: bob joined"]);
    node.command(ann, "doc", RoomCommand::Leave);
    assert_eq!(node.advance(100), ["3: ann left"]);
    node.detach(bob, Detach::Finished);
    assert_eq!(node.advance(100), ["4: bob closed", "4: vacated"]);
    let before = node.told[0].1.clone();
    node.join(ann, "ann", "doc");
    assert_eq!(node.advance(100), ["1: occupied", "1: ann joined"]);
    assert_ne!(node.told.last().unwrap().1, before, "another history has another epoch");
}

#[test]
fn p2_another_tab_moves_nobody() {
    let mut node = Node::new();
    node.enter("ann", "doc");
    node.advance(0);
    let tab = node.attach("ann", "second");
    node.join(tab, "ann", "doc");
    assert_eq!(node.advance(100), [""; 0]);
    node.detach(tab, Detach::Finished);
    assert_eq!(node.advance(100), [""; 0]);
}

#[test]
fn p7_who_is_waited_for_has_not_gone_until_the_grace_is_over() {
    let mut node = Node::new();
    let ann = node.enter("ann", "doc");
    node.advance(0);
    node.detach(ann, Detach::Lost);
    assert_eq!(node.advance(GRACE / 2), [""; 0]);
    let ann = node.enter("ann", "doc");
    assert_eq!(node.advance(2 * GRACE), [""; 0]);
    node.detach(ann, Detach::Lost);
    assert_eq!(node.advance(2 * GRACE), ["2: ann timeout", "2: vacated"]);
}

#[test]
fn p17_who_came_and_went_between_two_hand_outs_was_never_there() {
    let mut node = Node::new();
    let ann = node.enter("ann", "doc");
    node.command(ann, "doc", RoomCommand::Leave);
    assert_eq!(node.advance(100), [""; 0]);
}

#[test]
fn a_room_that_changes_hands_within_one_hand_out_was_never_empty() {
    for (first, second) in [("ann", "bob"), ("bob", "ann")] {
        let mut node = Node::new();
        let going = node.enter(first, "doc");
        node.advance(0);
        node.command(going, "doc", RoomCommand::Leave);
        node.enter(second, "doc");
        let mut told = node.advance(100);
        told.iter_mut().for_each(|word| *word = word.split(": ").nth(1).unwrap().to_owned());
        told.sort();
        let mut wanted = [format!("{first} left"), format!("{second} joined")];
        wanted.sort();
        assert_eq!(told, wanted);
    }
}

#[test]
fn p7_a_restart_moves_nobody_but_who_does_not_come_back() {
    let mut node = Node::new();
    node.enter("ann", "doc");
    let bob = node.enter("bob", "doc");
    node.advance(0);
    node.shard.handle_input(node.clock(), ShardInput::Freeze);
    // Nothing has been handed out since, and it is told all the same.
    node.command(bob, "doc", RoomCommand::Leave);
    let (now, told) = (node.clock(), node.told.len());
    let kept = node.shard.hand_over(now);
    assert_eq!(node.news(), ["3: bob left"]);
    assert_eq!(node.told[told].1, kept[0].epoch);

    let mut node = Node::after(kept);
    node.enter("cleo", "doc");
    assert_eq!(node.advance(GRACE / 2), ["4: cleo joined"]);
    assert_eq!(node.advance(GRACE), ["5: ann timeout"]);
}

/// P1, P11 and P10 for those who only hear of movements: told one by one, they know who is there.
#[test]
fn whoever_follows_the_movements_knows_who_is_there() {
    for seed in 1..=200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut node = Node::new();
        let mut open: Vec<(Generation, &str)> = Vec::new();
        for _ in 0..60 {
            match draw(5) {
                0 | 1 => {
                    let user = ["ann", "bob", "cleo"][draw(3) as usize];
                    let generation = node.attach(user, ["s", "t"][draw(2) as usize]);
                    node.join(generation, user, "doc");
                    open.push((generation, user));
                }
                2 if !open.is_empty() => {
                    let (generation, _) = open.swap_remove(draw(open.len() as u64) as usize);
                    let how = [Detach::Finished, Detach::Lost, Detach::GoingAway][draw(3) as usize];
                    node.detach(generation, how);
                }
                3 if !open.is_empty() => {
                    let (generation, _) = open[draw(open.len() as u64) as usize];
                    node.command(generation, "doc", RoomCommand::Leave);
                }
                _ => {
                    node.advance(draw(600));
                }
            }
        }
        node.advance(100);
        node.advance(100);
        let present = |node: &Node| -> BTreeSet<String> {
            let room = node.shard.room(&RoomId::parse("doc").unwrap());
            room.map(|room| room.members().map(|member| member.profile.id.to_string()).collect())
                .unwrap_or_default()
        };
        assert_eq!(follow(&node.told), present(&node), "seed {seed}");
    }
}

/// Who is there by the movements, each of which must make sense after those before it.
fn follow(told: &[(RoomId, Epoch, Movement)]) -> BTreeSet<String> {
    let mut present = BTreeSet::new();
    let mut occupied = false;
    let mut reached: BTreeMap<String, Version> = BTreeMap::new();
    for (_, epoch, movement) in told {
        let before = reached.insert(epoch.to_string(), movement.version()).unwrap_or_default();
        match movement {
            Movement::Occupied { .. } => {
                assert!(!occupied && present.is_empty());
                occupied = true;
            }
            Movement::Joined { version, user } => {
                // The first one's version has been told with the room's.
                assert!(occupied && (*version > before || present.is_empty()));
                assert!(present.insert(user.to_string()), "{user} came twice");
            }
            Movement::Left { version, user, cause } => {
                assert!(occupied && *version > before && LeaveCause::ALL.contains(cause));
                assert!(present.remove(user.as_str()), "{user} went twice");
            }
            Movement::Vacated { version } => {
                assert!(occupied && *version == before && present.is_empty());
                occupied = false;
            }
        }
    }
    assert_eq!(occupied, !present.is_empty());
    present
}
