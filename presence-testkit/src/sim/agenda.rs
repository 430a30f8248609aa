//! What happens next: all that is to happen, in the order of virtual time. Of what happens at the same millisecond chance
//! decides the order, since nothing else does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::link::Way;

/// Something that is to happen. What is about a life of the server that is over does not happen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// What is on a link may have arrived.
    Arrive { link: u64, way: Way },
    /// A shard has something to do.
    Shard { life: u64, shard: usize },
    /// A connection has something to do.
    Connection { life: u64, connection: u64 },
    /// The pacemaker rings a connection.
    Pace { life: u64, connection: u64 },
    /// The hub of streams has something to do.
    Hub { life: u64 },
    /// What has been written is safe now.
    Settled { life: u64 },
    /// The hub looks what has ended.
    Tick { life: u64 },
    /// The store answers what a connection has asked.
    Errand { life: u64, number: u64 },
    /// A server that is stopping ends, and may hand over.
    Finish { life: u64, hands_over: bool },
    /// The next server starts.
    Start,
    /// A client reads what has come.
    Read { link: u64 },
    /// A client that did not say who it is when it connected says so.
    Introduce { link: u64 },
    /// A user does something in a tab.
    Act { tab: usize },
    /// A tab looks whether something is late.
    Look { tab: usize },
    /// A fault begins.
    Fault { index: usize },
    /// It is over.
    Mend { index: usize },
    /// A link that is part of a fault stops, or goes on.
    Clog { link: u64, stop: bool },
    /// Everything is compared.
    Sample,
}

/// All that is to happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u32, u64, Event)>>,
    count: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, order: u32, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((at, order, self.count, event)));
    }

    /// The next event, unless that is later than `until`.
    pub(super) fn next(&mut self, until: u64) -> Option<(u64, Event)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > until {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, _, event))| (at, event))
    }
}
