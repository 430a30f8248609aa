//! `storm`: all clients are reset at once and come back with the sessions they had. Those who watch see nobody leave.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use tokio::task::JoinSet;

use super::{Field, gather, members_of_rooms};
use crate::load::ledger::{curve, latencies};
use crate::load::member::{Member, Phase, Who};
use crate::load::outcome::Outcome;
use crate::random::Random;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Storm {
    /// Clients that are reset.
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    /// Members of a room.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Seconds over which they come back.
    #[arg(long, default_value_t = 2.0)]
    window: f64,
}

impl Storm {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { clients, members, window } = self;
        let rooms = clients.div_ceil(members);
        let parameters =
            format!("{clients} clients in rooms of {members}, back within {window} s, {rooms} who watch");
        let mut outcome = Outcome { scenario: "storm".to_owned(), parameters, ..Outcome::default() };
        let watchers = (0..rooms).map(|room| Who {
            user: format!("watcher-{room}"),
            room: format!("storm-room-{room}"),
            receive_buffer: None,
        });
        let mut watching = JoinSet::new();
        for mut watcher in field.enter(watchers.collect()).await? {
            let mut phase = field.phase.subscribe();
            watching.spawn_local(async move {
                watcher.read_during(&[Phase::Settle], &mut phase).await?;
                Ok(watcher)
            });
        }
        let everybody = || members_of_rooms("storm", 0, clients, members);
        let there = field.enter(everybody()).await?;
        field.pass("everybody is there", 2.0).await;
        let cpu = field.target.cpu_micros()?;
        there.into_iter().for_each(Member::reset);
        let back = come_back(&field, everybody(), window, &mut outcome).await?;
        let cpu = field.target.cpu_micros()? - cpu;
        outcome.figure("server CPU per return", cpu / clients as f64, "µs");
        field.pass("everybody is back", 2.0).await;
        let back = field.compare(back, &mut outcome.faults).await?;
        // Until the grace of the lost connections would be over.
        field.pass("waiting for the grace to pass", 15.0).await;
        field.phase.send_replace(Phase::End);
        let watchers = gather(&mut watching, &mut outcome.faults).await?;
        let watchers = field.compare(watchers, &mut outcome.faults).await?;
        for (number, who) in everybody().into_iter().enumerate() {
            let Some(watcher) = watchers.iter().find(|watcher| watcher.who.room == who.room) else {
                continue;
            };
            let edges = watcher.view.edges(&format!("storm-{number}"));
            outcome.faults.missing += 1_u64.saturating_sub(edges.joins);
            outcome.faults.repeated += edges.joins.saturating_sub(1) + edges.leaves;
        }
        // They were there until now.
        drop(back);
        Ok(outcome)
    }
}

/// Lets everybody come back, each at a time of its own, and measures how long that takes.
async fn come_back(field: &Field, all: Vec<Who>, window: f64, outcome: &mut Outcome) -> Result<Vec<Member>> {
    let mut random = Random::new(1);
    let mut returning = JoinSet::new();
    let start = field.clock.micros();
    let clients = all.len();
    for who in all {
        let wait = random.below((window * 1e6) as usize + 1) as u64;
        let (kind, address) = (field.kind, field.target.address);
        let (ledger, clock) = (field.ledger.clone(), field.clock);
        returning.spawn_local(async move {
            let due = start + wait;
            tokio::time::sleep_until(clock.at(due)).await;
            let member = Member::enter(kind, address, who, &ledger, clock).await?;
            Ok((clock.micros() - due, member))
        });
    }
    let mut took = latencies();
    let mut back = Vec::with_capacity(clients);
    while let Some(returned) = returning.join_next().await {
        match returned? {
            Ok((micros, member)) => {
                took.saturating_record(micros.max(1));
                back.push(member);
            }
            Err(error) => {
                let error: anyhow::Error = error;
                outcome.faults.failure(format!("could not come back: {error:#}"));
            }
        }
    }
    let all_back = Duration::from_micros(field.clock.micros() - start);
    outcome.figure("all back after", all_back.as_secs_f64(), "s");
    outcome.figure("back", back.len() as f64, "clients");
    outcome.latency.push(curve("return to snapshot", &took));
    Ok(back)
}
