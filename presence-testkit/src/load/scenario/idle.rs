//! `idle`: members that do nothing but answer pings. What one more of them costs, in memory and in CPU time, as there
//! are more and more of them.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;

use super::{Field, gather, members_of_rooms};
use crate::client::Kind;
use crate::load::bare::{self, Bursts, Peer, Traffic};
use crate::load::member::{Member, Phase};
use crate::load::outcome::Outcome;

/// Members who enter before any of them begins to answer pings. All of a large step would take longer than a ping waits.
const ENTERING_TOGETHER: usize = 500;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Members at each step, all in all. A process that may have 20,000 descriptors has room for 19,000.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000,19000")]
    sizes: Vec<usize>,
    /// Members of a room.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Seconds of rest at each step before anything is read. The first two pings are 2 s apart and the third comes
    /// within 25 s, so from 30 s on there is one in 25 s; what rooms keep of arrivals is gone after 120 s.
    #[arg(long, default_value_t = 30.0)]
    rest: f64,
    /// Seconds over which CPU time is read at each step; two heartbeats are 50 s.
    #[arg(long, default_value_t = 50.0)]
    seconds: f64,
}

/// How many a bare server has at most: both ends of their connections are in this process.
const BARE_MAX: usize = 9_000;

/// How often each of its peers is pinged, and how often some of them are: as by a server with its default settings.
const HEARTBEAT: Duration = Duration::from_secs(25);
const BURSTS_PER_SECOND: f64 = 10.0;

/// Bytes of a ping, and of a client's pong.
const PING_BYTES: usize = 2;
const PONG_BYTES: usize = 6;

/// What a bare server costs that pings as many as often, over one heartbeat of each.
fn beside(outcome: &mut Outcome, members: usize) -> Result<()> {
    let peers = members.min(BARE_MAX);
    let each = peers as f64 / HEARTBEAT.as_secs_f64() / BURSTS_PER_SECOND;
    let connections = each.round().max(1.0) as usize;
    let bursts = Some(Bursts { rate: BURSTS_PER_SECOND, connections, bytes: PING_BYTES });
    let traffic = Traffic { peers, bursts, peer: Peer::Answers(PONG_BYTES), answer: 0, lasts: HEARTBEAT };
    let heartbeat = bare::cost(traffic)?.of_a_write();
    outcome.figure("CPU of a heartbeat in a bare loop", heartbeat, "µs");
    outcome.figure("CPU per member of a bare loop", heartbeat / HEARTBEAT.as_secs_f64(), "µs/s");
    Ok(())
}

/// What the server costs with so many members.
struct Step {
    members: f64,
    /// Bytes.
    memory: f64,
    /// Microseconds per second.
    cpu: f64,
}

impl Idle {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let parameters = format!(
            "{:?} members in rooms of {}, {} s of rest, CPU over {} s",
            self.sizes, self.members, self.rest, self.seconds
        );
        let scenario = match field.kind {
            Kind::Ws => "idle",
            Kind::Sse => "idle over event streams",
            Kind::Shared => "idle over shared event streams",
        };
        let mut outcome = Outcome { scenario: scenario.to_owned(), parameters, ..Outcome::default() };
        let mut working = JoinSet::new();
        let mut steps = Vec::new();
        let mut present = 0;
        for size in &self.sizes {
            self.enter(&field, present..*size, &mut working).await?;
            present = *size;
            steps.push(self.measure(&field, present).await?);
        }
        figures(&steps, &mut outcome);
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        outcome.figure("connections at once", all.len() as f64, "");
        field.compare(all, &mut outcome.faults).await?;
        if let Kind::Ws = field.kind {
            beside(&mut outcome, present)?;
        }
        Ok(outcome)
    }

    async fn enter(
        &self,
        field: &Field,
        numbers: std::ops::Range<usize>,
        working: &mut JoinSet<Result<Member>>,
    ) -> Result<()> {
        let newcomers = members_of_rooms("idle", numbers.start, numbers.end, self.members);
        for some in newcomers.chunks(ENTERING_TOGETHER) {
            for mut member in field.enter(some.to_vec()).await? {
                let mut phase = field.phase.subscribe();
                working.spawn_local(async move {
                    member.read_during(&[Phase::Settle], &mut phase).await?;
                    Ok(member)
                });
            }
        }
        Ok(())
    }

    async fn measure(&self, field: &Field, present: usize) -> Result<Step> {
        field.pass(&format!("{present} members at rest"), self.rest).await;
        let memory = field.target.memory()?;
        let cpu = field.target.cpu_micros()?;
        field.pass("measuring CPU", self.seconds).await;
        let cpu = (field.target.cpu_micros()? - cpu) / self.seconds;
        Ok(Step { members: present as f64, memory, cpu })
    }
}

fn figures(steps: &[Step], outcome: &mut Outcome) {
    for step in steps {
        outcome.figure(&format!("memory at {}", step.members), step.memory / (1024.0 * 1024.0), "MiB");
    }
    for pair in steps.windows(2) {
        let [before, after] = pair else { continue };
        let name = format!("memory of each from {} to {}", before.members, after.members);
        outcome.figure(&name, (after.memory - before.memory) / (after.members - before.members), "bytes");
    }
    for step in steps {
        outcome.figure(&format!("CPU per member at {}", step.members), step.cpu / step.members, "µs/s");
    }
    if let (Some(first), Some(last)) = (steps.first(), steps.last())
        && last.members > first.members
    {
        let more = last.members - first.members;
        outcome.figure("memory per member (marginal PSS)", (last.memory - first.memory) / more, "bytes");
        outcome.figure("CPU per member (marginal)", (last.cpu - first.cpu) / more, "µs/s");
    }
}
