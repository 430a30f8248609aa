//! What one tab knows: a view of each of its rooms, its messages, and what it waits for. Whatever comes is checked here and
//! written into the history.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::history::{Event, History, Letter, Sight};
use crate::inbox::Inbox;
use crate::view::{Applied, View};
use crate::wire::{CurrentUsers, MessageCreated, ServerMessage};

/// Whether a tab is with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It has no connection, and wants none now.
    #[default]
    Out,
    /// It tries to get in, or to get back in.
    Trying,
    /// It is in all its rooms.
    In,
}

/// A message that is not known to be safe.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) room: u32,
    /// How often it was sent.
    pub(super) sent: u32,
}

/// One tab's knowledge.
#[derive(Debug)]
pub struct Seat {
    /// Its number.
    pub tab: u32,
    /// Whose it is.
    pub user: u32,
    /// Its rooms.
    pub rooms: Vec<u32>,
    /// Whether it is there from the beginning to the end.
    pub resident: bool,
    /// Whether it is with the server.
    pub standing: Standing,
    /// What it last said in its state.
    pub state: u64,
    /// How often it was ended by the server, by close code; 0: by the network.
    pub endings: BTreeMap<u16, u64>,
    pub(super) views: BTreeMap<u32, View>,
    pub(super) inbox: Inbox,
    pub(super) open: BTreeMap<u64, Open>,
    pub(super) said: u64,
    /// The newest place in each room that one of its own messages was given.
    pub(super) acked: BTreeMap<u32, u64>,
    /// How far it has told the server that it has applied.
    told: BTreeMap<u32, u64>,
    /// Rooms of which nothing has come on this connection yet.
    pub(super) awaited: BTreeSet<u32>,
    /// Messages that came before the answer to a sync, and have to wait for it: what it brings is older.
    pub(super) held: Option<Vec<String>>,
    /// In how many milliseconds the server wants it back.
    pub(super) retry_after: Option<u64>,
    history: History,
}

/// How many messages a tab applies until it says so.
const TOLD_EVERY: u64 = 8;

/// A pong, a question for more, or nothing.
pub(super) type Reply = Option<Value>;

impl Seat {
    pub(super) fn new(tab: u32, user: u32, rooms: Vec<u32>, resident: bool, history: History) -> Self {
        Self {
            tab,
            user,
            rooms,
            resident,
            standing: Standing::Out,
            state: 0,
            endings: BTreeMap::new(),
            views: BTreeMap::new(),
            inbox: Inbox::default(),
            open: BTreeMap::new(),
            said: 0,
            acked: BTreeMap::new(),
            told: BTreeMap::new(),
            awaited: BTreeSet::new(),
            held: None,
            retry_after: None,
            history,
        }
    }

    /// Its session's id.
    pub fn session(&self) -> String {
        format!("t{}", self.tab)
    }

    /// What it sees of a room.
    pub fn view(&self, room: u32) -> Option<&View> {
        self.views.get(&room)
    }

    /// Whether everything it said is known to be safe, or refused.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// How far it has applied what was said in a room.
    pub fn place(&self, room: u32) -> u64 {
        self.inbox.stream_place(&room_name(room))
    }

    /// Messages that came again and were known.
    pub fn repeated(&self) -> usize {
        self.rooms.iter().map(|room| self.inbox.stream(&room_name(*room)).repeated).sum()
    }

    /// What others see of its state in a room, as far as it knows.
    pub(super) fn own_state(&self, room: u32) -> Option<u64> {
        let user = self.views.get(&room)?.users().get(&format!("u{}", self.user))?;
        let session = self.session();
        user.sessions.iter().find(|known| known.session_id == session)?.state.get("n")?.as_u64()
    }

    /// How far it has applied a room's messages, if that is worth telling.
    pub(super) fn place_to_tell(&mut self, room: u32) -> Option<u64> {
        let place = self.place(room);
        let told = self.told.entry(room).or_default();
        if place < *told + TOLD_EVERY {
            return None;
        }
        *told = place;
        Some(place)
    }

    /// A post was answered with an error.
    pub(super) fn post_refused(&mut self, message: &Value, body: &str) {
        let code =
            serde_json::from_str(body).map(|body: Value| body["error"]["code"].clone()).unwrap_or_default();
        if let Some(letter) = message["id"].as_str().and_then(letter) {
            self.refused(letter, code.as_str().unwrap_or("unknown"));
        }
    }

    pub(super) fn note(&self, event: Event) {
        self.history.note(event);
    }

    pub(super) fn broken(&self, what: String) {
        self.note(Event::Broken { tab: self.tab, what: what.chars().take(400).collect() });
    }

    /// Takes a message of the server in. What the protocol does not allow is an error; the view it was about is not to
    /// be used any more.
    pub(super) fn take(&mut self, text: &str) -> Result<Reply, String> {
        let message = ServerMessage::parse(text).map_err(|error| format!("{error}: {text}"))?;
        let is_delivery =
            matches!(message, ServerMessage::MessageCreated(_) | ServerMessage::MessagesDropped(_));
        if let Some(held) = self.held.as_mut().filter(|_| is_delivery) {
            held.push(text.to_owned());
            return Ok(None);
        }
        self.inbox.apply(&message).map_err(|wrong| format!("{wrong}: {text}"))?;
        match &message {
            ServerMessage::Ping(ping) => {
                return Ok(Some(json!({"type": "pong", "timestamp": ping.timestamp})));
            }
            ServerMessage::Draining(draining) => self.retry_after = Some(draining.retry_after_ms),
            ServerMessage::Ack(ack) => {
                let (letter, room) = (letter(&ack.id), number(&ack.room, 'r'));
                if let (Some(letter), Some(room)) = (letter, room) {
                    self.open.remove(&letter.number);
                    let newest = self.acked.entry(room).or_default();
                    *newest = ack.seq.max(*newest);
                    self.note(Event::Acked { letter, room, seq: ack.seq });
                }
            }
            ServerMessage::Error(refusal) => {
                let about = refusal.reference.as_ref().and_then(Value::as_str).and_then(letter);
                if let Some(letter) = about {
                    self.refused(letter, &refusal.code);
                }
            }
            ServerMessage::MessagesDropped(dropped) => {
                if let Some(room) = number(&dropped.room, 'r') {
                    let (tab, from, to) = (self.tab, dropped.from_seq, dropped.to_seq);
                    self.note(Event::Dropped { tab, room, from, to });
                }
            }
            ServerMessage::MessageCreated(_) => self.apply_fresh()?,
            ServerMessage::SyncResult(result) => {
                self.apply_fresh()?;
                if result.more {
                    let since = result.timestamp;
                    return Ok(Some(json!({"type": "sync", "cursors": result.cursors, "since": since})));
                }
                self.release()?;
            }
            _ => {}
        }
        if let Some(room) = message.room().and_then(|room| number(room, 'r')) {
            self.look(room, &message, text)?;
        }
        Ok(None)
    }

    /// A message that was sent once and is refused is not stored. One that was sent before may be, so it goes on.
    fn refused(&mut self, letter: Letter, code: &str) {
        if self.open.get(&letter.number).is_some_and(|open| open.sent == 1) {
            self.open.remove(&letter.number);
            self.note(Event::Refused { letter, code: code.to_owned() });
        }
    }

    /// Nothing older is missing any more.
    fn release(&mut self) -> Result<(), String> {
        for text in self.held.take().unwrap_or_default() {
            let known = match ServerMessage::parse(&text).map_err(|error| format!("{error}: {text}"))? {
                ServerMessage::MessageCreated(created) => {
                    created.seq <= self.inbox.stream_place(&created.room)
                }
                _ => false,
            };
            if !known {
                self.take(&text)?;
            }
        }
        Ok(())
    }

    fn apply_fresh(&mut self) -> Result<(), String> {
        for room in self.rooms.clone() {
            let fresh: Vec<MessageCreated> = self.inbox.fresh(&room_name(room)).to_vec();
            for created in fresh {
                let known = letter(&created.id)
                    .filter(|letter| body(*letter) == created.snapshot && created.user_id.starts_with('u'));
                let letter = known.ok_or_else(|| format!("nobody said {created:?}"))?;
                self.note(Event::Applied { tab: self.tab, room, seq: created.seq, letter });
            }
        }
        Ok(())
    }

    fn look(&mut self, room: u32, message: &ServerMessage, text: &str) -> Result<(), String> {
        if let ServerMessage::CurrentUsers(snapshot) = message {
            self.compare(room, snapshot);
        }
        let applied = self.views.entry(room).or_default().apply(message);
        let applied = applied.map_err(|violation| format!("{violation}: {text}"))?;
        let tab = self.tab;
        match message {
            ServerMessage::UserJoined(joined) if applied == Applied::Changed => {
                let user = number(&joined.user.id, 'u').ok_or_else(|| text.to_owned())?;
                self.note(Event::Came { tab, room, user });
            }
            ServerMessage::UserLeft(left) if applied == Applied::Changed => {
                let user = number(&left.user_id, 'u').ok_or_else(|| text.to_owned())?;
                self.note(Event::Went { tab, room, user, by: Sight::Event });
            }
            ServerMessage::CurrentUsers(_) | ServerMessage::Synced(_) => {
                self.note(Event::Hearing { tab, room });
                if self.awaited.remove(&room) {
                    self.note(Event::Entered { tab, room });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Who came and went from the view to a snapshot.
    fn compare(&self, room: u32, snapshot: &CurrentUsers) {
        let tab = self.tab;
        if snapshot.reason == "drift" {
            self.note(Event::Diverged {
                what: format!("the server found that tab {tab} sees r{room} wrongly"),
            });
        }
        let known = self.views.get(&room);
        let by = match known.and_then(View::epoch) {
            Some(epoch) if epoch == snapshot.epoch => Sight::Snapshot,
            _ => Sight::NewEpoch,
        };
        let before: BTreeSet<u32> =
            known.iter().flat_map(|view| view.users().keys()).filter_map(|id| number(id, 'u')).collect();
        let after: BTreeSet<u32> = snapshot.users.iter().filter_map(|user| number(&user.id, 'u')).collect();
        for user in before.difference(&after) {
            self.note(Event::Went { tab, room, user: *user, by });
        }
        for user in after.difference(&before) {
            self.note(Event::Came { tab, room, user: *user });
        }
    }
}

/// A room on the wire.
pub fn room_name(room: u32) -> String {
    format!("r{room}")
}

/// `u7` is user 7, `r3` room 3.
pub fn number(name: &str, kind: char) -> Option<u32> {
    name.strip_prefix(kind)?.parse().ok()
}

/// A message's id on the wire.
pub(super) fn letter_name(letter: Letter) -> String {
    format!("m{}-{}", letter.tab, letter.number)
}

/// And back.
pub(super) fn letter(name: &str) -> Option<Letter> {
    let (tab, number) = name.strip_prefix('m')?.split_once('-')?;
    Some(Letter { tab: tab.parse().ok()?, number: number.parse().ok()? })
}

/// What a message says: another than that is not this message.
pub(super) fn body(letter: Letter) -> Value {
    let words = (letter.number % 7 + 1) as usize;
    json!({"says": letter_name(letter), "words": "to whom it may concern ".repeat(words)})
}
