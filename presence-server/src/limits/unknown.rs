//! How many connections may be open whose user is not known yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Bound, Refused, UNTIL_SOMEBODY_LEAVES};

/// Counts connections of nobody in particular.
#[derive(Clone, Debug)]
pub struct UnknownLimit {
    open: Arc<AtomicUsize>,
    max: usize,
}

/// One of them, for as long as the value lives.
#[derive(Debug)]
pub struct UnknownPlace(Arc<AtomicUsize>);

impl Drop for UnknownPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UnknownLimit {
    /// At most `max`.
    pub fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// One more.
    ///
    /// # Errors
    /// If there are as many as there may be.
    pub fn enter(&self) -> Result<UnknownPlace, Refused> {
        // Made first, so that what is refused is taken back by its end.
        let place = UnknownPlace(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) < self.max {
            Ok(place)
        } else {
            Err(Refused { bound: Bound::Unauthenticated, retry_after: UNTIL_SOMEBODY_LEAVES })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room() {
        let limit = UnknownLimit::new(2);
        let (first, _second) = (limit.enter().unwrap(), limit.enter().unwrap());
        assert_eq!(limit.enter().unwrap_err().bound, Bound::Unauthenticated);
        assert!(limit.enter().is_err());
        drop(first);
        assert!(limit.enter().is_ok());
    }
}
