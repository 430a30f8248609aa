//! What several fuzz targets need: bounds so small that a fuzzer comes to them, inputs cut into pieces, and a reader of
//! event streams that shares nothing with the server's writer.

use presence_core::limits::Limits;
use serde_json::Value;

/// Bounds that a few bytes come to.
pub fn small_limits() -> Limits {
    Limits {
        message_bytes_max: 4 * 1024,
        json_depth_max: 6,
        rooms_per_connection_max: 3,
        users_per_room_max: 4,
        sessions_per_user_max: 2,
        state_bytes_max: 64,
        cursor_bytes_max: 48,
        name_chars_max: 8,
        avatar_bytes_max: 32,
        watched_users_max: 3,
        feed_messages_max: 8,
        feed_bytes_max: 2 * 1024,
        mailbox_max: 16,
        live_frames_max: 2,
        abuse_max: 50,
        ..Limits::default()
    }
}

/// Whether `value` is deeper than `depth` arrays and objects within each other.
pub fn is_deeper(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth == 0 || items.iter().any(|item| is_deeper(item, depth - 1)),
        Value::Object(members) => depth == 0 || members.values().any(|member| is_deeper(member, depth - 1)),
        _ => false,
    }
}

/// Cuts `bytes` into pieces as long as the bytes of `cuts` say, over and over; without cuts it is one piece.
pub fn pieces<'a>(mut bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    if cuts.is_empty() {
        return vec![bytes];
    }
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(usize::from(*cut) + 1));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// One event, as a browser has it (WHATWG HTML section 9.2.6).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The lines of `data`.
    pub data: String,
    /// The last `id` that there was.
    pub id: String,
    /// The last `retry` that there was.
    pub retry: Option<u64>,
}

/// Reads a whole event stream by the rules for browsers.
pub fn read_events(stream: &str) -> Vec<Event> {
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data, mut id, mut retry) = (Vec::new(), None::<String>, String::new(), None);
    for line in stream.split('\n') {
        if line.is_empty() {
            if let Some(data) = data.take() {
                events.push(Event { data, id: id.clone(), retry });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" => retry = value.parse().ok().or(retry),
            _ => {}
        }
    }
    events
}
