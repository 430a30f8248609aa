//! Chance, as a seed decides it.

use crate::random::Random;

/// Draws for one run.
#[derive(Clone, Debug)]
pub(super) struct Dice(Random);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    /// Below `end`, which must not be 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// From `low` up to and including `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low + 1)
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of some; there must be one.
    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// About every `count`th of some, in an order of its own.
    pub(super) fn some_of<T: Clone>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut chosen: Vec<T> = Vec::new();
        for item in from {
            if self.one_in(count) {
                let at = self.below(chosen.len() + 1);
                chosen.insert(at, item.clone());
            }
        }
        chosen
    }
}
