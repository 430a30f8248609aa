//! Checkers that look while things happen.

use presence_core::error::CloseReason;
use presence_core::id::RoomId;
use presence_core::room::Movement;
use serde_json::Value;

use super::super::link::Flow;
use super::super::millis;
use super::super::tab::Phase;
use super::super::world::World;
use crate::wire::ServerMessage;

/// What may pass between a cause and its effect beside the spans that limits name.
const SLACK: u64 = 1_500;

/// What a link may delay at most.
const LAG: u64 = 2_500;

/// Rooms with more users are compared now and then, not after every turn.
const SMALL: usize = 60;

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl World {
    /// A shard has had its turn: it is as it should be.
    pub(in crate::sim) fn check_shard(&mut self, shard: usize) {
        if self.tabs.len() > SMALL {
            return;
        }
        self.compare_shard(shard);
    }

    fn compare_shard(&mut self, shard: usize) {
        let Some(server) = &self.server else { return };
        let task = &server.shards[shard];
        if let Err((invariant, said)) = task.model.compare(&task.shard) {
            self.violate(invariant, format_args!("shard {shard}: {said}"));
        }
    }

    /// A room says who came and went.
    pub(in crate::sim) fn check_movements(&mut self, shard: usize, room: &RoomId, movements: &[Movement]) {
        let Some(server) = &mut self.server else { return };
        if let Err((invariant, said)) = server.shards[shard].model.moved(room, movements) {
            return self.violate(invariant, format_args!("{said}"));
        }
        for movement in movements {
            if let Movement::Left { user, cause, .. } = movement {
                self.trace.note(self.now, format_args!("{user} has left {room}: {cause:?}"));
                let solid = (0..self.tabs.len())
                    .find(|tab| self.plan.users[self.tabs[*tab].user] == *user && self.is_solid(*tab, room));
                if let Some(tab) = solid {
                    self.violate("P6", format_args!("{user} has left {room}, and tab {tab} is there"));
                }
            }
        }
    }

    /// A tab that is in a room beyond doubt: the server has said so, on a connection with which nothing was ever wrong,
    /// and which the server still has.
    fn is_solid(&self, tab: usize, room: &RoomId) -> bool {
        let known = &self.tabs[tab];
        let number = self.plan.rooms.iter().position(|known| known == room);
        let place = number.and_then(|number| known.rooms.get(&number));
        let (Phase::Ready, Some(link), Some(server)) = (known.phase, known.link, &self.server) else {
            return false;
        };
        let link = &self.links[&link];
        let Some((life, connection)) = link.server else { return false };
        let who = (self.plan.users[known.user].clone(), known.session.clone());
        let current = server.shards[server.shard_of(room)].model.current(&who);
        place.is_some_and(|place| place.confirmed)
            && link.healthy
            && !known.paused
            && life == server.life
            && current.is_some_and(|current| current.number() == connection)
    }

    /// The server closes a connection: it has a reason.
    pub(in crate::sim) fn check_close(&mut self, id: u64, reason: CloseReason) {
        let Some(open) = self.server.as_ref().and_then(|server| server.connections.get(&id)) else { return };
        let link = &self.links[&open.link];
        let innocent = link.healthy && link.open;
        let (tab, waited) = (link.tab, open.busy.map(|since| self.now - since));
        match reason {
            CloseReason::HeartbeatTimeout if innocent => {
                self.violate(
                    "P6",
                    format_args!("connection {id} of tab {tab} was alive and is taken for dead"),
                );
            }
            CloseReason::ProtocolAbused | CloseReason::RateLimitAbused | CloseReason::NotAuthorized
                if innocent =>
            {
                self.violate("L5", format_args!("connection {id} of tab {tab} is closed: {reason:?}"));
            }
            CloseReason::SlowConsumer
                if waited.is_some_and(|waited| waited + 100 < millis(self.plan.limits.stall)) =>
            {
                let mailbox = self.plan.limits.mailbox_max;
                if mailbox > 100 {
                    self.violate("X1", format_args!("connection {id} had {waited:?} ms to read"));
                }
            }
            _ => {}
        }
    }

    /// P15: when somebody was last seen is the server's time, and never goes back.
    pub(in crate::sim) fn check_last_seen(&mut self, tab: usize, room: usize, message: &ServerMessage) {
        if self.checks.clock_went_back {
            return;
        }
        let told: Vec<(&str, i64)> = match message {
            ServerMessage::CurrentUsers(snapshot) => {
                snapshot.users.iter().map(|user| (user.id.as_str(), user.last_seen)).collect()
            }
            ServerMessage::UserJoined(joined) => vec![(joined.user.id.as_str(), joined.user.last_seen)],
            ServerMessage::UserLeft(left) => vec![(left.user_id.as_str(), left.last_seen)],
            _ => return,
        };
        let now = self.clock().wall.as_unix_millis();
        let mut wrong = None;
        // An older event of a replay is known already, and says what was so then.
        let Some(place) = self.tabs[tab].rooms.get_mut(&room) else { return };
        for (user, at) in told {
            let known = place.seen.entry(user.to_owned()).or_insert(at);
            if at < *known || at > now {
                wrong = Some(format!("{user} was seen at {known}, and at {at}; it is {now}"));
            }
            *known = at;
        }
        if let Some(said) = wrong {
            self.violate("P15", format_args!("tab {tab}: {said}"));
        }
    }

    /// The server has found something itself that is not as it must be.
    pub(in crate::sim) fn own_up(&mut self, violation: &presence_core::audit::Violation) {
        if self.counts_own_audit() {
            let (room, found) = (&violation.room, &violation.found);
            self.violate(violation.invariant.id(), format_args!("the server says of {room:?}: {found}"));
        }
    }

    /// P10, C6: everybody hears the same.
    pub(in crate::sim) fn check_same(&mut self, tab: usize, room: usize, message: &ServerMessage) {
        let view = &self.tabs[tab].rooms[&room].view;
        let (Some(epoch), Some(version)) = (view.epoch(), view.version()) else { return };
        let event = match message {
            ServerMessage::CurrentUsers(snapshot) => {
                self.counts.snapshots += 1;
                let key = (room, epoch.to_owned(), version);
                let known = self.checks.digests.entry(key).or_insert_with(|| snapshot.digest.clone());
                if *known != snapshot.digest {
                    let text = format!("{known} and {}", snapshot.digest);
                    self.violate("P10", format_args!("two snapshots of version {version}: {text}"));
                }
                return;
            }
            ServerMessage::Synced(_) => {
                self.counts.replays += 1;
                return;
            }
            ServerMessage::Restored(_) => {
                self.counts.restores += 1;
                return;
            }
            ServerMessage::UserJoined(event) => (event.version, format!("{event:?}")),
            ServerMessage::UserLeft(event) => (event.version, format!("{event:?}")),
            ServerMessage::UserUpdated(event) => (event.version, format!("{event:?}")),
            _ => return,
        };
        if event.0 != version {
            // It was known already; the room may be in another epoch by now.
            return;
        }
        let (key, text) = ((room, epoch.to_owned(), version), hash(&event.1));
        if *self.checks.events.entry(key).or_insert(text) != text {
            self.violate(
                "P10",
                format_args!("tab {tab} hears something else of version {version}: {}", event.1),
            );
        }
    }

    /// Notes who could be known to be where.
    pub(in crate::sim) fn note_alive(&mut self) {
        let now = self.now;
        for (id, link) in self.links.iter().filter(|(_, link)| link.open && link.up.flow == Flow::Free) {
            let tab = &mut self.tabs[link.tab];
            // A connection that the tab has given up may be in rooms that the tab does not want.
            let given_up = tab.link != Some(*id);
            if tab.lives() && !tab.paused {
                let there = tab.rooms.values_mut().filter(|place| place.wanted || given_up);
                there.for_each(|place| place.alive = now);
            }
        }
    }

    /// Now and then everything is compared.
    pub(in crate::sim) fn sample(&mut self) {
        self.note_alive();
        if self.now < self.paused_until {
            return;
        }
        for shard in 0..self.plan.shards {
            self.compare_shard(shard);
        }
        self.check_phantoms();
        self.check_views();
        self.check_stalls();
        self.check_receivers();
    }

    /// P5, L2: nobody is counted who is long gone.
    fn check_phantoms(&mut self) {
        let Some(server) = &self.server else { return };
        let bound = self.plan.dead() + millis(self.plan.limits.grace) + LAG + SLACK + self.lost_time;
        let mut phantom = None;
        for tab in &self.tabs {
            let who = (&self.plan.users[tab.user], &tab.session);
            for (room, place) in tab.rooms.iter().filter(|(_, place)| place.alive + bound < self.now) {
                let id = &self.plan.rooms[*room];
                let room = server.shards[server.shard_of(id)].shard.room(id);
                let member = room.and_then(|room| room.member(who.0.as_str()));
                if member.is_some_and(|member| member.session(who.1).is_some()) {
                    phantom = Some(format!(
                        "{}/{} is in {id}, and was last there at {}",
                        who.0, who.1, place.alive
                    ));
                }
            }
        }
        if let Some(said) = phantom {
            self.violate("P5", format_args!("{said}"));
        }
    }

    /// P3, P4: who has heard as much as the room has said sees what is so.
    fn check_views(&mut self) {
        let Some(server) = &self.server else { return };
        let mut wrong = None;
        for (number, tab) in self.tabs.iter().enumerate() {
            for (room, place) in tab.rooms.iter().filter(|(_, place)| place.confirmed) {
                let id = &self.plan.rooms[*room];
                let Some(room) = server.shards[server.shard_of(id)].shard.room(id) else { continue };
                let stand = room.stand();
                let same = place.view.epoch() == Some(stand.epoch.as_str())
                    && place.view.version() == Some(stand.version.number());
                if !same || room.has_news() {
                    continue;
                }
                if let Some(said) = difference(room, &place.view) {
                    wrong = Some(format!("tab {number} in {id} at version {}: {said}", stand.version));
                }
            }
        }
        if let Some(said) = wrong {
            self.violate("P3", format_args!("{said}"));
        }
    }

    /// X1: who does not read is not waited for.
    fn check_stalls(&mut self) {
        let Some(server) = &self.server else { return };
        let bound = millis(self.plan.limits.stall) + SLACK + self.lost_time;
        let stuck = server
            .connections
            .iter()
            .find(|(_, open)| !open.ending && open.busy.is_some_and(|since| since + bound < self.now));
        if let Some((id, open)) = stuck {
            let said = format!("connection {id} has not read since {:?}", open.busy);
            self.violate("X1", format_args!("{said}"));
        }
    }
}

/// Whether a text is this value, as JSON says it.
fn says(text: &str, value: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|said| said == *value)
}

/// What a view has otherwise than the room.
fn difference(room: &presence_core::room::Room, view: &crate::view::View) -> Option<String> {
    if room.user_count() != view.users().len() {
        return Some(format!("{} users, and it sees {}", room.user_count(), view.users().len()));
    }
    for member in room.members() {
        let id = member.profile.id.as_str();
        let Some(seen) = view.users().get(id) else { return Some(format!("it does not see {id}")) };
        if seen.connection_count != member.sessions.len() {
            return Some(format!(
                "{id} has {} sessions, and it sees {}",
                member.sessions.len(),
                seen.connection_count
            ));
        }
        for session in &member.sessions {
            let known = seen.sessions.iter().find(|known| known.session_id == session.id.as_str());
            let Some(known) = known else { return Some(format!("it does not see {id}/{}", session.id)) };
            let state = session.state.iter();
            let same = state.len() == known.state.len()
                && state
                    .zip(&known.state)
                    .all(|(is, seen)| **is.0 == **seen.0 && says(is.1.as_str(), seen.1));
            if !same || known.active != session.active {
                return Some(format!("{id}/{} is {:?}, and it sees {known:?}", session.id, session.state));
            }
        }
    }
    None
}
