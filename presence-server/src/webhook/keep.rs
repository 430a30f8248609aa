//! Puts what was said into the store, in its order.

use std::sync::Arc;

use bytes::Bytes;
use presence_core::port::store::Store;
use tokio::sync::watch;
use tracing::{error, warn};

use super::{Kept, Notices, STORE_PAUSE};
use crate::metrics::Metrics;

/// Events that are put into the store at once.
const KEPT_AT_ONCE: usize = 1_000;

/// The only one who adds to what the store keeps for backends.
pub(super) struct Keeper {
    notices: Notices,
    store: Arc<dyn Store>,
    kept: watch::Sender<Kept>,
    held_max: usize,
    metrics: Metrics,
}

impl Keeper {
    pub(super) fn new(
        notices: Notices,
        store: Arc<dyn Store>,
        kept: watch::Sender<Kept>,
        held_max: usize,
        metrics: Metrics,
    ) -> Self {
        Self { notices, store, kept, held_max, metrics }
    }

    /// Until nothing is said any more.
    pub(super) async fn run(self) {
        while let Some(events) = self.notices.take(KEPT_AT_ONCE).await {
            if !self.keep(events).await {
                break;
            }
        }
        self.kept.send_modify(|kept| kept.ending = true);
    }

    /// Whether it could be kept, however long it took.
    async fn keep(&self, events: Vec<Bytes>) -> bool {
        let mut failed = false;
        loop {
            match self.store.keep_notices(events.clone(), self.held_max).await {
                Ok(dropped) => {
                    if dropped > 0 {
                        warn!(dropped, "too many events wait for the backend; the oldest are dropped");
                    }
                    self.metrics.webhook_events_dropped(dropped);
                    let held = self.store.notices_held().await.unwrap_or_default();
                    self.metrics.webhook_events_held(held);
                    self.kept
                        .send_modify(|kept| (kept.held, kept.times) = (held, kept.times.wrapping_add(1)));
                    return true;
                }
                Err(failure) if self.notices.is_closed() => {
                    error!(%failure, events = events.len(), "what a backend was to be told is lost");
                    self.metrics.webhook_events_dropped(events.len() as u64);
                    return false;
                }
                Err(failure) => {
                    if !std::mem::replace(&mut failed, true) {
                        warn!(%failure, "the store does not keep what a backend is to be told; it is tried again");
                    }
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }
}
