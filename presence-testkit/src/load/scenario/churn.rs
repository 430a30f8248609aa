//! `churn` and `bigroom`: members who stay, and guests who come and go. Every one who stays sees every guest come once
//! and go once.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use tokio::task::JoinSet;

use super::fanout::{Reading, missing};
use super::{Field, count, gather};
use crate::load::ledger::curve;
use crate::load::member::{Member, Phase, Sending, Who};
use crate::load::outcome::Outcome;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Churn {
    /// Members who stay.
    #[arg(long, default_value_t = 500)]
    pub members: usize,
    /// Guests who come each second, and go as fast.
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// Seconds that a guest stays.
    #[arg(long, default_value_t = 2.0)]
    pub stay: f64,
    /// Updates a second, by all members together.
    #[arg(long, default_value_t = 10.0)]
    pub updates: f64,
    /// Seconds of coming and going.
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
}

impl Churn {
    /// Runs it under a name.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field, name: &str) -> Result<Outcome> {
        let Self { members, rate, stay, updates, seconds } = self;
        ensure!(members > 0 && rate > 0.0, "there must be members and guests");
        let parameters = format!(
            "a room of {members}, {rate} guests come and {rate} go a second, {updates} updates/s, {seconds} s"
        );
        let mut outcome = Outcome { scenario: name.to_owned(), parameters, ..Outcome::default() };
        let who = |user: String| Who { user, room: name.to_owned(), receive_buffer: None };
        let all = field.enter((0..members).map(|number| who(format!("member-{number}"))).collect()).await?;
        let every = (1e6 * members as f64 / updates.max(1e-3)) as u64;
        let first = |index: usize| every * index as u64 / members as u64;
        let sending = |index| Sending { every, first: first(index), padding: 0 };
        let mut working = field.set_to_work(all, |index| (updates > 0.0).then(|| sending(index)));
        field.begin().await;
        field.pass("warming up", 2.0).await;
        let before = Reading::take(&field).await?;
        field.ledger.borrow_mut().measuring = true;
        let guests = come_and_go(&field, &who, rate, stay, seconds, &mut outcome).await?;
        field.ledger.borrow_mut().measuring = false;
        let after = Reading::take(&field).await?;
        field.phase.send_replace(Phase::Settle);
        field.pass("settling", 1.0).await;
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        let all = field.compare(all, &mut outcome.faults).await?;
        missing(&all, &mut outcome);
        edges(&all, guests, &mut outcome);
        count(&mut outcome, &field.ledger.borrow());
        outcome.figure("guests", guests as f64, "");
        after.compare(&before, seconds + stay, &mut outcome)?;
        outcome.latency.push(curve("update to receipt", &field.ledger.borrow().latencies));
        Ok(outcome)
    }
}

/// Lets guests come at their times, stay, and leave in good order.
async fn come_and_go(
    field: &Field,
    who: &impl Fn(String) -> Who,
    rate: f64,
    stay: f64,
    seconds: f64,
    outcome: &mut Outcome,
) -> Result<usize> {
    let guests = (rate * seconds) as usize;
    let start = field.clock.micros();
    let mut visiting: JoinSet<Result<()>> = JoinSet::new();
    for guest in 0..guests {
        let due = start + (guest as f64 * 1e6 / rate) as u64;
        tokio::time::sleep_until(field.clock.at(due)).await;
        let (kind, address) = (field.kind, field.target.address);
        let (ledger, clock) = (field.ledger.clone(), field.clock);
        let who = who(format!("guest-{guest}"));
        visiting.spawn_local(async move {
            let mut visitor = Member::enter(kind, address, who, &ledger, clock).await?;
            let stayed = tokio::time::timeout(Duration::from_secs_f64(stay), async {
                loop {
                    visitor.receive().await?;
                }
            });
            let ended: Result<Result<()>, _> = stayed.await;
            if let Ok(failed) = ended {
                return failed;
            }
            visitor.leave().await
        });
        if guest % (rate as usize * 5).max(1) == 0 {
            eprintln!("  {:6.1} s  {guest} of {guests} guests have come", field.clock.seconds());
        }
    }
    while let Some(visited) = visiting.join_next().await {
        if let Err(error) = visited? {
            outcome.faults.failure(format!("a guest: {error:#}"));
        }
    }
    Ok(guests)
}

/// Everybody who stayed saw every guest come once and go once.
fn edges(all: &[Member], guests: usize, outcome: &mut Outcome) {
    for member in all {
        for guest in 0..guests {
            let edges = member.view.edges(&format!("guest-{guest}"));
            outcome.faults.missing += 1_u64.saturating_sub(edges.joins) + 1_u64.saturating_sub(edges.leaves);
            outcome.faults.repeated += edges.joins.saturating_sub(1) + edges.leaves.saturating_sub(1);
        }
    }
}
