//! Reads the configuration: one table, filled from the file, then the environment, then the flags; deserialized once,
//! so that a mistake sounds the same wherever it was made.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::{Table, Value};

use super::flags::{Task, command};
use super::{Config, reference};

/// What begins every environment variable of ours.
const PREFIX: &str = "PRESENCE_";

/// The variable that names the file.
const CONFIG_VARIABLE: &str = "PRESENCE_CONFIG";

/// What somebody asked for on the command line.
#[derive(Debug)]
pub enum Asked {
    /// To do something with this configuration.
    Do(Task, Box<Config>),
    /// To be told something, and no more: help, the version.
    Told(String),
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A flag that is none, or has no value.
    #[error("{0}")]
    Flags(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: line {line}: {error}")]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Where in it. The line itself is not shown: it may hold a secret.
        line: usize,
        /// Why not.
        error: String,
    },
    /// A setting that does not exist.
    #[error("there is no setting `{name}`{hint}")]
    Unknown {
        /// As it was written.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// A setting with a value that it cannot have.
    #[error("`{name}`: {error}")]
    Value {
        /// Which setting.
        name: String,
        /// Why not.
        error: String,
    },
    /// Settings that contradict each other.
    #[error(transparent)]
    Limits(#[from] presence_core::limits::LimitsError),
    /// An address that others can reach, without a way to know who they are.
    #[error(
        "`listen` is {listen}, which others can reach, but nobody would have to prove who they are: set `token_secret` \
         (PRESENCE_TOKEN_SECRET) or `token_key_files`, so that tokens are asked for, or listen on a loopback address such \
         as 127.0.0.1:{port}",
        port = listen.port()
    )]
    Public {
        /// The address.
        listen: SocketAddr,
    },
}

/// Reads flags (without the program's name), environment and file.
///
/// # Errors
/// Says what to mend, and where.
pub fn read(
    flags: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Asked, ConfigError> {
    let defaults = defaults();
    let flags = std::iter::once(OsString::from("presence-server")).chain(flags);
    let matches = match command(&defaults).try_get_matches_from(flags) {
        Ok(matches) => matches,
        Err(told) if !told.use_stderr() => return Ok(Asked::Told(told.to_string())),
        Err(wrong) => return Err(ConfigError::Flags(wrong.to_string())),
    };
    let Some(task) = Task::of(&matches) else { return Ok(Asked::Told(reference::text())) };
    let environment: Vec<(String, String)> =
        environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let named = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let file = matches.get_one::<String>("config").cloned().or_else(|| named(CONFIG_VARIABLE));
    let mut table = file.map(|path| read_file(PathBuf::from(path))).transpose()?.unwrap_or_default();
    for (variable, text) in &environment {
        if variable == CONFIG_VARIABLE {
            continue;
        }
        let name = variable[PREFIX.len()..].to_lowercase();
        let default = defaults.get(&name).ok_or_else(|| unknown(variable, &name, &defaults))?;
        table.insert(name, parse(variable, text, default)?);
    }
    for (name, default) in &defaults {
        if let Some(text) = matches.get_one::<String>(name) {
            table.insert(name.clone(), parse(&format!("--{}", name.replace('_', "-")), text, default)?);
        }
    }
    if let Some(name) = table.keys().find(|name| !defaults.contains_key(*name)) {
        return Err(unknown(name, name, &defaults));
    }
    let config: Config = serde_path_to_error::deserialize(table).map_err(|error| ConfigError::Value {
        name: error.path().to_string(),
        error: error.into_inner().message().to_owned(),
    })?;
    config.check()?;
    Ok(Asked::Do(task, Box::new(config)))
}

/// Every setting's default, by name.
pub(super) fn defaults() -> Table {
    Table::try_from(Config::default()).expect("settings are numbers, texts and lists")
}

fn read_file(path: PathBuf) -> Result<Table, ConfigError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => text.parse().map_err(|error: toml::de::Error| {
            let before =
                error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count());
            ConfigError::Toml { path, line: before + 1, error: error.message().to_owned() }
        }),
        Err(error) => Err(ConfigError::File { path, error }),
    }
}

/// A text as the kind of value that the setting has.
fn parse(said: &str, text: &str, default: &Value) -> Result<Value, ConfigError> {
    Ok(match default {
        Value::Integer(_) => Value::Integer(text.trim().parse().map_err(|_| ConfigError::Value {
            name: said.to_owned(),
            error: format!("must be a whole number, and is {text:?}"),
        })?),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}

fn unknown(said: &str, name: &str, defaults: &Table) -> ConfigError {
    let nearest = defaults.keys().map(|known| (distance(known, name), known)).min();
    let hint = nearest.filter(|(distance, _)| *distance <= 3);
    ConfigError::Unknown {
        name: said.to_owned(),
        hint: hint.map_or(String::new(), |(_, known)| format!("; did you mean `{known}`?")),
    }
}

/// How many letters must change to make one word of the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::settings::SETTINGS;
    use super::*;

    fn read_with(flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        match read(flags.iter().map(OsString::from), environment) {
            Ok(Asked::Do(_, config)) => Ok(*config),
            Ok(Asked::Told(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_setting_has_its_help_and_every_help_its_setting() {
        let named: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        let mut settings: Vec<String> = defaults().keys().cloned().collect();
        let mut helped = named.clone();
        settings.sort();
        helped.sort_unstable();
        assert_eq!(helped, settings);
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_the_file() {
        let file = std::env::temp_dir().join(format!("presence-config-{}.toml", std::process::id()));
        std::fs::write(&file, "grace_ms = 1\ntick_ms = 1\ntyping_ms = 1\ngoing_away_grace_ms = 0\n").unwrap();
        let path = file.to_str().unwrap();
        let environment = [("PRESENCE_CONFIG", path), ("PRESENCE_TICK_MS", "2"), ("PRESENCE_TYPING_MS", "2")];
        let config = read_with(&["--typing-ms", "3"], &environment).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((config.grace_ms, config.tick_ms, config.typing_ms), (1, 2, 3));
        assert_eq!(config.heartbeat_ms, Config::default().heartbeat_ms);
    }

    #[test]
    fn a_mistake_names_the_setting() {
        let said = |flags: &[&str], environment: &[(&str, &str)]| read_with(flags, environment).unwrap_err();
        assert!(said(&["--grace-mss", "1"], &[]).contains("--grace-mss"));
        assert_eq!(
            said(&[], &[("PRESENCE_GRACE", "1")]),
            "there is no setting `PRESENCE_GRACE`; did you mean `grace_ms`?"
        );
        assert_eq!(said(&["--tick-ms", "fast"], &[]), "`--tick-ms`: must be a whole number, and is \"fast\"");
        let said_of_format = said(&["--log-format", "xml"], &[]);
        assert!(said_of_format.contains("`log_format`"), "{said_of_format}");
        assert!(said(&["--log-level", "a=b=c"], &[]).contains("`log_level`"));
        assert!(said(&["--tick-ms", "-1"], &[]).contains("tick"));
        assert!(said(&["--heartbeat-timeout-ms", "60000"], &[]).contains("`heartbeat_timeout`"));
    }

    #[test]
    fn a_file_that_is_not_toml_says_where_and_does_not_show_the_line() {
        let file = std::env::temp_dir().join(format!("presence-broken-{}.toml", std::process::id()));
        std::fs::write(&file, "grace_ms = 1\nlog_level = canary canary\n").unwrap();
        let said = read_with(&["--config", file.to_str().unwrap()], &[]).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert!(said.contains("line 2") && !said.contains("canary"), "{said}");
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused_while_nobody_proves_who_they_are() {
        let said = read_with(&["--listen", "0.0.0.0:9000"], &[]).unwrap_err();
        assert!(said.contains("127.0.0.1:9000") && said.contains("PRESENCE_TOKEN_SECRET"), "{said}");
        let secret = [("PRESENCE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")];
        assert!(read_with(&["--listen", "0.0.0.0:9000"], &secret).is_ok());
        let short = read_with(&[], &[("PRESENCE_TOKEN_SECRET", "short")]).unwrap_err();
        assert!(short.contains("`token_secret`") && short.contains("32 bytes"), "{short}");
        assert!(read_with(&["--listen", "[::1]:9000"], &[]).is_ok());
    }

    #[test]
    fn a_flag_may_stand_before_and_after_the_command() {
        let asked = |flags: &[&str]| match read(flags.iter().map(OsString::from), []).unwrap() {
            Asked::Do(task, config) => (task, config.grace_ms),
            Asked::Told(text) => panic!("{text}"),
        };
        assert_eq!(asked(&["--grace-ms", "4000"]), (Task::Serve, 4000));
        assert_eq!(asked(&["--grace-ms", "4000", "config", "check"]), (Task::CheckConfig, 4000));
        assert_eq!(asked(&["config", "check", "--grace-ms", "4000"]), (Task::CheckConfig, 4000));
        assert_eq!(asked(&["healthcheck", "--grace-ms", "4000"]), (Task::CheckHealth, 4000));
        assert!(read_with(&["config"], &[]).unwrap_err().contains("check"), "it says what can be asked");
        assert!(read_with(&["start"], &[]).unwrap_err().contains("start"));
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_key_its_certificate() {
        let said = |flags: &[&str]| read_with(flags, &[]).unwrap_err();
        assert_eq!(
            said(&["--tls-cert-file", "a.pem"]),
            "`tls_key_file`: is needed too, since `tls_cert_file` is set"
        );
        assert!(said(&["--tls-key-file", "a.pem"]).starts_with("`tls_cert_file`"));
        assert!(read_with(&["--tls-key-file", "a.pem", "--tls-cert-file", "b.pem"], &[]).is_ok());
    }

    #[test]
    fn help_names_every_flag_with_its_default() {
        let help = read_with(&["--help"], &[]).unwrap_err();
        assert!(help.contains("--heartbeat-ms"), "{help}");
        assert!(help.contains("[default: 25000]"), "{help}");
    }
}
