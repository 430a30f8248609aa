//! The timers of all connections: one wheel and one task, so that an idle connection has no timer of its own (L3).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use presence_core::time::Timestamp;
use presence_core::wheel::Wheel;
use tokio::time::MissedTickBehavior;

use super::mailbox::Mailbox;
use crate::clock::Clock;

/// How late a connection's timer may be.
const SLOT: Duration = Duration::from_millis(25);

/// Timers further ahead than this are not in a hurry: they may be late by a whole [`FAR_SLOT`].
const FAR: Duration = Duration::from_secs(5);

/// Timers that are far ahead ring at multiples of this. Pings that leave together cost less than each by itself: the
/// process, and whoever it shares the machine with, is woken once for all of them.
const FAR_SLOT: Duration = Duration::from_millis(100);

/// Rings mailboxes when they asked for it.
#[derive(Debug)]
pub struct Pacemaker {
    wheel: Mutex<Wheel<Arc<Mailbox>>>,
}

impl Pacemaker {
    /// A pacemaker nobody has asked anything of. [`run`](Self::run) makes it beat.
    pub fn new() -> Self {
        Self { wheel: Mutex::new(Wheel::new(SLOT)) }
    }

    /// Rings `mailbox` at `at`, or a little later. There is no taking it back.
    pub fn set(&self, now: Timestamp, at: Timestamp, mailbox: Arc<Mailbox>) {
        let at = if at.since(now) > FAR { next_far_slot(at) } else { at };
        self.wheel.lock().expect("nothing panics while it holds the wheel").set(at, mailbox);
    }

    /// Beats for ever.
    pub async fn run(&self, clock: Clock) {
        let mut beat = tokio::time::interval(SLOT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Vec::new();
        loop {
            beat.tick().await;
            self.wheel
                .lock()
                .expect("nothing panics while it holds the wheel")
                .sweep(clock.now().at, &mut due);
            for mailbox in due.drain(..) {
                mailbox.ring();
            }
        }
    }
}

fn next_far_slot(at: Timestamp) -> Timestamp {
    let slot = FAR_SLOT.as_millis() as u64;
    Timestamp::from_millis(at.as_millis().div_ceil(slot).saturating_mul(slot))
}

impl Default for Pacemaker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_timers_ring_together_and_none_rings_early() {
        let at = Timestamp::from_millis;
        for (asked, rung) in [(25_000, 25_000), (25_001, 25_100), (25_099, 25_100), (25_101, 25_200)] {
            assert_eq!(next_far_slot(at(asked)), at(rung));
        }
        assert!(next_far_slot(at(u64::MAX)) <= at(u64::MAX));
    }
}
