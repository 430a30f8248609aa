//! How a hub finds out who misses a message, and says so.

use std::sync::Arc;

use presence_core::id::{RoomId, UserId};
use presence_core::port::store::StoreError;
use presence_core::stream::Seq;
use presence_core::time::Timestamp;
use tracing::debug;

use super::absence::{Missed, Question};
use super::hub::Hub;

/// A roster that was read for a question.
pub(super) struct Asked {
    room: RoomId,
    question: Question,
    members: Result<Vec<UserId>, StoreError>,
}

impl Hub {
    /// There is a message: whoever should get it and has no connection misses it.
    pub(super) fn look_for_absent(&mut self, now: Timestamp, room: &RoomId, seq: Seq, sender: &UserId) {
        let Some(absence) = &mut self.absence else { return };
        match room.inbox_of().map(UserId::parse) {
            Some(Ok(owner)) if owner != *sender => {
                let missed = absence.wait(now, room, &owner, seq);
                self.say_missed(missed);
            }
            Some(_) => {}
            None => {
                if let Some(question) = absence.ask(room, seq, sender) {
                    self.read_roster(room.clone(), question);
                }
            }
        }
    }

    /// A connection is gone: what came while it was dead already, or said goodbye, may not have reached anybody.
    pub(super) fn look_for_unread(&mut self, now: Timestamp, room: &RoomId, user: &UserId) {
        let (Some(absence), Some(seats)) = (&mut self.absence, self.streams.get(room)) else { return };
        let Some(held) = seats.receivers.get(user).filter(|held| held.member) else { return };
        if seats.fresh_since.is_some() && held.receiver.acked() < seats.head {
            let missed = absence.wait(now, room, user, seats.head);
            self.say_missed(missed);
        }
    }

    fn read_roster(&mut self, room: RoomId, question: Question) {
        let store = Arc::clone(&self.world.store);
        self.asking.spawn(async move {
            let members = store.roster(&room).await;
            let members = members.map(|members| members.into_iter().map(|member| member.user).collect());
            Asked { room, question, members }
        });
    }

    /// A roster has been read, or could not be.
    pub(super) fn roster_read(&mut self, now: Timestamp, asked: Asked) {
        let Some(absence) = &mut self.absence else { return };
        let Asked { room, question, members } = asked;
        let members = match members {
            Ok(members) => members,
            Err(error) => {
                debug!(%room, %error, "cannot find out who misses a message");
                return absence.not_answered(room, question);
            }
        };
        let others = members.iter().filter(|member| question.sender.as_ref() != Some(member));
        let missed: Vec<Missed> =
            others.filter_map(|member| absence.wait(now, &room, member, question.seq)).collect();
        let next = absence.answered(&room);
        self.say_missed(missed);
        if let Some(next) = next {
            self.read_roster(room, next);
        }
    }

    /// Time has passed.
    pub(super) fn give_up_absent(&mut self, now: Timestamp) {
        let Some(absence) = &mut self.absence else { return };
        let (missed, again) = (absence.given_up(now), absence.ask_again());
        self.say_missed(missed);
        for (room, question) in again {
            self.read_roster(room, question);
        }
    }

    fn say_missed(&self, missed: impl IntoIterator<Item = Missed>) {
        for Missed { room, user, seq } in missed {
            self.world.notices.absent(&room, &user, seq);
        }
    }
}
