//! The live lane of a room: cursors and typing. Latest value per session, never versioned, gathered per hand-out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::{SessionId, UserId};
use crate::time::Timestamp;

/// What of the live lane has changed since it was last handed out.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Sessions whose cursor moved.
    moved: BTreeSet<(UserId, SessionId)>,
    /// Sessions that type, and until when they count as typing.
    typing: BTreeMap<(UserId, SessionId), Timestamp>,
    /// The users that others were last told are typing.
    told: BTreeSet<UserId>,
}

impl Live {
    pub(super) fn moved(&mut self, user: &UserId, session: &SessionId) {
        self.moved.insert((user.clone(), session.clone()));
    }

    /// Notes typing, or its end. Says when to look whether it has ended by itself.
    pub(super) fn typing(
        &mut self,
        now: Timestamp,
        key: (&UserId, &SessionId),
        typing: bool,
        lasts: Duration,
    ) -> Option<Timestamp> {
        let key = (key.0.clone(), key.1.clone());
        if typing {
            self.typing.insert(key, now + lasts);
            Some(now + lasts)
        } else {
            self.typing.remove(&key);
            None
        }
    }

    /// Forgets a session that is no longer there.
    pub(super) fn forget(&mut self, user: &UserId, session: &SessionId) {
        let key = (user.clone(), session.clone());
        self.moved.remove(&key);
        self.typing.remove(&key);
    }

    /// Ends the typing whose time is over.
    pub(super) fn end_typing(&mut self, now: Timestamp) {
        self.typing.retain(|_, until| now < *until);
    }

    pub(super) fn typists(&self) -> BTreeSet<UserId> {
        self.typing.keys().map(|(user, _)| user.clone()).collect()
    }

    /// Whether others should be told something.
    pub(super) fn has_news(&self) -> bool {
        !self.moved.is_empty() || self.typing_has_news()
    }

    fn typing_has_news(&self) -> bool {
        !(self.typing.is_empty() && self.told.is_empty()) && self.typists() != self.told
    }

    pub(super) fn take_moved(&mut self) -> BTreeSet<(UserId, SessionId)> {
        std::mem::take(&mut self.moved)
    }

    /// Who is typing, if others do not know that yet.
    pub(super) fn take_typing(&mut self) -> Option<&BTreeSet<UserId>> {
        self.typing_has_news().then(|| {
            self.told = self.typists();
            &self.told
        })
    }
}
