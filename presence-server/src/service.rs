//! What the service manager (systemd, or whatever speaks its protocol) is told: that the server is ready, that it stops,
//! and, as long as all shards answer, that it lives. Without `NOTIFY_SOCKET` nobody is told anything.

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::shard::Shards;

/// The server accepts connections.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server goes away.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the server lives, twice as often as is asked for, as long as all shards answer: if one does not, the service
/// manager starts the server anew. Ends with the shards, and at once if nobody asks.
pub async fn watchdog(shards: Shards) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| !within.is_zero()) else { return };
    debug!(within_ms = within.as_millis() as u64, "the service manager watches");
    let mut interval = tokio::time::interval(within / 2);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match tokio::time::timeout(within / 2, shards.answer()).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            Ok(Err(_)) => return,
            Err(_) => warn!("a shard does not answer"),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "cannot tell the service manager");
    }
}
