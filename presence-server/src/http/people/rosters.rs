//! `/v1/rooms/{room}/members`: who belongs to a room, here or not (C2).

use hyper::StatusCode;
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Asked, text};
use crate::http::about::{About, Body, Group, Reply, schema_of};
use crate::http::actor::Actor;
use crate::http::answer::{Answer, HttpError, empty, encoded};
use crate::http::shapes::Availability;
use crate::people::{Footing, PeopleError};

pub(in crate::http) const LIST: About = About {
    id: "listMembers",
    group: Group::Rosters,
    summary: "A room's roster, the longest-standing members first",
    text: "For members, for users whose token names the room, and for the backend.",
    query: &[],
    body: None,
    answers: &[Reply { status: 200, text: "The roster.", body: Body::Json(schema_of::<Roster>) }],
    refusals: &[503],
};

pub(in crate::http) const ADD: About = About {
    id: "putMember",
    group: Group::Rosters,
    summary: "Puts a user onto a room's roster",
    text: "Members may, and the backend. On an empty roster users who may enter the room put themselves. Every other \
           member who is connected gets `invitation_accepted`. An open invitation of the user ends with it.",
    query: &[],
    body: None,
    answers: &[
        Reply { status: 201, text: "They are on it now.", body: Body::Nothing },
        Reply { status: 204, text: "They were on it already.", body: Body::Nothing },
    ],
    refusals: &[503],
};

pub(in crate::http) const REMOVE: About = About {
    id: "deleteMember",
    group: Group::Rosters,
    summary: "Takes a user off a room's roster",
    text: "Members may, others and themselves, and the backend. Messages that waited for the user are gone.",
    query: &[],
    body: None,
    answers: &[Reply { status: 204, text: "They are not on it any more.", body: Body::Nothing }],
    refusals: &[404, 503],
};

/// Who belongs to a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Roster {
    members: Vec<Member>,
}

/// A user on a roster.
#[derive(Serialize, ToSchema)]
struct Member {
    user_id: String,
    /// The name that the user has chosen; `null` until they have.
    #[schema(required)]
    username: Option<String>,
    /// The name that others see.
    name: String,
    color: String,
    #[schema(value_type = Availability)]
    status: &'static str,
    joined_at: i64,
}

/// Answers with a roster.
pub(super) async fn list(room: RoomId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let store = asked.people.store();
    asked.actor.may_see_roster(&room, &**store).await?;
    let roster = store.roster(&room).await?;
    let users: Vec<UserId> = roster.iter().map(|member| member.user.clone()).collect();
    // Whoever is on a roster is known, if by nothing else than that.
    let sights = asked.people.sights_of_all(&users).await?;
    let member = |(member, sight): (&presence_core::people::RosterMember, &crate::people::Sight)| {
        let username = sight.kept.as_ref().and_then(|kept| kept.username.as_ref());
        Member {
            user_id: text(&member.user),
            username: username.map(|name| name.as_str().to_owned()),
            name: sight.profile.name.as_str().to_owned(),
            color: sight.profile.color.as_str().to_owned(),
            status: sight.standing.availability.as_str(),
            joined_at: member.joined_at.as_unix_millis(),
        }
    };
    Ok(encoded(StatusCode::OK, &Roster { members: roster.iter().zip(&sights).map(member).collect() }))
}

/// Puts a user onto a roster.
pub(super) async fn add(room: RoomId, user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let is_inside = asked.actor.is_inside(&room, &**asked.people.store()).await?;
    let is_own = matches!(&asked.actor, Actor::User { id, .. } if *id == user);
    let footing = match (is_inside, is_own) {
        (true, _) => Footing::Inside,
        (false, true) => Footing::Outside,
        (false, false) => return Err(outside()),
    };
    match asked.people.add_member(room, user, footing).await {
        Ok(true) => Ok(empty(StatusCode::CREATED)),
        Ok(false) => Ok(empty(StatusCode::NO_CONTENT)),
        // Somebody else's roster looks like one that may not be seen.
        Err(PeopleError::Store(StoreError::NotFound(_))) if footing == Footing::Outside => Err(outside()),
        Err(error) => Err(error.into()),
    }
}

fn outside() -> HttpError {
    let message = "you are not on the roster of this room";
    HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", message)
}

/// Takes a user off a roster.
pub(super) async fn remove(room: RoomId, user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let store = asked.people.store();
    asked.actor.require_inside(&room, &**store).await?;
    if asked.people.remove_member(room, user).await? {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let message = "this user is not on the roster";
    Err(HttpError::field(StatusCode::NOT_FOUND, "not_found", "user", message))
}
