//! How closely a room tells what happens in it, which depends on how many are there.

use std::time::Duration;

use crate::limits::Limits;

/// Of so many parts of a bound a room has to fall one below it before it counts as smaller again, so that one which has
/// about as many users as the bound says does not go to and fro.
const MARGIN: usize = 10;

/// How closely a room tells what happens in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Within a tick.
    #[default]
    Exact,
    /// Within the tick of large rooms.
    Wide,
    /// Within the tick of huge rooms. Clients need not tell it from [`Wide`](Self::Wide).
    Widest,
}

impl Mode {
    /// Every one, for tests and documents.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Wide, Self::Widest];

    /// The word that the wire has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wide | Self::Widest => "wide",
        }
    }

    /// The shortest time between two hand-outs.
    pub const fn tick(self, limits: &Limits) -> Duration {
        match self {
            Self::Exact => limits.tick,
            Self::Wide => limits.large_room_tick,
            Self::Widest => limits.huge_room_tick,
        }
    }

    /// What it becomes when there are so many.
    #[must_use]
    pub fn with_users(self, users: usize, limits: &Limits) -> Self {
        let bound = |users_max: usize, is_above: bool| {
            if is_above { users_max - users_max / MARGIN } else { users_max }
        };
        if users > bound(limits.huge_room_users, self == Self::Widest) {
            Self::Widest
        } else if users > bound(limits.large_room_users, self != Self::Exact) {
            Self::Wide
        } else {
            Self::Exact
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_gets_wider_above_each_bound_and_closer_again_well_below_it() {
        let limits = Limits::default();
        let mut mode = Mode::default();
        let steps = [
            (1, 33),
            (1_000, 33),
            (1_001, 100),
            (1_000, 100),
            (901, 100),
            (900, 33),
            (5_000, 100),
            (5_001, 250),
            (4_501, 250),
            (4_500, 100),
            (20_000, 250),
            (0, 33),
        ];
        for (users, tick) in steps {
            mode = mode.with_users(users, &limits);
            assert_eq!(mode.tick(&limits).as_millis(), tick, "{users}");
        }
    }
}
