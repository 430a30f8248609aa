//! Drives connections: carries what a transport and the shards say into a [`Session`], and what that says out again.
//! It decides nothing about presence.

mod drive;
pub mod mailbox;
pub mod pacemaker;
pub mod registry;
pub mod status;
pub mod trace;

use std::sync::Arc;

use presence_core::attempt::Attempt;
use presence_core::id::{ConnectionId, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::port::transport::Transport;
use presence_core::profile::Text;
use presence_core::session::{Opening, OwnEntry, Proof, Session};
use presence_core::time::Now;
use tracing::info;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::{
    AddressLimits, AddressPlace, Refused, UnknownLimit, UnknownPlace, UserLimits, UserPlace,
};
use crate::metrics::Metrics;
use crate::people::People;
use crate::random;
use crate::shard::Shards;
use crate::stream::Streams;
use drive::Drive;
use mailbox::{Mailbox, Question};
use pacemaker::Pacemaker;
use registry::{Owner, Registry};
use trace::{Lines, Traces};

/// What every connection of a server shares.
#[derive(Debug)]
pub struct Connections {
    limits: Arc<Limits>,
    clock: Clock,
    metrics: Metrics,
    shards: Shards,
    auth: Arc<Auth>,
    streams: Streams,
    people: Arc<People>,
    pacemaker: Pacemaker,
    registry: Registry,
    addresses: Arc<AddressLimits>,
    users: Arc<UserLimits>,
    unknown: UnknownLimit,
    traces: Traces,
}

/// What a request said about the connection that it opens.
#[derive(Debug, Default)]
pub struct Hello {
    /// How it is known to whom it belongs.
    pub proof: Proof,
    /// What others read.
    pub name: Option<Text>,
    /// Which tab or device.
    pub session: Option<SessionId>,
    /// Which of its client's requests it is.
    pub attempt: Option<Attempt>,
    /// The room that a message without `room` means; the lobby if absent.
    pub room: Option<RoomId>,
    /// Whether it enters that room by itself.
    pub entry: OwnEntry,
    /// What it takes up.
    pub places: Places,
}

/// What all connections work with.
#[derive(Debug)]
pub struct Parts {
    /// What addresses may do.
    pub addresses: Arc<AddressLimits>,
    /// The clock.
    pub clock: Clock,
    /// The counts.
    pub metrics: Metrics,
    /// The rooms.
    pub shards: Shards,
    /// What is said in them.
    pub streams: Streams,
    /// Who may.
    pub auth: Arc<Auth>,
    /// Who is here, and what is kept of them.
    pub people: Arc<People>,
}

/// What a connection takes up of what is limited, for as long as it lives.
#[derive(Debug, Default)]
pub struct Places {
    /// Of its address.
    pub address: Option<Arc<AddressPlace>>,
    /// Beside the others of its user, or of nobody.
    pub owner: OwnerPlace,
}

/// The place of a connection among those of its user.
#[derive(Debug, Default)]
pub enum OwnerPlace {
    /// It has none.
    #[default]
    None,
    /// Nobody knows yet whose it is.
    Unknown(UnknownPlace),
    /// Its user's.
    User(UserPlace),
}

impl Connections {
    /// Connections that meet in the rooms of `shards`, each with somebody whom `auth` knows.
    pub fn new(config: &Config, parts: Parts) -> Self {
        let Parts { addresses, clock, metrics, shards, streams, auth, people } = parts;
        let limits = Arc::new(config.limits());
        let (pacemaker, registry) = (Pacemaker::new(), Registry::default());
        let users = Arc::new(UserLimits::new(config.connections_per_user_max, &limits, clock));
        let unknown = UnknownLimit::new(config.unauthenticated_max);
        let traces = Traces::new();
        Self {
            limits,
            clock,
            metrics,
            shards,
            auth,
            streams,
            people,
            pacemaker,
            registry,
            addresses,
            users,
            unknown,
            traces,
        }
    }

    /// The streams that they receive.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What addresses may do.
    pub fn addresses(&self) -> &Arc<AddressLimits> {
        &self.addresses
    }

    /// What users may do.
    pub fn users(&self) -> &Arc<UserLimits> {
        &self.users
    }

    /// Finds a place for a connection that is to open: beside the others of its user, or among those who have not said
    /// who they are.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(&self, hello: &mut Hello) -> Result<(), Refused> {
        let user = match &hello.proof {
            Proof::Token(grant) => Some(grant.user()),
            Proof::Word(user) => user.as_ref(),
            Proof::Awaited => None,
        };
        let admitted = match user {
            Some(user) => self.users.enter(user).map(OwnerPlace::User),
            None => self.unknown.enter().map(OwnerPlace::Unknown),
        };
        hello.places.owner = admitted.inspect_err(|refused| self.metrics.refused(refused.bound))?;
        Ok(())
    }

    /// Whether more may be posted to a connection now: what its user has no budget for is best left with the client.
    ///
    /// # Errors
    /// If its user has sent more than it may.
    pub fn may_post(&self, connection: &str) -> Result<(), Refused> {
        let checked = match self.registry.owner(connection) {
            Owner::User(user) => self.users.check(&user),
            Owner::Unknown | Owner::NoConnection => Ok(()),
        };
        checked.inspect_err(|refused| self.metrics.refused(refused.bound))
    }

    /// A user does something without a connection; it counts as one message of theirs.
    ///
    /// # Errors
    /// If they have sent more than they may.
    pub fn pay(&self, user: &UserId) -> Result<(), Refused> {
        self.users.pay(user).inspect_err(|refused| self.metrics.refused(refused.bound))
    }

    /// Who is here, and what is kept of them.
    pub fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// The timers of the connections; somebody has to run them.
    pub fn pacemaker(&self) -> &Pacemaker {
        &self.pacemaker
    }

    /// Which connections are open.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Watches a connection, unless as many are watched as may be.
    pub fn watch(&self, mailbox: &Mailbox) -> Option<Lines> {
        let (watcher, lines) = self.traces.begin()?;
        mailbox.ask(Question::Watch(watcher));
        Some(lines)
    }

    /// What time it is for them.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Counts somebody who went beyond a bound.
    pub fn refuse(&self, refused: Refused) -> Refused {
        self.metrics.refused(refused.bound);
        refused
    }

    /// Takes a new connection over, in a task of its own.
    pub fn open(self: &Arc<Self>, transport: Box<dyn Transport>, hello: Hello) {
        self.open_as(ConnectionId::from_random(random::bits128()), transport, hello);
    }

    /// The same for one that has a name already.
    pub fn open_as(self: &Arc<Self>, connection: ConnectionId, transport: Box<dyn Transport>, hello: Hello) {
        let transport_info = transport.info();
        let opening = Opening {
            connection,
            default_room: hello.room.unwrap_or_else(RoomId::lobby),
            proof: hello.proof,
            name: hello.name,
            session: hello.session,
            attempt: hello.attempt,
            fallback_session: SessionId::from_random(random::bits128()),
            entry: hello.entry,
            silence: transport_info.silence,
        };
        let mailbox = Arc::new(Mailbox::default());
        self.registry.enter(connection, transport_info.kind, &mailbox, transport.inlet());
        self.metrics.connection_opened(transport_info.kind);
        info!(
            connection = %connection,
            transport = transport_info.kind,
            peer = %transport_info.peer,
            "connection opened"
        );
        let places = hello.places;
        let session = Session::open(self.clock.now(), opening, Arc::clone(&self.limits));
        let generation = self.shards.next_generation();
        let mut drive = Drive::new(Arc::clone(self), transport, session, mailbox, generation, places);
        // One piece of memory for the task and all that it keeps.
        tokio::spawn(async move { drive.run().await });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::time::Duration;

    use anyhow::{Context, Result};
    use async_trait::async_trait;
    use presence_core::error::CloseReason;
    use presence_core::frame::Frame;
    use presence_core::id::{Incarnation, UserId};
    use presence_core::port::transport::{Incoming, Sent, TransportError, TransportInfo};
    use presence_testkit::client::Received;
    use presence_testkit::contract::fake::{FakePeer, FakeTransport, pair};
    use presence_testkit::contract::transport::Peer;

    use super::*;

    /// A transport with a bug: it panics when its peer says so.
    struct Faulty(FakeTransport);

    #[async_trait]
    impl Transport for Faulty {
        fn info(&self) -> TransportInfo {
            self.0.info()
        }

        fn poll_recv(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<Incoming, TransportError>> {
            let incoming = self.0.poll_recv(cx);
            let is_bad = matches!(&incoming, Poll::Ready(Ok(Incoming::Text(text))) if text == "panic");
            assert!(!is_bad, "as it was told");
            incoming
        }

        fn send(&mut self, frames: &[Frame]) -> Result<Sent, TransportError> {
            self.0.send(frames)
        }

        fn waiting_bytes(&self) -> usize {
            self.0.waiting_bytes()
        }

        async fn close(&mut self, reason: CloseReason) {
            self.0.close(reason).await;
        }
    }

    fn hello(user: &str) -> Hello {
        Hello { proof: Proof::Word(Some(UserId::parse(user).unwrap())), ..Hello::default() }
    }

    async fn hears(peer: &mut FakePeer, what: &str) -> Result<()> {
        let search = async {
            loop {
                match peer.recv().await? {
                    Received::Text(text) if text.contains(what) => return anyhow::Ok(()),
                    Received::Text(_) => {}
                    Received::Closed(code) => anyhow::bail!("closed with {code:?}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), search).await.with_context(|| format!("no {what}"))?
    }

    /// P5: not even a bug of ours leaves a ghost.
    #[tokio::test]
    async fn a_connection_whose_task_panics_leaves_like_one_that_was_lost() -> Result<()> {
        let config = Config { grace_ms: 50, going_away_grace_ms: 50, ..Config::default() };
        let (clock, metrics) = (Clock::start(), Metrics::new());
        let limits = Arc::new(config.limits());
        let shards = Shards::start(1, &limits, Incarnation::from_random(1), clock, &metrics);
        let auth = Arc::new(Auth::new(&config, Arc::clone(&limits), clock, metrics.clone())?);
        let addresses = Arc::new(AddressLimits::new(&config, clock)?);
        let store = Arc::new(crate::store::memory::MemoryStore::new(config.stream_limits()));
        let notices = crate::webhook::Notices::off();
        let streams = Streams::start(1, store, &limits, clock, &metrics, &notices);
        let people = People::new(streams.clone(), shards.clone(), &config, &limits, clock, &metrics);
        let people = Arc::new(people);
        let parts = Parts { addresses, clock, metrics, shards, streams, auth, people };
        let connections = Arc::new(Connections::new(&config, parts));
        let (transport, mut ann) = pair();
        connections.open(Box::new(transport), hello("ann"));
        ann.send_texts(&[r#"{"type":"presence:join"}"#]).await?;
        hears(&mut ann, "currentUsers").await?;
        let (transport, mut bob) = pair();
        connections.open(Box::new(Faulty(transport)), hello("bob"));
        bob.send_texts(&[r#"{"type":"presence:join"}"#]).await?;
        hears(&mut ann, "userJoined").await?;
        bob.send_texts(&["panic"]).await?;
        hears(&mut ann, "userLeft").await?;
        assert_eq!(connections.registry().len(), 1);
        Ok(())
    }
}
