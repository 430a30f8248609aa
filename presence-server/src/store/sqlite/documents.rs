//! People's own documents, and notices to backends.

use bytes::Bytes;
use presence_core::id::UserId;
use presence_core::people::{Document, DocumentKey, Revision};
use presence_core::time::WallTime;
use rusqlite::{Connection, params};

use super::fault::Refusal;
use super::row::{self, Ask, Json, count, int, time};
use super::streams::Transaction;
use crate::store::OTHER_REVISION;

pub(super) fn document(
    db: &Connection,
    user: &UserId,
    key: &DocumentKey,
) -> rusqlite::Result<Option<Document>> {
    let sql = "SELECT body, revision, documents.changed_at FROM people JOIN documents USING (person) \
               WHERE people.id = ? AND key = ?";
    db.one(sql, (user.as_str(), key.as_str()), |row| {
        Ok(Document {
            body: row::bytes(row, 0)?,
            revision: Revision(count(row, 1)?),
            changed_at: time(row, 2)?,
        })
    })
}

pub(super) fn notices(db: &Connection, limit: usize) -> rusqlite::Result<Vec<(u64, Bytes)>> {
    let sql = "SELECT number, body FROM notices ORDER BY number LIMIT ?";
    db.all(sql, [int(limit as u64)], |row| Ok((count(row, 0)?, row::bytes(row, 1)?)))
}

/// The numbers follow each other, so the first and the last tell.
pub(super) fn notices_held(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce((SELECT max(number) FROM notices) - (SELECT min(number) FROM notices) + 1, 0)";
    Ok(db.one(sql, [], |row| count(row, 0))?.unwrap_or_default())
}

impl Transaction<'_> {
    /// The revision of a document, if it is the expected one.
    fn expect_revision(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<Option<Revision>, Refusal> {
        let revision = document(self.db, user, key)?.map(|document| document.revision);
        match expected {
            Some(expected) if expected != revision => Err(OTHER_REVISION.into()),
            _ => Ok(revision),
        }
    }

    pub(super) fn write_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        body: &Bytes,
        expected: Option<Option<Revision>>,
        now: WallTime,
    ) -> Result<Revision, Refusal> {
        let before = self.expect_revision(user, key, expected)?;
        let person = self.person(user)?;
        let before = match before {
            Some(Revision(number)) => number,
            // A deleted document's revisions do not come again.
            None => {
                let sql = "SELECT revision_floor FROM people WHERE person = ?";
                self.db.one(sql, [person], |row| count(row, 0))?.unwrap_or_default()
            }
        };
        let sql = "INSERT OR REPLACE INTO documents (person, key, body, revision, changed_at) VALUES (?, ?, ?, ?, ?)";
        let revision = int(before + 1);
        self.db.change(sql, params![person, key.as_str(), Json(body), revision, now.as_unix_millis()])?;
        Ok(Revision(before + 1))
    }

    pub(super) fn delete_document(
        &self,
        user: &UserId,
        key: &DocumentKey,
        expected: Option<Option<Revision>>,
    ) -> Result<bool, Refusal> {
        let Some(Revision(number)) = self.expect_revision(user, key, expected)? else { return Ok(false) };
        let person = self.person(user)?;
        self.db.change("DELETE FROM documents WHERE person = ? AND key = ?", (person, key.as_str()))?;
        let sql = "UPDATE people SET revision_floor = max(revision_floor, ?) WHERE person = ?";
        self.db.change(sql, (int(number), person))?;
        Ok(true)
    }

    pub(super) fn keep_notices(&self, notices: &[Bytes], held_max: usize) -> rusqlite::Result<u64> {
        for notice in notices {
            self.db.change("INSERT INTO notices (body) VALUES (?)", [Json(notice)])?;
        }
        let sql = "SELECT max(number) FROM notices";
        let newest: Option<i64> = self.db.one(sql, [], |row| row.get(0))?.flatten();
        let last_to_go = newest.unwrap_or_default().saturating_sub(int(held_max as u64));
        self.db.change("DELETE FROM notices WHERE number <= ?", [last_to_go]).map(|gone| gone as u64)
    }

    pub(super) fn forget_notices(&self, up_to: u64) -> rusqlite::Result<()> {
        self.db.change("DELETE FROM notices WHERE number <= ?", [int(up_to)]).map(drop)
    }
}
