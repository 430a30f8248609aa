//! What the clients of a scenario have received, and how long it took.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::outcome::Curve;

/// Percentiles that a curve has.
const PERCENTILES: [f64; 12] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];

/// The clock of a load process, shared by all clients of the process.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the start.
    pub fn micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// The moment `micros` after the start, for the runtime's timers.
    pub fn at(&self, micros: u64) -> tokio::time::Instant {
        (self.0 + Duration::from_micros(micros)).into()
    }
}

/// Latencies in microseconds.
pub type Latencies = Histogram<u64>;

/// An empty distribution: up to a minute, three digits.
pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("these bounds are in order")
}

/// A distribution as a curve.
pub fn curve(name: &str, latencies: &Latencies) -> Curve {
    let point = |percentile: f64| (percentile, latencies.value_at_percentile(percentile) as f64 / 1000.0);
    Curve { name: name.to_owned(), points: PERCENTILES.into_iter().map(point).collect() }
}

/// Counts that all clients share.
#[derive(Debug)]
pub struct Counts {
    /// Messages received.
    pub messages: u64,
    /// Updates received.
    pub deliveries: u64,
    /// Updates put into one with a later one.
    pub merged: u64,
    /// Updates received again, or after a later one.
    pub repeated: u64,
    /// From the intended time of an update to its receipt, while measuring.
    pub latencies: Latencies,
    /// Whether latencies are recorded.
    pub measuring: bool,
}

/// Shared by the clients of one thread.
pub type Ledger = Rc<RefCell<Counts>>;

/// An empty one.
pub fn ledger() -> Ledger {
    Rc::new(RefCell::new(Counts {
        messages: 0,
        deliveries: 0,
        merged: 0,
        repeated: 0,
        latencies: latencies(),
        measuring: false,
    }))
}

/// The last update that one client has had of each other.
#[derive(Debug, Default)]
pub struct Received(BTreeMap<String, u64>);

impl Received {
    /// Notes update `number` of `user`, which was intended for `intended`.
    pub fn note(&mut self, user: &str, number: u64, intended: u64, now: u64, counts: &mut Counts) {
        counts.deliveries += 1;
        if counts.measuring {
            // Beyond the bounds is as bad as at them.
            counts.latencies.saturating_record(now.saturating_sub(intended).max(1));
        }
        let last = match self.0.get_mut(user) {
            Some(last) => last,
            None => self.0.entry(user.to_owned()).or_insert(number - 1),
        };
        if number <= *last {
            counts.repeated += 1;
        } else {
            counts.merged += number - *last - 1;
            *last = number;
        }
    }

    /// The last update of `user`.
    pub fn last(&self, user: &str) -> u64 {
        self.0.get(user).copied().unwrap_or(0)
    }
}
