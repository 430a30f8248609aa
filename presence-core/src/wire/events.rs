//! The versioned events of a room, as text.

use serde::Serialize;

use super::json::StatePatch;
use super::server::encode_loose;
use super::user::{Session, User};
use crate::id::{RoomId, SessionId, UserId, Version};
use crate::room::{LeaveCause, Member};
use crate::time::WallTime;

/// `presence:userJoined`, as text.
pub fn user_joined(room: &RoomId, version: Version, member: &Member) -> Vec<u8> {
    #[derive(Serialize)]
    struct UserJoined<'a> {
        r#type: &'static str,
        room: &'a str,
        version: u64,
        user: User<'a>,
    }
    encode_loose(&UserJoined {
        r#type: "presence:userJoined",
        room: room.as_str(),
        version: version.number(),
        user: User::from(member),
    })
}

/// `presence:userLeft`, as text.
pub fn user_left(
    room: &RoomId,
    version: Version,
    user: &UserId,
    cause: LeaveCause,
    last_seen: WallTime,
) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct UserLeft<'a> {
        r#type: &'static str,
        room: &'a str,
        version: u64,
        user_id: &'a str,
        cause: &'static str,
        last_seen: i64,
    }
    encode_loose(&UserLeft {
        r#type: "presence:userLeft",
        room: room.as_str(),
        version: version.number(),
        user_id: user.as_str(),
        cause: cause.as_str(),
        last_seen: last_seen.as_unix_millis(),
    })
}

/// What of a user has changed, beside the state of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The name.
    pub name: bool,
    /// The colour.
    pub color: bool,
    /// The picture.
    pub avatar: bool,
    /// The e-mail address.
    pub email: bool,
    /// Online or away.
    pub status: bool,
    /// Which sessions there are, or which of them are active.
    pub sessions: bool,
}

impl Changed {
    /// Whether anything has.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// `presence:userUpdated` about the user, as text.
pub fn user_updated(room: &RoomId, version: Version, member: &Member, changed: Changed) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct UserUpdated<'a> {
        r#type: &'static str,
        room: &'a str,
        version: u64,
        user_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        color: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        avatar: Option<Option<&'a str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        email: Option<Option<&'a str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_count: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sessions: Option<Vec<Session<'a>>>,
    }
    let user = User::from(member);
    encode_loose(&UserUpdated {
        r#type: "presence:userUpdated",
        room: room.as_str(),
        version: version.number(),
        user_id: user.id,
        name: changed.name.then_some(user.name),
        color: changed.color.then_some(user.color),
        avatar: changed.avatar.then_some(user.avatar),
        email: changed.email.then_some(user.email),
        status: changed.status.then_some(user.status),
        connection_count: changed.sessions.then_some(user.connection_count),
        sessions: changed.sessions.then_some(user.sessions),
    })
}

/// `presence:userUpdated` about the state of one session, as text.
pub fn state_updated(
    room: &RoomId,
    version: Version,
    user: &UserId,
    session: &SessionId,
    patch: &StatePatch,
) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct StateUpdated<'a> {
        r#type: &'static str,
        room: &'a str,
        version: u64,
        user_id: &'a str,
        session_id: &'a str,
        state: &'a StatePatch,
    }
    encode_loose(&StateUpdated {
        r#type: "presence:userUpdated",
        room: room.as_str(),
        version: version.number(),
        user_id: user.as_str(),
        session_id: session.as_str(),
        state: patch,
    })
}
