//! Bugs that are planted on purpose, one at a time and by name, to see whether the simulator finds them. Without the feature
//! `planted`, which no server is built with, there are none: [`is`] is a constant.

/// Says each name once.
macro_rules! bugs {
    ($($(#[doc = $what:literal])* $bug:ident = $name:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $what])* $bug,)*
        }

        impl Bug {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    /// What a connection does that has lost its session to a newer one still counts.
    NoFence = "no fence",
    /// A session that is taken over stays with the connection that had it.
    KeptByOld = "a takeover keeps the old connection's seat",
    /// Of two connections the one that is heard of last has the session, though it is the older.
    LastHeardWins = "an older connection wins",
    /// Of a client's two requests for a connection the one that comes last has the session, though it is the older.
    AttemptsIgnored = "a request that was given up wins",
    /// Who closes one of two tabs leaves.
    LeaveOnTwoToOne = "leave on 2→1",
    /// Who came and went within one hand-out leaves, too.
    LeaveOfUnseen = "leave of one who was never seen",
    /// A lost connection leaves at once.
    NoGrace = "grace cut to zero",
    /// Nobody's grace ends.
    EndlessGrace = "grace without end",
    /// Grace runs out while the server stops.
    GraceWhileStopping = "grace while the server stops",
    /// Who is lost loses what they said of themselves.
    StateLost = "state of a held session lost",
    /// `null` does not remove a field.
    NullKept = "null keeps a field",
    /// To join again is an event.
    JoinAgainIsNews = "a repeated join is an event",
    /// Two events of one hand-out have the same version.
    VersionShared = "version not bumped",
    /// The last event of a hand-out is not said.
    LastEventLost = "last event of a batch lost",
    /// The digest knows users, not how many sessions they have.
    DigestWithoutCount = "digest without counts",
    /// A version is taken for what it was in another history.
    EpochIgnored = "epoch ignored",
    /// A window whose totals are the same is taken for the same.
    RowsUnseen = "rows not looked at",
    /// A replay begins one too late.
    ReplayTooLate = "replay from since + 1",
    /// A reader that fell off the ring goes on where the ring begins.
    LaggedUntold = "lagged without a snapshot",
    /// A snapshot is taken before what has happened is said.
    SnapshotTooEarly = "snapshot before the events",
    /// A room that is handed over begins at version 0 again.
    HandedOverAnew = "hand-over forgets the version",
    /// Typing does not end by itself.
    TypingForEver = "typing without end",
    /// Any sign of life counts as reading.
    LifeIsProgress = "any byte counts as progress",
    /// Only answers to pings are signs of life, and those are not seen.
    DeafToPongs = "pongs do not count",
    /// Silence is no death.
    SilenceIsLife = "silence is life",
    /// What goes again looks new.
    RedeliveryUnmarked = "redelivery without the flag",
    /// What is not acknowledged goes again for ever.
    RedeliveryForEver = "redelivery without end",
    /// An acknowledgement moves the cursor, be it back.
    CursorMovesBack = "cursor moves back",
    /// Who asks for what they do not have is sent what is new before that.
    SyncHoldsNothing = "new before old during a sync",
    /// A message is acknowledged before it is written.
    AckBeforeWrite = "ack before write",
    /// An id says nothing: what is sent again is kept again.
    NoDeduplication = "ids forgotten",
    /// Nobody hears of what their stream has dropped.
    DroppedUntold = "dropped without a word",
    /// What rooms say is written before what they have answered.
    EventsBeforeAnswers = "events before answers",
}

/// Whether this bug is planted now.
#[cfg(not(feature = "planted"))]
pub const fn is(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use planting::{is, plant};

#[cfg(feature = "planted")]
mod planting {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug, or none, for what this thread does from now on.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether this bug is planted now.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
