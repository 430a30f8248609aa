//! Tabs that watch a window of each room instead of reading all of it.

use serde_json::Value;

use super::super::world::World;
use super::Asked;
use crate::wire::WindowShown;

impl World {
    /// Looks at other rows, or at the same again.
    pub(super) fn move_window(&mut self, tab: usize, room: usize) {
        let id = self.plan.rooms[room].clone();
        let (from, count) = (self.dice.pick(&[0, 0, 20]), self.dice.pick(&[5, 20, 60]));
        let reference = self.tabs[tab].ask(Asked::Other);
        self.say(tab, format!(
            r#"{{"type":"presence:window","room":"{id}","from":{from},"count":{count},"ref":{reference}}}"#
        ));
    }

    /// A window is shown.
    pub(super) fn see_window(&mut self, tab: usize, shown: &WindowShown) {
        let room = &shown.room;
        let number = self.plan.rooms.iter().position(|known| known.as_str() == room);
        let known = &mut self.tabs[tab];
        let watches = known.watches;
        let Some((number, place)) =
            number.and_then(|number| Some((number, known.rooms.get_mut(&number).filter(|_| watches)?)))
        else {
            return self.violate("S1", format_args!("tab {tab} is shown {room}, which it does not watch"));
        };
        let seen = place.window.apply(shown);
        let answers = shown.reference.as_ref().and_then(Value::as_u64) == Some(place.reference);
        let is_in = place.wanted && answers;
        if let Err(violation) = seen {
            let said = violation.to_string();
            let id = said.split(':').next().unwrap_or_default().to_owned();
            return self.violate(&id, format_args!("tab {tab} in {room}: {said}"));
        }
        if is_in {
            self.confirmed(tab, number);
            self.check_own(tab, number);
        }
    }

    /// P13: who has come in is in what it is shown, if its place is.
    fn check_own(&mut self, tab: usize, room: usize) {
        let known = &self.tabs[tab];
        let (user, session) = (self.plan.users[known.user].as_str(), known.session.as_str());
        let window = &known.rooms[&room].window;
        let begins = window.shown().is_some_and(|shown| shown.from == 0);
        let is_beyond = !begins || window.ids().last().is_some_and(|last| *last < user);
        let is_there = window
            .rows()
            .iter()
            .any(|row| row.id == user && row.sessions.iter().any(|theirs| theirs.session_id == session));
        if !is_there && !is_beyond {
            self.violate("P13", format_args!("tab {tab} is in room {room}, and is not shown itself"));
        }
    }
}
