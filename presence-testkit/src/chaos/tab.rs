//! One tab: a session that connects, enters its rooms, does what its kind does there, and comes back whenever it is cut off,
//! as the client library does.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::history::{Event, Going};
use super::seat::{Seat, Standing, room_name};
use crate::client::{Kind, Received, Wire};
use crate::random::Random;

/// How long a step of connecting may take.
const CONNECTING: Duration = Duration::from_secs(6);

/// How long an answer to a post, or room in a socket, may take.
pub(super) const SENDING: Duration = Duration::from_secs(4);

/// How long a tab that could not come back waits, at least and at most.
const AGAIN_MILLIS: (usize, usize) = (100, 500);

/// How often a quiet tab looks whether something of its own is open still: of so many together one each millisecond, and
/// not more often than this.
const LOOK: Duration = Duration::from_millis(1_000);

/// Milliseconds over which those come back who were scattered.
const WINDOW_MILLIS: usize = 5_000;

/// What the tabs are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Come, and say nothing yet.
    Gather,
    /// What they are there for.
    Act,
    /// Be there, finish what was begun, and begin nothing.
    Quiet,
}

/// What all tabs of a process know.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What they are to do.
    pub phase: watch::Receiver<Phase>,
    /// When to lose the connection.
    pub storms: watch::Receiver<u32>,
    /// How many they are.
    pub crowd: usize,
    /// How long nothing may come until a tab gives its connection up.
    pub silence: Duration,
    /// Milliseconds between two things that a tab does, on average.
    pub pace: usize,
    /// The newest place of each room that was acknowledged to anybody.
    pub heads: Rc<RefCell<std::collections::BTreeMap<u32, u64>>>,
}

/// A tab at work.
#[derive(Debug)]
pub struct Tab {
    /// What it knows.
    pub seat: Rc<RefCell<Seat>>,
    /// What it is connected by.
    pub kind: Kind,
    /// Where it connects to.
    pub server: SocketAddr,
    /// A token, where the server asks for one.
    pub token: Option<String>,
    /// What it does next.
    pub random: Random,
    /// The others.
    pub around: Surroundings,
    /// When it last asked for what it does not have.
    pub asked: Instant,
    /// How many connections it has asked for. What it has given up may still arrive, and after what followed it.
    pub attempts: u32,
}

/// How a stay ends.
enum End {
    /// As the tab wants.
    Wanted(Going),
    /// With all the others.
    Scattered,
    /// By the server, or on the way.
    Cut(u16),
}

/// The connection is gone.
pub(super) struct Gone;

impl Tab {
    /// For ever.
    pub async fn live(mut self) {
        let resident = self.seat.borrow().resident;
        // Not all in the same moment.
        sleep(Duration::from_millis(self.random.below(self.around.crowd) as u64)).await;
        loop {
            if !resident {
                self.stay_away().await;
            }
            self.seat.borrow_mut().standing = Standing::Trying;
            let Ok(wire) = self.enter().await else {
                self.gone(Going::Lost, Standing::Trying);
                self.wait_again().await;
                continue;
            };
            let mut wire = wire;
            self.seat.borrow_mut().standing = Standing::In;
            match self.stay(&mut wire).await {
                End::Wanted(how) => self.go(wire, how).await,
                End::Scattered => {
                    self.gone(Going::Lost, Standing::Trying);
                    wire.reset();
                    sleep(Duration::from_millis(self.random.below(WINDOW_MILLIS) as u64)).await;
                }
                End::Cut(code) => {
                    self.gone(Going::Lost, Standing::Trying);
                    *self.seat.borrow_mut().endings.entry(code).or_default() += 1;
                    wire.reset();
                    self.wait_again().await;
                }
            }
        }
    }

    /// A visitor comes while the others act.
    async fn stay_away(&mut self) {
        self.seat.borrow_mut().standing = Standing::Out;
        let pause = self.random.below(self.around.pace * 8) as u64;
        loop {
            sleep(Duration::from_millis(pause)).await;
            // Who holds the other end lives as long as this.
            if self.around.phase.wait_for(|phase| *phase == Phase::Act).await.is_ok() {
                return;
            }
        }
    }

    async fn wait_again(&mut self) {
        let told = self.seat.borrow_mut().retry_after.take();
        let (least, most) = AGAIN_MILLIS;
        let wait = least + self.random.below(most - least);
        sleep(Duration::from_millis(told.unwrap_or(0) + wait as u64)).await;
    }

    /// Notes that it is out of all its rooms.
    fn gone(&self, how: Going, standing: Standing) {
        let mut seat = self.seat.borrow_mut();
        for room in seat.rooms.clone() {
            let tab = seat.tab;
            seat.note(Event::Going { tab, room, how });
            seat.note(Event::Deaf { tab, room });
        }
        seat.standing = standing;
    }

    /// Connects, enters all rooms, and reads until it has each of them.
    async fn enter(&mut self) -> Result<Wire, Gone> {
        let (tab, user, rooms) = {
            let mut seat = self.seat.borrow_mut();
            seat.inbox.reconnect();
            seat.held = seat.rooms.iter().any(|room| seat.place(*room) > 0).then(Vec::new);
            seat.awaited = seat.rooms.iter().copied().collect();
            (seat.tab, seat.user, seat.rooms.clone())
        };
        self.attempts += 1;
        let mut query = format!("?user_id=u{user}&session_id=t{tab}&attempt={tab}-{}", self.attempts);
        if let Some(token) = &self.token {
            query.push_str(&format!("&token={token}"));
        }
        if self.kind == Kind::Sse {
            query.push_str(&format!("&room={}", room_name(rooms[0])));
        }
        for room in &rooms {
            self.seat.borrow().note(Event::Entering { tab, user, room: *room });
        }
        let connecting = Wire::connect(self.kind, self.server, &query, &[], None);
        let mut wire = timeout(CONNECTING, connecting).await.map_err(|_| Gone)?.map_err(|_| Gone)?;
        if let (Wire::Sse(wire), Some(token)) = (&mut wire, &self.token) {
            wire.present(token);
        }
        match timeout(CONNECTING, self.read_in(&mut wire)).await {
            Ok(Ok(())) => Ok(wire),
            Ok(Err(Gone)) | Err(_) => {
                wire.reset();
                Err(Gone)
            }
        }
    }

    async fn read_in(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        // It says where to post to.
        self.read(wire).await?;
        let rooms = self.seat.borrow().rooms.clone();
        for room in rooms {
            let join = {
                let seat = self.seat.borrow();
                let stand = seat.views.get(&room).and_then(|view| Some((view.epoch()?, view.version()?)));
                let since = stand.map(|(epoch, version)| json!({"epoch": epoch, "version": version}));
                json!({
                    "type": "presence:join", "room": room_name(room), "since": since, "state": {"n": seat.state},
                })
            };
            self.send(wire, &join).await?;
        }
        while !self.seat.borrow().awaited.is_empty() {
            self.read(wire).await?;
        }
        Ok(())
    }

    /// Until it goes.
    async fn stay(&mut self, wire: &mut Wire) -> End {
        if self.catch_up(wire).await.is_err() {
            return End::Cut(0);
        }
        let mut heard = Instant::now();
        let mut next = Instant::now() + self.pause();
        let mut left_to_do = 1 + self.random.below(8);
        let resident = self.seat.borrow().resident;
        let look = LOOK.max(Duration::from_millis(self.around.crowd as u64));
        loop {
            let phase = *self.around.phase.borrow_and_update();
            let (mut phases, mut storms) = (self.around.phase.clone(), self.around.storms.clone());
            tokio::select! {
                biased;
                received = wire.recv() => {
                    heard = Instant::now();
                    match self.received(wire, received).await {
                        Ok(()) => {}
                        Err(code) => return End::Cut(code),
                    }
                }
                () = sleep_until(heard + self.around.silence) => return End::Cut(0),
                // Who ends the run ends this too.
                _ = storms.changed() => {
                    self.around.storms.mark_unchanged();
                    return End::Scattered;
                }
                changed = phases.changed() => if changed.is_err() { return End::Cut(0) },
                () = sleep_until(next) => {
                    let done = match phase {
                        Phase::Gather => Ok(()),
                        Phase::Act => self.act(wire).await,
                        Phase::Quiet => self.finish(wire).await,
                    };
                    if done.is_err() {
                        return End::Cut(0);
                    }
                    next = Instant::now() + if phase == Phase::Act { self.pause() } else { look };
                    if phase == Phase::Act && !resident {
                        left_to_do -= 1;
                        if left_to_do == 0 {
                            return End::Wanted(self.way_to_go());
                        }
                    }
                }
            }
        }
    }

    fn pause(&mut self) -> Duration {
        Duration::from_millis(1 + self.random.below(self.around.pace * 2) as u64)
    }

    fn way_to_go(&mut self) -> Going {
        [Going::Left, Going::Left, Going::Away, Going::Lost][self.random.below(4)]
    }

    async fn go(&mut self, mut wire: Wire, how: Going) {
        // Noted before it is said: from now on it may be heard.
        self.gone(how, Standing::Out);
        let heard = match how {
            Going::Lost => return wire.reset(),
            Going::Left => self.say_goodbye(&mut wire).await,
            Going::Away => timeout(SENDING, wire.close(1001)).await.is_ok_and(|said| said.is_ok()),
        };
        // A socket that is closed with something unread in it is reset, and the goodbye may get lost.
        let ended = async { while matches!(wire.recv().await, Ok(Received::Text(_))) {} };
        if !heard || timeout(SENDING, ended).await.is_err() {
            let seat = self.seat.borrow();
            for room in &seat.rooms {
                seat.note(Event::Unheard { tab: seat.tab, room: *room });
            }
        }
    }

    /// Leaves its rooms, or closes with 1000. Says whether that was heard for certain.
    async fn say_goodbye(&mut self, wire: &mut Wire) -> bool {
        let rooms = self.seat.borrow().rooms.clone();
        let by_message = self.random.below(2) == 0;
        let mut heard = true;
        let leave = |room: u32| json!({"type": "presence:leave", "room": room_name(room)});
        match wire {
            Wire::Ws(wire) => {
                for room in rooms.into_iter().filter(|_| by_message) {
                    let sent = timeout(SENDING, wire.send_text(&leave(room).to_string())).await;
                    heard &= sent.is_ok_and(|sent| sent.is_ok());
                }
            }
            Wire::Sse(wire) => {
                for room in rooms {
                    let posted = timeout(SENDING, wire.post(leave(room).to_string().as_bytes())).await;
                    heard &= posted.is_ok_and(|posted| posted.is_ok_and(|(status, _)| status == 202));
                }
            }
        }
        heard & timeout(SENDING, wire.close(1000)).await.is_ok_and(|said| said.is_ok())
    }

    async fn received(&mut self, wire: &mut Wire, received: anyhow::Result<Received>) -> Result<(), u16> {
        match received {
            Ok(Received::Text(text)) => self.take(wire, &text).await.map_err(|Gone| 0),
            Ok(Received::Closed(code)) => {
                let code = code.unwrap_or(0);
                if code == 4409 || code >= 4500 || (1002..1012).contains(&code) {
                    self.seat.borrow().broken(format!("the server closed with {code}"));
                }
                Err(code)
            }
            Err(_) => Err(0),
        }
    }

    async fn read(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        let received = wire.recv().await;
        self.received(wire, received).await.map_err(|_| Gone)
    }

    async fn take(&mut self, wire: &mut Wire, text: &str) -> Result<(), Gone> {
        let taken = self.seat.borrow_mut().take(text);
        match taken {
            Ok(None) => {}
            Ok(Some(pong)) => self.send(wire, &pong).await?,
            Err(what) => {
                let mut seat = self.seat.borrow_mut();
                seat.broken(what);
                // What it has can not be trusted any more.
                seat.views.clear();
                return Err(Gone);
            }
        }
        let seat = self.seat.borrow();
        let mut heads = self.around.heads.borrow_mut();
        for (room, acked) in &seat.acked {
            let head = heads.entry(*room).or_default();
            *head = (*acked).max(*head);
        }
        Ok(())
    }

    /// What is posted and not answered may still have come; only a stream that is over is the end.
    pub(super) async fn send(&mut self, wire: &mut Wire, message: &Value) -> Result<(), Gone> {
        let text = message.to_string();
        match wire {
            Wire::Ws(wire) => {
                let sent = timeout(SENDING, wire.send_text(&text)).await;
                sent.map_err(|_| Gone)?.map_err(|_| Gone)
            }
            Wire::Sse(wire) => match timeout(SENDING, wire.post(text.as_bytes())).await {
                Ok(Ok((404 | 409, _))) => Err(Gone),
                Ok(Ok((202, _))) => Ok(()),
                Ok(Ok((_, body))) => {
                    self.seat.borrow_mut().post_refused(message, &body);
                    Ok(())
                }
                // Half an answer may still come on that connection.
                Ok(Err(_)) | Err(_) => {
                    wire.rest();
                    Ok(())
                }
            },
        }
    }
}
