//! How much one connection may send: a token bucket (RFC 2697 in spirit), and a count of offences.

use std::time::Duration;

use crate::limits::Limits;
use crate::time::Timestamp;

/// Thousandths of a message, so that slow refills are not rounded away.
const UNIT: u64 = 1000;

/// The message budget of one connection. Accepted messages never exceed rate × time + burst (S6).
#[derive(Debug)]
pub(super) struct Budget {
    units: u64,
    at: Timestamp,
}

impl Budget {
    pub(super) fn new(now: Timestamp, limits: &Limits) -> Self {
        Self { units: u64::from(limits.messages_burst) * UNIT, at: now }
    }

    /// Pays for one message.
    ///
    /// # Errors
    /// How long to wait until there is enough for one.
    pub(super) fn pay(&mut self, now: Timestamp, limits: &Limits) -> Result<(), Duration> {
        let rate = u64::from(limits.messages_per_second);
        let refill = (now.since(self.at).as_millis() as u64).saturating_mul(rate);
        self.units = self.units.saturating_add(refill).min(u64::from(limits.messages_burst) * UNIT);
        self.at = now;
        if self.units >= UNIT {
            self.units -= UNIT;
            Ok(())
        } else {
            Err(Duration::from_millis((UNIT - self.units).div_ceil(rate)))
        }
    }
}

/// Offences of one connection within a sliding window of two halves.
#[derive(Debug, Default)]
pub(super) struct Offences {
    count: u32,
    since: Timestamp,
}

impl Offences {
    /// Notes one. Says whether it was one too many.
    pub(super) fn note(&mut self, now: Timestamp, limits: &Limits) -> bool {
        if now.since(self.since) >= limits.abuse_window {
            *self = Self { count: 0, since: now };
        }
        self.count += 1;
        self.count > limits.abuse_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_no_more_than_rate_times_time_and_burst_is_accepted() {
        let limits = Limits { messages_per_second: 10, messages_burst: 20, ..Limits::default() };
        let mut budget = Budget::new(Timestamp::default(), &limits);
        let mut accepted = 0;
        for millis in 0..5_000 {
            accepted += u32::from(budget.pay(Timestamp::from_millis(millis), &limits).is_ok());
        }
        assert_eq!(accepted, 20 + 49);
    }

    #[test]
    fn the_wait_that_is_told_is_long_enough() {
        let limits = Limits { messages_per_second: 3, messages_burst: 3, ..Limits::default() };
        let mut budget = Budget::new(Timestamp::default(), &limits);
        for _ in 0..3 {
            budget.pay(Timestamp::default(), &limits).unwrap();
        }
        let wait = budget.pay(Timestamp::default(), &limits).unwrap_err();
        assert_eq!(wait, Duration::from_millis(334));
        assert_eq!(budget.pay(Timestamp::default() + wait, &limits), Ok(()));
    }

    #[test]
    fn offences_are_forgotten_in_time() {
        let limits = Limits { abuse_max: 2, ..Limits::default() };
        let mut offences = Offences::default();
        let noted = [0, 1, 2].map(|millis| offences.note(Timestamp::from_millis(millis), &limits));
        assert_eq!(noted, [false, false, true]);
        assert!(!offences.note(Timestamp::default() + limits.abuse_window, &limits));
    }
}
