//! When users were last online, on its way into the store: at connect, at every beat while they are connected, and when
//! they go; many at a time.

use std::time::Duration;

use presence_core::id::UserId;
use presence_core::time::WallTime;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::{People, State};

/// How often is written what waits.
const WRITE: Duration = Duration::from_secs(1);

/// Users in one call of the store.
const BATCH: usize = 1_000;

impl State {
    /// Takes over whom the attendance saw, and what is to be written now. More than `max` are not kept.
    fn take_to_write(&mut self, max: usize) -> (Vec<(UserId, WallTime)>, usize) {
        let mut lost = 0;
        for (user, wall) in self.attendance.take_seen() {
            if self.unwritten.len() >= max && !self.unwritten.contains_key(&user) {
                lost += 1;
                continue;
            }
            let known = self.unwritten.entry(user).or_insert(wall);
            *known = wall.max(*known);
        }
        (self.unwritten.iter().take(BATCH).map(|(user, wall)| (user.clone(), *wall)).collect(), lost)
    }

    /// These are in the store. Who was seen again meanwhile still waits.
    fn written(&mut self, batch: &[(UserId, WallTime)]) {
        for (user, wall) in batch {
            if self.unwritten.get(user) == Some(wall) {
                self.unwritten.remove(user);
            }
        }
    }
}

impl People {
    /// For ever: whoever is connected is online at every beat.
    pub(super) async fn keep_writing_seen(&self) {
        let mut write = tokio::time::interval(WRITE);
        let mut beat = tokio::time::interval(Duration::from_millis(self.beat_millis.max(1)));
        write.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = write.tick() => self.write_seen().await,
                _ = beat.tick() => self.beat(),
            }
        }
    }

    fn beat(&self) {
        let mut after = None;
        loop {
            // The lock is not held for all of them.
            after = self.state().attendance.beat(self.clock.now(), after.as_ref(), BATCH);
            if after.is_none() {
                return;
            }
        }
    }

    /// Writes what waits. What can not be written waits for the next time.
    pub async fn write_seen(&self) {
        loop {
            let (batch, lost) = self.state().take_to_write(self.seen_max);
            if lost > 0 {
                warn!(lost, "too many users wait for their last-online time to be written");
                self.metrics.last_online("lost", lost);
            }
            if batch.is_empty() {
                return;
            }
            if let Err(error) = self.store.seen_online(&batch).await {
                warn!(%error, waiting = batch.len(), "cannot write when users were last online");
                return self.metrics.last_online("failed", batch.len());
            }
            self.metrics.last_online("written", batch.len());
            self.state().written(&batch);
        }
    }
}
