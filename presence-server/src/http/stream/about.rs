//! What the routes that open streams, and the one that posts to them, say about themselves.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

use crate::http::about::{
    ATTEMPT_FORM, About, Body, Group, Query, ROOM_FORM, Reply, Schemas, Takes, USER_FORM,
};

const fn query(name: &'static str, form: &'static str, text: &'static str) -> Query {
    Query { name, text, takes: Takes::Form(form) }
}

/// What a connection's URL may say.
const URL: &[Query] = &[
    query("room", ROOM_FORM, "The room that a message without `room` means; `lobby` if absent."),
    query("user_id", USER_FORM, "Who this is. Believed in dev mode only."),
    Query { name: "user_name", text: "What others read. Believed in dev mode only.", takes: Takes::Text },
    query("session_id", USER_FORM, "Which tab or device; the server chooses one if absent."),
    query(
        "attempt",
        ATTEMPT_FORM,
        "Which of this client's requests it is: an older one never takes a session from a newer.",
    ),
];

pub(in crate::http) const WEB_SOCKET: About = About {
    id: "openWebSocket",
    group: Group::Connecting,
    summary: "Opens a live connection over WebSocket",
    text: "The protocol's messages follow as text messages of one JSON object each. Without credentials in the request \
           the first message must be `auth`.",
    query: URL,
    body: None,
    answers: &[Reply { status: 101, text: "The connection is open.", body: Body::Nothing }],
    // Without the transport the address is there, and says what to build.
    refusals: if cfg!(feature = "ws") { &[426, 503] } else { &[404, 503] },
};

pub(in crate::http) const EVENT_STREAM: About = About {
    id: "openEventStream",
    group: Group::Connecting,
    summary: "Opens a live connection over Server-Sent Events",
    text: "With `room` the connection enters that room by itself. Each event is one of the protocol's messages; versioned \
           ones have an id, and `Last-Event-ID` resumes after it.",
    query: URL,
    body: None,
    answers: &[Reply {
        status: 200,
        text: "The stream is open.",
        body: Body::Stream("text/event-stream; charset=utf-8"),
    }],
    refusals: if cfg!(feature = "sse") { &[406, 503] } else { &[404, 503] },
};

pub(in crate::http) const SHARED_STREAM: About = About {
    id: "openSharedStream",
    group: Group::Connecting,
    summary: "Opens an event stream that several connections share",
    text: "It is no connection itself. Its first event names it: `{\"type\":\"shared\",\"shared_id\"}`. Every other event is \
           called by the id of the connection whose it is. It ends when nobody has been on it for `hello_ms`.",
    query: URL,
    body: None,
    answers: &[Reply {
        status: 200,
        text: "The stream is open.",
        body: Body::Stream("text/event-stream; charset=utf-8"),
    }],
    refusals: if cfg!(feature = "sse") { &[406, 503] } else { &[404, 503] },
};

pub(in crate::http) const OPEN_ON_SHARED: About = About {
    id: "openOnSharedStream",
    group: Group::Connecting,
    summary: "Opens a live connection on a shared stream",
    text: "It is a connection like any other, with credentials and a session of its own; what it would hear comes down the \
           shared stream, called by its id.",
    query: URL,
    body: None,
    #[cfg(feature = "sse")]
    answers: &[Reply {
        status: 201,
        text: "The connection is open.",
        body: Body::Json(crate::http::about::schema_of::<super::shared::Opened>),
    }],
    #[cfg(not(feature = "sse"))]
    answers: &[],
    refusals: &[404, 429, 503],
};

pub(in crate::http) const END: About = About {
    id: "endEventStream",
    group: Group::Connecting,
    summary: "Ends a connection over Server-Sent Events",
    text: "As if its client had ended its stream: its session is waited for as long as for a page that is reloaded. What \
           was posted before is taken in first.",
    query: &[],
    body: None,
    answers: &[Reply { status: 204, text: "It ends, or has ended.", body: Body::Nothing }],
    refusals: if cfg!(feature = "sse") { &[409] } else { &[404] },
};

pub(in crate::http) const POST: About = About {
    id: "postToEventStream",
    group: Group::Connecting,
    summary: "Sends messages on an event stream",
    text: "Answers come down the stream. In an array each message stands alone: a bad one gets its `error` down the \
           stream, the others go on.",
    query: &[],
    body: Some(posted),
    answers: &[Reply { status: 202, text: "The messages are taken.", body: Body::Document }],
    refusals: &[404, 408, 409, 413, 429],
};

/// One message, or an array of them.
fn posted(_: &mut Schemas) -> RefOr<Schema> {
    let message = || ObjectBuilder::new().schema_type(Type::Object).build();
    let many = ArrayBuilder::new().items(message()).min_items(Some(1));
    Schema::OneOf(OneOfBuilder::new().item(message()).item(many).build()).into()
}
