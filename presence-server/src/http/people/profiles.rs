//! `GET`, `PATCH` of `/v1/users/{id}`, `GET /v1/users` and `PUT …/username`: who people are, here or not.

use std::sync::Arc;

use hyper::StatusCode;
use presence_core::id::UserId;
use presence_core::people::{PersonPatch, Username};
use presence_core::profile::{Color, is_safe_picture};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::{Asked, text};
use crate::http::about::{About, Body, Group, Query, Reply, Takes, USER_FORM, schema_of};
use crate::http::answer::{Answer, HttpError, encoded};
use crate::http::query::list;
use crate::http::shapes::Availability;
use crate::people::Sight;

/// Users that one request may ask for.
const IDS_MAX: usize = 100;

/// Characters of an e-mail address.
const EMAIL_CHARS_MAX: usize = 320;

const FOUND: &[Reply] = &[Reply { status: 200, text: "The user.", body: Body::Json(schema_of::<Person>) }];

pub(in crate::http) const ONE: About = About {
    id: "getUser",
    group: Group::People,
    summary: "A user, online or not",
    text: "Known is who has connected, or of whom anything is kept.",
    query: &[],
    body: None,
    answers: FOUND,
    refusals: &[404, 503],
};

pub(in crate::http) const LIST: About = About {
    id: "listUsers",
    group: Group::People,
    summary: "Some users, online or not",
    text: "Users who are not known are not in the answer.",
    query: &[Query {
        name: "ids",
        text: "User ids, at most 100, parted by commas; a comma within an id is written `%2C`.",
        takes: Takes::RequiredList(USER_FORM, IDS_MAX),
    }],
    body: None,
    answers: &[Reply { status: 200, text: "Those who are known.", body: Body::Json(schema_of::<People>) }],
    refusals: &[503],
};

pub(in crate::http) const RENAME: About = About {
    id: "putUsername",
    group: Group::People,
    summary: "Chooses a user's name",
    text: "It stands over what their connections say. When this is answered, everybody connected who shares a room or a \
           roster with the user has been told. Users change their own; the backend anybody's.",
    query: &[],
    body: Some(schema_of::<Rename>),
    answers: FOUND,
    refusals: &[408, 413, 503],
};

pub(in crate::http) const RENAME_ALIAS: About =
    About { id: "putUsernameAtRoot", summary: "The same as under `/v1`", text: "", ..RENAME };

pub(in crate::http) const CHANGE: About = About {
    id: "patchUser",
    group: Group::People,
    summary: "Changes a user's profile",
    text: "A field that is not given stays, `null` clears it. Otherwise as `PUT …/username`.",
    query: &[],
    body: Some(schema_of::<Change>),
    answers: FOUND,
    refusals: &[408, 413, 503],
};

/// A name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Rename {
    /// Trimmed; then it has no control characters.
    #[schema(min_length = 3, max_length = 64)]
    username: String,
}

/// What of a profile is to change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Change {
    /// Trimmed; then it has no control characters.
    #[schema(min_length = 3, max_length = 64)]
    username: Option<String>,
    /// `#rgb` or `#rrggbb`.
    color: Option<String>,
    /// Begins with `https:` or `data:image/`.
    avatar: Option<String>,
    #[schema(max_length = 320)]
    email: Option<String>,
}

/// Users, in the order in which they were asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    users: Vec<Person>,
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    id: String,
    /// The name that the user has chosen; `null` until they have.
    #[schema(required)]
    username: Option<String>,
    /// The name that others see.
    name: String,
    color: String,
    #[schema(required)]
    avatar: Option<String>,
    #[schema(value_type = Availability)]
    status: &'static str,
    /// When the user was last connected: now, for one who is; `null`: never.
    #[schema(required)]
    last_online: Option<i64>,
}

impl From<&Sight> for Person {
    fn from(sight: &Sight) -> Self {
        let Sight { profile, kept, standing } = sight;
        let username = kept.as_ref().and_then(|kept| kept.username.as_ref());
        Self {
            id: text(&profile.id),
            username: username.map(|name| name.as_str().to_owned()),
            name: profile.name.as_str().to_owned(),
            color: profile.color.as_str().to_owned(),
            avatar: profile.avatar.as_deref().map(str::to_owned),
            status: standing.availability.as_str(),
            last_online: standing.last_online.map(|wall| wall.as_unix_millis()),
        }
    }
}

/// The answer where nobody is found.
pub(in crate::http) fn unknown() -> HttpError {
    let message = "there is no such user, or nobody of that name is online";
    HttpError::field(StatusCode::NOT_FOUND, "not_found", "id", message)
}

/// Answers with one user.
pub(super) async fn one(user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let sights = asked.people.sights(&[user]).await?;
    let sight = sights.first().ok_or_else(unknown)?;
    Ok(encoded(StatusCode::OK, &Person::from(sight)))
}

/// Answers with those who are known.
pub(super) async fn some(asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let refused = |rule: String| {
        HttpError::field(StatusCode::BAD_REQUEST, "bad_message", "ids", format!("`ids` {rule}"))
    };
    let texts = list(asked.query, "ids")
        .ok_or_else(|| refused("is missing: it must be a list of user ids".to_owned()))?;
    if texts.len() > IDS_MAX {
        return Err(refused(format!("must be at most {IDS_MAX} ids, and is {}", texts.len())));
    }
    let mut ids: Vec<UserId> = Vec::with_capacity(texts.len());
    for text in texts {
        let id =
            asked.limits.user_ids.parse(&text).map_err(|rule| refused(format!("has an id that {rule}")))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let sights = asked.people.sights(&ids).await?;
    Ok(encoded(StatusCode::OK, &People { users: sights.iter().map(Person::from).collect() }))
}

/// Chooses a name.
pub(super) async fn rename(user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    let fields = Fields::read(&asked.body, asked.limits)?;
    let username = fields.required("username", Username::parse)?;
    let patch = PersonPatch { username: Some(Some(username)), ..PersonPatch::default() };
    asked.people.change(user.clone(), patch).await?;
    one(user, asked).await
}

/// Changes a profile.
pub(super) async fn change(user: UserId, asked: &Asked<'_>) -> Result<Answer, HttpError> {
    asked.actor.may_be(&user, "id")?;
    let fields = Fields::read(&asked.body, asked.limits)?;
    let bytes_max = asked.limits.avatar_bytes_max;
    let avatar = |address: &str| match address {
        _ if address.len() > bytes_max => Err(format!("must be at most {bytes_max} bytes")),
        _ if !is_safe_picture(address) => Err("must begin with https: or data:image/".to_owned()),
        _ => Ok(Arc::from(address)),
    };
    let email = |address: &str| match address.chars().count() {
        0..=EMAIL_CHARS_MAX => Ok(Arc::from(address)),
        _ => Err(format!("must be at most {EMAIL_CHARS_MAX} characters")),
    };
    let patch = PersonPatch {
        username: fields.change("username", Username::parse)?,
        color: fields.change("color", Color::parse)?,
        avatar: fields.change("avatar", avatar)?,
        email: fields.change("email", email)?,
    };
    asked.people.change(user.clone(), patch).await?;
    one(user, asked).await
}
