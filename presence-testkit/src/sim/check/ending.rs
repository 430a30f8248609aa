//! Checkers that look when all is quiet: everybody agrees, nothing said twice changes anything, and who goes leaves
//! nothing behind.

use std::collections::BTreeSet;

use presence_core::shard::ShardInput;

use super::super::tab::{BACKOFF, Phase};
use super::super::world::World;
use crate::wire::RoomPresence;

impl World {
    /// P3, L3, L5: everybody is back, where they want to be, and sees the same; nobody else is there.
    pub(in crate::sim) fn check_agreement(&mut self) {
        if self.is_over() {
            return;
        }
        let back = |tab: &super::super::tab::Tab| {
            tab.phase == Phase::Ready && tab.rooms.values().all(|place| place.confirmed == place.wanted)
        };
        if let Some(tab) = self.tabs.iter().position(|tab| tab.lives() && !back(tab)) {
            let known = &self.tabs[tab];
            let places: Vec<_> =
                known.rooms.iter().map(|(room, place)| (room, place.wanted, place.confirmed)).collect();
            let said = format!("tab {tab} is not back: {:?} {places:?} ({BACKOFF} ms between)", known.phase);
            return self.violate("L3", format_args!("{said}"));
        }
        for room in 0..self.plan.rooms.len() {
            self.check_room(room);
        }
        self.check_links();
    }

    fn check_room(&mut self, room: usize) {
        let id = self.plan.rooms[room].clone();
        let here = self.tabs.iter().filter(|tab| tab.rooms.get(&room).is_some_and(|place| place.confirmed));
        let expected: BTreeSet<(String, String)> =
            here.map(|tab| (self.plan.users[tab.user].to_string(), tab.session.to_string())).collect();
        let Some(truth) = self.read_room(&id) else { return };
        let users = truth.users.iter();
        let found: BTreeSet<(String, String)> = users
            .flat_map(|user| {
                user.sessions.iter().map(|session| (user.id.clone(), session.session_id.clone()))
            })
            .collect();
        if let Some((user, session)) = found.difference(&expected).next() {
            return self.violate("P5", format_args!("{user}/{session} is in {id} and nobody is behind it"));
        }
        if let Some((user, session)) = expected.difference(&found).next() {
            return self.violate("P6", format_args!("{user}/{session} is not in {id} and should be"));
        }
        let counts = (truth.total_active_users, truth.active_users.len(), truth.users.len());
        if counts.0 != counts.1 || counts.1 != counts.2 || truth.total_connections != found.len() {
            return self
                .violate("P11", format_args!("{id} counts {counts:?} and {}", truth.total_connections));
        }
        for tab in 0..self.tabs.len() {
            let Some(place) = self.tabs[tab].rooms.get(&room).filter(|place| place.confirmed) else {
                continue;
            };
            let watches = self.tabs[tab].watches;
            let difference =
                if watches { place.window.difference(&truth) } else { place.view.difference(&truth) };
            if let Some(difference) = difference {
                return self.violate("P3", format_args!("tab {tab} in {id}: {difference}"));
            }
        }
        let Some(server) = &self.server else { return };
        let typing = server.shards[server.shard_of(&id)].shard.room(&id).and_then(|room| room.typing_now());
        if typing.is_some() {
            self.violate("typing", format_args!("somebody still types in {id}"));
        }
    }

    /// What a backend would read of a room.
    fn read_room(&mut self, id: &presence_core::id::RoomId) -> Option<RoomPresence> {
        let now = self.clock();
        let Some(server) = &mut self.server else {
            self.violate("L5", format_args!("there is no server"));
            return None;
        };
        let shard = server.shard_of(id);
        let task = &mut server.shards[shard];
        task.shard.handle_input(now, ShardInput::Read { ticket: 1, room: id.clone() });
        task.shard.handle_timeout(now);
        self.carry_out_all(shard);
        let body = self.readings.remove(&1)?;
        match serde_json::from_slice(&body) {
            Ok(truth) => Some(truth),
            Err(error) => {
                self.violate("wire", format_args!("the reading of {id}: {error}"));
                None
            }
        }
    }

    /// R3, X3: every open tab has one connection, and there are no others.
    fn check_links(&mut self) {
        let Some(server) = &self.server else { return };
        let ready = self.tabs.iter().filter(|tab| tab.phase == Phase::Ready).count();
        let open = server.connections.len();
        if ready != open {
            let links: Vec<u64> = server.connections.values().map(|open| open.link).collect();
            self.violate(
                "R3",
                format_args!("{ready} tabs are open, and {open} connections, of links {links:?}"),
            );
        }
    }

    /// Everybody says something new of themselves.
    pub(in crate::sim) fn say_something(&mut self) {
        if self.is_over() {
            return;
        }
        for (tab, room) in self.places() {
            self.update(tab, room);
            self.write_letter(tab, Some(room));
        }
    }

    /// Who is where.
    fn places(&self) -> Vec<(usize, usize)> {
        let tabs = self.tabs.iter().enumerate();
        tabs.flat_map(|(number, tab)| {
            let here = tab.rooms.iter().filter(|(_, place)| place.confirmed);
            here.map(move |(room, _)| (number, *room))
        })
        .collect()
    }

    /// P16: what everybody said of themselves last is what the rooms show.
    pub(in crate::sim) fn check_said(&mut self) {
        if self.is_over() {
            return;
        }
        for (tab, room) in self.places() {
            let known = &self.tabs[tab];
            let user = self.plan.users[known.user].as_str();
            let place = &known.rooms[&room];
            let shown = place.window.rows().iter().find(|row| row.id == user);
            // Who watches other rows does not see itself.
            if known.watches && shown.is_none() {
                continue;
            }
            let mine = if known.watches { shown } else { place.view.users().get(user) };
            let mine = mine
                .and_then(|user| user.sessions.iter().find(|mine| mine.session_id == known.session.as_str()));
            let said = mine.and_then(|mine| mine.state.get("mark")).and_then(serde_json::Value::as_u64);
            if said != Some(place.marker) {
                let said = format!("tab {tab} said {} in room {room}, and is shown {said:?}", place.marker);
                return self.violate("P16", format_args!("{said}"));
            }
        }
    }

    /// Everybody says again what they have said.
    pub(in crate::sim) fn say_everything_again(&mut self) {
        if self.is_over() {
            return;
        }
        self.checks.stands = (0..self.plan.rooms.len()).map(|room| self.stand(room)).collect();
        for (tab, room) in self.places() {
            self.repeat(tab, room);
        }
    }

    fn stand(&self, room: usize) -> (String, u64) {
        let id = &self.plan.rooms[room];
        let server = self.server.as_ref();
        let room = server.and_then(|server| server.shards[server.shard_of(id)].shard.room(id));
        room.map(|room| (room.stand().epoch.to_string(), room.stand().version.number())).unwrap_or_default()
    }

    /// P9: no room is where it was not before.
    pub(in crate::sim) fn check_nothing_changed(&mut self) {
        if self.is_over() {
            return;
        }
        for room in 0..self.plan.rooms.len() {
            let (before, after) = (self.checks.stands[room].clone(), self.stand(room));
            if before != after {
                let id = self.plan.rooms[room].clone();
                self.violate(
                    "P9",
                    format_args!("{id} was at {before:?}, and is at {after:?} after repetitions"),
                );
            }
        }
        self.check_agreement();
    }

    /// Everybody goes, in one way or another.
    pub(in crate::sim) fn send_all_home(&mut self) {
        if self.is_over() {
            return;
        }
        for tab in 0..self.tabs.len() {
            let code = self.dice.pick(&[1000, 1001, 1006]);
            self.close_tab(tab, code);
        }
    }

    /// P12, X3: nothing is left.
    pub(in crate::sim) fn check_empty(&mut self) {
        if self.is_over() {
            return;
        }
        let Some(server) = &self.server else { return };
        let connections = server.connections.len();
        let left = |task: &super::super::server::Task| {
            (task.shard.room_count(), task.shard.user_count(), task.shard.connection_count())
        };
        let left: Vec<_> = server.shards.iter().map(left).collect();
        if !server.hub_is_empty() {
            return self.violate("P12", format_args!("the hub remembers somebody"));
        }
        if connections > 0 || left.iter().any(|left| *left != (0, 0, 0)) {
            self.violate(
                "P12",
                format_args!("left are {connections} connections, and in the shards {left:?}"),
            );
        }
    }
}
