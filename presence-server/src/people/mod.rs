//! People beside their presence: who is here at all and how they are reached, who watches whom, what is kept of them, and
//! who must hear when that changes. Presence does not wait for any of this.

mod errands;
mod roster;
mod seen;
mod sight;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::{ConnectionId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::people::{Attendance, Availability, LeftBehind, Standing, Watchers};
use presence_core::port::store::{Store, StoreError};
use presence_core::profile::Profile;
use presence_core::room::KeptRoom;
use presence_core::session::Delivery;
use presence_core::shard::Detach;
use presence_core::time::{Now, WallTime};

use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::shard::{Busy, Shards};
use crate::stream::Streams;
use errands::Errands;
pub use roster::Footing;
pub use sight::Sight;

/// Questions of connections that wait for the store or for shards; one more is answered with `busy`.
const QUESTIONS_MAX: usize = 1_024;

/// What the server knows of people.
pub struct People {
    store: Arc<dyn Store>,
    streams: Streams,
    shards: Shards,
    limits: Arc<Limits>,
    clock: Clock,
    metrics: Metrics,
    beat_millis: u64,
    seen_max: usize,
    state: Mutex<State>,
    /// Somebody has come or gone.
    stir: Notify,
    errands: Errands,
    questions: Arc<Semaphore>,
    /// Held while somebody may become the first on a roster, so that only one does.
    founding: tokio::sync::Mutex<()>,
}

struct State {
    attendance: Attendance<Arc<Mailbox>>,
    watchers: Watchers,
    /// Watching connections, for those who have something to tell them.
    watching: BTreeMap<ConnectionId, Arc<Mailbox>>,
    /// Watched users who have gone since the last hand-out, and when they were last here.
    departures: BTreeMap<UserId, WallTime>,
    /// When users were seen online, while that is not in the store.
    unwritten: BTreeMap<UserId, WallTime>,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

impl State {
    /// How a user stands; `kept` is when the store says that they were last online.
    fn standing(&self, user: &UserId, kept: Option<WallTime>, wall: WallTime) -> Standing {
        self.attendance.standing(user, wall).unwrap_or_else(|| {
            let known = [self.departures.get(user), self.unwritten.get(user)].into_iter().flatten().copied();
            let last_online = known.chain(self.attendance.seen(user)).chain(kept).max();
            Standing { availability: Availability::Offline, last_online }
        })
    }

    /// What a user says of themselves: nothing, without a connection.
    fn said(&self, user: &UserId) -> Arc<Profile> {
        let said = self.attendance.said(user).cloned();
        said.unwrap_or_else(|| Arc::new(Profile::of_user(user.clone())))
    }
}

impl People {
    /// People of whom the store of `streams` keeps what lasts, and who meet in the rooms of `shards`.
    pub fn new(
        streams: Streams,
        shards: Shards,
        config: &Config,
        limits: &Arc<Limits>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Self {
        let state = State {
            attendance: Attendance::new(Arc::clone(limits)),
            watchers: Watchers::new(limits.watched_users_max),
            watching: BTreeMap::new(),
            departures: BTreeMap::new(),
            unwritten: BTreeMap::new(),
        };
        Self {
            store: Arc::clone(streams.store()),
            streams,
            shards,
            limits: Arc::clone(limits),
            clock,
            metrics: metrics.clone(),
            beat_millis: config.last_online_ms,
            seen_max: config.last_online_waiting_max,
            state: Mutex::new(state),
            stir: Notify::new(),
            errands: Errands::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            founding: tokio::sync::Mutex::new(()),
        }
    }

    /// What time it is for them.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// What outlives the process.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds what is known of people")
    }

    /// Tells who watches, writes down who was online, reads profiles. For ever.
    pub async fn run(&self) {
        tokio::join!(self.keep_telling_watchers(), self.keep_writing_seen(), self.keep_running_errands());
    }

    /// What the last life of the server left behind is waited for.
    pub fn take_up(&self, left: Vec<LeftBehind>) {
        let (now, mut state) = (self.clock.now(), self.state());
        left.into_iter().for_each(|left| state.attendance.take_up(now, left));
    }

    /// A connection has a user and a session now. What is kept of the user comes to it as soon as it is read.
    pub fn attach(
        &self,
        user: &UserId,
        session: &SessionId,
        connection: ConnectionId,
        mailbox: &Arc<Mailbox>,
    ) {
        let now = self.clock.now();
        let mut state = self.state();
        state.attendance.attach(now, user, session, connection, Arc::clone(mailbox));
        self.follow_up(state);
        self.errands.read_profile(user);
    }

    /// It has them no more.
    pub fn detach(&self, user: &UserId, connection: ConnectionId, how: Detach) {
        let now = self.clock.now();
        let mut state = self.state();
        state.attendance.detach(now, user, connection, how);
        self.follow_up(state);
        // A grace may have begun that ends before all others.
        self.stir.notify_one();
    }

    /// A connection is over: it watches nobody any more.
    pub fn forget(&self, connection: ConnectionId) {
        let mut state = self.state();
        if state.watching.remove(&connection).is_some() {
            state.watchers.forget(connection);
            self.metrics.watched(state.watchers.len());
        }
    }

    /// A connection is in use, or idle.
    pub fn set_active(&self, user: &UserId, connection: ConnectionId, active: bool) {
        let mut state = self.state();
        state.attendance.set_active(user, connection, active);
        self.follow_up(state);
    }

    /// What a connection says of its user.
    pub fn set_said(&self, connection: ConnectionId, said: Arc<Profile>) {
        self.state().attendance.set_said(connection, said);
    }

    /// A user was sent away: nobody waits for them any more.
    pub fn dismiss(&self, user: &UserId) {
        let mut state = self.state();
        state.attendance.dismiss(user);
        self.follow_up(state);
    }

    /// Must follow whatever changes who is here.
    fn follow_up(&self, mut state: MutexGuard<'_, State>) {
        let mut is_watched = false;
        for (user, left_at) in state.attendance.take_changed() {
            if !state.watchers.changed(&user) {
                continue;
            }
            is_watched = true;
            if let Some(left_at) = left_at {
                state.departures.insert(user, left_at);
            }
        }
        drop(state);
        if is_watched {
            self.stir.notify_one();
        }
    }

    /// How the connections of a user are reached, all of them.
    pub fn mailboxes_of(&self, user: &UserId) -> Vec<Arc<Mailbox>> {
        self.state().attendance.links(user).cloned().collect()
    }

    /// The same for several users, each connection once.
    fn mailboxes_of_all<'a>(&self, users: impl Iterator<Item = &'a UserId>) -> Audience {
        let state = self.state();
        let mut audience = Audience::default();
        for user in users {
            state.attendance.links(user).for_each(|mailbox| audience.add(mailbox));
        }
        audience
    }
}

/// The sessions that the last life of the server left in rooms.
pub fn left_behind(rooms: &[KeptRoom]) -> Vec<LeftBehind> {
    let members = rooms.iter().flat_map(|room| &room.members);
    let each = members.flat_map(|member| {
        member.sessions.iter().map(|session| LeftBehind {
            profile: Arc::clone(&member.profile),
            session: session.id.clone(),
            active: session.active,
            last_seen: member.last_seen,
        })
    });
    each.collect()
}

/// Connections that are to be told something, each once.
#[derive(Default)]
struct Audience {
    known: BTreeSet<usize>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Audience {
    fn add(&mut self, mailbox: &Arc<Mailbox>) {
        if self.known.insert(Arc::as_ptr(mailbox).addr()) {
            self.mailboxes.push(Arc::clone(mailbox));
        }
    }

    fn tell(&self, delivery: impl Fn() -> Delivery) {
        for mailbox in &self.mailboxes {
            mailbox.deliver(delivery());
        }
    }
}

/// Why something about people could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A shard has too much to do.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl PeopleError {
    /// The error as a client's message is answered with it.
    fn answer(&self, limits: &Limits) -> CommandError {
        let code = match self {
            Self::Busy(_) | Self::Store(StoreError::Busy) => ErrorCode::Busy,
            Self::Store(StoreError::Unavailable(_)) => ErrorCode::Unavailable,
            Self::Store(StoreError::Conflict(_)) => ErrorCode::Conflict,
            Self::Store(StoreError::NotFound(_)) => ErrorCode::NotFound,
        };
        // What exactly is broken is for the operator.
        let message = match self {
            Self::Store(StoreError::Unavailable(_)) => "what lasts can not be read or written now".to_owned(),
            other => other.to_string(),
        };
        CommandError::new(code, message).retry_after(limits.huge_room_tick)
    }
}
