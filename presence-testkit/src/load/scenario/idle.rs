//! `idle`: members that do nothing but answer pings. What one more of them costs, in memory and in CPU time.

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;

use super::{Field, gather, members_of_rooms};
use crate::client::Kind;
use crate::load::member::Phase;
use crate::load::outcome::Outcome;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Members at each step, all in all.
    #[arg(long, value_delimiter = ',', default_value = "1000,4000,10000")]
    sizes: Vec<usize>,
    /// Members of a room.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Seconds of rest before memory is read.
    #[arg(long, default_value_t = 8.0)]
    rest: f64,
    /// Seconds over which CPU time is read at the end; heartbeats are 25 s apart.
    #[arg(long, default_value_t = 25.0)]
    seconds: f64,
}

impl Idle {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let parameters = format!("{:?} members in rooms of {}", self.sizes, self.members);
        let scenario = match field.kind {
            Kind::Ws => "idle",
            Kind::Sse => "idle over event streams",
            Kind::Shared => "idle over shared event streams",
        };
        let mut outcome = Outcome { scenario: scenario.to_owned(), parameters, ..Outcome::default() };
        let mut working = JoinSet::new();
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut present = 0;
        for size in self.sizes {
            for mut member in field.enter(members_of_rooms("idle", present, size, self.members)).await? {
                let mut phase = field.phase.subscribe();
                working.spawn_local(async move {
                    member.read_during(&[Phase::Settle], &mut phase).await?;
                    Ok(member)
                });
            }
            present = size;
            field.pass(&format!("{size} members at rest"), self.rest).await;
            let memory = field.target.memory()?;
            outcome.figure(&format!("memory at {size}"), memory / (1024.0 * 1024.0), "MiB");
            points.push((size as f64, memory));
        }
        let cpu = field.target.cpu_micros()?;
        field.pass("measuring CPU", self.seconds).await;
        let cpu = (field.target.cpu_micros()? - cpu) / self.seconds / present as f64;
        if let (Some(first), Some(last)) = (points.first(), points.last())
            && last.0 > first.0
        {
            outcome.figure(
                "memory per member (marginal PSS)",
                (last.1 - first.1) / (last.0 - first.0),
                "bytes",
            );
        }
        outcome.figure("CPU per member", cpu, "µs/s");
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        outcome.figure("connections at once", all.len() as f64, "");
        field.compare(all, &mut outcome.faults).await?;
        Ok(outcome)
    }
}
