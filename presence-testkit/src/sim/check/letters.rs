//! Checkers of messages that last.

use presence_core::frame::{Frame, Message};
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::Appended;

use super::super::server::disk::{Write, Wrote};
use super::super::tab::{Fate, Letter, Phase};
use super::super::world::World;

/// Within what time a message is with everybody who is there, when all is quiet.
const ARRIVES: u64 = 2_500;

impl World {
    /// M5: a cursor never goes back.
    pub(in crate::sim) fn check_write(&mut self, write: &Write, wrote: Wrote) {
        if let (Write::Append(message), Wrote::Appended(Appended::New { seq })) = (write, wrote) {
            self.checks.newest.entry(message.room.clone()).or_default().push((self.now, seq.number()));
        }
        let Write::Acknowledge(room, user, _) = write else { return };
        let cursor = self.disk.cursor(room, user).unwrap_or_default();
        let known = self.checks.cursors.entry((room.clone(), user.clone())).or_default();
        if cursor != 0 && cursor < *known {
            let known = *known;
            return self
                .violate("M5", format_args!("the cursor of {user} in {room} was {known}, and is {cursor}"));
        }
        *known = cursor.max(*known);
    }

    /// M9: what is new does not come before the answer to a sync, which brings what is older.
    pub(in crate::sim) fn check_written(&mut self, connection: u64, syncing: bool, frames: &[Frame]) {
        let is_message = |message: &Message| message.text().starts_with(br#"{"type":"message_created""#);
        if syncing && frames.iter().flat_map(Frame::messages).any(is_message) {
            self.violate(
                "M9",
                format_args!("connection {connection} waits for a sync, and gets what is new"),
            );
        }
    }

    /// M5: an acknowledgement never takes a receiver back.
    pub(in crate::sim) fn check_receivers(&mut self) {
        let Some(server) = &self.server else { return };
        let mut back = None;
        for (room, user, acked) in server.receivers() {
            let known = self.checks.receivers.entry((room.clone(), user.clone())).or_default();
            if acked < *known {
                back = Some(format!("{user} was at {known} of {room}, and is at {acked}"));
            }
            *known = acked;
        }
        if let Some(said) = back {
            self.violate("M5", format_args!("{said}"));
        }
    }

    /// M1, M4, M9, M11, M12: what was acknowledged is kept, and everybody has it who is to have it, without a gap.
    pub(in crate::sim) fn check_letters(&mut self) {
        if self.is_over() {
            return;
        }
        for tab in 0..self.tabs.len() {
            self.check_sent(tab);
            self.check_order(tab);
            self.check_refused(tab);
            if self.tabs[tab].phase == Phase::Ready {
                self.check_received(tab);
            }
        }
    }

    fn check_sent(&mut self, tab: usize) {
        let sender = self.plan.users[self.tabs[tab].user].clone();
        for letter in self.tabs[tab].letters.clone() {
            let kept = self.disk.place_of(&sender, &letter.id);
            match (letter.fate, kept) {
                (Fate::Kept(seq), kept) if kept != Some(seq) => {
                    return self
                        .violate("M1", format_args!("{} was at {seq}, and is at {kept:?}", letter.id));
                }
                (Fate::Refused, Some(seq)) if letter.sendings == 1 => {
                    return self.violate("M11", format_args!("{} was refused, and is at {seq}", letter.id));
                }
                (Fate::Unknown, _) if self.tabs[tab].phase == Phase::Ready => {
                    return self.violate("M11", format_args!("nobody has said what became of {}", letter.id));
                }
                _ => {}
            }
        }
    }

    /// M3: what was sent after another was known to be kept comes after it.
    fn check_order(&mut self, tab: usize) {
        let letters = &self.tabs[tab].letters;
        let kept = |letter: &Letter| if let Fate::Kept(seq) = letter.fate { Some(seq) } else { None };
        let wrong = letters.iter().enumerate().find_map(|(number, late)| {
            let early = letters[..number].iter().find(|early| {
                early.room == late.room
                    && early.answered.is_some_and(|at| at < late.begun)
                    && kept(early) > kept(late)
                    && kept(late).is_some()
            })?;
            Some(format!("{} is at {:?}, and {} at {:?}", early.id, early.fate, late.id, late.fate))
        });
        if let Some(said) = wrong {
            self.violate("M3", format_args!("{said}"));
        }
    }

    /// M10: whoever has said that it has dealt with what it was never sent was told.
    fn check_refused(&mut self, tab: usize) {
        if self.tabs[tab].phase == Phase::Ready && self.tabs[tab].waits_for_refusal() {
            self.violate("M10", format_args!("tab {tab} has acknowledged too much, and nobody has said so"));
        }
    }

    fn check_received(&mut self, tab: usize) {
        let user = self.plan.users[self.tabs[tab].user].clone();
        let mut streams: Vec<(RoomId, bool)> = vec![(RoomId::inbox(&user), false)];
        for (number, room) in self.plan.rooms.iter().enumerate() {
            let here = self.tabs[tab].rooms.get(&number).is_some_and(|place| place.confirmed);
            if here || self.disk.is_member(room, &user) {
                streams.push((room.clone(), here));
            }
        }
        for (room, here) in streams {
            self.check_stream(tab, &user, &room, here);
        }
    }

    /// The newest message of a stream that has had the time to arrive.
    fn arrived(&self, room: &RoomId) -> u64 {
        let times = self.checks.newest.get(room).into_iter().flatten();
        times.take_while(|(at, _)| at + ARRIVES <= self.now).last().map_or(0, |(_, seq)| *seq)
    }

    fn check_stream(&mut self, tab: usize, user: &UserId, room: &RoomId, here: bool) {
        let newest = self.arrived(room);
        let having = self.tabs[tab].having.get(room.as_str());
        let (invariant, missing) = match having.filter(|having| here || !having.places.is_empty()) {
            Some(having) => ("M9", having.missing(newest)),
            // What was dealt with before is not for it.
            None => ("M12", self.disk.cursor(room, user).filter(|cursor| *cursor < newest)),
        };
        if let Some(missing) = missing {
            self.violate(invariant, format_args!("tab {tab} has no {missing} of {room}, which has {newest}"));
        }
    }
}
