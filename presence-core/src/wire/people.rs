//! What the server says about people: who is online, how they stand, what they call themselves, who is invited and who
//! has come.

use serde::Serialize;

use super::json::Reference;
use super::server::encode;
use crate::frame::Message;
use crate::id::{RoomId, UserId};
use crate::people::{Availability, Standing, Username};
use crate::profile::Profile;
use crate::time::WallTime;

fn message(body: &impl Serialize) -> Message {
    Message::new(encode(body))
}

fn millis(wall: Option<WallTime>) -> Option<i64> {
    wall.map(WallTime::as_unix_millis)
}

/// `user_status`: how users stand, in answer to `watch` and at every change.
pub fn user_status<'a>(
    users: impl Iterator<Item = (&'a UserId, Standing)>,
    reference: &Reference,
) -> Message {
    #[derive(Serialize)]
    struct UserStatus<'a> {
        r#type: &'static str,
        users: Vec<One<'a>>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    #[derive(Serialize)]
    struct One<'a> {
        id: &'a str,
        status: &'static str,
        last_online: Option<i64>,
    }
    let one = |(user, standing): (&'a UserId, Standing)| One {
        id: user.as_str(),
        status: standing.availability.as_str(),
        last_online: millis(standing.last_online),
    };
    message(&UserStatus { r#type: "user_status", users: users.map(one).collect(), reference })
}

/// `online_users`: who is online, in answer to `list_users`; `more`: there are more than one answer may have.
pub fn online_users<'a>(
    users: impl Iterator<Item = (&'a Profile, Availability)>,
    wall: WallTime,
    more: bool,
    reference: &Reference,
) -> Message {
    #[derive(Serialize)]
    struct OnlineUsers<'a> {
        r#type: &'static str,
        users: Vec<One<'a>>,
        more: bool,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    #[derive(Serialize)]
    struct One<'a> {
        id: &'a str,
        name: &'a str,
        color: &'a str,
        status: &'static str,
        last_online: i64,
    }
    let one = |(profile, availability): (&'a Profile, Availability)| One {
        id: profile.id.as_str(),
        name: &profile.name,
        color: profile.color.as_str(),
        status: availability.as_str(),
        last_online: wall.as_unix_millis(),
    };
    message(&OnlineUsers { r#type: "online_users", users: users.map(one).collect(), more, reference })
}

/// `user_profile_updated`: a user is seen otherwise now.
pub fn user_profile_updated(username: Option<&Username>, seen: &Profile, wall: WallTime) -> Message {
    #[derive(Serialize)]
    struct UserProfileUpdated<'a> {
        r#type: &'static str,
        user_id: &'a str,
        username: Option<&'a str>,
        name: &'a str,
        color: &'a str,
        avatar: Option<&'a str>,
        timestamp: i64,
    }
    message(&UserProfileUpdated {
        r#type: "user_profile_updated",
        user_id: seen.id.as_str(),
        username: username.map(Username::as_str),
        name: &seen.name,
        color: seen.color.as_str(),
        avatar: seen.avatar.as_deref(),
        timestamp: wall.as_unix_millis(),
    })
}

/// The body of an invitation's notice, for the inbox of the invited.
pub fn invitation_notice(room: &RoomId) -> Vec<u8> {
    #[derive(Serialize)]
    struct To<'a> {
        room: &'a str,
    }
    encode(&To { room: room.as_str() })
}

/// `invitation_accepted`: somebody has come onto a roster.
pub fn invitation_accepted(room: &RoomId, user: &UserId, name: &str, wall: WallTime) -> Message {
    #[derive(Serialize)]
    struct InvitationAccepted<'a> {
        r#type: &'static str,
        thread_id: &'a str,
        room: &'a str,
        user_id: &'a str,
        user_name: &'a str,
        timestamp: i64,
    }
    message(&InvitationAccepted {
        r#type: "invitation_accepted",
        thread_id: room.as_str(),
        room: room.as_str(),
        user_id: user.as_str(),
        user_name: name,
        timestamp: wall.as_unix_millis(),
    })
}
