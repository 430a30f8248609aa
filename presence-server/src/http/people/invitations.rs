//! `/v1/rooms/{room}/invites` and `/v1/users/{id}/invites`: asking users to come onto a roster (C3).

use hyper::StatusCode;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{Invitation, InvitationAnswer};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::{Asked, outcome, text};
use crate::http::about::{About, Body, Group, Reply, schema_of};
use crate::http::answer::{Answer, HttpError, empty, encoded};
use crate::http::query::bad;

pub(in crate::http) const INVITE: About = About {
    id: "invite",
    group: Group::Rosters,
    summary: "Invites a user to a room",
    text: "Members may, and the backend, which says in `X-User-Id` for whom. The invited gets `thread_invitation`, at \
           once or when they are here.",
    query: &[],
    body: Some(schema_of::<Invite>),
    answers: &[Reply { status: 201, text: "They are invited.", body: Body::Json(schema_of::<Invited>) }],
    refusals: &[408, 409, 413, 503],
};

pub(in crate::http) const OF_ROOM: About = About {
    id: "listInvites",
    group: Group::Rosters,
    summary: "Open invitations to a room",
    text: "For members and the backend.",
    query: &[],
    body: None,
    answers: &[Reply { status: 200, text: "Those who are invited.", body: Body::Json(schema_of::<Invites>) }],
    refusals: &[503],
};

pub(in crate::http) const OF_USER: About = About {
    id: "listInvitesOfUser",
    group: Group::Rosters,
    summary: "Open invitations of a user",
    text: "For the user and the backend.",
    query: &[],
    body: None,
    answers: &[Reply {
        status: 200,
        text: "Where they are invited.",
        body: Body::Json(schema_of::<Invites>),
    }],
    refusals: &[503],
};

pub(in crate::http) const ANSWER: About = About {
    id: "answerInvite",
    group: Group::Rosters,
    summary: "Accepts or declines an invitation",
    text: "The invited may, and the backend. Who accepts is on the roster, and every other member who is connected gets \
           `invitation_accepted`.",
    query: &[],
    body: Some(schema_of::<Reaction>),
    answers: &[Reply { status: 200, text: "It is answered.", body: Body::Json(schema_of::<Answered>) }],
    refusals: &[404, 408, 413, 503],
};

pub(in crate::http) const ANSWER_ALIAS: About =
    About { id: "answerInviteAtRoot", summary: "The same as under `/v1`", text: "", ..ANSWER };

pub(in crate::http) const WITHDRAW: About = About {
    id: "withdrawInvite",
    group: Group::Rosters,
    summary: "Withdraws an invitation",
    text: "Members may, and the backend. Its notice stays in the inbox of the invited.",
    query: &[],
    body: None,
    answers: &[Reply { status: 204, text: "It is no more.", body: Body::Nothing }],
    refusals: &[404, 503],
};

/// Whom to invite.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Invite {
    user_id: String,
}

/// What the invited says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Reaction {
    action: Action,
}

/// Yes or no.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Action {
    Accept,
    Decline,
}

/// Open invitations, the oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Invites {
    invites: Vec<Invited>,
}

/// An invitation.
#[derive(Serialize, ToSchema)]
pub(super) struct Invited {
    room: String,
    user_id: String,
    invited_by: String,
    created_at: i64,
}

/// An invitation that has been answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Answered {
    room: String,
    user_id: String,
    invited_by: String,
    created_at: i64,
    #[schema(value_type = Action)]
    action: &'static str,
}

impl From<&Invitation> for Invited {
    fn from(invitation: &Invitation) -> Self {
        Self {
            room: invitation.room.as_str().to_owned(),
            user_id: text(&invitation.user),
            invited_by: text(&invitation.invited_by),
            created_at: invitation.created_at.as_unix_millis(),
        }
    }
}

fn listed(invitations: &[Invitation]) -> Answer {
    encoded(StatusCode::OK, &Invites { invites: invitations.iter().map(Invited::from).collect() })
}

/// Invites.
pub(super) async fn invite(room: RoomId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.require_inside(&room, &**asked.people.store()).await?;
    let fields = Fields::read(&asked.body, asked.limits)?;
    let user = fields.required("user_id", |text| asked.limits.user_ids.parse(text))?;
    let Some(invited_by) = asked.actor.user().cloned() else {
        return Err(bad("X-User-Id", "is missing: it says for whom the backend invites"));
    };
    let name = asked.people.name_of(&invited_by, asked.actor.said()).await;
    let invitation = asked.people.invite(room, user, invited_by, name).await?;
    Ok(encoded(StatusCode::CREATED, &Invited::from(&invitation)))
}

/// Answers with the open invitations to a room.
pub(super) async fn of_room(room: RoomId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let store = asked.people.store();
    asked.actor.require_inside(&room, &**store).await?;
    Ok(listed(&store.invitations_to(&room).await?))
}

/// Answers with the open invitations of a user.
pub(super) async fn of_user(user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    Ok(listed(&asked.people.store().invitations_of(&user).await?))
}

/// Accepts or declines.
pub(super) async fn answer(room: RoomId, user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "user")?;
    let fields = Fields::read(&asked.body, asked.limits)?;
    let action = fields.required("action", |text| match text {
        "accept" => Ok(InvitationAnswer::Accept),
        "decline" => Ok(InvitationAnswer::Decline),
        _ => Err("must be accept or decline"),
    })?;
    if action == InvitationAnswer::Accept {
        // Whoever may not enter can not belong.
        asked.actor.may_enter(&room)?;
    }
    let ended = asked.people.answer_invitation(room, user, action).await?;
    let Invited { room, user_id, invited_by, created_at } = Invited::from(&ended);
    let action = outcome(action);
    Ok(encoded(StatusCode::OK, &Answered { room, user_id, invited_by, created_at, action }))
}

/// Withdraws.
pub(super) async fn withdraw(room: RoomId, user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.require_inside(&room, &**asked.people.store()).await?;
    asked.people.answer_invitation(room, user, InvitationAnswer::Withdraw).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
