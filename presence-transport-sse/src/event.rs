//! How messages look on an event stream (WHATWG HTML section 9.2.5).

use std::io::Write as _;
use std::time::Duration;

use presence_core::error::CloseReason;
use presence_core::frame::{Mark, Message};
use presence_core::id::ConnectionId;
use presence_core::wire;

/// After how long a browser comes back by itself when it has been told not to: as long as the number that browsers keep
/// can say, some 24 days. An event stream has no other way to say "don't".
const NEVER: Duration = Duration::from_millis(i32::MAX as u64);

/// Appends a message as one event.
///
/// A text is one line of JSON, in which line ends are escaped. Should one get in regardless, it must not become a field
/// of its own: it is written as the space that it means to JSON.
pub(crate) fn encode(message: &Message, out: &mut Vec<u8>) {
    match message.mark() {
        Some(Mark::Id(id)) => writeln!(out, "id: {id}").expect("a vector takes every write"),
        Some(Mark::Retry(wait)) => retry(*wait, out),
        Some(Mark::Correlation(_)) | None => {}
    }
    data(message, out);
}

/// Appends a message as one event of a stream that several connections share: it is called by the id of the one whose it
/// is. A browser must not take it for an event of its own stream, so it has nothing that a browser would keep.
pub(crate) fn encode_for(connection: ConnectionId, message: &Message, out: &mut Vec<u8>) {
    writeln!(out, "event: {connection}").expect("a vector takes every write");
    data(message, out);
}

fn data(message: &Message, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    let start = out.len();
    out.extend_from_slice(message.text());
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    out.extend_from_slice(b"\n\n");
}

/// Appends how long a browser should wait before it comes back.
pub(crate) fn retry(wait: Duration, out: &mut Vec<u8>) {
    writeln!(out, "retry: {}", wait.as_millis()).expect("a vector takes every write");
}

/// Appends the last event: why the stream ends. It has the code and the sentence that a WebSocket's close frame has.
pub(crate) fn close(reason: CloseReason, out: &mut Vec<u8>) {
    if !reason.wants_return() {
        retry(NEVER, out);
    }
    encode(&wire::close(reason), out);
}

#[cfg(test)]
mod tests {
    use presence_core::frame::EventId;
    use presence_core::id::{Epoch, Incarnation, RoomId, Version};

    use super::*;

    fn encoded(message: &Message) -> String {
        let mut out = Vec::new();
        encode(message, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_is_one_event_and_its_mark_a_field() {
        assert_eq!(encoded(&Message::new("{}")), "data: {}\n\n");
        assert_eq!(encoded(&Message::retry("{}", Duration::from_secs(2))), "retry: 2000\ndata: {}\n\n");
        let epoch = Epoch::new(Incarnation::from_random(1), 2);
        let room = RoomId::parse("a/b:c").unwrap();
        let message =
            Message::versioned("{}", EventId { room, epoch: epoch.clone(), version: Version::new(7) });
        assert_eq!(encoded(&message), format!("id: a/b:c;{epoch};7\ndata: {{}}\n\n"));
    }

    #[test]
    fn a_message_on_a_shared_stream_is_called_by_whose_it_is() {
        let mut out = Vec::new();
        encode_for(ConnectionId::from_random(7), &Message::retry("{\n}", Duration::from_secs(2)), &mut out);
        let expected = "event: 00000000000000000000000000000007\ndata: { }\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_line_end_never_begins_a_field() {
        assert_eq!(encoded(&Message::new("{}\r\nid: forged\n\n")), "data: {}  id: forged  \n\n");
    }

    #[test]
    fn who_must_not_come_back_by_itself_is_told_so_in_the_only_way_there_is() {
        let closed = |reason| {
            let mut out = Vec::new();
            close(reason, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(closed(CloseReason::Kicked).starts_with("retry: 2147483647\n"));
        assert!(closed(CloseReason::TakenOver).starts_with("retry: 2147483647\n"));
        let slow = closed(CloseReason::SlowConsumer);
        assert!(slow.starts_with(r#"data: {"type":"close","code":4000,"#), "{slow}");
    }
}
