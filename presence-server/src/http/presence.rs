//! `GET /v1/rooms/{room}/presence`: who is in a room, and whether that has changed.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use presence_core::id::RoomId;
use presence_core::shard::RoomReading;

use super::answer::{Answer, HttpError, json};
use super::query::parameter;
use crate::auth::Access;
use crate::shard::{Busy, Shards};

/// The room's name in a path, still encoded. Room ids may contain `/`, encoded or not.
pub(super) fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/rooms/")?.strip_suffix("/presence")
}

fn parse_room(encoded: &str) -> Result<RoomId, HttpError> {
    let refused = |rule: String| {
        HttpError::field(StatusCode::BAD_REQUEST, "invalid_room", "room", format!("`room` {rule}"))
    };
    let text = percent_decode_str(encoded).decode_utf8().map_err(|_| refused("must be UTF-8".to_owned()))?;
    let room = RoomId::parse(&text).map_err(|rule| refused(rule.to_string()))?;
    match room.inbox_of() {
        Some(_) => {
            Err(HttpError::field(StatusCode::FORBIDDEN, "forbidden", "room", "this room is a user's inbox"))
        }
        None => Ok(room),
    }
}

/// Answers, or says that nothing has changed.
pub(super) async fn get(
    encoded: &str,
    access: &Access,
    query: Option<&str>,
    headers: &HeaderMap,
    shards: &Shards,
) -> Result<Answer, HttpError> {
    let room = parse_room(encoded)?;
    access.may_read(&room)?;
    let known = known(query, headers)?;
    let reading = shards
        .read(room)
        .await
        .map_err(|busy: Busy| HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", busy.to_string()))?;
    let RoomReading { epoch, version, body } = reading;
    let stand = format!("{epoch}:{version}");
    let mut answer = if known.contains(&stand) {
        let mut unchanged = Response::new(Full::new(Bytes::new()));
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        json(StatusCode::OK, body)
    };
    let etag = HeaderValue::try_from(format!("\"{stand}\"")).expect("an epoch is hex digits");
    answer.headers_mut().insert(ETAG, etag);
    Ok(answer)
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
    fn a_room_may_have_slashes_in_its_name() {
        assert_eq!(room_of("/v1/rooms/a/b/presence"), Some("a/b"));
        assert_eq!(room_of("/v1/rooms/presence/presence"), Some("presence"));
        assert_eq!(room_of("/v1/rooms/a"), None);
        assert_eq!(parse_room("a%2Fb").unwrap().as_str(), "a/b");
    }

    #[test]
    fn a_bad_room_is_an_error_that_names_it() {
        for encoded in ["", "a%20b", "%ff", "@"] {
            let error = parse_room(encoded).unwrap_err();
            assert_eq!((error.code, error.field), ("invalid_room", Some("room")), "{encoded:?}");
        }
        assert_eq!(parse_room("@bob").unwrap_err().code, "forbidden");
    }

    #[test]
    fn what_the_asker_knows_comes_from_the_query_and_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, "\"a-1:7\", W/\"a-1:8\"".parse().unwrap());
        assert_eq!(known(Some("since=a-1:6"), &headers).unwrap(), ["a-1:6", "a-1:7", "a-1:8"]);
        assert_eq!(known(Some("since=7"), &HeaderMap::new()).unwrap_err().field, Some("since"));
    }
}
