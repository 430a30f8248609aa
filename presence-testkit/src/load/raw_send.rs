//! What a plain loop of `send()` costs on this machine, in this run: the physics beside which a server's cost per
//! delivery means something. On loopback the sender also pays for the receiver's side of TCP, here and in the server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// Sockets that are written to in turn.
const SOCKETS: usize = 200;

/// How long.
const LASTS: Duration = Duration::from_millis(1500);

fn thread_cpu_micros() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
}

/// CPU microseconds of one `send()` of `bytes`.
///
/// # Errors
/// If there are no sockets.
pub fn cost(bytes: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..SOCKETS {
        writers.push(TcpStream::connect(address)?);
        readers.push(listener.accept()?.0);
    }
    for stream in writers.iter().chain(&readers) {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
    }
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
