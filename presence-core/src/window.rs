//! Windows: ranges of a large room's roster, sorted by user id, for those who look at a part of it and want to know how
//! many there are in all.
//!
//! What a window shows stands in a *pane* that all share who watch it: always the newest, encoded once. Whoever reads
//! slowly finds the newest when it looks and has missed nothing that still matters; nothing waits for it.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::feed::{FeedReader, Gathered};
use crate::frame::Frame;
use crate::limits::Limits;

/// Windows begin and end at multiples of so many rows, so that those who look at about the same place share one.
pub const WINDOW_STEP: usize = 20;

/// Rows of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    from: u32,
    count: NonZeroU32,
}

/// Why rows are not a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {rows_max}")]
pub struct WindowError {
    rows_max: usize,
}

impl Window {
    /// `count` rows from `from` on. A place that no room has is the last that one could have.
    ///
    /// # Errors
    /// If `count` is 0, or more than may be asked for.
    pub fn parse(from: u64, count: u64, limits: &Limits) -> Result<Self, WindowError> {
        let rows_max = limits.window_rows_max;
        let count = usize::try_from(count).ok().filter(|count| (1..=rows_max).contains(count));
        let count = count.ok_or(WindowError { rows_max })?;
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(limits.users_per_room_max);
        Ok(Self::of(from..from + count))
    }

    fn of(rows: Range<usize>) -> Self {
        let narrow = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
        let count = NonZeroU32::new(narrow(rows.len())).unwrap_or(NonZeroU32::MIN);
        Self { from: narrow(rows.start), count }
    }

    /// The same and what of the first and the last step is beside it: what is shown to one who asks for this.
    #[must_use]
    pub fn widened(self) -> Self {
        let Range { start, end } = self.rows();
        Self::of(start - start % WINDOW_STEP..end.next_multiple_of(WINDOW_STEP))
    }

    /// Its rows, counted from 0. A room may have fewer.
    pub const fn rows(self) -> Range<usize> {
        self.from as usize..self.from as usize + self.count.get() as usize
    }
}

/// What a window shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Grows with everything that is different from before.
    pub stamp: u64,
    /// The stamp at which the rows were last different.
    pub rows: u64,
    /// Rows and totals.
    pub whole: Frame,
    /// The totals alone, for one who has the rows.
    pub totals: Frame,
}

/// The newest that a window shows, shared by the room that writes it and the connections that read it. Held only to copy
/// references.
#[derive(Clone, Debug)]
pub struct Pane(Arc<Mutex<Shown>>);

impl Pane {
    /// A pane that shows this.
    pub fn new(shown: Shown) -> Self {
        Self(Arc::new(Mutex::new(shown)))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().expect("nothing panics while it holds a pane")
    }

    /// Shows this from now on. Says whether it is different from before.
    pub fn show(&self, newest: &Shown) -> bool {
        let mut shown = self.shown();
        let is_news = newest.stamp > shown.stamp;
        if is_news {
            *shown = newest.clone();
        }
        is_news
    }

    /// A reader that has this already.
    pub fn reader(&self, had: &Shown) -> WindowReader {
        WindowReader { pane: self.clone(), stamp: had.stamp, rows: had.rows }
    }
}

/// What one connection has seen of a window.
#[derive(Clone, Debug)]
pub struct WindowReader {
    pane: Pane,
    stamp: u64,
    rows: u64,
}

impl WindowReader {
    /// Adds the newest to `frames`, if this reader has not had it.
    pub fn gather(&mut self, frames: &mut Vec<Frame>) {
        let shown = self.pane.shown();
        if shown.stamp > self.stamp {
            let has_rows = shown.rows <= self.rows;
            frames.push(if has_rows { shown.totals.clone() } else { shown.whole.clone() });
            (self.stamp, self.rows) = (shown.stamp, shown.rows.max(self.rows));
        }
    }

    /// Whether the newest is something that this reader has not had.
    pub fn is_behind(&self) -> bool {
        self.pane.shown().stamp > self.stamp
    }
}

/// How a connection reads a room.
#[derive(Clone, Debug)]
pub enum RoomReader {
    /// Everything that it says.
    Feed(FeedReader),
    /// What a window shows. Boxed: most read the feed, and each connection keeps room for its reader.
    Window(Box<WindowReader>),
}

impl RoomReader {
    /// Adds to `frames` what this reader has not had, until `bytes_max` is reached.
    pub fn gather(&mut self, frames: &mut Vec<Frame>, bytes_max: usize) -> Gathered {
        match self {
            Self::Feed(reader) => reader.gather(frames, bytes_max),
            Self::Window(reader) => {
                reader.gather(frames);
                Gathered::Everything
            }
        }
    }

    /// How many frames it is behind.
    pub fn behind(&self) -> u64 {
        match self {
            Self::Feed(reader) => reader.behind(),
            Self::Window(reader) => u64::from(reader.is_behind()),
        }
    }
}
