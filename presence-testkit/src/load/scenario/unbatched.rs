//! `unbatched`: one small update at a time, handed out at once to everybody in its room. What a delivery costs that shares
//! its write with no other, beside a plain loop of `send()` that does the same; and how long it takes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use clap::Args;

use super::fanout::Reading;
use super::{Field, count};
use crate::load::bare::{self, Bursts, Peer, Traffic};
use crate::load::lean::{self, Lean, Name, framed, number_after};
use crate::load::ledger::curve;
use crate::load::outcome::{Faults, Outcome};
use crate::load::pace::{Pace, Speaker, age, stamp};

/// What begins an update.
const UPDATED: &[u8] = b"{\"type\":\"presence:userUpdated\"";

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Unbatched {
    /// Rooms.
    #[arg(long, default_value_t = 1)]
    rooms: usize,
    /// Members of each.
    #[arg(long, default_value_t = 500)]
    members: usize,
    /// Updates a second in each room, from one member after the other.
    #[arg(long, default_value_t = 80.0)]
    rate: f64,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
}

/// What one client has heard.
#[derive(Clone, Default)]
struct Heard {
    version: Option<u64>,
    updates: u64,
    missing: u64,
    repeated: u64,
}

impl Heard {
    fn note(&mut self, message: &[u8]) {
        let Some(version) = number_after(message, b"\"version\":") else { return };
        if let Some(last) = self.version {
            self.missing += version.saturating_sub(last + 1);
            self.repeated += u64::from(version <= last);
        }
        self.version = Some(version);
        self.updates += u64::from(message.starts_with(UPDATED));
    }
}

impl Unbatched {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { rooms, members, rate, seconds } = self;
        let parameters = format!("{rooms} rooms × {members} members, {rate} updates/s in each, {seconds} s");
        let mut outcome = Outcome { scenario: "unbatched".to_owned(), parameters, ..Outcome::default() };
        let name = |number: usize| Name {
            user: format!("u{number}"),
            room: format!("r{}", number % rooms),
            token: None,
        };
        let clients = Lean::enter_all(field.target.address, (0..rooms * members).map(name).collect()).await?;
        let names: Vec<Name> = clients.iter().map(|client| client.name.clone()).collect();
        let voices = clients.iter().map(Lean::voice).collect();
        let heard = Rc::new(RefCell::new(vec![Heard::default(); clients.len()]));
        let listening = lean::listen_all(clients, |index| {
            let (heard, ledger, clock) = (Rc::clone(&heard), field.ledger.clone(), field.clock);
            move |message| {
                heard.borrow_mut()[index].note(message);
                let mut counts = ledger.borrow_mut();
                counts.messages += 1;
                if counts.measuring
                    && let Some(said) = number_after(message, b"\"t\":")
                {
                    counts.latencies.saturating_record(age(said, clock.micros()).max(1));
                }
            }
        });
        field.begin().await;
        let pace = Pace { start: field.start.get(), every: 1e6 / (rate * rooms as f64) };
        let speaker = Speaker::start(field.clock, pace, voices, move |number, due| {
            let room = number as usize % rooms;
            let said = stamp(due);
            framed(&format!(
                r#"{{"type":"presence:update","room":"r{room}","state":{{"t":{said},"p":"{PADDING}"}}}}"#
            ))
        });
        field.pass("warming up", 2.0).await;
        let before = Reading::take(&field).await?;
        field.ledger.borrow_mut().measuring = true;
        field.pass("measuring", seconds).await;
        field.ledger.borrow_mut().measuring = false;
        let after = Reading::take(&field).await?;
        let said = speaker.stop()?;
        field.pass("settling", 1.0).await;
        lean::end(listening, &mut outcome.faults)?;
        judge(&names, &heard.borrow(), said, &mut outcome.faults);
        count(&mut outcome, &field.ledger.borrow());
        outcome.figure("members of a room", members as f64, "");
        after.compare(&before, seconds, &mut outcome)?;
        beside(&mut outcome, rooms, members, rate)?;
        outcome.latency.push(curve("update to receipt", &field.ledger.borrow().latencies));
        let p99 = field.ledger.borrow().latencies.value_at_percentile(99.0) as f64 / 1000.0;
        outcome.figure("latency p99", p99, "ms");
        Ok(outcome)
    }
}

/// Brings a delivery to 125 bytes or so.
const PADDING: &str = "xxxxxxxxxx";

/// Holds what each has heard against what was said in its room.
fn judge(names: &[Name], heard: &[Heard], said: u64, faults: &mut Faults) {
    let rooms = names.iter().map(|name| name.room.as_str()).collect::<std::collections::BTreeSet<_>>().len();
    let mut stands: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for (number, (name, heard)) in names.iter().zip(heard).enumerate() {
        // Voices take turns through all rooms.
        let room = (number % rooms) as u64;
        let in_room = said / rooms as u64 + u64::from(said % rooms as u64 > room);
        faults.missing += heard.missing.max(in_room.saturating_sub(heard.updates));
        faults.repeated += heard.repeated.max(heard.updates.saturating_sub(in_room));
        if *stands.entry(&name.room).or_insert(heard.version) != heard.version {
            faults.wrong(format!("{}: not the version that others have", name.user));
        }
    }
}

/// What a bare loop costs that does the same.
fn beside(outcome: &mut Outcome, rooms: usize, members: usize, rate: f64) -> Result<()> {
    let (Some(bytes), Some(each)) =
        (outcome.value("bytes per message"), outcome.value("server CPU per delivery"))
    else {
        return Ok(());
    };
    let bursts = Some(Bursts { rate: rate * rooms as f64, connections: members, bytes: bytes as usize });
    let peers = rooms * members;
    let bare = bare::cost(Traffic { peers, bursts, peer: Peer::Silent, answer: 0, lasts: bare::LASTS })?;
    let plain = bare.of_a_write();
    outcome.figure("deliveries per server CPU-second", 1e6 / each, "");
    outcome.figure("raw send() to peers that sleep, at this pace", plain, "µs");
    outcome.figure("deliveries ÷ those of that loop", 100.0 * plain / each, "%");
    Ok(())
}
