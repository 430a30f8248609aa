//! The configuration in effect, as it may be shown: everything but secrets.

use toml::{Table, Value};

use super::Config;
use super::settings::{SETTINGS, Setting, is_secret, plain};

/// A setting as it may be shown.
enum Shown<'a> {
    Value(&'a Value),
    /// A secret is set.
    Hidden,
    /// A secret is not set.
    Absent,
}

/// A configuration beside the defaults.
struct Effective {
    settings: Table,
    defaults: Table,
}

impl Effective {
    fn of(config: &Config) -> Self {
        let table = |config| Table::try_from(config).expect("settings are numbers, texts and lists");
        Self { settings: table(config), defaults: table(&Config::default()) }
    }

    fn shown(&self, name: &str) -> Shown<'_> {
        match self.settings.get(name) {
            Some(value) if !is_secret(name) => Shown::Value(value),
            Some(value) if !plain(value).is_empty() => Shown::Hidden,
            _ => Shown::Absent,
        }
    }

    fn is_changed(&self, name: &str) -> bool {
        self.settings.get(name) != self.defaults.get(name)
    }
}

impl Config {
    /// The configuration as a TOML file, without secrets. What differs from its default says so.
    pub fn to_text(&self) -> String {
        let effective = Effective::of(self);
        let mut text = String::new();
        let mut heading = "";
        for setting in SETTINGS {
            if setting.heading != heading {
                let gap = if heading.is_empty() { "" } else { "\n" };
                heading = setting.heading;
                text.push_str(&format!("{gap}# {heading}\n"));
            }
            let name = setting.name;
            text.push_str(&match effective.shown(name) {
                Shown::Value(value) => format!("{name} = {value}"),
                Shown::Hidden => format!("# {name} is set, and not shown"),
                Shown::Absent => format!("# {name} is not set"),
            });
            if let (true, Some(default)) = (effective.is_changed(name), effective.defaults.get(name))
                && !is_secret(name)
            {
                text.push_str(&format!("  # default: {default}"));
            }
            text.push('\n');
        }
        text
    }

    /// The configuration in one line for the log, without secrets; only what differs from its default, if that is
    /// enough.
    pub fn to_line(&self, only_changed: bool) -> String {
        let effective = Effective::of(self);
        let settings = SETTINGS.iter().filter(|setting| !only_changed || effective.is_changed(setting.name));
        let shown = settings.filter_map(|Setting { name, .. }| match effective.shown(name) {
            Shown::Value(value) => Some(format!("{name}={value}")),
            Shown::Hidden => Some(format!("{name}=(hidden)")),
            Shown::Absent => None,
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        let config =
            Config { grace_ms: 4_000, allowed_origins: vec!["https://a.b".to_owned()], ..Config::default() };
        let text = config.to_text();
        assert!(text.contains("grace_ms = 4000  # default: 15000\n"), "{text}");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn a_line_has_everything_or_what_differs() {
        let config = Config { grace_ms: 4_000, ..Config::default() };
        assert_eq!(config.to_line(true), "grace_ms=4000");
        assert!(config.to_line(false).contains(" grace_ms=4000 going_away_grace_ms="));
    }

    #[test]
    fn a_secret_is_known_by_its_name_and_not_shown() {
        assert!(is_secret("token_secret") && is_secret("api_key"));
        assert!(!is_secret("token_secret_file") && !is_secret("heartbeat_ms"));
        let table = |text: &str| text.parse::<Table>().unwrap();
        let effective =
            Effective { settings: table("token_secret = 'canary'\napi_key = ''"), defaults: table("") };
        assert!(matches!(effective.shown("token_secret"), Shown::Hidden));
        assert!(matches!(effective.shown("api_key"), Shown::Absent));
    }
}
