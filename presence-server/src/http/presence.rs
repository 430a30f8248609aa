//! `GET /v1/rooms/{room}/presence`: who is in a room, and whether that has changed.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY};
use hyper::{Response, StatusCode};
use presence_core::id::RoomId;
use presence_core::shard::RoomReading;

use super::about::{About, Body, Group, Query, Reply, Takes, schema_of};
use super::answer::{Answer, HttpError, json};
use super::packing;
use super::query::parameter;
use super::shapes::RoomPresence;
use crate::auth::Access;
use crate::shard::Shards;

pub(super) const ABOUT: About = About {
    id: "getRoomPresence",
    group: Group::Presence,
    summary: "Who is in a room",
    text: "A room with nobody in it is an empty list. An answer has an `ETag`; `If-None-Match` and `since` say what the \
           asker has. Who accepts gzip is sent a large room packed.",
    query: &[Query {
        name: "since",
        text: "What the asker has, as `epoch:version`; 304 if that is still so.",
        takes: Takes::Form("^.+:[0-9]+$"),
    }],
    body: None,
    answers: &[
        Reply { status: 200, text: "Who is in the room.", body: Body::Json(schema_of::<RoomPresence>) },
        Reply { status: 304, text: "What the asker has is still so.", body: Body::Nothing },
    ],
    refusals: &[503],
};

/// Answers, or says that nothing has changed.
pub(super) async fn get(
    room: RoomId,
    access: &Access,
    query: Option<&str>,
    headers: &HeaderMap,
    shards: &Shards,
) -> Result<Answer, HttpError> {
    if room.inbox_of().is_some() {
        let message = "this room is a user's inbox";
        return Err(HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", message));
    }
    access.may_read(&room)?;
    let known = known(query, headers)?;
    let reading = shards.read(room).await?;
    let stand = format!("{}:{}", reading.epoch, reading.version);
    let (mut answer, etag) = if known.contains(&stand) {
        let mut unchanged = Response::new(Full::new(Bytes::new()));
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        (unchanged, format!("\"{stand}\""))
    } else {
        whole(&reading, headers, &stand).await
    };
    let etag = HeaderValue::try_from(etag).expect("an epoch is hex digits");
    answer.headers_mut().insert(ETAG, etag);
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    Ok(answer)
}

/// All of it, packed for whoever accepts that, with its tag. A strong one would say that the bytes are those of the body as
/// it is (RFC 9110 section 8.8.1).
async fn whole(reading: &RoomReading, headers: &HeaderMap, stand: &str) -> (Answer, String) {
    let RoomReading { body, packed, .. } = reading;
    let small = if packing::is_accepted(headers) { packing::pack(body, packed).await } else { None };
    let Some(small) = small else { return (json(StatusCode::OK, body.clone()), format!("\"{stand}\"")) };
    let mut answer = json(StatusCode::OK, small);
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    (answer, format!("W/\"{stand}\""))
}

/// The stands `epoch:version` that the asker has: by `since` and by `If-None-Match` (RFC 9110 section 13.1.2).
fn known(query: Option<&str>, headers: &HeaderMap) -> Result<Vec<String>, HttpError> {
    let mut known = Vec::new();
    if let Some(since) = parameter(query, "since") {
        let well_formed = since.rsplit_once(':').is_some_and(|(epoch, version)| {
            !epoch.is_empty() && !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit())
        });
        if !well_formed {
            let message = "`since` must be epoch:version, as an earlier answer gave them";
            return Err(HttpError::field(StatusCode::BAD_REQUEST, "bad_message", "since", message));
        }
        known.push(since.into_owned());
    }
    for value in headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()) {
        let tags = value.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
        known.extend(tags.map(str::to_owned));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_asker_knows_comes_from_the_query_and_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, "\"a-1:7\", W/\"a-1:8\"".parse().unwrap());
        assert_eq!(known(Some("since=a-1:6"), &headers).unwrap(), ["a-1:6", "a-1:7", "a-1:8"]);
        assert_eq!(known(Some("since=7"), &HeaderMap::new()).unwrap_err().field, Some("since"));
    }
}
