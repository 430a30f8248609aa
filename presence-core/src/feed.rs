//! A room is a feed, a connection is a cursor: the room keeps a bounded ring of what it said, each frame encoded once,
//! and whoever listens keeps only how far it has read.
//!
//! Two lanes share one order. *Presence* is versioned and exact: who falls off its ring is told so and starts afresh.
//! *Live* (cursors, typing) is the latest of each: who falls off its ring asks for the latest of all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use crate::frame::{Frame, Message};
use crate::id::Version;
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::time::Timestamp;

/// The ring, shared by the room that writes and the connections that read. Held only to copy references, never while
/// anything is encoded or written.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Mutex<Ring>>);

/// How far one connection has read one feed.
#[derive(Clone, Debug)]
pub struct FeedReader {
    feed: Feed,
    position: u64,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// Everything there was.
    Everything,
    /// As much as was asked for; there is more.
    More,
    /// Live frames are gone that the reader has not had; the rest is there. It needs the latest of each.
    LiveGone,
    /// Versioned events are gone that the reader has not had. It needs a snapshot.
    PresenceGone,
}

/// What a feed keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Versioned messages.
    pub messages: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// How old the oldest of them is.
    pub oldest: Option<Duration>,
    /// Hand-outs of the live lane.
    pub live_frames: usize,
    /// How many read it.
    pub readers: usize,
}

#[derive(Debug)]
struct Ring {
    /// Counts appended frames of both lanes; a reader's place in their common order.
    position: u64,
    presence: VecDeque<PresenceFrame>,
    /// Positions up to this one are no longer whole in the presence lane.
    presence_gone: u64,
    /// Versions up to this one can no longer be replayed.
    version_gone: Version,
    messages: usize,
    bytes: usize,
    live: VecDeque<LiveFrame>,
    live_gone: u64,
}

#[derive(Debug)]
struct PresenceFrame {
    position: u64,
    version: Version,
    at: Timestamp,
    bytes: usize,
    frame: Frame,
}

#[derive(Debug)]
struct LiveFrame {
    position: u64,
    frame: Frame,
}

impl Feed {
    /// The feed of a room that has said nothing yet.
    pub fn new() -> Self {
        Self::after(Version::default())
    }

    /// The feed of a room that goes on with what it said before: all up to `version` is gone.
    pub fn after(version: Version) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            position: 0,
            presence: VecDeque::new(),
            presence_gone: 0,
            version_gone: version,
            messages: 0,
            bytes: 0,
            live: VecDeque::new(),
            live_gone: 0,
        })))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().expect("nothing panics while it holds the ring")
    }

    /// Adds versioned events that lead to `version`, and lets go of what the limits no longer hold. Says whether they go
    /// on where the ones before ended. Of a history with a hole nothing is told: who listens starts afresh.
    pub fn append_presence(&self, now: Timestamp, version: Version, frame: Frame, limits: &Limits) -> bool {
        let mut ring = self.ring();
        ring.position += 1;
        let first = frame.messages().first().and_then(Message::version);
        if first != Some(ring.reached().next()) {
            ring.presence.clear();
            (ring.messages, ring.bytes) = (0, 0);
            (ring.presence_gone, ring.version_gone) = (ring.position, version);
            return false;
        }
        let entry =
            PresenceFrame { position: ring.position, version, at: now, bytes: frame.text_len(), frame };
        ring.messages += entry.frame.messages().len();
        ring.bytes += entry.bytes;
        ring.presence.push_back(entry);
        ring.trim(now, limits);
        true
    }

    /// Adds a frame of the live lane.
    pub fn append_live(&self, frame: Frame, limits: &Limits) {
        let mut ring = self.ring();
        ring.position += 1;
        let position = ring.position;
        ring.live.push_back(LiveFrame { position, frame });
        while ring.live.len() > limits.live_frames_max {
            ring.live_gone = ring.live.pop_front().map_or(ring.live_gone, |gone| gone.position);
        }
    }

    /// Lets go of what has become too old. Says when to look again, if anything is left.
    pub fn forget_old(&self, now: Timestamp, limits: &Limits) -> Option<Timestamp> {
        let mut ring = self.ring();
        ring.trim(now, limits);
        if ring.presence.is_empty() {
            ring.presence.shrink_to_fit();
        }
        ring.presence.front().map(|oldest| oldest.at + limits.feed_age_max)
    }

    /// A reader that has everything up to now.
    pub fn reader(&self) -> FeedReader {
        FeedReader { feed: self.clone(), position: self.ring().position }
    }

    /// The texts of the latest events in order, as many as `bytes_max` holds.
    pub fn latest(&self, bytes_max: usize) -> Vec<Bytes> {
        let ring = self.ring();
        let newest_first = ring.presence.iter().rev().flat_map(|entry| entry.frame.messages().iter().rev());
        let mut bytes = 0;
        let mut texts: Vec<Bytes> = newest_first
            .map(|message| message.text().clone())
            .take_while(|text| {
                bytes += text.len();
                bytes <= bytes_max
            })
            .collect();
        texts.reverse();
        texts
    }

    /// What it keeps now.
    pub fn state(&self, now: Timestamp) -> FeedState {
        let ring = self.ring();
        FeedState {
            messages: ring.messages,
            bytes: ring.bytes,
            oldest: ring.presence.front().map(|oldest| now.since(oldest.at)),
            live_frames: ring.live.len(),
            // The room's own handle reads nothing.
            readers: Arc::strong_count(&self.0) - 1,
        }
    }

    /// The events after `version` in order, or `None` if some of them are gone.
    pub fn replay(&self, version: Version) -> Option<Vec<Message>> {
        let ring = self.ring();
        if version < ring.version_gone {
            return None;
        }
        let version = if planted::is(Bug::ReplayTooLate) { version.next() } else { version };
        let missed = ring.presence.iter().filter(|entry| entry.version > version);
        let messages = missed.flat_map(|entry| entry.frame.messages());
        Some(
            messages
                .filter(|message| message.version().is_some_and(|reached| reached > version))
                .cloned()
                .collect(),
        )
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

impl Ring {
    /// The version that the presence lane leads to.
    fn reached(&self) -> Version {
        self.presence.back().map_or(self.version_gone, |newest| newest.version)
    }

    fn trim(&mut self, now: Timestamp, limits: &Limits) {
        while let Some(oldest) = self.presence.front() {
            // The newest frame stays however large it is: who is up to date must be able to read it.
            let over = self.presence.len() > 1
                && (self.messages > limits.feed_messages_max || self.bytes > limits.feed_bytes_max);
            if !over && now < oldest.at + limits.feed_age_max {
                break;
            }
            let Some(gone) = self.presence.pop_front() else { break };
            self.messages -= gone.frame.messages().len();
            self.bytes -= gone.bytes;
            self.presence_gone = gone.position;
            self.version_gone = gone.version;
        }
    }
}

impl FeedReader {
    /// Adds to `frames` what this reader has not had, in order, until `bytes_max` is reached.
    pub fn gather(&mut self, frames: &mut Vec<Frame>, bytes_max: usize) -> Gathered {
        let ring = self.feed.ring();
        if self.position < ring.presence_gone && !planted::is(Bug::LaggedUntold) {
            return Gathered::PresenceGone;
        }
        let live_gone = self.position < ring.live_gone;
        let mut presence =
            ring.presence.range(after(&ring.presence, self.position, |e| e.position)..).peekable();
        let mut live = ring.live.range(after(&ring.live, self.position, |e| e.position)..).peekable();
        let mut bytes = 0;
        while bytes < bytes_max {
            let presence_first = match (presence.peek(), live.peek()) {
                (None, None) => {
                    self.position = ring.position;
                    return if live_gone { Gathered::LiveGone } else { Gathered::Everything };
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(presence), Some(live)) => presence.position < live.position,
            };
            let next = if presence_first {
                presence.next().map(|entry| (entry.position, &entry.frame))
            } else {
                live.next().map(|entry| (entry.position, &entry.frame))
            };
            let Some((position, frame)) = next else { break };
            self.position = position;
            bytes += frame.text_len();
            frames.push(frame.clone());
        }
        if live_gone { Gathered::LiveGone } else { Gathered::More }
    }

    /// Whether there is nothing that this reader has not had.
    pub fn is_up_to_date(&self) -> bool {
        self.position == self.feed.ring().position
    }

    /// How many frames it is behind.
    pub fn behind(&self) -> u64 {
        self.feed.ring().position - self.position
    }
}

/// Index of the first entry past `position`. Readers are mostly one behind, so it looks from the end.
fn after<T>(entries: &VecDeque<T>, position: u64, of: impl Fn(&T) -> u64) -> usize {
    let newer = entries.iter().rev().take(4).take_while(|entry| of(entry) > position).count();
    if newer < 4 { entries.len() - newer } else { entries.partition_point(|entry| of(entry) <= position) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::EventId;
    use crate::id::{Epoch, Incarnation, RoomId};

    fn limits() -> Limits {
        Limits { feed_messages_max: 4, live_frames_max: 2, ..Limits::default() }
    }

    fn event(version: u64) -> Frame {
        saying(version, &format!("v{version}"))
    }

    fn saying(version: u64, text: &str) -> Frame {
        let id = EventId {
            room: RoomId::lobby(),
            epoch: Epoch::new(Incarnation::from_random(1), 1),
            version: Version::new(version),
        };
        Frame::one(Message::versioned(text.to_owned(), id))
    }

    fn live(text: &str) -> Frame {
        Frame::one(Message::new(text.to_owned()))
    }

    fn append(feed: &Feed, version: u64) {
        feed.append_presence(Timestamp::default(), Version::new(version), event(version), &limits());
    }

    fn texts(frames: &[Frame]) -> Vec<String> {
        let messages = frames.iter().flat_map(Frame::messages);
        messages.map(|message| String::from_utf8(message.text().to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_reader_gets_both_lanes_in_the_order_they_were_said() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        append(&feed, 1);
        feed.append_live(live("a"), &limits());
        append(&feed, 2);
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, 1000), Gathered::Everything);
        assert_eq!(texts(&frames), ["v1", "a", "v2"]);
        assert!(reader.is_up_to_date());
        frames.clear();
        assert_eq!(reader.gather(&mut frames, 1000), Gathered::Everything);
        assert!(frames.is_empty());
    }

    #[test]
    fn who_falls_off_the_presence_ring_is_told() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        for version in 1..=5 {
            append(&feed, version);
        }
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, 1000), Gathered::PresenceGone);
        assert!(frames.is_empty());
        assert_eq!(feed.replay(Version::new(0)).map(|missed| missed.len()), None);
        assert_eq!(feed.replay(Version::new(1)).map(|missed| missed.len()), Some(4));
        assert_eq!(feed.replay(Version::new(5)).map(|missed| missed.len()), Some(0));
    }

    #[test]
    fn of_a_history_with_a_hole_nothing_is_told() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        append(&feed, 1);
        let mut up_to_date = feed.reader();
        assert!(!feed.append_presence(Timestamp::default(), Version::new(3), event(3), &limits()));
        for reader in [&mut reader, &mut up_to_date] {
            assert_eq!(reader.gather(&mut Vec::new(), 1000), Gathered::PresenceGone);
        }
        assert!(feed.replay(Version::new(1)).is_none());
        assert!(feed.append_presence(Timestamp::default(), Version::new(4), event(4), &limits()));
        assert_eq!(feed.replay(Version::new(3)).map(|missed| missed.len()), Some(1));
    }

    #[test]
    fn who_falls_off_the_live_ring_keeps_its_place_in_the_presence_lane() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        for text in ["a", "b", "c"] {
            feed.append_live(live(text), &limits());
        }
        append(&feed, 1);
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, 1000), Gathered::LiveGone);
        assert_eq!(texts(&frames), ["b", "c", "v1"]);
        frames.clear();
        assert_eq!(reader.gather(&mut frames, 1000), Gathered::Everything);
    }

    #[test]
    fn a_reader_takes_no_more_than_it_asked_for_at_once() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        for version in 1..=4 {
            append(&feed, version);
        }
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, 3), Gathered::More);
        assert_eq!(texts(&frames), ["v1", "v2"]);
        assert_eq!(reader.gather(&mut frames, 4), Gathered::More);
        assert_eq!(texts(&frames), ["v1", "v2", "v3", "v4"]);
        assert_eq!(reader.gather(&mut frames, 3), Gathered::Everything);
    }

    #[test]
    fn the_latest_events_are_a_whole_tail_of_the_history() {
        let feed = Feed::new();
        for version in 1..=3 {
            append(&feed, version);
        }
        assert_eq!(feed.latest(5), ["v2", "v3"]);
        assert_eq!(feed.latest(6), ["v1", "v2", "v3"]);
        assert!(feed.latest(1).is_empty());
    }

    #[test]
    fn age_ends_what_a_feed_keeps() {
        let feed = Feed::new();
        append(&feed, 1);
        let end = Timestamp::default() + limits().feed_age_max;
        assert_eq!(feed.forget_old(Timestamp::default(), &limits()), Some(end));
        assert_eq!(feed.forget_old(end, &limits()), None);
        assert_eq!(feed.replay(Version::new(0)).map(|missed| missed.len()), None);
    }

    #[test]
    fn a_feed_says_what_it_keeps_and_who_reads_it() {
        let feed = Feed::new();
        let at = |millis: u64| Timestamp::from_millis(millis);
        assert_eq!(feed.state(at(9)), FeedState::default());
        let readers = [feed.reader(), feed.reader()];
        for version in 1..=6 {
            feed.append_presence(at(version), Version::new(version), event(version), &limits());
        }
        feed.append_live(live("a"), &limits());
        let oldest = Some(Duration::from_millis(6));
        let state = FeedState { messages: 4, bytes: 8, oldest, live_frames: 1, readers: readers.len() };
        assert_eq!(feed.state(at(9)), state);
    }

    #[test]
    fn a_reader_knows_how_far_behind_it_is() {
        let feed = Feed::new();
        let mut reader = feed.reader();
        append(&feed, 1);
        assert_eq!((reader.behind(), reader.is_up_to_date()), (1, false));
        reader.gather(&mut Vec::new(), 1000);
        append(&feed, 2);
        feed.append_live(live("a"), &limits());
        assert_eq!((reader.behind(), reader.is_up_to_date()), (2, false));
        reader.gather(&mut Vec::new(), 1000);
        assert_eq!((reader.behind(), reader.is_up_to_date()), (0, true));
    }

    #[test]
    fn a_reader_that_is_far_behind_gets_all_of_it() {
        let feed = Feed::new();
        let wide = Limits { feed_messages_max: 100, live_frames_max: 100, ..Limits::default() };
        for (behind, first) in [(1, 1), (3, 2), (4, 5), (5, 9), (9, 14)] {
            let mut reader = feed.reader();
            for version in first..first + behind {
                feed.append_presence(Timestamp::default(), Version::new(version), event(version), &wide);
            }
            let mut frames = Vec::new();
            assert_eq!(reader.gather(&mut frames, 1000), Gathered::Everything);
            let said: Vec<String> = (first..first + behind).map(|version| format!("v{version}")).collect();
            assert_eq!(texts(&frames), said);
        }
    }

    /// P4: what was said together is replayed from where its reader is, also from its midst.
    #[test]
    fn p4_a_replay_begins_within_what_was_said_together() {
        let feed = Feed::new();
        let together: Vec<Message> = (1..=3).map(|version| event(version).messages()[0].clone()).collect();
        feed.append_presence(Timestamp::default(), Version::new(3), Frame::new(together), &limits());
        append(&feed, 4);
        for (version, missed) in [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0)] {
            assert_eq!(feed.replay(Version::new(version)).unwrap().len(), missed, "{version}");
        }
    }

    #[test]
    fn a_feed_keeps_as_many_bytes_as_it_may_and_always_the_newest() {
        let feed = Feed::new();
        let narrow = Limits { feed_bytes_max: 4, ..limits() };
        let said = |version: u64, text: &str| {
            let frame = saying(version, text);
            feed.append_presence(Timestamp::default(), Version::new(version), frame, &narrow);
            feed.state(Timestamp::default()).bytes
        };
        assert_eq!([said(1, "v1"), said(2, "v2"), said(3, "v3")], [2, 4, 4]);
        assert_eq!(said(4, "version"), 7, "it is larger than all may be, and the newest");
        assert_eq!(said(5, "v5"), 2);
        let none = Limits { feed_messages_max: 0, ..limits() };
        feed.append_presence(Timestamp::default(), Version::new(6), event(6), &none);
        assert_eq!(feed.replay(Version::new(5)).unwrap().len(), 1);
    }
}
