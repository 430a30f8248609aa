//! How values are written into columns and read out of them.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{Person, Username};
use presence_core::port::store::GapReason;
use presence_core::profile::Color;
use presence_core::stream::{MessageId, MessageKind, NewMessage, Seq, StoredMessage};
use presence_core::time::WallTime;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};

/// JSON as text, unchecked as it came.
pub(super) struct Json<'a>(pub(super) &'a [u8]);

impl ToSql for Json<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// A number as SQLite has them; what is beyond all of them is the largest.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that is never below 0.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| wrong(column, Type::Integer, error))
}

pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    count(row, column).map(Seq::new)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<WallTime> {
    row.get(column).map(WallTime::from_unix_millis)
}

pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    let value = row.get_ref(column)?;
    value.as_bytes().map(Bytes::copy_from_slice).map_err(|error| wrong(column, Type::Text, error))
}

pub(super) fn user(row: &Row<'_>, column: usize) -> rusqlite::Result<UserId> {
    parsed(row, column, UserId::parse)
}

pub(super) fn room(row: &Row<'_>, column: usize) -> rusqlite::Result<RoomId> {
    parsed(row, column, RoomId::parse)
}

pub(super) fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<GapReason> {
    let text = row.get_ref(column)?.as_str().map_err(|error| wrong(column, Type::Text, error))?;
    Ok(if text == reason_text(GapReason::Expired) { GapReason::Expired } else { GapReason::Overflow })
}

pub(super) const fn reason_text(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Overflow => "overflow",
        GapReason::Expired => "expired",
    }
}

pub(super) const fn kind_text(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Message => "message",
        MessageKind::Invitation => "invitation",
    }
}

/// Reads `seq, kind, sender's id, sender_name, id, body, correlation, at`.
pub(super) fn message(room: &RoomId, row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let kind: String = row.get(1)?;
    let invitation = kind == kind_text(MessageKind::Invitation);
    let message = NewMessage {
        room: room.clone(),
        kind: if invitation { MessageKind::Invitation } else { MessageKind::Message },
        sender: user(row, 2)?,
        sender_name: row.get::<_, Arc<str>>(3)?,
        id: parsed(row, 4, MessageId::parse)?,
        body: bytes(row, 5)?,
        correlation: row.get::<_, Arc<str>>(6)?,
        at: time(row, 7)?,
    };
    Ok(StoredMessage { seq: seq(row, 0)?, message })
}

/// The columns that [`person`] reads.
pub(super) const PERSON: &str = "people.id, username, color, avatar, email, last_online, changed_at";

pub(super) fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let online: Option<i64> = row.get(5)?;
    Ok(Person {
        id: user(row, 0)?,
        username: maybe(row, 1, Username::parse)?,
        color: maybe(row, 2, Color::parse)?,
        avatar: row.get(3)?,
        email: row.get(4)?,
        last_online: online.map(WallTime::from_unix_millis),
        changed_at: time(row, 6)?,
    })
}

fn parsed<T, E>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Result<T, E>) -> rusqlite::Result<T>
where
    E: Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str().map_err(|error| wrong(column, Type::Text, error))?;
    parse(text).map_err(|error| wrong(column, Type::Text, error))
}

fn maybe<T, E>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(&str) -> Result<T, E>,
) -> rusqlite::Result<Option<T>>
where
    E: Error + Send + Sync + 'static,
{
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column, parse).map(Some),
    }
}

fn wrong(column: usize, of: Type, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, of, Box::new(error))
}

/// What a row says that contradicts the rest of it: the file is damaged where SQLite does not see it.
pub(super) fn senseless(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, what.into())
}

/// Short words for what is asked all the time, with statements that are prepared once.
pub(super) trait Ask {
    /// Carries a statement out. Says how many rows it changed.
    fn change(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize>;

    /// The first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>>;

    /// All rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>>;

    /// Whether there is a row.
    fn any(&self, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
        self.one(sql, params, |_| Ok(())).map(|found| found.is_some())
    }
}

impl Ask for Connection {
    fn change(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.prepare_cached(sql)?.query_row(params, read).optional()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.prepare_cached(sql)?.query_map(params, read)?.collect()
    }
}
