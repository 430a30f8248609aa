//! People over HTTP: profiles, documents of their own, rosters, invitations.

mod documents;
mod fields;
mod invitations;
mod preconditions;
mod profiles;
mod rosters;

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use presence_core::id::{RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::people::InvitationAnswer;
use presence_core::port::store::StoreError;

use super::actor::Actor;
use super::answer::{Answer, HttpError};
use super::routes::Parameters;
use crate::people::{People, PeopleError};
pub(super) use profiles::unknown;

/// What a route about people does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    User,
    Users,
    Rename,
    Change,
    Document,
    WriteDocument,
    DeleteDocument,
    Members,
    AddMember,
    RemoveMember,
    Invite,
    Invitations,
    InvitationsOfUser,
    AnswerInvitation,
    WithdrawInvitation,
}

pub(super) mod about {
    pub(in crate::http) use super::documents::{
        DELETE as DELETE_DOCUMENT, READ as DOCUMENT, WRITE as WRITE_DOCUMENT,
    };
    pub(in crate::http) use super::invitations::{
        ANSWER, ANSWER_ALIAS, INVITE, OF_ROOM as INVITATIONS, OF_USER as INVITATIONS_OF_USER, WITHDRAW,
    };
    pub(in crate::http) use super::profiles::{CHANGE, LIST as USERS, ONE as USER, RENAME, RENAME_ALIAS};
    pub(in crate::http) use super::rosters::{ADD as ADD_MEMBER, LIST as MEMBERS, REMOVE as REMOVE_MEMBER};
}

impl Call {
    /// Whether it looks at the body.
    pub(super) const fn takes_body(self) -> bool {
        matches!(
            self,
            Self::Rename | Self::Change | Self::WriteDocument | Self::Invite | Self::AnswerInvitation
        )
    }
}

/// A request about people.
pub(super) struct Asked<'a> {
    pub(super) actor: Actor,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    pub(super) limits: &'a Limits,
    pub(super) document_bytes_max: usize,
    pub(super) people: &'a Arc<People>,
}

/// Answers.
pub(super) async fn answer(
    call: Call,
    parameters: &Parameters<'_>,
    asked: Asked<'_>,
) -> Result<Answer, HttpError> {
    let limits = asked.limits;
    let of_path = |name| parameters.user_named(name, limits);
    match call {
        Call::User => profiles::one(of_path("id")?, &asked).await,
        Call::Users => profiles::some(&asked).await,
        Call::Rename => profiles::rename(of_path("id")?, &asked).await,
        Call::Change => profiles::change(of_path("id")?, &asked).await,
        Call::Document => documents::read(of_path("id")?, parameters.document()?, &asked).await,
        Call::WriteDocument => documents::write(of_path("id")?, parameters.document()?, &asked).await,
        Call::DeleteDocument => documents::delete(of_path("id")?, parameters.document()?, &asked).await,
        Call::Members => rosters::list(room(parameters)?, &asked).await,
        Call::AddMember => rosters::add(room(parameters)?, of_path("user")?, &asked).await,
        Call::RemoveMember => rosters::remove(room(parameters)?, of_path("user")?, &asked).await,
        Call::Invite => invitations::invite(room(parameters)?, &asked).await,
        Call::Invitations => invitations::of_room(room(parameters)?, &asked).await,
        Call::InvitationsOfUser => invitations::of_user(of_path("id")?, &asked).await,
        Call::AnswerInvitation => invitations::answer(room(parameters)?, of_path("user")?, &asked).await,
        Call::WithdrawInvitation => invitations::withdraw(room(parameters)?, of_path("user")?, &asked).await,
    }
}

/// The room in the path, which may have a roster: an inbox has none, and is nobody's business.
fn room(parameters: &Parameters<'_>) -> Result<RoomId, HttpError> {
    let room = parameters.room()?;
    match room.inbox_of() {
        None => Ok(room),
        Some(_) => {
            let message = "this room is a user's inbox";
            Err(HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", message))
        }
    }
}

/// A user id that must be put into an answer.
fn text(user: &UserId) -> String {
    user.as_str().to_owned()
}

const fn outcome(answer: InvitationAnswer) -> &'static str {
    match answer {
        InvitationAnswer::Accept => "accept",
        InvitationAnswer::Decline => "decline",
        InvitationAnswer::Withdraw => "withdraw",
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            StoreError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            StoreError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            StoreError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        };
        // What exactly is broken is for the operator.
        match &error {
            StoreError::Unavailable(_) => {
                HttpError::new(status, code, "what lasts can not be read or written now")
            }
            other => HttpError::new(status, code, other.to_string()),
        }
    }
}

impl From<PeopleError> for HttpError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Store(error) => error.into(),
            PeopleError::Busy(busy) => busy.into(),
        }
    }
}
