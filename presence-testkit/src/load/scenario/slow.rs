//! `slow`: some members stop reading. The others' latency stays, the server's memory stays, and when the slow ones read
//! again they get a snapshot.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;

use super::fanout::missing;
use super::{Field, count, gather};
use crate::load::ledger::{Latencies, curve, latencies};
use crate::load::member::{Member, Phase, Sending, Who};
use crate::load::outcome::Outcome;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Slow {
    /// Members.
    #[arg(long, default_value_t = 1000)]
    members: usize,
    /// How many of them stop reading.
    #[arg(long, default_value_t = 50)]
    stalled: usize,
    /// Members of a room.
    #[arg(long, default_value_t = 100)]
    room: usize,
    /// Updates that each healthy member sends a second.
    #[arg(long, default_value_t = 0.25)]
    rate: f64,
    /// Bytes of an update.
    #[arg(long, default_value_t = 1000)]
    bytes: usize,
    /// Seconds of each of the two measurements.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// How long is waited for a snapshot.
const NEWEST: Duration = Duration::from_secs(2);

/// Receive buffer of a member that is to stop reading, so that little hides in the kernel.
const SMALL_BUFFER: usize = 4 * 1024;

impl Slow {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { members, stalled, room, rate, bytes, seconds } = self;
        let parameters = format!(
            "{members} members in rooms of {room}, {rate} updates/s of {bytes} bytes each; {stalled} stop reading for {seconds} s"
        );
        let mut outcome = Outcome { scenario: "slow".to_owned(), parameters, ..Outcome::default() };
        let rooms = members.div_ceil(room);
        let who = |number: usize| Who {
            user: format!("slow-{number}"),
            room: format!("slow-room-{}", number % rooms),
            receive_buffer: (number < stalled).then_some(SMALL_BUFFER),
        };
        let all = field.enter((0..members).map(who).collect()).await?;
        let (to_stall, all): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|member| member.who.receive_buffer.is_some());
        let every = (1e6 / rate) as u64;
        let first = |index: usize| every * (index / rooms) as u64 / room as u64;
        let mut healthy =
            field.set_to_work(all, |index| Some(Sending { every, first: first(index), padding: bytes }));
        let mut stalling = JoinSet::new();
        let resumptions = Rc::new(RefCell::new(Vec::new()));
        for mut member in to_stall {
            let (mut phase, field, resumptions) =
                (field.phase.subscribe(), field.clone(), Rc::clone(&resumptions));
            stalling.spawn_local(async move {
                member.read_during(&[Phase::Settle, Phase::Run], &mut phase).await?;
                member.stall(&mut phase).await?;
                let resumed = resume(&mut member, &field).await?;
                resumptions.borrow_mut().push(resumed);
                member.read_during(&[Phase::Settle], &mut phase).await?;
                Ok(member)
            });
        }
        field.begin().await;
        field.pass("warming up", 3.0).await;
        let (undisturbed, memory_before) = measure(&field, "all read", seconds).await?;
        field.phase.send_replace(Phase::Stall);
        field.pass("some stop reading", 2.0).await;
        let memory_early = field.target.memory()?;
        let (disturbed, memory_after) = measure(&field, "some do not read", seconds).await?;
        field.phase.send_replace(Phase::Settle);
        field.pass("all read again", 3.0).await;
        field.phase.send_replace(Phase::End);
        let all = gather(&mut healthy, &mut outcome.faults).await?;
        let slow = gather(&mut stalling, &mut outcome.faults).await?;
        let all = field.compare(all, &mut outcome.faults).await?;
        let slow = field.compare(slow, &mut outcome.faults).await?;
        missing(&all, &mut outcome);
        count(&mut outcome, &field.ledger.borrow());
        let p99 = |latencies: &Latencies| latencies.value_at_percentile(99.0) as f64 / 1000.0;
        outcome.figure("p99 while all read", p99(&undisturbed), "ms");
        outcome.figure("p99 of the others while some do not", p99(&disturbed), "ms");
        outcome.figure("ratio", p99(&disturbed) / p99(&undisturbed), "");
        let each = |memory: f64| memory / 1024.0 / stalled.max(1) as f64;
        outcome.figure("memory that the stalled cost", each(memory_after - memory_before), "KiB each");
        outcome.figure("of which in the last of that time", each(memory_after - memory_early), "KiB each");
        tell_worst(&resumptions.borrow(), &mut outcome);
        outcome.figure(
            "snapshots because of falling behind",
            slow.iter().map(|member| member.lagged).sum::<u64>() as f64,
            "",
        );
        outcome.latency.push(curve("while all read", &undisturbed));
        outcome.latency.push(curve("while some do not", &disturbed));
        Ok(outcome)
    }
}

/// Says how long the way to the newest state was for whom it was the longest.
fn tell_worst(resumptions: &[Resumption], outcome: &mut Outcome) {
    let worst = |of: fn(&Resumption) -> f64| resumptions.iter().map(of).fold(0.0, f64::max);
    let (stale, millis) =
        (worst(|resumption| resumption.stale as f64), worst(|resumption| resumption.millis));
    outcome.figure("messages before the newest state, at most", stale, "");
    outcome.figure("from reading again to the newest state, at most", millis, "ms");
}

/// What somebody had to read again before what is so now.
struct Resumption {
    stale: u64,
    millis: f64,
}

/// Reads up to the snapshot: until then come the messages that were on their way when it stopped reading.
async fn resume(member: &mut Member, field: &Field) -> Result<Resumption> {
    let (began, lagged, mut stale) = (field.clock.micros(), member.lagged, 0);
    let newest = async {
        while member.lagged == lagged {
            member.receive().await?;
            stale += 1;
        }
        anyhow::Ok(())
    };
    // Who has not fallen behind gets none.
    match tokio::time::timeout(NEWEST, newest).await {
        Ok(resumed) => resumed?,
        Err(_) => stale += 1,
    }
    Ok(Resumption { stale: stale - 1, millis: (field.clock.micros() - began) as f64 / 1000.0 })
}

/// The latencies of a stretch of time, and the server's memory at its end.
pub(super) async fn measure(field: &Field, what: &str, seconds: f64) -> Result<(Latencies, f64)> {
    {
        let mut counts = field.ledger.borrow_mut();
        counts.latencies = latencies();
        counts.measuring = true;
    }
    field.pass(what, seconds).await;
    let mut counts = field.ledger.borrow_mut();
    counts.measuring = false;
    let measured = std::mem::replace(&mut counts.latencies, latencies());
    Ok((measured, field.target.memory()?))
}
