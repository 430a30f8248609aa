//! The newest messages of a stream, each encoded once. Whoever reads along finds them here; whoever is further behind has to
//! ask the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Seq;
use crate::frame::Frame;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::time::Timestamp;

/// The end of a stream, shared by the hub that writes and the connections that read. Held only to copy references.
#[derive(Clone, Debug)]
pub struct Tail(Arc<Mutex<Ring>>);

/// A message on its way into a tail.
#[derive(Clone, Debug)]
pub struct TailMessage {
    /// Its place.
    pub seq: Seq,
    /// As its receivers get it.
    pub frame: Frame,
    /// The connection that it came from, which gets an ack instead.
    pub from: Option<ConnectionId>,
    /// From then on nobody gets it any more (M8).
    pub expires: Timestamp,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailReader {
    /// The connection.
    pub connection: ConnectionId,
    /// It has been told of its own messages up to here.
    pub told: Seq,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All there is up to here.
    UpTo {
        /// Read on from here.
        seq: Seq,
        /// The last of it that is not the reader's own, if any.
        foreign: Option<Seq>,
        /// Whether there is more than was asked for.
        more: bool,
    },
    /// What comes next is kept no longer: only the store has it, or knows what became of it.
    Gone,
}

#[derive(Debug)]
struct Ring {
    messages: VecDeque<TailMessage>,
    bytes: usize,
    head: Seq,
    /// Messages up to here are not in the ring.
    gone: Seq,
}

impl Tail {
    /// The tail of a stream whose newest message is `head`, with nothing in it.
    pub fn after(head: Seq) -> Self {
        Self(Arc::new(Mutex::new(Ring { messages: VecDeque::new(), bytes: 0, head, gone: head })))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().expect("nothing panics while it holds the ring")
    }

    /// The newest message.
    pub fn head(&self) -> Seq {
        self.ring().head
    }

    /// Adds a message. One that is older than the newest changes nothing; one that comes too early leaves a hole, and who
    /// has to cross it finds its messages in the store.
    pub fn append(&self, message: TailMessage, limits: &Limits) {
        let mut ring = self.ring();
        if message.seq <= ring.head {
            return;
        }
        if message.seq != ring.head.next() {
            ring.messages.clear();
            ring.bytes = 0;
            ring.gone = Seq::new(message.seq.number() - 1);
        }
        ring.head = message.seq;
        ring.bytes += message.frame.text_len();
        ring.messages.push_back(message);
        while ring.messages.len() > limits.tail_messages_max
            || (ring.bytes > limits.tail_bytes_max && ring.messages.len() > 1)
        {
            ring.forget_oldest();
        }
    }

    /// Notes that the stream is longer than this tail knows.
    pub fn advance(&self, head: Seq) {
        let mut ring = self.ring();
        if ring.head < head {
            *ring = Ring { messages: VecDeque::new(), bytes: 0, head, gone: head };
        }
    }

    /// Lets go of everything; it is in the store.
    pub fn clear(&self) {
        let mut ring = self.ring();
        *ring = Ring { messages: VecDeque::new(), bytes: 0, head: ring.head, gone: ring.head };
    }

    /// Adds to `frames` what comes after one place, and up to another, in order, until `bytes_max` is reached; but not what
    /// came from `reader` itself. Where it came to one of its own that it has not been told of, it finds no more: what is
    /// new must not come before it knows whose the place between is.
    pub fn read(
        &self,
        now: Timestamp,
        (after, to): (Seq, Seq),
        reader: TailReader,
        frames: &mut Vec<Frame>,
        bytes_max: usize,
    ) -> Found {
        let mut ring = self.ring();
        ring.expire(now);
        if after < ring.gone {
            return Found::Gone;
        }
        let (mut seq, mut foreign, mut bytes) = (after, None, 0);
        // The ring has no holes, so a place is an index.
        let start = (after.number() - ring.gone.number()) as usize;
        for message in ring.messages.iter().skip(start).take_while(|message| message.seq <= to) {
            if bytes >= bytes_max {
                return Found::UpTo { seq, foreign, more: true };
            }
            let own = message.from == Some(reader.connection);
            if own && message.seq > reader.told {
                break;
            }
            seq = message.seq;
            if !own {
                bytes += message.frame.text_len();
                frames.push(message.frame.clone());
                foreign = Some(seq);
            }
        }
        Found::UpTo { seq, foreign, more: false }
    }
}

impl Ring {
    fn expire(&mut self, now: Timestamp) {
        while self.messages.front().is_some_and(|oldest| oldest.expires <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.bytes -= oldest.frame.text_len();
            self.gone = oldest.seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::frame::Message;

    const READER: ConnectionId = ConnectionId::from_random(1);
    const OTHER: ConnectionId = ConnectionId::from_random(2);
    const NOW: Timestamp = Timestamp::from_millis(0);

    fn limits() -> Limits {
        Limits { tail_messages_max: 3, ..Limits::default() }
    }

    fn append(tail: &Tail, seq: u64, from: ConnectionId) {
        let message = TailMessage {
            seq: Seq::new(seq),
            frame: Frame::one(Message::new(format!("m{seq}"))),
            from: Some(from),
            expires: NOW + Duration::from_millis(100 + seq),
        };
        tail.append(message, &limits());
    }

    fn read(tail: &Tail, now: Timestamp, after: u64, bytes_max: usize) -> (Found, Vec<String>) {
        let mut frames = Vec::new();
        let reader = TailReader { connection: READER, told: Seq::new(8) };
        let found = tail.read(now, (Seq::new(after), Seq::LAST), reader, &mut frames, bytes_max);
        let text = |frame: &Frame| String::from_utf8(frame.messages()[0].text().to_vec()).unwrap();
        (found, frames.iter().map(text).collect())
    }

    fn up_to(seq: u64, foreign: Option<u64>, more: bool) -> Found {
        Found::UpTo { seq: Seq::new(seq), foreign: foreign.map(Seq::new), more }
    }

    #[test]
    fn a_reader_gets_what_others_sent_in_order_and_as_much_as_it_asked_for() {
        let tail = Tail::after(Seq::new(6));
        assert_eq!(read(&tail, NOW, 6, 100), (up_to(6, None, false), vec![]));
        append(&tail, 7, OTHER);
        append(&tail, 8, READER);
        append(&tail, 9, OTHER);
        assert_eq!(read(&tail, NOW, 6, 100), (up_to(9, Some(9), false), vec!["m7".into(), "m9".into()]));
        assert_eq!(read(&tail, NOW, 6, 1), (up_to(7, Some(7), true), vec!["m7".into()]));
        assert_eq!(read(&tail, NOW, 7, 1).0, up_to(9, Some(9), false));
        append(&tail, 10, READER);
        append(&tail, 11, OTHER);
        assert_eq!(read(&tail, NOW, 9, 100), (up_to(9, None, false), vec![]), "it has not been told of 10");
    }

    #[test]
    fn what_is_not_kept_is_gone_whether_too_many_too_old_or_never_there() {
        let tail = Tail::after(Seq::new(0));
        (1..=4).for_each(|seq| append(&tail, seq, OTHER));
        assert_eq!(read(&tail, NOW, 0, 100).0, Found::Gone);
        assert_eq!(read(&tail, NOW, 1, 100).1.len(), 3);
        let late = NOW + Duration::from_millis(102);
        assert_eq!(read(&tail, late, 1, 100).0, Found::Gone);
        assert_eq!(read(&tail, late, 2, 100).1, ["m3", "m4"]);
        // Somebody else wrote 5; 6 leaves a hole, and 5 comes too late to fill it.
        append(&tail, 6, OTHER);
        append(&tail, 5, OTHER);
        assert_eq!(read(&tail, NOW, 4, 100).0, Found::Gone);
        assert_eq!(read(&tail, NOW, 5, 100).1, ["m6"]);
        tail.clear();
        assert_eq!((read(&tail, NOW, 5, 100).0, tail.head()), (Found::Gone, Seq::new(6)));
        tail.advance(Seq::new(9));
        assert_eq!(read(&tail, NOW, 9, 100).0, up_to(9, None, false));
    }

    #[test]
    fn a_tail_keeps_as_many_bytes_as_it_may_and_always_the_newest() {
        let narrow = Limits { tail_bytes_max: 6, tail_messages_max: 10, ..Limits::default() };
        let tail = Tail::after(Seq::new(0));
        let append = |seq: u64, text: &str| {
            let (frame, expires) = (Frame::one(Message::new(text.to_owned())), Timestamp::from_millis(9));
            tail.append(TailMessage { seq: Seq::new(seq), frame, from: None, expires }, &narrow);
            (0..=seq).find(|after| read(&tail, NOW, *after, 100).0 != Found::Gone)
        };
        // Read from the first place after which nothing is gone.
        assert_eq!([append(1, "m1"), append(2, "m2"), append(3, "m3")], [Some(0); 3]);
        assert_eq!(append(4, "m4"), Some(1));
        assert_eq!(append(5, "larger than all may be"), Some(4));
        assert_eq!(append(6, "m6"), Some(5));
    }

    #[test]
    fn a_stream_that_is_no_longer_than_its_tail_knows_changes_nothing() {
        let tail = Tail::after(Seq::new(0));
        (1..=2).for_each(|seq| append(&tail, seq, OTHER));
        for head in [0, 1, 2] {
            tail.advance(Seq::new(head));
            assert_eq!((tail.head(), read(&tail, NOW, 0, 100).1.len()), (Seq::new(2), 2), "{head}");
        }
        tail.advance(Seq::new(3));
        assert_eq!((tail.head(), read(&tail, NOW, 2, 100).0), (Seq::new(3), Found::Gone));
    }
}
