//! What a plain loop of `send()` costs on this machine, in this run: the physics beside which a server's cost per
//! delivery means something. On loopback the sender also pays for the receiver's side of TCP, here and in the server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

/// Sockets that are written to in turn.
const SOCKETS: usize = 200;

/// How long.
const LASTS: Duration = Duration::from_millis(1500);

/// CPU time that this thread has spent.
pub fn thread_cpu_micros() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
}

/// Connected sockets, both ends of each, that do not wait.
fn pairs(count: usize) -> Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        writers.push(TcpStream::connect(address)?);
        readers.push(listener.accept()?.0);
    }
    for stream in writers.iter().chain(&readers) {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
    }
    Ok((writers, readers))
}

/// CPU microseconds of one `send()` of `bytes` to each of `peers`, `bursts` times a second. The peers sleep until something
/// comes, as those of a server do.
///
/// # Errors
/// If there are no sockets.
pub fn cost_in_bursts(bytes: usize, peers: usize, bursts: f64) -> Result<f64> {
    let (mut writers, readers) = pairs(peers)?;
    let reading = std::thread::spawn(move || sleep_and_read(readers));
    let payload = vec![b'x'; bytes.max(1)];
    let (began, cpu) = (Instant::now(), thread_cpu_micros());
    let (mut sent, mut burst) = (0_u64, 0_u64);
    while began.elapsed() < LASTS {
        let early = Duration::from_secs_f64(burst as f64 / bursts).saturating_sub(began.elapsed());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        for writer in &mut writers {
            sent += u64::from(writer.write(&payload).is_ok());
        }
        burst += 1;
    }
    let spent = thread_cpu_micros() - cpu;
    drop(writers);
    reading.join().expect("the peers only read")?;
    Ok(spent / sent.max(1) as f64)
}

/// Reads until all are closed, each in a task that sleeps until something is there.
fn sleep_and_read(readers: Vec<TcpStream>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut reading = JoinSet::new();
        for reader in readers {
            let reader = tokio::net::TcpStream::from_std(reader)?;
            reading.spawn(async move {
                let mut buffer = [0; 512];
                while reader.readable().await.is_ok() {
                    if reader.try_read(&mut buffer).is_ok_and(|read| read == 0) {
                        break;
                    }
                }
            });
        }
        while reading.join_next().await.is_some() {}
        Ok(())
    })
}

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
