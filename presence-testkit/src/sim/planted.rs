//! The checker of the checkers: bugs that are planted, and whether they are found.

use presence_core::planted::{Bug, plant};

use super::{Run, Violation};

/// A bug that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The first seed that shows it.
    pub seed: u64,
    /// How. `None`: the model panicked.
    pub violation: Option<Violation>,
}

/// Within how many seeds, from 0 on, a bug has to be found.
pub const fn within(bug: Bug) -> u64 {
    match bug {
        // These take two accidents at the same time, or tight limits.
        Bug::GraceWhileStopping
        | Bug::LaggedUntold
        | Bug::LifeIsProgress
        | Bug::RedeliveryForEver
        | Bug::DroppedUntold => 150,
        _ => 40,
    }
}

/// Plants a bug, and looks for it with the simulator's checkers alone.
pub fn find(bug: Bug) -> Option<Found> {
    plant(Some(bug));
    let found = (0..within(bug)).find_map(|seed| {
        match std::panic::catch_unwind(|| Run { own_audit: false, ..Run::of(seed) }.outcome()) {
            Ok(outcome) => outcome.violation.map(|violation| Found { seed, violation: Some(violation) }),
            Err(_) => Some(Found { seed, violation: None }),
        }
    });
    plant(None);
    found
}
