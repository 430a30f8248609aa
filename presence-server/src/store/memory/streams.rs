//! Streams and their receivers, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use presence_core::id::{RoomId, UserId};
use presence_core::port::store::{
    Appended, Balance, GapReason, Page, PageLimits, Standing, StoreError, StreamLimits,
};
use presence_core::stream::{MessageId, NewMessage, Seq, StoredMessage};
use presence_core::time::WallTime;

use crate::store::{
    BEYOND, EXPIRE_MAX, GAPS_MAX, ID_USED, NO_RECEIVER, NOT_THEIRS, digest, gaps_after, owns,
};

/// Every stream, and which messages have been seen.
#[derive(Debug)]
pub(super) struct Streams {
    limits: StreamLimits,
    streams: HashMap<RoomId, Stream>,
    /// By sender: of all together there may be a million, and a map so large stops everybody when it has to grow.
    sent: BTreeMap<UserId, HashMap<MessageId, Sent>>,
    /// The ids of messages that are gone, and when they are forgotten.
    gone: VecDeque<(WallTime, UserId, MessageId)>,
    balance: Balance,
}

/// A message that has been taken in.
#[derive(Debug)]
struct Sent {
    room: RoomId,
    seq: u64,
    digest: u64,
    at: WallTime,
}

#[derive(Debug, Default)]
struct Stream {
    newest: u64,
    held: VecDeque<NewMessage>,
    bytes: usize,
    gaps: Vec<(u64, u64, GapReason)>,
    cursors: BTreeMap<UserId, u64>,
}

impl Stream {
    /// The number of the oldest message that is held, or would be.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.held.len() as u64
    }

    /// How many messages wait for who stands there.
    fn waiting(&self, cursor: u64) -> u64 {
        self.newest - cursor.max(self.oldest() - 1)
    }

    fn standing(&self, cursor: u64) -> Standing {
        Standing { cursor: Seq::new(cursor), head: Seq::new(self.newest) }
    }

    /// Removes the oldest message. Says how many receivers had not dealt with it.
    fn trim(&mut self, reason: GapReason) -> Option<(NewMessage, u64)> {
        let seq = self.oldest();
        let message = self.held.pop_front()?;
        self.bytes -= message.body.len();
        let missed = self.cursors.values().filter(|cursor| **cursor < seq).count() as u64;
        match self.gaps.last_mut() {
            Some((_, last, same)) if *same == reason => *last = seq,
            _ => self.gaps.push((seq, seq, reason)),
        }
        if self.gaps.len() > GAPS_MAX {
            let (first, ..) = self.gaps.remove(0);
            self.gaps[0].0 = first;
        }
        Some((message, missed))
    }
}

impl Streams {
    pub(super) fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            streams: HashMap::new(),
            sent: BTreeMap::new(),
            gone: VecDeque::new(),
            balance: Balance::default(),
        }
    }

    /// The number that a message which was taken in before has, or an error if its id means another one.
    pub(super) fn known(&self, message: &NewMessage) -> Result<Option<Appended>, StoreError> {
        match self.sent.get(&message.sender).and_then(|sent| sent.get(&message.id)) {
            None => Ok(None),
            Some(sent) if sent.room == message.room && sent.digest == digest(message) => {
                Ok(Some(Appended::Again { seq: Seq::new(sent.seq), at: sent.at }))
            }
            Some(_) => Err(ID_USED),
        }
    }

    pub(super) fn append(&mut self, message: NewMessage) -> Result<Appended, StoreError> {
        if let Some(known) = self.known(&message)? {
            return Ok(known);
        }
        let (room, now) = (message.room.clone(), message.at);
        let stream = stream_of(&mut self.streams, &room);
        stream.newest += 1;
        let seq = stream.newest;
        let sent = Sent { room: room.clone(), seq, digest: digest(&message), at: message.at };
        self.sent.entry(message.sender.clone()).or_default().insert(message.id.clone(), sent);
        self.balance.accepted += stream.cursors.len() as u64;
        if let Some(cursor) = stream.cursors.get_mut(&message.sender)
            && *cursor == seq - 1
        {
            *cursor = seq;
            self.balance.acked += 1;
        }
        stream.bytes += message.body.len();
        stream.held.push_back(message);
        let limits = self.limits;
        let full = |stream: &Stream| {
            stream.held.len() > limits.messages || (stream.bytes > limits.bytes && stream.held.len() > 1)
        };
        while self.streams.get(&room).is_some_and(full) {
            self.trim(&room, GapReason::Overflow, now);
        }
        Ok(Appended::New { seq: Seq::new(seq) })
    }

    fn trim(&mut self, room: &RoomId, reason: GapReason, now: WallTime) {
        let Some((message, missed)) = self.streams.get_mut(room).and_then(|stream| stream.trim(reason))
        else {
            return;
        };
        match reason {
            GapReason::Overflow => self.balance.dropped += missed,
            GapReason::Expired => self.balance.expired += missed,
        }
        self.gone.push_back((later(now, self.limits.dedup), message.sender, message.id));
        while self.gone.len() > self.limits.dedup_ids {
            self.forget_oldest_id();
        }
    }

    fn forget_oldest_id(&mut self) {
        if let Some((_, sender, id)) = self.gone.pop_front() {
            let Some(sent) = self.sent.get_mut(&sender) else { return };
            sent.remove(&id);
            if sent.is_empty() {
                self.sent.remove(&sender);
            }
        }
    }

    pub(super) fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Page {
        let Some(stream) = self.streams.get(room) else { return Page::default() };
        let from = after.number().saturating_add(1).max(stream.oldest());
        let skip = stream.held.len().min((from - stream.oldest()) as usize);
        let mut bytes = 0;
        let fitting =
            stream.held.range(skip..).zip(from..).take(limits.messages).take_while(|(message, seq)| {
                bytes += message.body.len();
                *seq == from || bytes <= limits.bytes
            });
        let messages: Vec<StoredMessage> = fitting
            .map(|(message, seq)| StoredMessage { seq: Seq::new(seq), message: message.clone() })
            .collect();
        let next = messages.last().map_or(from, |last| last.seq.number() + 1);
        Page {
            gaps: gaps_after(after.number(), stream.gaps.iter().copied()),
            head: Seq::new(stream.newest),
            more: next <= stream.newest,
            messages,
        }
    }

    pub(super) fn subscribe(&mut self, room: &RoomId, user: &UserId) -> Result<Standing, StoreError> {
        if room.inbox_of().is_some() {
            let owner = owns(user, room).then(|| self.standing(room, user)).flatten();
            return owner.ok_or(NOT_THEIRS);
        }
        Ok(self.receive(room, user))
    }

    /// Makes a user a receiver, from the newest message on, unless they are one.
    pub(super) fn receive(&mut self, room: &RoomId, user: &UserId) -> Standing {
        let stream = stream_of(&mut self.streams, room);
        let newest = stream.newest;
        let cursor = *stream.cursors.entry(user.clone()).or_insert(newest);
        stream.standing(cursor)
    }

    pub(super) fn stop_receiving(&mut self, room: &RoomId, user: &UserId) {
        let Some(stream) = self.streams.get_mut(room) else { return };
        if let Some(cursor) = stream.cursors.remove(user) {
            self.balance.purged += stream.waiting(cursor);
        }
        if stream.newest == 0 && stream.cursors.is_empty() {
            self.streams.remove(room);
        }
    }

    fn standing(&self, room: &RoomId, user: &UserId) -> Option<Standing> {
        match self.streams.get(room) {
            None => owns(user, room).then(Standing::default),
            Some(stream) => stream.cursors.get(user).map(|cursor| stream.standing(*cursor)),
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        room: &RoomId,
        user: &UserId,
        seq: Seq,
    ) -> Result<Standing, StoreError> {
        let standing = self.standing(room, user).ok_or(NO_RECEIVER)?;
        if seq > standing.head {
            return Err(BEYOND);
        }
        if seq <= standing.cursor {
            return Ok(standing);
        }
        let stream = stream_of(&mut self.streams, room);
        let cursor = stream.cursors.insert(user.clone(), seq.number()).ok_or(NO_RECEIVER)?;
        self.balance.acked += stream.waiting(cursor) - stream.waiting(seq.number());
        Ok(stream.standing(seq.number()))
    }

    pub(super) fn standings(&self, user: &UserId) -> Vec<(RoomId, Standing)> {
        let all = self.streams.iter().filter_map(|(room, stream)| {
            stream.cursors.get(user).map(|cursor| (room.clone(), stream.standing(*cursor)))
        });
        let mut standings: BTreeMap<RoomId, Standing> = all.collect();
        standings.entry(RoomId::inbox(user)).or_default();
        standings.into_iter().collect()
    }

    pub(super) fn expire(&mut self, now: WallTime) -> bool {
        let mut budget = EXPIRE_MAX;
        let age = self.limits.age;
        while let Some(room) = self.oldest_expired(now) {
            let old =
                |stream: &Stream| stream.held.front().is_some_and(|oldest| later(oldest.at, age) <= now);
            while self.streams.get(&room).is_some_and(old) {
                if budget == 0 {
                    return true;
                }
                budget -= 1;
                self.trim(&room, GapReason::Expired, now);
            }
        }
        let mut budget = EXPIRE_MAX;
        while self.gone.front().is_some_and(|(forget_at, ..)| *forget_at <= now) {
            if budget == 0 {
                return true;
            }
            budget -= 1;
            self.forget_oldest_id();
        }
        false
    }

    /// The stream that has had a message for too long for the longest.
    fn oldest_expired(&self, now: WallTime) -> Option<RoomId> {
        let oldest = self.streams.iter().filter_map(|(room, stream)| Some((stream.held.front()?.at, room)));
        let (at, room) = oldest.min()?;
        (later(at, self.limits.age) <= now).then(|| room.clone())
    }

    pub(super) fn balance(&self) -> Balance {
        let waiting = |stream: &Stream| stream.cursors.values().map(|c| stream.waiting(*c)).sum::<u64>();
        Balance { queued: self.streams.values().map(waiting).sum(), ..self.balance }
    }
}

fn later(at: WallTime, span: std::time::Duration) -> WallTime {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    WallTime::from_unix_millis(at.as_unix_millis().saturating_add(span))
}

/// The stream of a room; an inbox has its owner as receiver from the first.
fn stream_of<'a>(streams: &'a mut HashMap<RoomId, Stream>, room: &RoomId) -> &'a mut Stream {
    streams.entry(room.clone()).or_insert_with(|| {
        let owner = room.inbox_of().and_then(|owner| UserId::parse(owner).ok());
        Stream { cursors: owner.map(|owner| (owner, 0)).into_iter().collect(), ..Stream::default() }
    })
}
