//! One stream, as its hub has it: who listens, who receives, and what is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use presence_core::id::{Generation, RoomId, UserId};
use presence_core::session::{Delivery, StreamDelivery};
use presence_core::stream::{Opened, Receiver, Seq, Tail};
use presence_core::time::Timestamp;

use super::Who;
use crate::connection::mailbox::Mailbox;

/// A stream that somebody listens to, or that has news.
#[derive(Default)]
pub(super) struct Seats {
    /// In the order of generations.
    listeners: Vec<Listener>,
    /// Those whose place is known; nobody's is before there is something to deliver.
    pub(super) receivers: BTreeMap<UserId, Held>,
    /// Those of whom that is not known, who were in the room and may be back.
    awaited: BTreeMap<UserId, Awaited>,
    tail: Option<Tail>,
    /// The newest message that is known of.
    pub(super) head: Seq,
    /// The last message that the hub has put into the store since somebody listens.
    pub(super) kept: Seq,
    /// When the last message came that is still in memory.
    pub(super) fresh_since: Option<Timestamp>,
}

/// A connection that listens.
pub(super) struct Listener {
    pub(super) generation: Generation,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) user: UserId,
    pub(super) why: Why,
    /// Whether its user's place has been asked for.
    pub(super) known: bool,
    /// Whether it reads along, or has to be told that there is something.
    told: bool,
}

/// Why a connection listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is in the room.
    Present,
    /// Its user is on the roster, or it is their inbox.
    Member,
    /// Both.
    PresentMember,
}

impl Why {
    pub(super) fn is_present(self) -> bool {
        matches!(self, Self::Present | Self::PresentMember)
    }

    pub(super) fn is_member(self) -> bool {
        matches!(self, Self::Member | Self::PresentMember)
    }
}

/// A receiver, and whether they stay one.
pub(super) struct Held {
    pub(super) receiver: Receiver,
    /// On the roster, or the owner of the inbox, as far as is known.
    pub(super) member: bool,
    /// When this is over, if no connection of theirs listens any more.
    pub(super) until: Option<Timestamp>,
}

/// Somebody who may be back, and is to get what is said meanwhile.
struct Awaited {
    until: Timestamp,
    /// Whether their place has been asked for.
    known: bool,
}

impl Seats {
    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.receivers.is_empty() && self.awaited.is_empty()
    }

    /// The last connection of a user is gone, who is waited for until then. Says until when they were waited for before.
    pub(super) fn wait_for(&mut self, user: &UserId, until: Timestamp) -> Option<Timestamp> {
        if let Some(held) = self.receivers.get_mut(user) {
            return held.until.replace(until);
        }
        let awaited = self.awaited.insert(user.clone(), Awaited { until, known: false });
        awaited.map(|awaited| awaited.until)
    }

    /// They are back, or nobody waits for them any more. Says until when they were waited for.
    pub(super) fn no_longer_wait_for(&mut self, user: &UserId) -> Option<Timestamp> {
        let awaited = self.awaited.remove(user).map(|awaited| awaited.until);
        self.receivers.get_mut(user).and_then(|held| held.until.take()).or(awaited)
    }

    /// Until when a user is waited for.
    pub(super) fn awaited_until(&self, user: &UserId) -> Option<Timestamp> {
        let held = self.receivers.get(user).and_then(|held| held.until);
        held.or_else(|| self.awaited.get(user).map(|awaited| awaited.until))
    }

    pub(super) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    pub(super) fn listener(&mut self, generation: Generation) -> Option<&mut Listener> {
        let index = self.index(generation)?;
        Some(&mut self.listeners[index])
    }

    /// Those of these connections that listen.
    pub(super) fn among(
        &self,
        connections: impl Iterator<Item = Generation>,
    ) -> impl Iterator<Item = &Listener> {
        connections.filter_map(|generation| Some(&self.listeners[self.index(generation)?]))
    }

    /// Whether one of these connections listens.
    pub(super) fn any_of(&self, connections: impl Iterator<Item = Generation>) -> bool {
        self.among(connections).next().is_some()
    }

    fn index(&self, generation: Generation) -> Option<usize> {
        self.listeners.binary_search_by_key(&generation, |listener| listener.generation).ok()
    }

    /// Lets a connection listen, for this reason too.
    pub(super) fn add(&mut self, generation: Generation, user: &UserId, mailbox: &Arc<Mailbox>, why: Why) {
        match self.listeners.binary_search_by_key(&generation, |listener| listener.generation) {
            Ok(index) => {
                let listener = &mut self.listeners[index];
                if listener.why != why {
                    listener.why = Why::PresentMember;
                }
            }
            Err(index) => {
                if self.listeners.len() == self.listeners.capacity() {
                    // Most rooms are small, and half of what is doubled would lie idle.
                    self.listeners.reserve_exact(1 + self.listeners.len() / 8);
                }
                let (user, mailbox) = (user.clone(), Arc::clone(mailbox));
                let known = self.receivers.contains_key(&user);
                let listener = Listener { generation, mailbox, user, why, known, told: false };
                self.listeners.insert(index, listener);
            }
        }
    }

    pub(super) fn remove(&mut self, generation: Generation) -> Option<Listener> {
        Some(self.listeners.remove(self.index(generation)?))
    }

    /// The users who listen, or may be back, and whose place nobody has asked for; it counts as asked for from now on.
    pub(super) fn take_strangers(&mut self) -> Vec<UserId> {
        let mut strangers = Vec::new();
        for listener in self.listeners.iter_mut().filter(|listener| !listener.known) {
            listener.known = true;
            if !self.receivers.contains_key(&listener.user) {
                strangers.push(listener.user.clone());
            }
        }
        for (user, awaited) in self.awaited.iter_mut().filter(|(_, awaited)| !awaited.known) {
            awaited.known = true;
            strangers.push(user.clone());
        }
        strangers.sort_unstable();
        strangers.dedup();
        strangers
    }

    /// The store could not say where a user stands; it is asked again with the next message.
    pub(super) fn forget_asked(&mut self, user: &UserId, connections: impl Iterator<Item = Generation>) {
        for generation in connections {
            if let Some(listener) = self.listener(generation) {
                listener.known = false;
            }
        }
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.known = false;
        }
    }

    /// The store has said where a user stands.
    pub(super) fn hold(
        &mut self,
        user: &UserId,
        connections: impl Iterator<Item = Generation>,
        receiver: impl FnOnce() -> Receiver,
    ) {
        let member = self.among(connections).any(|listener| listener.why.is_member());
        let until = self.awaited.remove(user).map(|awaited| awaited.until);
        self.receivers.entry(user.clone()).or_insert_with(|| Held { receiver: receiver(), member, until });
    }

    /// The end of the stream, at least at `head`.
    pub(super) fn tail(&mut self) -> Tail {
        let head = self.head;
        let tail = self.tail.get_or_insert_with(|| Tail::after(head));
        tail.advance(head);
        tail.clone()
    }

    /// The end of the stream before a new message is added, or after one that somebody else knew of first.
    pub(super) fn tail_for(&mut self, seq: Seq) -> Tail {
        let before = Seq::new(seq.number().saturating_sub(1)).max(self.head);
        self.head = self.head.max(seq);
        self.tail.get_or_insert_with(|| Tail::after(before)).clone()
    }

    /// Nothing new has come for a while.
    pub(super) fn rest(&mut self) {
        self.fresh_since = None;
        if let Some(tail) = &self.tail {
            tail.clear();
        }
    }

    /// Tells a user's connections that there is something for them, if there is.
    pub(super) fn open(
        &mut self,
        room: &RoomId,
        user: &UserId,
        connections: impl Iterator<Item = Generation>,
    ) {
        let Some(held) = self.receivers.get(user) else { return };
        if held.receiver.acked() >= self.head {
            return;
        }
        let (receiver, from) = (held.receiver.clone(), held.receiver.acked());
        let tail = self.tail();
        for generation in connections {
            let Some(listener) = self.listener(generation).filter(|listener| !listener.told) else {
                continue;
            };
            let (room, tail, receiver) = (room.clone(), tail.clone(), receiver.clone());
            listener.mailbox.deliver(opened(room, tail, receiver, from));
            listener.told = true;
        }
    }

    /// Tells a connection that has everything up to a place that there is more, if there is and it does not know.
    pub(super) fn open_after(&mut self, room: &RoomId, generation: Generation, after: Seq) {
        if after >= self.head {
            return;
        }
        let tail = self.tail();
        let Some(index) = self.index(generation) else { return };
        let listener = &mut self.listeners[index];
        let Some(held) = self.receivers.get(&listener.user) else { return };
        if !listener.told {
            listener.mailbox.deliver(opened(room.clone(), tail, held.receiver.clone(), after));
            listener.told = true;
        }
    }

    /// A connection reads along no more, though it listens.
    pub(super) fn untell(&mut self, generation: Generation) {
        if let Some(listener) = self.listener(generation) {
            listener.told = false;
        }
    }

    /// The same for all connections of a user, of whom nothing is known any more.
    pub(super) fn untell_all(&mut self, connections: impl Iterator<Item = Generation>) {
        for generation in connections {
            if let Some(listener) = self.listener(generation) {
                (listener.told, listener.known) = (false, false);
            }
        }
    }

    /// There is a new message, which is `seq` and in the tail: everybody is woken, or told. The last one measures. Gives
    /// those who came when it was on its way already, so that nobody has asked where they stand; they count as asked for.
    pub(super) fn wake(&mut self, room: &RoomId, seq: Seq, arrived: std::time::Duration) -> Vec<Who> {
        let mut late = Vec::new();
        let tail = self.tail();
        let last = self.listeners.len().saturating_sub(1);
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !listener.told {
                let Some(held) = self.receivers.get(&listener.user) else {
                    listener.known = true;
                    late.push(Who { user: listener.user.clone(), generation: listener.generation });
                    continue;
                };
                let (room, tail, receiver) = (room.clone(), tail.clone(), held.receiver.clone());
                // As it is now: another device may acknowledge the message before this one looks.
                let from = receiver.acked().min(Seq::new(seq.number() - 1));
                listener.mailbox.deliver(opened(room, tail, receiver, from));
                listener.told = true;
            }
            if index == last {
                listener.mailbox.wake_for_message(arrived);
            } else {
                listener.mailbox.wake();
            }
        }
        late
    }
}

fn opened(room: RoomId, tail: Tail, receiver: Receiver, from: Seq) -> Delivery {
    // Acks are delivered before messages are in the tail.
    let told = tail.head();
    Delivery::Stream(StreamDelivery::Opened(Opened { room, tail, receiver, from, told }))
}
