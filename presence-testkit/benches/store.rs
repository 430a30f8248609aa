//! What the store in a file can do: `cargo bench -p presence-testkit --bench store [-- SECONDS [FOLDER]]`.
//!
//! Messages a second from many senders at once, each of whom waits until theirs is safe before sending the next; and how
//! long a store with a million messages takes to be of use after a stop and after a crash.

#![expect(clippy::unwrap_used, reason = "a measurement that fails has no use for an error")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use presence_core::port::store::{PageLimits, Store, StreamLimits};
use presence_core::stream::{NewMessage, Seq};
use presence_server::clock::Clock;
use presence_server::metrics::Metrics;
use presence_server::store::FILE;
use presence_server::store::sqlite::{Options, SqliteStore, Sync};
use presence_testkit::contract::store::{ROOMY, at, message, room, user};
use presence_testkit::folder::Folder;

const SENDERS: usize = 1_000;
const QUEUED: usize = 1_000_000;

/// A message as people write them, with a short envelope.
const BODY: &str = concat!(
    r#"{"text":"The quick brown fox jumps over the lazy dog, and nobody who was there would say later that it "#,
    r#"had been otherwise.","reply_to":"0198c9a2-6d1c-7aa0-b3f2-1f0a2c9e7b55","mentions":["ann","bob"]}"#,
);

fn open(folder: &Path, limits: StreamLimits) -> Arc<SqliteStore> {
    let options = Options {
        limits,
        sync: Sync::Full,
        queue_max: 10_000,
        batch_max: 1_000,
        gather: Duration::from_millis(2),
        bytes_max: 0,
        reserve_bytes: 4 << 20,
    };
    Arc::new(SqliteStore::open(&folder.join(FILE), options, Clock::start(), Metrics::new()).unwrap())
}

fn folder(below: Option<&Path>) -> (Option<Folder>, std::path::PathBuf) {
    match below {
        Some(path) => {
            let path = path.join(format!("presence-bench-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            (None, path)
        }
        None => {
            let folder = Folder::made().unwrap();
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    }
}

fn one(sender: usize, number: usize, rooms: usize) -> NewMessage {
    let id = format!("{:016x}-{number:016x}", (sender * 7_919 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    message(&format!("room-{}", sender % rooms), &format!("sender-{sender}"), &id, BODY)
}

/// Everybody sends and waits, sends and waits.
async fn appends(below: Option<&Path>, rooms: usize, members: usize, limits: StreamLimits, seconds: u64) {
    let (_kept, folder) = folder(below);
    let store = open(&folder, limits);
    for number in 0..rooms * members {
        let (to, who) = (format!("room-{}", number % rooms), format!("member-{}", number / rooms));
        store.add_member(&room(&to), &user(&who), at(0)).await.unwrap();
    }
    let (began, end) = (Instant::now(), Duration::from_secs(seconds));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut took = Histogram::<u64>::new(3).unwrap();
                while began.elapsed() < end {
                    let sent = Instant::now();
                    store.append(one(sender, took.len() as usize, rooms)).await.unwrap();
                    took.record(sent.elapsed().as_micros() as u64).unwrap();
                }
                took
            })
        })
        .collect();
    let mut took = Histogram::<u64>::new(3).unwrap();
    for sender in senders {
        took.add(sender.await.unwrap()).unwrap();
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    let of = |quantile| took.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{SENDERS} senders, {rooms} rooms of {members} members, at most {} messages each: {rate:.0} messages/s; \
         {:.1} ms p50, {:.1} ms p99, {:.1} ms max",
        limits.messages,
        of(0.5),
        of(0.99),
        of(1.0),
    );
    drop(store);
    let _ = std::fs::remove_dir_all(folder);
}

/// How long until a store can be written to and read from.
async fn of_use(folder: &Path, after: &str) {
    let began = Instant::now();
    let store = open(folder, ROOMY);
    let opened = began.elapsed();
    store.append(message("room-1", "somebody", after, BODY)).await.unwrap();
    store.standings(&user("member-0")).await.unwrap();
    let limits = PageLimits { messages: 100, bytes: 1 << 20 };
    let page = store.read(&room("room-1"), Seq::new(0), limits).await.unwrap();
    assert_eq!(page.messages.len(), 100);
    println!(
        "{QUEUED} queued messages, after {after}: open in {opened:.1?}, of use in {:.1?}",
        began.elapsed()
    );
}

async fn restarts(below: Option<&Path>) {
    const ROOMS: usize = 1_000;
    let (_kept, path) = folder(below);
    let store = open(&path, ROOMY);
    for number in 0..ROOMS {
        store.add_member(&room(&format!("room-{number}")), &user("member-0"), at(0)).await.unwrap();
    }
    let began = Instant::now();
    let senders: Vec<_> = (0..ROOMS)
        .map(|sender| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..QUEUED / ROOMS {
                    store.append(one(sender, number, ROOMS)).await.unwrap();
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let queued = store.balance().await.unwrap().queued;
    println!("{queued} messages queued in {:.1?}", began.elapsed());
    // What a crash leaves behind is what the disk has at that moment.
    let crashed = path.with_extension("crashed");
    std::fs::create_dir_all(&crashed).unwrap();
    for file in [FILE.to_owned(), format!("{FILE}-wal")] {
        let bytes = std::fs::copy(path.join(&file), crashed.join(&file)).unwrap();
        println!("{file} has {} MB", bytes >> 20);
    }
    of_use(&crashed, "a crash").await;
    std::fs::remove_dir_all(crashed).unwrap();
    drop(store);
    of_use(&path, "a stop").await;
    let _ = std::fs::remove_dir_all(path);
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let seconds = arguments.first().map_or(10, |seconds| seconds.parse().unwrap());
    let below = arguments.get(1).map(Path::new);
    let full = StreamLimits { messages: 100, dedup_ids: 100_000, ..ROOMY };
    appends(below, 100, 0, ROOMY, seconds).await;
    appends(below, 100, 10, ROOMY, seconds).await;
    appends(below, 1_000, 10, ROOMY, seconds).await;
    appends(below, 100, 10, full, seconds).await;
    restarts(below).await;
}
