//! What is damaged where SQLite does not see it, and what the store does then.

use std::time::Duration;

use presence_core::port::store::{Appended, PageLimits, Store, StoreHealth, StreamLimits};
use presence_core::stream::Seq;
use presence_testkit::contract::store::{ROOMY, at, message, room, user};
use presence_testkit::folder::Folder;
use rusqlite::Connection;

use super::{Options, SqliteStore, Sync};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::store::FILE;

fn open(folder: &Folder) -> SqliteStore {
    let options = Options {
        limits: StreamLimits { messages: 3, age: Duration::from_secs(1), ..ROOMY },
        sync: Sync::Normal,
        queue_max: 10,
        batch_max: 10,
        gather: Duration::ZERO,
        bytes_max: 0,
        reserve_bytes: 0,
    };
    SqliteStore::open(&folder.path().join(FILE), options, Clock::start(), Metrics::new()).unwrap()
}

async fn fill(store: &SqliteStore) {
    for id in ["doc", "other"] {
        store.add_member(&room(id), &user("bob"), at(0)).await.unwrap();
        for number in 1..=5 {
            store.append(message(id, "ann", &format!("{id}-{number}"), "{}")).await.unwrap();
        }
    }
}

/// Damage that SQLite does not see is one room's: the thread that writes goes on, and so does every other room.
#[tokio::test]
async fn a_room_that_makes_no_sense_hinders_no_other() {
    for harm in [
        "UPDATE rooms SET oldest = 0",
        "UPDATE rooms SET oldest = newest + 2",
        "UPDATE rooms SET newest = 9223372036854775807",
        "UPDATE rooms SET newest = 4611686018427387904",
        "UPDATE rooms SET newest = -1",
        "UPDATE rooms SET receivers = 0",
        "UPDATE rooms SET behind = 9223372036854775807",
        "UPDATE rooms SET oldest = newest + 1",
        "UPDATE cursors SET seq = 9223372036854775807",
        "UPDATE balance SET acked = 9223372036854775807, dropped = 9223372036854775807, accepted = 9223372036854775807",
    ] {
        let folder = Folder::made().unwrap();
        let store = open(&folder);
        fill(&store).await;
        let db = Connection::open(folder.path().join(FILE)).unwrap();
        let of_doc = if harm.contains("balance") {
            ""
        } else {
            " WHERE room = (SELECT room FROM rooms WHERE id = 'doc')"
        };
        db.execute_batch(&format!("{harm}{of_doc}")).unwrap();
        drop(store);
        let store = open(&folder);
        for who in ["bob", "cid"] {
            let _ = store.subscribe(&room("doc"), &user(who)).await;
            let _ = store.acknowledge(&room("doc"), &user(who), Seq::new(4)).await;
            let _ = store.standings(&user(who)).await;
        }
        let _ = store.append(message("doc", "ann", "one more", "{}")).await;
        let _ = store.read(&room("doc"), Seq::new(0), PageLimits { messages: 10, bytes: 1_000 }).await;
        let _ = store.remove_member(&room("doc"), &user("bob")).await;
        let _ = store.balance().await;
        assert_eq!(store.expire(at(5_000)).await, Ok(false), "{harm}");
        let page = store.read(&room("other"), Seq::new(0), PageLimits { messages: 10, bytes: 1_000 }).await;
        assert_eq!(page.unwrap().messages, [], "{harm}: what is too old has gone");
        let sent = store.append(message("other", "ann", "after", "{}")).await;
        assert_eq!(sent, Ok(Appended::New { seq: Seq::new(6) }), "{harm}");
        assert_eq!(store.health(), StoreHealth::Well, "{harm}");
    }
}

/// As with a damaged index: what is written changes nothing of what is found.
#[tokio::test]
async fn removing_ends_though_what_is_removed_stays() {
    let folder = Folder::made().unwrap();
    fill(&open(&folder)).await;
    let db = Connection::open(folder.path().join(FILE)).unwrap();
    db.execute_batch("CREATE TRIGGER stay BEFORE UPDATE ON rooms BEGIN SELECT RAISE(IGNORE); END").unwrap();
    let store = open(&folder);
    assert!(store.expire(at(5_000)).await.is_err());
    assert_eq!(store.health(), StoreHealth::Well);
}
