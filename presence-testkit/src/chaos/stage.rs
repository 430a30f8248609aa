//! Where a row plays: a server, a crowd, and their history; and how every row ends: faults off, everybody agrees in time, and
//! then the ledger.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, Expected, Route, Size, USUAL, disagreement};
use super::history::{Entry, Event, History, Sight, now};
use super::ledger::{Ledger, judge};
use super::seat::letter;
use super::site::{Site, TIMES};
use super::tab::Phase;
use crate::random::Random;

/// How long all may take to enter.
pub const ENTERING: Duration = Duration::from_secs(60);

/// How long after the last fault everybody may take to agree.
const AGREEING: Duration = Duration::from_secs(90);

/// How often it is looked whether they do.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked whether this process is late.
const PULSE: Duration = Duration::from_millis(50);

/// How many things that are not as they should be are written down.
const WRONG_MAX: usize = 10;

/// What a row is run with.
#[derive(Clone, Debug)]
pub struct Given {
    /// The server's binary.
    pub server: PathBuf,
    /// This program, which starts itself again as the clients of a process of their own.
    pub own: PathBuf,
    /// Another seed, another run.
    pub seed: u64,
}

/// How a row ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// It was played.
    Played(Verdict),
    /// This machine, or this user, can not have that fault.
    Skipped(String),
}

/// What a row came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// What was counted.
    pub ledger: Ledger,
    /// What else was measured.
    pub figures: Vec<String>,
    /// Seconds from the end of the faults until everybody agreed.
    pub settled: f64,
    /// What happened, for those who want to know where a finding comes from.
    #[serde(skip)]
    pub history: Vec<Entry>,
}

/// Everybody connects to this address.
pub fn straight(address: SocketAddr) -> Route {
    Box::new(move |_| (address, None))
}

/// A server with a crowd.
#[derive(Debug)]
pub struct Stage {
    /// The server.
    pub site: Site,
    /// The clients.
    pub crowd: Crowd,
    /// What happens.
    pub history: History,
    /// For what a row leaves to chance.
    pub random: Random,
    /// What else was measured.
    pub figures: Vec<String>,
    /// Who is there beside the crowd.
    pub others: Expected,
    rooms: u32,
    lag: Rc<Cell<u64>>,
    _watching: JoinSet<()>,
}

/// Measures by how much this process is late, in microseconds: on a machine that has much else to do others are as well.
async fn watch_lag(worst: Rc<Cell<u64>>) {
    loop {
        let due = now() + PULSE.as_micros() as u64;
        sleep(PULSE).await;
        worst.set(worst.get().max(now().saturating_sub(due)));
    }
}

impl Stage {
    /// A server with these settings, and the usual crowd in it.
    ///
    /// # Errors
    /// If it does not start, or not all come in.
    pub async fn usual(given: &Given, settings: &[(&str, &str)]) -> Result<Self> {
        let mut site = Site::new(&given.server, TIMES, settings)?;
        site.start().await?;
        let address = site.address;
        Self::set(given, site, USUAL, &straight(address)).await
    }

    /// A server that runs, and a crowd that comes by a route.
    ///
    /// # Errors
    /// If not all come in.
    pub async fn set(given: &Given, site: Site, size: Size, route: &Route) -> Result<Self> {
        let (history, lag, mut watching) = (History::default(), Rc::<Cell<u64>>::default(), JoinSet::new());
        watching.spawn_local(watch_lag(Rc::clone(&lag)));
        let crowd = Crowd::gather(size, 0, site.times, given.seed, &history, route);
        crowd.all_in(ENTERING).await?;
        crowd.tell(Phase::Act);
        Ok(Self {
            site,
            crowd,
            history,
            random: Random::new(given.seed ^ 0x5eed),
            figures: Vec::new(),
            others: Expected::new(),
            rooms: size.rooms,
            lag,
            _watching: watching,
        })
    }

    /// Lets a time pass.
    pub async fn pass(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Between two times, as chance has it.
    pub async fn pass_between(&mut self, least: f64, most: f64) {
        let part = self.random.below(1_000) as f64 / 1_000.0;
        self.pass(least + (most - least) * part).await;
    }

    /// Notes that tabs are cut off, for as long as that is done.
    pub async fn cut_for(&self, tabs: &[u32], seconds: f64) {
        tabs.iter().for_each(|tab| self.history.note(Event::Cut { tab: *tab }));
        self.pass(seconds).await;
        tabs.iter().for_each(|tab| self.history.note(Event::Mended { tab: *tab }));
    }

    /// How many leaves of these users the others have seen since a moment.
    pub fn leaves(&self, users: &[u32], since: u64) -> usize {
        let is_one = |entry: &&Entry| match entry.event {
            Event::Went { user, by: Sight::Event, .. } => entry.at >= since && users.contains(&user),
            _ => false,
        };
        self.history.entries().iter().filter(is_one).count()
    }

    /// Writes down a number.
    pub fn figure(&mut self, words: String) {
        self.figures.push(words);
    }

    /// Kills the server and starts it again after a while. Says how long the start took.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn kill_and_start(&mut self, pause: f64) -> Result<Duration> {
        self.history.note(Event::Down);
        self.history.note(Event::Forgotten);
        self.site.kill();
        self.pass(pause).await;
        let took = self.site.start().await?;
        self.history.note(Event::Up);
        Ok(took)
    }

    /// Faults are off: waits until everybody agrees.
    pub async fn settle(&mut self) -> f64 {
        self.crowd.tell(Phase::Quiet);
        let began = Instant::now();
        loop {
            let wrong = match disagreement(&self.site, &self.crowd, &self.others, self.rooms).await {
                Ok(wrong) => wrong,
                Err(error) => vec![format!("{error:#}")],
            };
            if wrong.is_empty() {
                return began.elapsed().as_secs_f64();
            }
            if began.elapsed() > AGREEING {
                wrong
                    .into_iter()
                    .take(WRONG_MAX)
                    .for_each(|what| self.history.note(Event::Diverged { what }));
                return began.elapsed().as_secs_f64();
            }
            sleep(LOOK).await;
        }
    }

    /// Reads everything that was said, as the server has it now.
    async fn read_all(&self) -> Result<()> {
        for room in 0..self.rooms {
            for created in self.site.messages(room).await?.messages {
                let Some(letter) = letter(&created.id) else {
                    self.history.note(Event::Broken { tab: u32::MAX, what: format!("{created:?}") });
                    continue;
                };
                self.history.note(Event::Kept { room, seq: created.seq, letter });
            }
        }
        Ok(())
    }

    /// Faults are off: everybody agrees in time, everything that was said is read, and the history is judged.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn verdict(mut self) -> Result<Outcome> {
        let settled = self.settle().await;
        self.crowd.note_debts();
        self.read_all().await?;
        for (finding, count) in self.site.findings().await? {
            let what = format!("the server itself counts {finding} {count}");
            self.history.note(Event::Broken { tab: u32::MAX, what });
        }
        let mut rules = self.site.times.rules();
        rules.slack += 2 * self.lag.get();
        let history = self.history.entries();
        let ledger = judge(&history, &rules);
        self.figures.push(format!(
            "this process was up to {:.2} s late, so others were given {:.1} s",
            self.lag.get() as f64 / 1e6,
            rules.slack as f64 / 1e6
        ));
        let endings: Vec<String> =
            self.crowd.endings().iter().map(|(code, count)| format!("{code}: {count}")).collect();
        self.figures.push(format!("connections ended by close code {{{}}}", endings.join(", ")));
        self.figures.push(format!("came again and known {}", self.crowd.repeated()));
        Ok(Outcome::Played(Verdict { ledger, figures: self.figures, settled, history }))
    }
}
