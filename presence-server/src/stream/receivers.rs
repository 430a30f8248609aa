//! Who receives a stream: connections that listen to it, and users whose place in it is kept, as they come, go and are waited
//! for.

use std::sync::Arc;
use std::time::Duration;

use presence_core::id::{Generation, RoomId, UserId};
use presence_core::port::store::{Standing, StoreError};
use presence_core::session::{Delivery, StreamDelivery};
use presence_core::shard::Detach;
use presence_core::stream::{Receiver, Seq};
use presence_core::time::Timestamp;
use tracing::debug;

use super::Roster;
use super::hub::{Connected, Hub};
use super::publish::Done;
use super::seats::{Held, Seats, Why};

impl Hub {
    pub(super) fn listen(&mut self, generation: Generation, room: &RoomId, why: Why) {
        let Some(connected) = self.connections.get_mut(&generation) else { return };
        if !connected.rooms.contains(room) {
            connected.rooms.reserve_exact(1);
            connected.rooms.push(room.clone());
        }
        let seats = self.streams.entry(room.clone()).or_default();
        seats.add(generation, &connected.user, &connected.mailbox, why);
        if let Some(held) = seats.receivers.get_mut(&connected.user) {
            held.member |= why.is_member();
        }
        if let Some(until) = seats.no_longer_wait_for(&connected.user) {
            self.ends.remove(&(until, room.clone(), connected.user.clone()));
        }
        seats.open(room, &connected.user);
    }

    /// A connection has left a room. Who is on the roster receives its messages all the same.
    pub(super) fn leave(&mut self, generation: Generation, room: &RoomId) {
        let Some(connected) = self.connections.get_mut(&generation) else { return };
        let Some(seats) = self.streams.get_mut(room) else { return };
        let Some(listener) = seats.listener(generation) else { return };
        let user = connected.user.clone();
        if listener.why.is_member() {
            listener.why = Why::Member;
            seats.untell(generation);
            seats.open(room, &user);
            return;
        }
        connected.rooms.retain(|known| known != room);
        seats.remove(generation);
        let others = seats.of_user(&user).next().is_some();
        if !others && seats.awaited_until(&user).is_none() {
            self.end(room, &user);
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
    pub(super) fn detach(&mut self, now: Timestamp, generation: Generation, how: Detach) {
        let Some(Connected { user, rooms, .. }) = self.connections.remove(&generation) else { return };
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
            let others = seats.of_user(&user).next().is_some();
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
        generation: Generation,
        room: &RoomId,
        standing: Standing,
        roster: Roster,
    ) {
        let Some(connected) = self.connections.get(&generation) else { return };
        let user = connected.user.clone();
        let seats = self.streams.entry(room.clone()).or_default();
        seats.head = seats.head.max(standing.head);
        let member = roster == Roster::On;
        // Their place costs nothing while there is nothing for them.
        if standing.cursor < standing.head || !member {
            let held = seats.receivers.entry(user.clone()).or_insert_with(|| {
                let receiver = Receiver::new(standing.cursor, standing.head);
                Held { receiver, member, until: None }
            });
            held.member |= member;
        }
        if member {
            return self.listen(generation, room, Why::Member);
        }
        if seats.of_user(&user).next().is_some() {
            return seats.open(room, &user);
        }
        // They were in the room when the server ended: they have as long to come back as anybody who was lost.
        let until = now + self.world.limits.grace;
        if let Some(held) = seats.receivers.get_mut(&user)
            && held.until.is_none()
        {
            held.until = Some(until);
            self.ends.insert((until, room.clone(), user));
        }
    }

    pub(super) fn remove_member(&mut self, room: &RoomId, user: &UserId) {
        let Some(seats) = self.streams.get_mut(room) else { return };
        // What waited is purged, and with it their place.
        seats.receivers.remove(user);
        self.dirty.remove(&(room.clone(), user.clone()));
        seats.untell_user(user);
        let listening: Vec<Generation> = seats.of_user(user).map(|listener| listener.generation).collect();
        for generation in listening {
            let Some(listener) = seats.listener(generation) else { continue };
            if listener.why.is_present() {
                listener.why = Why::Present;
            } else if let Some(gone) = seats.remove(generation) {
                gone.mailbox.deliver(Delivery::Stream(StreamDelivery::Closed(room.clone())));
                if let Some(connected) = self.connections.get_mut(&generation) {
                    connected.rooms.retain(|known| known != room);
                }
            }
        }
        self.forget_if_empty(room);
    }

    /// A connection was told of messages up to a place before it listened: between the two there may have been more.
    pub(super) fn catch_up(&mut self, generation: Generation, room: RoomId, after: Seq) {
        let Some(connected) = self.connections.get(&generation) else { return };
        let (store, user) = (Arc::clone(&self.world.store), connected.user.clone());
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
        let here =
            |seats: &&mut Seats| seats.of_user(user).next().is_some() || seats.awaited_until(user).is_some();
        let Some(seats) = seats.filter(here) else {
            // They have left for good meanwhile.
            return self.unsubscribe(room, user);
        };
        match result {
            Ok(standing) => {
                seats.head = seats.head.max(standing.head);
                seats.hold(user, || Receiver::new(standing.cursor, standing.head));
                seats.open(room, user);
            }
            Err(error) => {
                debug!(%room, %user, %error, "cannot find out where a receiver stands");
                seats.forget_asked(user);
            }
        }
    }
}
