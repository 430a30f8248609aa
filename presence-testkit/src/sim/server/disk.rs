//! What outlives the server: streams, cursors and the ids of messages. A write is safe once it is synced; until then it waits
//! in a queue, and of that queue a crash may leave any beginning.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::planted::{self, Bug};
use presence_core::port::store::{Appended, Gap, GapReason, Page, PageLimits, Standing};
use presence_core::stream::{MessageId, NewMessage, Seq, StoredMessage};

/// A store on a disk.
#[derive(Debug, Default)]
pub(in crate::sim) struct Disk {
    streams: BTreeMap<RoomId, Stream>,
    ids: BTreeMap<(UserId, MessageId), (RoomId, u64, Bytes)>,
    /// Messages that a stream holds.
    held_max: usize,
}

#[derive(Debug, Default)]
pub(in crate::sim) struct Stream {
    pub(in crate::sim) newest: u64,
    held: VecDeque<NewMessage>,
    cursors: BTreeMap<UserId, u64>,
    members: BTreeSet<UserId>,
}

/// Something to be written.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Write {
    Append(Box<NewMessage>),
    Subscribe(RoomId, UserId),
    Unsubscribe(RoomId, UserId),
    Acknowledge(RoomId, UserId, Seq),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Wrote {
    Appended(Appended),
    Stands(Standing),
    Nothing,
    /// The store refuses everything.
    Unavailable,
    /// What was asked contradicts what is there.
    Conflict,
}

impl Disk {
    pub(in crate::sim) fn new(held_max: usize, rosters: &[(RoomId, Vec<UserId>)], users: &[UserId]) -> Self {
        let mut disk = Self { held_max, ..Self::default() };
        for (room, members) in rosters {
            members.iter().for_each(|member| disk.seat(room, member));
        }
        users.iter().for_each(|user| disk.seat(&RoomId::inbox(user), user));
        disk
    }

    fn seat(&mut self, room: &RoomId, member: &UserId) {
        let stream = self.streams.entry(room.clone()).or_default();
        stream.members.insert(member.clone());
        stream.cursors.insert(member.clone(), 0);
    }

    /// Makes one write safe.
    pub(in crate::sim) fn apply(&mut self, write: Write) -> Wrote {
        match write {
            Write::Append(message) => self.append(*message),
            Write::Subscribe(room, user) => {
                let stream = self.streams.entry(room).or_default();
                let newest = stream.newest;
                let cursor = *stream.cursors.entry(user).or_insert(newest);
                Wrote::Stands(Standing { cursor: Seq::new(cursor), head: Seq::new(newest) })
            }
            Write::Unsubscribe(room, user) => {
                if let Some(stream) =
                    self.streams.get_mut(&room).filter(|stream| !stream.members.contains(&user))
                {
                    stream.cursors.remove(&user);
                }
                Wrote::Nothing
            }
            Write::Acknowledge(room, user, seq) => {
                let Some(stream) = self.streams.get_mut(&room) else { return Wrote::Nothing };
                if seq.number() > stream.newest {
                    return Wrote::Conflict;
                }
                if let Some(cursor) = stream.cursors.get_mut(&user) {
                    *cursor = seq.number().max(*cursor);
                }
                Wrote::Nothing
            }
        }
    }

    fn append(&mut self, message: NewMessage) -> Wrote {
        let key = (message.sender.clone(), message.id.clone());
        if let Some((room, seq, body)) = self.ids.get(&key)
            && !planted::is(Bug::NoDeduplication)
        {
            if (room, body) != (&message.room, &message.body) {
                return Wrote::Conflict;
            }
            return Wrote::Appended(Appended::Again { seq: Seq::new(*seq), at: message.at });
        }
        let stream = self.streams.entry(message.room.clone()).or_default();
        stream.newest += 1;
        let seq = stream.newest;
        self.ids.insert(key, (message.room.clone(), seq, message.body.clone()));
        if let Some(cursor) = stream.cursors.get_mut(&message.sender)
            && *cursor + 1 == seq
        {
            *cursor = seq;
        }
        stream.held.push_back(message);
        if stream.held.len() > self.held_max {
            stream.held.pop_front();
        }
        Wrote::Appended(Appended::New { seq: Seq::new(seq) })
    }

    pub(in crate::sim) fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Page {
        let Some(stream) = self.streams.get(room) else { return Page::default() };
        let gone = stream.newest - stream.held.len() as u64;
        let from = after.number().max(gone);
        let held = stream.held.iter().zip(gone + 1..).skip_while(|(_, seq)| *seq <= from);
        let messages: Vec<StoredMessage> = held
            .take(limits.messages)
            .map(|(message, seq)| StoredMessage { seq: Seq::new(seq), message: message.clone() })
            .collect();
        let last = messages.last().map_or(from, |last| last.seq.number());
        let gap = Gap { from: after.next(), to: Seq::new(gone), reason: GapReason::Overflow };
        Page {
            gaps: if after.number() < gone { vec![gap] } else { Vec::new() },
            head: Seq::new(stream.newest),
            more: last < stream.newest,
            messages,
        }
    }

    /// Where a user stands in all that they receive, and whether as a member.
    pub(in crate::sim) fn standings(&self, user: &UserId) -> Vec<(RoomId, Standing, bool)> {
        let of_user = self.streams.iter().filter_map(|(room, stream)| {
            let cursor = Seq::new(*stream.cursors.get(user)?);
            let standing = Standing { cursor, head: Seq::new(stream.newest) };
            Some((room.clone(), standing, stream.members.contains(user)))
        });
        of_user.collect()
    }

    pub(in crate::sim) fn is_member(&self, room: &RoomId, user: &UserId) -> bool {
        self.streams.get(room).is_some_and(|stream| stream.members.contains(user))
    }

    /// The newest message of a stream.
    pub(in crate::sim) fn newest(&self, room: &RoomId) -> u64 {
        self.streams.get(room).map_or(0, |stream| stream.newest)
    }

    /// The place of a message.
    pub(in crate::sim) fn place_of(&self, sender: &UserId, id: &str) -> Option<u64> {
        let id = MessageId::parse(id).ok()?;
        self.ids.get(&(sender.clone(), id)).map(|(_, seq, _)| *seq)
    }

    /// Where a receiver is, if they are one.
    pub(in crate::sim) fn cursor(&self, room: &RoomId, user: &UserId) -> Option<u64> {
        self.streams.get(room)?.cursors.get(user).copied()
    }
}
