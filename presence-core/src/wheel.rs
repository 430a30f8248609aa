//! A hierarchical timer wheel (Varghese and Lauck 1987, scheme 7): setting a timer costs O(1) and a sweep costs what
//! has come due, however many timers wait. There is no cancelling: who is called looks whether it still matters.

use std::time::Duration;

use crate::time::Timestamp;

const SLOTS: usize = 64;
const LEVELS: usize = 4;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// Timers of many, in slots of one granularity. Fires late by less than one slot, never early.
#[derive(Debug)]
pub struct Wheel<T> {
    slot_millis: u64,
    /// The slot number that has been swept last.
    swept: u64,
    levels: [Vec<Vec<Timer<T>>>; LEVELS],
    waiting: usize,
}

#[derive(Debug)]
struct Timer<T> {
    slot: u64,
    item: T,
}

impl<T> Wheel<T> {
    /// An empty wheel whose timers fire at multiples of `slot`.
    pub fn new(slot: Duration) -> Self {
        let slot_millis = u64::try_from(slot.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            slot_millis,
            swept: 0,
            levels: std::array::from_fn(|_| std::iter::repeat_with(Vec::new).take(SLOTS).collect()),
            waiting: 0,
        }
    }

    /// Hands `item` back at `at`, or at the next sweep if that is past.
    pub fn set(&mut self, at: Timestamp, item: T) {
        let slot = at.as_millis().div_ceil(self.slot_millis).max(self.swept + 1);
        self.waiting += 1;
        self.place(Timer { slot, item });
    }

    fn place(&mut self, timer: Timer<T>) {
        let ahead = timer.slot - self.swept;
        let level = (0..LEVELS - 1).find(|level| ahead < 1 << (SLOT_BITS * (*level as u32 + 1)));
        let level = level.unwrap_or(LEVELS - 1);
        let reach = self.swept + (1 << (SLOT_BITS * LEVELS as u32)) - 1;
        let index = (timer.slot.min(reach) >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        self.levels[level][index].push(timer);
    }

    /// Collects all that is due at `now`, in the order of time and, within a slot, of setting.
    pub fn sweep(&mut self, now: Timestamp, due: &mut Vec<T>) {
        let target = now.as_millis() / self.slot_millis;
        if self.waiting == 0 {
            self.swept = self.swept.max(target);
            return;
        }
        while self.swept < target {
            self.swept += 1;
            self.cascade();
            let index = self.swept as usize % SLOTS;
            // Level 0 reaches less than one turn ahead, so all that is here is due.
            let timers = std::mem::take(&mut self.levels[0][index]);
            self.waiting -= timers.len();
            due.extend(timers.into_iter().map(|timer| timer.item));
        }
    }

    /// At a turn of a lower level, spreads the next slot of the one above over it.
    fn cascade(&mut self) {
        for level in 1..LEVELS {
            if !self.swept.is_multiple_of(1 << (SLOT_BITS * level as u32)) {
                break;
            }
            let index = (self.swept >> (SLOT_BITS * level as u32)) as usize % SLOTS;
            for timer in std::mem::take(&mut self.levels[level][index]) {
                // Due in this very slot: the sweep takes it from level 0 right after.
                if timer.slot <= self.swept {
                    self.levels[0][self.swept as usize % SLOTS].push(timer);
                } else {
                    self.place(timer);
                }
            }
        }
    }

    /// When to sweep next: no timer is due before.
    pub fn next_sweep(&self) -> Option<Timestamp> {
        if self.waiting == 0 {
            return None;
        }
        let to_turn = SLOTS as u64 - self.swept % SLOTS as u64;
        let ahead = (1..to_turn)
            .find(|ahead| !self.levels[0][(self.swept + ahead) as usize % SLOTS].is_empty())
            .unwrap_or(to_turn);
        Some(Timestamp::from_millis((self.swept + ahead) * self.slot_millis))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn every_timer_fires_once_in_order_and_less_than_a_slot_late() {
        let mut wheel = Wheel::new(Duration::from_millis(10));
        // Around each turn of each level, and beyond the reach of the top one.
        let spans: Vec<u64> = [
            1,
            9,
            10,
            11,
            630,
            640,
            641,
            40_950,
            40_960,
            40_970,
            2_621_440,
            2_621_450,
            167_772_160,
            400_000_000,
        ]
        .to_vec();
        for span in &spans {
            wheel.set(at(*span), *span);
        }
        let mut fired = Vec::new();
        while let Some(next) = wheel.next_sweep() {
            let mut due = Vec::new();
            wheel.sweep(next, &mut due);
            for span in &due {
                assert!(at(*span) <= next, "early: {span} at {next:?}");
                assert!(next.since(at(*span)).as_millis() < 10, "late: {span} at {next:?}");
            }
            fired.extend(due);
        }
        assert_eq!(fired, spans);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_long_pause_fires_everything_that_came_due_in_it() {
        let mut wheel = Wheel::new(Duration::from_millis(16));
        for span in (0..100_000).step_by(97) {
            wheel.set(at(span), span);
        }
        let mut due = Vec::new();
        wheel.sweep(at(100_016), &mut due);
        assert_eq!(due.len(), 100_000_usize.div_ceil(97));
        assert!(due.is_sorted());
    }

    #[test]
    fn a_timer_set_for_the_past_fires_at_the_next_sweep() {
        let mut wheel = Wheel::new(Duration::from_millis(10));
        let mut due = Vec::new();
        wheel.sweep(at(5_000), &mut due);
        wheel.set(at(100), "late");
        wheel.sweep(at(5_010), &mut due);
        assert_eq!(due, ["late"]);
    }
}
