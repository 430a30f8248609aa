//! The hand-out: what has happened since the last one becomes events, with versions, said all at once.

use super::Room;
use super::member::LeaveCause;
use super::movement::{self, Movement};
use super::pending::Change;
use crate::audit::{Breaches, Invariant};
use crate::frame::{EventId, Frame, Message};
use crate::id::{UserId, Version};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::time::Now;
use crate::wire;

/// What a hand-out came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandedOut {
    /// Versioned messages.
    pub presence: usize,
    /// Messages of the live lane.
    pub live: usize,
    /// Users who came (0→1).
    pub joined: usize,
    /// Users who went (1→0), by [`LeaveCause`] in the order of [`LeaveCause::ALL`].
    pub left: [usize; LeaveCause::ALL.len()],
    /// Who came and went, in the order of the room's history. Who is waited for has neither come nor gone.
    pub movements: Vec<Movement>,
    /// What is not as it must be.
    pub breaches: Breaches,
}

impl Room {
    /// Turns what has happened into events, gives them their versions, and says them all at once.
    pub fn hand_out(&mut self, now: Now, limits: &Limits) -> HandedOut {
        let mut out = HandedOut::default();
        let mut messages = Vec::new();
        let (version, before) = (self.version, self.told.users());
        for (user, change) in self.pending.take() {
            let said = self.version;
            self.derive_events(&user, &change, &mut messages, &mut out);
            if self.version > said
                && let Some(member) = self.members.get_mut(user.as_str())
            {
                member.told = self.version;
            }
        }
        if planted::is(Bug::LastEventLost) && messages.len() > 1 {
            messages.pop();
        }
        out.presence = messages.len();
        out.movements = movement::with_edges(out.movements, before, self.members.len());
        self.check_said(version, &messages, &mut out.breaches);
        if !messages.is_empty() {
            let goes_on = self.feed.append_presence(now.at, self.version, Frame::packed(messages), limits);
            out.breaches.expect(Invariant::GapFree, goes_on, || {
                format!("the feed did not end with version {version} when more was said")
            });
        }
        let mut live = self.take_live();
        live.extend(self.change_mode(limits));
        out.live = live.len();
        if !live.is_empty() {
            self.feed.append_live(Frame::new(live), limits);
        }
        out
    }

    fn derive_events(
        &mut self,
        user: &UserId,
        change: &Change,
        messages: &mut Vec<Message>,
        out: &mut HandedOut,
    ) {
        let connections = self.members.get(user.as_str()).map(|member| member.sessions.len());
        if let Some(before) = &change.before {
            self.digest.remove(user, counted(before.connections));
        }
        if let Some(connections) = connections {
            self.digest.add(user, counted(connections));
        }
        // In between, a user who was there may have left and come back: that is a leave and a join.
        if let Some(departed) = change.departed
            && (change.before.is_some() || planted::is(Bug::LeaveOfUnseen))
        {
            out.left[departed.cause as usize] += 1;
            self.told.left(user);
            self.say(messages, |room, version| {
                wire::user_left(&room.id, version, user, departed.cause, departed.last_seen)
            });
            let (version, user, cause) = (self.version, user.clone(), departed.cause);
            out.movements.push(Movement::Left { version, user, cause });
        }
        let stayed = change.before.as_ref().filter(|_| change.departed.is_none());
        let Some(member) = self.members.get(user.as_str()).cloned() else { return };
        let Some(before) = stayed else {
            out.joined += 1;
            self.told.joined(user);
            self.say(messages, |room, version| wire::user_joined(&room.id, version, &member));
            out.movements.push(Movement::Joined { version: self.version, user: user.clone() });
            return;
        };
        let changed = before.changed(&member, change.sessions);
        if changed.any() {
            self.say(messages, |room, version| wire::user_updated(&room.id, version, &member, changed));
        }
        // An update that carries the sessions carries their states.
        for (session, patch) in change.patches.iter().filter(|_| !changed.sessions) {
            self.say(messages, |room, version| wire::state_updated(&room.id, version, user, session, patch));
        }
    }

    fn say(&mut self, messages: &mut Vec<Message>, event: impl FnOnce(&Self, Version) -> Vec<u8>) {
        if messages.is_empty() || !planted::is(Bug::VersionShared) {
            self.version = self.version.next();
        }
        let id = EventId { room: self.id.clone(), epoch: self.epoch.clone(), version: self.version };
        messages.push(Message::versioned(event(self, self.version), id));
    }

    /// Takes on the mode that goes with how many are there. Gives what is to be said of it, if anything.
    fn change_mode(&mut self, limits: &Limits) -> Option<Message> {
        let mode = self.mode.with_users(self.members.len(), limits);
        let before = std::mem::replace(&mut self.mode, mode);
        (self.mode.as_str() != before.as_str()).then(|| wire::mode(&self.id, self.mode))
    }

    fn take_live(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let moved = self.live.take_moved();
        if !moved.is_empty() {
            let cursors = moved.iter().filter_map(|(user, session)| {
                let present = self.members.get(user.as_str())?.session(session)?;
                Some((user, session, present.cursor.as_ref()))
            });
            messages.push(wire::cursors(&self.id, cursors));
        }
        if let Some(typists) = self.live.take_typing() {
            messages.push(wire::typing(&self.id, typists.iter()));
        }
        messages
    }
}

fn counted(connections: usize) -> usize {
    if planted::is(Bug::DigestWithoutCount) { 1 } else { connections }
}
