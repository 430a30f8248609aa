//! `acks`: many senders, each alone in a room, who are told of every message that it is safe. What the way from a message
//! to its acknowledgement costs the server.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Result, ensure};
use clap::Args;

use super::Field;
use crate::load::bare::{self, Peer, Traffic};
use crate::load::lean::{self, Lean, Name, framed, number_after};
use crate::load::ledger::curve;
use crate::load::outcome::{Faults, Outcome};
use crate::load::pace::{Pace, Speaker, age, stamp};

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Acks {
    /// Senders.
    #[arg(long, default_value_t = 500)]
    senders: usize,
    /// Messages of each a second.
    #[arg(long, default_value_t = 60.0)]
    rate: f64,
    /// Messages that a sender sends at once.
    #[arg(long, default_value_t = 1)]
    burst: usize,
    /// Bytes of what a message says.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
}

/// What one sender has been told.
#[derive(Clone, Default)]
struct Told {
    acks: u64,
    /// Of the last acknowledgement.
    bytes: usize,
    repeated: u64,
    /// Why the first message was refused that was.
    refused: Option<String>,
}

impl Acks {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { senders, rate, burst, bytes, seconds } = self;
        ensure!(burst > 0 && senders > 0, "somebody must say something");
        let parameters = format!(
            "{senders} senders × {rate} messages/s of {bytes} bytes each, {burst} at once, {seconds} s"
        );
        let mut outcome = Outcome { scenario: "acks".to_owned(), parameters, ..Outcome::default() };
        let name =
            |number: usize| Name { user: format!("u{number}"), room: format!("a{number}"), token: None };
        let clients = Lean::enter_all(field.target.address, (0..senders).map(name).collect()).await?;
        let voices = clients.iter().map(Lean::voice).collect();
        let told = Rc::new(RefCell::new(vec![Told::default(); senders]));
        let listening = lean::listen_all(clients, |index| {
            let (told, ledger, clock) = (Rc::clone(&told), field.ledger.clone(), field.clock);
            move |message| {
                let mut counts = ledger.borrow_mut();
                counts.messages += 1;
                let told = &mut told.borrow_mut()[index];
                if message.starts_with(b"{\"type\":\"error\"") {
                    told.refused.get_or_insert_with(|| String::from_utf8_lossy(message).into_owned());
                }
                let Some(place) = number_after(message, b"\"seq\":") else { return };
                // Places of a stream are given without a gap, and acknowledged in their order.
                told.repeated += u64::from(place != told.acks + 1);
                told.acks += 1;
                told.bytes = message.len();
                counts.deliveries += 1;
                if counts.measuring
                    && let Some(said) = number_after(message, b"\"id\":\"")
                {
                    counts.latencies.saturating_record(age(said, clock.micros()).max(1));
                }
            }
        });
        field.begin().await;
        let every = 1e6 * burst as f64 / (rate * senders as f64);
        let pace = Pace { start: field.start.get(), every };
        let text = text_of(bytes);
        let speaker = Speaker::start(field.clock, pace, voices, move |number, due| {
            (0..burst).flat_map(|part| message(number as usize % senders, due, part, &text)).collect()
        });
        field.pass("warming up", 2.0).await;
        let (cpu, acks) = (field.target.cpu_micros()?, field.ledger.borrow().deliveries);
        field.ledger.borrow_mut().measuring = true;
        field.pass("measuring", seconds).await;
        field.ledger.borrow_mut().measuring = false;
        let cpu = field.target.cpu_micros()? - cpu;
        let acks = (field.ledger.borrow().deliveries - acks) as f64;
        let said = speaker.stop()?;
        field.pass("settling", 2.0).await;
        lean::end(listening, &mut outcome.faults)?;
        judge(&told.borrow(), said, burst as u64, &mut outcome.faults);
        outcome.figure("acknowledged messages", acks / seconds, "per s");
        if cpu > 0.0 {
            outcome.figure("server CPU", cpu / 1e6 / seconds, "cores");
            outcome.figure("acknowledged per server CPU-second", acks / cpu * 1e6, "");
        }
        let answer = told.borrow()[0].bytes;
        // Whoever says several things at once has several answered in one write, and without an answer there is none to count.
        if burst == 1 && answer > 0 {
            let peer = Peer::Speaks(message(0, 0, 0, &text_of(bytes)).len(), rate * senders as f64);
            let bare =
                bare::cost(Traffic { peers: senders, bursts: None, peer, answer, lasts: bare::LASTS })?;
            outcome.figure("answered per CPU-second of a bare loop", 1e6 / bare.of_a_write(), "");
        }
        outcome.latency.push(curve("message to ack", &field.ledger.borrow().latencies));
        Ok(outcome)
    }
}

fn text_of(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// A message as a client frames it.
fn message(room: usize, due: u64, part: usize, text: &str) -> Vec<u8> {
    let said = stamp(due);
    framed(&format!(r#"{{"type":"message","room":"a{room}","id":"{said}-{part}","data":"{text}"}}"#))
}

/// Every message must be acknowledged once.
fn judge(told: &[Told], said: u64, burst: u64, faults: &mut Faults) {
    let senders = told.len() as u64;
    for (number, told) in told.iter().enumerate() {
        let own = (said / senders + u64::from(said % senders > number as u64)) * burst;
        faults.missing += own.saturating_sub(told.acks);
        faults.repeated += told.repeated + told.acks.saturating_sub(own);
        if let Some(refusal) = &told.refused {
            faults.failure(refusal.clone());
        }
    }
}
