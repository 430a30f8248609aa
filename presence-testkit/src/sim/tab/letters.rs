//! Messages that last, as a tab sends and receives them: it sends again until it knows, applies each once and in order,
//! says what it has dealt with, and asks for what it does not have when it comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::super::world::World;
use super::{Asked, Phase, Syncing};
use crate::inbox::Misdelivery;
use crate::wire::{Ack, ServerMessage, SyncResult};

/// How long a tab waits for the answer to a message before it sends it again.
const AGAIN: u64 = 2_500;

/// A message that a tab has sent, or wants to.
#[derive(Clone, Debug)]
pub(in super::super) struct Letter {
    pub(in super::super) id: String,
    /// A room, or somebody's inbox.
    pub(in super::super) room: String,
    pub(in super::super) fate: Fate,
    /// When it was first sent, and how often since.
    pub(in super::super) begun: u64,
    pub(in super::super) sendings: u32,
    /// When it was first known to be kept.
    pub(in super::super) answered: Option<u64>,
    sent: u64,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fate {
    /// Perhaps it is kept.
    Unknown,
    /// It is kept, at this place.
    Kept(u64),
    /// It was refused for good, and was never answered otherwise.
    Refused,
}

/// What a tab has of one stream.
#[derive(Debug, Default)]
pub(in super::super) struct Having {
    pub(in super::super) places: BTreeSet<u64>,
    /// What it has sent itself.
    pub(in super::super) own: BTreeSet<u64>,
    /// Since it receives the stream without a break.
    since: Since,
    /// How often each message has come on this connection.
    came: BTreeMap<u64, u32>,
    /// How often it may have begun anew on this connection, beside once.
    turns: u32,
    /// Dealt with, as the server was told.
    told: u64,
}

/// From where on a tab has to have everything of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// From the first on that comes next and is new to it; from the first on that is kept after this one, if none comes.
    After(u64),
    /// From this one on.
    From(u64),
    /// Nobody can say: it has left a room while the server could not know yet that its user is on the roster.
    Unknown,
}

impl Default for Since {
    fn default() -> Self {
        Self::After(0)
    }
}

impl Having {
    /// It is let in, and what comes need not join on to what it has.
    pub(super) fn begin(&mut self, newest: u64) {
        self.since = Since::After(newest);
    }

    /// It receives the stream on a new connection: until something new comes, that may begin anywhere, since other devices
    /// may have dealt with all there was.
    pub(super) fn go_on(&mut self, newest: u64) {
        if let Since::After(_) = self.since {
            self.since = Since::After(newest);
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.since == Since::Unknown
    }

    pub(super) fn lose_track(&mut self) {
        self.since = Since::Unknown;
    }

    fn take(&mut self, seq: u64, redelivered: bool) {
        let new = self.places.insert(seq);
        // What goes again may be from before it was let in.
        if let Since::After(_) = self.since
            && new
            && !redelivered
        {
            self.since = Since::From(seq);
        }
    }

    fn reconnect(&mut self) {
        self.came.clear();
        (self.told, self.turns) = (0, 0);
    }

    /// What comes next may have come before.
    pub(super) fn begin_again(&mut self) {
        self.turns += 1;
    }

    /// The first that it has not, and should.
    pub(in super::super) fn missing(&self, newest: u64) -> Option<u64> {
        let first = match self.since {
            Since::After(base) => base + 1,
            Since::From(first) => first,
            Since::Unknown => return None,
        };
        (first..=newest).find(|seq| !self.places.contains(seq) && !self.own.contains(seq))
    }
}

impl World {
    /// Sends a message to a room that it is in, or to somebody.
    pub(in super::super) fn write_letter(&mut self, tab: usize, room: Option<usize>) {
        let room = match room {
            Some(room) => self.plan.rooms[room].to_string(),
            None => format!("@{}", self.dice.pick(&self.plan.users.clone())),
        };
        let known = &mut self.tabs[tab];
        let id = format!("m{tab}-{}", known.letters.len());
        known.letters.push(Letter {
            id,
            room,
            fate: Fate::Unknown,
            begun: self.now,
            sendings: 0,
            answered: None,
            sent: 0,
        });
        let last = known.letters.len() - 1;
        self.send_letter(tab, last);
    }

    fn send_letter(&mut self, tab: usize, index: usize) {
        let reference = self.tabs[tab].ask(Asked::Letter(index));
        let now = self.now;
        let letter = &mut self.tabs[tab].letters[index];
        letter.sent = now;
        letter.sendings += 1;
        let Letter { id, room, .. } = letter;
        let text =
            format!(r#"{{"type":"message","room":"{room}","id":"{id}","data":"{id}","ref":{reference}}}"#);
        self.say(tab, text);
    }

    /// Sends again what nobody has answered.
    pub(super) fn send_letters_again(&mut self, tab: usize) {
        let late = |letter: &Letter| letter.fate == Fate::Unknown && letter.sent + AGAIN <= self.now;
        let letters = self.tabs[tab].letters.iter().enumerate();
        let late: Vec<usize> = letters.filter(|(_, letter)| late(letter)).map(|(index, _)| index).collect();
        late.into_iter().for_each(|index| self.send_letter(tab, index));
        if self.tabs[tab].syncing == Syncing::Refused {
            self.ask_sync_all(tab);
        }
        self.say_dealt_with(tab);
    }

    /// A new connection: what is not here has to be asked for, and what was sent may not have come.
    pub(super) fn ask_for_letters(&mut self, tab: usize) {
        let known = &mut self.tabs[tab];
        known.inbox.reconnect();
        known.loose.clear();
        known.having.values_mut().for_each(Having::reconnect);
        known.letters.iter_mut().for_each(|letter| letter.sent = 0);
        known.syncing = Syncing::No;
        if !known.inbox.cursors().is_empty() {
            self.ask_sync_all(tab);
        }
    }

    fn ask_sync_all(&mut self, tab: usize) {
        self.tabs[tab].syncing = Syncing::Asked;
        self.tabs[tab].having.values_mut().for_each(Having::begin_again);
        let reference = self.tabs[tab].ask(Asked::SyncAll);
        let cursors = serde_json::to_string(&self.tabs[tab].inbox.ask()).unwrap_or_default();
        self.say(tab, format!(r#"{{"type":"sync","cursors":{cursors},"ref":{reference}}}"#));
    }

    pub(super) fn sync_all_refused(&mut self, tab: usize) {
        self.tabs[tab].syncing = Syncing::Refused;
    }

    /// Something about messages has come.
    pub(super) fn hear_of_letters(&mut self, tab: usize, message: &ServerMessage) {
        self.check_addressee(tab, message);
        let limit = 1 + self.plan.limits.redeliveries_max;
        let known = &mut self.tabs[tab];
        // What is new is not applied past a hole: the answer to the sync will bring it.
        let first = match message {
            ServerMessage::MessageCreated(created) => Some((&created.room, created.seq)),
            ServerMessage::MessagesDropped(dropped) => Some((&dropped.room, dropped.from_seq)),
            _ => None,
        };
        if let Some((room, first)) = first
            && known.syncing != Syncing::No
            && first > known.inbox.stream_place(room) + 1
        {
            known.inbox.leave(room);
            return;
        }
        if let ServerMessage::MessageCreated(created) = message
            && known.loose.contains(&created.room)
        {
            known.inbox.leave(&created.room);
        }
        if let Err(wrong) = known.inbox.apply(message) {
            let invariant = match wrong {
                Misdelivery::Gap { .. } => "M7",
                Misdelivery::Again { .. } => "M2",
                Misdelivery::Shape(_) => "wire",
            };
            return self.violate(invariant, format_args!("tab {tab}: {wrong}"));
        }
        match message {
            ServerMessage::Ack(ack) => {
                known.having.entry(ack.room.clone()).or_default().own.insert(ack.seq);
                self.answered(tab, &ack.clone());
            }
            ServerMessage::MessageCreated(created) => {
                let having = known.having.entry(created.room.clone()).or_default();
                having.take(created.seq, created.redelivered);
                let limit = limit * (1 + having.turns);
                let came = having.came.entry(created.seq).or_default();
                *came += 1;
                if *came > limit {
                    let text = format!("{} of {} came {came} times", created.seq, created.room);
                    return self.violate("M5", format_args!("tab {tab}: {text}"));
                }
                if !self.dice.one_in(4) {
                    self.say_dealt_with(tab);
                }
            }
            ServerMessage::MessagesDropped(dropped) => {
                let having = known.having.entry(dropped.room.clone()).or_default();
                having.places.extend(dropped.from_seq..=dropped.to_seq);
            }
            ServerMessage::SyncResult(result) => self.synced(tab, result),
            _ => {}
        }
    }

    fn synced(&mut self, tab: usize, result: &SyncResult) {
        let known = &mut self.tabs[tab];
        for dropped in &result.dropped {
            let having = known.having.entry(dropped.room.clone()).or_default();
            having.places.extend(dropped.from_seq..=dropped.to_seq);
        }
        for created in &result.messages {
            known.having.entry(created.room.clone()).or_default().take(created.seq, false);
        }
        known.syncing = Syncing::No;
        if result.more {
            return self.ask_sync_all(tab);
        }
        // What the user does not receive any more is not owed, until somebody lets the tab in again.
        let lost = known.having.iter_mut().filter(|(room, _)| !result.cursors.contains_key(*room));
        lost.for_each(|(_, having)| having.lose_track());
    }

    /// S1: nobody gets what was said where they are not, and never were.
    fn check_addressee(&mut self, tab: usize, message: &ServerMessage) {
        let ServerMessage::MessageCreated(created) = message else { return };
        let known = &self.tabs[tab];
        let user = self.plan.users[known.user].clone();
        let entered = self
            .tabs
            .iter()
            .filter(|tab| tab.user == known.user)
            .any(|tab| tab.rooms.keys().any(|room| self.plan.rooms[*room].as_str() == created.room));
        let member = self
            .plan
            .rosters
            .iter()
            .any(|(room, members)| room.as_str() == created.room && members.contains(&user));
        let own = created.room.strip_prefix('@') == Some(user.as_str());
        if !entered && !member && !own {
            self.violate("S1", format_args!("tab {tab} of {user} gets a message of {}", created.room));
        }
    }

    /// A message of the tab is kept.
    fn answered(&mut self, tab: usize, ack: &Ack) {
        let Some(letter) = self.tabs[tab].letters.iter_mut().find(|letter| letter.id == ack.id) else {
            return self.violate("M11", format_args!("tab {tab} is told of {}, which it never sent", ack.id));
        };
        match letter.fate {
            Fate::Kept(seq) if seq != ack.seq => {
                let id = letter.id.clone();
                return self.violate("M4", format_args!("{id} is at {seq}, and at {}", ack.seq));
            }
            _ => {
                letter.fate = Fate::Kept(ack.seq);
                letter.answered.get_or_insert(self.now);
            }
        }
        let sender = self.plan.users[self.tabs[tab].user].clone();
        let kept = self.disk.place_of(&sender, &ack.id);
        if kept != Some(ack.seq) {
            self.violate("M1", format_args!("{} is said to be at {}, and is at {kept:?}", ack.id, ack.seq));
        }
    }

    /// A message of the tab was not taken.
    pub(super) fn letter_refused(&mut self, tab: usize, index: usize, code: &str) {
        let letter = &mut self.tabs[tab].letters[index];
        match code {
            "busy" | "unavailable" | "rate_limited" => {}
            // It is in the room no more; another sending of it may still be under way.
            "not_joined" => letter.fate = Fate::Refused,
            _ => {
                let id = letter.id.clone();
                self.violate("M11", format_args!("{id} is refused: {code}"));
            }
        }
    }

    /// Says what it has dealt with, everywhere.
    fn say_dealt_with(&mut self, tab: usize) {
        if self.tabs[tab].phase != Phase::Ready {
            return;
        }
        let cursors = self.tabs[tab].inbox.cursors();
        for (room, place) in cursors {
            let having = self.tabs[tab].having.entry(room.clone()).or_default();
            if place > having.told {
                having.told = place;
                self.say(tab, format!(r#"{{"type":"ack","room":"{room}","seq":{place}}}"#));
            }
        }
    }

    /// Says that it has dealt with what it was never sent.
    pub(super) fn say_too_much(&mut self, tab: usize, room: usize) {
        let (id, reference) = (self.plan.rooms[room].clone(), self.tabs[tab].ask(Asked::TooMuch));
        let beyond = self.disk.newest(&id) + 500;
        self.say(tab, format!(r#"{{"type":"ack","room":"{id}","seq":{beyond},"ref":{reference}}}"#));
    }
}
