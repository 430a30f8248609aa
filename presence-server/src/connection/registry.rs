//! Every connection that is open, for those who must reach all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use presence_core::id::{ConnectionId, UserId};
use presence_core::port::transport::Inlet;
use tokio::sync::Notify;

use super::mailbox::Mailbox;

/// How many connections' return one millisecond is given: what a server that has just started takes in easily.
const RETURNS_PER_MILLI: f64 = 2.0;

/// When nobody should have come back yet: a restart takes a moment.
const FIRST_RETURN: Duration = Duration::from_secs(1);

/// What reaches a connection, by its id.
#[derive(Debug, Default)]
pub struct Registry {
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<ConnectionId, Entry>,
    /// Set once the server drains: who opens now is told at once, and when to come back.
    draining: Option<u64>,
}

/// Whose a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is no such connection.
    NoConnection,
    /// Nobody has proved, or said, who they are.
    Unknown,
    /// This user's.
    User(UserId),
}

#[derive(Debug)]
struct Entry {
    mailbox: Arc<Mailbox>,
    inlet: Option<Arc<dyn Inlet>>,
    owner: Owner,
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it holds the registry")
    }

    /// A connection has opened.
    pub fn enter(&self, id: ConnectionId, mailbox: &Arc<Mailbox>, inlet: Option<Arc<dyn Inlet>>) {
        let mut open = self.open();
        open.connections.insert(id, Entry { mailbox: Arc::clone(mailbox), inlet, owner: Owner::Unknown });
        if let Some(last_return) = open.draining {
            mailbox.drain(last_return);
        }
    }

    /// Its user is known now.
    pub fn identify(&self, id: ConnectionId, user: &UserId) {
        if let Some(entry) = self.open().connections.get_mut(&id) {
            entry.owner = Owner::User(user.clone());
        }
    }

    /// Whose the connection is that calls itself `id`.
    pub fn owner(&self, id: &str) -> Owner {
        let id = ConnectionId::parse(id).ok();
        let owner = id.and_then(|id| self.open().connections.get(&id).map(|entry| entry.owner.clone()));
        owner.unwrap_or(Owner::NoConnection)
    }

    /// It is gone.
    pub fn leave(&self, id: ConnectionId) {
        let mut open = self.open();
        open.connections.remove(&id);
        if open.connections.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// The way in to a connection, if there is such a connection, and if it has one.
    pub fn inlet(&self, id: ConnectionId) -> Option<Option<Arc<dyn Inlet>>> {
        self.open().connections.get(&id).map(|entry| entry.inlet.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open().connections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every connection to go and come back later, each at another time, so that they do not all come at once,
    /// and all of them well within `grace`: those who are waited for should be back before it ends.
    pub fn drain(&self, grace: Duration) {
        let mut open = self.open();
        let count = open.connections.len();
        let returns = Returns::of(count, grace);
        open.draining = Some(returns.millis(count));
        for (turn, Entry { mailbox, .. }) in open.connections.values().enumerate() {
            mailbox.drain(returns.millis(turn));
        }
    }

    /// Until there is none.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

/// When each of those who are sent away should be back.
struct Returns {
    first_millis: f64,
    step_millis: f64,
}

impl Returns {
    /// The returns of `count` connections: evenly, over no more than half of the grace.
    fn of(count: usize, grace: Duration) -> Self {
        let grace_millis = grace.as_secs_f64() * 1000.0;
        let count = count.max(1) as f64;
        let spread_millis = (count / RETURNS_PER_MILLI).max(100.0).min(grace_millis / 2.0);
        Self {
            first_millis: (FIRST_RETURN.as_secs_f64() * 1000.0).min(grace_millis / 10.0),
            step_millis: spread_millis / count,
        }
    }

    fn millis(&self, turn: usize) -> u64 {
        (self.first_millis + self.step_millis * turn as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_come_back_evenly_over_five_seconds() {
        let returns = Returns::of(10_000, Duration::from_secs(15));
        let mut per_second = [0; 6];
        for turn in 0..10_000 {
            per_second[(returns.millis(turn) / 1_000) as usize] += 1;
        }
        assert_eq!(per_second, [0, 2_000, 2_000, 2_000, 2_000, 2_000]);
    }

    #[test]
    fn few_come_back_at_different_times_and_many_before_the_grace_is_over() {
        let few = Returns::of(5, Duration::from_secs(15));
        assert_eq!([0, 1, 2, 3, 4].map(|turn| few.millis(turn)), [1_000, 1_020, 1_040, 1_060, 1_080]);
        for grace in [0, 1, 1_000, 15_000, 60_000] {
            let many = Returns::of(1_000_000, Duration::from_millis(grace));
            assert!(many.millis(1_000_000) <= grace * 6 / 10, "{grace}");
        }
    }
}
