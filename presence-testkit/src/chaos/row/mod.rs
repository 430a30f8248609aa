//! The rows of the table: one fault each.

pub mod cable;
mod clock;
mod cut;
mod descriptors;
mod disk;
mod kill;
mod latency;
mod read_only;
mod stalled;
mod stop_clients;
mod stop_server;
mod storm;
mod term;

use anyhow::Result;

use super::stage::{Given, Outcome};

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// SIGKILL of the server.
    Kill,
    /// SIGTERM of the server.
    Term,
    /// SIGSTOP of the server.
    StopServer,
    /// SIGSTOP of clients.
    StopClients,
    /// A cut without a word, both ways and one way.
    Cut,
    /// The same in a network of its own.
    Cable,
    /// Latency and jitter.
    Latency,
    /// No descriptor left.
    Descriptors,
    /// A full disk.
    Disk,
    /// A store that can only be read.
    ReadOnly,
    /// Jumps of the wall clock.
    Clock,
    /// Ten thousand come back at once.
    Storm,
    /// Readers that do not read.
    Stalled,
}

impl Row {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Term,
        Self::StopServer,
        Self::StopClients,
        Self::Cut,
        Self::Cable,
        Self::Latency,
        Self::Descriptors,
        Self::Disk,
        Self::ReadOnly,
        Self::Clock,
        Self::Storm,
        Self::Stalled,
    ];

    /// Those that are run with every check of the repository.
    pub const QUICK: [Self; 3] = [Self::Kill, Self::Cut, Self::Disk];

    /// Its name in a command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Term => "term",
            Self::StopServer => "stop-server",
            Self::StopClients => "stop-clients",
            Self::Cut => "cut",
            Self::Cable => "cable",
            Self::Latency => "latency",
            Self::Descriptors => "descriptors",
            Self::Disk => "disk",
            Self::ReadOnly => "read-only",
            Self::Clock => "clock",
            Self::Storm => "storm",
            Self::Stalled => "stalled",
        }
    }

    /// The row of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }

    /// Runs it.
    ///
    /// # Errors
    /// If it cannot be run, or its fault was not felt.
    pub async fn run(self, given: &Given) -> Result<Outcome> {
        match self {
            Self::Kill => kill::run(given).await,
            Self::Term => term::run(given).await,
            Self::StopServer => stop_server::run(given).await,
            Self::StopClients => stop_clients::run(given).await,
            Self::Cut => cut::run(given).await,
            Self::Cable => cable::run(given).await,
            Self::Latency => latency::run(given).await,
            Self::Descriptors => descriptors::run(given).await,
            Self::Disk => disk::run(given).await,
            Self::ReadOnly => read_only::run(given).await,
            Self::Clock => clock::run(given).await,
            Self::Storm => storm::run(given).await,
            Self::Stalled => stalled::run(given).await,
        }
    }
}
