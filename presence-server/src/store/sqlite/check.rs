//! Whether a file is whole: what SQLite says of it, and whether every count is what one gets by counting.

use rusqlite::Connection;

use super::reading;
use super::row::Ask;

/// A rule, and how one finds the rooms that break it.
const RULES: &[(&str, &str)] = &[
    (
        "a room's messages are numbered without gaps from its oldest to its newest",
        "SELECT rooms.id FROM rooms LEFT JOIN \
             (SELECT room, count(*) AS held, min(seq) AS first, max(seq) AS last FROM messages GROUP BY room) USING (room) \
         WHERE coalesce(held, 0) <> newest - oldest + 1 OR (held > 0 AND (first <> oldest OR last <> newest))",
    ),
    (
        "a room knows the bytes of its messages",
        "SELECT id FROM rooms WHERE bytes <> \
             (SELECT coalesce(sum(octet_length(body)), 0) FROM messages WHERE messages.room = rooms.room)",
    ),
    (
        "a room knows when its oldest message was taken in",
        "SELECT rooms.id FROM rooms LEFT JOIN messages ON messages.room = rooms.room AND seq = oldest \
         WHERE oldest_at IS NOT at",
    ),
    (
        "a room knows how many receivers it has, and how many of them have missed something",
        "SELECT id FROM rooms WHERE receivers <> (SELECT count(*) FROM cursors WHERE cursors.room = rooms.room) \
         OR behind <> (SELECT count(*) FROM cursors WHERE cursors.room = rooms.room AND seq < oldest - 1)",
    ),
    (
        "no cursor is beyond its room's newest message",
        "SELECT rooms.id FROM rooms JOIN cursors USING (room) WHERE cursors.seq > newest",
    ),
    (
        "the gaps of a room are all that lies before its oldest message",
        "SELECT id FROM rooms WHERE oldest - 1 <> \
             (SELECT coalesce(sum(last - first + 1), 0) FROM gaps WHERE gaps.room = rooms.room) \
         OR oldest - 1 <> (SELECT coalesce(max(last), 0) FROM gaps WHERE gaps.room = rooms.room)",
    ),
    (
        "everybody on a roster receives the room's messages",
        "SELECT rooms.id FROM rooms JOIN members USING (room) LEFT JOIN cursors USING (room, person) \
         WHERE cursors.seq IS NULL",
    ),
    (
        "the id of every message is known",
        "SELECT rooms.id FROM rooms JOIN messages USING (room) \
         LEFT JOIN sent_ids ON sent_ids.sender = messages.sender AND sent_ids.id = messages.id \
         WHERE sent_ids.room IS NOT messages.room OR sent_ids.seq IS NOT messages.seq",
    ),
    (
        "every id that is known has its message, or a time at which it is forgotten",
        "SELECT rooms.id FROM rooms JOIN sent_ids USING (room) \
         LEFT JOIN messages ON messages.room = sent_ids.room AND messages.seq = sent_ids.seq \
         WHERE messages.seq IS NULL AND NOT EXISTS \
             (SELECT 1 FROM gone_ids WHERE gone_ids.sender = sent_ids.sender AND gone_ids.id = sent_ids.id)",
    ),
    (
        "the places of the ids that will be forgotten follow each other",
        "SELECT 'all rooms' FROM (SELECT count(*) AS held, max(place) - min(place) + 1 AS span FROM gone_ids) \
         WHERE held > 0 AND held <> span",
    ),
];

/// Faults of one kind that are named; of more there is no use.
const NAMED: usize = 10;

/// All that is wrong, as sentences; none if all is well.
pub(super) fn faults(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults =
        db.all(&format!("PRAGMA integrity_check({NAMED})"), [], |row| row.get::<_, String>(0))?;
    faults.retain(|found| found != "ok");
    if !faults.is_empty() {
        // What is counted in a broken file says nothing.
        return Ok(faults);
    }
    let dangling = db.all("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0))?;
    faults.extend(
        dangling.iter().take(NAMED).map(|table| format!("a row of {table} refers to one that is not there")),
    );
    for (rule, sql) in RULES {
        let broken = db.all(sql, [], |row| row.get::<_, String>(0))?;
        faults.extend(broken.iter().take(NAMED).map(|room| format!("{room}: broken is: {rule}")));
    }
    let (waiting, queued) = (reading::recount(db)?.queued, reading::balance(db)?.queued);
    if waiting != queued {
        faults.push(format!("{waiting} messages wait, counted one by one; by the balance it is {queued}"));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use presence_core::audit::Violation;
    use presence_core::port::store::{Balance, Store, StreamLimits};
    use presence_core::stream::Seq;
    use presence_testkit::contract::store::{ROOMY, at, message, room, user};
    use presence_testkit::folder::Folder;

    use super::*;
    use crate::clock::Clock;
    use crate::metrics::Metrics;
    use crate::store::FILE;
    use crate::store::sqlite::streams::Transaction;
    use crate::store::sqlite::{Options, SqliteStore, Sync};

    /// A store in which there is something of everything.
    async fn fill(folder: &Folder) {
        let options = Options {
            limits: StreamLimits { messages: 2, age: Duration::from_secs(1), ..ROOMY },
            sync: Sync::Normal,
            queue_max: 10,
            batch_max: 10,
            gather: Duration::ZERO,
            bytes_max: 0,
            reserve_bytes: 0,
        };
        let path = folder.path().join(FILE);
        let store = SqliteStore::open(&path, options, Clock::start(), Metrics::new()).unwrap();
        for who in ["bob", "cid"] {
            store.add_member(&room("doc"), &user(who), at(0)).await.unwrap();
        }
        for number in 1..=4 {
            let one = message("doc", "ann", &number.to_string(), "{}");
            store.append(one).await.unwrap();
        }
        store.acknowledge(&room("doc"), &user("cid"), Seq::new(3)).await.unwrap();
    }

    #[tokio::test]
    async fn every_count_that_is_wrong_is_found() {
        let folder = Folder::made().unwrap();
        fill(&folder).await;
        let db = Connection::open(folder.path().join(FILE)).unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        assert_eq!(faults(&db).unwrap(), Vec::<String>::new());
        for (harm, found) in [
            ("DELETE FROM messages WHERE seq = 3", "without gaps"),
            ("UPDATE rooms SET bytes = bytes + 1", "knows the bytes"),
            ("UPDATE rooms SET oldest_at = 7", "oldest message was taken in"),
            ("UPDATE rooms SET receivers = receivers + 1", "how many receivers"),
            ("UPDATE rooms SET behind = behind + 1", "how many receivers"),
            ("UPDATE cursors SET seq = 5", "no cursor is beyond"),
            ("UPDATE gaps SET last = 1", "the gaps of a room"),
            ("DELETE FROM cursors", "everybody on a roster"),
            ("DELETE FROM sent_ids WHERE seq = 4", "the id of every message"),
            ("DELETE FROM gone_ids WHERE place = 1", "a time at which it is forgotten"),
            ("UPDATE gone_ids SET place = 9 WHERE place = 1", "follow each other"),
            ("UPDATE balance SET acked = acked + 1", "counted one by one"),
            ("DELETE FROM people WHERE id = 'ann'", "refers to one that is not there"),
        ] {
            db.execute_batch("BEGIN").unwrap();
            db.execute_batch(harm).unwrap();
            let said = faults(&db).unwrap();
            db.execute_batch("ROLLBACK").unwrap();
            assert!(said.iter().any(|fault| fault.contains(found)), "{harm}: {said:?}");
        }
    }

    /// Puts a message into a stream that holds two, and says what was found.
    fn overflow(db: &Connection, id: &str) -> Vec<Violation> {
        let (mut balance, mut violations) = (Balance::default(), Vec::new());
        let limits = StreamLimits { messages: 2, ..ROOMY };
        let mut transaction =
            Transaction { db, limits: &limits, balance: &mut balance, violations: &mut violations };
        transaction.append(&message("doc", "ann", id, "{}")).map_err(|_| "it is not taken in").unwrap();
        violations
    }

    #[tokio::test]
    async fn a_message_that_stays_though_it_should_have_gone_is_found_while_the_server_runs() {
        let folder = Folder::made().unwrap();
        fill(&folder).await;
        let db = Connection::open(folder.path().join(FILE)).unwrap();
        assert_eq!(overflow(&db, "5"), []);
        db.execute_batch("UPDATE rooms SET oldest = oldest + 1").unwrap();
        let found = overflow(&db, "6");
        assert_eq!(found.len(), 0, "there is room for one more by its own count");
        let found = overflow(&db, "7");
        assert_eq!(found.iter().map(|violation| violation.invariant.id()).collect::<Vec<_>>(), ["M7"]);
    }

    #[tokio::test]
    async fn what_waits_is_counted_and_not_what_is_left_of_the_others() {
        let folder = Folder::made().unwrap();
        fill(&folder).await;
        let db = Connection::open(folder.path().join(FILE)).unwrap();
        assert!(reading::recount(&db).unwrap().check().is_empty());
        db.execute_batch("UPDATE balance SET acked = acked - 1").unwrap();
        assert!(reading::balance(&db).unwrap().check().is_empty(), "it is what is left");
        assert!(!reading::recount(&db).unwrap().check().is_empty());
        db.execute_batch("UPDATE cursors SET seq = 99").unwrap();
        assert_eq!(reading::recount(&db).unwrap().queued, 0, "a cursor beyond the end is no error");
    }
}
