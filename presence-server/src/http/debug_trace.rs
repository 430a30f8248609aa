//! `GET /debug/connections/{id}/trace`: what one connection receives and is sent, as it happens (O2).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use presence_core::id::ConnectionId;
use presence_core::port::transport::Sent;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tracing::{debug, info};

use super::about::{About, Body, Group, Reply};
use super::answer::HttpError;
use super::connection::Leave;
use super::socket::Socket;
use crate::connection::Connections;
use crate::connection::trace::{Line, Lines, Seen, TRACES_MAX, Told, What};
use crate::limits::AddressPlace;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// How often a quiet trace says that it is there: so is found who is not there any more.
const BEAT: Duration = Duration::from_secs(15);

/// When somebody may have stopped watching.
const UNTIL_SOMEBODY_STOPS: Duration = Duration::from_secs(5);

pub(super) const ABOUT: About = About {
    id: "traceConnection",
    group: Group::Operations,
    summary: "What one connection receives and is sent, as it happens",
    text: "An event stream with one JSON object in each event: `event` is `began`, `received`, `wire` (what comes that is \
           no message, such as the answer to a ping), `sent`, `caught_up`, `lost` or `ended`; `at` is when it happened. Of a \
           message there is its `type`, `room`, `version`, `seq`, the `code` of a refusal, and its `bytes`; never what it \
           says. `outcome` is `waiting` if the peer does not keep up. Who reads slowly loses lines, and is told how many. \
           Few connections can be traced at the same time.",
    query: &[],
    body: None,
    answers: &[Reply {
        status: 200,
        text: "The trace, until either side ends.",
        body: Body::Stream(EVENT_STREAM),
    }],
    refusals: &[404, 503],
};

/// What an event says.
#[derive(Default, Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> Event<'a> {
    fn of(told: &'a Told) -> Self {
        match told {
            Told::Line(line) => Self { at: Some(line.at.as_unix_millis()), ..Self::of_line(line) },
            Told::Lost(lines) => Self { event: "lost", lines: Some(*lines), ..Self::default() },
            Told::Ended(reason) => Self { event: "ended", reason: Some(reason), ..Self::default() },
        }
    }

    fn of_line(line: &'a Line) -> Self {
        match &line.what {
            What::Began => Self { event: "began", ..Self::default() },
            What::Received(seen) => Self { event: "received", ..Self::of_message(seen) },
            What::Wire(name) => Self { event: "wire", r#type: Some(name), ..Self::default() },
            What::Sent(seen, sent) => {
                let outcome = match sent {
                    Sent::All => "written",
                    Sent::Waiting => "waiting",
                };
                Self { event: "sent", outcome: Some(outcome), ..Self::of_message(seen) }
            }
            What::CaughtUp => Self { event: "caught_up", ..Self::default() },
        }
    }

    fn of_message(seen: &'a Seen) -> Self {
        Self {
            r#type: Some(&seen.kind),
            room: seen.room.as_ref().map(|room| room.as_str()),
            version: seen.version,
            seq: seen.seq,
            code: seen.code.as_deref(),
            bytes: Some(seen.bytes),
            ..Self::default()
        }
    }

    /// Adds it to what is to be written.
    fn put(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"data: ");
        text.extend(serde_json::to_vec(self).expect("an event has string keys and no failing parts"));
        text.extend_from_slice(b"\n\n");
    }
}

/// Opens a trace.
pub(super) fn open(
    id: Option<ConnectionId>,
    connections: &Arc<Connections>,
    place: Arc<AddressPlace>,
) -> Result<Leave, HttpError> {
    let found = id.and_then(|id| Some((id, connections.registry().mailbox(id)?)));
    let Some((id, mailbox)) = found else {
        let message = "there is no such connection";
        return Err(HttpError::field(StatusCode::NOT_FOUND, "not_found", "id", message));
    };
    let Some(lines) = connections.watch(&mailbox) else {
        let message = format!("{TRACES_MAX} connections are traced already");
        let busy = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
        return Err(busy.retry_after(UNTIL_SOMEBODY_STOPS));
    };
    info!(connection = %id, "connection traced");
    let connections = Arc::clone(connections);
    let then = move |socket, _| {
        tokio::spawn(async move {
            let _place = place;
            let ended = write(socket, lines, || connections.registry().mailbox(id).is_some()).await;
            debug!(connection = %id, error = ended.err().map(tracing::field::display), "trace ended");
        });
    };
    Ok(Leave { head: head(), then: Box::new(then) })
}

/// Its body ends with the connection.
fn head() -> Response<()> {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head
}

/// Writes until the connection ends, or the operator goes. While the operator does not read nothing else waits for
/// that: the lines are lost that do not fit.
async fn write(socket: Socket, mut lines: Lines, is_open: impl Fn() -> bool) -> io::Result<()> {
    let (mut from, mut to) = tokio::io::split(socket);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat.reset();
    loop {
        let told = tokio::select! {
            told = lines.next() => Some(told),
            gone = operator_gone(&mut from) => return gone,
            // One that ended before it could hear that it is watched will never say so.
            _ = beat.tick() => (!is_open()).then_some(Told::Ended("gone")),
        };
        let mut text = Vec::new();
        match &told {
            Some(told) => Event::of(told).put(&mut text),
            None => text.extend_from_slice(b":\n\n"),
        }
        to.write_all(&text).await?;
        to.flush().await?;
        if matches!(told, Some(Told::Ended(_))) {
            break;
        }
    }
    to.shutdown().await
}

/// Until the operator ends the stream. Nobody asks anything on a stream, so what comes is not looked at.
async fn operator_gone(from: &mut ReadHalf<Socket>) -> io::Result<()> {
    let mut ignored = [0; 64];
    while from.read(&mut ignored).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use presence_core::time::WallTime;

    use super::*;

    #[test]
    fn an_event_says_what_there_is_and_no_more() {
        let at = WallTime::from_unix_millis(7);
        let seen = Seen {
            kind: "presence:userJoined".into(),
            room: None,
            version: Some(3),
            seq: None,
            code: None,
            bytes: 12,
        };
        let line = |what| Told::Line(Line { at, what });
        for (told, expected) in [
            (line(What::Began), r#"{"event":"began","at":7}"#),
            (
                line(What::Sent(seen, Sent::Waiting)),
                r#"{"event":"sent","at":7,"type":"presence:userJoined","version":3,"bytes":12,"outcome":"waiting"}"#,
            ),
            (line(What::Wire("pong")), r#"{"event":"wire","at":7,"type":"pong"}"#),
            (Told::Lost(5), r#"{"event":"lost","lines":5}"#),
            (Told::Ended("kicked"), r#"{"event":"ended","reason":"kicked"}"#),
        ] {
            let mut text = Vec::new();
            Event::of(&told).put(&mut text);
            assert_eq!(String::from_utf8(text).unwrap(), format!("data: {expected}\n\n"));
        }
    }
}
