//! How good a connection is, from its round trips (L4).

use std::time::Duration;

use super::Session;
use crate::limits::Limits;
use crate::time::Now;

/// How good a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Round trips take no longer than [`Limits::poor_rtt`].
    Good,
    /// They take longer, or the peer does not keep up with reading.
    Poor,
    /// Nothing has been heard for [`Limits::silence`] after a ping.
    Disconnected,
}

impl Quality {
    /// Every quality, for metrics and documents.
    pub const ALL: [Quality; 3] = [Self::Good, Self::Poor, Self::Disconnected];

    /// What a round trip says.
    pub fn of(rtt: Duration, limits: &Limits) -> Self {
        if rtt > limits.poor_rtt { Self::Poor } else { Self::Good }
    }

    /// The quality as the wire and the metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Poor => "poor",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Session {
    /// How good the connection is, once anything is known of that.
    pub fn quality(&self, now: Now) -> Option<Quality> {
        if self.heartbeat.unanswered(now.at) >= self.limits.silence {
            return Some(Quality::Disconnected);
        }
        if self.stalled.is_some() {
            return Some(Quality::Poor);
        }
        self.heartbeat.rtt().map(|rtt| Quality::of(rtt, &self.limits))
    }
}
