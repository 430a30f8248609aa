//! Many tabs: those who live in their rooms from beginning to end, and those who come and go in every way there is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::history::{Event, History};
use super::seat::{Seat, Standing, room_name};
use super::site::{Site, Times};
use super::tab::{Phase, Surroundings, Tab};
use crate::client::Kind;
use crate::random::Random;
use crate::wire::RoomPresence;

/// How often a crowd looks whether it is where it should be.
const LOOK: Duration = Duration::from_millis(250);

/// Every third tab is connected by an event stream.
const EVENT_STREAMS: u32 = 3;

/// Every fourth resident over a WebSocket is in the next room too.
const TWO_ROOMS: u32 = 4;

/// How large a crowd is, and how busy.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rooms.
    pub rooms: u32,
    /// Residents of each.
    pub residents: u32,
    /// Of them so many have a second tab, which comes and goes.
    pub seconds: u32,
    /// Tabs of each room that come and go; two of them are one user's.
    pub visitors: u32,
    /// Milliseconds between two things that a tab does, on average.
    pub pace: usize,
}

/// What most rows have.
pub const USUAL: Size = Size { rooms: 10, residents: 5, seconds: 2, visitors: 4, pace: 400 };

/// Where a tab connects to, and with what.
pub type Route = Box<dyn Fn(u32) -> (SocketAddr, Option<String>)>;

/// Tabs at work; they end with the value.
#[derive(Debug)]
pub struct Crowd {
    phase: watch::Sender<Phase>,
    storms: watch::Sender<u32>,
    seats: Vec<Rc<RefCell<Seat>>>,
    heads: Rc<RefCell<BTreeMap<u32, u64>>>,
    history: History,
    _working: JoinSet<()>,
}

impl Crowd {
    /// Sets tabs to work, numbered from `first`.
    pub fn gather(size: Size, first: u32, times: Times, seed: u64, history: &History, route: &Route) -> Self {
        let (phase, storms) = (watch::Sender::new(Phase::Gather), watch::Sender::new(0));
        let (heads, cast) = (Rc::default(), cast(size));
        let around = Surroundings {
            phase: phase.subscribe(),
            storms: storms.subscribe(),
            crowd: cast.len(),
            silence: times.silence(),
            pace: size.pace,
            heads: Rc::clone(&heads),
        };
        let mut random = Random::new(seed);
        let (mut seats, mut working) = (Vec::new(), JoinSet::new());
        for (number, (user, rooms, resident)) in cast.into_iter().enumerate() {
            let tab = first + number as u32;
            let seat = Seat::new(tab, first + user, rooms, resident, history.clone());
            let seat = Rc::new(RefCell::new(seat));
            let (server, token) = route(tab);
            let kind = kind(number as u32);
            let random = Random::new(random.draw());
            let (asked, around) = (Instant::now(), around.clone());
            let tab = Tab { seat: Rc::clone(&seat), kind, server, token, random, around, asked, attempts: 0 };
            seats.push(seat);
            working.spawn_local(tab.live());
        }
        Self { phase, storms, seats, heads, history: history.clone(), _working: working }
    }

    /// What everybody knows.
    pub fn seats(&self) -> &[Rc<RefCell<Seat>>] {
        &self.seats
    }

    /// Says what to do.
    pub fn tell(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Resets all connections at once; everybody comes back at a moment of their own.
    pub fn scatter(&self) {
        self.storms.send_modify(|count| *count += 1);
    }

    /// The newest place of each room that was acknowledged to anybody here.
    pub fn heads(&self) -> BTreeMap<u32, u64> {
        self.heads.borrow().clone()
    }

    /// Learns what was acknowledged to others.
    pub fn learn(&self, heads: &BTreeMap<u32, u64>) {
        let mut known = self.heads.borrow_mut();
        for (room, head) in heads {
            let newest = known.entry(*room).or_default();
            *newest = (*head).max(*newest);
        }
    }

    /// How many are on their way in.
    pub fn trying(&self) -> usize {
        self.seats.iter().filter(|seat| seat.borrow().standing == Standing::Trying).count()
    }

    /// How many are in.
    pub fn inside(&self) -> usize {
        self.seats.iter().filter(|seat| seat.borrow().standing == Standing::In).count()
    }

    /// Waits until all residents are in.
    ///
    /// # Errors
    /// If they are not in time.
    pub async fn all_in(&self, patience: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let lacking = |seat: &&Rc<RefCell<Seat>>| {
                let seat = seat.borrow();
                seat.resident && seat.standing != Standing::In
            };
            let lacking = self.seats.iter().filter(lacking).count();
            if lacking == 0 {
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < patience, "{lacking} residents are not in after {patience:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Why the crowd is not done yet, if it is not: somebody is not in, or something they said is not known to be safe.
    pub fn unsettled(&self) -> Option<String> {
        let heads = self.heads.borrow();
        for seat in &self.seats {
            let seat = seat.borrow();
            let standing = seat.standing;
            if standing == Standing::Trying || (seat.resident && standing == Standing::Out) {
                return Some(format!("tab {} is not in", seat.tab));
            }
            if standing == Standing::In && !seat.is_settled() {
                return Some(format!("tab {} waits for acks of {:?}", seat.tab, seat.open));
            }
            for room in seat.rooms.iter().filter(|_| seat.resident) {
                let (place, head) = (seat.place(*room), heads.get(room).copied().unwrap_or(0));
                if place < head {
                    return Some(format!("tab {} has r{room} up to {place} of {head}", seat.tab));
                }
            }
        }
        None
    }

    /// Which sessions are in each room, by user, with what they say of themselves.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::new();
        for seat in &self.seats {
            let seat = seat.borrow();
            if seat.standing == Standing::In {
                for room in &seat.rooms {
                    let users = expected.entry(*room).or_default();
                    users.entry(seat.user).or_default().insert(seat.session(), seat.state);
                }
            }
        }
        expected
    }

    /// How the views of a room differ from what the server says.
    pub fn differences(&self, room: u32, truth: &RoomPresence) -> Vec<String> {
        let seats = self.seats.iter().map(|seat| seat.borrow());
        let inside = seats.filter(|seat| seat.standing == Standing::In && seat.rooms.contains(&room));
        let difference = |seat: &Seat| seat.view(room).map(|view| view.difference(truth));
        let described = |seat: std::cell::Ref<'_, Seat>| match difference(&seat) {
            None => Some(format!("tab {} has no view of r{room}", seat.tab)),
            Some(difference) => Some(format!("tab {} in r{room}: {}", seat.tab, difference?)),
        };
        inside.filter_map(described).collect()
    }

    /// Notes what residents should have by now.
    pub fn note_debts(&self) {
        for seat in &self.seats {
            let seat = seat.borrow();
            for room in seat.rooms.iter().filter(|_| seat.resident) {
                self.history.note(Event::Owed { tab: seat.tab, room: *room });
            }
        }
    }

    /// How often connections were ended, by close code; 0: by the network.
    pub fn endings(&self) -> BTreeMap<u16, u64> {
        let mut all = BTreeMap::new();
        for seat in &self.seats {
            for (code, count) in &seat.borrow().endings {
                *all.entry(*code).or_default() += count;
            }
        }
        all
    }

    /// Messages that came again on the wire, and were known.
    pub fn repeated(&self) -> usize {
        self.seats.iter().map(|seat| seat.borrow().repeated()).sum()
    }

    /// The tabs that are chosen, of those who live here.
    pub fn residents(&self, chosen: impl Fn(u32) -> bool) -> Vec<u32> {
        let all = self.seats.iter().map(|seat| seat.borrow());
        all.filter(|seat| seat.resident && chosen(seat.tab)).map(|seat| seat.tab).collect()
    }

    /// All tabs that are chosen.
    pub fn tabs(&self, chosen: impl Fn(u32) -> bool) -> Vec<u32> {
        self.seats.iter().map(|seat| seat.borrow().tab).filter(|tab| chosen(*tab)).collect()
    }
}

/// By room and user: the sessions, and the state of each.
pub type Expected = BTreeMap<u32, BTreeMap<u32, BTreeMap<String, u64>>>;

/// The kind of the tab of this number.
pub fn kind(number: u32) -> Kind {
    if number.is_multiple_of(EVENT_STREAMS) { Kind::Sse } else { Kind::Ws }
}

/// The user, the rooms and the habit of each tab.
fn cast(size: Size) -> Vec<(u32, Vec<u32>, bool)> {
    let mut tabs = Vec::new();
    for room in 0..size.rooms {
        let first = tabs.len() as u32;
        for resident in 0..size.residents {
            let tab = tabs.len() as u32;
            let mut rooms = vec![room];
            // An event stream enters one room by its address.
            if kind(tab) == Kind::Ws && resident % TWO_ROOMS == 1 && size.rooms > 1 {
                rooms.push((room + 1) % size.rooms);
            }
            tabs.push((tab, rooms, true));
        }
        for second in 0..size.seconds.min(size.residents) {
            tabs.push((first + second, vec![room], false));
        }
        let visitors = tabs.len() as u32;
        for visitor in 0..size.visitors {
            tabs.push((visitors + visitor / 2 * 2, vec![room], false));
        }
    }
    tabs
}

/// How what the server says of a room differs from who is there.
pub fn compare(room: u32, truth: &RoomPresence, expected: &Expected) -> Option<String> {
    let none = BTreeMap::new();
    let expected = expected.get(&room).unwrap_or(&none);
    let said: BTreeMap<String, BTreeMap<String, u64>> = truth
        .users
        .iter()
        .map(|user| {
            let state =
                |session: &crate::wire::Session| session.state.get("n").and_then(serde_json::Value::as_u64);
            let sessions = user.sessions.iter();
            let sessions = sessions.map(|session| (session.session_id.clone(), state(session).unwrap_or(0)));
            (user.id.clone(), sessions.collect())
        })
        .collect();
    let known: BTreeMap<String, _> =
        expected.iter().map(|(user, sessions)| (format!("u{user}"), sessions)).collect();
    if let Some((user, sessions)) = said.iter().find(|(user, sessions)| known.get(*user) != Some(sessions)) {
        return Some(format!(
            "{}: the server has {user} {sessions:?}, there are {:?}",
            room_name(room),
            known.get(user)
        ));
    }
    let missing = known.keys().find(|user| !said.contains_key(*user));
    missing.map(|user| format!("{}: the server has no {user}", room_name(room)))
}

/// Why a crowd and its server do not agree, if they do not.
///
/// # Errors
/// If the server does not answer.
pub async fn disagreement(site: &Site, crowd: &Crowd, others: &Expected, rooms: u32) -> Result<Vec<String>> {
    if let Some(why) = crowd.unsettled() {
        return Ok(vec![why]);
    }
    let mut wrong = Vec::new();
    for room in 0..rooms {
        let truth = site.presence(room).await?;
        let mut expected = crowd.expected();
        for (user, sessions) in others.get(&room).into_iter().flatten() {
            expected.entry(room).or_default().entry(*user).or_default().extend(sessions.clone());
        }
        wrong.extend(compare(room, &truth, &expected));
        wrong.extend(crowd.differences(room, &truth));
    }
    Ok(wrong)
}
