//! The user object: how a user and its sessions look in every message that has them.

use serde::Serialize;

use super::json::{Json, State};
use crate::room::{Member, SessionPresence, Status};

/// The user object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) color: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<&'a str>,
    pub(super) joined_at: i64,
    pub(super) last_seen: i64,
    pub(super) status: &'static str,
    pub(super) connection_count: usize,
    pub(super) sessions: Vec<Session<'a>>,
}

impl<'a> From<&'a Member> for User<'a> {
    fn from(member: &'a Member) -> Self {
        let profile = &member.profile;
        Self {
            id: profile.id.as_str(),
            name: &profile.name,
            color: profile.color.as_str(),
            avatar: profile.avatar.as_deref(),
            email: profile.email.as_deref(),
            joined_at: member.joined_at.as_unix_millis(),
            last_seen: member.last_seen.as_unix_millis(),
            status: member.status().as_str(),
            connection_count: member.sessions.len(),
            sessions: member.sessions.iter().map(Session::from).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session<'a> {
    session_id: &'a str,
    connected_at: i64,
    active: bool,
    state: &'a State,
    cursor: &'a Option<Json>,
}

impl<'a> From<&'a SessionPresence> for Session<'a> {
    fn from(session: &'a SessionPresence) -> Self {
        Self {
            session_id: session.id.as_str(),
            connected_at: session.connected_at.as_unix_millis(),
            active: session.active,
            state: &session.state,
            cursor: &session.cursor,
        }
    }
}

impl Status {
    /// The status as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
        }
    }
}
