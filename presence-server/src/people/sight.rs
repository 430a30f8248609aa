//! How people look to others: what is kept of them, over what their connections say, and whether they are here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::Frame;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{Availability, Person, Standing};
use presence_core::profile::Profile;
use presence_core::session::{Delivery, PeopleCommand};
use presence_core::wire::{self, Reference};

use super::{People, PeopleError};
use crate::connection::mailbox::Mailbox;

/// Users in one `online_users`; more are left out, and it says so.
const ONLINE_MAX: usize = 1_000;

/// A user as others see them.
#[derive(Clone, Debug)]
pub struct Sight {
    /// What others see.
    pub profile: Arc<Profile>,
    /// What is kept of them.
    pub kept: Option<Person>,
    /// Whether they are here.
    pub standing: Standing,
}

impl People {
    /// How these users look, in this order; the unknown are left out. Without the store, those who are here are known.
    ///
    /// # Errors
    /// If somebody who is not here is asked for, and the store does not say.
    pub async fn sights(&self, users: &[UserId]) -> Result<Vec<Sight>, PeopleError> {
        let mut sights = self.sights_of_all(users).await?;
        // Who has just been here may not be in the store yet.
        sights.retain(|sight| sight.kept.is_some() || sight.standing.last_online.is_some());
        Ok(sights)
    }

    /// The same, with those of whom nothing is known.
    ///
    /// # Errors
    /// As [`sights`](Self::sights).
    pub async fn sights_of_all(&self, users: &[UserId]) -> Result<Vec<Sight>, PeopleError> {
        let (mut kept, failure) = match self.store.people(users).await {
            Ok(people) => (people, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut kept: BTreeMap<UserId, Person> =
            kept.drain(..).map(|person| (person.id.clone(), person)).collect();
        let here = self.who_of(users);
        if let Some(error) = failure
            && here.len() < users.len()
        {
            return Err(error.into());
        }
        let (wall, state) = (self.clock.now().wall, self.state());
        let sight = |user: &UserId| {
            let kept = kept.remove(user);
            let last_online = kept.as_ref().and_then(|person| person.last_online);
            let standing = state.standing(user, last_online, wall);
            let said = state.said(user);
            let profile = kept.as_ref().map_or_else(|| Arc::clone(&said), |person| person.over(&said));
            Sight { profile, kept, standing }
        };
        Ok(users.iter().map(sight).collect())
    }

    /// Those of some users who are here.
    fn who_of(&self, users: &[UserId]) -> Vec<UserId> {
        let state = self.state();
        let here = users.iter().filter(|user| state.attendance.availability(user) != Availability::Offline);
        here.cloned().collect()
    }

    /// What others call a user of whom a token says this, if one does.
    pub async fn name_of(&self, user: &UserId, said: Option<&Arc<Profile>>) -> Arc<str> {
        if let Some(said) = said {
            let kept = self.store.people(std::slice::from_ref(user)).await.unwrap_or_default();
            let name =
                kept.first().map_or_else(|| said.name.clone(), |person| person.over(said).name.clone());
            return name.into();
        }
        let sights = self.sights(std::slice::from_ref(user)).await.unwrap_or_default();
        sights.first().map_or_else(|| Arc::from(user.as_str()), |sight| Arc::from(&*sight.profile.name))
    }

    /// Answers a connection that asks who is online.
    pub fn list_users(self: &Arc<Self>, asker: UserId, mailbox: &Arc<Mailbox>, command: PeopleCommand) {
        let PeopleCommand::ListUsers { room, rooms, reference } = command else { return };
        let Some(turn) = self.turn(mailbox, &reference) else { return };
        let (people, mailbox) = (Arc::clone(self), Arc::clone(mailbox));
        tokio::spawn(async move {
            match people.online(&asker, room.as_ref(), &rooms).await {
                Ok(online) => people.tell_online(&mailbox, &online, &reference),
                Err(error) => mailbox.deliver(Delivery::Refused { error, reference }),
            }
            drop(turn);
        });
    }

    fn tell_online(&self, mailbox: &Mailbox, online: &[Sight], reference: &Reference) {
        let shown = online.iter().take(ONLINE_MAX);
        let users = shown.map(|sight| (&*sight.profile, sight.standing.availability));
        let more = online.len() > ONLINE_MAX;
        let message = wire::online_users(users, self.clock.now().wall, more, reference);
        mailbox.deliver(Delivery::Answer(Frame::one(message)));
    }

    /// Who is online of those whom `asker` may see, one more than an answer may have at most.
    async fn online(
        &self,
        asker: &UserId,
        room: Option<&RoomId>,
        rooms: &[RoomId],
    ) -> Result<Vec<Sight>, CommandError> {
        let mut known = BTreeSet::new();
        let busy = |busy| PeopleError::Busy(busy).answer(&self.limits);
        match room {
            Some(room) => {
                let roster = self.store.roster(room).await;
                let is_in = rooms.contains(room);
                let failed = |error| PeopleError::Store(error).answer(&self.limits);
                // Who is in the room is told without the store.
                let roster = if is_in { roster.unwrap_or_default() } else { roster.map_err(failed)? };
                if !is_in && !roster.iter().any(|member| member.user == *asker) {
                    let message = "you are neither in this room nor on its roster";
                    return Err(CommandError::field(ErrorCode::NotJoined, "room", message));
                }
                known.extend(self.shards.users_in(room, ONLINE_MAX + 1).await.map_err(busy)?);
                known.extend(roster.into_iter().map(|member| member.user));
            }
            None => {
                known.insert(asker.clone());
                for room in rooms {
                    known.extend(self.shards.users_in(room, ONLINE_MAX + 1).await.map_err(busy)?);
                }
                known.extend(self.store.acquaintances(asker).await.unwrap_or_default());
            }
        }
        let known: Vec<UserId> = known.into_iter().collect();
        let mut here = self.who_of(&known);
        here.truncate(ONLINE_MAX + 1);
        let mut sights = self.sights(&here).await.map_err(|error| error.answer(&self.limits))?;
        // Somebody may have gone while this was found out.
        sights.retain(|sight| sight.standing.availability != Availability::Offline);
        Ok(sights)
    }
}
