//! The kinds of store: that each keeps the contract, that they agree with each other, and what the one in a file does
//! when its disk does not.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[cfg(feature = "sqlite")]
mod faults;
#[cfg(feature = "sqlite")]
mod file;
mod kept;
#[cfg(feature = "sqlite")]
mod model;
mod rules;
