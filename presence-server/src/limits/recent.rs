//! A map of what was used recently, with a bound: two halves, of which the older is forgotten whenever the newer is full
//! or old. What is used moves to the newer, so nothing is forgotten that was used within the last span.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::time::Duration;

use presence_core::time::Timestamp;

/// Values by key, those that were used recently.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    /// Keys that each half may hold.
    half_max: usize,
    /// How long a half is the newer at most.
    span: Duration,
    turned: Timestamp,
}

impl<K: Eq + Hash, V: Default> Recent<K, V> {
    /// An empty map for at most `max` keys (and at least two), none of which is needed for longer than `span` after its
    /// last use.
    pub(super) fn new(max: usize, span: Duration) -> Self {
        let half_max = (max / 2).max(1);
        Self { newer: HashMap::new(), older: HashMap::new(), half_max, span, turned: Timestamp::default() }
    }

    /// The value of a key, new if there is none.
    pub(super) fn entry(&mut self, now: Timestamp, key: K) -> &mut V {
        if now.since(self.turned) >= self.span {
            self.turn(now);
        }
        if !self.newer.contains_key(&key) && self.newer.len() >= self.half_max {
            self.turn(now);
        }
        let older = &mut self.older;
        let known = older.remove(&key);
        self.newer.entry(key).or_insert_with(|| known.unwrap_or_default())
    }

    /// The value of a key, if there is one.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Takes the value of a key out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.newer.remove(key).or_else(|| self.older.remove(key))
    }

    fn turn(&mut self, now: Timestamp) {
        self.older = mem::take(&mut self.newer);
        self.turned = now;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// Keys that there is room for without growing.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.newer.capacity() + self.older.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut recent: Recent<u32, u32> = Recent::new(100, SPAN);
        *recent.entry(at(0), 1) = 11;
        *recent.entry(at(0), 2) = 22;
        for second in 1..40 {
            assert_eq!(*recent.entry(at(second), 1), 11);
            assert!(second >= 10 || recent.get(&2).is_some(), "forgotten after {second} s");
        }
        assert_eq!((recent.get(&1), recent.get(&2), recent.len()), (Some(&11), None, 1));
    }

    #[test]
    fn never_more_keys_than_allowed() {
        let mut recent: Recent<u32, u32> = Recent::new(1_000, SPAN);
        for key in 0..100_000 {
            *recent.entry(at(0), key) = key;
            assert!(recent.len() <= 1_000);
        }
        assert_eq!((recent.get(&99_999), recent.get(&99_500)), (Some(&99_999), Some(&99_500)));
        assert!(recent.capacity() <= 2_000);
        assert_eq!(recent.remove(&99_999), Some(99_999));
        assert_eq!(recent.get(&99_999), None);
    }
}
