//! `GET /sse/shared` and `POST /sse/shared/{shared_id}`: event streams that several connections share.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use presence_core::frame::Message;
use presence_core::id::ConnectionId;
use presence_transport_sse::{JoinError, Shared, SharedConfig, SseConfig, accept};
use serde::Serialize;
use tracing::debug;
use utoipa::ToSchema;

use super::check_body;
use super::sse::enter;
use crate::config::Config;
use crate::connection::{Connections, Hello, Places};
use crate::http::answer::{Answer, HttpError, encoded};
use crate::http::connection::Leave;
use crate::http::socket::Socket;
use crate::limits::{Bound, Refused, UNTIL_SOMEBODY_LEAVES};
use crate::random;

/// The name of a shared stream: who knows it may open connections on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SharedId(ConnectionId);

impl fmt::Display for SharedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The shared streams of a server, by their names.
#[derive(Debug, Default)]
pub(in crate::http) struct SharedStreams(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    streams: HashMap<SharedId, Entry>,
    phase: Phase,
}

#[derive(Debug)]
struct Entry {
    stream: Arc<Shared<Socket>>,
    /// What the stream takes up of its user's, or of nobody's, before there was anybody on it: from then on those count
    /// who are.
    places: Option<Places>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Serving,
    /// Each ends with its last connection.
    Draining,
}

/// The first event of a shared stream.
#[derive(Serialize)]
struct Greeting {
    r#type: &'static str,
    shared_id: String,
}

/// A connection that was opened on a shared stream.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    /// Its events are called by this, and messages are posted to it.
    connection_id: String,
}

impl SharedStreams {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().expect("nothing panics while it holds the shared streams")
    }

    /// How many there are.
    pub(in crate::http) fn len(&self) -> usize {
        self.open().streams.len()
    }

    /// From now on each ends with its last connection.
    pub(in crate::http) fn drain(&self) {
        let mut open = self.open();
        open.phase = Phase::Draining;
        open.streams.values().for_each(|entry| entry.stream.close());
    }

    fn enter(&self, id: SharedId, stream: &Arc<Shared<Socket>>, places: Places) {
        let mut open = self.open();
        open.streams.insert(id, Entry { stream: Arc::clone(stream), places: Some(places) });
        if open.phase == Phase::Draining {
            stream.close();
        }
    }

    /// The stream of this name, for somebody who is about to be on it.
    fn take(&self, id: &str) -> Option<(Arc<Shared<Socket>>, Option<Places>)> {
        let id = SharedId(ConnectionId::parse(id).ok()?);
        let mut open = self.open();
        let entry = open.streams.get_mut(&id)?;
        Some((Arc::clone(&entry.stream), entry.places.take()))
    }
}

/// Opens a stream for connections to share. As long as nobody was on it it counts as a connection of whoever opens it, and
/// it ends when nobody has been on it for as long as a connection may say nothing about who it is.
pub(in crate::http) fn shared_stream(
    request: &Request<Incoming>,
    mut hello: Hello,
    config: &Config,
    connections: &Connections,
    streams: &Arc<SharedStreams>,
) -> Result<Leave, HttpError> {
    check_body(request)?;
    let head =
        accept(request).map_err(|error| HttpError::new(error.status(), "bad_message", error.to_string()))?;
    connections.admit(&mut hello).map_err(Refused::answer)?;
    let each = SseConfig { message_bytes_max: config.message_bytes_max, posts_max: config.posts_max };
    let config = (
        SharedConfig { each, connections_max: config.shared_connections_max },
        Duration::from_millis(config.hello_ms),
    );
    let streams = Arc::clone(streams);
    let address = hello.places.address.take();
    let then = Box::new(move |socket, _| {
        tokio::spawn(async move {
            let _address = address;
            let (config, patience) = config;
            let id = SharedId(ConnectionId::from_random(random::bits128()));
            let greeting = Greeting { r#type: "shared", shared_id: id.to_string() };
            let greeting = serde_json::to_vec(&greeting).expect("a greeting has no failing parts");
            let stream = Arc::new(Shared::new(socket, config, &Message::new(greeting)));
            streams.enter(id, &stream, hello.places);
            stream.run(patience).await;
            streams.open().streams.remove(&id);
        });
    });
    Ok(Leave { head, then })
}

/// Opens a connection on a shared stream. It is one like any other, and only comes down with others.
pub(in crate::http) fn open_on_shared(
    shared_id: &str,
    request: &Request<Incoming>,
    peer: SocketAddr,
    mut hello: Hello,
    config: &Config,
    connections: &Arc<Connections>,
    streams: &SharedStreams,
) -> Result<Answer, HttpError> {
    check_body(request)?;
    let unknown = || {
        let message = "there is no such shared stream; it may have ended";
        HttpError::field(StatusCode::NOT_FOUND, "not_found", "shared_id", message)
    };
    let (stream, places) = streams.take(shared_id).ok_or_else(unknown)?;
    drop(places);
    enter(&mut hello, request.headers(), config)?;
    connections.admit(&mut hello).map_err(Refused::answer)?;
    let connection = ConnectionId::from_random(random::bits128());
    let transport = stream.join(connection, peer).map_err(|error| match error {
        JoinError::Full { .. } => {
            let bound = Bound::SharedConnections;
            connections.refuse(Refused { bound, retry_after: UNTIL_SOMEBODY_LEAVES }).answer()
        }
        JoinError::Over => unknown(),
    })?;
    debug!(%connection, "connection on a shared stream");
    connections.open_as(connection, Box::new(transport), hello);
    Ok(encoded(StatusCode::CREATED, &Opened { connection_id: connection.to_string() }))
}
