//! What is kept of people.

use std::sync::Arc;

use bytes::Bytes;

use crate::id::{IdError, RoomId, UserId};
use crate::profile::{Color, Profile, Text};
use crate::time::WallTime;

/// A name that a user has chosen: 3–64 characters after trimming, no control characters. Not unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Arc<str>);

/// What [`Username::parse`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 3 to 64 characters after trimming, and no control characters")]
pub struct UsernameError;

impl Username {
    /// Trims and checks `text`.
    ///
    /// # Errors
    /// If it is too short, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let text = text.trim();
        let fits = (3..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(Arc::from(text))) } else { Err(UsernameError) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is known of a user whether or not they are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// The name they chose; `None` until they have.
    pub username: Option<Username>,
    /// The colour they chose; the server's otherwise.
    pub color: Option<Color>,
    /// Address of a picture.
    pub avatar: Option<Arc<str>>,
    /// E-mail.
    pub email: Option<Arc<str>>,
    /// When they were last seen online; `None`: never.
    pub last_online: Option<WallTime>,
    /// When any of this but `last_online` last changed.
    pub changed_at: WallTime,
}

impl Person {
    /// What others see of somebody who says this of themselves: what a person has chosen for good stands over what one of
    /// their connections says.
    pub fn over(&self, said: &Arc<Profile>) -> Arc<Profile> {
        let text = |text: &Arc<str>| Text::from(&**text);
        let name = self.username.as_ref().map(|name| Text::from(name.as_str()));
        let seen = Profile {
            id: said.id.clone(),
            name: name.unwrap_or_else(|| said.name.clone()),
            color: self.color.unwrap_or(said.color),
            avatar: self.avatar.as_ref().map(text).or_else(|| said.avatar.clone()),
            email: self.email.as_ref().map(text).or_else(|| said.email.clone()),
        };
        if seen == **said { Arc::clone(said) } else { Arc::new(seen) }
    }

    /// Whether they have chosen anything that others see.
    pub fn has_chosen(&self) -> bool {
        self.username.is_some() || self.color.is_some() || self.avatar.is_some() || self.email.is_some()
    }
}

/// A change to a person; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Person`")]
pub struct PersonPatch {
    pub username: Option<Option<Username>>,
    pub color: Option<Option<Color>>,
    pub avatar: Option<Option<Arc<str>>>,
    pub email: Option<Option<Arc<str>>>,
}

/// A user on a room's roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterMember {
    /// The room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Since when.
    pub joined_at: WallTime,
}

/// An invitation that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// To which room.
    pub room: RoomId,
    /// Who is invited.
    pub user: UserId,
    /// By whom.
    pub invited_by: UserId,
    /// When.
    pub created_at: WallTime,
}

/// How an invitation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationAnswer {
    /// The invited comes onto the roster.
    Accept,
    /// The invited does not want to.
    Decline,
    /// Whoever may invite has thought better of it.
    Withdraw,
}

/// What a user calls one of their documents: 1–128 characters, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey(Arc<str>);

impl DocumentKey {
    /// Checks `text`.
    ///
    /// # Errors
    /// If it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        // A user's id follows the same rules.
        UserId::parse(text).map(|_| Self(Arc::from(text)))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How often a document has been written; never the same number twice for one user and key, even after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A user's own JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// JSON, compact.
    pub body: Bytes,
    /// Which state of it this is.
    pub revision: Revision,
    /// When it was written.
    pub changed_at: WallTime,
}
