//! Readers that stop reading and go on living, for as long as takes the server thirty times to give them up: at its usual
//! patience of two minutes that is an hour. They cost it little, and the others nothing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::chaos::crowd::{USUAL, kind};
use crate::chaos::history::{Event, Going, History, Letter, now};
use crate::chaos::seat::room_name;
use crate::chaos::site::{Site, TIMES};
use crate::chaos::stage::{Given, Outcome, Stage, straight};
use crate::client::{Kind, Wire};
use crate::load::process::Target;

/// How many do not read.
const STALLED: u32 = 60;

/// Their numbers begin here.
const FIRST: u32 = 100_000;

/// How long the server waits for one.
const STALL_MILLIS: u64 = 1_500;

/// Seconds: thirty times that.
const LONG: f64 = 45.0;

/// What the loud one says at a time, and how often a second.
const LOUD: (usize, u64) = (6_000, 40);

/// Most that a reader may cost, in KiB.
const COST_MAX: f64 = 512.0;

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let settings = [("stall-ms", "1500"), ("feed-bytes-max", "262144")];
    let mut site = Site::new(&given.server, TIMES, &settings)?;
    site.start().await?;
    let (address, pid) = (site.address, site.pid()?);
    let mut stage = Stage::set(given, site, USUAL, &straight(address)).await?;
    let target = Target { address, pid: Some(pid) };
    let mut working = JoinSet::new();
    working.spawn_local(shout(address, stage.history.clone()));
    stage.pass(15.0).await;
    let (memory, begin) = (target.memory()?, now());
    let rounds = Rc::new(Cell::new(0));
    for number in 0..STALLED {
        working.spawn_local(stall(number, address, stage.history.clone(), Rc::clone(&rounds)));
    }
    let mut most = memory;
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < LONG {
        stage.pass(1.0).await;
        most = most.max(target.memory()?);
    }
    let end = now();
    drop(working);
    for tab in FIRST - 1..FIRST + STALLED {
        stage.history.note(Event::Going { tab, room: 0, how: Going::Lost });
    }
    let each = (most - memory) / 1024.0 / f64::from(STALLED);
    let (before, after) = (p99(&stage, 0, begin), p99(&stage, begin, end));
    stage.figure(format!(
        "{STALLED} readers stalled for {LONG} s, given up {} times after {STALL_MILLIS} ms: at most {each:.0} KiB each; \
         others' p99 from saying to applying {before:.0} → {after:.0} ms",
        rounds.get()
    ));
    ensure!(rounds.get() >= STALLED, "they were not given up: {}", rounds.get());
    ensure!(each < COST_MAX, "each costs {each:.0} KiB");
    stage.verdict().await
}

/// Says a lot in room 0, so that whoever does not read soon has much to read.
async fn shout(server: SocketAddr, history: History) {
    let (tab, user, room) = (FIRST - 1, FIRST - 1, 0);
    history.note(Event::Entering { tab, user, room });
    let query = format!("?user_id=u{user}&session_id=t{tab}");
    let Ok(mut wire) = Wire::connect(Kind::Ws, server, &query, &[], None).await else { return };
    let mut next = Instant::now();
    let join = json!({"type": "presence:join", "room": room_name(room)});
    if wire.send_text(&join.to_string()).await.is_err() {
        return;
    }
    for number in 0_u64.. {
        let words = format!("{number:08}").repeat(LOUD.0 / 8);
        let update = json!({"type": "presence:update", "room": room_name(room), "state": {"loud": words}});
        if wire.send_text(&update.to_string()).await.is_err() {
            return;
        }
        next += Duration::from_micros(1_000_000 / LOUD.1);
        while timeout(next.saturating_duration_since(Instant::now()), wire.recv())
            .await
            .is_ok_and(|got| got.is_ok())
        {}
    }
}

/// Enters, reads nothing, and shows that it is alive, again and again.
async fn stall(number: u32, server: SocketAddr, history: History, rounds: Rc<Cell<u32>>) {
    let (tab, user, room) = (FIRST + number, FIRST + number, 0);
    loop {
        history.note(Event::Entering { tab, user, room });
        let query = format!("?user_id=u{user}&session_id=t{tab}&room={}", room_name(room));
        let connected = Wire::connect(kind(number), server, &query, &[], Some(4_096)).await;
        if let Ok(mut wire) = connected {
            // It is told where to post to.
            let _ = timeout(Duration::from_secs(2), wire.recv()).await;
            let join = json!({"type": "presence:join", "room": room_name(room)});
            let mut text = join.to_string();
            while let Ok(Ok(())) = timeout(Duration::from_secs(2), wire.send_text(&text)).await {
                text = json!({"type": "presence:heartbeat"}).to_string();
                sleep(Duration::from_millis(500)).await;
            }
            rounds.set(rounds.get() + 1);
            wire.reset();
        }
        history.note(Event::Going { tab, room, how: Going::Lost });
        sleep(Duration::from_millis(100)).await;
    }
}

/// Milliseconds from saying to applying, of what was said in a stretch of time, by those who are there all the time.
fn p99(stage: &Stage, from: u64, to: u64) -> f64 {
    let residents = stage.crowd.residents(|_| true);
    let mut said: BTreeMap<Letter, u64> = BTreeMap::new();
    let mut took = Vec::new();
    for entry in stage.history.entries() {
        match entry.event {
            Event::Said { letter, .. } if (from..to).contains(&entry.at) => {
                said.insert(letter, entry.at);
            }
            Event::Applied { letter, tab, .. } if residents.contains(&tab) => {
                took.extend(said.get(&letter).map(|at| entry.at - at))
            }
            _ => {}
        }
    }
    took.sort_unstable();
    took.get(took.len() * 99 / 100).map_or(0.0, |micros| *micros as f64 / 1_000.0)
}
