//! What a backend can be told, as JSON.

use bytes::Bytes;
use presence_core::id::{Epoch, RoomId, UserId};
use presence_core::room::Movement;
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;
use serde::Serialize;

/// A kind of event, as `webhook_events` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Somebody is in a room in which nobody was.
    RoomOccupied,
    /// Nobody is in a room any more.
    RoomVacated,
    /// A user came into a room.
    UserJoined,
    /// A user left a room.
    UserLeft,
    /// A message was taken in.
    Message,
    /// A message waits for a user who is not here.
    UserAbsent,
}

impl EventKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 6] = [
        Self::RoomOccupied,
        Self::RoomVacated,
        Self::UserJoined,
        Self::UserLeft,
        Self::Message,
        Self::UserAbsent,
    ];

    /// As the settings and the events themselves write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RoomOccupied => "room_occupied",
            Self::RoomVacated => "room_vacated",
            Self::UserJoined => "user_joined",
            Self::UserLeft => "user_left",
            Self::Message => "message",
            Self::UserAbsent => "user_absent",
        }
    }

    /// The kind of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    pub(super) const fn of(movement: &Movement) -> Self {
        match movement {
            Movement::Occupied { .. } => Self::RoomOccupied,
            Movement::Vacated { .. } => Self::RoomVacated,
            Movement::Joined { .. } => Self::UserJoined,
            Movement::Left { .. } => Self::UserLeft,
        }
    }
}

/// Who came or went. Times are Unix milliseconds.
#[derive(Serialize)]
struct Moved<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    room: &'a str,
    epoch: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    time: i64,
}

/// A message, without what it says.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    room: &'a str,
    seq: u64,
    id: &'a str,
    user: &'a str,
    timestamp: i64,
}

/// Somebody whom a message waits for.
#[derive(Serialize)]
struct Absent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    room: &'a str,
    user: &'a str,
    seq: u64,
    time: i64,
}

/// Events that had to be left out, just before the one that follows.
#[derive(Serialize)]
struct Dropped {
    #[serde(rename = "type")]
    kind: &'static str,
    count: u64,
    time: i64,
}

fn encode(event: &impl Serialize) -> Bytes {
    serde_json::to_vec(event).expect("texts and numbers are JSON").into()
}

pub(super) fn moved(room: &RoomId, epoch: &Epoch, at: WallTime, movement: &Movement) -> Bytes {
    let (user, cause) = match movement {
        Movement::Occupied { .. } | Movement::Vacated { .. } => (None, None),
        Movement::Joined { user, .. } => (Some(user.as_str()), None),
        Movement::Left { user, cause, .. } => (Some(user.as_str()), Some(cause.as_str())),
    };
    encode(&Moved {
        kind: EventKind::of(movement).as_str(),
        room: room.as_str(),
        epoch: epoch.as_str(),
        version: movement.version().number(),
        user,
        cause,
        time: at.as_unix_millis(),
    })
}

pub(super) fn message(seq: Seq, message: &NewMessage) -> Bytes {
    encode(&Said {
        kind: EventKind::Message.as_str(),
        room: message.room.as_str(),
        seq: seq.number(),
        id: message.id.as_str(),
        user: message.sender.as_str(),
        timestamp: message.at.as_unix_millis(),
    })
}

pub(super) fn absent(room: &RoomId, user: &UserId, seq: Seq, now: WallTime) -> Bytes {
    encode(&Absent {
        kind: EventKind::UserAbsent.as_str(),
        room: room.as_str(),
        user: user.as_str(),
        seq: seq.number(),
        time: now.as_unix_millis(),
    })
}

pub(super) fn dropped(count: u64, now: WallTime) -> Bytes {
    encode(&Dropped { kind: "events_dropped", count, time: now.as_unix_millis() })
}

/// The body of a request: events as they are kept, each with its number, counted from `origin`.
pub(super) fn batch(origin: u64, events: &[(u64, Bytes)]) -> Bytes {
    let mut body = br#"{"events":["#.to_vec();
    for (at, (number, event)) in events.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        // Each was written by us, and is an object that is not empty.
        body.extend_from_slice(format!(r#"{{"number":{},"#, origin + number).as_bytes());
        body.extend_from_slice(event.strip_prefix(b"{").unwrap_or(event));
    }
    body.extend_from_slice(b"]}");
    body.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use presence_core::id::{Incarnation, Version};
    use presence_core::room::LeaveCause;
    use presence_core::stream::{MessageId, MessageKind};
    use serde_json::{Value, json};

    use super::*;

    fn value(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn each_kind_reads_as_it_is_documented() {
        let (room, user) = (RoomId::parse("doc").unwrap(), UserId::parse("a \"b\"").unwrap());
        let epoch = Epoch::new(Incarnation::from_random(1), 2);
        let at = WallTime::from_unix_millis(5);
        let version = Version::new(7);
        let place = json!({"room": "doc", "epoch": epoch.as_str(), "version": 7, "time": 5});
        let with = |more: Value| {
            let mut event = place.clone();
            event.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            event
        };
        for (movement, more) in [
            (Movement::Occupied { version }, json!({"type": "room_occupied"})),
            (Movement::Vacated { version }, json!({"type": "room_vacated"})),
            (
                Movement::Joined { version, user: user.clone() },
                json!({"type": "user_joined", "user": "a \"b\""}),
            ),
            (
                Movement::Left { version, user: user.clone(), cause: LeaveCause::Timeout },
                json!({"type": "user_left", "user": "a \"b\"", "cause": "timeout"}),
            ),
        ] {
            assert_eq!(value(&moved(&room, &epoch, at, &movement)), with(more));
        }
        let said = NewMessage {
            room: room.clone(),
            kind: MessageKind::Message,
            sender: user.clone(),
            sender_name: Arc::from("A"),
            id: MessageId::parse("m1").unwrap(),
            body: Bytes::from_static(b"\"canary\""),
            correlation: Arc::from("c"),
            at,
        };
        assert_eq!(
            value(&message(Seq::new(3), &said)),
            json!({"type": "message", "room": "doc", "seq": 3, "id": "m1", "user": "a \"b\"", "timestamp": 5})
        );
        assert_eq!(
            value(&absent(&room, &user, Seq::new(3), at)),
            json!({"type": "user_absent", "room": "doc", "user": "a \"b\"", "seq": 3, "time": 5})
        );
    }

    #[test]
    fn a_batch_numbers_its_events() {
        let at = WallTime::from_unix_millis(5);
        let events = [(2, dropped(2, at)), (3, dropped(3, at))];
        let wanted = json!({"events": [
            {"number": 9, "type": "events_dropped", "count": 2, "time": 5},
            {"number": 10, "type": "events_dropped", "count": 3, "time": 5},
        ]});
        assert_eq!(value(&batch(7, &events)), wanted);
        assert_eq!(value(&batch(7, &[])), json!({"events": []}));
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::named("joined"), None);
    }
}
