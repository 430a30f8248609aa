//! What is counted of things that are not as they must be. All of it stays 0.

use metrics::{Counter, counter};
use presence_core::audit::Invariant;
use presence_core::shard::Tally;
use presence_core::wire::SnapshotReason;

use super::{DRIFT, Metrics, VIOLATIONS};

/// Rosters that were not what was told of them.
#[derive(Clone)]
pub(super) struct Drift {
    /// A digest was not its room's.
    by_server: Counter,
    /// A client at the server's version had another one.
    by_client: Counter,
}

impl Drift {
    pub(super) fn new() -> Self {
        let by = |found_by: &'static str| counter!(DRIFT, "found_by" => found_by);
        Self { by_server: by("server"), by_client: by("client") }
    }
}

/// One for each invariant, all there from the start: what is counted for the first time could not be seen to rise.
pub(super) fn violations() -> [Counter; Invariant::ALL.len()] {
    Invariant::ALL.map(|invariant| counter!(VIOLATIONS, "id" => invariant.id()))
}

impl Metrics {
    pub(crate) fn violated(&self, invariant: Invariant) {
        self.violations[invariant as usize].increment(1);
    }

    /// Carries over what a shard has found since `told`.
    pub(super) fn audited(&self, tally: &Tally, told: &Tally) {
        for (counter, (now, before)) in
            self.violations.iter().zip(tally.violations.iter().zip(&told.violations))
        {
            counter.increment(now - before);
        }
        let drift = SnapshotReason::Drift as usize;
        self.drift.by_server.increment(tally.drift - told.drift);
        self.drift.by_client.increment(tally.snapshots[drift] - told.snapshots[drift]);
    }
}
