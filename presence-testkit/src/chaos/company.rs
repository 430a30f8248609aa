//! A crowd in a process of its own, which can be stopped and goes on, or has another network. It is told what to do by lines on
//! standard input, and answers each with a line of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, Expected, Route, Size};
use super::history::{Entry, Event, History};
use super::seat::room_name;
use super::site::TIMES;
use super::stage::ENTERING;
use super::tab::Phase;
use crate::http;
use crate::wire::RoomPresence;

/// How long it may take until all is settled.
const SETTLING: Duration = Duration::from_secs(60);

/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(250);

/// Its members live in the rooms all the time.
const SIZE: Size = Size { rooms: 10, residents: 4, seconds: 0, visitors: 0, pace: 400 };

/// What it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Say {
    /// Begin.
    Act,
    /// Say who is there, once everybody is in.
    Gather,
    /// Be quiet, and say who is there once everything is settled.
    Quiet,
    /// These messages were acknowledged to others; hold all views against the server's, and say what happened.
    Tell(BTreeMap<u32, u64>),
}

/// Where it is.
#[derive(Args, Clone, Debug)]
pub struct Company {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// The number of its first tab.
    #[arg(long)]
    first: u32,
    /// Another seed, other deeds.
    #[arg(long)]
    at_random: u64,
    /// The backend's key, where the server asks for one.
    #[arg(long)]
    key: Option<String>,
    /// Tokens of its users, one after the other.
    #[arg(long, value_delimiter = ',')]
    tokens: Vec<String>,
}

impl Company {
    /// How many tabs a company has.
    pub const TABS: u32 = SIZE.rooms * SIZE.residents;

    /// Does what it is told until nobody tells it anything any more.
    ///
    /// # Errors
    /// If it does not get in, or is told nonsense.
    pub async fn keep(self) -> Result<()> {
        let history = History::default();
        let (address, first, tokens) = (self.address, self.first, self.tokens.clone());
        let token = move |tab: u32| tokens.get((tab - first) as usize).cloned();
        let route: Route = Box::new(move |tab| (address, token(tab)));
        let crowd = Crowd::gather(SIZE, first, TIMES, self.at_random, &history, &route);
        let mut lines = lines();
        while let Some(line) = lines.recv().await {
            let answer = match serde_json::from_str(&line)? {
                Say::Act => {
                    crowd.tell(Phase::Act);
                    serde_json::to_string(&crowd.expected())?
                }
                Say::Gather => {
                    crowd.all_in(ENTERING).await?;
                    serde_json::to_string(&crowd.expected())?
                }
                Say::Quiet => {
                    crowd.tell(Phase::Quiet);
                    settle(&crowd, &history).await;
                    serde_json::to_string(&crowd.expected())?
                }
                Say::Tell(heads) => {
                    crowd.learn(&heads);
                    settle(&crowd, &history).await;
                    self.compare(&crowd, &history).await?;
                    crowd.note_debts();
                    serde_json::to_string(&history.entries())?
                }
            };
            println!("{answer}");
        }
        Ok(())
    }

    async fn compare(&self, crowd: &Crowd, history: &History) -> Result<()> {
        let key: Vec<(&str, &str)> = self.key.iter().map(|key| ("X-API-Key", key.as_str())).collect();
        for room in 0..SIZE.rooms {
            let path = format!("/v1/rooms/{}/presence", room_name(room));
            let truth: RoomPresence = http::get(self.address, &path, &key).await?.json()?;
            // What was on its way is there a moment later.
            sleep(LOOK).await;
            for what in crowd.differences(room, &truth) {
                history.note(Event::Diverged { what });
            }
        }
        Ok(())
    }
}

async fn settle(crowd: &Crowd, history: &History) {
    let began = Instant::now();
    while let Some(what) = crowd.unsettled() {
        if began.elapsed() > SETTLING {
            return history.note(Event::Diverged { what });
        }
        sleep(LOOK).await;
    }
}

/// What comes on standard input.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let all = std::io::stdin().lock().lines();
        all.map_while(Result::ok).all(|line| sender.send(line).is_ok())
    });
    receiver
}

/// A company, seen from the process that started it. It ends with the value.
#[derive(Debug)]
pub struct Away {
    child: Child,
    input: ChildStdin,
    output: Arc<Mutex<BufReader<ChildStdout>>>,
}

impl Drop for Away {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Away {
    /// Starts it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("it takes nothing in")?;
        let output = child.stdout.take().context("it says nothing")?;
        Ok(Self { child, input, output: Arc::new(Mutex::new(BufReader::new(output))) })
    }

    async fn ask(&mut self, say: &Say) -> Result<String> {
        writeln!(self.input, "{}", serde_json::to_string(say)?)?;
        let output = Arc::clone(&self.output);
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.lock().unwrap_or_else(PoisonError::into_inner).read_line(&mut line).map(|_| line)
        });
        let line =
            tokio::time::timeout(3 * SETTLING, reading).await.context("the company does not answer")???;
        ensure!(!line.is_empty(), "the company has ended");
        Ok(line)
    }

    /// Tells it what to do, and gives who is there then.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn tell(&mut self, say: &Say) -> Result<Expected> {
        if matches!(say, Say::Tell(_)) {
            bail!("that has another answer");
        }
        Ok(serde_json::from_str(&self.ask(say).await?)?)
    }

    /// Lets it hold its views against the server's, and gives what happened.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn history(&mut self, heads: BTreeMap<u32, u64>) -> Result<Vec<Entry>> {
        Ok(serde_json::from_str(&self.ask(&Say::Tell(heads)).await?)?)
    }

    /// Sends it a signal, by its name without `SIG`.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "cannot signal the company");
        Ok(())
    }
}
