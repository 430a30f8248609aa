//! `GET /debug/rooms/{room}`: everything about a room, and how far its readers are (O2).

use std::time::Duration;

use hyper::StatusCode;
use presence_core::id::RoomId;
use presence_core::room::{Link, Member, SessionPresence};
use presence_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Reply, schema_of};
use super::answer::{Answer, HttpError, encoded};
use super::shapes::{LeaveCause, Status};
use crate::connection::Connections;
use crate::connection::status::{ConnectionStatus, ask};
use crate::shard::{RoomSight, Shards};

/// Members of a room that are shown.
const MEMBERS_MAX: usize = 1_000;

/// Listeners of a room that are asked how far they have read.
const LISTENERS_MAX: usize = 200;

pub(super) const ABOUT: About = About {
    id: "inspectRoom",
    group: Group::Operations,
    summary: "Everything about a room",
    text: "At most 1000 members and 200 readers are shown.",
    query: &[],
    body: None,
    answers: &[Reply { status: 200, text: "The room.", body: Body::Json(schema_of::<DebugRoom>) }],
    refusals: &[404, 503],
};

/// Everything about a room.
#[derive(Serialize, ToSchema)]
struct DebugRoom {
    room: String,
    epoch: String,
    version: u64,
    digest: String,
    users: usize,
    members: Vec<DebugMember>,
    /// Whether there are more members than are shown.
    more_members: bool,
    feed: DebugFeed,
    /// Whether something has happened that was not handed out yet.
    pending: bool,
    /// Connections and readers that wait for the next hand-out.
    waiting: usize,
    /// How long until then; `null` if none is due.
    #[schema(required)]
    due_in_ms: Option<u64>,
    /// Connections that are woken when the room has news.
    listeners: usize,
    /// Some of them, and how far they have read.
    readers: Vec<DebugReader>,
}

/// A user in a room.
#[derive(Serialize, ToSchema)]
struct DebugMember {
    user_id: String,
    name: String,
    #[schema(value_type = Status)]
    status: &'static str,
    joined_at: i64,
    last_seen: i64,
    sessions: Vec<DebugSession>,
}

/// A session in a room.
#[derive(Serialize, ToSchema)]
struct DebugSession {
    session_id: String,
    connected_at: i64,
    active: bool,
    /// `null` while a connection stands behind it.
    #[schema(required)]
    held: Option<Held>,
}

/// A session whose connection is gone.
#[derive(Serialize, ToSchema)]
struct Held {
    /// When it leaves, unless it is taken up again.
    leaves_in_ms: u64,
    /// What its leaving will be called.
    #[schema(value_type = LeaveCause)]
    cause: &'static str,
}

/// What a room keeps for those who read slowly or come back.
#[derive(Serialize, ToSchema)]
struct DebugFeed {
    messages: usize,
    bytes: usize,
    #[schema(required)]
    oldest_ms: Option<u64>,
    live_frames: usize,
    readers: usize,
}

/// A connection that reads a room.
#[derive(Serialize, ToSchema)]
struct DebugReader {
    connection_id: String,
    #[schema(required)]
    user_id: Option<String>,
    #[schema(required)]
    session_id: Option<String>,
    /// Frames that it has yet to read; `null` while the room prepares an answer for it.
    #[schema(required)]
    behind: Option<u64>,
    bytes_waiting: usize,
}

impl DebugMember {
    fn new(member: &Member, now: Timestamp) -> Self {
        Self {
            user_id: member.profile.id.as_str().to_owned(),
            name: member.profile.name.as_str().to_owned(),
            status: member.status().as_str(),
            joined_at: member.joined_at.as_unix_millis(),
            last_seen: member.last_seen.as_unix_millis(),
            sessions: member.sessions.iter().map(|session| DebugSession::new(session, now)).collect(),
        }
    }
}

impl DebugSession {
    fn new(session: &SessionPresence, now: Timestamp) -> Self {
        let held = match session.link {
            Link::Attached(_) => None,
            Link::Held { until, cause, .. } => {
                Some(Held { leaves_in_ms: until.since(now).as_millis() as u64, cause: cause.as_str() })
            }
        };
        Self {
            session_id: session.id.as_str().to_owned(),
            connected_at: session.connected_at.as_unix_millis(),
            active: session.active,
            held,
        }
    }
}

impl DebugReader {
    fn new(status: ConnectionStatus, room: &RoomId) -> Self {
        Self {
            connection_id: status.connection.to_string(),
            user_id: status.user.map(|user| user.as_str().to_owned()),
            session_id: status.session.map(|session| session.as_str().to_owned()),
            behind: status.rooms.iter().find(|(name, _)| name == room).and_then(|(_, behind)| *behind),
            bytes_waiting: status.bytes_waiting,
        }
    }
}

/// Answers with one room.
pub(super) async fn get(
    room: RoomId,
    shards: &Shards,
    connections: &Connections,
) -> Result<Answer, HttpError> {
    let Some(sight) = shards.inspect(room.clone(), MEMBERS_MAX, LISTENERS_MAX).await? else {
        let message = "nobody is in this room";
        return Err(HttpError::field(StatusCode::NOT_FOUND, "not_found", "room", message));
    };
    let RoomSight { room: inspection, listeners, listener_count } = sight;
    let readers = ask(listeners).await;
    let now = connections.now().at;
    let millis = |span: Duration| span.as_millis() as u64;
    let shown = DebugRoom {
        room: room.as_str().to_owned(),
        epoch: inspection.epoch.as_str().to_owned(),
        version: inspection.version.number(),
        digest: inspection.digest.to_string(),
        users: inspection.users,
        members: inspection.members.items.iter().map(|member| DebugMember::new(member, now)).collect(),
        more_members: inspection.members.more,
        feed: DebugFeed {
            messages: inspection.feed.messages,
            bytes: inspection.feed.bytes,
            oldest_ms: inspection.feed.oldest.map(millis),
            live_frames: inspection.feed.live_frames,
            readers: inspection.feed.readers,
        },
        pending: inspection.pending,
        waiting: inspection.waiting,
        due_in_ms: inspection.due_in.map(millis),
        listeners: listener_count,
        readers: readers.into_iter().map(|status| DebugReader::new(status, &room)).collect(),
    };
    Ok(encoded(StatusCode::OK, &shown))
}
