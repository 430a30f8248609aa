//! How long to wait before a backend that failed is asked again.

use std::time::Duration;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The wait after so many failures in a row: twice as long each time, and by chance up to half shorter, so that the servers
/// that a backend has lost do not all come back at once. `chance` is any number.
pub(super) fn wait(failures: u32, first: Duration, chance: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let longest = first.saturating_mul(1 << doublings).min(WAIT_MAX);
    let half = longest / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    longest - Duration::from_micros(chance % spread.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);

    #[test]
    fn it_doubles_up_to_five_minutes() {
        let longest = |failures| wait(failures, FIRST, 0).as_secs();
        assert_eq!((1..=10).map(longest).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(longest(u32::MAX), 300);
    }

    #[test]
    fn chance_makes_it_up_to_half_shorter_and_never_longer() {
        let mut waits = Vec::new();
        for chance in (0..1_000_u64).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let wait = wait(3, FIRST, chance);
            assert!(wait >= 2 * FIRST && wait <= 4 * FIRST, "{wait:?}");
            waits.push(wait);
        }
        waits.sort();
        assert!(waits[0] < 3 * FIRST && waits[999] > 3 * FIRST, "it is spread");
    }

    #[test]
    fn no_first_wait_is_too_short_or_too_long() {
        assert_eq!(wait(1, Duration::ZERO, u64::MAX), Duration::ZERO);
        assert_eq!(wait(40, Duration::MAX, 0), WAIT_MAX);
    }
}
