//! Whether a user is here, and when they last were.

use crate::time::WallTime;

/// Whether a user is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Availability {
    /// At least one session is in use.
    Online,
    /// All sessions are idle.
    Away,
    /// There is no session.
    Offline,
}

impl Availability {
    /// Every one of them, for documents.
    pub const ALL: [Availability; 3] = [Self::Online, Self::Away, Self::Offline];

    /// As the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Offline => "offline",
        }
    }
}

/// How a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether they are here.
    pub availability: Availability,
    /// When they were last seen online: now for one who is connected; `None`: never.
    pub last_online: Option<WallTime>,
}
