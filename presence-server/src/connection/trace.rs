//! What one connection receives and is sent, line by line, for an operator who watches it: kinds, rooms, places and
//! sizes, never what a message says. A connection that nobody watches does nothing for it.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use presence_core::frame::{Frame, Message};
use presence_core::id::RoomId;
use presence_core::port::transport::{Incoming, Sent};
use presence_core::time::WallTime;
use presence_core::wire::ClientMessage;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Connections that may be watched at the same time; one watched twice counts twice.
pub const TRACES_MAX: usize = 16;

/// Lines that wait for an operator who reads slowly; those that come then are lost, and counted.
pub const LINES_MAX: usize = 1_024;

/// A client's message whose kind is none of the protocol's. What it says instead is not shown: it may be anything.
const UNKNOWN: &str = "unknown";

/// Something that happened on a connection.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: WallTime,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// Somebody began to watch.
    Began,
    /// The client sent a message.
    Received(Seen),
    /// The wire itself brought something that is no message; this names it.
    Wire(&'static str),
    /// The client was sent a message.
    Sent(Seen, Sent),
    /// The peer has taken everything that waited.
    CaughtUp,
}

/// What is shown of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its `type`.
    pub kind: Cow<'static, str>,
    /// The room that it names.
    pub room: Option<RoomId>,
    /// The room's version that it is about.
    pub version: Option<u64>,
    /// Its place in a stream, or that which it is about.
    pub seq: Option<u64>,
    /// Why something was refused, or the connection closed.
    pub code: Option<String>,
    /// How long its text is.
    pub bytes: usize,
}

/// What an operator is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// Something that happened.
    Line(Line),
    /// So many lines came faster than they were read.
    Lost(u64),
    /// The connection has ended, for this reason. There is no more to tell.
    Ended(&'static str),
}

/// Leave to watch, of which there is not much.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Semaphore>);

/// The connection's end of a trace.
#[derive(Debug)]
pub struct Watcher {
    lines: mpsc::Sender<(u64, Line)>,
    /// How many lines there were, also those that were lost.
    count: u64,
    end: Arc<OnceLock<End>>,
}

/// The operator's end of a trace.
#[derive(Debug)]
pub struct Lines {
    lines: mpsc::Receiver<(u64, Line)>,
    /// How many have been told, or told to be lost.
    count: u64,
    /// Comes after the word of those that were lost before it.
    held: Option<Line>,
    end: Arc<OnceLock<End>>,
    _leave: OwnedSemaphorePermit,
}

/// How a connection ended.
#[derive(Debug)]
struct End {
    reason: &'static str,
    /// How many lines there were by then.
    count: u64,
}

/// Those who watch a connection. A pointer wide, since every connection has it and hardly any needs it.
#[derive(Debug, Default)]
pub(super) struct Watchers(Option<Box<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    by: Vec<Watcher>,
}

impl Traces {
    /// Leave for [`TRACES_MAX`].
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(TRACES_MAX)))
    }

    /// Both ends of a new trace, if there may be one more.
    pub fn begin(&self) -> Option<(Watcher, Lines)> {
        let leave = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let (sender, receiver) = mpsc::channel(LINES_MAX);
        let end = Arc::default();
        let watcher = Watcher { lines: sender, count: 0, end: Arc::clone(&end) };
        let lines = Lines { lines: receiver, count: 0, held: None, end, _leave: leave };
        Some((watcher, lines))
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// What to tell next. After the end there is nothing to wait for: it comes again and again. Cancel-safe.
    pub async fn next(&mut self) -> Told {
        if let Some(line) = self.held.take() {
            return Told::Line(line);
        }
        let Some((number, line)) = self.lines.recv().await else { return self.ending() };
        let lost = number - self.count;
        self.count = number + 1;
        if lost == 0 {
            return Told::Line(line);
        }
        self.held = Some(line);
        Told::Lost(lost)
    }

    /// The connection tells no more.
    fn ending(&mut self) -> Told {
        // It may have ended before it heard that somebody watches.
        let (reason, count) = self.end.get().map_or(("gone", self.count), |end| (end.reason, end.count));
        let lost = count - self.count;
        self.count = count;
        if lost > 0 { Told::Lost(lost) } else { Told::Ended(reason) }
    }
}

impl Watcher {
    /// Says whether anybody is still there.
    fn tell(&mut self, line: Line) -> bool {
        let sent = self.lines.try_send((self.count, line));
        self.count += 1;
        !matches!(sent, Err(TrySendError::Closed(_)))
    }
}

impl Watchers {
    /// One more.
    pub(super) fn add(&mut self, at: WallTime, mut watcher: Watcher) {
        let watched = self.0.get_or_insert_default();
        watched.by.retain(|watcher| !watcher.lines.is_closed());
        if watcher.tell(Line { at, what: What::Began }) {
            watched.by.push(watcher);
        }
    }

    fn tell(&mut self, at: WallTime, what: What) {
        let Some(watched) = &mut self.0 else { return };
        watched.by.retain_mut(|watcher| watcher.tell(Line { at, what: what.clone() }));
        if watched.by.is_empty() {
            self.0 = None;
        }
    }

    /// Something came.
    pub(super) fn received(&mut self, at: WallTime, incoming: &Incoming) {
        if self.0.is_none() {
            return;
        }
        let what = match incoming {
            Incoming::Text(text) => What::Received(Seen::of_client(text)),
            Incoming::Binary => What::Wire("binary"),
            Incoming::Pong => What::Wire("pong"),
            Incoming::Alive => What::Wire("alive"),
            Incoming::Control(_) => What::Wire("control"),
            Incoming::Drained => What::CaughtUp,
            Incoming::Left(_) => What::Wire("left"),
            Incoming::Partial => return,
        };
        self.tell(at, what);
    }

    /// Something was written.
    pub(super) fn sent(&mut self, at: WallTime, frames: &[Frame], sent: Sent) {
        if self.0.is_none() {
            return;
        }
        for message in frames.iter().flat_map(Frame::messages) {
            self.tell(at, What::Sent(Seen::of_server(message), sent));
        }
    }

    /// It is over.
    pub(super) fn ended(&mut self, reason: &'static str) {
        for Watcher { count, end, .. } in self.0.take().into_iter().flat_map(|watched| watched.by) {
            let _ = end.set(End { reason, count });
        }
    }
}

/// The members of a message that are shown, unread.
#[derive(Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn read(text: &'a Bytes) -> Self {
        // A text that is no message has none.
        serde_json::from_slice(text).unwrap_or_default()
    }

    fn seen(&self, kind: Cow<'static, str>, bytes: usize) -> Seen {
        let number = |raw: Option<&RawValue>| raw.and_then(|raw| raw.get().parse().ok());
        let room = self.room.and_then(|room| RoomId::parse(&text_of(room)?).ok());
        Seen { kind, room, version: number(self.version), seq: number(self.seq), code: None, bytes }
    }
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

impl Seen {
    /// Of a client's message, which may say anything anywhere: only what can be nothing else.
    fn of_client(text: &Bytes) -> Self {
        let members = Members::read(text);
        let given = members.r#type.and_then(text_of);
        let known = ClientMessage::TYPES.into_iter().find(|known| given.as_deref() == Some(*known));
        members.seen(Cow::Borrowed(known.unwrap_or(UNKNOWN)), text.len())
    }

    /// Of the server's own.
    fn of_server(message: &Message) -> Self {
        let text = message.text();
        let members = Members::read(text);
        let kind = members.r#type.and_then(text_of).map_or(Cow::Borrowed(UNKNOWN), Cow::Owned);
        let code = members.code.map(|code| code.get().trim_matches('"').to_owned());
        Self { code, ..members.seen(kind, text.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: WallTime = WallTime::from_unix_millis(7);

    fn client(text: &'static str) -> Seen {
        Seen::of_client(&Bytes::from_static(text.as_bytes()))
    }

    fn wire(name: &'static str) -> Incoming {
        if name == "pong" { Incoming::Pong } else { Incoming::Alive }
    }

    async fn told(lines: &mut Lines) -> String {
        match lines.next().await {
            Told::Line(Line { what: What::Wire(name), .. }) => name.to_owned(),
            Told::Line(Line { what: What::Began, .. }) => "began".to_owned(),
            Told::Lost(count) => format!("lost {count}"),
            Told::Ended(reason) => format!("ended {reason}"),
            other @ Told::Line(_) => format!("{other:?}"),
        }
    }

    #[test]
    fn of_a_message_its_kind_and_place_are_seen_and_nothing_that_it_says() {
        let seen = client(r#"{"type":"ack","room":"doc","seq":7,"ref":"canary","x":{"type":"canary"}}"#);
        let bytes = 72;
        let expected = Seen {
            kind: "ack".into(),
            room: Some(RoomId::parse("doc").unwrap()),
            version: None,
            seq: Some(7),
            code: None,
            bytes,
        };
        assert_eq!(seen, expected);
        for odd in [
            r#"{"type":"canary","room":"canary room","version":"canary","seq":-1,"code":"canary"}"#,
            r#"{"type":{"canary":1},"room":["canary"],"seq":1.5}"#,
            r#"{"token":"canary","client_id":"canary"}"#,
            r#"{"type":"ack","type":"canary"}"#,
            "canary",
            "[\"canary\"]",
        ] {
            let seen = client(odd);
            assert_eq!((&*seen.kind, seen.bytes), (UNKNOWN, odd.len()), "{odd}");
            assert!(!format!("{seen:?}").contains("canary"), "{seen:?}");
        }
    }

    #[test]
    fn of_what_the_server_says_the_reason_is_seen_too() {
        let error = Message::new(r#"{"type":"error","code":"forbidden","message":"x","room":"doc"}"#);
        let seen = Seen::of_server(&error);
        assert_eq!((&*seen.kind, seen.code.as_deref()), ("error", Some("forbidden")));
        let close = Message::new(r#"{"type":"close","code":4503,"reason":"x"}"#);
        assert_eq!(Seen::of_server(&close).code.as_deref(), Some("4503"));
    }

    #[tokio::test]
    async fn who_reads_slowly_loses_lines_and_is_told_how_many_and_where() {
        let (mut watchers, traces) = (Watchers::default(), Traces::new());
        let (watcher, mut lines) = traces.begin().unwrap();
        watchers.add(AT, watcher);
        for _ in 0..LINES_MAX + 4 {
            watchers.received(AT, &wire("pong"));
        }
        assert_eq!(told(&mut lines).await, "began");
        for _ in 1..LINES_MAX {
            assert_eq!(told(&mut lines).await, "pong");
        }
        watchers.received(AT, &wire("alive"));
        assert_eq!(told(&mut lines).await, "lost 5");
        assert_eq!(told(&mut lines).await, "alive");
        for _ in 0..LINES_MAX + 2 {
            watchers.received(AT, &wire("pong"));
        }
        watchers.ended("kicked");
        for _ in 0..LINES_MAX {
            assert_eq!(told(&mut lines).await, "pong");
        }
        assert_eq!(told(&mut lines).await, "lost 2");
        assert_eq!(told(&mut lines).await, "ended kicked");
    }

    #[tokio::test]
    async fn a_connection_that_nobody_watches_any_more_forgets_it() {
        let (mut watchers, traces) = (Watchers::default(), Traces::new());
        let (watcher, lines) = traces.begin().unwrap();
        watchers.add(AT, watcher);
        drop(lines);
        assert!(watchers.0.is_some());
        watchers.received(AT, &wire("pong"));
        assert!(watchers.0.is_none());
        let (watcher, mut lines) = traces.begin().unwrap();
        drop(watcher);
        assert_eq!(told(&mut lines).await, "ended gone");
    }

    #[test]
    fn there_is_leave_for_so_many_and_it_comes_back() {
        let traces = Traces::new();
        let mut all: Vec<_> = (0..TRACES_MAX).map(|_| traces.begin().unwrap()).collect();
        assert!(traces.begin().is_none());
        all.pop();
        assert!(traces.begin().is_some());
    }
}
