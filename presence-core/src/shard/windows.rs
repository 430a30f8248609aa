//! Who watches which window of a room, and what the windows show. A room that nobody watches so has none of this.
//!
//! What windows show is taken from the roster at a hand-out, when it is what the room has said, and each window is
//! encoded once however many watch it. Whether its rows are different is seen by who stands in them and what was last
//! said of each: no two rosters agree in that and differ in anything that has a version.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{CommandError, ErrorCode};
use crate::frame::Frame;
use crate::id::{Generation, UserId, Version};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::room::{Member, Mode, Room};
use crate::time::Timestamp;
use crate::window::{Pane, Shown, Window, WindowReader};
use crate::wire::{self, Totals};

/// The windows of one room.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// By connection.
    watching: BTreeMap<Generation, Window>,
    /// Each with at least one who watches it.
    views: BTreeMap<Window, View>,
    /// Since when the room has said what those who watch have not been shown.
    stale: Option<Timestamp>,
    /// When they were last shown something; `None`: never.
    shown: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct View {
    watchers: usize,
    /// `None` until somebody has to be told.
    drawn: Option<Drawn>,
}

/// A window as it was at some version.
#[derive(Debug)]
struct Drawn {
    version: Version,
    /// The version that its text names: the first at which it looked like this, or one at which somebody asked.
    named: Version,
    rows: Vec<(UserId, Version)>,
    totals: Totals,
    mode: Mode,
    newest: Shown,
    /// What those who watch see; a newcomer may have been told something newer.
    pane: Pane,
}

impl Windows {
    /// Whether one more connection may watch this.
    pub(super) fn check(&self, window: Window, limits: &Limits) -> Result<(), CommandError> {
        if self.views.len() < limits.windows_per_room_max || self.views.contains_key(&window.widened()) {
            return Ok(());
        }
        let message = format!(
            "at most {} different windows of a room are watched at once",
            limits.windows_per_room_max
        );
        let refused = CommandError::field(ErrorCode::Busy, "window", message);
        Err(refused.retry_after(limits.huge_room_tick))
    }

    /// A connection watches this from now on, and nothing else.
    pub(super) fn watch(&mut self, generation: Generation, window: Window) {
        let window = window.widened();
        if self.watching.get(&generation) != Some(&window) {
            self.forget(generation);
            self.watching.insert(generation, window);
            self.views.entry(window).or_default().watchers += 1;
        }
    }

    /// A connection watches nothing any more.
    pub(super) fn forget(&mut self, generation: Generation) {
        let Some(window) = self.watching.remove(&generation) else { return };
        let Some(view) = self.views.get_mut(&window) else { return };
        view.watchers -= 1;
        if view.watchers == 0 {
            self.views.remove(&window);
        }
    }

    /// Nobody watches.
    pub(super) fn is_empty(&self) -> bool {
        self.watching.is_empty()
    }

    /// Who watches.
    pub(super) fn watchers(&self) -> impl Iterator<Item = Generation> {
        self.watching.keys().copied()
    }

    /// Notes that the room has said something, of what happened since then.
    pub(super) fn note(&mut self, since: Timestamp) {
        self.stale.get_or_insert(since);
    }

    /// When to show what is new, if anything is.
    pub(super) fn due(&self, limits: &Limits) -> Option<Timestamp> {
        self.stale.map(|since| self.shown.map_or(since, |shown| shown + limits.window_tick))
    }

    /// Shows what is new. Gives since when it waited, and whose windows look different now.
    pub(super) fn show(&mut self, now: Timestamp, line: &mut Line<'_>) -> (Timestamp, Vec<Generation>) {
        let mut different = BTreeSet::new();
        for (window, view) in &mut self.views {
            let drawn = view.draw(*window, line);
            if drawn.pane.show(&drawn.newest) {
                different.insert(*window);
            }
        }
        self.shown = Some(now);
        let watching = self.watching.iter().filter(|(_, window)| different.contains(window));
        (self.stale.take().unwrap_or(now), watching.map(|(generation, _)| *generation).collect())
    }

    /// What a connection is to be told of the window that it watches, and how it reads on from there; `None` if it watches
    /// none.
    pub(super) fn tell(&mut self, to: Generation, line: &mut Line<'_>) -> Option<(Frame, WindowReader)> {
        let window = self.watching.get(&to)?;
        let drawn = self.views.get_mut(window)?.draw(*window, line);
        drawn.name_version(*window, line);
        Some((drawn.newest.whole.clone(), drawn.pane.reader(&drawn.newest)))
    }
}

impl View {
    /// The window as it is now. Must come when the room has handed out everything.
    fn draw(&mut self, window: Window, line: &mut Line<'_>) -> &mut Drawn {
        let before = self.drawn.take();
        let drawn = match before {
            Some(drawn) if drawn.version == line.room.stand().version => drawn,
            before => Drawn::anew(before, window, line),
        };
        self.drawn.insert(drawn)
    }
}

impl Drawn {
    /// Whoever asks is told of the room as it is now, also if the window has long looked like this: they may have read a
    /// later version in another window, and no room goes back.
    fn name_version(&mut self, window: Window, line: &mut Line<'_>) {
        if self.named != self.version {
            self.named = self.version;
            (self.newest.whole, self.newest.totals) = line.texts(window);
        }
    }

    fn anew(before: Option<Self>, window: Window, line: &mut Line<'_>) -> Self {
        let (stand, totals) = (line.room.stand(), line.totals);
        let rows: Vec<_> =
            line.rows(window).iter().map(|member| (member.profile.id.clone(), member.told)).collect();
        let stamp = before.as_ref().map_or(0, |before| before.newest.stamp);
        let same = |before: &&Self| before.rows == rows || planted::is(Bug::RowsUnseen);
        let same_rows = before.as_ref().filter(same).map(|before| before.newest.rows);
        match before {
            Some(before) if same_rows.is_some() && (before.totals, before.mode) == (totals, stand.mode) => {
                Self { version: stand.version, ..before }
            }
            before => {
                let (whole, totals_only) = line.texts(window);
                let rows_since = same_rows.unwrap_or(stamp + 1);
                let newest = Shown { stamp: stamp + 1, rows: rows_since, whole, totals: totals_only };
                // Nobody has a pane yet of a window that is new, so it shows what the first are told.
                let pane = before.map_or_else(|| Pane::new(newest.clone()), |before| before.pane);
                let (version, mode) = (stand.version, stand.mode);
                Self { version, named: version, rows, totals, mode, newest, pane }
            }
        }
    }
}

/// Everybody in a room, in the order of user ids, at a hand-out. What several windows need of it is made once.
pub(super) struct Line<'a> {
    room: &'a Room,
    members: Vec<&'a Member>,
    totals: Totals,
    /// Rows that are encoded already.
    encoded: BTreeMap<usize, Vec<u8>>,
}

impl<'a> Line<'a> {
    pub(super) fn of(room: &'a Room) -> Self {
        let members: Vec<&Member> = room.members().collect();
        let sessions = members.iter().map(|member| member.sessions.len()).sum();
        let totals = Totals { users: members.len(), sessions };
        Self { room, members, totals, encoded: BTreeMap::new() }
    }

    /// Those of a window's rows that there are.
    fn rows(&self, window: Window) -> &[&'a Member] {
        let rows = window.rows();
        let end = rows.end.min(self.members.len());
        self.members.get(rows.start..end).unwrap_or_default()
    }

    /// A window with its rows, and without.
    fn texts(&mut self, window: Window) -> (Frame, Frame) {
        let bare = wire::window(self.room.stand(), window, self.totals, None::<std::iter::Empty<_>>);
        (self.whole(window), Frame::one(bare))
    }

    fn whole(&mut self, window: Window) -> Frame {
        let rows = window.rows();
        let rows = rows.start..rows.end.min(self.members.len());
        for row in rows.clone() {
            let member = self.members[row];
            self.encoded.entry(row).or_insert_with(|| wire::window_row(member));
        }
        let texts = rows.filter_map(|row| self.encoded.get(&row)).map(Vec::as_slice);
        Frame::one(wire::window(self.room.stand(), window, self.totals, Some(texts)))
    }
}
