//! What the next write of a connection is to measure, which is rarely anything.

use std::time::Duration;

use presence_core::time::Timestamp;

use crate::clock::Clock;
use crate::connection::mailbox::Calls;
use crate::metrics::Metrics;

/// Since when something is on its way to the peer, if that is to be measured.
#[derive(Default)]
pub(super) struct Measures(Option<Box<Since>>);

#[derive(Default)]
struct Since {
    /// A change in a room.
    presence: Option<Timestamp>,
    /// A message that lasts, by the finer clock.
    message: Option<Duration>,
}

impl Measures {
    /// Takes over what a call wants measured.
    pub(super) fn note(&mut self, calls: &Calls) {
        if calls.measure.is_some() || calls.message.is_some() {
            let since = self.0.get_or_insert_default();
            since.presence = calls.measure.or(since.presence);
            since.message = calls.message.or(since.message);
        }
    }

    /// It has been written now.
    pub(super) fn tell(&mut self, now: Timestamp, clock: Clock, metrics: &Metrics) {
        let Some(since) = self.0.take() else { return };
        if let Some(arrived) = since.message {
            metrics.message_delivered(clock.elapsed().saturating_sub(arrived));
        }
        if let Some(changed) = since.presence {
            metrics.delivered(now.since(changed));
        }
    }
}
