//! Windows against a model that is too simple to be wrong: a sorted map of users, and what of it stands between two rows.
//! A list of operations that fails is made short, and its seed is kept beside this file.

use std::collections::BTreeMap;

use presence_core::id::Generation;
use presence_core::limits::Limits;
use presence_core::shard::{Detach, Entry, Join, RoomCommand};
use presence_core::window::Window;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::Value;

use crate::node::{Node, joining, reference, update};

const USERS: usize = 50;
const WINDOW_TICK: u64 = 250;

/// Something that is done. Whose turn it is, is counted among those who are connected.
#[derive(Clone, Debug)]
enum Act {
    Enter { user: usize, tab: usize, window: Option<Window> },
    Leave { turn: usize },
    Lose { turn: usize },
    Say { turn: usize, what: u8 },
    Move { turn: usize, window: Window },
    Wait { millis: u64 },
}

fn window() -> impl Strategy<Value = Window> {
    (0..60_u64, 1..80_u64).prop_map(|(from, count)| Window::parse(from, count, &Limits::default()).unwrap())
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..USERS, 0..2_usize, prop::option::of(window()))
            .prop_map(|(user, tab, window)| Act::Enter { user, tab, window }),
        3 => any::<usize>().prop_map(|turn| Act::Leave { turn }),
        2 => any::<usize>().prop_map(|turn| Act::Lose { turn }),
        4 => (any::<usize>(), 0..3_u8).prop_map(|(turn, what)| Act::Say { turn, what }),
        2 => (any::<usize>(), window()).prop_map(|(turn, window)| Act::Move { turn, window }),
        6 => (0..400_u64).prop_map(|millis| Act::Wait { millis }),
    ]
}

/// A user: what each of the tabs has said.
type Tabs = BTreeMap<String, Value>;

/// One who is connected, and what it has been shown if it watches a window.
struct Seat {
    user: String,
    tab: String,
    window: Option<Window>,
    shown: Option<Value>,
}

struct World {
    node: Node,
    present: BTreeMap<String, Tabs>,
    seats: BTreeMap<Generation, Seat>,
    /// When each was shown something that it had not asked for.
    shown_at: BTreeMap<Generation, u64>,
}

impl World {
    fn new() -> Self {
        let grace = std::time::Duration::from_secs(3_600);
        let node = Node::within(Limits { grace, windows_per_room_max: 10_000, ..Limits::default() });
        Self { node, present: BTreeMap::new(), seats: BTreeMap::new(), shown_at: BTreeMap::new() }
    }

    fn whose_turn(&self, turn: usize) -> Option<Generation> {
        let count = self.seats.len();
        (count > 0).then(|| *self.seats.keys().nth(turn % count).unwrap())
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Enter { user, tab, window } => {
                let (user, tab) = (format!("user-{user:02}"), format!("tab-{tab}"));
                let old = self.seats.iter().find(|(_, seat)| (&seat.user, &seat.tab) == (&user, &tab));
                let old = old.map(|(generation, _)| *generation);
                let generation = self.node.attach(&user, &tab);
                let join = Join { window: *window, ..joining(&user) };
                self.node.tell(generation, RoomCommand::Join(join));
                if let Some(old) = old {
                    self.seats.remove(&old);
                    self.node.detach(old, Detach::Lost);
                }
                self.present.entry(user.clone()).or_default().entry(tab.clone()).or_insert(Value::Null);
                self.seats.insert(generation, Seat { user, tab, window: *window, shown: None });
            }
            Act::Leave { turn } | Act::Lose { turn } => {
                let Some(generation) = self.whose_turn(*turn) else { return };
                let seat = self.seats.remove(&generation).unwrap();
                if matches!(act, Act::Lose { .. }) {
                    return self.node.detach(generation, Detach::Lost);
                }
                self.node.detach(generation, Detach::Finished);
                let tabs = self.present.get_mut(&seat.user).unwrap();
                tabs.remove(&seat.tab);
                if tabs.is_empty() {
                    self.present.remove(&seat.user);
                }
            }
            Act::Say { turn, what } => {
                let Some(generation) = self.whose_turn(*turn) else { return };
                self.node.tell(generation, update(&format!(r#"{{"what":{what}}}"#)));
                let seat = &self.seats[&generation];
                *self.present.get_mut(&seat.user).unwrap().get_mut(&seat.tab).unwrap() = Value::from(*what);
            }
            Act::Move { turn, window } => {
                let Some(generation) = self.whose_turn(*turn) else { return };
                let (window, entry, reference) = (*window, Entry(1), reference());
                self.node.tell(generation, RoomCommand::Window { window, entry, reference });
                self.seats.get_mut(&generation).unwrap().window = Some(window);
            }
            Act::Wait { millis } => self.wait(*millis),
        }
    }

    /// Lets time pass, a little at a time, and everybody reads.
    fn wait(&mut self, millis: u64) {
        let end = self.node.millis + millis;
        loop {
            let step = (end - self.node.millis).min(10);
            self.node.advance(step);
            for generation in self.seats.keys().copied().collect::<Vec<_>>() {
                for message in self.node.reads(generation) {
                    self.take_in(generation, message);
                }
            }
            if self.node.millis >= end {
                return;
            }
        }
    }

    fn take_in(&mut self, generation: Generation, mut message: Value) {
        if message["type"] != "presence:window" {
            return;
        }
        if message.get("ref").is_none() {
            let before = self.shown_at.insert(generation, self.node.millis);
            let since = before.map_or(u64::MAX, |before| self.node.millis - before);
            assert!(since >= WINDOW_TICK, "shown again after {since} ms");
        }
        let seat = self.seats.get_mut(&generation).unwrap();
        if message.get("users").is_none() {
            let shown = seat.shown.as_mut().expect("rows come before totals");
            message["users"] = shown["users"].take();
        }
        let (from, count, total) = (&message["from"], &message["count"], &message["total"]);
        let [from, count, total] = [from, count, total].map(|value| value.as_u64().unwrap());
        let rows = message["users"].as_array().unwrap().len() as u64;
        assert_eq!(rows, total.saturating_sub(from).min(count), "P11");
        seat.shown = Some(message);
    }

    /// P3, P11: everybody who watches a window sees what is there.
    fn compare(&self) {
        let sessions: usize = self.present.values().map(Tabs::len).sum();
        for seat in self.seats.values() {
            let Some(window) = seat.window else { continue };
            let rows = window.widened().rows();
            let there: Vec<(String, Tabs)> = self
                .present
                .iter()
                .skip(rows.start)
                .take(rows.len())
                .map(|(user, tabs)| (user.clone(), tabs.clone()))
                .collect();
            let shown = seat.shown.as_ref().expect("it is shown something");
            let here: Vec<(String, Tabs)> = shown["users"].as_array().unwrap().iter().map(row).collect();
            assert_eq!(here, there, "the rows of {} from {}", seat.user, rows.start);
            assert_eq!(shown["total"], self.present.len());
            assert_eq!(shown["sessions"], sessions);
        }
    }
}

fn row(user: &Value) -> (String, Tabs) {
    let sessions = user["sessions"].as_array().unwrap();
    assert_eq!(user["connectionCount"], sessions.len(), "P11");
    let tabs = sessions.iter().map(|session| {
        let said = session["state"].get("what").cloned().unwrap_or_default();
        (session["sessionId"].as_str().unwrap().to_owned(), said)
    });
    (user["id"].as_str().unwrap().to_owned(), tabs.collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/room/windows.regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn p3_p11_a_window_shows_what_is_there_once_a_tick_and_never_without_a_reason(
        acts in prop::collection::vec(act(), 1..150)
    ) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.wait(2 * WINDOW_TICK + 50);
        world.compare();
        world.node.shard.audit(world.node.clock(), usize::MAX);
        prop_assert_eq!(world.node.shard.tally().violations.iter().sum::<u64>(), 0);
        world.node.advance(60_000);
        for generation in world.seats.keys() {
            prop_assert!(world.node.reads(*generation).is_empty(), "it was said already");
        }
        // P12: when all have gone, nothing of it stays.
        for generation in world.seats.into_keys() {
            world.node.detach(generation, Detach::Kicked);
        }
        let held: Vec<String> = world.present.into_keys().collect();
        for name in held {
            let user = crate::node::user(&name);
            let now = world.node.clock();
            world.node.shard.handle_input(now, presence_core::shard::ShardInput::Kick { user });
        }
        world.node.advance(1_000);
        prop_assert_eq!(world.node.shard.room_count(), 0);
    }
}
