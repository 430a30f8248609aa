//! What a tab does with what it hears.

use serde_json::Value;

use super::super::agenda::Event;
use super::super::link::{Packet, Way};
use super::super::world::World;
use super::{Asked, Phase};
use crate::view::Applied;
use crate::wire::{Refusal, ServerMessage};

impl World {
    /// A client reads what has come over a link.
    pub(in super::super) fn read(&mut self, link_id: u64) {
        loop {
            let Some(link) = self.links.get_mut(&link_id) else { return };
            let tab = &self.tabs[link.tab];
            if tab.paused || tab.deaf || !link.open {
                return;
            }
            let (number, slow) = (link.tab, tab.slow);
            let Some(packet) = link.unread.pop_front() else { return };
            link.down.bytes -= packet.len();
            self.drained(link_id);
            if self.tabs[number].link == Some(link_id) {
                self.hear(number, link_id, packet);
            } else {
                self.hear_as_shadow(link_id, packet);
            }
            if let Some(pause) = slow {
                return self.agenda_at(self.now + pause, Event::Read { link: link_id });
            }
        }
    }

    /// A connection that the tab does not use any more, and has not closed.
    fn hear_as_shadow(&mut self, link: u64, packet: Packet) {
        match packet {
            Packet::Ping => self.send(link, Way::Up, Packet::Pong),
            Packet::Close(_) | Packet::Reset => self.close_end(link),
            _ => {}
        }
    }

    fn close_end(&mut self, link: u64) {
        if let Some(link) = self.links.get_mut(&link) {
            link.open = false;
        }
    }

    fn hear(&mut self, tab: usize, link: u64, packet: Packet) {
        self.tabs[tab].heard = self.now;
        match packet {
            Packet::Accepted => self.accepted(tab, link),
            Packet::Ping => self.send(link, Way::Up, Packet::Pong),
            Packet::Text(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                self.trace.note(self.now, format_args!("tab {tab} ← {text}"));
                match ServerMessage::parse(&text) {
                    Ok(message) => self.understand(tab, &message),
                    Err(error) => self.violate("wire", format_args!("tab {tab} cannot read {text}: {error}")),
                }
            }
            Packet::Close(code) => {
                self.trace.note(self.now, format_args!("tab {tab} is told to close with {code}"));
                self.close_end(link);
                match code {
                    4409 => self.superseded(tab),
                    // Whether it was closed for a reason is looked at where that happens.
                    _ => self.come_back(tab, Some(100)),
                }
            }
            Packet::Reset => {
                self.close_end(link);
                self.come_back(tab, None);
            }
            Packet::Connect | Packet::Pong => {}
        }
    }

    /// Another connection has its session. Of its own requests this was the last: it can only be one of those that nobody can
    /// put in an order.
    fn superseded(&mut self, tab: usize) {
        self.tabs[tab].lose(Phase::Superseded);
        if self.tabs[tab].requests.are_in_order() {
            self.violate("P8", format_args!("tab {tab} is superseded by a request that it made before"));
        }
    }

    fn understand(&mut self, tab: usize, message: &ServerMessage) {
        match message {
            ServerMessage::Connected(_) => self.connected(tab),
            ServerMessage::Error(refusal) => self.refused(tab, refusal),
            ServerMessage::Ack(_)
            | ServerMessage::MessageCreated(_)
            | ServerMessage::MessagesDropped(_)
            | ServerMessage::SyncResult(_) => self.hear_of_letters(tab, message),
            ServerMessage::Window(shown) => self.see_window(tab, shown),
            message => {
                if let Some(room) = message.room() {
                    self.see(tab, room, message);
                }
            }
        }
    }

    fn connected(&mut self, tab: usize) {
        if self.tabs[tab].phase == Phase::Ready {
            return;
        }
        // A new connection is in use until it says otherwise.
        (self.tabs[tab].phase, self.tabs[tab].active) = (Phase::Ready, true);
        let rooms = self.tabs[tab].rooms.iter();
        let wanted: Vec<usize> = rooms.filter(|(_, place)| place.wanted).map(|(room, _)| *room).collect();
        for room in wanted {
            self.join(tab, room);
        }
        self.ask_for_letters(tab);
    }

    /// Something about a room.
    fn see(&mut self, tab: usize, room: &str, message: &ServerMessage) {
        let Some(number) = self.plan.rooms.iter().position(|known| known.as_str() == room) else {
            return self.violate("S1", format_args!("tab {tab} hears of {room}"));
        };
        let known = &mut self.tabs[tab];
        let Some(place) = known.rooms.get_mut(&number) else {
            return self.violate("S1", format_args!("tab {tab} hears of {room}, which it never entered"));
        };
        let seen = place.view.apply(message);
        let is_new = matches!(seen, Ok(Applied::Changed));
        let answers = match message {
            ServerMessage::CurrentUsers(snapshot) => snapshot.reference.as_ref(),
            ServerMessage::Synced(synced) => synced.reference.as_ref(),
            _ => None,
        };
        if answers.and_then(Value::as_u64) == Some(place.reference) && place.wanted {
            self.confirmed(tab, number);
        }
        if let Err(violation) = seen {
            let said = violation.to_string();
            let id = said.split(':').next().unwrap_or_default().to_owned();
            return self.violate(&id, format_args!("tab {tab} in {room}: {said}"));
        }
        if is_new {
            self.check_last_seen(tab, number, message);
        }
        self.check_same(tab, number, message);
    }

    /// It is in a room.
    pub(super) fn confirmed(&mut self, tab: usize, room: usize) {
        let known = &mut self.tabs[tab];
        let (id, user) = (&self.plan.rooms[room], &self.plan.users[known.user]);
        let Some(place) = known.rooms.get_mut(&room) else { return };
        place.confirmed = true;
        let new = !std::mem::replace(&mut place.known, true);
        let having = known.having.entry(id.to_string()).or_default();
        let newest = self.disk.newest(id);
        if new && !self.disk.is_member(id, user) || having.is_lost() {
            having.begin(newest);
        } else {
            having.go_on(newest);
        }
    }

    fn refused(&mut self, tab: usize, refusal: &Refusal) {
        let reference = refusal.reference.as_ref().and_then(Value::as_u64);
        let asked = reference.and_then(|reference| self.tabs[tab].asked.remove(&reference));
        match (asked, refusal.code.as_str()) {
            // It looks again, and asks again.
            (Some(Asked::Join(_)), "busy" | "rate_limited") => {}
            (Some(Asked::Update(room)), "busy") => {
                if let Some(place) = self.tabs[tab].rooms.get_mut(&room) {
                    place.unsaid = true;
                }
            }
            (Some(Asked::Letter(index)), code) => self.letter_refused(tab, index, code),
            (Some(Asked::SyncAll), "busy" | "unavailable") => self.sync_all_refused(tab),
            (Some(Asked::TooMuch), "conflict" | "not_found" | "unavailable") => {}
            (_, "busy" | "not_joined") => {}
            // To acknowledge what another device has acknowledged costs, and is of no use.
            (None, "rate_limited") => {}
            (asked, code) => self
                .violate("wire", format_args!("tab {tab} is refused {asked:?}: {code}, {}", refusal.message)),
        }
    }
}
