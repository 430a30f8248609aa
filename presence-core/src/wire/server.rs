//! What the server says, encoded once for all its receivers. The model's types are not serializable: each message
//! here has a struct of its own, and these structs are the wire.

use std::time::Duration;

use serde::Serialize;

use super::json::{Json, Reference, State};
use super::pieces::Pieces;
use super::user::User;
use crate::digest::Digest;
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::frame::{EventId, Message};
use crate::id::{ConnectionId, Epoch, RoomId, SessionId, UserId, Version};
use crate::limits::Limits;
use crate::profile::Profile;
use crate::room::{Member, Mode, SessionPresence};
use crate::time::WallTime;

/// Bytes that hardly any message of an event has more of: to grow by and by takes longer than to write it.
pub(super) const MESSAGE_EXPECTED: usize = 512;

/// Texts up to this length are cheaper to copy than to keep in too large a piece of memory.
const SHORT: usize = 4096;

pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    fitting(encode_loose(message))
}

/// A text may be kept for a while: not with the room that it was given to grow. What shrinks by less than half keeps its
/// place with most allocators, so what is short moves to a place of its own.
pub(super) fn fitting(mut text: Vec<u8>) -> Vec<u8> {
    if text.len() <= SHORT {
        return text.as_slice().to_vec();
    }
    text.shrink_to_fit();
    text
}

/// The same as [`encode`] for what is soon put together with others.
pub(super) fn encode_loose(message: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(MESSAGE_EXPECTED);
    serde_json::to_writer(&mut text, message).expect("these structs have string keys and no failing parts");
    text
}

pub(super) fn message(body: &impl Serialize) -> Message {
    Message::new(encode(body))
}

/// `opened`: an event stream is open and nobody known yet. It says where to post to who it is.
pub fn opened(connection: ConnectionId, wall: WallTime) -> Message {
    #[derive(Serialize)]
    struct Opened {
        r#type: &'static str,
        connection_id: String,
        server_time: i64,
    }
    let connection_id = connection.to_string();
    message(&Opened { r#type: "opened", connection_id, server_time: wall.as_unix_millis() })
}

/// `close`: the end of an event stream, with what a WebSocket's close frame says.
pub fn close(reason: CloseReason) -> Message {
    #[derive(Serialize)]
    struct Close {
        r#type: &'static str,
        code: u16,
        reason: &'static str,
    }
    message(&Close { r#type: "close", code: reason.code(), reason: reason.sentence() })
}

/// `connected`: the user is known.
pub fn connected(
    connection: ConnectionId,
    profile: &Profile,
    session: &SessionId,
    wall: WallTime,
    limits: &Limits,
    reference: &Reference,
) -> Message {
    #[derive(Serialize)]
    struct Connected<'a> {
        r#type: &'static str,
        message: String,
        protocol: u32,
        connection_id: String,
        session_id: &'a str,
        user_id: &'a str,
        server_time: i64,
        heartbeat_ms: u128,
        limits: Bounds,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    #[derive(Serialize)]
    struct Bounds {
        message_bytes: usize,
        state_bytes: usize,
        cursor_bytes: usize,
        rooms: usize,
        messages_per_second: u32,
        messages_burst: u32,
        heartbeat_timeout_ms: u128,
        grace_ms: u128,
        tick_ms: u128,
        wide_tick_ms: u128,
        window_tick_ms: u128,
        window_rows: usize,
    }
    message(&Connected {
        r#type: "connected",
        message: format!("Successfully connected as {}", profile.id),
        protocol: super::PROTOCOL,
        connection_id: connection.to_string(),
        session_id: session.as_str(),
        user_id: profile.id.as_str(),
        server_time: wall.as_unix_millis(),
        heartbeat_ms: limits.heartbeat.as_millis(),
        limits: Bounds {
            message_bytes: limits.message_bytes_max,
            state_bytes: limits.state_bytes_max,
            cursor_bytes: limits.cursor_bytes_max,
            rooms: limits.rooms_per_connection_max,
            messages_per_second: limits.messages_per_second,
            messages_burst: limits.messages_burst,
            heartbeat_timeout_ms: limits.heartbeat_timeout.as_millis(),
            grace_ms: limits.grace.as_millis(),
            tick_ms: limits.tick.as_millis(),
            wide_tick_ms: limits.huge_room_tick.as_millis(),
            window_tick_ms: limits.window_tick.as_millis(),
            window_rows: limits.window_rows_max,
        },
        reference,
    })
}

/// `error`: the answer to a message that could not be carried out.
pub fn error(error: &CommandError, reference: &Reference) -> Message {
    refusal(error, None, reference)
}

/// `error`, which nobody asked for: the connection is in `room` no more.
pub fn put_out(room: &RoomId) -> Message {
    let message = format!("your token does not let you be in {room} any more; you have left it");
    refusal(&CommandError::field(ErrorCode::Forbidden, "room", message), Some(room), &None)
}

fn refusal(error: &CommandError, room: Option<&RoomId>, reference: &Reference) -> Message {
    #[derive(Serialize)]
    struct Refusal<'a> {
        r#type: &'static str,
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u128>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    message(&Refusal {
        r#type: "error",
        code: error.code.as_str(),
        message: &error.message,
        field: error.field.as_deref(),
        room: room.map(RoomId::as_str),
        retry_after_ms: error.retry_after.map(|span| span.as_millis()),
        reference,
    })
}

/// `ping`, with the round trip of the one before if it is known.
pub fn ping(wall: WallTime, rtt_millis: Option<u64>) -> Message {
    #[derive(Serialize)]
    struct Ping {
        r#type: &'static str,
        timestamp: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<u64>,
    }
    message(&Ping { r#type: "ping", timestamp: wall.as_unix_millis(), rtt_ms: rtt_millis })
}

/// `server_draining`: come back after so long.
pub fn server_draining(retry_after_millis: u64) -> Message {
    #[derive(Serialize)]
    struct Draining {
        r#type: &'static str,
        retry_after_ms: u64,
    }
    let draining = Draining { r#type: "server_draining", retry_after_ms: retry_after_millis };
    Message::retry(encode(&draining), Duration::from_millis(retry_after_millis))
}

/// A room at a version: what every message about the room as a whole says first.
#[derive(Clone, Copy, Debug)]
pub struct RoomStand<'a> {
    /// Which room.
    pub room: &'a RoomId,
    /// Which history of it.
    pub epoch: &'a Epoch,
    /// How far that history goes.
    pub version: Version,
    /// The digest of the roster at that version.
    pub digest: Digest,
    /// How closely the room tells what happens in it.
    pub mode: Mode,
}

impl RoomStand<'_> {
    fn event_id(self) -> EventId {
        EventId { room: self.room.clone(), epoch: self.epoch.clone(), version: self.version }
    }
}

/// Why a client gets a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotReason {
    /// It came in.
    Join,
    /// What it missed is not kept any more, or its version is none of this room's.
    Gap,
    /// It knows another history.
    Epoch,
    /// Its digest shows that it has something else.
    Drift,
    /// It read too slowly.
    Lagged,
}

impl SnapshotReason {
    /// Every reason, for metrics.
    pub const ALL: [SnapshotReason; 5] = [Self::Join, Self::Gap, Self::Epoch, Self::Drift, Self::Lagged];

    /// The reason as the wire and the metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Gap => "gap",
            Self::Epoch => "epoch",
            Self::Drift => "drift",
            Self::Lagged => "lagged",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Own<'a> {
    user_id: &'a str,
    session_id: &'a str,
}

/// The users of a room at a version, encoded once for all who get a snapshot of it.
#[derive(Clone, Debug)]
pub struct Roster(Vec<u8>);

impl Roster {
    /// Encodes `members` in their order.
    pub fn encode<'a>(members: impl Iterator<Item = &'a Member>) -> Self {
        let users: Vec<User<'_>> = members.map(User::from).collect();
        Self(encode(&users))
    }
}

/// `presence:currentUsers`: a snapshot.
pub fn current_users(
    stand: RoomStand<'_>,
    roster: &Roster,
    own: (&UserId, &SessionId),
    reason: SnapshotReason,
    reference: &Reference,
) -> Message {
    #[derive(Serialize)]
    struct CurrentUsers<'a> {
        r#type: &'static str,
        room: &'a str,
        epoch: &'a str,
        version: u64,
        digest: String,
        mode: &'static str,
        reason: &'static str,
        #[serde(rename = "self")]
        own: Own<'a>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    let snapshot = encode_loose(&CurrentUsers {
        r#type: "presence:currentUsers",
        room: stand.room.as_str(),
        epoch: stand.epoch.as_str(),
        version: stand.version.number(),
        digest: stand.digest.to_string(),
        mode: stand.mode.as_str(),
        reason: reason.as_str(),
        own: Own { user_id: own.0.as_str(), session_id: own.1.as_str() },
        reference,
    });
    // The roster is JSON already: to have it checked again for each who gets it would cost more than all the rest.
    let head = snapshot.strip_suffix(b"}").expect("an object ends with its brace");
    Message::versioned([head, br#","users":"#, &roster.0, b"}"].concat(), stand.event_id())
}

/// `presence:restored`: the session was still held, and this is what it had.
pub fn restored(room: &RoomId, member: &Member, session: &SessionPresence, reference: &Reference) -> Message {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Restored<'a> {
        r#type: &'static str,
        room: &'a str,
        session_id: &'a str,
        user: User<'a>,
        state: &'a State,
        cursor: &'a Option<Json>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    message(&Restored {
        r#type: "presence:restored",
        room: room.as_str(),
        session_id: session.id.as_str(),
        user: User::from(member),
        state: &session.state,
        cursor: &session.cursor,
        reference,
    })
}

/// `presence:synced`: the receiver has everything up to here.
pub fn synced(stand: RoomStand<'_>, reference: &Reference) -> Message {
    #[derive(Serialize)]
    struct Synced<'a> {
        r#type: &'static str,
        room: &'a str,
        epoch: &'a str,
        version: u64,
        digest: String,
        mode: &'static str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    let synced = Synced {
        r#type: "presence:synced",
        room: stand.room.as_str(),
        epoch: stand.epoch.as_str(),
        version: stand.version.number(),
        digest: stand.digest.to_string(),
        mode: stand.mode.as_str(),
        reference,
    };
    Message::versioned(encode(&synced), stand.event_id())
}

/// `presence:cursors`: the latest of each session that moved.
pub fn cursors<'a>(
    room: &RoomId,
    moved: impl Iterator<Item = (&'a UserId, &'a SessionId, Option<&'a Json>)>,
) -> Message {
    let begin =
        Pieces::begin(r#"{"type":"presence:cursors","room":"#).value(room.as_str()).json(r#","cursors":["#);
    let mut gap = "";
    let put = |text: Pieces, (user, session, cursor): (&UserId, &SessionId, Option<&Json>)| {
        let named = text.json(std::mem::replace(&mut gap, ",")).json(r#"{"userId":"#).value(user.as_str());
        named.json(r#","sessionId":"#).value(session.as_str()).json(r#","cursor":"#).said(cursor).json("}")
    };
    moved.fold(begin, put).json("]}").message()
}

/// `presence:typing`: everyone who is typing now.
pub fn typing<'a>(room: &RoomId, typists: impl Iterator<Item = &'a UserId>) -> Message {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Typing<'a> {
        r#type: &'static str,
        room: &'a str,
        user_ids: Vec<&'a str>,
    }
    message(&Typing {
        r#type: "presence:typing",
        room: room.as_str(),
        user_ids: typists.map(UserId::as_str).collect(),
    })
}

/// The body of `GET /v1/rooms/{room}/presence`.
pub fn room_presence<'a>(
    stand: RoomStand<'_>,
    members: impl Iterator<Item = &'a Member> + Clone,
    wall: WallTime,
) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct RoomPresence<'a> {
        room: &'a str,
        epoch: &'a str,
        version: u64,
        digest: String,
        timestamp: i64,
        total_active_users: usize,
        total_connections: usize,
        active_users: Vec<&'a str>,
        users: Vec<User<'a>>,
    }
    let users: Vec<User<'_>> = members.map(User::from).collect();
    encode(&RoomPresence {
        room: stand.room.as_str(),
        epoch: stand.epoch.as_str(),
        version: stand.version.number(),
        digest: stand.digest.to_string(),
        timestamp: wall.as_unix_millis(),
        total_active_users: users.len(),
        total_connections: users.iter().map(|user| user.connection_count).sum(),
        active_users: users.iter().map(|user| user.id).collect(),
        users,
    })
}
