//! The only place in the workspace's libraries that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use presence_core::time::{Now, Timestamp, WallTime};

/// The time since the server started, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both readings of this moment.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            at: Timestamp::from_millis(self.start.elapsed().as_millis() as u64),
            wall: WallTime::from_unix_millis(wall.as_millis() as i64),
        }
    }

    /// When it will be `at`, for timers.
    pub fn moment(&self, at: Timestamp) -> Instant {
        self.start + Duration::from_millis(at.as_millis())
    }

    /// Time since the server started, finer than [`now`](Self::now): for measuring, not for deciding.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
