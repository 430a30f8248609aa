//! What a plain event loop costs on this machine, in this run, that makes a server's system calls and does nothing else: the
//! physics beside which a server's own cost means something. On loopback the sender also pays for the receiver's side of
//! TCP, here and in the server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Sockets that are told of at once to have something; the server's runtime asks for as many.
const EVENTS_AT_ONCE: usize = 1024;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// How long a bare loop does what a server did, unless that takes longer.
pub const LASTS: Duration = Duration::from_secs(5);

/// How long the peers may sleep before they see that it is over.
const NAP: Duration = Duration::from_millis(50);

/// What goes between a bare server and its peers, who sleep until something comes.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// How many peers, each with a connection.
    pub peers: usize,
    /// What the server says by itself.
    pub bursts: Option<Bursts>,
    /// What peers say.
    pub peer: Peer,
    /// Bytes with which the server answers whatever it has read; 0: it does not.
    pub answer: usize,
    /// For how long.
    pub lasts: Duration,
}

/// Writes that are due together.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    /// So many a second.
    pub rate: f64,
    /// To so many connections each, in turn.
    pub connections: usize,
    /// Bytes of each write.
    pub bytes: usize,
}

/// What peers say.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Nothing.
    Silent,
    /// So many bytes for whatever comes.
    Answers(usize),
    /// So many bytes, so often a second all together.
    Speaks(usize, f64),
}

/// What a bare server did, and what it cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// CPU time of its thread, in microseconds.
    pub cpu: f64,
    /// Writes.
    pub writes: u64,
    /// Reads that found something.
    pub reads: u64,
}

impl Cost {
    /// Microseconds for each write, with all the reads and waits beside it.
    pub fn of_a_write(&self) -> f64 {
        self.cpu / self.writes.max(1) as f64
    }
}

/// CPU time that this thread has spent, in microseconds.
pub fn thread_cpu_micros() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
}

/// Connected sockets, both ends of each, that do not wait.
pub(super) fn pairs(count: usize) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..count {
        ours.push(TcpStream::connect(address)?);
        theirs.push(listener.accept()?.0);
    }
    for stream in ours.iter().chain(&theirs) {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
    }
    Ok((ours, theirs))
}

/// Lets a bare server and its peers do this for a while.
///
/// # Errors
/// If there are no sockets, or one of them fails.
pub fn cost(traffic: Traffic) -> Result<Cost> {
    let (ours, theirs) = pairs(traffic.peers)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let listening = scope.spawn(|| listen(&theirs, traffic.peer, &over));
        let speaking = scope.spawn(|| speak(&theirs, traffic.peer, &over));
        let cost = serve(&ours, traffic);
        over.store(true, Ordering::Relaxed);
        for peers in [listening, speaking] {
            peers.join().map_err(|_| anyhow!("the peers panicked"))??;
        }
        Ok(cost?)
    })
}

/// The server.
fn serve(streams: &[TcpStream], traffic: Traffic) -> io::Result<Cost> {
    let mut events = EventLoop::of(streams)?;
    let answer = vec![b'x'; traffic.answer];
    let payload = vec![b'x'; traffic.bursts.map_or(0, |bursts| bursts.bytes)];
    let (mut cost, mut said, mut next) = (Cost::default(), 0_u64, 0);
    let (began, cpu) = (Instant::now(), thread_cpu_micros());
    while began.elapsed() < traffic.lasts {
        let due =
            traffic.bursts.map_or(traffic.lasts, |bursts| Duration::from_secs_f64(said as f64 / bursts.rate));
        events.turn(due.saturating_sub(began.elapsed()), |mut stream| {
            cost.reads += 1;
            if traffic.answer > 0 && stream.write(&answer).is_ok() {
                cost.writes += 1;
            }
        })?;
        let Some(bursts) = traffic.bursts.filter(|_| began.elapsed() >= due) else { continue };
        for _ in 0..bursts.connections {
            // What a full socket does not take is left out, and not counted.
            cost.writes += u64::from((&streams[next]).write(&payload).is_ok());
            next = (next + 1) % streams.len();
        }
        said += 1;
    }
    cost.cpu = thread_cpu_micros() - cpu;
    Ok(cost)
}

/// The peers, as those who hear.
fn listen(streams: &[TcpStream], peer: Peer, over: &AtomicBool) -> io::Result<()> {
    let mut events = EventLoop::of(streams)?;
    let answer = vec![b'x'; if let Peer::Answers(bytes) = peer { bytes } else { 0 }];
    while !over.load(Ordering::Relaxed) {
        events.turn(NAP, |mut stream| {
            if !answer.is_empty() {
                // A server that does not read any more is over.
                let _ = stream.write(&answer);
            }
        })?;
    }
    Ok(())
}

/// The peers, as those who speak by themselves, one after the other.
fn speak(streams: &[TcpStream], peer: Peer, over: &AtomicBool) -> io::Result<()> {
    let Peer::Speaks(bytes, rate) = peer else { return Ok(()) };
    let text = vec![b'x'; bytes];
    let began = Instant::now();
    for (number, mut stream) in (0_u32..).zip(streams.iter().cycle()) {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let early = Duration::from_secs_f64(f64::from(number) / rate).saturating_sub(began.elapsed());
        if !early.is_zero() {
            thread::sleep(early);
        }
        match stream.write(&text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Sockets, and what tells which of them have something.
struct EventLoop<'a> {
    streams: &'a [TcpStream],
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

impl<'a> EventLoop<'a> {
    fn of(streams: &'a [TcpStream]) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (number, stream) in (0..).zip(streams) {
            epoll::add(&epoll, stream, EventData::new_u64(number), EventFlags::IN)?;
        }
        Ok(Self { streams, epoll, events: Vec::with_capacity(EVENTS_AT_ONCE), buffer: vec![0; READ_AT_ONCE] })
    }

    /// Waits so long until something comes, and reads it.
    fn turn(&mut self, wait: Duration, mut heard: impl FnMut(&TcpStream)) -> io::Result<()> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&wait)) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
            _ => {}
        }
        for event in self.events.drain(..) {
            let mut stream = &self.streams[event.data.u64() as usize];
            if stream.read(&mut self.buffer).is_ok_and(|read| read > 0) {
                heard(stream);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    #[test]
    fn a_bare_server_says_what_is_due_and_hears_the_answers() {
        let bursts = Some(Bursts { rate: 100.0, connections: 10, bytes: 15 });
        let traffic = Traffic { peers: 50, bursts, peer: Peer::Answers(19), answer: 0, lasts: SHORT };
        let cost = cost(traffic).unwrap();
        assert!(cost.writes >= 100 && cost.writes.is_multiple_of(10), "{cost:?}");
        assert!((1..=cost.writes).contains(&cost.reads) && cost.cpu > 0.0, "{cost:?}");
    }

    #[test]
    fn a_bare_server_answers_what_its_peers_say() {
        let peer = Peer::Speaks(100, 1_000.0);
        let cost = cost(Traffic { peers: 20, bursts: None, peer, answer: 80, lasts: SHORT }).unwrap();
        assert!(cost.reads > 0, "{cost:?}");
        assert_eq!(cost.writes, cost.reads);
    }
}
