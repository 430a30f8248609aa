//! `/v1/rooms/{room}/messages` and `/v1/sync`: what is said in rooms and inboxes, without a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::RoomId;
use presence_core::limits::Limits;
use presence_core::port::store::{PageLimits, StoreError};
use presence_core::session::{Publish, Standing, Sync};
use presence_core::stream::Seq;
use presence_core::time::WallTime;
use presence_core::wire::{self, SyncRequest};
use serde_json::Value;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Query, Reply, Takes, USER_FORM, schema_of};
use super::actor::Actor;
use super::answer::{Answer, HttpError, json};
use super::query::{bad, count, parameter};
use crate::people::People;
use crate::stream::{Streams, told};

const LIMIT: usize = 100;

const USER: Query = Query {
    name: "user_id",
    text: "For whom the backend acts, or who this is in dev mode; the header `X-User-Id` says the same.",
    takes: Takes::Form(USER_FORM),
};

const NUMBER_FORM: &str = "^[0-9]{1,19}$";

pub(super) const SEND: About = About {
    id: "sendMessage",
    group: Group::Messages,
    summary: "Sends a message to a room or an inbox",
    text: "The answer comes when the message is safe. The same `id` again is the same message, and with other data a \
           conflict (409). Users have to be in the room or on its roster; the backend sends to every room.",
    query: &[USER],
    body: Some(schema_of::<NewMessage>),
    answers: &[Reply {
        status: 200,
        text: "The message is safe.",
        body: Body::Json(schema_of::<MessageKept>),
    }],
    refusals: &[403, 404, 408, 409, 413, 503],
};

pub(super) const READ: About = About {
    id: "listMessages",
    group: Group::Messages,
    summary: "Messages of a room or an inbox, the oldest first",
    text: "For those who are in the room or on its roster. For others there is no such room.",
    query: &[
        USER,
        Query {
            name: "after",
            text: "Only messages after this `seq`; from the oldest if absent.",
            takes: Takes::Form(NUMBER_FORM),
        },
        Query {
            name: "limit",
            text: "How many at most; an answer may have fewer and still `more`.",
            takes: Takes::Count { min: 1, max: LIMIT_MAX, default: LIMIT },
        },
    ],
    body: None,
    answers: &[Reply { status: 200, text: "Messages.", body: Body::Json(schema_of::<RoomMessages>) }],
    refusals: &[403, 404, 503],
};

/// As many as are read from the store at once by default.
const LIMIT_MAX: usize = 200;

pub(super) const SYNC: About = About {
    id: "sync",
    group: Group::Messages,
    summary: "What a user does not have",
    text: "Messages of all their streams, and what changed of people, rosters and invitations since a time. Without \
           `since`: messages that none of their devices has acknowledged.",
    query: &[
        USER,
        Query {
            name: "since",
            text: "Unix milliseconds: the `timestamp` of an earlier answer.",
            takes: Takes::Form("^-?[0-9]{1,18}$"),
        },
        Query {
            name: "limit",
            text: "How many messages and changes at most.",
            takes: Takes::Count { min: 1, max: LIMIT_MAX, default: LIMIT },
        },
    ],
    body: None,
    answers: &[Reply { status: 200, text: "What there is.", body: Body::Json(schema_of::<SyncResult>) }],
    refusals: &[403, 503],
};

/// Something to be sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct NewMessage {
    /// The sender's own name for it.
    #[schema(min_length = 1, max_length = 128)]
    id: String,
    /// Any JSON.
    data: Value,
}

/// A message that is safe.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct MessageKept {
    id: String,
    room: String,
    /// Its place among the room's messages.
    seq: u64,
    timestamp: i64,
    /// `disk` outlives the loss of power, `process` the end of the process, `memory` neither.
    durability: String,
}

/// Messages of one room.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct RoomMessages {
    messages: Vec<MessageCreated>,
    /// There are more: ask for those `after` the last.
    more: bool,
}

/// A message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct MessageCreated {
    id: String,
    room: String,
    /// The same as `room`.
    parent_thread: String,
    seq: u64,
    user_id: String,
    user_name: String,
    /// What was sent.
    snapshot: Value,
    timestamp: i64,
    /// What the server's logs call it.
    correlation_id: String,
    /// `invitation`: the inbox's owner is invited to the room that `snapshot` names.
    #[schema(nullable = false)]
    kind: Option<String>,
}

/// What a user does not have.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct SyncResult {
    messages: Vec<MessageCreated>,
    /// What is gone.
    dropped: Vec<MessagesDropped>,
    profiles: Vec<SyncedProfile>,
    rosters: Vec<SyncedMember>,
    invitations: Vec<SyncedInvitation>,
    /// How far each stream is told.
    cursors: BTreeMap<String, u64>,
    /// There is more: ask again with this `timestamp`.
    more: bool,
    timestamp: i64,
}

/// Messages that nobody will ever get.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct MessagesDropped {
    room: String,
    count: u64,
    from_seq: u64,
    to_seq: u64,
    /// `overflow` or `expired`.
    reason: String,
}

/// A profile that has changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct SyncedProfile {
    user_id: String,
    #[schema(required)]
    username: Option<String>,
    #[schema(required)]
    color: Option<String>,
    #[schema(required)]
    avatar: Option<String>,
    #[schema(required)]
    last_online: Option<i64>,
    timestamp: i64,
}

/// Somebody on a roster.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct SyncedMember {
    room: String,
    user_id: String,
    joined_at: i64,
}

/// An open invitation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "nobody makes these: only their schemas are used")]
struct SyncedInvitation {
    room: String,
    user_id: String,
    invited_by: String,
    created_at: i64,
}

/// What all three work with.
pub(super) struct Asked<'a> {
    pub(super) actor: Actor,
    pub(super) query: Option<&'a str>,
    pub(super) limits: &'a Limits,
    pub(super) streams: &'a Streams,
    pub(super) people: &'a People,
}

/// Sends.
pub(super) async fn send(
    asked: &Asked<'_>,
    room: RoomId,
    body: &Bytes,
    request: &str,
) -> Result<Answer, HttpError> {
    let (id, data) = wire::decode_message(body, asked.limits).map_err(refused)?;
    let sender =
        asked.actor.user().cloned().ok_or_else(|| bad("user_id", "is missing: it says who sends"))?;
    if !asked.actor.rooms().allow_sending(&sender, &room) {
        return Err(closed());
    }
    let free = asked.actor.is_backend() || room.inbox_of().is_some();
    let standing = if free || asked.streams.takes_part(&room, &sender).await.map_err(unreadable)? {
        Standing::Sure
    } else {
        Standing::OnRoster
    };
    let publish = Publish {
        room,
        id,
        body: Bytes::copy_from_slice(data.as_str().as_bytes()),
        sender_name: asked.people.name_of(&sender, asked.actor.said()).await,
        sender,
        standing,
        reference: None,
    };
    let taken = asked.streams.send(publish, Arc::from(request)).await.map_err(refused)?;
    let kept = taken.kept(asked.streams.store().durability());
    Ok(json(StatusCode::OK, wire::message_kept(kept)))
}

/// Reads.
pub(super) async fn read(asked: &Asked<'_>, room: RoomId) -> Result<Answer, HttpError> {
    let after = match parameter(asked.query, "after") {
        None => 0,
        Some(text) => text.parse().map_err(|_| bad("after", "must be a whole number of 0 or more"))?,
    };
    let messages = count(asked.query, "limit", LIMIT, LIMIT_MAX)?;
    if let Some(user) = asked.actor.user() {
        if !asked.actor.rooms().allow(user, &room) {
            return Err(closed());
        }
        let is_inside =
            asked.actor.is_backend() || asked.streams.takes_part(&room, user).await.map_err(unreadable)?;
        if !is_inside {
            let message = "there is no such room for you";
            return Err(HttpError::field(StatusCode::NOT_FOUND, "not_found", "room", message));
        }
    }
    let limits = PageLimits { messages, bytes: asked.limits.page_bytes_max };
    let page = asked.streams.read(&room, Seq::new(after), limits).await.map_err(unreadable)?;
    Ok(json(StatusCode::OK, wire::room_messages(&page.messages, page.more)))
}

/// Says what is new.
pub(super) async fn sync(asked: &Asked<'_>) -> Result<Answer, HttpError> {
    let since = match parameter(asked.query, "since") {
        None => None,
        Some(text) => {
            let millis = text.parse().map_err(|_| bad("since", "must be Unix milliseconds"))?;
            Some(WallTime::from_unix_millis(millis))
        }
    };
    let limit = Some(count(asked.query, "limit", LIMIT, LIMIT_MAX)?);
    let user = asked.actor.user().cloned().ok_or_else(|| bad("user_id", "is missing: it says who asks"))?;
    let request = SyncRequest { since, cursors: Vec::new(), limit };
    let (rooms, present) = (asked.actor.rooms(), Vec::new());
    let sync = Sync { user, rooms, present, sent: Vec::new(), request, reference: None };
    let result = asked.streams.what_is_new(&sync).await.map_err(unreadable)?;
    Ok(json(StatusCode::OK, wire::sync_body(&result)))
}

fn closed() -> HttpError {
    let message = "your token does not let you into this room";
    HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", message)
}

fn unreadable(error: StoreError) -> HttpError {
    refused(told(&error))
}

fn refused(error: CommandError) -> HttpError {
    let status = match error.code {
        ErrorCode::BadJson | ErrorCode::BadMessage | ErrorCode::UnknownType | ErrorCode::InvalidRoom => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::NotJoined => StatusCode::FORBIDDEN,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Busy | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
    };
    let mut answer = HttpError::new(status, error.code.as_str(), error.message.into_owned());
    answer.field = match error.field {
        Some(std::borrow::Cow::Borrowed(field)) => Some(field),
        Some(std::borrow::Cow::Owned(field)) => {
            ["id", "data", "ref"].into_iter().find(|known| *known == field)
        }
        None => None,
    };
    answer.retry_after = error.retry_after;
    answer
}
