//! `GET /v1/rooms`: which rooms there are, and how many are in each.

use hyper::StatusCode;
use presence_core::id::RoomId;
use presence_core::shard::look::RoomCount;
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Query, Reply, Takes, schema_of};
use super::answer::{Answer, HttpError, encoded};
use super::query::{count, parameter};
use crate::shard::Shards;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// A room's id, or nothing.
const AFTER_FORM: &str = r"^([A-Za-z0-9_.:~/-]{0,128}|@[^\u0000-\u001f\u007f-\u009f]{1,128})$";

/// What a room's id can begin with.
const PREFIX_FORM: &str = r"^([A-Za-z0-9_.:~/-]{0,128}|@[^\u0000-\u001f\u007f-\u009f]{0,128})$";

pub(super) const LIST: About = About {
    id: "listRooms",
    group: Group::Presence,
    summary: "Rooms with somebody in them, in the order of their ids",
    text: "A user whose connection was lost counts until the grace is over. Rooms whose ids begin with `@` are users' \
           inboxes.",
    query: &[
        Query {
            name: "limit",
            text: "How many at most; an answer may have fewer and still a `next`.",
            takes: Takes::Count { min: 1, max: LIMIT_MAX, default: LIMIT },
        },
        Query {
            name: "after",
            text: "Only rooms after this one: the `next` of the page before.",
            takes: Takes::Form(AFTER_FORM),
        },
        Query {
            name: "prefix",
            text: "Only rooms whose ids begin with this.",
            takes: Takes::Form(PREFIX_FORM),
        },
    ],
    body: None,
    answers: &[Reply { status: 200, text: "A page of rooms.", body: Body::Json(schema_of::<RoomList>) }],
    refusals: &[503],
};

/// A page of rooms.
#[derive(Serialize, ToSchema)]
struct RoomList {
    rooms: Vec<RoomEntry>,
    /// There are more rooms: ask for those `after` this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A room and how many are in it.
#[derive(Serialize, ToSchema)]
struct RoomEntry {
    room: String,
    /// Users, each counted once.
    users: usize,
    /// Their sessions.
    sessions: usize,
}

impl From<RoomCount> for RoomEntry {
    fn from(count: RoomCount) -> Self {
        Self { room: count.room.as_str().to_owned(), users: count.users, sessions: count.sessions }
    }
}

/// An id that may be left out, and a prefix of ids, which `@` alone is too.
fn id(query: Option<&str>, name: &'static str) -> Result<Option<RoomId>, HttpError> {
    let Some(text) = parameter(query, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    RoomId::parse(&text).map(Some).map_err(|rule| {
        HttpError::field(StatusCode::BAD_REQUEST, "invalid_room", name, format!("`{name}` {rule}"))
    })
}

/// Answers.
pub(super) async fn list(query: Option<&str>, shards: &Shards) -> Result<Answer, HttpError> {
    let limit = count(query, "limit", LIMIT, LIMIT_MAX)?;
    let after = id(query, "after")?;
    let prefix = match parameter(query, "prefix").as_deref() {
        Some("@") => "@".to_owned(),
        _ => id(query, "prefix")?.map_or(String::new(), |prefix| prefix.as_str().to_owned()),
    };
    let page = shards.rooms(after, prefix, limit).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| last.room.as_str().to_owned());
    let rooms = page.items.into_iter().map(RoomEntry::from).collect();
    Ok(encoded(StatusCode::OK, &RoomList { rooms, next }))
}
