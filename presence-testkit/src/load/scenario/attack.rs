//! `attack`: pairs of well-behaved clients, and beside them one kind of attacker after the other. What each does to the
//! others' latency, as a ratio to that without any.

use anyhow::{Result, ensure};
use clap::Args;

use super::fanout::missing;
use super::slow::measure;
use super::{Field, count, gather, members_of_rooms};
use crate::load::hostile::{Attack, Attackers};
use crate::load::ledger::{Latencies, curve};
use crate::load::member::{Phase, Sending};
use crate::load::outcome::Outcome;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Assault {
    /// Well-behaved pairs.
    #[arg(long, default_value_t = 100)]
    pairs: usize,
    /// Updates that each of them sends a second.
    #[arg(long, default_value_t = 4.0)]
    rate: f64,
    /// Attackers at the same time.
    #[arg(long, default_value_t = 50)]
    attackers: usize,
    /// Seconds of each attack, and of the time without any.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Only attacks whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
}

impl Assault {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { pairs, rate, attackers, seconds, only } = self;
        ensure!(pairs > 0 && rate > 0.0, "somebody must behave well, and say something");
        let parameters =
            format!("{pairs} pairs × {rate} updates/s each, {attackers} attackers, {seconds} s each");
        let mut outcome = Outcome { scenario: "attack".to_owned(), parameters, ..Outcome::default() };
        let all = field.enter(members_of_rooms("pair", 0, 2 * pairs, 2)).await?;
        let every = (1e6 / rate) as u64;
        let first = |index: usize| every * index as u64 / (2 * pairs) as u64;
        let mut working =
            field.set_to_work(all, |index| Some(Sending { every, first: first(index), padding: 0 }));
        field.begin().await;
        field.pass("warming up", 2.0).await;
        let (quiet, _) = measure(&field, "nobody attacks", seconds).await?;
        outcome.figure("p99 without an attack", p99(&quiet), "ms");
        outcome.latency.push(curve("without an attack", &quiet));
        let mut worst = 0.0_f64;
        for attack in Attack::ALL.into_iter().filter(|attack| attack.name().contains(&only)) {
            let under = Attackers::start(attack, field.target.address, attackers);
            field.pass("the attack begins", 1.0).await;
            let (latencies, memory) = measure(&field, attack.name(), seconds).await?;
            let ended = under.stop()?;
            let ratio = p99(&latencies) / p99(&quiet);
            worst = worst.max(ratio);
            outcome.figure(&format!("{}: p99", attack.name()), p99(&latencies), "ms");
            outcome.figure(&format!("{}: ratio", attack.name()), ratio, "");
            outcome.figure(&format!("{}: cut off", attack.name()), ended as f64, "times");
            outcome.figure(&format!("{}: memory", attack.name()), memory / (1024.0 * 1024.0), "MiB");
            outcome.latency.push(curve(attack.name(), &latencies));
            field.pass("the attack is over", 1.0).await;
        }
        outcome.figure("worst ratio", worst, "");
        field.phase.send_replace(Phase::Settle);
        field.pass("settling", 1.0).await;
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        let all = field.compare(all, &mut outcome.faults).await?;
        missing(&all, &mut outcome);
        count(&mut outcome, &field.ledger.borrow());
        Ok(outcome)
    }
}

fn p99(latencies: &Latencies) -> f64 {
    latencies.value_at_percentile(99.0) as f64 / 1000.0
}
