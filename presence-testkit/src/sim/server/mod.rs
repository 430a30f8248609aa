//! One life of the server: the real shards and sessions, driven as the server drives them, in the same order, but each
//! task's turn comes when the agenda says so.

mod connections;
pub(super) mod disk;
mod errands;
mod hub;
mod lives;
mod shards;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use presence_core::error::CloseReason;
use presence_core::id::{Generation, UserId};
use presence_core::port::transport::Incoming;
use presence_core::session::{Delivery, Session, SessionOutput};
use presence_core::shard::{Detach, RoomCommand, RoomKey, Shard, ShardInput};
use presence_core::time::Timestamp;

use super::check::model::Model;

/// A server at work.
#[derive(Debug)]
pub(super) struct Server {
    /// Which life it is, from 1.
    pub(super) life: u64,
    /// When it began, in virtual time.
    pub(super) started: u64,
    pub(super) shards: Vec<Task>,
    pub(super) connections: BTreeMap<u64, Connection>,
    generations: u64,
    pub(super) hub: hub::Hub,
    /// It takes nobody in any more.
    pub(super) draining: bool,
}

/// A shard and its task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) shard: Shard,
    pub(super) model: Model,
    /// Each with the connection that an attach is of.
    inbox: VecDeque<(ShardInput, Option<u64>)>,
    listeners: BTreeMap<RoomKey, BTreeSet<Generation>>,
    mailboxes: BTreeMap<Generation, u64>,
    scheduled: bool,
    armed: Option<Timestamp>,
    /// Connections that wait for room in the inbox.
    waiting: BTreeSet<u64>,
}

/// A connection and its task.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) link: u64,
    /// Whose it is, once that is known.
    pub(super) user: Option<UserId>,
    deliveries: Vec<Delivery>,
    news: bool,
    timer: bool,
    drain: Option<u64>,
    incoming: VecDeque<Incoming>,
    /// Since when the peer has not read what it was sent.
    pub(super) busy: Option<u64>,
    armed: Option<Timestamp>,
    todo: VecDeque<Todo>,
    closing: Option<CloseReason>,
    pub(super) ending: bool,
    scheduled: bool,
    /// The store has been asked what its client does not have.
    syncing: bool,
}

/// Something that a connection does before anything else.
#[derive(Debug)]
enum Todo {
    Output(SessionOutput),
    Attach { shard: usize, input: Box<ShardInput> },
    Detach { shard: usize, how: Detach },
    Command { room: presence_core::id::RoomId, command: RoomCommand },
    Hub(hub::Input),
}

pub(super) use errands::Errand;

impl Server {
    /// Whether its hub remembers nobody.
    pub(super) fn hub_is_empty(&self) -> bool {
        self.hub.streams.values().all(|seats| seats.is_quiet())
    }

    /// Where each receiver of each stream is, as the hub has it.
    pub(super) fn receivers(&self) -> impl Iterator<Item = (&presence_core::id::RoomId, &UserId, u64)> {
        self.hub.streams.iter().flat_map(|(room, seats)| {
            seats.receivers.iter().map(move |(user, receiver)| (room, user, receiver.acked().number()))
        })
    }

    /// Whether the hub knows what a connection's user receives.
    pub(super) fn hub_knows(&self, connection: u64) -> bool {
        self.hub.arrived.contains(&connection)
    }

    /// The connection that has a link.
    pub(super) fn connection(&self, id: u64) -> Option<&Connection> {
        self.connections.get(&id).filter(|connection| !connection.ending)
    }

    /// The shard that a room is in.
    pub(super) fn shard_of(&self, room: &presence_core::id::RoomId) -> usize {
        let hash =
            room.as_str().bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(byte));
        hash % self.shards.len()
    }
}
