//! `GET /sse`, and `POST` and `DELETE /sse/{connection_id}`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};
use presence_core::id::{ConnectionId, UserId};
use presence_core::port::transport::{Inlet, PostError};
use presence_core::rights::UserIds;
use presence_core::session::{OwnEntry, Proof};
use presence_core::wire::Since;
use presence_transport_sse::{SseConfig, SseTransport, accept, messages_of};

use super::{check_body, open};
use crate::config::Config;
use crate::connection::{Connections, Hello};
use crate::http::answer::{Answer, HttpError, empty, json};
use crate::http::connection::Leave;
use crate::limits::Refused;
use crate::random;

/// How long it may take until what waits has been taken in.
const UNTIL_TAKEN_IN: Duration = Duration::from_secs(1);

/// Opens an event stream, which enters the room of its URL by itself, from where `Last-Event-ID` has read it.
pub(in crate::http) fn event_stream(
    request: &Request<Incoming>,
    peer: SocketAddr,
    mut hello: Hello,
    config: &Config,
    connections: &Arc<Connections>,
) -> Result<Leave, HttpError> {
    check_body(request)?;
    let head =
        accept(request).map_err(|error| HttpError::new(error.status(), "bad_message", error.to_string()))?;
    enter(&mut hello, request.headers(), config)?;
    let config = SseConfig { message_bytes_max: config.message_bytes_max, posts_max: config.posts_max };
    open(head, connections, hello, move |socket, _| SseTransport::new(socket, peer, config))
}

/// Lets a connection enter the room of its URL by itself, if there is one.
pub(super) fn enter(hello: &mut Hello, headers: &HeaderMap, config: &Config) -> Result<(), HttpError> {
    if let Some(room) = &hello.room {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        // The id of an event of another room, or of another server, says nothing about this one.
        let since = last.and_then(Since::of_event).filter(|(of, _)| of == room).map(|(_, since)| since);
        hello.entry = OwnEntry::Enter(since);
        match &mut hello.proof {
            Proof::Word(user @ None) => *user = guest(&UserIds::named(&config.user_id_pattern)),
            // A bare `EventSource` hears of it now or never.
            Proof::Token(grant) if !grant.allows(room) => {
                let message = "your token does not let you enter this room";
                return Err(HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", message));
            }
            Proof::Word(_) | Proof::Token(_) | Proof::Awaited => {}
        }
    }
    Ok(())
}

/// Who enters a room with a stream and says nothing of itself: a bare `EventSource` can not say it later. Nobody, if
/// users here have to be called otherwise.
fn guest(user_ids: &UserIds) -> Option<UserId> {
    user_ids.parse(&format!("guest-{:016x}", random::bits64())).ok()
}

/// The way in to a stream, if whoever posts may send now. Asked before the body is read: a body for nobody is not.
pub(in crate::http) fn way_in(
    connection: &str,
    connections: &Connections,
) -> Result<Arc<dyn Inlet>, HttpError> {
    let inlet = inlet(connection, connections)?.ok_or_else(|| {
        let message = "there is no such connection; it may have ended";
        HttpError::field(StatusCode::NOT_FOUND, "not_found", "connection_id", message)
    })?;
    connections.may_post(connection).map_err(Refused::answer)?;
    Ok(inlet)
}

/// The way in to a stream; `None` if there is no such connection.
fn inlet(connection: &str, connections: &Connections) -> Result<Option<Arc<dyn Inlet>>, HttpError> {
    let id = ConnectionId::parse(connection).ok();
    let Some(inlet) = id.and_then(|id| connections.registry().inlet(id)) else { return Ok(None) };
    inlet.map(Some).ok_or_else(|| {
        let message = "this connection is no event stream: use the connection itself";
        HttpError::field(StatusCode::CONFLICT, "conflict", "connection_id", message)
    })
}

/// Ends a connection as its client does that ends its stream. What is gone already is what was asked for.
pub(in crate::http) fn end(connection: &str, connections: &Connections) -> Result<Answer, HttpError> {
    if let Some(inlet) = inlet(connection, connections)? {
        inlet.leave();
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Takes messages to a stream; what is answered comes down the stream.
pub(in crate::http) fn post(inlet: &dyn Inlet, body: &Bytes, config: &Config) -> Result<Answer, HttpError> {
    let texts = messages_of(body, config.posts_max)
        .map_err(|error| HttpError::new(StatusCode::BAD_REQUEST, "bad_json", error.to_string()))?;
    inlet.post(texts).map_err(|error| refused(&error))?;
    Ok(json(StatusCode::ACCEPTED, "{}"))
}

fn refused(error: &PostError) -> HttpError {
    let (status, code) = match error {
        PostError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        PostError::Full { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        PostError::Over => (StatusCode::CONFLICT, "conflict"),
    };
    let refused = HttpError::new(status, code, error.to_string());
    match error {
        PostError::Full { .. } => refused.retry_after(UNTIL_TAKEN_IN),
        PostError::TooLarge { .. } | PostError::Over => refused,
    }
}
