//! What a connection asks about people, and what it learns of its own user.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Phase, Session, SessionOutput};
use crate::error::CommandError;
use crate::frame::Frame;
use crate::id::{RoomId, UserId};
use crate::people::Person;
use crate::shard::RoomCommand;
use crate::wire::Reference;

/// A question about people. The answer comes as a [`Delivery`](super::Delivery).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeopleCommand {
    /// Who is online?
    ListUsers {
        /// Of those who are in this room or on its roster. `None`: of all with whom the asker shares either.
        room: Option<RoomId>,
        /// The rooms that the asker is in.
        rooms: Vec<RoomId>,
        /// For the answer.
        reference: Reference,
    },
    /// How do these users stand, and from now on?
    Watch {
        /// Whom it means.
        users: BTreeSet<UserId>,
        /// For the answer.
        reference: Reference,
    },
    /// It does not want to hear of these any more.
    Unwatch {
        /// Whom it means.
        users: BTreeSet<UserId>,
    },
}

impl Session {
    pub(super) fn list_users(
        &mut self,
        room: Option<RoomId>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        self.known()?;
        if let Some(room) = &room {
            self.may_enter(room)?;
        }
        let rooms = self.rooms().cloned().collect();
        self.ask_people(PeopleCommand::ListUsers { room, rooms, reference: reference.clone() });
        Ok(())
    }

    pub(super) fn watch(
        &mut self,
        users: BTreeSet<UserId>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        self.known()?;
        self.ask_people(PeopleCommand::Watch { users, reference: reference.clone() });
        Ok(())
    }

    pub(super) fn unwatch(&mut self, users: BTreeSet<UserId>) -> Result<(), CommandError> {
        self.known()?;
        self.ask_people(PeopleCommand::Unwatch { users });
        Ok(())
    }

    fn ask_people(&mut self, command: PeopleCommand) {
        self.outputs.push(SessionOutput::People(Box::new(command)));
    }

    /// What is kept of the user has been read, or has changed: all rooms of this connection hear of it.
    pub(super) fn know(&mut self, person: Arc<Person>) {
        let Phase::Ready(identity) = &mut self.phase else { return };
        if identity.profile.id != person.id {
            return;
        }
        let after = person.over(&identity.said);
        let before = std::mem::replace(&mut identity.profile, Arc::clone(&after));
        identity.kept = person.has_chosen().then_some(person);
        if before == after {
            return;
        }
        for seat in &self.rooms {
            let command = RoomCommand::Profile { before: Arc::clone(&before), after: Arc::clone(&after) };
            self.outputs.push(SessionOutput::Route { room: seat.room.clone(), command });
        }
    }

    /// Something about a room that its members should know, wherever they are: only who may enter the room hears of it.
    pub(super) fn hear_of(&mut self, room: &RoomId, frame: Frame) {
        if self.may_enter(room).is_ok() {
            self.outbox.push(frame);
        }
    }
}
