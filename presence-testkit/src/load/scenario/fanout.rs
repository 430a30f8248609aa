//! `fanout`: rooms × members × updates a second. Every update must reach every member of its room, once and in order.

use anyhow::Result;
use clap::Args;

use super::{Field, count, gather, members_of_rooms};
use crate::load::ledger::curve;
use crate::load::member::{Phase, Sending};
use crate::load::outcome::Outcome;
use crate::load::raw_send;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Fanout {
    /// Rooms.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Members of each.
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Updates that each member sends a second.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
}

impl Fanout {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { rooms, members, rate, seconds, warm_up } = self;
        let parameters = format!("{rooms} rooms × {members} members × {rate} updates/s each, {seconds} s");
        let mut outcome = Outcome { scenario: "fanout".to_owned(), parameters, ..Outcome::default() };
        let all = field.enter(members_of_rooms("fan", 0, rooms * members, members)).await?;
        let every = (1e6 / rate) as u64;
        // The members of each room are spread over the interval, as people are.
        let first = |index: usize| every * (index % members) as u64 / members as u64;
        let sending = |index| Some(Sending { every, first: first(index), padding: 0 });
        let mut working = field.set_to_work(all, sending);
        field.begin().await;
        field.pass("warming up", warm_up).await;
        let before = Reading::take(&field).await?;
        field.ledger.borrow_mut().measuring = true;
        field.pass("measuring", seconds).await;
        field.ledger.borrow_mut().measuring = false;
        let after = Reading::take(&field).await?;
        field.phase.send_replace(Phase::Settle);
        field.pass("settling", 1.0).await;
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        let all = field.compare(all, &mut outcome.faults).await?;
        missing(&all, &mut outcome);
        count(&mut outcome, &field.ledger.borrow());
        after.compare(&before, seconds, &mut outcome)?;
        outcome.latency.push(curve("update to receipt", &field.ledger.borrow().latencies));
        let p99 = field.ledger.borrow().latencies.value_at_percentile(99.0) as f64 / 1000.0;
        outcome.figure("latency p99", p99, "ms");
        Ok(outcome)
    }
}

/// Counts updates that were sent and that somebody in the room never had.
pub(super) fn missing(all: &[crate::load::member::Member], outcome: &mut Outcome) {
    for receiver in all {
        for sender in all.iter().filter(|sender| sender.who.room == receiver.who.room) {
            outcome.faults.missing += sender.sent - receiver.received.last(&sender.who.user);
        }
    }
}

/// What has been spent and done so far.
pub(super) struct Reading {
    cpu_micros: f64,
    deliveries: u64,
    writes: f64,
    bytes: f64,
    messages: f64,
}

impl Reading {
    pub(super) async fn take(field: &Field) -> Result<Self> {
        Ok(Self {
            writes: field.target.metric("presence_writes_total").await?,
            bytes: field.target.metric("presence_sent_bytes_total").await?,
            messages: field.target.metric("presence_messages_sent_total").await?,
            cpu_micros: field.target.cpu_micros()?,
            deliveries: field.ledger.borrow().messages,
        })
    }

    /// What it cost since `before`, and beside it what a plain `send()` costs.
    pub(super) fn compare(&self, before: &Self, seconds: f64, outcome: &mut Outcome) -> Result<()> {
        let deliveries = (self.deliveries - before.deliveries) as f64;
        let (writes, bytes) = (self.writes - before.writes, self.bytes - before.bytes);
        let messages = self.messages - before.messages;
        let cpu = self.cpu_micros - before.cpu_micros;
        outcome.figure("deliveries", deliveries / seconds, "per s");
        outcome.figure("deliveries per write", deliveries / writes.max(1.0), "");
        let (message_bytes, write_bytes) = (bytes / messages.max(1.0), bytes / writes.max(1.0));
        outcome.figure("bytes per message", message_bytes, "bytes");
        outcome.figure("bytes per write", write_bytes, "bytes");
        if cpu > 0.0 {
            outcome.figure("server CPU", cpu / 1e6 / seconds, "cores");
            let each = cpu / deliveries.max(1.0);
            outcome.figure("server CPU per delivery", each, "µs");
            let raw = raw_send::cost(message_bytes as usize)?;
            outcome.figure("raw send() of one message", raw, "µs");
            outcome.figure("server CPU per delivery ÷ raw send()", each / raw, "");
            let raw_write = raw_send::cost(write_bytes as usize)?;
            outcome.figure("raw send() of one write", raw_write, "µs");
            outcome.figure("server CPU per write ÷ raw send() of it", cpu / writes.max(1.0) / raw_write, "");
        }
        Ok(())
    }
}
