//! `GET /debug/connections`: who is connected, and how well (O2).

use std::collections::BTreeMap;

use hyper::StatusCode;
use presence_core::id::{ConnectionId, UserId};
use presence_core::session::Quality;
use serde::Serialize;
use utoipa::ToSchema;

use super::about::{About, Body, CONNECTION_FORM, Group, Query, Reply, Takes, USER_FORM, schema_of};
use super::answer::{Answer, HttpError, encoded};
use super::query::{bad, count, parameter};
use super::shapes;
use crate::connection::Connections;
use crate::connection::status::{ConnectionStatus, ask};
use crate::shard::Shards;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

pub(super) const ABOUT: About = About {
    id: "listConnections",
    group: Group::Operations,
    summary: "Who is connected, and how well",
    text: "Each connection is asked. One that does not answer in time, since it is closing or waits for a busy server, is \
           shown as `disconnected` without what only it knows.",
    query: &[
        Query {
            name: "user",
            text: "Only connections of this user; at most 1000 are looked at.",
            takes: Takes::Form(USER_FORM),
        },
        Query {
            name: "limit",
            text: "How many at most.",
            takes: Takes::Count { min: 1, max: LIMIT_MAX, default: LIMIT },
        },
        Query {
            name: "after",
            text: "Only connections after this one: the `next` of the page before.",
            takes: Takes::Form(CONNECTION_FORM),
        },
    ],
    body: None,
    answers: &[Reply {
        status: 200,
        text: "A page of connections.",
        body: Body::Json(schema_of::<ConnectionList>),
    }],
    refusals: &[503],
};

/// A page of connections, in the order of their ids.
#[derive(Serialize, ToSchema)]
struct ConnectionList {
    connections: Vec<DebugConnection>,
    /// There are more: ask for those `after` this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A live connection.
#[derive(Serialize, ToSchema)]
struct DebugConnection {
    connection_id: String,
    /// `null` until it is known.
    #[schema(required)]
    user_id: Option<String>,
    #[schema(required)]
    session_id: Option<String>,
    transport: &'static str,
    /// When it opened.
    #[schema(required)]
    since: Option<i64>,
    /// `null` until a ping was answered.
    #[schema(required)]
    rtt_ms: Option<u64>,
    /// `null` until anything is known of it.
    #[schema(required, value_type = Option<shapes::Quality>)]
    quality: Option<&'static str>,
    rooms: Vec<String>,
    /// Frames that it has yet to read, by room, where there are any.
    #[schema(value_type = BTreeMap<String, u64>)]
    behind: BTreeMap<String, u64>,
    /// Bytes that its peer has not taken yet.
    bytes_waiting: usize,
}

impl DebugConnection {
    fn silent(id: ConnectionId, transport: &'static str) -> Self {
        Self {
            connection_id: id.to_string(),
            user_id: None,
            session_id: None,
            transport,
            since: None,
            rtt_ms: None,
            quality: Some(Quality::Disconnected.as_str()),
            rooms: Vec::new(),
            behind: BTreeMap::new(),
            bytes_waiting: 0,
        }
    }
}

impl From<ConnectionStatus> for DebugConnection {
    fn from(status: ConnectionStatus) -> Self {
        let behind = status.rooms.iter().filter_map(|(room, behind)| Some((room, (*behind)?)));
        let behind = behind.filter(|(_, behind)| *behind > 0);
        Self {
            connection_id: status.connection.to_string(),
            user_id: status.user.map(|user| user.as_str().to_owned()),
            session_id: status.session.map(|session| session.as_str().to_owned()),
            transport: status.transport,
            since: Some(status.since.as_unix_millis()),
            rtt_ms: status.rtt.map(|rtt| rtt.as_millis() as u64),
            quality: status.quality.map(Quality::as_str),
            behind: behind.map(|(room, behind)| (room.as_str().to_owned(), behind)).collect(),
            rooms: status.rooms.iter().map(|(room, _)| room.as_str().to_owned()).collect(),
            bytes_waiting: status.bytes_waiting,
        }
    }
}

/// Answers with connections.
pub(super) async fn get(
    query: Option<&str>,
    shards: &Shards,
    connections: &Connections,
) -> Result<Answer, HttpError> {
    let limit = count(query, "limit", LIMIT, LIMIT_MAX)?;
    let after = match parameter(query, "after") {
        Some(text) => Some(ConnectionId::parse(&text).map_err(|rule| bad("after", rule))?),
        None => None,
    };
    let (connections, last) = match parameter(query, "user") {
        Some(text) => {
            let user = UserId::parse(&text).map_err(|rule| bad("user", rule))?;
            let mut statuses = ask(shards.mailboxes_of(user, LIMIT_MAX).await?).await;
            statuses.retain(|status| after.is_none_or(|after| status.connection > after));
            let more = statuses.len() > limit;
            statuses.truncate(limit);
            let last = statuses.last().filter(|_| more).map(|last| last.connection);
            (statuses.into_iter().map(DebugConnection::from).collect(), last)
        }
        None => page(connections, after, limit).await,
    };
    let next = last.map(|last| last.to_string());
    Ok(encoded(StatusCode::OK, &ConnectionList { connections, next }))
}

async fn page(
    connections: &Connections,
    after: Option<ConnectionId>,
    limit: usize,
) -> (Vec<DebugConnection>, Option<ConnectionId>) {
    let mut entries = connections.registry().after(after, limit + 1);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let asked: Vec<_> = entries.iter().map(|entry| (entry.id, entry.transport)).collect();
    let answers = ask(entries.into_iter().map(|entry| entry.mailbox).collect()).await;
    let mut answers = answers.into_iter().peekable();
    let last = asked.last().filter(|_| more).map(|(id, _)| *id);
    // Both are in the order of ids; who has not answered is a gap.
    let connection = |(id, transport)| match answers.next_if(|status| status.connection == id) {
        Some(status) => DebugConnection::from(status),
        None => DebugConnection::silent(id, transport),
    };
    (asked.into_iter().map(connection).collect(), last)
}
