//! The server's messages as a client reads them. Written from the protocol, not from the server's code: when the two
//! disagree, a test fails.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A message from the server.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is described by the protocol")]
pub enum ServerMessage {
    Opened(Opened),
    Connected(Connected),
    Ping(Ping),
    Error(Refusal),
    Draining(Draining),
    CurrentUsers(CurrentUsers),
    Restored(Restored),
    UserJoined(UserJoined),
    UserLeft(UserLeft),
    UserUpdated(UserUpdated),
    Synced(Synced),
    Cursors(Cursors),
    Typing(Typing),
    Mode(Mode),
    Window(WindowShown),
    Close(Close),
    MessageCreated(MessageCreated),
    ThreadInvitation(ThreadInvitation),
    Ack(Ack),
    MessagesDropped(MessagesDropped),
    SyncResult(SyncResult),
    UserStatus(UserStatus),
    OnlineUsers(OnlineUsers),
    UserProfileUpdated(UserProfileUpdated),
    InvitationAccepted(InvitationAccepted),
    /// A type that this client does not know.
    Other(String),
}

macro_rules! shapes {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Deserialize)]
            #[expect(missing_docs, reason = "fields are named and described by the protocol")]
            $(#[$meta])*
            pub struct $name { $($(#[$field_meta])* pub $field: $kind,)* }
        )*
    };
}

shapes! {
    /// `connected`
    Connected {
        protocol: u32,
        connection_id: String,
        session_id: String,
        user_id: String,
        server_time: i64,
        heartbeat_ms: u64,
        limits: Value,
    }
    /// `opened`
    Opened { connection_id: String, server_time: i64, }
    /// `close`
    Close { code: u16, reason: String, }
    /// `ping`
    Ping { timestamp: i64, rtt_ms: Option<u64>, }
    /// `error`
    Refusal {
        code: String,
        message: String,
        field: Option<String>,
        room: Option<String>,
        retry_after_ms: Option<u64>,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// `server_draining`
    Draining { retry_after_ms: u64, }
    /// `presence:currentUsers`
    #[serde(rename_all = "camelCase")]
    CurrentUsers {
        room: String,
        epoch: String,
        version: u64,
        digest: String,
        mode: Option<String>,
        users: Vec<User>,
        #[serde(rename = "self")] own: Own,
        reason: String,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// `self` of a snapshot
    #[serde(rename_all = "camelCase")]
    Own { user_id: String, session_id: String, }
    /// `presence:restored`
    #[serde(rename_all = "camelCase")]
    Restored {
        room: String,
        session_id: String,
        user: User,
        state: BTreeMap<String, Value>,
        cursor: Option<Value>,
    }
    /// `presence:userJoined`
    UserJoined { room: String, version: u64, user: User, }
    /// `presence:userLeft`
    #[serde(rename_all = "camelCase")]
    UserLeft { room: String, version: u64, user_id: String, cause: String, last_seen: i64, }
    /// `presence:userUpdated`
    #[serde(rename_all = "camelCase")]
    UserUpdated {
        room: String,
        version: u64,
        user_id: String,
        name: Option<String>,
        color: Option<String>,
        #[serde(default, deserialize_with = "present")] avatar: Option<Option<String>>,
        #[serde(default, deserialize_with = "present")] email: Option<Option<String>>,
        status: Option<String>,
        connection_count: Option<usize>,
        sessions: Option<Vec<Session>>,
        session_id: Option<String>,
        state: Option<BTreeMap<String, Value>>,
    }
    /// `presence:synced`
    Synced {
        room: String,
        epoch: String,
        version: u64,
        digest: String,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// `presence:cursors`
    Cursors { room: String, cursors: Vec<Cursor>, }
    /// One of `presence:cursors`
    #[serde(rename_all = "camelCase")]
    Cursor { user_id: String, session_id: String, cursor: Option<Value>, }
    /// `presence:typing`
    #[serde(rename_all = "camelCase")]
    Typing { room: String, user_ids: Vec<String>, }
    /// `presence:mode`
    Mode { room: String, mode: String, }
    /// `presence:window`
    WindowShown {
        room: String,
        epoch: String,
        version: u64,
        mode: String,
        from: usize,
        count: usize,
        total: usize,
        sessions: usize,
        users: Option<Vec<User>>,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// The user object
    #[serde(rename_all = "camelCase")]
    User {
        id: String,
        name: String,
        color: String,
        avatar: Option<String>,
        email: Option<String>,
        joined_at: i64,
        last_seen: i64,
        status: String,
        connection_count: usize,
        sessions: Vec<Session>,
    }
    /// One session of a user
    #[serde(rename_all = "camelCase")]
    Session {
        session_id: String,
        connected_at: i64,
        active: bool,
        state: BTreeMap<String, Value>,
        cursor: Option<Value>,
    }
    /// `user_status`
    UserStatus { users: Vec<Standing>, #[serde(rename = "ref")] reference: Option<Value>, }
    /// One of `user_status`
    Standing { id: String, status: String, last_online: Option<i64>, }
    /// `online_users`
    OnlineUsers { users: Vec<OnlineUser>, more: bool, #[serde(rename = "ref")] reference: Option<Value>, }
    /// One of `online_users`
    OnlineUser { id: String, name: String, color: String, status: String, last_online: i64, }
    /// `user_profile_updated`
    UserProfileUpdated {
        user_id: String,
        username: Option<String>,
        name: String,
        color: String,
        avatar: Option<String>,
        timestamp: i64,
    }
    /// `message_created`, and without its type an element of lists of messages
    MessageCreated {
        id: String,
        room: String,
        parent_thread: String,
        seq: u64,
        user_id: String,
        user_name: String,
        snapshot: Value,
        timestamp: i64,
        correlation_id: String,
        #[serde(default)] redelivered: bool,
    }
    /// `thread_invitation`
    ThreadInvitation {
        thread_id: String,
        room: String,
        invited_by: String,
        user_name: String,
        inbox: String,
        seq: u64,
        timestamp: i64,
        correlation_id: String,
        #[serde(default)] redelivered: bool,
    }
    /// `ack`, and without its type the answer of `POST /v1/rooms/{room}/messages`
    Ack {
        id: String,
        room: String,
        seq: u64,
        timestamp: i64,
        durability: String,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// `messages_dropped`
    MessagesDropped { room: String, count: u64, from_seq: u64, to_seq: u64, reason: String, }
    /// `sync_result`
    SyncResult {
        messages: Vec<MessageCreated>,
        dropped: Vec<MessagesDropped>,
        profiles: Vec<Value>,
        rosters: Vec<Value>,
        invitations: Vec<Value>,
        cursors: BTreeMap<String, u64>,
        more: bool,
        timestamp: i64,
        #[serde(rename = "ref")] reference: Option<Value>,
    }
    /// The answer of `GET /v1/rooms/{room}/messages`
    RoomMessages { messages: Vec<MessageCreated>, more: bool, }
    /// `invitation_accepted`
    InvitationAccepted {
        thread_id: String,
        room: String,
        user_id: String,
        user_name: String,
        timestamp: i64,
    }
    /// The answer of `GET /v1/rooms/{room}/presence`
    #[serde(rename_all = "camelCase")]
    RoomPresence {
        room: String,
        epoch: String,
        version: u64,
        digest: String,
        timestamp: i64,
        total_active_users: usize,
        total_connections: usize,
        active_users: Vec<String>,
        users: Vec<User>,
    }
}

/// Tells a `null` from a field that is not there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

impl ServerMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is not what the protocol says.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        // Most messages say first what they are.
        let first = text.strip_prefix(r#"{"type":""#).and_then(|rest| rest.split_once('"'));
        let head = match first {
            Some((kind, _)) if !kind.contains('\\') => Head { r#type: Cow::Borrowed(kind) },
            _ => serde_json::from_str(text)?,
        };
        Ok(match &*head.r#type {
            "opened" => Self::Opened(serde_json::from_str(text)?),
            "close" => Self::Close(serde_json::from_str(text)?),
            "connected" => Self::Connected(serde_json::from_str(text)?),
            "ping" => Self::Ping(serde_json::from_str(text)?),
            "error" => Self::Error(serde_json::from_str(text)?),
            "server_draining" => Self::Draining(serde_json::from_str(text)?),
            "presence:currentUsers" => Self::CurrentUsers(serde_json::from_str(text)?),
            "presence:restored" => Self::Restored(serde_json::from_str(text)?),
            "presence:userJoined" => Self::UserJoined(serde_json::from_str(text)?),
            "presence:userLeft" => Self::UserLeft(serde_json::from_str(text)?),
            "presence:userUpdated" => Self::UserUpdated(serde_json::from_str(text)?),
            "presence:synced" => Self::Synced(serde_json::from_str(text)?),
            "presence:cursors" => Self::Cursors(serde_json::from_str(text)?),
            "presence:typing" => Self::Typing(serde_json::from_str(text)?),
            "presence:mode" => Self::Mode(serde_json::from_str(text)?),
            "presence:window" => Self::Window(serde_json::from_str(text)?),
            "message_created" => Self::MessageCreated(serde_json::from_str(text)?),
            "thread_invitation" => Self::ThreadInvitation(serde_json::from_str(text)?),
            "ack" => Self::Ack(serde_json::from_str(text)?),
            "messages_dropped" => Self::MessagesDropped(serde_json::from_str(text)?),
            "sync_result" => Self::SyncResult(serde_json::from_str(text)?),
            "user_status" => Self::UserStatus(serde_json::from_str(text)?),
            "online_users" => Self::OnlineUsers(serde_json::from_str(text)?),
            "user_profile_updated" => Self::UserProfileUpdated(serde_json::from_str(text)?),
            "invitation_accepted" => Self::InvitationAccepted(serde_json::from_str(text)?),
            unknown => Self::Other(unknown.to_owned()),
        })
    }

    /// The room whose presence it is about, if it is about one's.
    pub fn room(&self) -> Option<&str> {
        match self {
            Self::CurrentUsers(message) => Some(&message.room),
            Self::Restored(message) => Some(&message.room),
            Self::UserJoined(message) => Some(&message.room),
            Self::UserLeft(message) => Some(&message.room),
            Self::UserUpdated(message) => Some(&message.room),
            Self::Synced(message) => Some(&message.room),
            Self::Cursors(message) => Some(&message.room),
            Self::Typing(message) => Some(&message.room),
            Self::Mode(message) => Some(&message.room),
            // A window stands for itself.
            Self::Window(_)
            | Self::MessageCreated(_)
            | Self::ThreadInvitation(_)
            | Self::Ack(_)
            | Self::MessagesDropped(_)
            | Self::SyncResult(_)
            | Self::Opened(_)
            | Self::Connected(_)
            | Self::Ping(_)
            | Self::Error(_)
            | Self::Draining(_)
            | Self::Close(_)
            | Self::UserStatus(_)
            | Self::OnlineUsers(_)
            | Self::UserProfileUpdated(_)
            | Self::InvitationAccepted(_)
            | Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that the server's own tests write.
    #[test]
    fn every_golden_message_is_known() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../presence-core/tests/golden");
        let mut known = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            if path.ends_with("room_presence.json") {
                let presence: RoomPresence = serde_json::from_str(&text).unwrap();
                assert_eq!(presence.active_users, ["ann"]);
            } else {
                let message = ServerMessage::parse(text.trim_end()).unwrap();
                assert!(!matches!(message, ServerMessage::Other(_)), "{}", path.display());
            }
            known += 1;
        }
        assert!(known >= 14, "only {known} files");
    }
}
