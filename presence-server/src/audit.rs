//! What was not as it must be: counted, and said in the log, a line a second at most.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use presence_core::audit::Violation;
use presence_core::id::RoomId;
use tracing::error;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// What has been found in this process.
static FOUND: AtomicU64 = AtomicU64::new(0);

/// What of that has been said, or left unsaid for good.
static SAID: AtomicU64 = AtomicU64::new(0);

/// The second, counted from 1, of the last line.
static LAST_LINE: AtomicU64 = AtomicU64::new(0);

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// How often any server of this process has found something that is not as it must be.
pub fn violations() -> u64 {
    FOUND.load(Ordering::Relaxed)
}

/// Counts what was found, and says it.
pub(crate) fn violated(metrics: &Metrics, violations: impl IntoIterator<Item = Violation>) {
    for violation in violations {
        metrics.violated(violation.invariant);
        say(&violation);
    }
}

/// Says what was found and is counted.
pub(crate) fn say(violation: &Violation) {
    let found = FOUND.fetch_add(1, Ordering::Relaxed) + 1;
    let second = CLOCK.elapsed().as_secs() + 1;
    if LAST_LINE.fetch_max(second, Ordering::Relaxed) >= second {
        return;
    }
    let unsaid = found.saturating_sub(SAID.swap(found, Ordering::Relaxed) + 1);
    let Violation { invariant, room, found } = violation;
    let room = room.as_ref().map(RoomId::as_str);
    error!(invariant = invariant.id(), room, found, unsaid, "something is not as it must be: this is a bug");
}

#[cfg(test)]
mod tests {
    use presence_core::audit::{Breaches, Invariant};
    use presence_core::id::RoomId;

    use super::*;

    #[test]
    fn what_is_found_is_counted_by_its_id_and_for_the_whole_process() {
        let metrics = Metrics::new();
        let counted = || {
            let text = metrics.render();
            let line = "presence_invariant_violations_total{id=\"M9\"} ";
            text.lines().find_map(|known| known.strip_prefix(line)?.parse::<u64>().ok()).unwrap()
        };
        let (before, all_before) = (counted(), violations());
        for found in ["once", "and again within the same second"] {
            let mut breaches = Breaches::default();
            breaches.expect(Invariant::Whole, false, || found.to_owned());
            violated(&metrics, breaches.of(Some(&RoomId::lobby())));
        }
        assert_eq!(counted(), before + 2);
        assert!(violations() >= all_before + 2);
    }
}
