//! Time as the model knows it: numbers that come in with every input. Nothing here can read a clock.

use std::fmt;
use std::num::{NonZeroI64, NonZeroU64};
use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds of monotonic time since the node started. Decides everything; never shown to anyone.
///
/// Kept as one more than it is, so that none is kept in no more room than one: connections keep many deadlines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The moment `millis` milliseconds after the node's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the node's start.
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()))
    }
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.as_millis())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(whole_millis(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, span: Duration) -> Timestamp {
        Timestamp::from_millis(self.as_millis().saturating_sub(whole_millis(span)))
    }
}

/// Unix milliseconds, as people see them. Shown on the wire; decides nothing about membership.
///
/// From 1970 on kept as one more than it is, so that none is kept in no more room than one: it is kept of everybody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(NonZeroI64);

impl WallTime {
    /// The moment `millis` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_millis(millis: i64) -> Self {
        let kept = if millis < 0 { millis } else { millis.saturating_add(1) };
        Self(NonZeroI64::new(kept).expect("what would be zero is one more"))
    }

    /// Milliseconds after 1970-01-01T00:00:00Z.
    pub const fn as_unix_millis(self) -> i64 {
        let kept = self.0.get();
        if kept < 0 { kept } else { kept - 1 }
    }
}

impl Default for WallTime {
    fn default() -> Self {
        Self::from_unix_millis(0)
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WallTime({})", self.as_unix_millis())
    }
}

/// Both readings of one moment; every `handle_*` takes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: what deadlines are compared with.
    pub at: Timestamp,
    /// Wall clock: what is written into messages.
    pub wall: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Timestamp::from_millis(u64::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(Timestamp::default() - Duration::from_secs(1), Timestamp::default());
        assert_eq!(Timestamp::default().since(late), Duration::ZERO);
    }

    #[test]
    fn wall_times_before_and_after_1970_are_in_order_and_none_takes_no_room() {
        let moments = [i64::MIN, -2, -1, 0, 1, 2, i64::MAX - 1];
        let times = moments.map(WallTime::from_unix_millis);
        assert_eq!(times.map(WallTime::as_unix_millis), moments);
        assert!(times.is_sorted_by(|earlier, later| earlier < later));
        assert_eq!(size_of::<Option<WallTime>>(), size_of::<WallTime>());
    }
}
