//! `GET /v1/users/{id}` and `GET /v1/users`: who is online now.

use hyper::StatusCode;
use presence_core::id::UserId;
use presence_core::limits::Limits;
use presence_core::shard::Sighting;
use presence_core::time::WallTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Query, Reply, Takes, USER_FORM, schema_of};
use super::answer::{Answer, HttpError, encoded};
use super::query::list;
use super::shapes::Status;
use crate::connection::Connections;
use crate::shard::Shards;

/// Users that one request may ask for.
const IDS_MAX: usize = 100;

pub(super) const ONE: About = About {
    id: "getUser",
    group: Group::People,
    summary: "A user who is online",
    text: "A user who is offline is not known.",
    query: &[],
    body: None,
    answers: &[Reply { status: 200, text: "The user is online.", body: Body::Json(schema_of::<Person>) }],
    refusals: &[404, 503],
};

pub(super) const LIST: About = About {
    id: "listUsers",
    group: Group::People,
    summary: "Those of some users who are online",
    text: "Users who are offline are not in the answer.",
    query: &[Query {
        name: "ids",
        text: "User ids, at most 100, parted by commas; a comma within an id is written `%2C`.",
        takes: Takes::RequiredList(USER_FORM, IDS_MAX),
    }],
    body: None,
    answers: &[Reply { status: 200, text: "Those who are online.", body: Body::Json(schema_of::<People>) }],
    refusals: &[503],
};

/// Users, in the order in which they were asked for.
#[derive(Serialize, ToSchema)]
struct People {
    users: Vec<Person>,
}

/// A user who is online.
#[derive(Serialize, ToSchema)]
struct Person {
    id: String,
    /// The name that the user has on this server.
    username: String,
    /// The name that others see.
    name: String,
    color: String,
    #[schema(required)]
    avatar: Option<String>,
    #[schema(value_type = Status)]
    status: &'static str,
    /// When the user was last seen online: now, for one who is.
    last_online: i64,
}

impl Person {
    fn new(sighting: &Sighting, now: WallTime) -> Self {
        let profile = sighting.seen();
        Self {
            id: profile.id.as_str().to_owned(),
            username: profile.name.as_ref().to_owned(),
            name: profile.name.as_ref().to_owned(),
            color: profile.color.as_str().to_owned(),
            avatar: profile.avatar.as_deref().map(str::to_owned),
            status: sighting.status().as_str(),
            last_online: now.as_unix_millis(),
        }
    }
}

/// The answer where nobody is found.
pub(super) fn unknown() -> HttpError {
    HttpError::field(
        StatusCode::NOT_FOUND,
        "not_found",
        "id",
        "there is no such user, or nobody of that name is online",
    )
}

/// Answers with one user.
pub(super) async fn one(
    user: UserId,
    shards: &Shards,
    connections: &Connections,
) -> Result<Answer, HttpError> {
    let found = shards.sightings(&[user]).await?;
    let sighting = found.first().ok_or_else(unknown)?;
    Ok(encoded(StatusCode::OK, &Person::new(sighting, connections.now().wall)))
}

/// Answers with those who are there.
pub(super) async fn some(
    query: Option<&str>,
    limits: &Limits,
    shards: &Shards,
    connections: &Connections,
) -> Result<Answer, HttpError> {
    let refused = |rule: String| {
        HttpError::field(StatusCode::BAD_REQUEST, "bad_message", "ids", format!("`ids` {rule}"))
    };
    let texts =
        list(query, "ids").ok_or_else(|| refused("is missing: it must be a list of user ids".to_owned()))?;
    if texts.len() > IDS_MAX {
        return Err(refused(format!("must be at most {IDS_MAX} ids, and is {}", texts.len())));
    }
    let mut ids: Vec<UserId> = Vec::with_capacity(texts.len());
    for text in texts {
        let id = limits.user_ids.parse(&text).map_err(|rule| refused(format!("has an id that {rule}")))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let found = shards.sightings(&ids).await?;
    let now = connections.now().wall;
    let users = found.iter().map(|sighting| Person::new(sighting, now)).collect();
    Ok(encoded(StatusCode::OK, &People { users }))
}
