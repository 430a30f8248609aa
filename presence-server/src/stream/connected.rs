//! The connections that have a user, as a hub knows them: by user, so that what concerns one does not look at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_core::few::Few;
use presence_core::id::{Generation, RoomId, UserId};

use super::Who;
use crate::connection::mailbox::Mailbox;

/// A connection with a user.
pub(super) struct Connected {
    pub(super) mailbox: Arc<Mailbox>,
    /// Which of the hub's streams it has a seat in.
    pub(super) rooms: Few<RoomId>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Connections(BTreeMap<Who, Connected>);

impl Connections {
    pub(super) fn insert(&mut self, who: Who, connected: Connected) {
        self.0.insert(who, connected);
    }

    pub(super) fn remove(&mut self, who: &Who) -> Option<Connected> {
        self.0.remove(who)
    }

    pub(super) fn get(&self, who: &Who) -> Option<&Connected> {
        self.0.get(who)
    }

    pub(super) fn get_mut(&mut self, who: &Who) -> Option<&mut Connected> {
        self.0.get_mut(who)
    }

    pub(super) fn contains(&self, who: &Who) -> bool {
        self.0.contains_key(who)
    }

    /// The connections of a user, in the order in which they came.
    pub(super) fn of(&self, user: &UserId) -> impl Iterator<Item = Generation> {
        let first = Who { user: user.clone(), generation: Generation::new(0) };
        let from_first = self.0.range(first..).map(|(who, _)| who);
        from_first.take_while(move |who| who.user == *user).map(|who| who.generation)
    }
}
