//! What goes wrong, by name. When, for how long and with whom is up to the seed.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Links are cut, and neither end is told.
    Drop,
    /// What clients send is lost, and what they are sent arrives.
    HalfOpenUp,
    /// The other way round.
    HalfOpenDown,
    /// Links are reset: both ends learn it.
    Reset,
    /// Links take longer, so that what is sent over several of them overtakes itself.
    Delay,
    /// Links stop one after the other in one order and go on in another (swizzle-clog).
    Swizzle,
    /// Clients do nothing: not even the wire's own answers come.
    PausedClient,
    /// Clients read a little at a time.
    SlowReader,
    /// Clients read nothing, and go on talking.
    Deaf,
    /// Clients connect, think that they have not, and connect again; both reach the server.
    Duplicate,
    /// The server does nothing, while its clocks go on.
    PausedServer,
    /// It stops in good order and hands over to the next.
    Restart,
    /// It stops in good order and hands nothing over.
    Stop,
    /// It is killed. What was written is there, synced or not.
    Kill,
    /// Its machine loses power: what was not synced is lost, some of it or all, and nobody is told that it is gone.
    PowerLoss,
    /// Its wall clock jumps forwards.
    ClockForwards,
    /// Its wall clock jumps backwards.
    ClockBackwards,
    /// Its store takes its time.
    SlowStore,
    /// Its store refuses everything.
    BrokenStore,
    /// Its shards get no time to run, and their inboxes fill up.
    Starved,
}

impl Fault {
    /// Every one.
    pub const ALL: [Fault; 20] = [
        Self::Drop,
        Self::HalfOpenUp,
        Self::HalfOpenDown,
        Self::Reset,
        Self::Delay,
        Self::Swizzle,
        Self::PausedClient,
        Self::SlowReader,
        Self::Deaf,
        Self::Duplicate,
        Self::PausedServer,
        Self::Restart,
        Self::Stop,
        Self::Kill,
        Self::PowerLoss,
        Self::ClockForwards,
        Self::ClockBackwards,
        Self::SlowStore,
        Self::BrokenStore,
        Self::Starved,
    ];

    /// Its name in traces and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop without FIN",
            Self::HalfOpenUp => "half-open (up)",
            Self::HalfOpenDown => "half-open (down)",
            Self::Reset => "reset",
            Self::Delay => "delay",
            Self::Swizzle => "swizzle-clog",
            Self::PausedClient => "paused client",
            Self::SlowReader => "slow reader",
            Self::Deaf => "deaf client",
            Self::Duplicate => "duplicate connections",
            Self::PausedServer => "paused server",
            Self::Restart => "restart with hand-over",
            Self::Stop => "restart without hand-over",
            Self::Kill => "kill",
            Self::PowerLoss => "power loss",
            Self::ClockForwards => "clock jump forwards",
            Self::ClockBackwards => "clock jump backwards",
            Self::SlowStore => "slow store",
            Self::BrokenStore => "broken store",
            Self::Starved => "starved shards",
        }
    }

    /// Whether it ends a life of the server.
    pub(super) const fn ends_life(self) -> bool {
        matches!(self, Self::Restart | Self::Stop | Self::Kill | Self::PowerLoss)
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) at: u64,
    pub(super) until: u64,
    pub(super) fault: Fault,
    /// It meets about every so many'th client.
    pub(super) spread: usize,
}
