//! What happened, line by line: hashed, so that two runs of one seed can be held against each other, and the latest of it
//! kept, so that a violation can be understood.

use std::collections::VecDeque;
use std::fmt::{self, Write};

/// Lines that are kept.
const TAIL: usize = 120;

/// The story of a run.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: u64,
    tail: VecDeque<String>,
    echo: bool,
}

impl Trace {
    /// With `echo` every line is printed at once.
    pub(super) fn new(echo: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, tail: VecDeque::with_capacity(TAIL), echo }
    }

    pub(super) fn note(&mut self, now: u64, what: fmt::Arguments<'_>) {
        let mut line =
            if self.tail.len() < TAIL { String::new() } else { self.tail.pop_front().unwrap_or_default() };
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{:>4}.{:03} {what}", now / 1000, now % 1000);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.echo {
            println!("{line}");
        }
        self.lines += 1;
        self.tail.push_back(line);
    }

    /// The same for two runs in which the same happened.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}
