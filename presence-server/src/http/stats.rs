//! `GET /v1/stats`: how many there are.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, Group, Reply, plain, schema_of};
use super::answer::{Answer, HttpError, encoded};
use crate::connection::Connections;
use crate::shard::Shards;

pub(super) const ABOUT: About = About {
    refusals: &[503],
    ..plain(
        "getStats",
        Group::Presence,
        "Totals of the server",
        &[Reply { status: 200, text: "How many there are now.", body: Body::Json(schema_of::<Stats>) }],
    )
};

/// Totals of the server.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// The server's version.
    version: &'static str,
    /// The protocol's version.
    protocol: u32,
    server_time: i64,
    uptime_ms: u64,
    /// Rooms with somebody in them.
    rooms: usize,
    /// Users with a session, connected or held, each counted once however many rooms they are in.
    users: usize,
    /// Sessions of all users.
    sessions: usize,
    /// Live connections, also of those who have not said yet who they are.
    connections: usize,
    /// The same by kind of transport.
    #[schema(value_type = BTreeMap<String, usize>)]
    connections_by_transport: BTreeMap<&'static str, usize>,
}

/// Answers.
pub(super) async fn get(shards: &Shards, connections: &Connections) -> Result<Answer, HttpError> {
    let headcount = shards.headcount().await?;
    let by_transport = connections.registry().counts();
    let now = connections.now();
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        protocol: presence_core::wire::PROTOCOL,
        server_time: now.wall.as_unix_millis(),
        uptime_ms: now.at.as_millis(),
        rooms: headcount.rooms,
        users: headcount.users,
        sessions: headcount.sessions,
        connections: by_transport.values().sum(),
        connections_by_transport: by_transport,
    };
    Ok(encoded(StatusCode::OK, &stats))
}
