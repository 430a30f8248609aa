//! Every connection that is open, for those who must reach all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use presence_core::id::ConnectionId;
use presence_core::port::transport::Inlet;
use tokio::sync::Notify;

use super::mailbox::Mailbox;

/// Longest time that the return of drained connections is spread over, in milliseconds.
const RETURN_SPREAD_MILLIS: u64 = 5_000;

/// How many connections' return one millisecond is given.
const RETURNS_PER_MILLI: u64 = 10;

/// What reaches a connection, by its id.
#[derive(Debug, Default)]
pub struct Registry {
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<ConnectionId, Entry>,
    /// Set once the server drains: who opens now is told at once.
    draining: bool,
}

#[derive(Debug)]
struct Entry {
    mailbox: Arc<Mailbox>,
    inlet: Option<Arc<dyn Inlet>>,
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it holds the registry")
    }

    /// A connection has opened.
    pub fn enter(&self, id: ConnectionId, mailbox: &Arc<Mailbox>, inlet: Option<Arc<dyn Inlet>>) {
        let mut open = self.open();
        open.connections.insert(id, Entry { mailbox: Arc::clone(mailbox), inlet });
        if open.draining {
            mailbox.drain(RETURN_SPREAD_MILLIS);
        }
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

    /// Tells every connection to go and come back later, each at another time, so that they do not all come at once.
    pub fn drain(&self) {
        let mut open = self.open();
        open.draining = true;
        let spread = (open.connections.len() as u64 / RETURNS_PER_MILLI).clamp(100, RETURN_SPREAD_MILLIS);
        for (turn, Entry { mailbox, .. }) in open.connections.values().enumerate() {
            // A stride that shares no factor with the span visits all of it.
            mailbox.drain(100 + (turn as u64).wrapping_mul(7_919) % spread);
        }
    }

    /// Whether [`drain`](Self::drain) has been called.
    pub fn is_draining(&self) -> bool {
        self.open().draining
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
