//! Every connection that is open, for those who must reach all of them.

use std::collections::BTreeMap;
use std::ops::Bound;
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
    /// By kind of transport, which are few: so each kind is counted by its own map.
    by_transport: BTreeMap<&'static str, BTreeMap<ConnectionId, Entry>>,
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
    /// Once that is known.
    user: Option<UserId>,
}

/// An open connection, for those who look through all of them.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Which.
    pub id: ConnectionId,
    /// Its kind of transport.
    pub transport: &'static str,
    /// How it is reached.
    pub mailbox: Arc<Mailbox>,
}

impl Open {
    fn len(&self) -> usize {
        self.by_transport.values().map(BTreeMap::len).sum()
    }

    fn entry(&self, id: ConnectionId) -> Option<&Entry> {
        self.by_transport.values().find_map(|connections| connections.get(&id))
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.by_transport.values().flat_map(BTreeMap::values)
    }
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it holds the registry")
    }

    /// A connection has opened.
    pub fn enter(
        &self,
        id: ConnectionId,
        transport: &'static str,
        mailbox: &Arc<Mailbox>,
        inlet: Option<Arc<dyn Inlet>>,
    ) {
        let mut open = self.open();
        let entry = Entry { mailbox: Arc::clone(mailbox), inlet, user: None };
        open.by_transport.entry(transport).or_default().insert(id, entry);
        if let Some(last_return) = open.draining {
            mailbox.drain(last_return);
        }
    }

    /// Its user is known now.
    pub fn identify(&self, id: ConnectionId, user: &UserId) {
        let mut open = self.open();
        let entry = open.by_transport.values_mut().find_map(|connections| connections.get_mut(&id));
        if let Some(entry) = entry {
            entry.user = Some(user.clone());
        }
    }

    /// Whose the connection is that calls itself `id`.
    pub fn owner(&self, id: &str) -> Owner {
        let id = ConnectionId::parse(id).ok();
        match id.and_then(|id| self.open().entry(id).map(|entry| entry.user.clone())) {
            Some(Some(user)) => Owner::User(user),
            Some(None) => Owner::Unknown,
            None => Owner::NoConnection,
        }
    }

    /// It is gone.
    pub fn leave(&self, id: ConnectionId) {
        let mut open = self.open();
        for connections in open.by_transport.values_mut() {
            connections.remove(&id);
        }
        if open.len() == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// The way in to a connection, if there is such a connection, and if it has one.
    pub fn inlet(&self, id: ConnectionId) -> Option<Option<Arc<dyn Inlet>>> {
        self.open().entry(id).map(|entry| entry.inlet.clone())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open().len()
    }

    /// How many there are, by kind of transport.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let open = self.open();
        open.by_transport.iter().map(|(transport, connections)| (*transport, connections.len())).collect()
    }

    /// How a connection is reached.
    pub fn mailbox(&self, id: ConnectionId) -> Option<Arc<Mailbox>> {
        self.open().entry(id).map(|entry| Arc::clone(&entry.mailbox))
    }

    /// At most `limit` of them in the order of their ids, after `after`.
    pub fn after(&self, after: Option<ConnectionId>, limit: usize) -> Vec<Connected> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let open = self.open();
        let each = open.by_transport.iter().flat_map(|(transport, connections)| {
            let next = connections.range((start, Bound::Unbounded)).take(limit);
            next.map(|(id, entry)| Connected { id: *id, transport, mailbox: Arc::clone(&entry.mailbox) })
        });
        let mut page: Vec<Connected> = each.collect();
        page.sort_by_key(|connected| connected.id);
        page.truncate(limit);
        page
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every connection to go and come back later, each at another time, so that they do not all come at once,
    /// and all of them well within `grace`: those who are waited for should be back before it ends.
    pub fn drain(&self, grace: Duration) {
        let mut open = self.open();
        let count = open.len();
        let returns = Returns::of(count, grace);
        open.draining = Some(returns.millis(count));
        for (turn, Entry { mailbox, .. }) in open.entries().enumerate() {
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
