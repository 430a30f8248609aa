//! Load: many clients in one process, which check every event they receive and measure how long it took.
//!
//! Open loop: what is sent is sent at its intended time, and latency counts from that time, so a server that falls
//! behind cannot slow its own test down. The clients run on one thread; the server is another process.

pub mod bare;
pub mod hostile;
pub mod lean;
pub mod ledger;
pub mod median;
pub mod member;
pub mod outcome;
pub mod pace;
pub mod plots;
pub mod process;
pub mod raw_send;
pub mod report;
pub mod scenario;
pub mod watcher;
