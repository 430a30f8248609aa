//! Who came and went, as a room has told it to those who listen: for others who want to know.

use super::LeaveCause;
use crate::id::{UserId, Version};

/// One step of a room's history that changed who is in it, with the version at which those who listen have seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Movement {
    /// There was nobody, and now there is somebody: the step of this version brings the first.
    Occupied {
        /// The version of the first who came.
        version: Version,
    },
    /// A user came (0→1 sessions).
    Joined {
        /// The version that says so.
        version: Version,
        /// Who.
        user: UserId,
    },
    /// A user went (1→0 sessions).
    Left {
        /// The version that says so.
        version: Version,
        /// Who.
        user: UserId,
        /// How.
        cause: LeaveCause,
    },
    /// There was somebody, and now there is nobody.
    Vacated {
        /// The version of the last who went.
        version: Version,
    },
}

impl Movement {
    /// The version of the event that clients got for it.
    pub const fn version(&self) -> Version {
        match self {
            Self::Occupied { version }
            | Self::Joined { version, .. }
            | Self::Left { version, .. }
            | Self::Vacated { version } => *version,
        }
    }
}

/// What came of a hand-out, between how many users were there before it and how many are there after it. Within one
/// hand-out a room may change hands without having been empty for anybody.
pub(super) fn with_edges(mut steps: Vec<Movement>, before: usize, after: usize) -> Vec<Movement> {
    match (before, after) {
        (0, 1..) => {
            if let Some(version) = steps.first().map(Movement::version) {
                steps.insert(0, Movement::Occupied { version });
            }
        }
        (1.., 0) => {
            if let Some(version) = steps.last().map(Movement::version) {
                steps.push(Movement::Vacated { version });
            }
        }
        _ => {}
    }
    steps
}
