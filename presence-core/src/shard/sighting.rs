//! A user as several shards see it: each knows the user's sessions, and only its own rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{Generation, SessionId, UserId};
use crate::profile::Profile;
use crate::room::Status;

/// What shards know of a user who is there.
#[derive(Clone, Debug)]
pub struct Sighting {
    sessions: BTreeMap<SessionId, Whereabouts>,
    /// What the newest connection that said something about its user said.
    profile: (Said, Arc<Profile>),
}

/// Orders profiles: one that says something wins over one that does not, and then the newer one.
type Said = (bool, Option<Generation>);

/// Where a session is, in the order in which one report wins over another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whereabouts {
    /// Connected, and in none of the rooms of this shard.
    NoRoom,
    /// In rooms, and idle.
    Idle,
    /// In a room, and in use.
    InUse,
}

impl Whereabouts {
    pub(super) const fn in_room(active: bool) -> Self {
        if active { Self::InUse } else { Self::Idle }
    }
}

impl Sighting {
    pub(super) fn new(user: &UserId) -> Self {
        let nothing_said = Arc::new(Profile::of_user(user.clone()));
        Self { sessions: BTreeMap::new(), profile: ((false, None), nothing_said) }
    }

    pub(super) fn session(&mut self, session: &SessionId, whereabouts: Whereabouts) {
        let known = self.sessions.entry(session.clone()).or_insert(whereabouts);
        *known = whereabouts.max(*known);
    }

    pub(super) fn profile(&mut self, generation: Generation, profile: &Arc<Profile>) {
        let says_something = **profile != Profile::of_user(profile.id.clone());
        let said = (says_something, Some(generation));
        if said > self.profile.0 {
            self.profile = (said, Arc::clone(profile));
        }
    }

    pub(super) fn is_somebody(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// The sighting with what another shard knows.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (session, whereabouts) in &other.sessions {
            self.session(session, *whereabouts);
        }
        if other.profile.0 > self.profile.0 {
            self.profile = other.profile;
        }
        self
    }

    /// What others see of the user.
    pub fn seen(&self) -> &Arc<Profile> {
        &self.profile.1
    }

    /// Online, or away if every session is in a room and idle.
    pub fn status(&self) -> Status {
        let idle = self.sessions.values().all(|whereabouts| *whereabouts == Whereabouts::Idle);
        if idle { Status::Away } else { Status::Online }
    }
}
