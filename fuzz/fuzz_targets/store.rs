//! Stored records: a store's file in which any value of any table is another one, or any bytes of the file are. It opens
//! or says why not, and every question is answered or refused; nothing panics, and nothing it gives breaks the rules of
//! what it is.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{DocumentKey, Invitation, InvitationAnswer, PersonPatch, Username};
use presence_core::port::store::{PageLimits, Store, StoreError, StreamLimits};
use presence_core::profile::Color;
use presence_core::stream::{MessageId, MessageKind, NewMessage, Seq};
use presence_core::time::WallTime;
use presence_server::clock::Clock;
use presence_server::metrics::Metrics;
use presence_server::store::FILE;
use presence_server::store::sqlite::{self, Options, SqliteStore, Sync};
use tokio::runtime::Runtime;

/// Every column, by its table.
const COLUMNS: [(&str, &[&str]); 11] = [
    (
        "people",
        &[
            "person",
            "id",
            "username",
            "color",
            "avatar",
            "email",
            "last_online",
            "changed_at",
            "revision_floor",
        ],
    ),
    ("rooms", &["room", "id", "newest", "oldest", "oldest_at", "bytes", "receivers", "behind"]),
    ("messages", &["room", "seq", "kind", "sender", "sender_name", "id", "body", "correlation", "at"]),
    ("gaps", &["room", "first", "last", "reason"]),
    ("sent_ids", &["sender", "id", "room", "seq", "digest", "at"]),
    ("gone_ids", &["place", "sender", "id", "forget_at"]),
    ("cursors", &["room", "person", "seq"]),
    ("members", &["room", "person", "joined_at"]),
    ("invitations", &["room", "person", "invited_by", "created_at"]),
    ("documents", &["person", "key", "body", "revision", "changed_at"]),
    ("notices", &["number", "body"]),
];

/// What is done to a good file.
#[derive(Debug)]
enum Damage {
    Number { place: u8, row: u8, value: i64 },
    Text { place: u8, row: u8, value: Vec<u8> },
    Balance { column: u8, value: i64 },
    File { at: u16, bytes: Vec<u8> },
    Cut { to: u16 },
}

impl<'a> Arbitrary<'a> for Damage {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let number = |input: &mut Unstructured<'a>| match input.int_in_range(0..=7)? {
            0 => Ok(i64::MAX),
            1 => Ok(i64::MIN),
            2 => Ok(-1),
            3 | 4 => input.int_in_range(0..=9),
            _ => input.arbitrary(),
        };
        let text = |input: &mut Unstructured<'a>| {
            let len = input.int_in_range(0..=150)?;
            input.bytes(len.min(input.len())).map(<[u8]>::to_vec)
        };
        Ok(match input.int_in_range(0..=9)? {
            0..=3 => {
                Self::Number { place: input.arbitrary()?, row: input.arbitrary()?, value: number(input)? }
            }
            4..=6 => Self::Text { place: input.arbitrary()?, row: input.arbitrary()?, value: text(input)? },
            7 => Self::Balance { column: input.arbitrary()?, value: number(input)? },
            8 => Self::File { at: input.arbitrary()?, bytes: text(input)? },
            _ => Self::Cut { to: input.arbitrary()? },
        })
    }
}

/// The good file.
struct Good {
    content: Vec<u8>,
    runtime: Runtime,
    folder: PathBuf,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("presence-fuzz-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
    let file = folder.join(FILE);
    let store = open(&file).expect("a new file opens");
    runtime.block_on(fill(&store)).expect("a new store takes everything");
    drop(store);
    let content = std::fs::read(&file).expect("the file is there");
    Good { content, runtime, folder }
});

fn open(file: &Path) -> std::result::Result<SqliteStore, String> {
    let limits = StreamLimits {
        messages: 4,
        bytes: 200,
        age: Duration::from_millis(500),
        dedup: Duration::from_millis(300),
        dedup_ids: 6,
    };
    let options = Options {
        limits,
        sync: Sync::Normal,
        queue_max: 100,
        batch_max: 10,
        gather: Duration::ZERO,
        bytes_max: 0,
        reserve_bytes: 0,
    };
    SqliteStore::open(file, options, Clock::start(), Metrics::new())
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("it is a name")
}

fn room(id: &str) -> RoomId {
    RoomId::parse(id).expect("it is a room")
}

fn at(millis: i64) -> WallTime {
    WallTime::from_unix_millis(millis)
}

fn message(to: &str, id: &str, millis: i64) -> NewMessage {
    NewMessage {
        room: room(to),
        kind: MessageKind::Message,
        sender: user("ann"),
        sender_name: Arc::from("Ann"),
        id: MessageId::parse(id).expect("it is an id"),
        body: Bytes::from_static(br#"{"text":"hello"}"#),
        correlation: Arc::from("c"),
        at: at(millis),
    }
}

/// Something in every table.
async fn fill(store: &SqliteStore) -> std::result::Result<(), StoreError> {
    let (ann, bob, doc) = (user("ann"), user("bob"), room("doc"));
    store.add_member(&doc, &ann, at(1)).await?;
    store.add_member(&doc, &bob, at(2)).await?;
    for number in 0..7 {
        store.append(message("doc", &format!("m-{number}"), 100 + number)).await?;
    }
    store.acknowledge(&doc, &bob, Seq::new(5)).await?;
    let patch = PersonPatch {
        username: Some(Some(Username::parse("Ann A.").expect("it is a name"))),
        color: Some(Some(Color::parse("#fb0").expect("it is a colour"))),
        avatar: Some(Some(Arc::from("https://a.b"))),
        email: Some(Some(Arc::from("a@b.c"))),
    };
    store.change_person(&ann, patch, at(3)).await?;
    store.seen_online(&[(ann.clone(), at(4))]).await?;
    let invitation =
        Invitation { room: doc.clone(), user: user("cid"), invited_by: ann.clone(), created_at: at(5) };
    let notice = NewMessage { kind: MessageKind::Invitation, ..message("@cid", "invitation", 110) };
    store.invite(invitation, notice).await?;
    let key = DocumentKey::parse("settings").expect("it is a key");
    store.write_document(&ann, &key, Bytes::from_static(b"{}"), None, at(6)).await?;
    store.keep_notices(vec![Bytes::from_static(b"{}"); 2], 10).await?;
    Ok(())
}

/// Every question there is; the answers keep the rules of what they are about by their types.
async fn ask(store: &SqliteStore) {
    let page = PageLimits { messages: 10, bytes: 1_000 };
    for room in ["doc", "@ann", "@cid", "other"].map(room) {
        if let Ok(page) = store.read(&room, Seq::new(0), page).await {
            assert!(page.messages.len() <= 10);
            assert!(page.messages.windows(2).all(|pair| pair[0].seq < pair[1].seq), "out of order");
        }
        let _ = store.roster(&room).await;
        let _ = store.invitations_to(&room).await;
    }
    for user in ["ann", "bob", "cid"].map(user) {
        let _ = store.standings(&user).await;
        let _ = store.people(std::slice::from_ref(&user)).await;
        let _ = store.acquaintances(&user).await;
        let _ = store.invitations_of(&user).await;
        let _ = store.changes(&user, at(0), 3).await;
        let _ = store.is_member(&room("doc"), &user).await;
        let _ = store.document(&user, &DocumentKey::parse("settings").expect("it is a key")).await;
    }
    for balance in [store.balance().await, store.recount().await].into_iter().flatten() {
        // It may be found out of balance, whatever its numbers; but it has to be said without a panic.
        let _ = balance.check();
    }
    let _ = (store.notices(5).await, store.notices_held().await);
}

/// Every change there is.
async fn change(store: &SqliteStore) {
    let (ann, bob, doc) = (user("ann"), user("bob"), room("doc"));
    let _ = store.append(message("doc", "m-1", 200)).await;
    let _ = store.append(message("doc", "m-9", 201)).await;
    let _ = store.append(message("@ann", "m-10", 202)).await;
    let _ = store.acknowledge(&doc, &bob, Seq::new(7)).await;
    let _ = store.subscribe(&doc, &user("cid")).await;
    let _ = store.unsubscribe(&doc, &user("cid")).await;
    let _ = store.answer_invitation(&doc, &user("cid"), InvitationAnswer::Accept, at(210)).await;
    let _ = store.remove_member(&doc, &bob).await;
    let key = DocumentKey::parse("settings").expect("it is a key");
    let _ = store.write_document(&ann, &key, Bytes::from_static(b"[]"), None, at(211)).await;
    let _ = store.delete_document(&ann, &key, None).await;
    let _ = store
        .change_person(&ann, PersonPatch { username: Some(None), ..PersonPatch::default() }, at(212))
        .await;
    let _ = store.seen_online(&[(ann, at(213))]).await;
    let _ = store.keep_notices(vec![Bytes::from_static(b"[]"); 3], 4).await;
    let _ = store.forget_notices(2).await;
    for _ in 0..3 {
        let _ = store.expire(at(800)).await;
    }
}

fn damage(file: &Path, content: &mut Vec<u8>, all: Vec<Damage>) -> rusqlite::Result<()> {
    let columns: Vec<(&str, &str)> = COLUMNS
        .iter()
        .flat_map(|(table, columns)| columns.iter().map(move |column| (*table, *column)))
        .collect();
    let (mut in_rows, mut in_file) = (Vec::new(), Vec::new());
    for one in all {
        if matches!(one, Damage::File { .. } | Damage::Cut { .. }) {
            in_file.push(one)
        } else {
            in_rows.push(one)
        }
    }
    for one in in_file {
        match one {
            Damage::File { at, bytes } => {
                let at = usize::from(at) % content.len().max(1);
                let end = content.len().min(at + bytes.len());
                let bytes = &bytes[..end.saturating_sub(at)];
                content.splice(at..at + bytes.len(), bytes.iter().copied());
            }
            Damage::Cut { to } => content.truncate(usize::from(to)),
            _ => {}
        }
    }
    std::fs::write(file, &*content).expect("there is room");
    if in_rows.is_empty() {
        return Ok(());
    }
    let db = rusqlite::Connection::open(file)?;
    db.pragma_update(None, "foreign_keys", false)?;
    for one in in_rows {
        // What the file itself does not take is no damage that it can have.
        let _ = match one {
            Damage::Number { place, row, value } => {
                let (table, column) = columns[usize::from(place) % columns.len()];
                set(&db, table, column, row, value)
            }
            Damage::Text { place, row, value } => {
                let (table, column) = columns[usize::from(place) % columns.len()];
                set(
                    &db,
                    table,
                    column,
                    row,
                    rusqlite::types::ToSqlOutput::Borrowed(rusqlite::types::ValueRef::Text(&value)),
                )
            }
            Damage::Balance { column, value } => {
                let names = ["accepted", "acked", "expired", "dropped", "dead_lettered", "purged"];
                let column = names[usize::from(column) % names.len()];
                db.execute(&format!("UPDATE balance SET {column} = ?"), [value])
            }
            Damage::File { .. } | Damage::Cut { .. } => Ok(0),
        };
    }
    Ok(())
}

fn set(
    db: &rusqlite::Connection,
    table: &str,
    column: &str,
    row: u8,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<usize> {
    // Some tables have no rowid: a row is known by its place among the values of the column.
    let sql = format!(
        "UPDATE {table} SET {column} = ?1 WHERE {column} IS \
         (SELECT {column} FROM {table} LIMIT 1 OFFSET ?2 % (SELECT max(1, count(*)) FROM {table}))"
    );
    db.execute(&sql, (value, row))
}

fuzz_target!(|all: Vec<Damage>| {
    let good = &*GOOD;
    let file = good.folder.join(FILE);
    for rest in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(good.folder.join(format!("{FILE}{rest}")));
    }
    let mut content = good.content.clone();
    let _ = damage(&file, &mut content, all);
    let _ = sqlite::check(&file);
    if let Ok(store) = open(&file) {
        good.runtime.block_on(async {
            ask(&store).await;
            change(&store).await;
            ask(&store).await;
        });
    }
});
