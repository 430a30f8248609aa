//! `soak`: everything at once, for long. Members stay in rooms and say how they are, guests come and go and some are cut
//! off, others send messages that last. Nothing may be lost, and nothing of the server may grow: memory, descriptors, tasks,
//! what it keeps on disk. When all have gone it must have nothing left of them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::messages::{Named, judge, set_to_work};
use super::{Field, count, gather};
use crate::client::Kind;
use crate::load::ledger::curve;
use crate::load::member::{Member, Phase, Sending, Who};
use crate::load::outcome::{Faults, Outcome, Sample};
use crate::load::process::Target;
use crate::random::Random;

/// How long one set of talkers talks before others take their place.
const TALK: Duration = Duration::from_secs(120);

/// How many guests of a room take turns.
const NAMES: u64 = 100;

/// How long the server may need until it has forgotten everybody: whoever was cut off is waited for.
const FORGETTING: Duration = Duration::from_secs(60);

/// Descriptors that the server opens at the first need and then keeps: its store's readers.
const KEPT_OPEN: f64 = 8.0;

/// A run must be as long as this for what grows to be told from what fills up.
const FILLED: f64 = 20.0 * 60.0;

/// What has to be back where it was when all have gone.
const GONE: [&str; 4] = ["presence_connections", "presence_sessions", "presence_users", "presence_rooms"];

/// Its numbers.
#[derive(Args, Clone, Debug)]
pub struct Soak {
    /// Minutes.
    #[arg(long, default_value_t = 120.0)]
    minutes: f64,
    /// Rooms.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Members of each who stay, half of them over event streams.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Updates a second, by all members together.
    #[arg(long, default_value_t = 40.0)]
    updates: f64,
    /// Guests who come each second, of whom every third is cut off.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Seconds that a guest stays.
    #[arg(long, default_value_t = 5.0)]
    stay: f64,
    /// Members who send messages, five in a room.
    #[arg(long, default_value_t = 20)]
    talkers: usize,
    /// Messages that each of them sends a second.
    #[arg(long, default_value_t = 1.0)]
    messages: f64,
}

/// What must not grow: of what, in what, and by how much it may.
type Bound = (&'static str, fn(&Sample) -> f64, f64, &'static str);

/// All of that. What a quiet server has varies by some of it.
const FLAT: [Bound; 4] = [
    ("memory", |sample| sample.memory, 1.0, "MiB"),
    ("descriptors", |sample| sample.descriptors, 10.0, ""),
    ("tasks", |sample| sample.tasks, 10.0, ""),
    ("on disk", |sample| sample.kept, 1.0, "MiB"),
];

/// By what part of itself each may grow beside.
const PART: f64 = 0.03;

/// Holds the last quarter of a run against its second one. In the first the server fills up with what it keeps.
pub fn hold_flat(outcome: &mut Outcome) {
    let end = outcome.series.last().map_or(0.0, |sample| sample.at);
    if end < FILLED {
        return;
    }
    for (name, of, more, unit) in FLAT {
        let median = |from: f64, to: f64| {
            let within = |sample: &&Sample| (from * end..to * end).contains(&sample.at);
            let mut values: Vec<f64> = outcome.series.iter().filter(within).map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let (early, late) = (median(0.25, 0.5), median(0.75, 0.97));
        outcome.figure(&format!("{name}, second quarter"), early, unit);
        outcome.figure(&format!("{name}, last quarter"), late, unit);
        if late > early * (1.0 + PART) + more {
            outcome.faults.failure(format!("{name} grew from {early:.1} to {late:.1} {unit}"));
        }
    }
}

/// What came of the guests.
#[derive(Default)]
struct Guests {
    came: u64,
    cut: u64,
    faults: Faults,
}

/// What came of the talkers.
#[derive(Default)]
struct Talks {
    acknowledged: u64,
    delivered: u64,
    faults: Faults,
}

impl Soak {
    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn run(self, field: Field) -> Result<Outcome> {
        let Self { minutes, rooms, members, updates, rate, stay, talkers, messages } = self;
        ensure!(rooms * members > 0 && rate > 0.0, "there must be members and guests");
        ensure!(rate * stay < (NAMES * rooms as u64) as f64 / 5.0, "so many guests would meet themselves");
        let parameters = format!(
            "{minutes} min: {rooms} rooms × {members}, {updates} updates/s; {rate} guests/s for {stay} s each; \
             {talkers} talkers × {messages} messages/s"
        );
        let mut outcome = Outcome { scenario: "soak".to_owned(), parameters, ..Outcome::default() };
        let before = Standing::take(field.target).await?;
        let all = self.enter(&field).await?;
        let every = (1e6 * all.len() as f64 / updates.max(1e-3)) as u64;
        let first = |index: usize| every * index as u64 / (rooms * members) as u64;
        let sending = |index| Sending { every, first: first(index), padding: 0 };
        let mut working = field.set_to_work(all, |index| (updates > 0.0).then(|| sending(index)));
        field.begin().await;
        field.ledger.borrow_mut().measuring = true;
        let end = field.clock.micros() + (minutes * 60e6) as u64;
        let (guests, talks) = tokio::join!(self.guests(&field, end), self.talks(&field, end));
        field.ledger.borrow_mut().measuring = false;
        field.phase.send_replace(Phase::Settle);
        field.pass("settling", FORGETTING.as_secs_f64() / 2.0).await;
        field.phase.send_replace(Phase::End);
        let all = gather(&mut working, &mut outcome.faults).await?;
        let all = field.compare(all, &mut outcome.faults).await?;
        super::fanout::missing(&all, &mut outcome);
        for member in all {
            member.leave().await?;
        }
        count(&mut outcome, &field.ledger.borrow());
        take_over(&mut outcome.faults, guests.faults);
        let talks = talks?;
        take_over(&mut outcome.faults, talks.faults);
        outcome.figure("guests", guests.came as f64, "");
        outcome.figure("of whom were cut off", guests.cut as f64, "");
        outcome.figure("acknowledged messages", talks.acknowledged as f64, "");
        outcome.figure("delivered", talks.delivered as f64, "");
        before.compare(field.target, &mut outcome).await?;
        outcome.latency.push(curve("update to receipt", &field.ledger.borrow().latencies));
        Ok(outcome)
    }

    async fn enter(&self, field: &Field) -> Result<Vec<Member>> {
        let mut all = Vec::new();
        for number in 0..self.rooms * self.members {
            let who = Who {
                user: format!("member-{number}"),
                room: format!("soak-{}", number % self.rooms),
                receive_buffer: None,
            };
            let kind = if (number / self.rooms).is_multiple_of(2) { Kind::Ws } else { Kind::Sse };
            all.push(Member::enter(kind, field.target.address, who, &field.ledger, field.clock).await?);
        }
        Ok(all)
    }

    /// Lets guests come and go until the end, by turns over each kind of transport.
    async fn guests(&self, field: &Field, end: u64) -> Guests {
        let mut guests = Guests::default();
        let mut visiting: JoinSet<Result<()>> = JoinSet::new();
        let (start, mut random) = (field.clock.micros(), Random::new(1));
        loop {
            let due = start + (guests.came as f64 * 1e6 / self.rate) as u64;
            if due >= end {
                break;
            }
            tokio::time::sleep_until(field.clock.at(due)).await;
            let (turn, room) = (guests.came / self.rooms as u64, guests.came % self.rooms as u64);
            let who = Who {
                user: format!("guest-{room}-{}", turn % NAMES),
                room: format!("soak-{room}"),
                receive_buffer: None,
            };
            let cut = random.below(3) == 0;
            guests.cut += u64::from(cut);
            guests.came += 1;
            let kind = if turn.is_multiple_of(2) { Kind::Ws } else { Kind::Sse };
            let (field, stay) = (field.clone(), Duration::from_secs_f64(self.stay));
            visiting.spawn_local(visit(field, kind, who, stay, cut));
            while let Some(visited) = visiting.try_join_next() {
                note(visited, &mut guests.faults);
            }
        }
        while let Some(visited) = visiting.join_next().await {
            note(visited, &mut guests.faults);
        }
        guests
    }

    /// Lets talkers talk, others after each other, until the end. All get what was acknowledged to any of them.
    async fn talks(&self, field: &Field, end: u64) -> Result<Talks> {
        let mut talks = Talks::default();
        let run = std::process::id().to_string();
        for turn in 0_u32.. {
            let left = Duration::from_micros(end.saturating_sub(field.clock.micros()));
            if left.is_zero() || self.talkers == 0 {
                break;
            }
            let of_their_own = Field {
                phase: watch::Sender::new(Phase::Settle),
                start: Rc::new(Cell::new(0)),
                ..field.clone()
            };
            let named = Named { members: &format!("{run}-{turn}"), rooms: &run };
            let (shared, mut working) =
                set_to_work(&of_their_own, &named, self.talkers, 5, self.messages).await?;
            of_their_own.start.set(field.clock.micros());
            of_their_own.phase.send_replace(Phase::Run);
            of_their_own.pass("all together", TALK.min(left).as_secs_f64()).await;
            of_their_own.phase.send_replace(Phase::Settle);
            let mut all = Vec::new();
            while let Some(done) = working.join_next().await {
                match done? {
                    Ok(talker) => all.push(talker),
                    Err(error) => talks.faults.failure(format!("{error:#}")),
                }
            }
            judge(&all, &mut talks.faults);
            talks.acknowledged += all.iter().map(|talker| talker.own.len() as u64).sum::<u64>();
            talks.delivered += shared.borrow().deliveries;
        }
        Ok(talks)
    }
}

/// Comes, reads for a while, and goes: in good order, or not.
async fn visit(field: Field, kind: Kind, who: Who, stay: Duration, cut: bool) -> Result<()> {
    let mut visitor = Member::enter(kind, field.target.address, who, &field.ledger, field.clock).await?;
    let reading = async {
        loop {
            visitor.receive().await?;
        }
    };
    let ended: Result<Result<()>, _> = tokio::time::timeout(stay, reading).await;
    match ended {
        Ok(failed) => failed,
        Err(_) if cut => {
            visitor.reset();
            Ok(())
        }
        Err(_) => visitor.leave().await,
    }
}

fn note(visited: Result<Result<()>, tokio::task::JoinError>, faults: &mut Faults) {
    if let Err(error) = visited.map_err(anyhow::Error::from).and_then(|visited| visited) {
        faults.failure(format!("a guest: {error:#}"));
    }
}

fn take_over(faults: &mut Faults, more: Faults) {
    faults.missing += more.missing;
    faults.repeated += more.repeated;
    faults.wrong_views += more.wrong_views;
    faults.failed += more.failed;
    faults.reasons.extend(more.reasons);
}

/// What the server has of its clients.
struct Standing {
    gone: Vec<f64>,
    descriptors: f64,
    tasks: f64,
}

impl Standing {
    async fn take(target: Target) -> Result<Self> {
        let mut gone = Vec::new();
        for name in GONE {
            gone.push(target.total(name).await?);
        }
        let tasks = target.total("presence_tasks").await?;
        Ok(Self { gone, descriptors: target.descriptors()?, tasks })
    }

    /// Waits until the server has forgotten everybody, and says what is left.
    async fn compare(self, target: Target, outcome: &mut Outcome) -> Result<()> {
        let began = std::time::Instant::now();
        loop {
            let after = Self::take(target).await?;
            let same = after.gone == self.gone
                && after.descriptors <= self.descriptors + KEPT_OPEN
                && after.tasks <= self.tasks;
            if same || began.elapsed() > FORGETTING {
                for (name, (left, was)) in GONE.iter().zip(after.gone.iter().zip(&self.gone)) {
                    outcome.figure(&format!("left of {name}"), left - was, "");
                }
                outcome.figure("descriptors left", after.descriptors - self.descriptors, "");
                outcome.figure("tasks left", after.tasks - self.tasks, "");
                outcome.figure("until all was forgotten", began.elapsed().as_secs_f64(), "s");
                if !same {
                    outcome.faults.failure("the server has something left of those who have gone".to_owned());
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
