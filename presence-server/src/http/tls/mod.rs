//! TLS of the server's own, for where no proxy ends it: built in by the feature `tls`, asked for by `tls_cert_file` and
//! `tls_key_file`.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod ask;
#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod present;

use std::io;
use std::path::PathBuf;

use crate::config::{Config, ConfigError};
use crate::metrics::Metrics;

#[cfg(not(feature = "tls"))]
pub use absent::Tls;
#[cfg(not(feature = "tls"))]
pub(crate) use absent::ask;
#[cfg(feature = "tls")]
pub(crate) use ask::ask;
#[cfg(feature = "tls")]
pub use present::Tls;

/// Where certificate and key are, as the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `tls_cert_file`.
    pub cert: PathBuf,
    /// `tls_key_file`.
    pub key: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the files is set without the other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is asked for, and not built in.
    #[error("`tls_cert_file`: TLS is not built into this server: build it with `--features tls`")]
    NotBuiltIn,
    /// A file cannot be read.
    #[error("`{setting}`: cannot read {path}: {error}")]
    Read {
        /// Which setting names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file has not what it should have.
    #[error("`{setting}`: {path} has {lacks}")]
    Content {
        /// Which setting names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it has, or has not.
        lacks: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "`tls_key_file`: {} is not the key of the first certificate in {} (`tls_cert_file`)",
        files.key.display(),
        files.cert.display()
    )]
    Mismatch {
        /// Which files.
        files: TlsFiles,
    },
    /// Certificate and key are there, and can not be served with.
    #[error(
        "`tls_cert_file`: cannot serve with {} and {} (`tls_key_file`): {why}",
        files.cert.display(),
        files.key.display()
    )]
    Unusable {
        /// Which files.
        files: TlsFiles,
        /// Why not.
        why: String,
    },
}

impl Tls {
    /// The TLS that a configuration asks for, if it does.
    ///
    /// # Errors
    /// Names the setting and the file.
    pub(crate) fn of(config: &Config, metrics: &Metrics) -> Result<Option<Self>, TlsError> {
        let Some((cert, key)) = config.tls_files()? else { return Ok(None) };
        let files = TlsFiles { cert: cert.to_owned(), key: key.to_owned() };
        Self::load(files, metrics).map(Some)
    }
}
