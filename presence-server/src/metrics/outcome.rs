//! What becomes of messages that last.

/// What became of a message that somebody sent to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is kept.
    New,
    /// It was kept before, under the same id.
    Again,
    /// Another message of its sender has its id.
    Conflict,
    /// Its sender is neither in the room nor on its roster.
    NotJoined,
    /// Too many others were before it.
    Busy,
    /// The store could not take it.
    Unavailable,
}

impl Outcome {
    /// Every outcome: one that is counted for the first time could not be seen to rise.
    pub(super) const ALL: [Self; 6] =
        [Self::New, Self::Again, Self::Conflict, Self::NotJoined, Self::Busy, Self::Unavailable];

    /// The outcome as metrics and logs write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Again => "again",
            Self::Conflict => "conflict",
            Self::NotJoined => "not_joined",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn every_outcome_is_counted_in_its_own_place() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place, "{}", outcome.as_str());
        }
    }
}
