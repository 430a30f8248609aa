//! What has happened in a room since it last handed out: per user, from what to what. Events are derived from this
//! when they are handed out, never invented beside the roster.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::{LeaveCause, Member, Status};
use crate::id::{SessionId, UserId};
use crate::profile::Profile;
use crate::time::WallTime;
use crate::wire::{Changed, StatePatch};

/// The changes of all users, in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Pending {
    users: BTreeMap<UserId, Change>,
}

/// What happened to one user.
#[derive(Debug)]
pub(super) struct Change {
    /// How the user stood when the room last handed out; `None`: not present.
    pub(super) before: Option<Before>,
    /// The user's last departure since then, though the user may be back.
    pub(super) departed: Option<Departed>,
    /// Sessions came, went, or changed whether they are active.
    pub(super) sessions: bool,
    /// What sessions changed of their state.
    pub(super) patches: BTreeMap<SessionId, StatePatch>,
}

/// What others were last told of a user.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) profile: Arc<Profile>,
    pub(super) status: Status,
    pub(super) connections: usize,
}

/// How the user went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departed {
    pub(super) cause: LeaveCause,
    pub(super) last_seen: WallTime,
}

impl Pending {
    /// The change of `user`. Must be called before the roster changes, with the member as it still is.
    pub(super) fn touch(&mut self, user: &UserId, member: Option<&Member>) -> &mut Change {
        self.users.entry(user.clone()).or_insert_with(|| Change {
            before: member.map(|member| Before {
                profile: Arc::clone(&member.profile),
                status: member.status(),
                connections: member.sessions.len(),
            }),
            departed: None,
            sessions: false,
            patches: BTreeMap::new(),
        })
    }

    /// Whether something has happened to a user.
    pub(super) fn has_touched(&self, user: &UserId) -> bool {
        !self.users.is_empty() && self.users.contains_key(user)
    }

    /// Those who were there when the room last handed out and to whom something has happened since, and by how many
    /// sessions they were.
    pub(super) fn before(&self) -> impl Iterator<Item = (&UserId, usize)> {
        let before = self.users.iter();
        before.filter_map(|(user, change)| Some((user, change.before.as_ref()?.connections)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    pub(super) fn take(&mut self) -> BTreeMap<UserId, Change> {
        std::mem::take(&mut self.users)
    }
}

impl Before {
    /// What is different now.
    pub(super) fn changed(&self, member: &Member, sessions: bool) -> Changed {
        let (old, new) = (&self.profile, &member.profile);
        Changed {
            name: old.name != new.name,
            color: old.color != new.color,
            avatar: old.avatar != new.avatar,
            email: old.email != new.email,
            status: self.status != member.status(),
            sessions,
        }
    }
}
