//! A tab: a careful client as the protocol page describes one. What it wants outlives its connections.

mod act;
mod hear;
mod keep;
mod letters;
mod watch;

pub(super) use keep::{BACKOFF, LOOK};
pub(super) use letters::{Fate, Having, Letter};

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use presence_core::attempt::Attempt;
use presence_core::id::SessionId;

use crate::inbox::Inbox;
use crate::view::View;
use crate::window::WindowView;

/// A tab of a user.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) user: usize,
    pub(super) session: SessionId,
    pub(super) phase: Phase,
    /// The link that it uses.
    pub(super) link: Option<u64>,
    /// The rooms that it has ever wanted to be in, by number.
    pub(super) rooms: BTreeMap<usize, Place>,
    /// When it last heard anything.
    heard: u64,
    refs: u64,
    asked: BTreeMap<u64, Asked>,
    pub(super) paused: bool,
    /// It needs so long for each thing that it reads.
    pub(super) slow: Option<u64>,
    /// It reads nothing.
    pub(super) deaf: bool,
    /// It opens two connections where one would do.
    pub(super) doubles: bool,
    pub(super) active: bool,
    pub(super) requests: Requests,
    /// It watches a window of each room, and does not read all of it.
    pub(super) watches: bool,
    pub(super) inbox: Inbox,
    pub(super) letters: Vec<Letter>,
    /// It has asked for what it does not have, and has not got all of that.
    syncing: Syncing,
    /// Streams that it has left on this connection, or received otherwise before: they may begin anew at any time.
    loose: BTreeSet<String>,
    pub(super) having: BTreeMap<String, Having>,
}

/// A tab's requests for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requests {
    /// It does not say which one each is.
    Alike,
    /// Its page is in this life, and has made so many.
    Numbered { life: u32, made: u32 },
}

impl Requests {
    /// Those of a tab: every third is of a client that does not number them.
    fn of(tab: usize) -> Self {
        if tab % 3 == 2 { Self::Alike } else { Self::Numbered { life: 0, made: 0 } }
    }

    /// The next one.
    fn next(&mut self) -> Option<Attempt> {
        let Self::Numbered { life, made } = self else { return None };
        *made += 1;
        NonZeroU32::new(*made).map(|number| Attempt::new(*life, number))
    }

    /// Its page is loaded anew.
    fn begin_again(&mut self) {
        if let Self::Numbered { life, made } = self {
            (*life, *made) = (*life + 1, 0);
        }
    }

    /// Whether all that it ever made have an order.
    fn are_in_order(self) -> bool {
        matches!(self, Self::Numbered { life: 0, .. })
    }
}

/// How far a tab has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has no connection, and makes one at this time.
    Away { until: u64 },
    /// It has asked for one.
    Connecting { since: u64 },
    /// It has one, and the server has not said hello.
    Open { since: u64 },
    /// The server knows who it is.
    Ready,
    /// Another connection has its session, so it does not come back by itself.
    Superseded,
    /// Its user has closed it.
    Closed,
}

/// A room, for a tab.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) wanted: bool,
    /// The server has answered on this connection that it is in.
    pub(super) confirmed: bool,
    /// It has been in since it last left: what it receives joins on to what it has.
    known: bool,
    /// When it last asked to be let in, and as what.
    asked: u64,
    reference: u64,
    pub(super) view: View,
    /// What it is shown, if it watches.
    pub(super) window: WindowView,
    /// What its state should be, as far as it was told to be.
    pub(super) marker: u64,
    /// The server had too much to do to take that in.
    unsaid: bool,
    /// When the server could last have known that it is there.
    pub(super) alive: u64,
    /// When others were last seen, as it was last told.
    pub(super) seen: BTreeMap<String, i64>,
}

/// Whether a tab knows what it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syncing {
    No,
    /// It has asked.
    Asked,
    /// It was refused, and asks again.
    Refused,
}

/// What a question was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Join(usize),
    Update(usize),
    Letter(usize),
    SyncAll,
    /// Something that must be refused.
    TooMuch,
    Other,
}

impl Place {
    /// Its page forgets what it has seen.
    fn forget(&mut self) {
        (self.view, self.window) = (View::default(), WindowView::default());
    }
}

impl Tab {
    pub(super) fn new(user: usize, number: usize, begins: u64) -> Self {
        Self {
            user,
            session: SessionId::parse(&format!("t{number}")).expect("this is an id"),
            phase: Phase::Away { until: begins },
            link: None,
            rooms: BTreeMap::new(),
            heard: 0,
            refs: 0,
            asked: BTreeMap::new(),
            paused: false,
            slow: None,
            deaf: false,
            doubles: false,
            active: true,
            requests: Requests::of(number),
            watches: false,
            inbox: Inbox::default(),
            letters: Vec::new(),
            syncing: Syncing::No,
            loose: BTreeSet::new(),
            having: BTreeMap::new(),
        }
    }

    /// Whether its user still has it open, somewhere.
    pub(super) fn lives(&self) -> bool {
        !matches!(self.phase, Phase::Superseded | Phase::Closed)
    }

    /// Its connection is not there any more, or not its own.
    fn lose(&mut self, phase: Phase) {
        (self.phase, self.link) = (phase, None);
        self.rooms.values_mut().for_each(|place| place.confirmed = false);
    }

    /// Whether something that must be refused was not answered.
    pub(super) fn waits_for_refusal(&self) -> bool {
        self.asked.values().any(|asked| *asked == Asked::TooMuch)
    }

    fn ask(&mut self, asked: Asked) -> u64 {
        self.refs += 1;
        self.asked.insert(self.refs, asked);
        self.refs
    }
}
