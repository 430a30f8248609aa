//! A room on its way from one life of the server to the next: one JSON object in one line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json::Json;
use super::server::encode;
use crate::id::{Epoch, IdError, RoomId, SessionId, UserId, Version};
use crate::profile::{Color, ColorError, Profile, Text};
use crate::room::{KeptMember, KeptRoom, KeptSession, LeaveCause};
use crate::time::WallTime;

/// The highest version that a room can be handed over at. No room comes so far by counting, and above it half of all
/// clients could not tell one number from the next (RFC 8259 section 6).
const VERSION_MAX: u64 = (1 << 53) - 1;

/// Why a text is not a room that was handed over.
#[derive(Debug, thiserror::Error)]
pub enum KeptRoomError {
    /// Not JSON of this shape. What it is instead stays unsaid: it may be somebody's.
    #[error("not a room from column {} on", .0.column())]
    Json(#[from] serde_json::Error),
    /// Has an id that is none.
    #[error("an id {0}")]
    Id(#[from] IdError),
    /// Has a colour that is none.
    #[error("a colour {0}")]
    Color(#[from] ColorError),
    /// Contradicts itself.
    #[error("{0}")]
    Senseless(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Room<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    members: Vec<Member<'a>>,
    #[serde(borrow)]
    latest: Vec<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    color: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    avatar: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    email: Option<Cow<'a, str>>,
    joined_at: i64,
    last_seen: i64,
    #[serde(borrow)]
    sessions: Vec<Session<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    connected_at: i64,
    active: bool,
    #[serde(borrow)]
    state: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a RawValue>,
    grace_ms: u64,
    #[serde(borrow)]
    cause: Cow<'a, str>,
}

/// The room as a line, without its end.
pub fn kept_room(room: &KeptRoom) -> Vec<u8> {
    encode(&Room {
        room: room.id.as_str().into(),
        epoch: room.epoch.as_str().into(),
        version: room.version.number(),
        members: room.members.iter().map(member).collect(),
        latest: room.latest.iter().map(event).collect(),
    })
}

fn event(text: &Bytes) -> &RawValue {
    serde_json::from_slice(text).expect("what a room says is JSON")
}

fn member(member: &KeptMember) -> Member<'_> {
    let profile = &member.profile;
    Member {
        id: profile.id.as_str().into(),
        name: (&*profile.name).into(),
        color: profile.color.as_str().into(),
        avatar: profile.avatar.as_deref().map(Cow::from),
        email: profile.email.as_deref().map(Cow::from),
        joined_at: member.joined_at.as_unix_millis(),
        last_seen: member.last_seen.as_unix_millis(),
        sessions: member.sessions.iter().map(session).collect(),
    }
}

fn session(session: &KeptSession) -> Session<'_> {
    Session {
        id: session.id.as_str().into(),
        connected_at: session.connected_at.as_unix_millis(),
        active: session.active,
        state: session.state.iter().map(|(name, value)| ((&**name).into(), value.raw())).collect(),
        cursor: session.cursor.as_ref().map(Json::raw),
        grace_ms: u64::try_from(session.grace.as_millis()).unwrap_or(u64::MAX),
        cause: session.cause.as_str().into(),
    }
}

/// Reads what [`kept_room`] wrote.
///
/// # Errors
/// If it is anything else.
pub fn read_kept_room(line: &[u8]) -> Result<KeptRoom, KeptRoomError> {
    let room: Room<'_> = serde_json::from_slice(line)?;
    if room.latest.len() as u64 > room.version {
        return Err(KeptRoomError::Senseless("a room has more events than versions"));
    }
    if room.version > VERSION_MAX {
        return Err(KeptRoomError::Senseless("a room has a version that no room can come to"));
    }
    let text = |raw: &RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
    Ok(KeptRoom {
        id: RoomId::parse(&room.room)?,
        epoch: Epoch::parse(&room.epoch)?,
        version: Version::new(room.version),
        members: room.members.into_iter().map(read_member).collect::<Result<_, _>>()?,
        latest: room.latest.into_iter().map(text).collect(),
    })
}

fn read_member(member: Member<'_>) -> Result<KeptMember, KeptRoomError> {
    if member.sessions.is_empty() {
        return Err(KeptRoomError::Senseless("a member has no session"));
    }
    let profile = Profile {
        id: UserId::parse(&member.id)?,
        name: member.name.into(),
        color: Color::parse(&member.color)?,
        avatar: member.avatar.map(Text::from),
        email: member.email.map(Text::from),
    };
    Ok(KeptMember {
        profile: Arc::new(profile),
        joined_at: WallTime::from_unix_millis(member.joined_at),
        last_seen: WallTime::from_unix_millis(member.last_seen),
        sessions: member.sessions.into_iter().map(read_session).collect::<Result<_, _>>()?,
    })
}

fn read_session(session: Session<'_>) -> Result<KeptSession, KeptRoomError> {
    let cause = LeaveCause::ALL.into_iter().find(|cause| cause.as_str() == session.cause);
    Ok(KeptSession {
        id: SessionId::parse(&session.id)?,
        connected_at: WallTime::from_unix_millis(session.connected_at),
        active: session.active,
        state: session.state.into_iter().map(|(name, raw)| (name.into(), owned(raw))).collect(),
        cursor: session.cursor.map(owned),
        grace: Duration::from_millis(session.grace_ms),
        cause: cause.ok_or(KeptRoomError::Senseless("a session would leave for no known cause"))?,
    })
}

fn owned(raw: &RawValue) -> Json {
    Json::from(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;

    fn doc() -> KeptRoom {
        let json = |text: &str| Json::from(RawValue::from_string(text.to_owned()).unwrap());
        let mut profile = Profile::of_user(UserId::parse("ann \u{1f4a1} \"x\"").unwrap());
        profile.email = Some("ann@example.org".into());
        KeptRoom {
            id: RoomId::parse("doc").unwrap(),
            epoch: Epoch::new(Incarnation::from_random(7), 3),
            version: Version::new(41),
            members: vec![KeptMember {
                profile: Arc::new(profile),
                joined_at: WallTime::from_unix_millis(1),
                last_seen: WallTime::from_unix_millis(2),
                sessions: vec![KeptSession {
                    id: SessionId::parse("tab").unwrap(),
                    connected_at: WallTime::from_unix_millis(1),
                    active: false,
                    state: BTreeMap::from([("a\nb".into(), json(r#"{"deep":[1,"\n"]}"#))]),
                    cursor: Some(json(r#"{"x":0.5}"#)),
                    grace: Duration::from_millis(15_000),
                    cause: LeaveCause::Closed,
                }],
            }],
            latest: vec![Bytes::from_static(br#"{"type":"presence:userLeft"}"#)],
        }
    }

    #[test]
    fn a_room_is_one_line_and_reads_back_as_it_was() {
        let line = kept_room(&doc());
        assert!(!line.contains(&b'\n'));
        assert_eq!(read_kept_room(&line).unwrap(), doc());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let line = String::from_utf8(kept_room(&doc())).unwrap();
        for (right, wrong) in [
            (r#""room":"doc""#, r#""room":"d c""#),
            (r#""epoch":"0"#, r#""epoch":"x"#),
            (r#""version":41"#, r#""version":0"#),
            (r#""version":41"#, r#""version":18446744073709551615"#),
            (r#""version":41"#, r#""version":9007199254740992"#),
            (r#""cause":"closed""#, r#""cause":"bored""#),
            (r##""color":"#"##, r#""color":"""#),
            (r#""state":{"#, r#""state":["#),
        ] {
            assert!(line.contains(right), "{line}");
            assert!(read_kept_room(line.replace(right, wrong).as_bytes()).is_err(), "{wrong}");
        }
    }
}
