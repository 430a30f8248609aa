//! What clients say, decoded with limits. Every refusal names the field.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cursor::is_plain_cursor;
use super::json::{Json, Members, Reference, ScanError, StatePatch, scan, string};
use crate::error::{CommandError, ErrorCode};
use crate::id::{RoomId, SessionId, UserId, Version};
use crate::limits::Limits;
use crate::profile::{Color, Text, is_safe_picture};
use crate::rights::Token;
use crate::stream::{MessageId, Seq};
use crate::time::WallTime;
use crate::window::Window;

/// Longest epoch that a client may name; another server's may look otherwise.
const EPOCH_BYTES_MAX: usize = 128;

/// A client message with its `ref`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What every direct answer repeats.
    pub reference: Reference,
    /// The message, or why it is none.
    pub message: Result<ClientMessage, CommandError>,
}

/// Everything a client can say. `room: None` means the connection's default room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named and described by the protocol")]
pub enum ClientMessage {
    /// Says who this is; renews a token on a live connection.
    Auth { token: Option<Token>, user: Option<UserId>, session: Option<SessionId> },
    /// Enters a room.
    Join {
        room: Option<RoomId>,
        user: Box<UserClaim>,
        state: Option<StatePatch>,
        since: Option<Since>,
        window: Option<Window>,
    },
    /// Watches these rows of the roster from now on.
    Window { room: Option<RoomId>, window: Window },
    /// Leaves it at once.
    Leave { room: Option<RoomId> },
    /// "I am here."
    Heartbeat,
    /// Merges into the session's state.
    Update { room: Option<RoomId>, state: StatePatch },
    /// Where the session points.
    Cursor { room: Option<RoomId>, cursor: Option<Json> },
    /// Whether the session's user is typing.
    Typing { room: Option<RoomId>, typing: bool },
    /// Whether the session is in use.
    Activity { active: bool },
    /// "Is this what you have?"
    Sync { room: Option<RoomId>, since: Since, digest: Option<u32> },
    /// Something for a stream, to be kept.
    Message { room: Option<RoomId>, id: MessageId, data: Json },
    /// Everything of a stream up to here is dealt with.
    Ack { room: Option<RoomId>, seq: Seq },
    /// "What is there that I do not have?"
    SyncAll(SyncRequest),
    /// The answer to a ping, with the ping's timestamp.
    Pong { timestamp: Option<i64> },
    /// "Who is online?" `None`: of all with whom the asker shares a room or a roster.
    ListUsers { room: Option<RoomId> },
    /// "How do these stand, and from now on?"
    Watch { users: BTreeSet<UserId> },
    /// "I do not want to hear of these any more."
    Unwatch { users: BTreeSet<UserId> },
}

impl ClientMessage {
    /// The `type`s that clients may send, for metrics and documents.
    pub const TYPES: [&str; 17] = [
        "auth",
        "presence:join",
        "presence:window",
        "presence:leave",
        "presence:heartbeat",
        "presence:update",
        "presence:cursor",
        "presence:typing",
        "presence:activity",
        "presence:sync",
        "message",
        "ack",
        "sync",
        "pong",
        "list_users",
        "watch",
        "unwatch",
    ];

    /// The message's `type`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Join { .. } => "presence:join",
            Self::Window { .. } => "presence:window",
            Self::Leave { .. } => "presence:leave",
            Self::Heartbeat => "presence:heartbeat",
            Self::Update { .. } => "presence:update",
            Self::Cursor { .. } => "presence:cursor",
            Self::Typing { .. } => "presence:typing",
            Self::Activity { .. } => "presence:activity",
            Self::Sync { .. } => "presence:sync",
            Self::Message { .. } => "message",
            Self::Ack { .. } => "ack",
            Self::SyncAll(_) => "sync",
            Self::Pong { .. } => "pong",
            Self::ListUsers { .. } => "list_users",
            Self::Watch { .. } => "watch",
            Self::Unwatch { .. } => "unwatch",
        }
    }
}

/// The last thing of a room that a client has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The history it means.
    pub epoch: Box<str>,
    /// How far it has read.
    pub version: Version,
}

impl Since {
    /// Reads an event's id as [`EventId`](crate::frame::EventId) writes it: `room;epoch;version`. `None` if it is
    /// something else, such as the id of another server's event.
    pub fn of_event(id: &str) -> Option<(RoomId, Self)> {
        let mut parts = id.split(';');
        let room = RoomId::parse(parts.next()?).ok()?;
        let epoch = parts.next().filter(|epoch| epoch.len() <= EPOCH_BYTES_MAX)?.into();
        let version = Version::new(parts.next()?.parse().ok()?);
        parts.next().is_none().then_some((room, Self { epoch, version }))
    }
}

/// What a client has, of everything that is kept for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncRequest {
    /// Changes until then.
    pub since: Option<WallTime>,
    /// Messages of these streams up to these places.
    pub cursors: Vec<(RoomId, Seq)>,
    /// How many messages and changes it wants at most.
    pub limit: Option<usize>,
}

/// What a join says about its user. Nothing in it is believed without the server's consent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserClaim {
    /// Who.
    pub id: Option<UserId>,
    /// What others read.
    pub name: Option<Text>,
    /// Which tab or device.
    pub session: Option<SessionId>,
    /// A colour of the user's own choice.
    pub color: Option<Color>,
    /// Address of a picture: `https:` or `data:image/`.
    pub avatar: Option<Text>,
    /// E-mail address, as text.
    pub email: Option<Text>,
}

/// Reads one message. Never panics, whatever the bytes are.
pub fn decode(bytes: &[u8], limits: &Limits) -> Decoded {
    let read = object(bytes, limits).and_then(|object| Ok((object.reference()?, object)));
    match read {
        Ok((reference, object)) => Decoded { reference, message: object.message() },
        Err(error) => Decoded { reference: None, message: Err(error) },
    }
}

/// Reads a message for a stream that comes without `type` and `room`.
///
/// # Errors
/// As [`decode`].
pub fn decode_message(bytes: &[u8], limits: &Limits) -> Result<(MessageId, Json), CommandError> {
    let object = object(bytes, limits)?;
    object.reference()?;
    Ok((object.message_id()?, object.data()?))
}

fn object<'a>(bytes: &'a [u8], limits: &'a Limits) -> Result<Object<'a>, CommandError> {
    let unreadable = |message: String| Err(CommandError::new(ErrorCode::BadJson, message));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return unreadable("the message is not UTF-8".to_owned());
    };
    match scan(text, limits.json_depth_max) {
        Ok(()) => {}
        Err(ScanError::TooDeep) => {
            return unreadable(format!("the message is nested deeper than {}", limits.json_depth_max));
        }
        Err(ScanError::LoneSurrogate) => {
            return unreadable("the message has an escape that is half a surrogate pair".to_owned());
        }
        Err(ScanError::HugeNumber) => {
            return unreadable("the message has a number beyond 1.8e308".to_owned());
        }
    }
    let members = match serde_json::from_str::<Members<'_>>(text) {
        Ok(members) => members,
        // It would quote the text that stands in the place of the object, however long that is.
        Err(error) if error.is_data() => return unreadable("the message is not a JSON object".to_owned()),
        Err(error) => return unreadable(format!("the message is not a JSON object: {error}")),
    };
    Ok(Object { path: String::new(), members, limits })
}

/// One JSON object of a message, which knows where in the message it stands.
struct Object<'a> {
    path: String,
    members: Members<'a>,
    limits: &'a Limits,
}

impl<'a> Object<'a> {
    fn reference(&self) -> Result<Reference, CommandError> {
        if let Some(name) = self.members.duplicate() {
            return Err(self.bad(name, "stands there twice"));
        }
        match self.members.get("ref") {
            None => Ok(None),
            Some(raw) if raw.get().len() > 256 => Err(self.bad("ref", "must be at most 256 bytes")),
            Some(raw) => match raw.get().as_bytes().first() {
                Some(b'"' | b'-' | b'0'..=b'9') => Ok(Some(Json::compact(raw))),
                _ => Err(self.bad("ref", "must be a string or a number")),
            },
        }
    }

    fn message(&self) -> Result<ClientMessage, CommandError> {
        let Some(name) = self.text("type", usize::MAX)? else {
            // The first message of a client may be its credentials alone.
            if self.members.get("token").is_some() || self.members.get("client_id").is_some() {
                return self.auth();
            }
            return Err(self.bad("type", "is missing"));
        };
        Ok(match &*name {
            "auth" => self.auth()?,
            "presence:join" => ClientMessage::Join {
                room: self.room()?,
                user: Box::new(
                    self.object("user")?.map(|user| user.claim()).transpose()?.unwrap_or_default(),
                ),
                state: self.object("state")?.map(|state| state.patch()).transpose()?,
                since: self.object("since")?.map(|since| since.since()).transpose()?,
                window: self.object("window")?.map(|window| window.window()).transpose()?,
            },
            "presence:window" => ClientMessage::Window { room: self.room()?, window: self.window()? },
            "presence:leave" => ClientMessage::Leave { room: self.room()? },
            "presence:heartbeat" => ClientMessage::Heartbeat,
            "presence:update" => ClientMessage::Update {
                room: self.room()?,
                state: self.object("state")?.ok_or_else(|| self.bad("state", "is missing"))?.patch()?,
            },
            "presence:cursor" => ClientMessage::Cursor { room: self.room()?, cursor: self.cursor()? },
            "presence:typing" => ClientMessage::Typing {
                room: self.room()?,
                typing: self.required("typing", "true or false")?,
            },
            "presence:activity" => {
                ClientMessage::Activity { active: self.required("active", "true or false")? }
            }
            "presence:sync" => {
                ClientMessage::Sync { room: self.room()?, since: self.since()?, digest: self.digest()? }
            }
            "message" => {
                ClientMessage::Message { room: self.room()?, id: self.message_id()?, data: self.data()? }
            }
            "ack" => ClientMessage::Ack {
                room: self.room()?,
                seq: Seq::new(self.required("seq", "a whole number of 0 or more")?),
            },
            "sync" => ClientMessage::SyncAll(self.sync_request()?),
            "pong" => ClientMessage::Pong { timestamp: self.value("timestamp", "a whole number")? },
            "list_users" => ClientMessage::ListUsers { room: self.room()? },
            "watch" => ClientMessage::Watch { users: self.users()? },
            "unwatch" => ClientMessage::Unwatch { users: self.users()? },
            unknown => {
                let shown: String = unknown.chars().take(64).collect();
                return Err(CommandError::field(
                    ErrorCode::UnknownType,
                    "type",
                    format!("there is no message of type {shown:?}"),
                ));
            }
        })
    }

    fn auth(&self) -> Result<ClientMessage, CommandError> {
        Ok(ClientMessage::Auth {
            token: self.text("token", usize::MAX)?.map(Token::new),
            user: self.id("client_id", |text| self.limits.user_ids.parse(text))?,
            session: self.id("session_id", SessionId::parse)?,
        })
    }

    fn room(&self) -> Result<Option<RoomId>, CommandError> {
        let Some(text) = self.text("room", usize::MAX)? else { return Ok(None) };
        let refused = |error| {
            CommandError::field(ErrorCode::InvalidRoom, self.path_of("room"), format!("`room` {error}"))
        };
        RoomId::parse(&text).map(Some).map_err(refused)
    }

    /// User ids, each once.
    fn users(&self) -> Result<BTreeSet<UserId>, CommandError> {
        let texts: Vec<Cow<'_, str>> = self.required("users", "a list of user ids")?;
        let max = self.limits.watched_users_max;
        if texts.len() > max {
            return Err(self.bad("users", format!("must be at most {max} ids")));
        }
        let parse = |(index, text): (usize, &Cow<'_, str>)| {
            let parsed = self.limits.user_ids.parse(text);
            parsed.map_err(|rule| self.bad(&format!("users[{index}]"), rule))
        };
        texts.iter().enumerate().map(parse).collect()
    }

    fn claim(&self) -> Result<UserClaim, CommandError> {
        let color = self.text("color", usize::MAX)?;
        let avatar = self.text("avatar", usize::MAX)?;
        if let Some(avatar) = &avatar {
            let bytes_max = self.limits.avatar_bytes_max;
            if avatar.len() > bytes_max {
                return Err(self.bad("avatar", format!("must be at most {bytes_max} bytes")));
            }
            if !is_safe_picture(avatar) {
                return Err(self.bad("avatar", "must begin with https: or data:image/"));
            }
        }
        Ok(UserClaim {
            id: self.id("id", |text| self.limits.user_ids.parse(text))?,
            name: self
                .text("name", self.limits.name_chars_max)?
                .filter(|name| !name.trim().is_empty())
                .map(Into::into),
            session: self.id("sessionId", SessionId::parse)?,
            color: color.map(|color| Color::parse(&color)).transpose().map_err(|e| self.bad("color", e))?,
            avatar: avatar.map(Into::into),
            email: self.text("email", 320)?.map(Into::into),
        })
    }

    fn patch(&self) -> Result<StatePatch, CommandError> {
        let bytes: usize = self.members.0.iter().map(|(name, raw)| name.len() + raw.get().len()).sum();
        let bytes_max = self.limits.state_bytes_max;
        if bytes > bytes_max {
            return Err(CommandError::field(
                ErrorCode::TooLarge,
                self.path.clone(),
                format!("`{}` must be at most {bytes_max} bytes", self.path),
            ));
        }
        let field = |(name, raw): &(Cow<'_, str>, &RawValue)| {
            (Box::from(&**name), (raw.get() != "null").then(|| Json::compact(raw)))
        };
        Ok(self.members.0.iter().map(field).collect())
    }

    fn since(&self) -> Result<Since, CommandError> {
        let epoch = self.text("epoch", EPOCH_BYTES_MAX)?.ok_or_else(|| self.bad("epoch", "is missing"))?;
        let version = self.required("version", "a whole number of 0 or more")?;
        Ok(Since { epoch: epoch.into(), version: Version::new(version) })
    }

    fn window(&self) -> Result<Window, CommandError> {
        let from = self.required("from", "a whole number of 0 or more")?;
        let count = self.required("count", "a whole number of 1 or more")?;
        Window::parse(from, count, self.limits).map_err(|error| self.bad("count", error))
    }

    fn digest(&self) -> Result<Option<u32>, CommandError> {
        let Some(text) = self.text("digest", usize::MAX)? else { return Ok(None) };
        let digest = (text.len() == 8).then(|| u32::from_str_radix(&text, 16).ok()).flatten();
        digest.map(Some).ok_or_else(|| self.bad("digest", "must be eight hex digits"))
    }

    fn cursor(&self) -> Result<Option<Json>, CommandError> {
        let Some(raw) = self.members.get("cursor") else {
            // `null` hides the cursor, a message without one says nothing.
            let given = self.members.0.iter().any(|(name, _)| name == "cursor");
            return if given { Ok(None) } else { Err(self.bad("cursor", "is missing")) };
        };
        let bytes_max = self.limits.cursor_bytes_max;
        if raw.get().len() > bytes_max {
            return Err(CommandError::field(
                ErrorCode::TooLarge,
                "cursor",
                format!("`cursor` must be at most {bytes_max} bytes"),
            ));
        }
        if is_plain_cursor(raw) {
            return Ok(Some(Json::compact(raw)));
        }
        let cursor = self.object("cursor")?.ok_or_else(|| self.bad("cursor", "is missing"))?;
        for axis in ["x", "y"] {
            cursor.required::<f64>(axis, "a number")?;
        }
        cursor.value::<bool>("visible", "true or false")?;
        Ok(Some(Json::compact(raw)))
    }

    fn message_id(&self) -> Result<MessageId, CommandError> {
        self.id("id", MessageId::parse)?.ok_or_else(|| self.bad("id", "is missing"))
    }

    /// What a message is about: any JSON value, also `null`.
    fn data(&self) -> Result<Json, CommandError> {
        let given = self.members.0.iter().find(|(name, _)| name == "data");
        given.map(|(_, raw)| Json::compact(raw)).ok_or_else(|| self.bad("data", "is missing"))
    }

    fn sync_request(&self) -> Result<SyncRequest, CommandError> {
        let since = self.value("since", "a whole number")?.map(WallTime::from_unix_millis);
        let limit: Option<usize> = self.value("limit", "a whole number of 1 or more")?;
        if limit == Some(0) {
            return Err(self.bad("limit", "must be a whole number of 1 or more"));
        }
        let mut cursors = Vec::new();
        if let Some(given) = self.object("cursors")? {
            for (name, _) in &given.members.0 {
                let room = RoomId::parse(name).map_err(|error| {
                    let path = given.path_of(&name.chars().take(128).collect::<String>());
                    let message = format!("`{path}` {error}");
                    CommandError::field(ErrorCode::InvalidRoom, path, message)
                })?;
                cursors.push((room, Seq::new(given.required(name, "a whole number of 0 or more")?)));
            }
        }
        Ok(SyncRequest { since, cursors, limit })
    }

    fn id<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, crate::id::IdError>,
    ) -> Result<Option<T>, CommandError> {
        let Some(text) = self.text(name, usize::MAX)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|error| self.bad(name, error))
    }

    fn text(&self, name: &str, chars_max: usize) -> Result<Option<Cow<'a, str>>, CommandError> {
        let Some(raw) = self.members.get(name) else { return Ok(None) };
        match string(raw).map_err(|_| self.bad(name, "must be a string"))? {
            text if chars_max != usize::MAX && text.chars().count() > chars_max => {
                Err(self.bad(name, format!("must be at most {chars_max} characters")))
            }
            text => Ok(Some(text)),
        }
    }

    fn object(&self, name: &str) -> Result<Option<Object<'a>>, CommandError> {
        let Some(raw) = self.members.get(name) else { return Ok(None) };
        let members: Members<'a> =
            serde_json::from_str(raw.get()).map_err(|_| self.bad(name, "must be an object"))?;
        let object = Object { path: self.path_of(name), members, limits: self.limits };
        match object.members.duplicate() {
            Some(name) => Err(object.bad(name, "stands there twice")),
            None => Ok(Some(object)),
        }
    }

    fn required<T: Deserialize<'a>>(&self, name: &str, what: &str) -> Result<T, CommandError> {
        self.value(name, what)?.ok_or_else(|| self.bad(name, format!("is missing; it must be {what}")))
    }

    fn value<T: Deserialize<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, CommandError> {
        let Some(raw) = self.members.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| self.bad(name, format!("must be {what}")))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn bad(&self, name: &str, rule: impl Display) -> CommandError {
        let path: String = self.path_of(name).chars().take(160).collect();
        let message = format!("`{path}` {rule}");
        CommandError::field(ErrorCode::BadMessage, path, message)
    }
}
