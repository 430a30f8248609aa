//! `snapshot`: who is in a room, asked again and again over HTTP. Nothing changes meanwhile, so all answers can be the same
//! bytes, packed for those who can unpack them; who says what it has may be told that this is still so.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Field;
use crate::http;
use crate::load::lean::{self, Lean, Name};
use crate::load::ledger::curve;
use crate::load::outcome::Outcome;
use crate::wire::RoomPresence;

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Snapshot {
    /// People in the room.
    #[arg(long, default_value_t = 1000)]
    people: usize,
    /// Connections over which is asked, on each one question after the other.
    #[arg(long, default_value_t = 32)]
    askers: usize,
    /// Seconds of each of the two measurements.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
}

const ROOM: &str = "asked";

/// What who can unpack an answer says.
const PACKED: &str = "Accept-Encoding: gzip\r\n";

impl Snapshot {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { people, askers, seconds } = self;
        let parameters = format!("a room of {people}, {askers} who ask, {seconds} s");
        let mut outcome = Outcome { scenario: "snapshot".to_owned(), parameters, ..Outcome::default() };
        let name = |number: usize| Name { user: format!("u{number}"), room: ROOM.to_owned(), token: None };
        let clients = Lean::enter_all(field.target.address, (0..people).map(name).collect()).await?;
        let listening = lean::listen_all(clients, |_| {
            let ledger = field.ledger.clone();
            move |_| ledger.borrow_mut().messages += 1
        });
        field.begin().await;
        let first = Asker::dial(field.target.address).await?.ask("").await?;
        let known = format!("If-None-Match: {}\r\n", first.etag);
        let truth = field.presence(ROOM).await?;
        ensure!(truth.users.len() == people, "{} of {people} are in the room", truth.users.len());
        outcome.figure("bytes of an answer", first.bytes as f64, "");
        let packed = Asker::dial(field.target.address).await?.ask(PACKED).await?;
        ensure!(packed.bytes < first.bytes / 2, "{} of {} bytes are left", packed.bytes, first.bytes);
        let path = format!("/v1/rooms/{ROOM}/presence");
        let unpacked: RoomPresence =
            http::get(field.target.address, &path, &[("Accept-Encoding", "gzip")]).await?.json()?;
        ensure!(unpacked.users == truth.users, "what is packed is something else");
        outcome.figure("bytes of a packed answer", packed.bytes as f64, "");
        for (what, header, status) in
            [("whole", "", 200), ("packed", PACKED, 200), ("unchanged", known.as_str(), 304)]
        {
            measure(&field, &mut outcome, (what, header, status), askers, seconds).await?;
        }
        lean::end(listening, &mut outcome.faults)?;
        Ok(outcome)
    }
}

/// Lets all ask the same for a while.
async fn measure(
    field: &Field,
    outcome: &mut Outcome,
    (what, header, status): (&str, &str, u16),
    askers: usize,
    seconds: f64,
) -> Result<()> {
    let mut asking = JoinSet::new();
    let (clock, target) = (field.clock, field.target);
    let cpu = target.cpu_micros()?;
    let until = clock.micros() + Duration::from_secs_f64(seconds).as_micros() as u64;
    for _ in 0..askers {
        let (header, ledger) = (header.to_owned(), field.ledger.clone());
        asking.spawn_local(async move {
            let mut asker = Asker::dial(target.address).await?;
            let mut answers = 0_u64;
            loop {
                let began = clock.micros();
                if began >= until {
                    return anyhow::Ok(answers);
                }
                let answer = asker.ask(&header).await?;
                ensure!(answer.status == status, "the answer was {}, not {status}", answer.status);
                ledger.borrow_mut().latencies.saturating_record((clock.micros() - began).max(1));
                answers += 1;
            }
        });
    }
    let mut answers = 0;
    while let Some(asked) = asking.join_next().await {
        answers += asked??;
    }
    let cpu = target.cpu_micros()? - cpu;
    outcome.figure(&format!("{what}: answers"), answers as f64 / seconds, "per s");
    if cpu > 0.0 {
        outcome.figure(&format!("{what}: answers per server CPU-second"), answers as f64 / cpu * 1e6, "");
        outcome.figure(&format!("{what}: server CPU of an answer"), cpu / answers.max(1) as f64, "µs");
    }
    let mut counts = field.ledger.borrow_mut();
    outcome.latency.push(curve(&format!("{what}: question to answer"), &counts.latencies));
    counts.latencies.reset();
    Ok(())
}

/// A connection over which is asked.
struct Asker {
    stream: TcpStream,
    input: Vec<u8>,
}

/// What there is to say of an answer.
struct Answer {
    status: u16,
    etag: String,
    bytes: usize,
}

impl Asker {
    async fn dial(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(512 * 1024) })
    }

    /// Asks, and reads all of the answer.
    async fn ask(&mut self, header: &str) -> Result<Answer> {
        let request = format!("GET /v1/rooms/{ROOM}/presence HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.input.clear();
        let end = loop {
            self.more().await?;
            if let Some(end) = self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.input[..end]).into_owned();
        let value = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            Some(line[name.len()..].trim().to_owned())
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let bytes = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.input.len() < end + bytes {
            self.more().await?;
        }
        Ok(Answer { status, etag: value("etag:").unwrap_or_default(), bytes })
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.stream.read_buf(&mut self.input).await? > 0, "the server closed");
        Ok(())
    }
}
