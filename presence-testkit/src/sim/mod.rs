//! A world under virtual time, in which a seed decides everything: the real shards and sessions, a network that breaks,
//! a server that stops and starts, and clients that are as careful as the protocol page asks. Named checkers look on.
//!
//! The same seed is the same run, whatever the machine does; [`Outcome::hash`] says so.
//!
//! - `plan`, [`Fault`]: what a seed decides beforehand.
//! - `world`, `agenda`: what happens next. `link`: the network. `chaos`: faults as they begin and end.
//! - `server`: one life of the server after the other. `tab`: clients.
//! - `check`: what must hold, named as the invariants are. `planted`: whether bugs are found.

mod agenda;
mod chaos;
mod check;
mod dice;
mod fault;
mod link;
mod plan;
#[cfg(feature = "planted")]
pub mod planted;
mod server;
mod tab;
mod trace;
mod world;

use std::time::Duration;

pub use fault::Fault;
use plan::Plan;
use world::World;

/// How much is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A few users, with a few tabs each: what goes wrong goes wrong with these too, and is found sooner.
    Usual,
    /// So many clients.
    Clients(usize),
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Decides everything.
    pub seed: u64,
    /// How much is to happen.
    pub scale: Scale,
    /// It ends after so many events.
    pub steps: Option<u64>,
    /// The faults that there are; `None`: all kinds.
    pub faults: Option<Vec<Fault>>,
    /// Whether what the server's own checks find counts, too.
    pub own_audit: bool,
    /// Whether what happens is printed as it happens.
    pub echo: bool,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The run's seed.
    pub seed: u64,
    /// The same for every run in which the same happened.
    pub hash: u64,
    /// How much happened.
    pub counts: Counts,
    /// Which faults there were.
    pub faults: Vec<Fault>,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
}

/// How much happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a word for what it counts")]
pub struct Counts {
    pub events: u64,
    pub lines: u64,
    pub lives: u64,
    pub takeovers: u64,
    pub restores: u64,
    pub replays: u64,
    pub snapshots: u64,
    pub full_inboxes: u64,
    pub messages: u64,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: String,
    /// When, in virtual milliseconds.
    pub at: u64,
    /// What was seen.
    pub said: String,
    /// What happened before.
    pub tail: Vec<String>,
}

impl Run {
    /// The usual run of a seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, scale: Scale::Usual, steps: None, faults: None, own_audit: true, echo: false }
    }

    /// Runs it to its end, or to the first violation.
    pub fn outcome(self) -> Outcome {
        let plan = Plan::of(self.seed, self.scale, self.faults.as_deref().unwrap_or(&Fault::ALL));
        let faults = plan.faults.iter().map(|planned| planned.fault).collect();
        World::new(plan, self).run(faults)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
