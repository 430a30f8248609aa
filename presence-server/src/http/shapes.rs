//! The shapes of what the model itself encodes, for the OpenAPI document. The model knows no documents; that these agree
//! with what it writes is for the tests to see, which hold real answers against them.

#![expect(dead_code, reason = "nobody makes these: only their schemas are used")]

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

/// Who is in a room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct RoomPresence {
    room: String,
    /// Versions of two epochs are never compared.
    epoch: String,
    /// How many versioned events there were in this epoch.
    version: u64,
    /// What a client compares with its own, to see whether it has the same.
    #[schema(min_length = 8, max_length = 8)]
    digest: String,
    timestamp: i64,
    total_active_users: usize,
    /// Sessions of all users.
    total_connections: usize,
    /// The ids of `users`.
    active_users: Vec<String>,
    users: Vec<User>,
}

/// A user in a room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct User {
    id: String,
    name: String,
    color: String,
    #[schema(nullable = false)]
    avatar: Option<String>,
    #[schema(nullable = false)]
    email: Option<String>,
    joined_at: i64,
    last_seen: i64,
    status: Status,
    connection_count: usize,
    sessions: Vec<Session>,
}

/// A session of a user in a room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Session {
    session_id: String,
    connected_at: i64,
    active: bool,
    /// What the session says about itself, field by field.
    state: BTreeMap<String, Value>,
    /// Where it points: numbers `x` and `y`, and what its client adds; `null` while it points nowhere.
    #[schema(required)]
    cursor: Option<BTreeMap<String, Value>>,
}

/// Whether anyone is looking: `away` when every session is idle.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Status {
    Online,
    Away,
}

/// Whether a user is here: `away` when every session is idle, `offline` without one.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Availability {
    Online,
    Away,
    Offline,
}

/// How good a connection is, by its round trips and by what is heard of it.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Quality {
    Good,
    Poor,
    Disconnected,
}

/// How a user came to leave.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum LeaveCause {
    Left,
    Closed,
    Timeout,
    Kicked,
    NodeLost,
}

#[cfg(test)]
mod tests {
    use presence_core::{people, room, session};
    use utoipa::PartialSchema;

    use super::*;

    fn words<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_documents_words_are_the_models_words() {
        assert_eq!(words::<Status>(), [room::Status::Online, room::Status::Away].map(room::Status::as_str));
        assert_eq!(words::<Availability>(), people::Availability::ALL.map(people::Availability::as_str));
        assert_eq!(words::<Quality>(), session::Quality::ALL.map(session::Quality::as_str));
        assert_eq!(words::<LeaveCause>(), room::LeaveCause::ALL.map(room::LeaveCause::as_str));
    }
}
