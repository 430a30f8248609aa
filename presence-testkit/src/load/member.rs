//! One client under load: reads without pause, checks what it reads, and sends when it is told to.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ledger::{Ledger, Received, Stopwatch};
use crate::client::{Kind, Received as Wired, Wire};
use crate::view::{Applied, View};
use crate::wire::{ServerMessage, UserUpdated};

/// How long a client waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients of a scenario should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What they are there for.
    Run,
    /// Those who are to stop reading do.
    Stall,
    /// Everybody reads, nobody sends.
    Settle,
    /// It is over.
    End,
}

/// Who a client is.
#[derive(Clone, Debug)]
pub struct Who {
    /// Its user; its session is named after it.
    pub user: String,
    /// Its room.
    pub room: String,
    /// Bytes of its receive buffer, for one that is to stop reading.
    pub receive_buffer: Option<usize>,
}

/// What a client sends while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Microseconds between two updates.
    pub every: u64,
    /// When the first one is due, in microseconds after sending has begun.
    pub first: u64,
    /// Bytes that an update carries beside its number and time.
    pub padding: usize,
}

impl Sending {
    /// The same, with its times counted from the stopwatch's start.
    #[must_use]
    pub fn after(self, start: u64) -> Self {
        Self { first: start + self.first, ..self }
    }
}

/// One client, in its room.
#[derive(Debug)]
pub struct Member {
    /// Who it is.
    pub who: Who,
    /// What it sees.
    pub view: View,
    /// What it has had of each other.
    pub received: Received,
    /// How many updates it has sent.
    pub sent: u64,
    /// How many snapshots it got because it had fallen behind.
    pub lagged: u64,
    wire: Wire,
    ledger: Ledger,
    clock: Stopwatch,
}

impl Member {
    /// Connects and enters; reads until the snapshot is there.
    ///
    /// # Errors
    /// If the server does not let it in time.
    pub async fn enter(
        kind: Kind,
        server: SocketAddr,
        who: Who,
        ledger: &Ledger,
        clock: Stopwatch,
    ) -> Result<Self> {
        let query = format!("?user_id={0}&session_id={0}-tab&room={1}", who.user, who.room);
        let wire = Wire::connect(kind, server, &query, &[], who.receive_buffer).await?;
        let mut member = Self {
            who,
            view: View::default(),
            received: Received::default(),
            sent: 0,
            lagged: 0,
            wire,
            ledger: ledger.clone(),
            clock,
        };
        let join = json!({"type": "presence:join", "room": member.who.room});
        let entered = async {
            // An event stream enters by itself.
            if kind == Kind::Ws {
                member.send(&join).await?;
            }
            while member.view.snapshots() == 0 {
                member.receive().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, entered).await.context("no snapshot in time")??;
        Ok(member)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.wire.send_text(&message.to_string()).await
    }

    /// Gives up what it does not need to listen: a descriptor that it posts over.
    pub fn rest(&mut self) {
        self.wire.rest();
    }

    /// Reads one message and checks it.
    ///
    /// # Errors
    /// If the connection is gone, or the message breaks an invariant.
    pub async fn receive(&mut self) -> Result<ServerMessage> {
        let text = match self.wire.recv().await? {
            Wired::Text(text) => text,
            Wired::Closed(code) => bail!("{}: the server closed with {code:?}", self.who.user),
        };
        let message =
            ServerMessage::parse(&text).with_context(|| text.chars().take(200).collect::<String>())?;
        self.ledger.borrow_mut().messages += 1;
        match &message {
            ServerMessage::CurrentUsers(snapshot) if snapshot.reason == "lagged" => self.lagged += 1,
            ServerMessage::Error(refusal) => bail!("{}: {} {}", self.who.user, refusal.code, refusal.message),
            _ => {}
        }
        if message.room() == Some(&self.who.room) {
            let applied = self.view.apply(&message).with_context(|| self.who.user.clone())?;
            // What a replay repeats is no news.
            if let (ServerMessage::UserUpdated(updated), Applied::Changed) = (&message, applied) {
                self.note(updated);
            }
        }
        Ok(message)
    }

    fn note(&mut self, updated: &UserUpdated) {
        let Some(state) = &updated.state else { return };
        if let (Some(number), Some(intended)) = (number(state.get("n")), number(state.get("t"))) {
            let now = self.clock.micros();
            let mut counts = self.ledger.borrow_mut();
            self.received.note(&updated.user_id, number, intended, now, &mut counts);
        }
    }

    /// Reads, and sends updates at their times, for as long as the phase is one of these.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn run_during(
        &mut self,
        sending: Option<Sending>,
        phases: &[Phase],
        phase: &mut watch::Receiver<Phase>,
    ) -> Result<()> {
        let padding = "x".repeat(sending.map_or(0, |sending| sending.padding));
        let mut due = sending.map(|sending| sending.first);
        while phases.contains(&phase.borrow_and_update()) {
            let sleep = due.map(|due| tokio::time::sleep_until(self.clock.at(due)));
            tokio::select! {
                biased;
                _ = phase.changed() => {}
                () = async { sleep.expect("only polled when there is one").await }, if due.is_some() => {
                    let intended = due.unwrap_or_default();
                    self.sent += 1;
                    let mut state = json!({"n": self.sent, "t": intended});
                    if !padding.is_empty() {
                        state["p"] = json!(format!("{}{padding}", self.sent));
                    }
                    self.send(&json!({"type": "presence:update", "room": self.who.room, "state": state})).await?;
                    due = sending.map(|sending| intended + sending.every);
                }
                message = self.receive() => {
                    message?;
                }
            }
        }
        Ok(())
    }

    /// Does not read, but shows that it is alive, for as long as the phase is to stall.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn stall(&mut self, phase: &mut watch::Receiver<Phase>) -> Result<()> {
        let mut alive = tokio::time::interval(Duration::from_secs(2));
        while *phase.borrow_and_update() == Phase::Stall {
            tokio::select! {
                _ = phase.changed() => {}
                _ = alive.tick() => self.send(&json!({"type": "presence:heartbeat"})).await?,
            }
        }
        Ok(())
    }

    /// Reads for as long as the phase is one of these.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn read_during(&mut self, phases: &[Phase], phase: &mut watch::Receiver<Phase>) -> Result<()> {
        self.read_until(phase.wait_for(|phase| !phases.contains(phase))).await.map(drop)
    }

    /// Reads until something else is over, and says what came of that.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn read_until<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        let mut something = pin!(something);
        loop {
            tokio::select! {
                // What is over already is not read for.
                biased;
                outcome = &mut something => return Ok(outcome),
                message = self.receive() => {
                    message?;
                }
            }
        }
    }

    /// Asks whether its view is right, and reads until it is.
    ///
    /// # Errors
    /// If it does not get so in time.
    pub async fn settle(&mut self) -> Result<()> {
        let settled = async {
            let (epoch, version, digest) = (self.view.epoch(), self.view.version(), self.view.digest());
            let sync = json!({
                "type": "presence:sync", "room": self.who.room, "epoch": epoch, "version": version, "digest": digest,
            });
            self.send(&sync).await?;
            while !matches!(self.receive().await?, ServerMessage::Synced(_)) {}
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, settled).await.context("no answer to a sync in time")?
    }

    /// Leaves in good order: a socket that is closed with unread input is reset, and its close frame may be lost.
    ///
    /// # Errors
    /// If the server does not answer in time.
    pub async fn leave(mut self) -> Result<()> {
        self.wire.close(1000).await?;
        let closed = async {
            while !matches!(self.wire.recv().await?, Wired::Closed(_)) {}
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, closed).await.context("the close was not answered in time")?
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }
}

fn number(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_u64)
}
