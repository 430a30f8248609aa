//! Structured logs. One line at `info` for each connection that opens and ends, with its connection id; one at `debug`
//! for each message and hand-out. Never a token, a query string or the body of a message.

use std::io::IsTerminal;

use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, LogFormat};

/// What is logged.
///
/// # Errors
/// If the level is not one.
pub fn filter(log_level: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::builder().parse(log_level).map_err(|error| ConfigError::Value {
        name: "log_level".to_owned(),
        error: format!("is not a level or filter: {error}"),
    })
}

/// Begins to log as configured, with the configuration. If this process logs already, it goes on as it does.
///
/// # Errors
/// If the level is not one.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter(&config.log_level)?).with_writer(std::io::stderr);
    let pretty = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    // A second server in the same process (as in tests) shares the first one's logs.
    let _ =
        if pretty { logs.with_target(false).try_init() } else { logs.json().flatten_event(true).try_init() };
    // People read what differs from the defaults; programs get it all.
    info!(version = env!("CARGO_PKG_VERSION"), settings = config.to_line(pretty), "configuration");
    Ok(())
}
