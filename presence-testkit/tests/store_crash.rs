//! M1, M4: a process that is killed while it writes loses nothing that it has acknowledged, and has nothing twice.
//!
//! This is a program of its own, because it starts itself again: as the one that writes, and is killed.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use presence_core::port::store::{Appended, Store};
use presence_core::stream::Seq;
use presence_server::clock::Clock;
use presence_server::metrics::Metrics;
use presence_server::store::FILE;
use presence_server::store::sqlite::{self, Options, SqliteStore, Sync};
use presence_testkit::contract::store::{ALL, ROOMY, at, message, room, user};
use presence_testkit::folder::Folder;
use presence_testkit::random::Random;

const NAME: &str = "what_is_acknowledged_survives_a_kill";

/// Tasks that send at once, and rooms that they send to.
const SENDERS: usize = 50;
const ROOMS: usize = 3;

fn open(folder: &Path) -> SqliteStore {
    let options = Options {
        limits: ROOMY,
        sync: Sync::Full,
        queue_max: 1_000,
        batch_max: 20,
        gather: Duration::from_millis(1),
        bytes_max: 0,
        reserve_bytes: 64 * 1024,
    };
    SqliteStore::open(&folder.join(FILE), options, Clock::start(), Metrics::new()).unwrap()
}

/// Sends until it is killed, and says on standard output what was acknowledged.
#[tokio::main(worker_threads = 2)]
async fn write(folder: &Path, round: &str) {
    let store = Arc::new(open(folder));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, round) = (Arc::clone(&store), round.to_owned());
            tokio::spawn(async move {
                let to = format!("room-{}", sender % ROOMS);
                for number in 0.. {
                    let id = format!("{round}-{sender}-{number}");
                    match store.append(message(&to, "ann", &id, "{}")).await.unwrap() {
                        Appended::New { seq } => {
                            let line = format!("{to} {id} {seq}\n");
                            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        }
                        again => panic!("{again:?}"),
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Has a process write, and kills it after so many acknowledgements. Gives all that came.
fn killed(folder: &Path, round: usize, acks: usize) -> Vec<(String, String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("write")
        .arg(folder)
        .arg(round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acked: Vec<String> = lines.by_ref().take(acks).map(Result::unwrap).collect();
    child.kill().unwrap();
    // What it had said before it died.
    acked.extend(lines.map_while(Result::ok));
    child.wait().unwrap();
    assert!(acked.len() >= acks, "it ended by itself");
    let parse = |line: String| {
        let mut words = line.split(' ').map(str::to_owned);
        let (to, id, seq) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some((to, id, seq))
    };
    acked.into_iter().filter_map(parse).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn prepare(folder: &Path) {
    let store = open(folder);
    for number in 0..ROOMS {
        store.add_member(&room(&format!("room-{number}")), &user("bob"), at(0)).await.unwrap();
    }
}

/// Checks that everything acknowledged is there, once, at its place.
#[tokio::main(flavor = "current_thread")]
async fn verify(folder: &Path, acked: &[(String, String, u64)]) {
    let store = open(folder);
    let mut held = BTreeMap::new();
    for number in 0..ROOMS {
        let page = store.read(&room(&format!("room-{number}")), Seq::new(0), ALL).await.unwrap();
        assert!(page.messages.iter().map(|message| message.seq.number()).eq(1..=page.head.number()));
        for stored in page.messages {
            let place = (stored.message.room.to_string(), stored.seq.number());
            let twice = held.insert(stored.message.id.to_string(), place);
            assert!(twice.is_none(), "{} is there twice", stored.message.id);
        }
    }
    for (to, id, seq) in acked {
        assert_eq!(held.get(id), Some(&(to.clone(), *seq)), "{id} was acknowledged");
        let again = store.append(message(to, "ann", id, "{}")).await.unwrap();
        assert_eq!(again, Appended::Again { seq: Seq::new(*seq), at: at(0) });
    }
    assert_eq!(store.balance().await.unwrap().queued, held.len() as u64);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [task, folder, round] = &arguments[..]
        && task == "write"
    {
        return write(Path::new(folder), round);
    }
    // As other tests, this one can be asked for by a part of its name.
    let asked_for = |argument: &String| argument.starts_with('-') || NAME.contains(argument.as_str());
    if !arguments.iter().all(asked_for) {
        return;
    }
    let folder = Folder::made().unwrap();
    prepare(folder.path());
    let (mut random, mut acked) = (Random::new(1), Vec::new());
    for round in 0..6 {
        acked.extend(killed(folder.path(), round, 1 + random.below(1_500)));
        verify(folder.path(), &acked);
        assert_eq!(sqlite::check(&folder.path().join(FILE)).unwrap(), Vec::<String>::new());
    }
    println!("test {NAME} ... ok ({} acknowledgements, 6 kills)", acked.len());
}
