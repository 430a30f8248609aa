//! How often something may happen: the generic cell rate algorithm (ITU-T I.371 annex A), which keeps one number for each
//! who is limited. What is accepted never exceeds rate × time + burst (S6).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Timestamp;

/// How often in the long run, and how often at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Microseconds that one takes to be earned again.
    each: u64,
    /// Microseconds that all of a burst take.
    burst: u64,
}

impl Rate {
    /// `count` in every `span`, and `burst` of them at once. Neither can be less than one.
    pub fn new(count: u32, span: Duration, burst: u32) -> Self {
        // Rounded up: never more than was allowed.
        let each = (span.as_micros() as u64).div_ceil(u64::from(count.max(1))).max(1);
        Self { each, burst: each.saturating_mul(u64::from(burst.max(1))) }
    }

    /// `count` in every second, and `burst` of them at once.
    pub fn per_second(count: u32, burst: u32) -> Self {
        Self::new(count, Duration::from_secs(1), burst)
    }

    /// How long a bucket takes from empty to full.
    pub fn refill(&self) -> Duration {
        Duration::from_micros(self.burst)
    }

    /// What a bucket holds after one was paid, or how long to wait.
    fn pay(self, full_at: u64, now: Timestamp) -> Result<u64, Duration> {
        let now = micros(now);
        let paid = full_at.max(now).saturating_add(self.each);
        match (paid - now).checked_sub(self.burst) {
            None | Some(0) => Ok(paid),
            // Times are told in milliseconds, and who waits that long must not come too early.
            Some(missing) => Err(Duration::from_millis(missing.div_ceil(1000))),
        }
    }
}

fn micros(at: Timestamp) -> u64 {
    at.as_millis().saturating_mul(1000)
}

/// What one has left of a [`Rate`]. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it will be full again, in microseconds.
    full_at: u64,
}

impl Bucket {
    /// Pays for one.
    ///
    /// # Errors
    /// How long to wait until there is enough for one; nothing is paid then.
    pub fn pay(&mut self, now: Timestamp, rate: Rate) -> Result<(), Duration> {
        self.full_at = rate.pay(self.full_at, now)?;
        Ok(())
    }

    /// Whether there is enough for one; nothing is paid.
    ///
    /// # Errors
    /// How long to wait until there is.
    pub fn check(&self, now: Timestamp, rate: Rate) -> Result<(), Duration> {
        rate.pay(self.full_at, now).map(|_| ())
    }

    /// Whether it is as good as new, and need not be kept.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= micros(now)
    }
}

/// A [`Bucket`] that several connections pay from.
#[derive(Debug, Default)]
pub struct SharedBucket {
    full_at: AtomicU64,
}

impl SharedBucket {
    /// Goes on from where `bucket` is.
    pub fn new(bucket: Bucket) -> Self {
        Self { full_at: AtomicU64::new(bucket.full_at) }
    }

    /// Pays for one.
    ///
    /// # Errors
    /// As [`Bucket::pay`].
    pub fn pay(&self, now: Timestamp, rate: Rate) -> Result<(), Duration> {
        let mut wait = Duration::ZERO;
        let paid = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            rate.pay(full_at, now).map_err(|told| wait = told).ok()
        });
        paid.map(|_| ()).map_err(|_| wait)
    }

    /// How it stands now.
    pub fn bucket(&self) -> Bucket {
        Bucket { full_at: self.full_at.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Numbers that look random: Lehmer's generator, which is all that a test here needs.
    fn draw(state: &mut u64, below: u64) -> u64 {
        *state = *state * 48_271 % 2_147_483_647;
        *state % below
    }

    /// S6, for any rate, any burst and any order of tries: in every span of time no more than rate × time + burst is
    /// accepted; and what was refused is accepted after the wait that was told, and not a millisecond too late.
    #[test]
    fn s6_no_span_of_time_has_more_than_rate_times_time_and_burst() {
        for seed in 1..=400_u64 {
            let mut state = seed;
            let (count, burst) = (draw(&mut state, 300) as u32 + 1, draw(&mut state, 50) as u32 + 1);
            let span = Duration::from_millis([1_000, 60_000][draw(&mut state, 2) as usize]);
            let rate = Rate::new(count, span, burst);
            let (mut bucket, mut now, mut accepted) = (Bucket::default(), 0, Vec::new());
            let pause = draw(&mut state, 3 * span.as_millis() as u64 / u64::from(count) + 1) + 1;
            for _ in 0..300 {
                now += draw(&mut state, pause);
                match bucket.pay(at(now), rate) {
                    Ok(()) => accepted.push(now),
                    Err(wait) => {
                        let due = now + wait.as_millis() as u64;
                        assert!(!wait.is_zero() && bucket.check(at(due), rate).is_ok(), "seed {seed}");
                        assert!(
                            bucket.check(at(due - 1), rate).is_err(),
                            "seed {seed}: told to wait too long"
                        );
                    }
                }
            }
            for (from, first) in accepted.iter().enumerate() {
                for (to, last) in accepted.iter().enumerate().skip(from) {
                    let earned = u128::from(last - first) * u128::from(count) / span.as_millis();
                    assert!(u128::from(burst) + earned > (to - from) as u128, "seed {seed}");
                }
            }
            assert!(accepted.len() >= burst.min(300) as usize, "seed {seed}: a burst was not let through");
        }
    }

    #[test]
    fn a_shared_bucket_keeps_the_same_law() {
        let (rate, shared) = (Rate::per_second(10, 20), SharedBucket::default());
        let paid = (0..1_000).filter(|_| shared.pay(at(1_000), rate).is_ok()).count();
        assert_eq!(paid, 20);
        assert!(!shared.bucket().is_full(at(2_999)) && shared.bucket().is_full(at(3_000)));
        assert_eq!(SharedBucket::new(shared.bucket()).pay(at(1_000), rate), Err(Duration::from_millis(100)));
    }

    #[test]
    fn a_rate_of_nothing_or_of_everything_does_not_overflow() {
        assert_eq!(Bucket::default().pay(at(0), Rate::per_second(0, 0)), Ok(()));
        assert_eq!(Bucket::default().pay(at(u64::MAX), Rate::per_second(u32::MAX, u32::MAX)), Ok(()));
        assert_eq!(Rate::new(u32::MAX, Duration::ZERO, 1).refill(), Duration::from_micros(1));
    }
}
