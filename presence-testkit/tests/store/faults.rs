//! What the store in a file does when the disk is full, the file is broken, or too much is asked of it: it says so,
//! loses nothing that it has acknowledged, and finds out of it by itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use presence_core::port::store::{Store, StoreError, StoreHealth, StreamLimits};
use presence_core::stream::Seq;
use presence_server::store::FILE;
use presence_server::store::sqlite::{self, Options, SqliteStore};
use presence_testkit::contract::store::{ALL, ROOMY, at, message, room, user};
use presence_testkit::folder::Folder;
use presence_testkit::random::Random;

use crate::file::{is_whole, open, open_roomy, options};

/// How long a store may take to find that it is well again (F10: 10 s).
const RECOVERY: Duration = Duration::from_secs(10);

const KILOBYTES: usize = 4;

async fn send(store: &SqliteStore, number: u64) -> Result<(), StoreError> {
    let body = format!("\"{}\"", "x".repeat(KILOBYTES << 10));
    store.append(message("doc", "ann", &number.to_string(), &body)).await.map(drop)
}

/// Sends until the store does not take it. Says how many it took.
async fn fill(store: &SqliteStore, from: u64) -> Result<u64> {
    for number in from.. {
        match send(store, number).await {
            Ok(()) => {}
            Err(StoreError::Unavailable(_)) => return Ok(number - from),
            Err(other) => bail!("{other}"),
        }
    }
    bail!("it took everything")
}

fn ails(store: &SqliteStore, with: &str) -> Result<()> {
    match store.health() {
        StoreHealth::Failing(why) if why.contains(with) => Ok(()),
        other => bail!("{other:?} instead of {with:?}"),
    }
}

async fn is_well_again(store: &SqliteStore) -> Result<()> {
    let recovered = async {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        while store.health() != StoreHealth::Well {
            look.tick().await;
        }
    };
    tokio::time::timeout(RECOVERY, recovered).await.map_err(|_| anyhow!("{:?}", store.health()))
}

async fn has(store: &SqliteStore, messages: u64) -> Result<()> {
    let page = store.read(&room("doc"), Seq::new(0), ALL).await?;
    let numbers: Vec<String> = page.messages.iter().map(|held| held.message.id.to_string()).collect();
    let wanted: Vec<String> = (0..messages).map(|number| number.to_string()).collect();
    ensure!(numbers == wanted, "{} messages instead of {messages}", numbers.len());
    Ok(())
}

fn short_lived() -> StreamLimits {
    StreamLimits { age: Duration::from_millis(100), ..ROOMY }
}

#[tokio::test]
async fn a_full_file_refuses_messages_until_what_is_too_old_has_gone() -> Result<()> {
    let folder = Folder::made()?;
    let store = open(folder.path(), Options { bytes_max: 2 << 20, ..options(short_lived()) })?;
    store.add_member(&room("doc"), &user("bob"), at(0)).await?;
    let taken = fill(&store, 0).await?;
    ensure!(taken > 100, "only {taken} messages fit");
    ails(&store, "no space")?;
    ensure!(matches!(send(&store, taken).await, Err(StoreError::Unavailable(_))));
    has(&store, taken).await?;
    ensure!(store.balance().await?.queued == taken, "what was refused is counted");
    while store.expire(at(100)).await? {}
    is_well_again(&store).await?;
    send(&store, taken).await?;
    ensure!(store.read(&room("doc"), Seq::new(0), ALL).await?.head == Seq::new(taken + 1));
    drop(store);
    is_whole(&folder.path().join(FILE))
}

/// A small disk, as long as the value lives.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// F10. Who may not mount a disk has the test above, in which SQLite says the same.
#[tokio::test]
async fn a_full_disk_refuses_messages_until_there_is_space() -> Result<()> {
    let folder = Folder::made()?;
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        eprintln!("this user may not mount a small disk; nothing was tried on one");
        return Ok(());
    };
    let used = Options { reserve_bytes: 1 << 20, ..options(short_lived()) };
    let store = open(disk.0, used)?;
    send(&store, 0).await?;
    // Somebody else needs the disk.
    let foreign = disk.0.join("foreign");
    fs::write(&foreign, vec![0; 3 << 20])?;
    let taken = 1 + fill(&store, 1).await?;
    ails(&store, "no space")?;
    has(&store, taken).await?;
    ensure!(matches!(send(&store, taken).await, Err(StoreError::Unavailable(_))));
    fs::remove_file(&foreign)?;
    is_well_again(&store).await?;
    send(&store, taken).await?;
    has(&store, taken + 1).await?;
    // And now it is the store itself that needs all of it.
    let all = taken + 1 + fill(&store, taken + 1).await?;
    ails(&store, "no space")?;
    drop(store);
    let store = open(disk.0, used)?;
    has(&store, all).await?;
    while store.expire(at(100)).await? {}
    is_well_again(&store).await?;
    send(&store, all).await?;
    drop(store);
    is_whole(&disk.0.join(FILE))
}

#[tokio::test]
async fn a_broken_file_is_said_to_be_broken_and_left_alone() -> Result<()> {
    let folder = Folder::made()?;
    let path = folder.path().join(FILE);
    let garbage = "this is no store, but somebody may want to have it back. ".repeat(1_000);
    fs::write(&path, &garbage)?;
    let store = open_roomy(folder.path())?;
    ails(&store, "damaged")?;
    ensure!(matches!(send(&store, 0).await, Err(StoreError::Unavailable(_))));
    let read = store.read(&room("doc"), Seq::new(0), ALL).await;
    ensure!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    ensure!(fs::read_to_string(&path)? == garbage, "it was written to");
    ensure!(sqlite::check(&path).is_err());
    // Somebody puts it away.
    fs::rename(&path, folder.path().join("broken"))?;
    is_well_again(&store).await?;
    send(&store, 0).await?;
    has(&store, 1).await
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_waited_for() -> Result<()> {
    let folder = Folder::made()?;
    let below = folder.path().join("below");
    let store = open_roomy(&below)?;
    ails(&store, "can not be written to")?;
    ensure!(matches!(send(&store, 0).await, Err(StoreError::Unavailable(_))));
    fs::create_dir(&below)?;
    is_well_again(&store).await?;
    send(&store, 0).await?;
    has(&store, 1).await
}

/// Whatever a disk does to a page, the server lives, and what it gives out is what was put in.
#[tokio::test]
async fn a_damaged_page_never_becomes_a_message() -> Result<()> {
    const PAGE: usize = 4096;
    let folder = Folder::made()?;
    let path = folder.path().join(FILE);
    let store = open_roomy(folder.path())?;
    for number in 0..100 {
        send(&store, number).await?;
    }
    drop(store);
    let whole = fs::read(&path)?;
    let (mut random, mut noticed) = (Random::new(7), 0);
    for _ in 0..30 {
        let mut damaged = whole.clone();
        let page = random.below(whole.len() / PAGE) * PAGE;
        damaged[page..page + PAGE].iter_mut().for_each(|byte| *byte = random.draw() as u8);
        for beside in ["-wal", "-shm"] {
            // It may not be there.
            let _ = fs::remove_file(folder.path().join(format!("{FILE}{beside}")));
        }
        fs::write(&path, &damaged)?;
        let Ok(store) = open_roomy(folder.path()) else {
            noticed += 1;
            continue;
        };
        match store.read(&room("doc"), Seq::new(0), ALL).await {
            Err(StoreError::Unavailable(_)) => noticed += 1,
            Err(other) => bail!("{other}"),
            Ok(page) => {
                let body = |n: usize| page.messages.get(n).map(|held| held.message.body.len());
                ensure!((0..page.messages.len()).all(|n| body(n) == Some((KILOBYTES << 10) + 2)));
            }
        }
        match send(&store, 1_000).await {
            Ok(()) | Err(StoreError::Unavailable(_)) => {}
            Err(other) => bail!("{other}"),
        }
    }
    ensure!(noticed > 0, "no page mattered");
    Ok(())
}

#[tokio::test]
async fn beyond_what_may_wait_the_store_is_busy_and_stores_exactly_what_it_says() -> Result<()> {
    let folder = Folder::made()?;
    let store = std::sync::Arc::new(open(folder.path(), Options { queue_max: 2, ..options(ROOMY) })?);
    let calls: Vec<_> = (0..1_000)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.append(message("doc", "ann", &number.to_string(), "{}")).await })
        })
        .collect();
    let (mut stored, mut busy) = (0, 0);
    for call in calls {
        match call.await? {
            Ok(_) => stored += 1,
            Err(StoreError::Busy) => busy += 1,
            Err(other) => bail!("{other}"),
        }
    }
    ensure!(stored > 0 && busy > 0, "{stored} stored, {busy} refused");
    ensure!(store.read(&room("doc"), Seq::new(0), ALL).await?.messages.len() == stored);
    Ok(())
}

#[tokio::test]
async fn a_copy_made_while_it_is_written_is_whole() -> Result<()> {
    let folder = Folder::made()?;
    let store = std::sync::Arc::new(open_roomy(folder.path())?);
    send(&store, 0).await?;
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 1..300 {
                send(&store, number).await?;
            }
            anyhow::Ok(())
        }
    });
    let copies = folder.path().join("copies");
    fs::create_dir(&copies)?;
    let copy = copies.join(FILE);
    let (from, to) = (folder.path().join(FILE), copy.clone());
    tokio::task::spawn_blocking(move || sqlite::back_up(&from, &to)).await?.map_err(|why| anyhow!(why))?;
    writing.await??;
    is_whole(&copy)?;
    let said = sqlite::back_up(&folder.path().join(FILE), &copy).unwrap_err();
    ensure!(said.contains("there already"), "{said}");
    let copied = open_roomy(&copies)?;
    let head = copied.read(&room("doc"), Seq::new(0), ALL).await?.head;
    ensure!(head >= Seq::new(1) && head <= Seq::new(300));
    has(&copied, head.number()).await
}
