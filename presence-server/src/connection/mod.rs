//! Drives connections: carries what a transport and the shards say into a [`Session`], and what that says out again.
//! It decides nothing about presence.

mod drive;
pub mod mailbox;
pub mod pacemaker;
pub mod registry;

use std::sync::Arc;

use presence_core::id::{ConnectionId, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::port::transport::Transport;
use presence_core::session::{Opening, Session};
use tracing::info;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::random;
use crate::shard::Shards;
use drive::Drive;
use mailbox::Mailbox;
use pacemaker::Pacemaker;
use registry::Registry;

/// What every connection of a server shares.
#[derive(Debug)]
pub struct Connections {
    limits: Arc<Limits>,
    clock: Clock,
    metrics: Metrics,
    shards: Shards,
    pacemaker: Pacemaker,
    registry: Registry,
}

/// What a request said about the connection that it opens.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    /// Who it says it is.
    pub user: Option<UserId>,
    /// What others read.
    pub name: Option<Box<str>>,
    /// Which tab or device.
    pub session: Option<SessionId>,
    /// The room that a message without `room` means; the lobby if absent.
    pub room: Option<RoomId>,
}

impl Connections {
    /// Connections that meet in the rooms of `shards`.
    pub fn new(limits: Arc<Limits>, clock: Clock, metrics: Metrics, shards: Shards) -> Self {
        let (pacemaker, registry) = (Pacemaker::new(), Registry::default());
        Self { limits, clock, metrics, shards, pacemaker, registry }
    }

    /// The timers of the connections; somebody has to run them.
    pub fn pacemaker(&self) -> &Pacemaker {
        &self.pacemaker
    }

    /// Which connections are open.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes a new connection over, in a task of its own.
    pub fn open(self: &Arc<Self>, transport: Box<dyn Transport>, hello: Hello) {
        let connection = ConnectionId::from_random(random::bits128());
        let opening = Opening {
            connection,
            default_room: hello.room.unwrap_or_else(RoomId::lobby),
            user: hello.user,
            name: hello.name,
            session: hello.session,
            fallback_session: SessionId::from_random(random::bits128()),
        };
        let mailbox = Arc::new(Mailbox::default());
        self.registry.enter(connection, &mailbox);
        let transport_info = *transport.info();
        self.metrics.connection_opened(transport_info.kind);
        info!(
            connection = %connection,
            transport = transport_info.kind,
            peer = %transport_info.peer,
            "connection opened"
        );
        let session = Session::open(self.clock.now(), opening, Arc::clone(&self.limits));
        let generation = self.shards.next_generation();
        let drive = Drive::new(Arc::clone(self), transport, session, mailbox, generation);
        tokio::spawn(Box::new(drive).run());
    }
}
