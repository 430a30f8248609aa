//! What the server says of messages that last.

use serde::Serialize;
use serde_json::value::RawValue;

use super::json::Reference;
use super::pieces::Pieces;
use super::server::encode;
use crate::frame::{Frame, Mark, Message};
use crate::id::RoomId;
use crate::people::{Invitation, Person, RosterMember};
use crate::port::store::{Changes, Durability, Gap, GapReason};
use crate::stream::{MessageId, MessageKind, Seq, StoredMessage};
use crate::time::WallTime;

/// What is said of a message whose text is not there any more.
const NOTHING: &str = "null";

/// A message as its receivers get it, without `type`: so answers to questions have it.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    room: &'a str,
    parent_thread: &'a str,
    seq: u64,
    user_id: &'a str,
    user_name: &'a str,
    snapshot: &'a RawValue,
    timestamp: i64,
    correlation_id: &'a str,
    /// What it is if it is not just a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

#[derive(Serialize)]
struct Typed<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

fn raw(text: &[u8]) -> &RawValue {
    let nothing = || serde_json::from_str(NOTHING).expect("this is JSON");
    serde_json::from_slice(text).unwrap_or_else(|_| nothing())
}

impl<'a> From<&'a StoredMessage> for Body<'a> {
    fn from(stored: &'a StoredMessage) -> Self {
        let message = &stored.message;
        Self {
            id: message.id.as_str(),
            room: message.room.as_str(),
            parent_thread: message.room.as_str(),
            seq: stored.seq.number(),
            user_id: message.sender.as_str(),
            user_name: &message.sender_name,
            snapshot: raw(&message.body),
            timestamp: message.at.as_unix_millis(),
            correlation_id: &message.correlation,
            kind: match message.kind {
                MessageKind::Message => None,
                MessageKind::Invitation => Some("invitation"),
            },
        }
    }
}

/// `message_created`, or `thread_invitation` for an invitation: a message as its receivers get it.
pub fn stream_message(stored: &StoredMessage) -> Message {
    let message = &stored.message;
    let text = match message.kind {
        MessageKind::Message => message_created(&Body::from(stored)),
        MessageKind::Invitation => thread_invitation(stored),
    };
    Message::marked(text, Mark::Correlation(message.correlation.clone()))
}

fn message_created(body: &Body<'_>) -> Vec<u8> {
    Pieces::begin(r#"{"type":"message_created","id":"#)
        .value(body.id)
        .json(r#","room":"#)
        .value(body.room)
        .json(r#","parent_thread":"#)
        .value(body.parent_thread)
        .json(r#","seq":"#)
        .value(body.seq)
        .json(r#","user_id":"#)
        .value(body.user_id)
        .json(r#","user_name":"#)
        .value(body.user_name)
        .json(r#","snapshot":"#)
        .json(body.snapshot.get())
        .json(r#","timestamp":"#)
        .value(body.timestamp)
        .json(r#","correlation_id":"#)
        .value(body.correlation_id)
        .json("}")
        .end()
}

/// `thread_invitation`: it stands in the inbox of the invited and is acknowledged there, as any message of it.
fn thread_invitation(stored: &StoredMessage) -> Vec<u8> {
    #[derive(Serialize)]
    struct Invited<'a> {
        r#type: &'static str,
        thread_id: &'a str,
        room: &'a str,
        invited_by: &'a str,
        user_name: &'a str,
        inbox: &'a str,
        seq: u64,
        timestamp: i64,
        correlation_id: &'a str,
    }
    #[derive(serde::Deserialize)]
    struct To {
        room: String,
    }
    let message = &stored.message;
    let to = serde_json::from_slice(&message.body).map_or_else(|_| String::new(), |to: To| to.room);
    encode(&Invited {
        r#type: "thread_invitation",
        thread_id: &to,
        room: &to,
        invited_by: message.sender.as_str(),
        user_name: &message.sender_name,
        inbox: message.room.as_str(),
        seq: stored.seq.number(),
        timestamp: message.at.as_unix_millis(),
        correlation_id: &message.correlation,
    })
}

/// The same messages, said to go again.
pub fn redelivered(frame: &Frame) -> Frame {
    let again = |message: &Message| {
        let text = message.text();
        let mut out = Vec::with_capacity(text.len() + 19);
        out.extend_from_slice(text.strip_suffix(b"}").unwrap_or(text));
        out.extend_from_slice(br#","redelivered":true}"#);
        match message.mark() {
            Some(mark) => Message::marked(out, mark.clone()),
            None => Message::new(out),
        }
    };
    let messages: Vec<Message> = frame.messages().iter().map(again).collect();
    Frame::new(messages)
}

/// What is known of a message once it is safe.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The sender's own name for it.
    pub id: &'a MessageId,
    /// Its stream.
    pub room: &'a RoomId,
    /// Its place.
    pub seq: Seq,
    /// When the server took it in.
    pub at: WallTime,
    /// How safe it is.
    pub durability: Durability,
}

#[derive(Serialize)]
struct AckBody<'a> {
    id: &'a str,
    room: &'a str,
    seq: u64,
    timestamp: i64,
    durability: &'static str,
}

/// `ack`: the sender's message is safe.
pub fn message_ack(kept: Kept<'_>, reference: &Reference) -> Message {
    let ack = Pieces::begin(r#"{"type":"ack","id":"#)
        .value(kept.id.as_str())
        .json(r#","room":"#)
        .value(kept.room.as_str())
        .json(r#","seq":"#)
        .value(kept.seq.number())
        .json(r#","timestamp":"#)
        .value(kept.at.as_unix_millis())
        .json(r#","durability":"#)
        .value(kept.durability.as_str());
    match reference {
        Some(reference) => ack.json(r#","ref":"#).said(Some(reference)),
        None => ack,
    }
    .json("}")
    .message()
}

/// The body of `POST /v1/rooms/{room}/messages`.
pub fn message_kept(kept: Kept<'_>) -> Vec<u8> {
    encode(&AckBody {
        id: kept.id.as_str(),
        room: kept.room.as_str(),
        seq: kept.seq.number(),
        timestamp: kept.at.as_unix_millis(),
        durability: kept.durability.as_str(),
    })
}

impl GapReason {
    /// The reason as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Expired => "expired",
        }
    }
}

#[derive(Serialize)]
struct DroppedBody<'a> {
    room: &'a str,
    count: u64,
    from_seq: u64,
    to_seq: u64,
    reason: &'static str,
}

impl<'a> DroppedBody<'a> {
    fn of(room: &'a RoomId, gap: &Gap) -> Self {
        Self {
            room: room.as_str(),
            count: gap.to.number() + 1 - gap.from.number(),
            from_seq: gap.from.number(),
            to_seq: gap.to.number(),
            reason: gap.reason.as_str(),
        }
    }
}

/// `messages_dropped`: what the receiver will never get.
pub fn messages_dropped(room: &RoomId, gap: &Gap) -> Message {
    Message::new(encode(&Typed { r#type: "messages_dropped", body: &DroppedBody::of(room, gap) }))
}

/// The body of `GET /v1/rooms/{room}/messages`.
pub fn room_messages(messages: &[StoredMessage], more: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct Messages<'a> {
        messages: Vec<Body<'a>>,
        more: bool,
    }
    encode(&Messages { messages: messages.iter().map(Body::from).collect(), more })
}

/// The answer to a sync, as it grows.
#[derive(Debug, Default)]
pub struct SyncResult {
    /// Messages of all streams, each stream in order.
    pub messages: Vec<StoredMessage>,
    /// What the receiver will never get.
    pub dropped: Vec<(RoomId, Gap)>,
    /// How far each stream is told now.
    pub cursors: Vec<(RoomId, Seq)>,
    /// From where on each of them is told.
    pub begins: Vec<Seq>,
    /// What changed of people.
    pub changes: Changes,
    /// Whether there is more: ask again with these cursors and this time.
    pub more: bool,
    /// Changes of people are told up to then.
    pub at: WallTime,
}

/// `sync_result`; without `type` and `ref` it is the body of `GET /v1/sync`.
pub fn sync_result(result: &SyncResult, reference: &Reference) -> Message {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        #[serde(flatten)]
        body: &'a T,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: &'a Reference,
    }
    let body = sync_json(result);
    Message::new(encode(&Typed { r#type: "sync_result", body: &Answer { body: &body, reference } }))
}

/// The body of `GET /v1/sync`.
pub fn sync_body(result: &SyncResult) -> Vec<u8> {
    encode(&sync_json(result))
}

#[derive(Serialize)]
struct SyncJson<'a> {
    messages: Vec<Body<'a>>,
    dropped: Vec<DroppedBody<'a>>,
    profiles: Vec<ProfileBody<'a>>,
    rosters: Vec<RosterBody<'a>>,
    invitations: Vec<InvitationBody<'a>>,
    cursors: std::collections::BTreeMap<&'a str, u64>,
    more: bool,
    timestamp: i64,
}

#[derive(Serialize)]
struct ProfileBody<'a> {
    user_id: &'a str,
    username: Option<&'a str>,
    color: Option<&'a str>,
    avatar: Option<&'a str>,
    last_online: Option<i64>,
    timestamp: i64,
}

#[derive(Serialize)]
struct RosterBody<'a> {
    room: &'a str,
    user_id: &'a str,
    joined_at: i64,
}

#[derive(Serialize)]
struct InvitationBody<'a> {
    room: &'a str,
    user_id: &'a str,
    invited_by: &'a str,
    created_at: i64,
}

fn sync_json(result: &SyncResult) -> SyncJson<'_> {
    SyncJson {
        messages: result.messages.iter().map(Body::from).collect(),
        dropped: result.dropped.iter().map(|(room, gap)| DroppedBody::of(room, gap)).collect(),
        profiles: result.changes.people.iter().map(ProfileBody::from).collect(),
        rosters: result.changes.rosters.iter().map(RosterBody::from).collect(),
        invitations: result.changes.invitations.iter().map(InvitationBody::from).collect(),
        cursors: result.cursors.iter().map(|(room, seq)| (room.as_str(), seq.number())).collect(),
        more: result.more,
        timestamp: result.at.as_unix_millis(),
    }
}

impl<'a> From<&'a Person> for ProfileBody<'a> {
    fn from(person: &'a Person) -> Self {
        Self {
            user_id: person.id.as_str(),
            username: person.username.as_ref().map(crate::people::Username::as_str),
            color: person.color.as_ref().map(crate::profile::Color::as_str),
            avatar: person.avatar.as_deref(),
            last_online: person.last_online.map(WallTime::as_unix_millis),
            timestamp: person.changed_at.as_unix_millis(),
        }
    }
}

impl<'a> From<&'a RosterMember> for RosterBody<'a> {
    fn from(member: &'a RosterMember) -> Self {
        Self {
            room: member.room.as_str(),
            user_id: member.user.as_str(),
            joined_at: member.joined_at.as_unix_millis(),
        }
    }
}

impl<'a> From<&'a Invitation> for InvitationBody<'a> {
    fn from(invitation: &'a Invitation) -> Self {
        Self {
            room: invitation.room.as_str(),
            user_id: invitation.user.as_str(),
            invited_by: invitation.invited_by.as_str(),
            created_at: invitation.created_at.as_unix_millis(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::id::UserId;
    use crate::stream::NewMessage;

    /// One is put together by hand and the other by serde.
    #[test]
    fn a_message_that_is_said_is_the_one_that_an_answer_has() {
        let message = NewMessage {
            room: RoomId::parse("doc").unwrap(),
            kind: MessageKind::Message,
            sender: UserId::parse("a\"\\é").unwrap(),
            sender_name: "Ann \u{1} \"of\" \u{2028}".into(),
            id: MessageId::parse("m\"1").unwrap(),
            body: r#"{"text":"\"\u0001"}"#.into(),
            correlation: "c\"".into(),
            at: WallTime::from_unix_millis(-5),
        };
        let stored = StoredMessage { seq: Seq::new(u64::MAX), message };
        let mut said: Value = serde_json::from_slice(stream_message(&stored).text()).unwrap();
        let answer: Value = serde_json::from_slice(&room_messages(&[stored], false)).unwrap();
        assert_eq!(said.as_object_mut().unwrap().remove("type").unwrap(), "message_created");
        assert_eq!(said, answer["messages"][0]);
    }

    #[test]
    fn an_ack_that_is_said_is_the_one_that_a_post_is_answered_with() {
        let (id, room) = (MessageId::parse("m\"1").unwrap(), RoomId::parse("doc").unwrap());
        let (seq, at, durability) = (Seq::new(7), WallTime::from_unix_millis(5), Durability::Memory);
        let kept = Kept { id: &id, room: &room, seq, at, durability };
        let mut said: Value = serde_json::from_slice(message_ack(kept, &None).text()).unwrap();
        assert_eq!(said.as_object_mut().unwrap().remove("type").unwrap(), "ack");
        assert_eq!(said, serde_json::from_slice::<Value>(&message_kept(kept)).unwrap());
    }
}
