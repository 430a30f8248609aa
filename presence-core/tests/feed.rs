//! The feed against a list of all that was ever said: whoever reads, however much at a time and however late, gets what is
//! kept of it in its order, or is told which lane they fell off. A list of operations that fails is made short, and its seed
//! is kept beside this file.

use std::time::Duration;

use presence_core::feed::{Feed, FeedReader, Gathered};
use presence_core::frame::{EventId, Frame, Message};
use presence_core::id::{Epoch, Incarnation, RoomId, Version};
use presence_core::limits::Limits;
use presence_core::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const READERS_MAX: usize = 4;

fn limits() -> Limits {
    Limits {
        feed_messages_max: 6,
        feed_bytes_max: 200,
        feed_age_max: Duration::from_millis(1_000),
        live_frames_max: 3,
        ..Limits::default()
    }
}

/// Something that is done to a feed.
#[derive(Clone, Debug)]
enum Act {
    /// So many events of so many bytes in one frame.
    Say {
        events: u64,
        bytes: usize,
    },
    Live {
        bytes: usize,
    },
    Listen,
    Read {
        reader: usize,
        bytes_max: usize,
    },
    Replay {
        back: u64,
    },
    Wait {
        millis: u64,
    },
    Forget,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..4_u64, 0..90_usize).prop_map(|(events, bytes)| Act::Say { events, bytes }),
        3 => (0..60_usize).prop_map(|bytes| Act::Live { bytes }),
        1 => Just(Act::Listen),
        5 => (0..READERS_MAX, prop_oneof![Just(usize::MAX), 0..150_usize])
            .prop_map(|(reader, bytes_max)| Act::Read { reader, bytes_max }),
        1 => (0..12_u64).prop_map(|back| Act::Replay { back }),
        2 => (0..700_u64).prop_map(|millis| Act::Wait { millis }),
        1 => Just(Act::Forget),
    ]
}

#[derive(Clone, Debug)]
enum Lane {
    /// The versions of its events.
    Presence(Vec<u64>),
    Live,
}

/// A frame that was said, whether or not it is still there.
#[derive(Clone, Debug)]
struct Said {
    lane: Lane,
    at: u64,
    texts: Vec<String>,
    gone: bool,
}

impl Said {
    fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    fn is_live(&self) -> bool {
        matches!(self.lane, Lane::Live)
    }
}

/// Everything that was ever said; the place of a reader is how much of that they have had.
#[derive(Default)]
struct Model {
    said: Vec<Said>,
    version: u64,
    now: u64,
}

impl Model {
    fn presence(&self) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(|said| !said.is_live() && !said.gone)
    }

    fn trim(&mut self) {
        let limits = limits();
        loop {
            let (frames, messages, bytes) =
                self.presence().fold((0, 0, 0), |(frames, messages, bytes), said| {
                    (frames + 1, messages + said.texts.len(), bytes + said.bytes())
                });
            let over = frames > 1 && (messages > limits.feed_messages_max || bytes > limits.feed_bytes_max);
            let too_old = |said: &Said| self.now >= said.at + limits.feed_age_max.as_millis() as u64;
            let oldest = self.said.iter().position(|said| !said.is_live() && !said.gone);
            match oldest {
                Some(oldest) if over || too_old(&self.said[oldest]) => self.said[oldest].gone = true,
                _ => return,
            }
        }
    }

    fn trim_live(&mut self) {
        let live: Vec<usize> = (0..self.said.len()).filter(|at| self.said[*at].is_live()).collect();
        let surplus = live.len().saturating_sub(limits().live_frames_max);
        live[..surplus].iter().for_each(|at| self.said[*at].gone = true);
    }

    /// What a reader at `place` is to get, and where they stand then.
    fn read(&self, place: usize, bytes_max: usize) -> (Gathered, Vec<String>, usize) {
        let missed = &self.said[place..];
        if missed.iter().any(|said| said.gone && !said.is_live()) {
            return (Gathered::PresenceGone, Vec::new(), place);
        }
        let live_gone = missed.iter().any(|said| said.gone);
        let (mut texts, mut bytes, mut reached) = (Vec::new(), 0, place);
        for (at, said) in self.said.iter().enumerate().skip(place).filter(|(_, said)| !said.gone) {
            if bytes >= bytes_max {
                return (if live_gone { Gathered::LiveGone } else { Gathered::More }, texts, reached);
            }
            texts.extend(said.texts.iter().cloned());
            bytes += said.bytes();
            reached = at + 1;
        }
        match (bytes < bytes_max, live_gone) {
            // Whoever has just enough finds out that there was no more when they ask again.
            (false, false) => (Gathered::More, texts, reached),
            (false, true) => (Gathered::LiveGone, texts, reached),
            (true, false) => (Gathered::Everything, texts, self.said.len()),
            (true, true) => (Gathered::LiveGone, texts, self.said.len()),
        }
    }

    /// The events after a version, if they are all there.
    fn replay(&self, version: u64) -> Option<Vec<String>> {
        let mut missed = Vec::new();
        for said in &self.said {
            let Lane::Presence(versions) = &said.lane else { continue };
            for (text, reached) in said.texts.iter().zip(versions) {
                match (*reached > version, said.gone) {
                    (true, true) => return None,
                    (true, false) => missed.push(text.clone()),
                    (false, _) => {}
                }
            }
        }
        Some(missed)
    }
}

struct World {
    feed: Feed,
    model: Model,
    /// Readers, how much they have had, and the last version that they have read without a break.
    readers: Vec<(FeedReader, usize, u64)>,
}

impl World {
    fn new() -> Self {
        let feed = Feed::new();
        let readers = vec![(feed.reader(), 0, 0)];
        Self { feed, model: Model::default(), readers }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.model.now)
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Say { events, bytes } => self.say(events, bytes),
            Act::Live { bytes } => {
                let text = format!("live-{}{}", self.model.said.len(), "-".repeat(bytes));
                self.feed.append_live(Frame::one(Message::new(text.clone())), &limits());
                let (at, gone) = (self.model.now, false);
                self.model.said.push(Said { lane: Lane::Live, at, texts: vec![text], gone });
                self.model.trim_live();
            }
            Act::Listen if self.readers.len() < READERS_MAX => {
                self.readers.push((self.feed.reader(), self.model.said.len(), self.model.version));
            }
            Act::Listen => {}
            Act::Read { reader, bytes_max } => self.read(reader % self.readers.len(), bytes_max),
            Act::Replay { back } => {
                let version = self.model.version.saturating_sub(back);
                let replayed = self.feed.replay(Version::new(version)).map(|missed| texts(&missed));
                assert_eq!(replayed, self.model.replay(version));
            }
            Act::Wait { millis } => self.model.now += millis,
            Act::Forget => {
                let next = self.feed.forget_old(self.now(), &limits());
                self.model.trim();
                let oldest = self.model.presence().next().map(|said| Timestamp::from_millis(said.at));
                assert_eq!(next, oldest.map(|oldest| oldest + limits().feed_age_max));
            }
        }
        let state = self.feed.state(self.now());
        let kept: usize = self.model.presence().map(|said| said.texts.len()).sum();
        assert_eq!((state.messages, state.readers), (kept, self.readers.len()));
        assert!(state.live_frames <= limits().live_frames_max);
    }

    fn say(&mut self, events: u64, bytes: usize) {
        let versions: Vec<u64> = (self.model.version + 1..=self.model.version + events).collect();
        let event = |version: &u64| {
            let id = EventId {
                room: RoomId::lobby(),
                epoch: Epoch::new(Incarnation::from_random(1), 1),
                version: Version::new(*version),
            };
            Message::versioned(format!("v{version}{}", "-".repeat(bytes)), id)
        };
        let messages: Vec<Message> = versions.iter().map(event).collect();
        self.model.version += events;
        let (at, texts, version) = (self.model.now, texts(&messages), Version::new(self.model.version));
        self.feed.append_presence(self.now(), version, Frame::new(messages), &limits());
        self.model.said.push(Said { lane: Lane::Presence(versions), at, texts, gone: false });
        self.model.trim();
    }

    fn read(&mut self, reader: usize, bytes_max: usize) {
        let (reader, place, version) = &mut self.readers[reader];
        let (wanted, texts_wanted, reached) = self.model.read(*place, bytes_max);
        assert_eq!(reader.behind(), (self.model.said.len() - *place) as u64);
        let mut frames = Vec::new();
        assert_eq!(reader.gather(&mut frames, bytes_max), wanted);
        let messages: Vec<Message> = frames.iter().flat_map(Frame::messages).cloned().collect();
        assert_eq!(texts(&messages), texts_wanted);
        // P4: whatever happens on the live lane, versions have no gap.
        for reached in messages.iter().filter_map(Message::version) {
            assert_eq!(reached.number(), *version + 1);
            *version = reached.number();
        }
        *place = reached;
        if wanted == Gathered::PresenceGone {
            // As a room does with a snapshot.
            (*reader, *place, *version) = (self.feed.reader(), self.model.said.len(), self.model.version);
        }
        assert_eq!(reader.is_up_to_date(), *place == self.model.said.len());
    }
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.text()).into_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/feed.regressions"))),
        ..ProptestConfig::default()
    })]

    /// P4, X1.
    #[test]
    fn a_reader_gets_all_that_is_kept_or_is_told_what_they_missed(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
    }
}
