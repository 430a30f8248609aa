//! How many users and sessions there are, over all shards, counted once each however many rooms they are in.

use std::collections::BTreeSet;

use super::Shard;
use super::look::Page;
use crate::id::{SessionId, UserId};

/// What one shard knows of how many there are. Every shard knows every connection, and the sessions that its own rooms
/// hold without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Rooms of this shard.
    pub rooms: usize,
    /// Users with a record.
    pub users: usize,
    /// Connections that have attached and not detached.
    pub connections: usize,
    /// The sessions that do not have exactly one connection: the few that make the difference between the counts of
    /// connections and of sessions. By user and session.
    pub uneven: Page<Uneven>,
}

/// A session that does not have exactly one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uneven {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Its connections that have not detached, fenced off or not.
    pub open: usize,
    /// What stands behind it.
    pub standing: Standing,
    /// Whether the user has another session that is attached.
    pub user_attached: bool,
}

/// What stands behind a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A connection.
    Attached,
    /// None, but rooms of this shard hold it.
    Held,
    /// Nothing: old connections of it have still to say that they are gone.
    Over,
}

/// How many there are on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headcount {
    /// Rooms with somebody in them.
    pub rooms: usize,
    /// Users with a session, attached or held.
    pub users: usize,
    /// Those sessions.
    pub sessions: usize,
}

impl Headcount {
    /// Adds up what all shards know; each must give all of its uneven sessions.
    pub fn of(shards: &[Census]) -> Self {
        let Some(first) = shards.first() else { return Self::default() };
        let uneven = &first.uneven.items;
        let surplus: usize = uneven
            .iter()
            .map(|session| session.open - usize::from(session.standing == Standing::Attached))
            .sum();
        let absent = uneven.iter().filter(|session| !session.user_attached).map(|session| &session.user);
        let held = shards.iter().flat_map(|shard| &shard.uneven.items);
        let held: Vec<&Uneven> = held.filter(|session| session.standing == Standing::Held).collect();
        let held_sessions: BTreeSet<_> = held.iter().map(|held| (&held.user, &held.session)).collect();
        let held_users: BTreeSet<&UserId> =
            held.iter().filter(|held| !held.user_attached).map(|held| &held.user).collect();
        Self {
            rooms: shards.iter().map(|shard| shard.rooms).sum(),
            users: first.users - absent.collect::<BTreeSet<_>>().len() + held_users.len(),
            sessions: first.connections - surplus + held_sessions.len(),
        }
    }
}

impl Shard {
    /// How many there are; of the uneven sessions `limit` after `after`.
    pub fn census(&self, after: Option<&(UserId, SessionId)>, limit: usize) -> Census {
        Census {
            rooms: self.room_count(),
            users: self.user_count(),
            connections: self.connection_count(),
            uneven: self.directory.uneven_after(after, limit),
        }
    }
}
