//! `DELETE /v1/connections/{id}` and `DELETE /v1/users/{id}/sessions`: sending somebody away.

use hyper::StatusCode;
use presence_core::error::CloseReason;
use presence_core::id::{ConnectionId, UserId};
use presence_core::session::Delivery;
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Reply, schema_of};
use super::answer::{Answer, HttpError, empty, encoded};
use super::people::unknown;
use crate::auth::Auth;
use crate::connection::Connections;
use crate::shard::Shards;

pub(super) const CONNECTION: About = About {
    id: "kickConnection",
    group: Group::Administration,
    summary: "Ends a connection",
    text: "It is closed with 4503, and its session leaves its rooms at once with cause `kicked`. Nothing keeps its user \
           from connecting again.",
    query: &[],
    body: None,
    answers: &[Reply { status: 204, text: "It ends.", body: Body::Nothing }],
    refusals: &[404],
};

pub(super) const USER: About = About {
    id: "kickUser",
    group: Group::Administration,
    summary: "Ends all sessions of a user",
    text: "Connections are closed with 4503; sessions, also those that wait for their user to come back, leave their \
           rooms at once with cause `kicked`. Tokens that were made before are refused from now on, also if there was no \
           session to end.",
    query: &[],
    body: None,
    answers: &[Reply { status: 200, text: "They end.", body: Body::Json(schema_of::<Kicked>) }],
    refusals: &[404, 503],
};

/// Who was sent away.
#[derive(Serialize, ToSchema)]
struct Kicked {
    /// How many sessions.
    kicked: usize,
}

/// Ends one connection.
pub(super) fn connection(id: Option<ConnectionId>, connections: &Connections) -> Result<Answer, HttpError> {
    let found = id.and_then(|id| Some((id, connections.registry().mailbox(id)?)));
    let Some((id, mailbox)) = found else {
        let message = "there is no such connection";
        return Err(HttpError::field(StatusCode::NOT_FOUND, "not_found", "id", message));
    };
    info!(connection = %id, "connection kicked");
    mailbox.deliver(Delivery::Evict(CloseReason::Kicked));
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Ends all sessions of a user. First the user's tokens, so that nobody comes back with one in between.
pub(super) async fn user(
    id: UserId,
    auth: &Auth,
    shards: &Shards,
    connections: &Connections,
) -> Result<Answer, HttpError> {
    auth.revocations().revoke(id.clone(), connections.now().wall);
    let kicked = shards.kick(&id).await?;
    connections.people().dismiss(&id);
    match kicked {
        0 => Err(unknown()),
        kicked => {
            info!(user = %id, sessions = kicked, "user kicked");
            Ok(encoded(StatusCode::OK, &Kicked { kicked }))
        }
    }
}
