//! Streams and their receivers: what is read.

use presence_core::id::{RoomId, UserId};
use presence_core::port::store::{Balance, Page, PageLimits, Standing};
use presence_core::stream::Seq;
use rusqlite::Connection;

use super::row::{self, Ask, count, int, seq};
use super::streams::Room;
use crate::store::gaps_after;

pub(super) fn page(db: &Connection, room: &RoomId, after: Seq, limits: PageLimits) -> rusqlite::Result<Page> {
    let Some(found) = Room::find(db, room)? else { return Ok(Page::default()) };
    let gaps = db.all(
        "SELECT first, last, reason FROM gaps WHERE room = ? ORDER BY first",
        [found.number],
        |row| Ok((count(row, 0)?, count(row, 1)?, row::reason(row, 2)?)),
    )?;
    let mut statement = db.prepare_cached(
        "SELECT seq, kind, people.id, sender_name, messages.id, body, correlation, at \
         FROM messages JOIN people ON people.person = sender WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?",
    )?;
    let mut rows = statement.query((found.number, int(after.number()), int(limits.messages as u64)))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let message = row::message(room, row)?;
        bytes += message.message.body.len();
        if bytes > limits.bytes && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    let next = after.number().saturating_add(1).max(found.oldest);
    let next = messages.last().map_or(next, |last| last.seq.number() + 1);
    Ok(Page {
        messages,
        gaps: gaps_after(after.number(), gaps.into_iter()),
        head: Seq::new(found.newest),
        more: next <= found.newest,
    })
}

pub(super) fn standings(db: &Connection, user: &UserId) -> rusqlite::Result<Vec<(RoomId, Standing)>> {
    let sql = "SELECT rooms.id, cursors.seq, newest FROM people JOIN cursors USING (person) JOIN rooms USING (room) \
               WHERE people.id = ? ORDER BY rooms.id";
    let mut standings = db.all(sql, [user.as_str()], |row| {
        let standing = Standing { cursor: seq(row, 1)?, head: seq(row, 2)? };
        if standing.cursor > standing.head {
            return Err(row::senseless(1, "a receiver is beyond the newest message"));
        }
        Ok((row::room(row, 0)?, standing))
    })?;
    let inbox = RoomId::inbox(user);
    if let Err(place) = standings.binary_search_by(|(room, _)| room.cmp(&inbox)) {
        standings.insert(place, (inbox, Standing::default()));
    }
    Ok(standings)
}

/// The six numbers; what waits is what is left of them.
pub(super) fn balance(db: &Connection) -> rusqlite::Result<Balance> {
    let sql = "SELECT accepted, acked, expired, dropped, dead_lettered, purged FROM balance";
    db.query_row(sql, [], |row| {
        let mut balance = Balance {
            accepted: count(row, 0)?,
            acked: count(row, 1)?,
            queued: 0,
            expired: count(row, 2)?,
            dropped: count(row, 3)?,
            dead_lettered: count(row, 4)?,
            purged: count(row, 5)?,
        };
        let Balance { accepted, acked, expired, dropped, dead_lettered, purged, .. } = balance;
        let settled = [acked, expired, dropped, dead_lettered, purged];
        balance.queued = accepted.saturating_sub(settled.into_iter().fold(0, u64::saturating_add));
        Ok(balance)
    })
}

/// The six numbers, with what waits counted receiver by receiver. For a cursor that is beyond its stream nothing waits: what
/// is wrong must be counted as wrong, and not make the file unreadable.
pub(super) fn recount(db: &Connection) -> rusqlite::Result<Balance> {
    let sql =
        "SELECT coalesce(sum(max(newest - max(seq, oldest - 1), 0)), 0) FROM cursors JOIN rooms USING (room)";
    let queued = db.one(sql, [], |row| count(row, 0))?.unwrap_or_default();
    Ok(Balance { queued, ..balance(db)? })
}

/// Writes the numbers down, without what is left of them.
pub(super) fn save_balance(db: &Connection, balance: &Balance) -> rusqlite::Result<()> {
    let Balance { accepted, acked, expired, dropped, dead_lettered, purged, queued: _ } = *balance;
    let sql =
        "UPDATE balance SET accepted = ?, acked = ?, expired = ?, dropped = ?, dead_lettered = ?, purged = ?";
    let numbers = [accepted, acked, expired, dropped, dead_lettered, purged].map(int);
    db.change(sql, numbers).map(drop)
}
