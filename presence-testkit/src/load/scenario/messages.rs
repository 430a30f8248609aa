//! `messages`: rooms × members × messages a second. Every message that was acknowledged to its sender must reach every
//! member of its room, once and in order; with `--kill` also across the end of a server that is killed meanwhile.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Field;
use crate::client::{Client, Credentials};
use crate::inbox::Misdelivery;
use crate::load::ledger::{Latencies, curve, latencies};
use crate::load::member::Phase;
use crate::load::outcome::{Faults, Outcome};
use crate::random::Random;

/// How many messages a member takes in before it acknowledges them.
const ACK_EVERY: u64 = 16;

/// How long a member that was cut off waits before it tries again.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the last messages may take to reach everybody.
const SETTLING: Duration = Duration::from_secs(60);

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Messages {
    /// Rooms.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Members of each.
    #[arg(long, default_value_t = 5)]
    members: usize,
    /// Messages that each member sends a second.
    #[arg(long, default_value_t = 4.0)]
    rate: f64,
    /// Seconds of sending.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Kills the server at some moment of the sending. Somebody has to start it again.
    #[arg(long)]
    pub kill: bool,
    /// Says which moment: another seed, another moment.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What all members share.
pub(super) struct Shared {
    /// The newest message of each room that was acknowledged to its sender.
    heads: BTreeMap<String, u64>,
    to_ack: Latencies,
    to_delivery: Latencies,
    pub(super) deliveries: u64,
    returns: u64,
}

impl Shared {
    /// Notes what has come to somebody.
    fn note(&mut self, now: u64, fresh: &[Value]) {
        self.deliveries += fresh.len() as u64;
        for data in fresh {
            self.to_delivery.saturating_record(now.saturating_sub(intended(data)).max(1));
        }
    }
}

/// A member at work.
pub(super) struct Talker {
    field: Field,
    shared: Rc<RefCell<Shared>>,
    client: Client,
    who: Credentials,
    room: String,
    /// Sent, and not acknowledged: by id, with what it says.
    open: BTreeMap<String, Value>,
    /// Places of its own messages.
    pub(super) own: BTreeSet<u64>,
    /// What it has taken in when it last acknowledged.
    acked: u64,
}

impl Messages {
    /// Runs it; `pid` is the server's process.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field, pid: Option<u32>) -> Result<Outcome> {
        let Self { rooms, members, rate, seconds, kill, seed } = self;
        ensure!(rooms * members > 0 && rate > 0.0, "there must be members, and they must say something");
        // Not so early that nothing was said, nor so late that nobody speaks afterwards.
        let moment = seconds * (1 + Random::new(seed).below(9_000)) as f64 / 10_000.0;
        let killed = if kill { format!(", killed after {moment:.3} s") } else { String::new() };
        let parameters =
            format!("{rooms} rooms × {members} members × {rate} messages/s each, {seconds} s{killed}");
        let mut outcome = Outcome { scenario: "messages".to_owned(), parameters, ..Outcome::default() };
        let run = std::process::id().to_string();
        let (shared, mut working) =
            set_to_work(&field, &Named { members: &run, rooms: &run }, rooms * members, members, rate)
                .await?;
        let cpu = field.target.cpu_micros()?;
        field.begin().await;
        if kill {
            field.pass("sending", moment).await;
            let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())).context("`--kill` needs --pid")?;
            kill_process(pid, Signal::KILL)?;
            eprintln!("  {:6.1} s  the server is killed", field.clock.seconds());
            field.pass("sending", seconds - moment).await;
        } else {
            field.pass("sending", seconds).await;
        }
        field.phase.send_replace(Phase::Settle);
        let mut all = Vec::new();
        while let Some(done) = working.join_next().await {
            match done? {
                Ok(talker) => all.push(talker),
                Err(error) => outcome.faults.failure(format!("{error:#}")),
            }
        }
        let cpu = field.target.cpu_micros()? - cpu;
        judge(&all, &mut outcome.faults);
        let shared = shared.borrow();
        let messages: usize = all.iter().map(|talker| talker.own.len()).sum();
        outcome.figure("acknowledged messages", messages as f64 / seconds, "/s");
        outcome.figure("deliveries", shared.deliveries as f64 / seconds, "/s");
        if !kill {
            outcome.figure("server CPU per message", cpu / messages.max(1) as f64, "µs");
        }
        let again: usize = all.iter().map(|talker| talker.client.inbox().stream(&talker.room).repeated).sum();
        outcome.figure("came again, and known", again as f64, "");
        outcome.figure("came back", shared.returns as f64, "members");
        outcome.latency.push(curve("message to ack", &shared.to_ack));
        outcome.latency.push(curve("message to receipt", &shared.to_delivery));
        Ok(outcome)
    }
}

pub(super) type Working = JoinSet<Result<Talker>>;

/// How members and rooms are told from those of other times: a server that keeps what is said knows the ids of an
/// earlier run.
pub(super) struct Named<'a> {
    pub(super) members: &'a str,
    pub(super) rooms: &'a str,
}

/// Enters all members, and lets them begin when the field does.
pub(super) async fn set_to_work(
    field: &Field,
    named: &Named<'_>,
    count: usize,
    members: usize,
    rate: f64,
) -> Result<(Rc<RefCell<Shared>>, Working)> {
    let shared = Rc::new(RefCell::new(Shared {
        heads: BTreeMap::new(),
        to_ack: latencies(),
        to_delivery: latencies(),
        deliveries: 0,
        returns: 0,
    }));
    let every = (1e6 / rate) as u64;
    let mut working = JoinSet::new();
    for number in 0..count {
        let room = format!("talk-{}-{}", named.rooms, number / members);
        let who = Credentials::new(&format!("talker-{}-{number}", named.members), "s");
        let client = Client::enter(field.kind, field.target.address, &who, &room).await?;
        let (field, shared) = (field.clone(), Rc::clone(&shared));
        let (open, own) = (BTreeMap::new(), BTreeSet::new());
        let mut talker = Talker { field, shared, client, who, room, open, own, acked: 0 };
        let mut phase = talker.field.phase.subscribe();
        working.spawn_local(async move {
            while *phase.borrow_and_update() == Phase::Settle {
                tokio::select! {
                    changed = phase.changed() => changed?,
                    received = talker.client.next() => { received?; }
                }
            }
            let first = talker.field.start.get() + every * number as u64 / count as u64;
            talker.talk(first, every, &mut phase).await?;
            let settled = tokio::time::timeout(SETTLING, talker.settle()).await;
            settled.with_context(|| format!("{} does not get everything", talker.who.user))??;
            Ok(talker)
        });
    }
    Ok((shared, working))
}

impl Talker {
    async fn talk(&mut self, first: u64, every: u64, phase: &mut watch::Receiver<Phase>) -> Result<()> {
        let mut due = first;
        while *phase.borrow_and_update() == Phase::Run {
            let clock = self.field.clock;
            tokio::select! {
                changed = phase.changed() => changed?,
                () = tokio::time::sleep_until(clock.at(due)) => {
                    let data = json!({"intended": due});
                    due += every;
                    let id = self.client.say(&self.room, &data).await;
                    match id {
                        Ok(id) => { self.open.insert(id, data); }
                        Err(_) => self.come_back().await?,
                    }
                }
                received = self.client.next() => {
                    let result = received.map(|_| ());
                    self.received(result).await?;
                }
            }
        }
        Ok(())
    }

    /// Until everything is acknowledged, and everything that was acknowledged to anybody in the room is here.
    async fn settle(&mut self) -> Result<()> {
        loop {
            let head = self.shared.borrow().heads.get(&self.room).copied().unwrap_or(0);
            let place = self.client.inbox().stream_place(&self.room);
            if self.open.is_empty() && place >= head {
                // Others may still have to hear that theirs is safe.
                let more = tokio::time::timeout(SETTLED, self.client.next()).await;
                match more {
                    Err(_) => return self.client.ack(&self.room).await,
                    Ok(received) => self.received(received.map(|_| ())).await?,
                }
                continue;
            }
            let received = self.client.next().await.map(|_| ());
            self.received(received).await?;
        }
    }

    /// Takes stock after something has come, or the connection has gone.
    async fn received(&mut self, received: Result<()>) -> Result<()> {
        if let Err(error) = received {
            if error.downcast_ref::<Misdelivery>().is_some() {
                return Err(error);
            }
            return self.come_back().await;
        }
        let now = self.field.clock.micros();
        for ack in self.client.take_acks() {
            if let Some(data) = self.open.remove(&ack.id) {
                self.own.insert(ack.seq);
                let mut shared = self.shared.borrow_mut();
                let head = shared.heads.entry(ack.room).or_default();
                *head = ack.seq.max(*head);
                shared.to_ack.saturating_record(now.saturating_sub(intended(&data)).max(1));
            }
        }
        let fresh = self.client.take_fresh(&self.room);
        self.shared.borrow_mut().note(now, &fresh);
        self.field.ledger.borrow_mut().messages += 1;
        let place = self.client.inbox().stream_place(&self.room);
        if place >= self.acked + ACK_EVERY {
            self.acked = place;
            // If it is gone, the next receive tells.
            let _ = self.client.ack(&self.room).await;
        }
        Ok(())
    }

    /// Comes back, asks for what was said meanwhile (to a server that was killed it is somebody new), and sends again
    /// whatever is not known to be safe.
    async fn come_back(&mut self) -> Result<()> {
        let (kind, address) = (self.field.kind, self.field.target.address);
        loop {
            tokio::time::sleep(AGAIN).await;
            let Ok(mut back) = Client::connect(kind, address, &self.who).await else { continue };
            back.take_over(&mut self.client);
            self.client = back;
            if self.client.send(&json!({"type": "presence:join", "room": self.room})).await.is_err() {
                continue;
            }
            let place = self.client.inbox().stream_place(&self.room);
            if self.client.send(&json!({"type": "sync", "cursors": {&self.room: place}})).await.is_err() {
                continue;
            }
            let mut all = true;
            for (id, data) in &self.open {
                let again = json!({"type": "message", "room": self.room, "id": id, "data": data, "ref": id});
                all &= self.client.send(&again).await.is_ok();
            }
            if all {
                self.shared.borrow_mut().returns += 1;
                return Ok(());
            }
        }
    }
}

/// How long nothing comes until a member believes that it is over.
const SETTLED: Duration = Duration::from_secs(2);

fn intended(data: &Value) -> u64 {
    data["intended"].as_u64().unwrap_or(0)
}

/// Holds what everybody has against what was acknowledged to anybody.
pub(super) fn judge(all: &[Talker], faults: &mut Faults) {
    let mut rooms: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for talker in all {
        for place in &talker.own {
            if !rooms.entry(&talker.room).or_default().insert(*place) {
                faults.failure(format!("{}: two messages have place {place}", talker.room));
            }
        }
    }
    for talker in all {
        let stream = talker.client.inbox().stream(&talker.room);
        let places: Vec<u64> = stream.applied.iter().map(|created| created.seq).collect();
        faults.repeated += places.windows(2).filter(|pair| pair[0] >= pair[1]).count() as u64;
        let has: BTreeSet<u64> = places.into_iter().chain(talker.own.iter().copied()).collect();
        let missing = rooms.get(talker.room.as_str()).map_or(0, |kept| kept.difference(&has).count());
        faults.missing += missing as u64;
    }
}
