//! The scenarios. Each enters its clients, lets them do what it is about, and holds every view against the server's
//! at the end.

pub mod acks;
pub mod attack;
pub mod bigchurn;
pub mod churn;
pub mod crowd;
pub mod cursors;
pub mod fanout;
pub mod idle;
pub mod messages;
pub mod rename;
pub mod restart;
pub mod slow;
pub mod snapshot;
pub mod soak;
pub mod storm;
pub mod unbatched;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};

use super::ledger::{Counts, Ledger, Stopwatch, ledger};
use super::member::{Member, Phase, Sending, Who};
use super::outcome::{Faults, Outcome, Sample};
use super::process::{Target, sample};
use crate::client::Kind;
use crate::http;
use crate::wire::RoomPresence;

/// How many clients shake hands at the same time.
const ENTERING_AT_ONCE: usize = 200;

/// How many clients ask for a room's presence at the same time.
const QUESTIONS_AT_ONCE: usize = 64;

/// How often a view and the server's answer may miss each other because the room moved on in between.
const COMPARISONS: usize = 50;

/// Nothing received for so long: the clients are done reading.
const CALM: Duration = Duration::from_millis(300);

/// What a scenario is run with.
#[derive(Clone, Debug)]
pub struct Field {
    /// The server.
    pub target: Target,
    /// What the clients are connected by.
    pub kind: Kind,
    /// The clock.
    pub clock: Stopwatch,
    /// What is counted.
    pub ledger: Ledger,
    /// What the clients are to do.
    pub phase: watch::Sender<Phase>,
    /// When sending begins, in microseconds of the clock.
    pub start: Rc<Cell<u64>>,
    /// Leave to ask the server something over HTTP: each question is a descriptor.
    asking: Rc<Semaphore>,
}

impl Field {
    /// Everything ready, nobody in it.
    pub fn new(target: Target, kind: Kind) -> Self {
        Self {
            target,
            kind,
            clock: Stopwatch::start(),
            ledger: ledger(),
            phase: watch::Sender::new(Phase::Settle),
            start: Rc::default(),
            asking: Rc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
        }
    }

    /// Enters all, a few at a time.
    ///
    /// # Errors
    /// If one of them cannot.
    pub async fn enter(&self, all: Vec<Who>) -> Result<Vec<Member>> {
        let mut members = Vec::with_capacity(all.len());
        let mut entering = JoinSet::new();
        for who in all {
            while entering.len() >= ENTERING_AT_ONCE {
                members.push(entered(entering.join_next().await)?);
            }
            let (ledger, clock, address) = (self.ledger.clone(), self.clock, self.target.address);
            let kind = self.kind;
            entering.spawn_local(async move { Member::enter(kind, address, who, &ledger, clock).await });
        }
        while !entering.is_empty() {
            members.push(entered(entering.join_next().await)?);
        }
        Ok(members)
    }

    /// Waits until the clients have read all there is.
    pub async fn calm(&self) {
        loop {
            let before = self.ledger.borrow().messages;
            tokio::time::sleep(CALM).await;
            if self.ledger.borrow().messages == before {
                break;
            }
        }
    }

    /// Waits until the clients have read what their coming has caused, then lets them begin.
    pub async fn begin(&self) {
        self.calm().await;
        self.start.set(self.clock.micros() + CALM.as_micros() as u64);
        self.phase.send_replace(Phase::Run);
    }

    /// Sets members to work, each in a task of its own: they read, and from the beginning on send what is theirs to send.
    pub fn set_to_work(
        &self,
        all: Vec<Member>,
        sending: impl Fn(usize) -> Option<Sending>,
    ) -> JoinSet<Result<Member>> {
        let mut working = JoinSet::new();
        for (index, mut member) in all.into_iter().enumerate() {
            let (sending, mut phase, start) =
                (sending(index), self.phase.subscribe(), Rc::clone(&self.start));
            working.spawn_local(async move {
                member.read_during(&[Phase::Settle], &mut phase).await?;
                let sending = sending.map(|sending| sending.after(start.get()));
                member.run_during(sending, &[Phase::Run, Phase::Stall], &mut phase).await?;
                member.read_during(&[Phase::Settle], &mut phase).await?;
                Ok(member)
            });
        }
        working
    }

    /// Lets a time pass, with a word on how it goes.
    pub async fn pass(&self, what: &str, seconds: f64) {
        let before = self.ledger.borrow().messages;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let received = self.ledger.borrow().messages - before;
        eprintln!(
            "  {:6.1} s  {what}: {:.0} messages/s received",
            self.clock.seconds(),
            received as f64 / seconds
        );
    }

    /// Who is in a room, as the server says.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn presence(&self, room: &str) -> Result<RoomPresence> {
        let _leave = self.asking.acquire().await?;
        http::get(self.target.address, &format!("/v1/rooms/{room}/presence"), &[]).await?.json()
    }

    /// Holds every member's view against the server's, all at the same time. Each of them reads on until the last is done:
    /// a ping waits for nobody.
    ///
    /// # Errors
    /// If one of them panicked.
    pub async fn compare(&self, members: Vec<Member>, faults: &mut Faults) -> Result<Vec<Member>> {
        let truths = Truths::default();
        let left = watch::Sender::new(members.len());
        let mut comparing = JoinSet::new();
        for mut member in members {
            let (field, truths, left) = (self.clone(), Rc::clone(&truths), left.clone());
            comparing.spawn_local(async move {
                let compared = field.compare_one(&mut member, &truths).await;
                left.send_modify(|left| *left -= 1);
                let mut done = left.subscribe();
                let read = member.read_until(done.wait_for(|left| *left == 0)).await.map(drop);
                (member, compared.and_then(|difference| read.map(|()| difference)))
            });
        }
        let mut members = Vec::with_capacity(comparing.len());
        while let Some(compared) = comparing.join_next().await {
            let (member, compared) = compared?;
            match compared {
                Ok(None) => {}
                Ok(Some(difference)) => faults.wrong(format!("{}: {difference}", member.who.user)),
                Err(error) => faults.failure(format!("{}: {error:#}", member.who.user)),
            }
            members.push(member);
        }
        Ok(members)
    }

    /// What is different; `None` if nothing is.
    async fn compare_one(&self, member: &mut Member, truths: &Truths) -> Result<Option<String>> {
        let room = member.who.room.clone();
        let mut difference = None;
        for _ in 0..COMPARISONS {
            {
                // Who posts needs a descriptor for it.
                let posting =
                    async { if self.kind != Kind::Ws { self.asking.acquire().await.ok() } else { None } };
                let _posting = member.read_until(posting).await?;
                member.settle().await?;
                member.rest();
            }
            let version = member.view.version();
            let known = truths.borrow().get(&room).filter(|truth| Some(truth.version) == version).cloned();
            let truth = match known {
                Some(truth) => truth,
                None => Rc::new(member.read_until(self.presence(&room)).await??),
            };
            difference = member.view.difference(&truth);
            truths.borrow_mut().insert(room.clone(), truth);
            if difference.is_none() {
                break;
            }
            // Perhaps the room moved on in between.
        }
        Ok(difference)
    }
}

/// What the server has said of each room.
type Truths = Rc<RefCell<BTreeMap<String, Rc<RoomPresence>>>>;

fn entered(entered: Option<Result<Result<Member>, tokio::task::JoinError>>) -> Result<Member> {
    entered.context("nobody is entering")??.context("a client could not enter")
}

/// Runs a scenario on one thread, sampling the server meanwhile.
///
/// # Errors
/// If it cannot be run; what goes wrong while it runs is in the outcome.
pub fn run<F: Future<Output = Result<Outcome>>>(
    target: Target,
    kind: Kind,
    scenario: impl FnOnce(Field) -> F,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let field = Field::new(target, kind);
        let mut series: Vec<Sample> = Vec::new();
        let (clock, counts) = (field.clock, field.ledger.clone());
        let mut outcome = tokio::select! {
            outcome = scenario(field) => outcome?,
            sampling = sample(target, clock, counts, &mut series) => {
                sampling?;
                Outcome::default()
            }
        };
        match target.violations().await {
            Ok(found) => outcome.faults.violated(&found),
            Err(error) => outcome.faults.failure(format!("{error:#}")),
        }
        outcome.series = series;
        Ok(outcome)
    })
}

/// Members of rooms of `size`, named after `prefix`.
pub fn members_of_rooms(prefix: &str, from: usize, to: usize, size: usize) -> Vec<Who> {
    let who = |number: usize| Who {
        user: format!("{prefix}-{number}"),
        room: format!("{prefix}-room-{}", number / size),
        receive_buffer: None,
    };
    (from..to).map(who).collect()
}

/// Carries what the ledger has counted over.
pub fn count(outcome: &mut Outcome, counts: &Counts) {
    outcome.faults.repeated += counts.repeated;
    outcome.faults.merged += counts.merged;
}

/// Waits for clients at work, and gives those that did not fail.
///
/// # Errors
/// If one of them panicked.
pub async fn gather(working: &mut JoinSet<Result<Member>>, faults: &mut Faults) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    while let Some(done) = working.join_next().await {
        match done? {
            Ok(member) => members.push(member),
            Err(error) => faults.failure(format!("{error:#}")),
        }
    }
    Ok(members)
}
