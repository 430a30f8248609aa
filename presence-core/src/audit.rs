//! What must be true at all times and is looked at while the server runs: each check compares two things that come about
//! independently of each other, so that it can fail. Nothing of this decides anything; what is found is counted and said.

use crate::id::RoomId;

/// Something that must be true. The ids are those that the documents and the tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Joins and leaves of a user alternate. Looked at in the walk over the rooms: whom the feed has told of, by name,
    /// against who is there.
    Alternation,
    /// A user is there by sessions that are there, each once. Looked at in the walk.
    EdgeTrigger,
    /// What clients compare their view with is what they would compute from the roster. Looked at in the walk.
    Convergence,
    /// Versions have no gaps. Looked at with every hand-out, in its messages and where they join the feed.
    GapFree,
    /// Nobody is there whose time is over, or whom nothing could ever take away. Looked at in the walk.
    NoPhantom,
    /// Only the newest connection of a session counts as attached. Looked at in the walk, and when a connection goes.
    Fence,
    /// As many users have been told of as there are. Looked at with every hand-out.
    Counts,
    /// Nothing is kept for those who have gone. Looked at in the walk, and when a connection goes.
    NoResidue,
    /// What has happened is going to be said. Looked at in the walk.
    Visibility,
    /// A stream's messages have places in the order in which they were kept, and are delivered in it. Looked at with every
    /// message that is kept, and everything that a connection is sent.
    Order,
    /// What is acknowledged stays so, and was there to be acknowledged. Looked at whenever the store has noted it.
    Acknowledgement,
    /// Every message that was taken in is accounted for, once for each receiver. Looked at from time to time.
    Conservation,
    /// A stream holds no more than it may. Looked at whenever something had to go.
    Bound,
    /// A stretch of a stream is whole: each place is a message, or is said to be missing. Looked at with every read.
    Whole,
}

impl Invariant {
    /// All of them, for metrics.
    pub const ALL: [Self; 14] = [
        Self::Alternation,
        Self::EdgeTrigger,
        Self::Convergence,
        Self::GapFree,
        Self::NoPhantom,
        Self::Fence,
        Self::Counts,
        Self::NoResidue,
        Self::Visibility,
        Self::Order,
        Self::Acknowledgement,
        Self::Conservation,
        Self::Bound,
        Self::Whole,
    ];

    /// The id by which documents, metrics and logs name it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Alternation => "P1",
            Self::EdgeTrigger => "P2",
            Self::Convergence => "P3",
            Self::GapFree => "P4",
            Self::NoPhantom => "P5",
            Self::Fence => "P8",
            Self::Counts => "P11",
            Self::NoResidue => "P12",
            Self::Visibility => "L1",
            Self::Order => "M3",
            Self::Acknowledgement => "M5",
            Self::Conservation => "M6",
            Self::Bound => "M7",
            Self::Whole => "M9",
        }
    }
}

/// What a check found, before it is said of which room. It names users and numbers, never what anybody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What does not hold.
    pub invariant: Invariant,
    /// In which way.
    pub found: String,
}

/// The same, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: Invariant,
    /// In which room or stream, if it is about one.
    pub room: Option<RoomId>,
    /// In which way.
    pub found: String,
}

/// What the checks of one thing found: the first breach of each invariant, however many there are. While all is well it
/// takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaches(Vec<Breach>);

impl Breaches {
    /// Notes that something does not hold, unless it does.
    pub fn expect(&mut self, invariant: Invariant, holds: bool, found: impl FnOnce() -> String) {
        if !holds && !self.0.iter().any(|known| known.invariant == invariant) {
            self.0.push(Breach { invariant, found: found() });
        }
    }

    /// Whether everything holds.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was found, of a room. Nobody's reference is counted for nothing: mostly there is nothing.
    pub fn of(self, room: Option<&RoomId>) -> impl Iterator<Item = Violation> {
        self.0.into_iter().map(move |Breach { invariant, found }| Violation {
            invariant,
            room: room.cloned(),
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_invariant_has_its_own_id_and_its_place_in_the_list() {
        let ids: BTreeSet<&str> = Invariant::ALL.iter().map(|invariant| invariant.id()).collect();
        assert_eq!(ids.len(), Invariant::ALL.len());
        for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
            assert_eq!(invariant as usize, index);
        }
    }

    #[test]
    fn only_what_does_not_hold_is_noted_and_of_each_invariant_the_first() {
        let mut breaches = Breaches::default();
        breaches.expect(Invariant::Counts, true, || unreachable!("nothing was found"));
        assert!(breaches.is_empty());
        for found in ["first", "second"] {
            breaches.expect(Invariant::Counts, false, || found.to_owned());
        }
        let room = RoomId::lobby();
        let violations: Vec<Violation> = breaches.of(Some(&room)).collect();
        let first = Violation { invariant: Invariant::Counts, room: Some(room), found: "first".to_owned() };
        assert_eq!(violations, [first]);
    }
}
