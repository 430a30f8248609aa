//! Says things at their intended times, from a thread of its own: a runtime's timers have milliseconds, and whoever reads
//! must not be what delays who speaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::lean::Voice;
use super::ledger::Stopwatch;

/// Times are written with so many digits, so that all messages of a kind have the same length.
const FIRST: u64 = 1_000_000_000;

/// A moment as it is written into a message: microseconds of the stopwatch, always ten digits.
pub fn stamp(micros: u64) -> u64 {
    FIRST + micros
}

/// How long ago a stamp was written, in microseconds.
pub fn age(stamp: u64, now: u64) -> u64 {
    (now + FIRST).saturating_sub(stamp)
}

/// When what is said next is due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the first thing is said, in microseconds of the stopwatch.
    pub start: u64,
    /// Microseconds between two things.
    pub every: f64,
}

impl Pace {
    /// The intended time of something, by its number from 0.
    pub fn due(&self, number: u64) -> u64 {
        self.start + (number as f64 * self.every) as u64
    }
}

/// A thread that speaks.
#[derive(Debug)]
pub struct Speaker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Speaker {
    /// Speaks with one voice after the other, at a pace. `text` frames what is said, by its number and intended time.
    pub fn start(
        clock: Stopwatch,
        pace: Pace,
        voices: Vec<Voice>,
        text: impl Fn(u64, u64) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = pace.due(number);
                let early = due.saturating_sub(clock.micros());
                if early > 0 {
                    // Not for so long that it would not hear that it is to stop.
                    std::thread::sleep(Duration::from_micros(early.min(100_000)));
                    continue;
                }
                let voice = &voices[number as usize % voices.len()];
                voice.say(&text(number, due)).context("the server does not take what is sent")?;
                number += 1;
            }
            Ok(number)
        });
        Self { stop, thread }
    }

    /// Ends it. Says how many things it has said.
    ///
    /// # Errors
    /// If the server did not take one.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the speaker panicked"))?
    }
}
