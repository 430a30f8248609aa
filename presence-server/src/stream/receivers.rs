//! Who receives a stream: connections that listen to it, and users whose place in it is kept, as they come, go and are waited
//! for.

use std::sync::Arc;
use std::time::Duration;

use presence_core::few::Few;
use presence_core::id::{Generation, RoomId, UserId};
use presence_core::port::store::{Standing, StoreError};
use presence_core::session::{Delivery, StreamDelivery};
use presence_core::shard::Detach;
use presence_core::stream::{Receiver, Seq};
use presence_core::time::Timestamp;
use tracing::debug;

use super::connected::Connected;
use super::hub::Hub;
use super::publish::Done;
use super::seats::{Held, Seats, Why};
use super::{Roster, Who};
use crate::connection::mailbox::Mailbox;

impl Hub {
    /// A connection has a user. They listen to their inbox from now on, which need not be there for that.
    pub(super) fn attach(&mut self, who: Who, mailbox: Arc<Mailbox>) {
        if let Some(absence) = &mut self.absence {
            absence.come(&who.user);
        }
        self.connections.insert(who.clone(), Connected { mailbox, rooms: Few::new() });
        let inbox = RoomId::inbox(&who.user);
        if self.streams.contains_key(&inbox) {
            self.listen(&who, &inbox, Why::Member);
        }
    }

    /// Which connections of a user listen to a stream.
    pub(super) fn listening(&self, room: &RoomId, user: &UserId) -> Vec<Generation> {
        if room.inbox_of() == Some(user.as_str()) {
            return self.connections.of(user).collect();
        }
        let Some(seats) = self.streams.get(room) else { return Vec::new() };
        seats.among(self.connections.of(user)).map(|listener| listener.generation).collect()
    }

    /// There is something about this stream. If it is an inbox, its owner's connections take their seats in it: until then
    /// they would only cost memory, and everybody has an inbox.
    pub(super) fn open_inbox(&mut self, room: &RoomId) {
        let Some(Ok(owner)) = room.inbox_of().map(UserId::parse) else { return };
        if !self.streams.contains_key(room) {
            let here: Vec<Generation> = self.connections.of(&owner).collect();
            for generation in here {
                self.listen(&Who { user: owner.clone(), generation }, room, Why::Member);
            }
        }
    }

    pub(super) fn listen(&mut self, who: &Who, room: &RoomId, why: Why) {
        let Some(connected) = self.connections.get_mut(who) else { return };
        let user = &who.user;
        if !connected.rooms.contains(room) {
            connected.rooms.push(room.clone());
        }
        let seats = self.streams.entry(room.clone()).or_default();
        seats.add(who.generation, user, &connected.mailbox, why);
        if let Some(held) = seats.receivers.get_mut(user) {
            held.member |= why.is_member();
        }
        if let Some(until) = seats.no_longer_wait_for(user) {
            self.ends.remove(&(until, room.clone(), user.clone()));
        }
        seats.open(room, user, self.connections.of(user));
    }

    /// A connection has left a room. Who is on the roster receives its messages all the same.
    pub(super) fn leave(&mut self, who: &Who, room: &RoomId, sent: Option<Seq>) {
        let Who { user, generation } = who;
        let Some(connected) = self.connections.get_mut(who) else { return };
        let Some(seats) = self.streams.get_mut(room) else { return };
        let Some(listener) = seats.listener(*generation) else { return };
        if listener.why.is_member() {
            listener.why = Why::Member;
            seats.untell(*generation);
            if let Some(sent) = sent {
                // Whatever the user's other devices have dealt with since.
                seats.open_after(room, *generation, sent);
            } else {
                seats.open(room, user, self.connections.of(user));
            }
            return;
        }
        connected.rooms.retain(|known| known != room);
        seats.remove(*generation);
        let others = seats.any_of(self.connections.of(user));
        if !others && seats.awaited_until(user).is_none() {
            self.end(room, user);
        }
        self.forget_if_empty(room);
    }

    /// A user does not receive a stream any more, unless they are on the roster or it is their inbox.
    pub(super) fn end(&mut self, room: &RoomId, user: &UserId) {
        let Some(seats) = self.streams.get_mut(room) else { return };
        seats.no_longer_wait_for(user);
        let Some(held) = seats.receivers.remove(user) else { return };
        if !held.member {
            self.unsubscribe(room, user);
        }
    }

    fn unsubscribe(&mut self, room: &RoomId, user: &UserId) {
        let (store, room, user) = (Arc::clone(&self.world.store), room.clone(), user.clone());
        let acked = self.dirty.remove(&(room.clone(), user.clone()));
        self.line.join(async move {
            // What they have dealt with is not purged.
            if let Some(seq) = acked {
                let _ = store.acknowledge(&room, &user, seq).await;
            }
            if let Err(error) = store.unsubscribe(&room, &user).await {
                debug!(%room, %user, %error, "cannot end a subscription");
            }
            Done::Nothing
        });
    }

    pub(super) fn forget_if_empty(&mut self, room: &RoomId) {
        if self.streams.get(room).is_some_and(Seats::is_empty) {
            self.streams.remove(room);
        }
    }

    /// A connection is gone. For a while its user's place is kept here: they may be back at once.
    pub(super) fn detach(&mut self, now: Timestamp, who: Who, how: Detach) {
        let Some(Connected { rooms, .. }) = self.connections.remove(&who) else { return };
        let Who { user, generation } = who;
        let limits = &self.world.limits;
        let wait = match how {
            Detach::Finished | Detach::Kicked => Duration::ZERO,
            Detach::GoingAway => limits.going_away_grace,
            Detach::Lost => limits.grace,
        };
        if let Some(absence) = &mut self.absence {
            absence.go(now, &user, wait);
        }
        for room in rooms {
            self.look_for_unread(now, &room, &user);
            let Some(seats) = self.streams.get_mut(&room) else { continue };
            let gone = seats.remove(generation);
            let others = seats.any_of(self.connections.of(&user));
            // Of members the store knows where they stand, whatever happens.
            let awaited = !wait.is_zero() && gone.is_some_and(|gone| gone.why.is_present());
            if !others && (awaited || seats.receivers.contains_key(&user)) {
                let until = seats.awaited_until(&user).unwrap_or_default().max(now + wait);
                if let Some(before) = seats.wait_for(&user, until) {
                    self.ends.remove(&(before, room.clone(), user.clone()));
                }
                self.ends.insert((until, room.clone(), user.clone()));
            }
            self.forget_if_empty(&room);
        }
    }

    pub(super) fn stands(
        &mut self,
        now: Timestamp,
        who: &Who,
        room: &RoomId,
        standing: Standing,
        roster: Roster,
    ) {
        if !self.connections.contains(who) {
            return;
        }
        let waits = standing.cursor < standing.head;
        if room.inbox_of().is_some() && !waits && !self.streams.contains_key(room) {
            return;
        }
        self.open_inbox(room);
        let user = &who.user;
        let seats = self.streams.entry(room.clone()).or_default();
        seats.head = seats.head.max(standing.head);
        let member = roster == Roster::On;
        // Their place costs nothing while there is nothing for them.
        if waits || !member {
            let held = seats.receivers.entry(user.clone()).or_insert_with(|| {
                let receiver = Receiver::new(standing.cursor, standing.head);
                Held { receiver, member, until: None }
            });
            held.member |= member;
        }
        if member {
            return self.listen(who, room, Why::Member);
        }
        if seats.any_of(self.connections.of(user)) {
            return seats.open(room, user, self.connections.of(user));
        }
        // They were in the room when the server ended: they have as long to come back as anybody who was lost.
        let until = now + self.world.limits.grace;
        if let Some(held) = seats.receivers.get_mut(user)
            && held.until.is_none()
        {
            held.until = Some(until);
            self.ends.insert((until, room.clone(), user.clone()));
        }
    }

    pub(super) fn remove_member(&mut self, room: &RoomId, user: &UserId) {
        let Some(seats) = self.streams.get_mut(room) else { return };
        // What waited is purged, and with it their place.
        seats.receivers.remove(user);
        self.dirty.remove(&(room.clone(), user.clone()));
        seats.untell_all(self.connections.of(user));
        let listening: Vec<Generation> =
            seats.among(self.connections.of(user)).map(|listener| listener.generation).collect();
        for generation in listening {
            let Some(listener) = seats.listener(generation) else { continue };
            if listener.why.is_present() {
                listener.why = Why::Present;
            } else if let Some(gone) = seats.remove(generation) {
                gone.mailbox.deliver(Delivery::Stream(StreamDelivery::Closed(room.clone())));
                let who = Who { user: user.clone(), generation };
                if let Some(connected) = self.connections.get_mut(&who) {
                    connected.rooms.retain(|known| known != room);
                }
            }
        }
        self.forget_if_empty(room);
    }

    /// A connection was told of messages up to a place before it listened: between the two there may have been more.
    pub(super) fn catch_up(&mut self, who: Who, room: RoomId, after: Seq) {
        if !self.connections.contains(&who) {
            return;
        }
        let (store, Who { user, generation }) = (Arc::clone(&self.world.store), who);
        self.line.join(async move {
            let result = store.subscribe(&room, &user).await;
            Done::CaughtUp { generation, room, user, after, result }
        });
    }

    /// The store has said where its user stands.
    pub(super) fn caught_up(
        &mut self,
        generation: Generation,
        room: &RoomId,
        user: &UserId,
        after: Seq,
        result: Result<Standing, StoreError>,
    ) {
        self.place(room, user, result);
        if let Some(seats) = self.streams.get_mut(room) {
            seats.open_after(room, generation, after);
        }
    }

    /// The store has said where a user stands.
    pub(super) fn place(&mut self, room: &RoomId, user: &UserId, result: Result<Standing, StoreError>) {
        let seats = self.streams.get_mut(room);
        let here = |seats: &&mut Seats| {
            seats.any_of(self.connections.of(user)) || seats.awaited_until(user).is_some()
        };
        let Some(seats) = seats.filter(here) else {
            // They have left for good meanwhile.
            return self.unsubscribe(room, user);
        };
        match result {
            Ok(standing) => {
                seats.head = seats.head.max(standing.head);
                seats.hold(user, self.connections.of(user), || Receiver::new(standing.cursor, standing.head));
                seats.open(room, user, self.connections.of(user));
            }
            Err(error) => {
                debug!(%room, %user, %error, "cannot find out where a receiver stands");
                seats.forget_asked(user, self.connections.of(user));
            }
        }
    }
}
