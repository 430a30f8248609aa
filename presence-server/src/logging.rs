//! Structured logs. One line at `info` for each connection that opens and ends, with its connection id; one at `debug`
//! for each message and hand-out. Never a token, a query string or the body of a message.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Begins to log as configured. Does nothing if this process logs already.
///
/// # Errors
/// If the level is not one.
pub fn start(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(&config.log_level)
        .map_err(|error| anyhow::anyhow!("`log_level` is not a level or filter: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let pretty = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // A second server in the same process (as in tests) shares the first one's logs.
    let _ =
        if pretty { logs.with_target(false).try_init() } else { logs.json().flatten_event(true).try_init() };
    Ok(())
}
