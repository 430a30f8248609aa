//! Rosters and invitations: what changes them is kept first, and then told to every member who is connected.

use std::sync::Arc;

use presence_core::frame::Frame;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{Invitation, InvitationAnswer};
use presence_core::port::store::StoreError;
use presence_core::session::Delivery;
use presence_core::stream::{MessageId, MessageKind, NewMessage, StoredMessage};
use presence_core::wire;
use tracing::{info, warn};

use super::errands::cut_short;
use super::{People, PeopleError};
use crate::random;

/// Who may put somebody onto a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// One who is on it, or the backend.
    Inside,
    /// One who is not: only as the first.
    Outside,
}

impl People {
    /// Does something whole, whether or not the caller waits for it: what is kept is told.
    async fn whole<T: Send + 'static>(
        self: &Arc<Self>,
        what: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, PeopleError> {
        let done = tokio::spawn(what).await.unwrap_or_else(|_| Err(cut_short()));
        done.map_err(PeopleError::from)
    }

    /// Puts a user onto a roster. Says whether they were not on it before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] from outside of a roster that has members.
    pub async fn add_member(
        self: &Arc<Self>,
        room: RoomId,
        user: UserId,
        footing: Footing,
    ) -> Result<bool, PeopleError> {
        let people = Arc::clone(self);
        self.whole(async move {
            let founding = people.founding.lock().await;
            if footing == Footing::Outside && !people.store.roster(&room).await?.is_empty() {
                return Err(StoreError::NotFound("the roster has members already"));
            }
            let is_new = people.store.add_member(&room, &user, people.clock.now().wall).await?;
            drop(founding);
            if is_new {
                info!(room = room.as_str(), user = %user, "member added");
                people.welcome(&room, &user).await;
            }
            Ok(is_new)
        })
        .await
    }

    /// Takes a user off a roster. Says whether they were on it.
    ///
    /// # Errors
    /// If the store does not do it.
    pub async fn remove_member(self: &Arc<Self>, room: RoomId, user: UserId) -> Result<bool, PeopleError> {
        let people = Arc::clone(self);
        self.whole(async move {
            let was_on = people.store.remove_member(&room, &user).await?;
            if was_on {
                info!(room = room.as_str(), user = %user, "member removed");
                people.streams.left_roster(&room, &user).await;
            }
            Ok(was_on)
        })
        .await
    }

    /// Invites a user: the notice waits in their inbox, and reaches those of their connections that are open.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if they are on the roster or invited already.
    pub async fn invite(
        self: &Arc<Self>,
        room: RoomId,
        user: UserId,
        invited_by: UserId,
        sender_name: Arc<str>,
    ) -> Result<Invitation, PeopleError> {
        let people = Arc::clone(self);
        self.whole(async move {
            let now = people.clock.now().wall;
            let id = format!("{:032x}", random::bits128());
            let notice = NewMessage {
                room: RoomId::inbox(&user),
                kind: MessageKind::Invitation,
                sender: invited_by.clone(),
                sender_name,
                id: MessageId::parse(&id).expect("hex digits are an id"),
                body: wire::invitation_notice(&room).into(),
                correlation: id.into(),
                at: now,
            };
            let invitation = Invitation { room, user, invited_by, created_at: now };
            let seq = people.store.invite(invitation.clone(), notice.clone()).await?;
            info!(room = invitation.room.as_str(), user = %invitation.user, by = %invitation.invited_by, "invited");
            people.metrics.invitation("sent");
            people.streams.kept(StoredMessage { seq, message: notice }).await;
            Ok(invitation)
        })
        .await
    }

    /// Ends an invitation; who accepts comes onto the roster. Gives it back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn answer_invitation(
        self: &Arc<Self>,
        room: RoomId,
        user: UserId,
        answer: InvitationAnswer,
    ) -> Result<Invitation, PeopleError> {
        let people = Arc::clone(self);
        self.whole(async move {
            let now = people.clock.now().wall;
            let invitation = people.store.answer_invitation(&room, &user, answer, now).await?;
            let outcome = match answer {
                InvitationAnswer::Accept => "accepted",
                InvitationAnswer::Decline => "declined",
                InvitationAnswer::Withdraw => "withdrawn",
            };
            info!(room = room.as_str(), user = %user, outcome, "invitation ended");
            people.metrics.invitation(outcome);
            if answer == InvitationAnswer::Accept {
                people.welcome(&room, &user).await;
            }
            Ok(invitation)
        })
        .await
    }

    /// Somebody has come onto a roster: from now on what is said in the room reaches them wherever they are, and the other
    /// members know.
    async fn welcome(&self, room: &RoomId, user: &UserId) {
        if let Err(error) = self.streams.joined_roster(room, user).await {
            warn!(%error, "a new member gets what is said in the room only when they connect again");
        }
        self.tell_arrival(room, user).await;
    }

    /// Tells every other member who is connected, and may enter the room, that somebody has come onto its roster.
    async fn tell_arrival(&self, room: &RoomId, user: &UserId) {
        let members = self.store.roster(room).await.unwrap_or_else(|error| {
            warn!(%error, "cannot find whom to tell of a new member");
            Vec::new()
        });
        let name = self.name_of(user, None).await;
        let message = wire::invitation_accepted(room, user, &name, self.clock.now().wall);
        let frame = Frame::one(message);
        let others = members.iter().map(|member| &member.user).filter(|member| *member != user);
        let audience = self.mailboxes_of_all(others);
        audience.tell(|| Delivery::Notice { room: room.clone(), frame: frame.clone() });
    }
}
