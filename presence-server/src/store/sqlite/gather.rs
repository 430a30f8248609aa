//! When the next commit begins: at once, or after a moment in which calls come to share it.

use std::time::Duration;

/// So many calls in one commit come from many callers, who do not wait for one another: more are on their way.
const MANY: usize = 4;

/// How far apart commits begin that are shared. What a commit costs hardly depends on how many calls it has, and on a fast
/// disk each would have but a few.
#[derive(Debug)]
pub(super) struct Gather {
    span: Duration,
    until: Duration,
}

impl Gather {
    pub(super) fn new(span: Duration) -> Self {
        Self { span, until: Duration::ZERO }
    }

    /// A commit of so many calls begins.
    pub(super) fn begin(&mut self, now: Duration, calls: usize) {
        self.until = if calls >= MANY { now + self.span } else { Duration::ZERO };
    }

    /// How long to let calls come in before the next one begins. Whoever is alone never waits.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_of_many_keep_apart_and_whoever_is_alone_does_not_wait() {
        let at = Duration::from_micros;
        let mut gather = Gather::new(at(2_000));
        assert_eq!(gather.wait(at(0)), Duration::ZERO);
        gather.begin(at(100), MANY);
        assert_eq!(gather.wait(at(500)), at(1_600));
        assert_eq!(gather.wait(at(2_100)), Duration::ZERO);
        gather.begin(at(2_100), MANY - 1);
        assert_eq!(gather.wait(at(2_101)), Duration::ZERO);
    }
}
