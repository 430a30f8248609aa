//! Streams: what is said in rooms and inboxes is put into the store, acknowledged to its sender, and brought to those who
//! receive it. Hubs share the streams among them; each is a task, and the only one that changes its streams.
//!
//! Receivers of a room are the sessions in it and the connected sessions of the users on its roster; of an inbox the
//! sessions of its owner. Who is in a room without being on its roster becomes a receiver in the store with the first
//! message, and ends to be one with leaving: so rooms in which nobody sends anything cost the store nothing.

mod absence;
mod arrival;
mod connected;
mod fetch;
mod hub;
mod line;
mod missed;
mod publish;
mod receivers;
mod seats;
mod sync;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::{ConnectionId, Generation, RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::port::store::{Page, PageLimits, Standing, Store, StoreError};
use presence_core::session::{Delivery, Publish, StreamDelivery, Synced};
use presence_core::shard::Detach;
use presence_core::stream::{Fetch, MessageId, Seq, StoredMessage};
use presence_core::time::WallTime;
use presence_core::wire::{Reference, SyncResult};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::connection::mailbox::Mailbox;
use crate::metrics::{Metrics, Outcome};
use crate::webhook::Notices;
use hub::Hub;

/// Hubs at most: every one of them knows every connection.
const HUBS_MAX: usize = 4;

/// The streams of a server. Cloning shares them; they end when the last clone is gone.
#[derive(Clone)]
pub struct Streams(Arc<Shared>);

struct Shared {
    hubs: Box<[mpsc::Sender<Inbound>]>,
    world: World,
}

/// What hubs and questions work with.
#[derive(Clone)]
struct World {
    store: Arc<dyn Store>,
    limits: Arc<Limits>,
    clock: Clock,
    metrics: Metrics,
    notices: Notices,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("hubs", &self.0.hubs.len()).finish_non_exhaustive()
    }
}

/// One connection of a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// The user.
    pub user: UserId,
    /// The connection.
    pub generation: Generation,
}

/// What comes into a hub's inbox.
enum Inbound {
    /// A connection has a user. Goes to every hub, like its end.
    Attach {
        who: Who,
        mailbox: Arc<Mailbox>,
    },
    Detach {
        who: Who,
        how: Detach,
    },
    /// It is in the room.
    Listen {
        who: Who,
        room: RoomId,
        /// It has been told of messages up to here.
        after: Option<Seq>,
    },
    /// Its user is on the room's roster; where they stand is said later.
    JoinsRoster {
        who: Who,
        room: RoomId,
    },
    /// It has left the room.
    Leave {
        who: Who,
        room: RoomId,
        /// It was sent messages up to here, if any.
        sent: Option<Seq>,
    },
    /// What the store says of its user.
    Stands {
        who: Who,
        room: RoomId,
        standing: Standing,
        roster: Roster,
    },
    Publish(Box<Incoming>),
    Acknowledge {
        who: Who,
        room: RoomId,
        seq: Seq,
        unsure: Option<Reference>,
    },
    /// Somebody else has put it into the store.
    Kept(Box<StoredMessage>),
    /// A user is on the room's roster no more.
    Removed {
        room: RoomId,
        user: UserId,
    },
    /// Who listens to the stream for this user?
    Listeners {
        room: RoomId,
        user: UserId,
        answer: oneshot::Sender<Vec<Generation>>,
    },
    /// Everything that is only here has to get into the store.
    Flush {
        answer: oneshot::Sender<()>,
    },
}

/// Whether a user is on a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roster {
    /// Or it is their inbox.
    On,
    /// They were in the room once, and nobody has said that they left.
    Off,
}

/// A message that has arrived.
struct Incoming {
    publish: Publish,
    correlation: Arc<str>,
    origin: Origin,
    /// When it arrived, for measuring.
    arrived: Duration,
}

/// Where a message came from, and its answer goes to.
enum Origin {
    Connection { connection: ConnectionId, mailbox: Arc<Mailbox> },
    Call(oneshot::Sender<Result<Taken, CommandError>>),
}

/// A message that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The sender's own name for it.
    pub id: MessageId,
    /// Its stream.
    pub room: RoomId,
    /// Its place.
    pub seq: Seq,
    /// When it was taken in.
    pub at: WallTime,
}

impl Streams {
    /// Starts hubs, at most `count`, over a store. Must be called within a runtime.
    pub fn start(
        count: usize,
        store: Arc<dyn Store>,
        limits: &Arc<Limits>,
        clock: Clock,
        metrics: &Metrics,
        notices: &Notices,
    ) -> Self {
        let world = World {
            store,
            limits: Arc::clone(limits),
            clock,
            metrics: metrics.clone(),
            notices: notices.clone(),
        };
        let start = |_| {
            let (inbox, inputs) = mpsc::channel(world.limits.hub_inbox_max);
            tokio::spawn(Hub::new(world.clone(), inputs).run());
            inbox
        };
        let hubs = (0..count.clamp(1, HUBS_MAX)).map(start).collect();
        Self(Arc::new(Shared { hubs, world }))
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.world.store
    }

    fn hub_of(&self, room: &RoomId) -> &mpsc::Sender<Inbound> {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        &self.0.hubs[(hasher.finish() % self.0.hubs.len() as u64) as usize]
    }

    /// A connection has a user now: their inbox is open, and what waits for them comes as soon as the store has said what.
    pub async fn attach(&self, who: Who, mailbox: &Arc<Mailbox>) {
        for hub in &*self.0.hubs {
            let (who, mailbox) = (who.clone(), Arc::clone(mailbox));
            // A hub that is gone went with the server.
            let _ = hub.send(Inbound::Attach { who, mailbox }).await;
        }
        tokio::spawn(arrival::arrive(self.clone(), who, Arc::downgrade(mailbox)));
    }

    /// It has gone.
    pub async fn detach(&self, who: &Who, how: Detach) {
        for hub in &*self.0.hubs {
            let _ = hub.send(Inbound::Detach { who: who.clone(), how }).await;
        }
    }

    /// It is in a room now, and has been told of its messages up to `after`, if at all.
    pub async fn listen(&self, who: Who, room: RoomId, after: Option<Seq>) {
        let _ = self.hub_of(&room).clone().send(Inbound::Listen { who, room, after }).await;
    }

    /// It has left a room, and was sent its messages up to `sent`, if any.
    pub async fn leave(&self, who: Who, room: RoomId, sent: Option<Seq>) {
        let _ = self.hub_of(&room).clone().send(Inbound::Leave { who, room, sent }).await;
    }

    /// A connection sends a message; the answer comes by its mailbox.
    ///
    /// # Errors
    /// If there is too much to do; then nothing has happened.
    pub fn publish(
        &self,
        publish: Publish,
        correlation: Arc<str>,
        connection: ConnectionId,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), CommandError> {
        let origin = Origin::Connection { connection, mailbox: Arc::clone(mailbox) };
        self.submit(publish, correlation, origin)
    }

    /// Somebody sends a message without a connection.
    ///
    /// # Errors
    /// If it is not kept.
    pub async fn send(&self, publish: Publish, correlation: Arc<str>) -> Result<Taken, CommandError> {
        let (answer, taken) = oneshot::channel();
        self.submit(publish, correlation, Origin::Call(answer))?;
        taken.await.unwrap_or_else(|_| Err(busy()))
    }

    fn submit(&self, publish: Publish, correlation: Arc<str>, origin: Origin) -> Result<(), CommandError> {
        let hub = self.hub_of(&publish.room);
        let arrived = self.0.world.clock.elapsed();
        let incoming = Box::new(Incoming { publish, correlation, origin, arrived });
        hub.try_send(Inbound::Publish(incoming)).map_err(|_| {
            self.0.world.metrics.message_published(Outcome::Busy, None);
            busy()
        })
    }

    /// A user has dealt with everything up to a place; with `unsure` that has to be checked first.
    pub async fn acknowledge(&self, who: Who, room: RoomId, seq: Seq, unsure: Option<Reference>) {
        let hub = self.hub_of(&room).clone();
        let _ = hub.send(Inbound::Acknowledge { who, room, seq, unsure }).await;
    }

    /// Somebody has put a message into the store by other ways; whoever is there gets it now.
    pub async fn kept(&self, stored: StoredMessage) {
        let hub = self.hub_of(&stored.message.room).clone();
        let _ = hub.send(Inbound::Kept(Box::new(stored))).await;
    }

    /// A user has come onto a room's roster, and the store knows it: their connections receive its messages from now on.
    ///
    /// # Errors
    /// If the store can not be read.
    pub async fn joined_roster(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
        let connections = self.listeners(&RoomId::inbox(user), user).await;
        if connections.is_empty() {
            return Ok(());
        }
        // As for who arrives: they listen first, and then it is read where they stand.
        let who = |&generation: &Generation| Who { user: user.clone(), generation };
        for who in connections.iter().map(who) {
            let joins = Inbound::JoinsRoster { who, room: room.clone() };
            let _ = self.hub_of(room).send(joins).await;
        }
        self.listeners(room, user).await;
        let standings = self.store().standings(user).await?;
        let Some((_, standing)) = standings.into_iter().find(|(known, _)| known == room) else {
            self.left_roster(room, user).await;
            return Ok(());
        };
        for who in connections.iter().map(who) {
            let stands = Inbound::Stands { who, room: room.clone(), standing, roster: Roster::On };
            let _ = self.hub_of(room).send(stands).await;
        }
        Ok(())
    }

    /// A user is on a room's roster no more, and the store knows it.
    pub async fn left_roster(&self, room: &RoomId, user: &UserId) {
        let removed = Inbound::Removed { room: room.clone(), user: user.clone() };
        let _ = self.hub_of(room).send(removed).await;
    }

    /// Whether a user may read and send what is said in a room: they are in it, or on its roster.
    ///
    /// # Errors
    /// If the store can not be read.
    pub async fn takes_part(&self, room: &RoomId, user: &UserId) -> Result<bool, StoreError> {
        if room.inbox_of() == Some(user.as_str()) || !self.listeners(room, user).await.is_empty() {
            return Ok(true);
        }
        self.store().is_member(room, user).await
    }

    async fn listeners(&self, room: &RoomId, user: &UserId) -> Vec<Generation> {
        let (answer, listeners) = oneshot::channel();
        let (asked, user) = (room.clone(), user.clone());
        let _ = self.hub_of(room).send(Inbound::Listeners { room: asked, user, answer }).await;
        listeners.await.unwrap_or_default()
    }

    /// Messages of a stream, in which nothing is too old.
    ///
    /// # Errors
    /// If the store can not be read.
    pub async fn read(&self, room: &RoomId, after: Seq, limits: PageLimits) -> Result<Page, StoreError> {
        self.0.world.read(room, after, limits).await
    }

    /// Reads messages from the store for a connection.
    pub fn fetch(&self, fetch: Fetch, mailbox: &Arc<Mailbox>) {
        tokio::spawn(fetch::fetch(self.0.world.clone(), fetch, Arc::downgrade(mailbox)));
    }

    /// Finds out for a connection what it does not have.
    pub fn sync(&self, sync: presence_core::session::Sync, mailbox: &Arc<Mailbox>) {
        let (world, mailbox) = (self.0.world.clone(), Arc::downgrade(mailbox));
        tokio::spawn(async move {
            let synced = sync::answer(&world, sync).await;
            deliver_synced(&mailbox, synced);
        });
    }

    /// The same for whoever has no connection.
    ///
    /// # Errors
    /// If the store can not be read.
    pub async fn what_is_new(&self, sync: &presence_core::session::Sync) -> Result<SyncResult, StoreError> {
        sync::collect(&self.0.world, sync).await
    }

    /// Waits until everything that is only in memory is in the store. Nothing may be sent any more.
    pub async fn flush(&self) {
        for hub in &*self.0.hubs {
            let (answer, flushed) = oneshot::channel();
            if hub.send(Inbound::Flush { answer }).await.is_ok() {
                let _ = flushed.await;
            }
        }
    }
}

/// When whoever was refused because of the store should try again.
const STORE_RETRY: Duration = Duration::from_secs(1);

fn deliver_synced(mailbox: &std::sync::Weak<Mailbox>, synced: Synced) {
    if let Some(mailbox) = mailbox.upgrade() {
        mailbox.deliver(Delivery::Stream(StreamDelivery::Synced(Box::new(synced))));
    }
}

fn busy() -> CommandError {
    let message = "the server has too much to do; nothing was kept";
    CommandError::new(ErrorCode::Busy, message).retry_after(STORE_RETRY)
}

/// What a client is told of the store's trouble. What exactly it is only the operator learns.
pub(crate) fn told(error: &StoreError) -> CommandError {
    match error {
        StoreError::Unavailable(_) => {
            let message = "messages can not be kept or read now; presence goes on";
            CommandError::new(ErrorCode::Unavailable, message).retry_after(STORE_RETRY)
        }
        StoreError::Busy => busy(),
        StoreError::Conflict(message) => CommandError::new(ErrorCode::Conflict, *message),
        StoreError::NotFound(message) => CommandError::new(ErrorCode::NotFound, *message),
    }
}
