//! When a shard wakes by itself.

use std::pin::Pin;
use std::time::Duration;

use presence_core::time::Timestamp;
use tokio::time::Sleep;

use crate::clock::Clock;

/// How long a shard with nothing to do sleeps at most.
const IDLE: Duration = Duration::from_secs(3600);

/// A timer that is set once for all that happens until it rings: to set one is more work than most messages are.
pub(super) struct Alarm {
    clock: Clock,
    at: Timestamp,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, at: clock.now().at + IDLE, sleep: Box::pin(tokio::time::sleep(IDLE)) }
    }

    /// Rings then, if not earlier: whoever is woken too early finds nothing to do.
    pub(super) fn set(&mut self, next: Option<Timestamp>) {
        let has_rung = self.sleep.is_elapsed();
        let at = match next {
            Some(at) if has_rung || at < self.at => at,
            None if has_rung => self.clock.now().at + IDLE,
            Some(_) | None => return,
        };
        self.at = at;
        self.sleep.as_mut().reset(self.clock.moment(at).into());
    }

    /// Waits until it rings.
    pub(super) async fn rings(&mut self) {
        self.sleep.as_mut().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_for_the_earliest_and_then_for_the_next() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let (soon, later) =
            (clock.now().at + Duration::from_millis(5), clock.now().at + Duration::from_millis(15));
        alarm.set(Some(later));
        alarm.set(Some(soon));
        alarm.set(Some(later));
        alarm.set(None);
        alarm.rings().await;
        let first = clock.now().at;
        alarm.set(Some(later));
        alarm.rings().await;
        assert!(soon <= first && later <= clock.now().at);
    }
}
