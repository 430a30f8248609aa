//! What can go wrong with the file, and what follows from it.

use std::time::Duration;

use presence_core::port::store::StoreError;
use rusqlite::ErrorCode;

/// Why a call was not carried out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It asks for what can not be. Nothing has been written for it, and the others of its batch are well.
    Answer(StoreError),
    /// SQLite could not do it.
    File(rusqlite::Error),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// What an error says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no space.
    Full,
    /// It can not be written to, or not be reached.
    Unwritable,
    /// It is not what it should be.
    Damaged,
    /// Nothing; this one call was wrong.
    None,
}

impl Fault {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(error, _) = error else { return Self::None };
        match error.code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged,
            ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport => Self::Unwritable,
            _ => Self::None,
        }
    }

    /// One word, for metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unwritable => "unwritable",
            Self::Damaged => "damaged",
            Self::None => "call",
        }
    }

    /// What anybody may read; the log says more.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Full => "there is no space left for it",
            Self::Unwritable => "its file can not be written to",
            Self::Damaged => "its file is damaged, or not its own",
            Self::None => "a call failed",
        }
    }

    /// What is answered to who wanted something.
    pub(super) fn unavailable(self) -> StoreError {
        StoreError::Unavailable(self.sentence().to_owned())
    }

    /// How long to wait before the first and before any later try to go on: what is damaged is checked from end to end.
    pub(super) const fn patience(self) -> (Duration, Duration) {
        match self {
            Self::Damaged => (Duration::from_secs(2), Duration::from_secs(60)),
            Self::Full | Self::Unwritable | Self::None => {
                (Duration::from_millis(250), Duration::from_secs(4))
            }
        }
    }
}
