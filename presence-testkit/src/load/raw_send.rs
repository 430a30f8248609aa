//! What a plain loop of `send()` costs on this machine, in this run, to peers that are awake. On loopback the sender also
//! pays for the receiver's side of TCP, here and in the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bare::{pairs, thread_cpu_micros};

/// Sockets that are written to in turn.
const SOCKETS: usize = 200;

/// How long.
const LASTS: Duration = Duration::from_millis(1500);

/// CPU microseconds of one `send()` of `bytes` after the other, to peers that are awake.
///
/// # Errors
/// If there are no sockets.
pub fn cost(bytes: usize) -> Result<f64> {
    let (mut writers, readers) = pairs(SOCKETS)?;
    let draining = std::thread::spawn(move || drain(readers));
    let payload = vec![b'x'; bytes.max(1)];
    let (began, cpu) = (Instant::now(), thread_cpu_micros());
    let mut sent = 0_u64;
    let mut refused = 0.0;
    while began.elapsed() < LASTS {
        for writer in &mut writers {
            let before = thread_cpu_micros();
            match writer.write(&payload) {
                Ok(taken) => sent += u64::from(taken == payload.len()),
                // What a full socket costs is not what a send costs.
                Err(_) => refused += thread_cpu_micros() - before,
            }
        }
    }
    // Reading the clock costs too: count it out.
    let clock = thread_cpu_micros();
    for _ in 0..10_000 {
        std::hint::black_box(thread_cpu_micros());
    }
    let per_reading = (thread_cpu_micros() - clock) / 10_000.0;
    let spent = clock - cpu - refused;
    drop(writers);
    draining.join().expect("the drain only reads");
    Ok(spent / sent.max(1) as f64 - per_reading)
}

/// Reads until all are closed.
fn drain(mut readers: Vec<TcpStream>) {
    let mut buffer = vec![0; 256 * 1024];
    while !readers.is_empty() {
        readers.retain_mut(|reader| match reader.read(&mut buffer) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
    }
}
