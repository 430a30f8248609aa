//! The cargo that runs this.

use std::process::Command;

/// It again, with nothing said to it yet: the one that is found by its name may be another.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
