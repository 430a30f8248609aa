//! Tells the backend what the store keeps for it: the oldest first, a batch at a time, each until it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use presence_core::port::store::{Durability, Store};
use ring::hmac;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::post::{Failure, Letter, Post};
use super::{Kept, STORE_PAUSE, Settings, backoff, event, signature};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::random;

/// The only one who removes from what the store keeps for backends.
pub(super) struct Courier {
    key: hmac::Key,
    post: Post,
    store: Arc<dyn Store>,
    kept: watch::Receiver<Kept>,
    batch_max: usize,
    wait: Duration,
    first_retry: Duration,
    clock: Clock,
    metrics: Metrics,
    road: Road,
    /// What the store's numbers are counted from. Those of a store that ends with the process begin with each process
    /// anew, and a backend would take new events for old ones: so they are counted from the time, in microseconds.
    origin: u64,
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Road {
    /// The last batch was answered.
    Open,
    /// The backend does not take a batch of so many events; so often it has been tried.
    Blocked { events: usize, failures: u32 },
}

impl Courier {
    pub(super) fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        kept: watch::Receiver<Kept>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let Settings { target, key, batch_max, wait, timeout, first_retry, .. } = settings;
        let post = Post::new(target, timeout);
        let origin = match store.durability() {
            Durability::Memory => {
                u64::try_from(clock.now().wall.as_unix_millis()).unwrap_or_default() * 1_000
            }
            Durability::Process | Durability::Disk => 0,
        };
        let road = Road::Open;
        Self { key, post, store, kept, batch_max, wait, first_retry, clock, metrics, road, origin }
    }

    /// Until nothing is added any more, and nothing can be delivered that would be lost.
    pub(super) async fn run(mut self) {
        let ends_with_process = self.store.durability() == Durability::Memory;
        while let Some(events) = self.next().await {
            let delivered = self.deliver(&events).await;
            if self.is_ending() && !(delivered && ends_with_process) {
                break;
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.kept.borrow().ending
    }

    /// The next batch, as soon as there is one; `None` if there will be none. A batch that was not taken comes again
    /// unchanged, unless its events were dropped meanwhile.
    async fn next(&mut self) -> Option<Vec<(u64, Bytes)>> {
        let mut gathered = false;
        loop {
            let times = self.kept.borrow_and_update().times;
            let events = self.read().await?;
            match self.road {
                Road::Blocked { .. } if !events.is_empty() => return Some(events),
                _ if events.is_empty() => {
                    if self.is_ending() {
                        return None;
                    }
                    // Nothing more comes from a keeper that is gone.
                    self.kept.wait_for(|kept| kept.ending || kept.times != times).await.ok()?;
                }
                _ if gathered || events.len() >= self.batch_max || self.is_ending() => return Some(events),
                _ => {
                    let enough = self.batch_max as u64;
                    let more = self.kept.wait_for(|kept| kept.ending || kept.held >= enough);
                    // Whether there is more or the time is over, it goes now.
                    let _ = tokio::time::timeout(self.wait, more).await;
                    gathered = true;
                }
            }
        }
    }

    /// What is oldest in the store, as soon as that answers; `None` if it is not waited for any more.
    async fn read(&mut self) -> Option<Vec<(u64, Bytes)>> {
        let limit = match self.road {
            Road::Open => self.batch_max,
            Road::Blocked { events, .. } => events,
        };
        loop {
            match self.store.notices(limit).await {
                Ok(events) => return Some(events),
                Err(_) if self.is_ending() => return None,
                Err(failure) => {
                    debug!(%failure, "the store does not say what the backend is to be told");
                    self.rest(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Whether the backend has taken it. If not, it has been waited for long enough to try again.
    async fn deliver(&mut self, events: &[(u64, Bytes)]) -> bool {
        let (Some((first, _)), Some((last, _))) = (events.first(), events.last()) else { return true };
        let body = event::batch(self.origin, events);
        let signature = signature::of(&self.key, self.clock.now().wall, &body);
        let began = self.clock.elapsed();
        let outcome = self.post.deliver(&Letter { body, signature, first: self.origin + first }).await;
        let took = self.clock.elapsed() - began;
        self.metrics.webhook_posted(outcome.as_ref().map_or_else(Failure::as_str, |()| "delivered"), took);
        match outcome {
            Ok(()) => {
                debug!(events = events.len(), first, "the backend has been told");
                self.metrics.webhook_events_delivered(events.len() as u64);
                self.road = Road::Open;
                self.forget(*last).await;
                true
            }
            Err(failure) => {
                self.blocked(events.len(), *first, &failure).await;
                false
            }
        }
    }

    async fn blocked(&mut self, events: usize, first: u64, failure: &Failure) {
        let failures = match self.road {
            Road::Open => 1,
            Road::Blocked { failures, .. } => failures.saturating_add(1),
        };
        self.road = Road::Blocked { events, failures };
        let wait = backoff::wait(failures, self.first_retry, random::bits64());
        let wait_ms = wait.as_millis() as u64;
        warn!(%failure, failures, events, first, wait_ms, "the backend has not taken what it was told");
        self.rest(wait).await;
    }

    /// The backend is not told again what it has taken: it is tried until the store forgets it.
    async fn forget(&mut self, last: u64) {
        while let Err(failure) = self.store.forget_notices(last).await {
            warn!(%failure, "the store can not forget what the backend was told; it is tried again");
            if self.is_ending() {
                return;
            }
            self.rest(STORE_PAUSE).await;
        }
        if let Ok(held) = self.store.notices_held().await {
            self.metrics.webhook_events_held(held);
        }
    }

    /// Waits, unless the server stops.
    async fn rest(&mut self, wait: Duration) {
        let stopping = async {
            if self.kept.wait_for(|kept| kept.ending).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(wait, stopping).await;
    }
}
