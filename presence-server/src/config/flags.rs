//! The command line, as clap knows it: what can be asked for, and a flag for every setting.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

use super::settings::{SETTINGS, plain};

/// What is to be done with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve until told to stop.
    Serve,
    /// Say whether it can be served with, and what it is.
    CheckConfig,
    /// Ask the server that serves with it whether it is ready.
    CheckHealth,
    /// Copy the store to a file.
    BackUp(PathBuf),
    /// Say whether the store is whole.
    CheckStore,
    /// Make a token, or look into one, as these arguments say.
    Token(Box<ArgMatches>),
}

impl Task {
    /// What the command line asks for; `None`: to be told of the settings, which takes no configuration.
    pub(super) fn of(matches: &ArgMatches) -> Option<Self> {
        match matches.subcommand() {
            Some(("config", config)) if config.subcommand_name() == Some("reference") => None,
            Some(("config", _)) => Some(Self::CheckConfig),
            Some(("healthcheck", _)) => Some(Self::CheckHealth),
            Some(("backup", backup)) => backup.get_one::<PathBuf>("FILE").cloned().map(Self::BackUp),
            Some(("store", _)) => Some(Self::CheckStore),
            Some(("token", token)) => Some(Self::Token(Box::new(token.clone()))),
            _ => Some(Self::Serve),
        }
    }
}

fn subcommands() -> [Command; 5] {
    let check = Command::new("check")
        .about("Say whether the configuration is good, and print it as it is in effect, without secrets");
    let reference = Command::new("reference").about("Print every setting with its default, as Markdown");
    [
        Command::new("config")
            .about("Look at the configuration without serving")
            .subcommand_required(true)
            .subcommands([check, reference]),
        Command::new("healthcheck")
            .about("Ask the server at the configured address whether it is ready: exit code 0, else 1"),
        Command::new("backup")
            .about("Copy the store to a file that is not there yet, while the server runs or not")
            .arg(Arg::new("FILE").required(true).value_parser(clap::value_parser!(PathBuf)).help("Where to")),
        Command::new("store")
            .about("Look at the store in data_dir, while the server runs or not")
            .subcommand_required(true)
            .subcommand(
                Command::new("check")
                    .about("Read all of it and count again: exit code 0 if it is whole, else 1"),
            ),
        crate::auth::cli::command(),
    ]
}

/// The command line: every setting is a flag, before or after the command.
pub(super) fn command(defaults: &Table) -> Command {
    let styles =
        Styles::styled().header(AnsiColor::Green.on_default().bold()).literal(AnsiColor::Cyan.on_default());
    let config = Arg::new("config")
        .long("config")
        .global(true)
        .value_name("FILE")
        .help("TOML file with settings, named as below with _ for - [env: PRESENCE_CONFIG]");
    let command = Command::new("presence-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Who is in a room and what they do, over WebSocket.")
        .long_about(
            "Who is in a room and what they do, over WebSocket.\n\n\
             Started without arguments it serves a page to try it with. A setting can be given as a flag, as an \
             environment variable (--grace-ms is PRESENCE_GRACE_MS) or in a TOML file (grace_ms); flags win over \
             variables, variables over the file.",
        )
        .after_help(
            "Exit codes: 0 stopped in good order, 1 failed while running or not healthy, 64 bad configuration, 69 cannot \
             listen, 73 cannot use data_dir or the store in it.",
        )
        .styles(styles)
        .disable_help_subcommand(true)
        .arg(config)
        .subcommands(subcommands());
    SETTINGS.iter().fold(command, |command, setting| {
        let value_name = match defaults.get(setting.name) {
            Some(Value::Integer(_)) => "N",
            Some(Value::Array(_)) => "LIST",
            _ => "TEXT",
        };
        let default = defaults.get(setting.name).map(plain).filter(|default| !default.is_empty());
        let default = default.map_or(String::new(), |default| format!(" [default: {default}]"));
        command.arg(
            Arg::new(setting.name)
                .long(setting.name.replace('_', "-"))
                .global(true)
                .value_name(value_name)
                .help_heading(setting.heading)
                .action(ArgAction::Set)
                .allow_hyphen_values(true)
                .help(format!("{}{default}", setting.help)),
        )
    })
}
