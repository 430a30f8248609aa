//! `cursors`: everybody in every room moves a cursor, all the time. Only the latest place of each counts, and a hand-out
//! has all of them in one message.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;
use clap::Args;

use super::Field;
use crate::load::bare::{self, Bursts, Peer, Traffic};
use crate::load::lean::{self, Lean, Name, framed};
use crate::load::ledger::{Latencies, curve, latencies};
use crate::load::outcome::Outcome;
use crate::load::pace::{Pace, Speaker, age, stamp};

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Cursors {
    /// Rooms.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// People in each.
    #[arg(long, default_value_t = 50)]
    people: usize,
    /// Moves of each a second.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
}

/// What begins a hand-out of cursors, what ends it, and what is between two of them.
const CURSORS: &[u8] = b"{\"type\":\"presence:cursors\"";
const LIST: &[u8] = b"\"cursors\":[";
const END: usize = b"]}".len();
const BETWEEN: usize = b",".len();

/// What stands behind the ten digits of a cursor's `x`.
const AFTER_X: usize = br#","y":7}}"#.len();

/// What all clients have heard.
struct Heard {
    measuring: bool,
    updates: u64,
    frames: u64,
    /// Of hand-outs.
    bytes: u64,
    /// Hand-outs whose length is not that of a whole number of cursors.
    odd: u64,
    staleness: Latencies,
    /// By client: the newest place of its neighbour that it has seen, as time.
    newest: Vec<u64>,
}

impl Heard {
    /// All cursors of a run are equally long, so that their number and their places follow from the length of a message
    /// and nobody has to look at every byte of 400 MB a second.
    fn note(&mut self, client: usize, message: &[u8], cursor_len: usize, now: u64) {
        if !message.starts_with(CURSORS) {
            return;
        }
        let Some(begin) = message.windows(LIST.len()).position(|window| window == LIST) else { return };
        let list = message.len() - begin - LIST.len() - END;
        let count = (list + BETWEEN) / (cursor_len + BETWEEN);
        self.odd += u64::from(!(list + BETWEEN).is_multiple_of(cursor_len + BETWEEN));
        let last = &mut self.newest[client];
        for index in 0..count {
            let end = begin + LIST.len() + index * (cursor_len + BETWEEN) + cursor_len - AFTER_X;
            let x = number(&message[end - 10..end]);
            *last = x.max(*last);
            if self.measuring {
                self.staleness.saturating_record(age(x, now).max(1));
            }
        }
        if self.measuring {
            self.updates += count as u64;
            self.frames += 1;
            self.bytes += message.len() as u64;
        }
    }

    /// What a bare loop does in a CPU-second that hears as many moves and makes as many hand-outs, of as many bytes.
    fn beside(
        &self,
        people: usize,
        clients: usize,
        rate: f64,
        seconds: f64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        if self.frames == 0 {
            return Ok(());
        }
        let bytes = (self.bytes / self.frames) as usize;
        let hand_outs = self.frames as f64 / seconds / people as f64;
        let bursts = Some(Bursts { rate: hand_outs, connections: people, bytes });
        let peer = Peer::Speaks(moved(0, 0).len(), rate * clients as f64);
        let bare = bare::cost(Traffic { peers: clients, bursts, peer, answer: 0, lasts: bare::LASTS })?;
        let updates = self.updates as f64 / self.frames as f64 * bare.writes as f64;
        outcome.figure("updates per CPU-second of a bare loop", updates / bare.cpu * 1e6, "");
        Ok(())
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0')))
}

/// A move as a client frames it.
fn moved(room: usize, due: u64) -> Vec<u8> {
    let x = stamp(due);
    framed(&format!(r#"{{"type":"presence:cursor","room":"c{room}","cursor":{{"x":{x},"y":7}}}}"#))
}

fn user(number: usize) -> String {
    format!("u{number:05}")
}

impl Cursors {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { rooms, people, rate, seconds } = self;
        let parameters = format!("{rooms} rooms × {people} people × {rate} moves/s each, {seconds} s");
        let mut outcome = Outcome { scenario: "cursors".to_owned(), parameters, ..Outcome::default() };
        let name =
            |number: usize| Name { user: user(number), room: format!("c{}", number % rooms), token: None };
        let clients = Lean::enter_all(field.target.address, (0..rooms * people).map(name).collect()).await?;
        let voices: Vec<_> = clients.iter().map(Lean::voice).collect();
        let count = clients.len();
        let cursor_len =
            format!(r#"{{"userId":"{}","sessionId":"s","cursor":{{"x":{},"y":7}}}}"#, user(0), stamp(0))
                .len();
        let heard = Rc::new(RefCell::new(Heard {
            measuring: false,
            updates: 0,
            frames: 0,
            bytes: 0,
            odd: 0,
            staleness: latencies(),
            newest: vec![0; count],
        }));
        let listening = lean::listen_all(clients, |client| {
            let (heard, ledger, clock) = (Rc::clone(&heard), field.ledger.clone(), field.clock);
            move |message| {
                ledger.borrow_mut().messages += 1;
                heard.borrow_mut().note(client, message, cursor_len, clock.micros());
            }
        });
        field.begin().await;
        let pace = Pace { start: field.start.get(), every: 1e6 / (rate * count as f64) };
        let speaker = Speaker::start(field.clock, pace, voices, move |number, due| {
            moved(number as usize % count % rooms, due)
        });
        field.pass("warming up", 3.0).await;
        let cpu = field.target.cpu_micros()?;
        heard.borrow_mut().measuring = true;
        field.pass("measuring", seconds).await;
        heard.borrow_mut().measuring = false;
        let cpu = field.target.cpu_micros()? - cpu;
        let said = speaker.stop()?;
        field.pass("settling", 1.0).await;
        lean::end(listening, &mut outcome.faults)?;
        let heard = heard.borrow();
        outcome.faults.failed += heard.odd;
        // The last place of each is one that everybody in its room has to end with: so also the last of the room.
        for (client, newest) in heard.newest.iter().enumerate() {
            let last = (0..said).rev().find(|number| *number as usize % count % rooms == client % rooms);
            let expected = last.map_or(0, |last| stamp(pace.due(last)));
            outcome.faults.missing += u64::from(*newest != expected);
        }
        let updates = heard.updates as f64;
        outcome.figure("updates delivered", updates / seconds, "per s");
        outcome.figure("updates per hand-out", updates / heard.frames.max(1) as f64, "");
        outcome.figure("hand-outs received", heard.frames as f64 / seconds, "per s");
        if cpu > 0.0 {
            outcome.figure("server CPU", cpu / 1e6 / seconds, "cores");
            outcome.figure("updates delivered per server CPU-second", updates / cpu * 1e6, "");
        }
        heard.beside(people, count, rate, seconds, &mut outcome)?;
        outcome.figure("staleness p99", heard.staleness.value_at_percentile(99.0) as f64 / 1000.0, "ms");
        outcome.latency.push(curve("move to receipt", &heard.staleness));
        Ok(outcome)
    }
}
