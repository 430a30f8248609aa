//! Users who were sent away: tokens made before that are good for nothing, however long they would last.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use presence_core::id::UserId;
use presence_core::time::WallTime;

/// Since when tokens count, by user. Lives as long as the process.
#[derive(Debug)]
pub struct Revocations {
    max: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    users: HashMap<UserId, WallTime>,
    /// Since when tokens count, whosever they are: what stands in for users that had to be forgotten.
    all: Option<WallTime>,
}

impl Revocations {
    /// Remembers up to `max` users.
    pub fn new(max: usize) -> Self {
        Self { max, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds the revocations")
    }

    /// From now on tokens of this user that were made before `now` are refused. If that is one user too many, those
    /// who were sent away first are forgotten, and tokens from before that are refused whosever they are.
    pub fn revoke(&self, user: UserId, now: WallTime) {
        let mut known = self.known();
        known.users.insert(user, now);
        if known.users.len() > self.max {
            // All that came before the middle go together, so that this costs little each time.
            let mut times: Vec<WallTime> = known.users.values().copied().collect();
            times.sort_unstable();
            let floor = times[times.len() / 2];
            known.users.retain(|_, since| *since > floor);
            known.all = known.all.max(Some(floor));
        }
    }

    /// Whether a token of this user counts no more that was made at `issued` (Unix milliseconds). One that does not
    /// say when it was made may have been made before.
    pub(super) fn holds(&self, user: &UserId, issued: Option<i64>) -> bool {
        let known = self.known();
        let since = known.users.get(user).copied().max(known.all);
        since.is_some_and(|since| issued.is_none_or(|issued| issued < since.as_unix_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> WallTime {
        WallTime::from_unix_millis(millis)
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn tokens_from_before_are_refused_and_later_ones_are_not() {
        let revocations = Revocations::new(10);
        revocations.revoke(user("ann"), at(5_500));
        for (who, issued, refused) in [
            ("ann", Some(5_000), true),
            ("ann", Some(6_000), false),
            ("ann", None, true),
            ("bob", Some(5_000), false),
            ("bob", None, false),
        ] {
            assert_eq!(revocations.holds(&user(who), issued), refused, "{who} {issued:?}");
        }
    }

    #[test]
    fn who_is_forgotten_is_still_refused() {
        let revocations = Revocations::new(10);
        for second in 0..100 {
            revocations.revoke(user(&format!("user-{second}")), at(second * 1_000 + 500));
            assert!(revocations.known().users.len() <= 10);
        }
        for second in 0..100 {
            assert!(revocations.holds(&user(&format!("user-{second}")), Some(second * 1_000)), "{second}");
        }
        assert!(!revocations.holds(&user("user-0"), Some(100_000)));
        assert!(!revocations.holds(&user("bob"), Some(100_000)));
    }
}
