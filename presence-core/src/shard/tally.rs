//! What a shard has done since it began, as numbers that only grow. The driver turns them into metrics.

use super::ShardOutput;
use crate::audit::{Breaches, Invariant};
use crate::error::ErrorCode;
use crate::id::RoomId;
use crate::room::{HandedOut, LeaveCause};
use crate::wire::SnapshotReason;

/// Totals of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Users who came into a room (0→1).
    pub joins: u64,
    /// Users who left a room (1→0), by [`LeaveCause`] in the order of [`LeaveCause::ALL`].
    pub leaves: [u64; LeaveCause::ALL.len()],
    /// Sessions that came back to what they had.
    pub restores: u64,
    /// Connections that lost their session to a newer one.
    pub takeovers: u64,
    /// Snapshots sent, by [`SnapshotReason`] in the order of [`SnapshotReason::ALL`].
    pub snapshots: [u64; SnapshotReason::ALL.len()],
    /// Windows sent as answers.
    pub windows: u64,
    /// Times that somebody got what it had missed instead of a snapshot.
    pub replays: u64,
    /// Times that a room handed out.
    pub hand_outs: u64,
    /// Messages that rooms said, each counted once however many listen.
    pub messages: u64,
    /// Errors answered by rooms, by [`ErrorCode`] in the order of [`ErrorCode::ALL`].
    pub errors: [u64; ErrorCode::ALL.len()],
    /// Commands of connections that no longer had their session, and changed nothing.
    pub fenced: u64,
    /// What was not as it must be, by [`Invariant`] in the order of [`Invariant::ALL`].
    pub violations: [u64; Invariant::ALL.len()],
    /// Digests that were not those of their rooms, and have been mended.
    pub drift: u64,
}

impl Tally {
    pub(super) fn refused(&mut self, code: ErrorCode) {
        self.errors[code as usize] += 1;
    }

    /// Counts what was found of a room, and gives what is to be said of it.
    pub(super) fn violated(
        &mut self,
        room: Option<&RoomId>,
        breaches: Breaches,
    ) -> impl Iterator<Item = ShardOutput> {
        breaches.of(room).map(|violation| {
            self.violations[violation.invariant as usize] += 1;
            ShardOutput::Violated(violation)
        })
    }

    pub(super) fn handed_out(&mut self, said: &HandedOut) {
        if said.presence + said.live == 0 {
            return;
        }
        self.hand_outs += 1;
        self.messages += (said.presence + said.live) as u64;
        self.joins += said.joined as u64;
        for (total, left) in self.leaves.iter_mut().zip(said.left) {
            *total += left as u64;
        }
    }
}
