//! What must hold, named as the list of invariants names it. Checkers look while things happen, and at the end.

mod ending;
mod letters;
pub(super) mod model;
mod moments;

use std::collections::BTreeMap;

use presence_core::id::{RoomId, UserId};

/// What checkers remember.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// A wall clock has gone backwards, so times may too.
    pub(super) clock_went_back: bool,
    /// What every versioned event said, by room, epoch and version: the same to all.
    events: BTreeMap<(usize, String, u64), u64>,
    /// The digest of every snapshot, likewise.
    digests: BTreeMap<(usize, String, u64), String>,
    /// How far each receiver was in each stream, as written down.
    cursors: BTreeMap<(RoomId, UserId), u64>,
    /// Where each receiver was when that was last looked at, for as long as the hub remembers them.
    pub(super) receivers: BTreeMap<(RoomId, UserId), u64>,
    /// The newest message of each stream at the times when that changed.
    newest: BTreeMap<RoomId, Vec<(u64, u64)>>,
    /// Where rooms stood before everybody repeated themselves.
    stands: Vec<(String, u64)>,
}
