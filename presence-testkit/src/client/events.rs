//! Reads an event stream as the standard says (WHATWG HTML section 9.2.6), written from that and not from the server's
//! encoder, so that each shows the other's mistakes.

/// A parser of events that gets its bytes in pieces.
#[derive(Debug, Default)]
pub struct Events {
    input: Vec<u8>,
}

/// A block of fields up to an empty line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The data lines, joined; `None`: the block has none, and a browser would not dispatch it.
    pub data: Option<String>,
    /// The new last event id, if the block sets one.
    pub id: Option<String>,
    /// The new reconnection time in milliseconds, if the block sets one.
    pub retry: Option<u64>,
    /// The event's type, if the block gives one.
    pub event: Option<String>,
}

impl Events {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Whether nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The next whole block. Streams of ours end lines with a line feed.
    pub fn pop(&mut self) -> Option<Event> {
        let end = self.input.windows(2).position(|pair| pair == b"\n\n")?;
        let block = String::from_utf8_lossy(&self.input[..end]).into_owned();
        self.input.drain(..end + 2);
        let mut event = Event::default();
        for line in block.split(['\n', '\r']).filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => match &mut event.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => event.data = Some(value.to_owned()),
                },
                "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
                "retry" if value.bytes().all(|digit| digit.is_ascii_digit()) => {
                    event.retry = value.parse().ok()
                }
                "event" => event.event = Some(value.to_owned()),
                // Comments begin with a colon; other fields are ignored.
                _ => {}
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_comments_and_pieces_are_read_as_the_standard_says() {
        let mut events = Events::default();
        events.push(b": hello\nretry: 10\nda");
        assert_eq!(events.pop(), None);
        events.push(b"ta: a\ndata:  b\nid: 7\n\ndata\n\n:\n\n");
        let first =
            Event { data: Some("a\n b".to_owned()), id: Some("7".to_owned()), retry: Some(10), event: None };
        assert_eq!(events.pop(), Some(first));
        assert_eq!(events.pop().unwrap().data.as_deref(), Some(""));
        assert_eq!(events.pop(), Some(Event::default()));
        assert!(events.is_empty());
    }
}
