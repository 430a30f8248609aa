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

    /// Rings `mailbox` at `at`. There is no taking it back.
    pub fn set(&self, at: Timestamp, mailbox: Arc<Mailbox>) {
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

impl Default for Pacemaker {
    fn default() -> Self {
        Self::new()
    }
}
