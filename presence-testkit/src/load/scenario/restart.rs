//! `restart`: the server is killed, and started again by whoever runs the scenario. Everybody who was there connects,
//! proves who they are, enters, and is in sync again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use ring::hmac;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Field;
use crate::http;
use crate::load::bare::thread_cpu_micros;
use crate::load::lean::{self, Lean, Name};
use crate::load::ledger::{Ledger, curve, latencies};
use crate::load::outcome::{Faults, Outcome};
use crate::view::View;
use crate::wire::{RoomPresence, ServerMessage};

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Restart {
    /// Clients.
    #[arg(long, default_value_t = 15_000)]
    clients: usize,
    /// Members of a room.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// How many of them are on their way back at the same time; the queue of a listener is not endless.
    #[arg(long, default_value_t = 500)]
    at_once: usize,
    /// What tokens are signed with.
    #[arg(long, default_value = "for-load-tests-for-load-tests-32")]
    token_secret: String,
}

/// How long a server may take to come back.
const AWAY: Duration = Duration::from_secs(30);

/// How often is tried whether it listens.
const KNOCK: Duration = Duration::from_millis(2);

/// What a client was told since it is back. It is looked at later, so that looking takes no time from what is measured.
type Transcript = Rc<RefCell<Vec<Vec<u8>>>>;

impl Restart {
    /// Runs it; `pid` is the server's process.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field, pid: Option<u32>) -> Result<Outcome> {
        let Self { clients, members, at_once, token_secret } = self;
        let parameters = format!("{clients} clients in rooms of {members}, {at_once} at once");
        let mut outcome = Outcome { scenario: "restart".to_owned(), parameters, ..Outcome::default() };
        let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())).context("it needs --pid")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, token_secret.as_bytes());
        let name = |number: usize| Name {
            user: format!("u{number}"),
            room: format!("back-{}", number / members),
            token: Some(token(&key, &format!("u{number}"))),
        };
        let names: Vec<Name> = (0..clients).map(name).collect();
        let before = Lean::enter_all(field.target.address, names.clone()).await?;
        let listening = lean::listen_all(before, |_| |_| {});
        field.pass("everybody is there", 2.0).await;
        kill_process(pid, Signal::KILL)?;
        let killed = field.clock.micros();
        // All have to notice, as they would.
        ensure!(all_cut_off(listening).await? == clients, "not everybody was cut off");
        let listens = knock(field.target.address, &field).await?;
        outcome.figure("killed until it listens", (listens - killed) as f64 / 1e6, "s");
        let own = thread_cpu_micros();
        let back = come_back(&field, &names, at_once, listens, &mut outcome).await?;
        let own = thread_cpu_micros() - own;
        // It has done nothing else since it was started.
        let server = field.target.metric("process_cpu_seconds_total").await? * 1e6;
        outcome.figure("server CPU per return, its start included", server / clients as f64, "µs");
        outcome.figure("the clients' CPU per return", own / clients as f64, "µs");
        // Of those who came after them, too.
        field.calm().await;
        lean::end(back.listening, &mut outcome.faults)?;
        compare(&field, &back.transcripts, members, &mut outcome.faults).await?;
        Ok(outcome)
    }
}

/// Those who are back, and go on listening.
struct Back {
    listening: JoinSet<anyhow::Error>,
    transcripts: Vec<(Name, Transcript)>,
}

/// What a client does with a message.
fn keep(transcript: &Transcript, ledger: &Ledger) -> impl FnMut(&[u8]) + 'static {
    let (transcript, ledger) = (Rc::clone(transcript), ledger.clone());
    move |message| {
        transcript.borrow_mut().push(message.to_vec());
        ledger.borrow_mut().messages += 1;
    }
}

/// A token (RFC 7519) that proves a user for an hour.
fn token(key: &hmac::Key, user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = format!(r#"{{"sub":"{user}","exp":{}}}"#, now + 3600);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let signature = hmac::sign(key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

async fn all_cut_off(mut listening: JoinSet<anyhow::Error>) -> Result<usize> {
    let mut count = 0;
    let all = async {
        while let Some(ended) = listening.join_next().await {
            ended?;
            count += 1;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(AWAY, all).await.context("somebody did not notice that the server is gone")??;
    Ok(count)
}

/// Tries until the server listens; says when that was.
async fn knock(server: SocketAddr, field: &Field) -> Result<u64> {
    let knocking = async {
        while TcpStream::connect(server).await.is_err() {
            tokio::time::sleep(KNOCK).await;
        }
    };
    tokio::time::timeout(AWAY, knocking).await.context("the server does not come back")?;
    Ok(field.clock.micros())
}

/// Lets everybody come back, and measures when each has its snapshot.
async fn come_back(
    field: &Field,
    names: &[Name],
    at_once: usize,
    listens: u64,
    outcome: &mut Outcome,
) -> Result<Back> {
    let gate = Arc::new(Semaphore::new(at_once));
    let mut returning = JoinSet::new();
    for name in names {
        let (gate, name, server, clock) =
            (Arc::clone(&gate), name.clone(), field.target.address, field.clock);
        let ledger = field.ledger.clone();
        returning.spawn_local(async move {
            let _leave = gate.acquire().await?;
            let transcript = Transcript::default();
            let client = Lean::enter(server, name, keep(&transcript, &ledger)).await?;
            anyhow::Ok((clock.micros(), client, transcript))
        });
    }
    let mut back = Back { listening: JoinSet::new(), transcripts: Vec::with_capacity(names.len()) };
    let (mut took, mut last) = (latencies(), listens);
    while let Some(returned) = returning.join_next().await {
        match returned? {
            Ok((at, client, transcript)) => {
                took.saturating_record((at - listens).max(1));
                last = last.max(at);
                let each = keep(&transcript, &field.ledger);
                back.transcripts.push((client.name.clone(), transcript));
                back.listening.spawn_local(client.listen(each));
            }
            Err(error) => outcome.faults.failure(format!("could not come back: {error:#}")),
        }
    }
    let seconds = (last - listens) as f64 / 1e6;
    outcome.figure("all have their snapshot after it listens", seconds, "s");
    outcome.figure("returns", back.transcripts.len() as f64 / seconds, "per s");
    outcome.latency.push(curve("listening to snapshot", &took));
    Ok(back)
}

/// Holds what each was told against what the server says of its room.
async fn compare(
    field: &Field,
    transcripts: &[(Name, Transcript)],
    members: usize,
    faults: &mut Faults,
) -> Result<()> {
    let mut truths: std::collections::BTreeMap<String, RoomPresence> = std::collections::BTreeMap::new();
    for (name, transcript) in transcripts {
        if !truths.contains_key(&name.room) {
            let proof = format!("Bearer {}", name.token.as_deref().unwrap_or_default());
            let path = format!("/v1/rooms/{}/presence", name.room);
            let answer = http::get(field.target.address, &path, &[("Authorization", &proof)]).await?;
            truths.insert(name.room.clone(), answer.json()?);
        }
        let truth = &truths[&name.room];
        let mut view = View::default();
        for message in transcript.borrow().iter() {
            let message = ServerMessage::parse(std::str::from_utf8(message)?)?;
            if message.room() == Some(&name.room)
                && let Err(violation) = view.apply(&message)
            {
                faults.failure(format!("{}: {violation}", name.user));
            }
        }
        if let Some(difference) = view.difference(truth) {
            faults.wrong(format!("{}: {difference}", name.user));
        } else if truth.users.len() != members {
            faults.wrong(format!("{}: {} of {members} are back", name.room, truth.users.len()));
        }
    }
    Ok(())
}
