//! Streams and their receivers: what is written.
//!
//! A message is never counted receiver by receiver. A room knows how many cursors it has and how many of them have missed
//! something; when its oldest message goes, those who missed it are the ones who had missed something before and the ones
//! who stand right before it, and a cursor stands there once.

use presence_core::audit::{Breaches, Invariant, Violation};
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::{Appended, Balance, GapReason, Standing, StreamLimits};
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;
use rusqlite::{Connection, Row, params};

use super::fault::Refusal;
use super::row::{self, Ask, Json, count, int};
use crate::store::{BEYOND, EXPIRE_MAX, GAPS_MAX, ID_USED, NO_RECEIVER, NOT_THEIRS, digest, owns};

/// A transaction, in which calls are carried out one after another.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a Connection,
    pub(super) limits: &'a StreamLimits,
    pub(super) balance: &'a mut Balance,
    /// What is not as it must be.
    pub(super) violations: &'a mut Vec<Violation>,
}

/// A row of `rooms`.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) number: i64,
    pub(super) newest: u64,
    pub(super) oldest: u64,
    oldest_at: Option<i64>,
    bytes: u64,
    receivers: u64,
    behind: u64,
}

const ROOM: &str = "room, newest, oldest, oldest_at, bytes, receivers, behind";

/// What is true of every row of `rooms` in a file that is whole. All that is reckoned with a room relies on it.
const SENSIBLE: &str = "newest < 9223372036854775807 AND oldest > 0 AND oldest <= newest + 1 AND bytes >= 0 \
                        AND behind BETWEEN 0 AND receivers";

impl Room {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let room = Self {
            number: row.get(0)?,
            newest: count(row, 1)?,
            oldest: count(row, 2)?,
            oldest_at: row.get(3)?,
            bytes: count(row, 4)?,
            receivers: count(row, 5)?,
            behind: count(row, 6)?,
        };
        let Self { newest, oldest, receivers, behind, .. } = room;
        if newest >= i64::MAX as u64 || oldest == 0 || oldest > newest + 1 {
            return Err(row::senseless(2, "the oldest message of a room is not one of its messages"));
        }
        if behind > receivers {
            return Err(row::senseless(6, "more receivers have missed something than there are"));
        }
        Ok(room)
    }

    pub(super) fn find(db: &Connection, id: &RoomId) -> rusqlite::Result<Option<Self>> {
        db.one(&format!("SELECT {ROOM} FROM rooms WHERE id = ?"), [id.as_str()], Self::read)
    }

    /// How many messages wait for who stands there.
    fn waiting(&self, cursor: u64) -> u64 {
        self.newest - cursor.max(self.oldest - 1)
    }

    /// Whether who stands there has missed a message.
    fn is_behind(&self, cursor: u64) -> bool {
        cursor + 1 < self.oldest
    }

    fn standing(&self, cursor: u64) -> Standing {
        Standing { cursor: Seq::new(cursor), head: Seq::new(self.newest) }
    }

    fn cursor(&self, db: &Connection, person: i64) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT seq FROM cursors WHERE room = ? AND person = ?";
        let cursor = db.one(sql, (self.number, person), |row| count(row, 0))?;
        match cursor {
            Some(cursor) if cursor > self.newest => {
                Err(row::senseless(0, "a receiver is beyond the newest message"))
            }
            cursor => Ok(cursor),
        }
    }
}

/// The number of a user, if they have one.
pub(super) fn person(db: &Connection, user: &UserId) -> rusqlite::Result<Option<i64>> {
    db.one("SELECT person FROM people WHERE id = ?", [user.as_str()], |row| row.get(0))
}

impl Transaction<'_> {
    /// The number of a user, who gets one if they have none.
    pub(super) fn person(&self, user: &UserId) -> rusqlite::Result<i64> {
        if let Some(person) = person(self.db, user)? {
            return Ok(person);
        }
        self.db.change("INSERT INTO people (id) VALUES (?)", [user.as_str()])?;
        Ok(self.db.last_insert_rowid())
    }

    /// A room, which comes into being; an inbox has its owner as receiver from the first.
    pub(super) fn room(&self, id: &RoomId) -> rusqlite::Result<Room> {
        if let Some(room) = Room::find(self.db, id)? {
            return Ok(room);
        }
        self.db.change("INSERT INTO rooms (id) VALUES (?)", [id.as_str()])?;
        let mut room = Room {
            number: self.db.last_insert_rowid(),
            newest: 0,
            oldest: 1,
            oldest_at: None,
            bytes: 0,
            receivers: 0,
            behind: 0,
        };
        if let Some(owner) = id.inbox_of().and_then(|owner| UserId::parse(owner).ok()) {
            self.receive_in(&mut room, self.person(&owner)?)?;
        }
        Ok(room)
    }

    fn save(&self, room: &Room) -> rusqlite::Result<()> {
        let sql = "UPDATE rooms SET newest = ?2, oldest = ?3, oldest_at = ?4, bytes = ?5, receivers = ?6, behind = ?7 \
                   WHERE room = ?1";
        let Room { number, newest, oldest, oldest_at, bytes, receivers, behind } = room;
        let counts = [newest, oldest, bytes, receivers, behind].map(|count| int(*count));
        let [newest, oldest, bytes, receivers, behind] = counts;
        self.db.change(sql, (number, newest, oldest, oldest_at, bytes, receivers, behind)).map(drop)
    }

    /// The same for a room that has but one message more: most calls are this, and each index of what is written has to be
    /// written too.
    fn save_grown(&self, room: &Room) -> rusqlite::Result<()> {
        let sql = "UPDATE rooms SET newest = ?2, bytes = ?3 WHERE room = ?1";
        self.db.change(sql, (room.number, int(room.newest), int(room.bytes))).map(drop)
    }

    /// The place of a message that was taken in before, or a refusal if its id means another one.
    fn known(&self, message: &NewMessage, sender: i64) -> Result<Option<Appended>, Refusal> {
        let sql = "SELECT seq, at, digest, rooms.id = ?3 FROM sent_ids JOIN rooms USING (room) \
                   WHERE sender = ?1 AND sent_ids.id = ?2";
        let known = self.db.one(sql, (sender, message.id.as_str(), message.room.as_str()), |row| {
            let same = row.get::<_, i64>(2)? as u64 == digest(message) && row.get(3)?;
            Ok((same, Appended::Again { seq: row::seq(row, 0)?, at: row::time(row, 1)? }))
        })?;
        match known {
            None => Ok(None),
            Some((true, again)) => Ok(Some(again)),
            Some((false, _)) => Err(ID_USED.into()),
        }
    }

    pub(super) fn append(&mut self, message: &NewMessage) -> Result<Appended, Refusal> {
        let sender = self.person(&message.sender)?;
        if let Some(known) = self.known(message, sender)? {
            return Ok(known);
        }
        let mut room = self.room(&message.room)?;
        let at = message.at.as_unix_millis();
        let oldest = (room.oldest, room.oldest_at);
        room.newest += 1;
        room.bytes += message.body.len() as u64;
        room.oldest_at.get_or_insert(at);
        let seq = int(room.newest);
        self.db.change(
            "INSERT INTO messages (room, seq, kind, sender, sender_name, id, body, correlation, at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                room.number,
                seq,
                row::kind_text(message.kind),
                sender,
                message.sender_name,
                message.id.as_str(),
                Json(&message.body),
                message.correlation,
                at,
            ],
        )?;
        self.db.change(
            "INSERT INTO sent_ids (sender, id, room, seq, digest, at) VALUES (?, ?, ?, ?, ?, ?)",
            params![sender, message.id.as_str(), room.number, seq, digest(message) as i64, at],
        )?;
        self.balance.accepted = self.balance.accepted.saturating_add(room.receivers);
        if room.receivers > 0 {
            let sql = "UPDATE cursors SET seq = ?3 WHERE room = ?1 AND person = ?2 AND seq = ?3 - 1";
            let acked = self.db.change(sql, (room.number, sender, seq))? as u64;
            self.balance.acked = self.balance.acked.saturating_add(acked);
        }
        let newest = room.newest;
        // What one call leaves, after the limits were lowered, the next ones remove.
        let mut budget = EXPIRE_MAX;
        while budget > 0
            && (room.newest - room.oldest >= self.limits.messages as u64
                || (room.bytes > self.limits.bytes as u64 && room.oldest < room.newest))
        {
            self.trim(&mut room, GapReason::Overflow, message.at)?;
            self.check_bound(&message.room, &room)?;
            budget -= 1;
        }
        if (room.oldest, room.oldest_at) == oldest {
            self.save_grown(&room)?;
        } else {
            self.save(&room)?;
        }
        Ok(Appended::New { seq: Seq::new(newest) })
    }

    /// What counts as gone must be gone: by the messages that are there, not by how many there should be.
    fn check_bound(&mut self, id: &RoomId, room: &Room) -> rusqlite::Result<()> {
        let sql = "SELECT min(seq) FROM messages WHERE room = ?";
        let there = self.db.one(sql, [room.number], |row| row.get::<_, Option<i64>>(0))?.flatten();
        let mut breaches = Breaches::default();
        breaches.expect(Invariant::Bound, there.is_none_or(|seq| seq >= int(room.oldest)), || {
            format!(
                "message {} is there, and all before {} should be gone",
                there.unwrap_or_default(),
                room.oldest
            )
        });
        self.violations.extend(breaches.of(Some(id)));
        Ok(())
    }

    /// Removes the oldest message of a room that has one.
    fn trim(&mut self, room: &mut Room, reason: GapReason, now: WallTime) -> rusqlite::Result<()> {
        let oldest = int(room.oldest);
        let sql = "SELECT sender, id, octet_length(body), at FROM messages WHERE room = ? AND seq = ?";
        let gone = self.db.one(sql, (room.number, oldest), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, count(row, 2)?))
        })?;
        self.db.change("DELETE FROM messages WHERE room = ? AND seq = ?", (room.number, oldest))?;
        let sql = "SELECT count(*) FROM cursors WHERE room = ? AND seq = ?";
        let right_before = self.db.one(sql, (room.number, oldest - 1), |row| count(row, 0))?;
        room.behind = (room.behind + right_before.unwrap_or_default()).min(room.receivers);
        match reason {
            GapReason::Overflow => self.balance.dropped = self.balance.dropped.saturating_add(room.behind),
            GapReason::Expired => self.balance.expired = self.balance.expired.saturating_add(room.behind),
        }
        room.oldest += 1;
        let sql = "SELECT at FROM messages WHERE room = ? AND seq = ?";
        room.oldest_at = self.db.one(sql, (room.number, int(room.oldest)), |row| row.get(0))?;
        self.widen_gap(room.number, oldest, reason)?;
        // A message that is not there was lost with a damaged page; the stream goes on without it.
        let Some((sender, id, bytes)) = gone else { return Ok(()) };
        room.bytes = room.bytes.saturating_sub(bytes);
        let forget_at = now.as_unix_millis().saturating_add(millis(self.limits.dedup));
        let sql = "INSERT INTO gone_ids (sender, id, forget_at) VALUES (?, ?, ?)";
        self.db.change(sql, (sender, id, forget_at))?;
        let sql = "SELECT max(place) - (SELECT min(place) FROM gone_ids) + 1 FROM gone_ids";
        let held = self.db.one(sql, [], |row| count(row, 0))?.unwrap_or_default();
        self.forget_ids(held.saturating_sub(self.limits.dedup_ids as u64), i64::MAX).map(drop)
    }

    /// Notes that a message is gone, which is the one after all that are.
    fn widen_gap(&self, room: i64, seq: i64, reason: GapReason) -> rusqlite::Result<()> {
        let reason = row::reason_text(reason);
        let sql = "UPDATE gaps SET last = ?2 WHERE room = ?1 AND reason = ?3 \
                   AND first = (SELECT max(first) FROM gaps WHERE room = ?1)";
        if self.db.change(sql, (room, seq, reason))? == 1 {
            return Ok(());
        }
        let sql = "INSERT INTO gaps (room, first, last, reason) VALUES (?1, ?2, ?2, ?3)";
        self.db.change(sql, (room, seq, reason))?;
        let sql = "SELECT first FROM gaps WHERE room = ? ORDER BY first LIMIT ?";
        let firsts = self.db.all(sql, (room, GAPS_MAX as i64 + 1), |row| row.get::<_, i64>(0))?;
        if firsts.len() > GAPS_MAX {
            self.db.change("DELETE FROM gaps WHERE room = ? AND first = ?", (room, firsts[0]))?;
            let sql = "UPDATE gaps SET first = ? WHERE room = ? AND first = ?";
            self.db.change(sql, (firsts[0], room, firsts[1]))?;
        }
        Ok(())
    }

    /// Forgets ids of messages that are gone: the oldest `limit` of those that are due. Says how many.
    fn forget_ids(&self, limit: u64, now: i64) -> rusqlite::Result<u64> {
        let sql = "SELECT place, sender, id, forget_at FROM gone_ids ORDER BY place LIMIT ?";
        let oldest = match limit {
            0 => Vec::new(),
            limit => self.db.all(sql, [int(limit)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get(3)?))
            })?,
        };
        let due = oldest.into_iter().take_while(|(.., forget_at): &(_, _, _, i64)| *forget_at <= now);
        let mut forgotten = 0;
        for (place, sender, id, _) in due {
            self.db.change("DELETE FROM sent_ids WHERE sender = ? AND id = ?", (sender, id))?;
            self.db.change("DELETE FROM gone_ids WHERE place = ?", [place])?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    pub(super) fn expire(&mut self, now: WallTime) -> rusqlite::Result<bool> {
        let deadline = now.as_unix_millis().saturating_sub(millis(self.limits.age));
        // A room that makes no sense is left as it is: the others go on.
        let sql = format!(
            "SELECT {ROOM} FROM rooms WHERE oldest_at <= ? AND {SENSIBLE} ORDER BY oldest_at, id LIMIT 1"
        );
        let (mut budget, mut before) = (EXPIRE_MAX, None);
        while let Some(mut room) = self.db.one(&sql, [deadline], Room::read)? {
            if budget == 0 {
                return Ok(true);
            }
            let found = Some((room.number, room.oldest, room.oldest_at));
            // A damaged index gives the same room for ever, whatever is written.
            if std::mem::replace(&mut before, found) == found {
                return Err(row::senseless(2, "what has been removed from a room is still there"));
            }
            while budget > 0 && room.oldest <= room.newest && room.oldest_at.is_some_and(|at| at <= deadline)
            {
                self.trim(&mut room, GapReason::Expired, now)?;
                budget -= 1;
            }
            if room.oldest > room.newest {
                room.oldest_at = None;
            }
            self.save(&room)?;
        }
        let now = now.as_unix_millis();
        self.forget_ids(EXPIRE_MAX as u64, now)?;
        let sql = "SELECT forget_at <= ? FROM gone_ids ORDER BY place LIMIT 1";
        Ok(self.db.one(sql, [now], |row| row.get(0))?.unwrap_or(false))
    }

    pub(super) fn subscribe(&self, room: &RoomId, user: &UserId) -> Result<Standing, Refusal> {
        if room.inbox_of().is_some() {
            return match self.standing(room, user) {
                Ok((_, _, standing)) => Ok(standing),
                Err(Refusal::Answer(_)) => Err(NOT_THEIRS.into()),
                Err(error) => Err(error),
            };
        }
        Ok(self.receive(room, user)?)
    }

    /// Makes a user a receiver, from the newest message on, unless they are one.
    pub(super) fn receive(&self, room: &RoomId, user: &UserId) -> rusqlite::Result<Standing> {
        let mut room = self.room(room)?;
        let person = self.person(user)?;
        if let Some(cursor) = room.cursor(self.db, person)? {
            return Ok(room.standing(cursor));
        }
        self.receive_in(&mut room, person)?;
        Ok(room.standing(room.newest))
    }

    fn receive_in(&self, room: &mut Room, person: i64) -> rusqlite::Result<()> {
        let sql = "INSERT INTO cursors (room, person, seq) VALUES (?, ?, ?)";
        self.db.change(sql, (room.number, person, int(room.newest)))?;
        room.receivers += 1;
        self.save(room)
    }

    pub(super) fn unsubscribe(&mut self, room: &RoomId, user: &UserId) -> rusqlite::Result<()> {
        let (Some(found), Some(person)) = (Room::find(self.db, room)?, person(self.db, user)?) else {
            return Ok(());
        };
        let sql = "SELECT 1 FROM members WHERE room = ? AND person = ?";
        if owns(user, room) || self.db.any(sql, (found.number, person))? {
            return Ok(());
        }
        self.stop_receiving(found, person)
    }

    /// Ends a receiver; what waited is purged. A room of which nothing is left goes too.
    pub(super) fn stop_receiving(&mut self, mut room: Room, person: i64) -> rusqlite::Result<()> {
        if let Some(cursor) = room.cursor(self.db, person)? {
            self.db.change("DELETE FROM cursors WHERE room = ? AND person = ?", (room.number, person))?;
            self.balance.purged = self.balance.purged.saturating_add(room.waiting(cursor));
            room.behind = room.behind.saturating_sub(u64::from(room.is_behind(cursor)));
            room.receivers = room.receivers.saturating_sub(1);
            self.save(&room)?;
        }
        self.forget_if_empty(room.number)
    }

    /// Forgets a room that never had a message and has nobody.
    pub(super) fn forget_if_empty(&self, room: i64) -> rusqlite::Result<()> {
        let sql = "DELETE FROM rooms WHERE room = ?1 AND newest = 0 AND receivers = 0 \
                   AND NOT EXISTS (SELECT 1 FROM invitations WHERE invitations.room = ?1)";
        self.db.change(sql, [room]).map(drop)
    }

    /// Where a receiver stands, and the room and person if they are stored.
    fn standing(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<(Option<Room>, Option<i64>, Standing), Refusal> {
        let Some(found) = Room::find(self.db, room)? else {
            let owner = owns(user, room).then(Standing::default).ok_or(NO_RECEIVER)?;
            return Ok((None, None, owner));
        };
        let person = person(self.db, user)?.ok_or(NO_RECEIVER)?;
        let cursor = found.cursor(self.db, person)?.ok_or(NO_RECEIVER)?;
        let standing = found.standing(cursor);
        Ok((Some(found), Some(person), standing))
    }

    pub(super) fn acknowledge(
        &mut self,
        room: &RoomId,
        user: &UserId,
        seq: Seq,
    ) -> Result<Standing, Refusal> {
        let (room, person, standing) = self.standing(room, user)?;
        if seq > standing.head {
            return Err(BEYOND.into());
        }
        let (Some(mut room), Some(person)) = (room, person) else { return Ok(standing) };
        let (before, after) = (standing.cursor.number(), seq.number());
        if after <= before {
            return Ok(standing);
        }
        let sql = "UPDATE cursors SET seq = ? WHERE room = ? AND person = ?";
        self.db.change(sql, (int(after), room.number, person))?;
        self.balance.acked = self.balance.acked.saturating_add(room.waiting(before) - room.waiting(after));
        if room.is_behind(before) && !room.is_behind(after) {
            room.behind = room.behind.saturating_sub(1);
            self.save(&room)?;
        }
        Ok(room.standing(after))
    }
}

fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
