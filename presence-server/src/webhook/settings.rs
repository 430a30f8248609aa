//! What the configuration says of webhooks, read and found good.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use ring::hmac;

use super::event::EventKind;
use super::tls::Tls;
use crate::auth::secret_of;
use crate::config::{Config, ConfigError};

/// Shortest secret, in bytes: as long as what HMAC-SHA256 gives (RFC 2104 section 3).
const SECRET_BYTES_MIN: usize = 32;

/// What a configuration asks for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) target: Target,
    pub(super) key: hmac::Key,
    pub(super) events: Vec<EventKind>,
    pub(super) batch_max: usize,
    pub(super) wait: Duration,
    pub(super) timeout: Duration,
    pub(super) first_retry: Duration,
    pub(super) held_max: usize,
}

fn wrong(name: &str, error: impl Into<String>) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), error: error.into() }
}

impl Settings {
    /// What a configuration asks for; `None` if nobody is to be told.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let events = events(&config.webhook_events)?;
        if config.webhook_url.is_empty() {
            return Ok(None);
        }
        let target = Target::parse(&config.webhook_url, &config.webhook_ca_file)?;
        let secret = secret_of("webhook_secret", &config.webhook_secret, &config.webhook_secret_file)?;
        let secret =
            secret.ok_or_else(|| wrong("webhook_secret", "is needed too, since `webhook_url` is set"))?;
        if secret.reveal().len() < SECRET_BYTES_MIN {
            let rule =
                format!("must be at least {SECRET_BYTES_MIN} bytes: make one with `openssl rand -base64 32`");
            return Err(wrong("webhook_secret", rule));
        }
        let bounds = [
            ("webhook_batch_max", config.webhook_batch_max as u64),
            ("webhook_timeout_ms", config.webhook_timeout_ms),
            ("webhook_retry_ms", config.webhook_retry_ms),
            ("webhook_held_max", config.webhook_held_max as u64),
        ];
        if let Some((name, _)) = bounds.into_iter().find(|(_, bound)| *bound == 0) {
            return Err(wrong(name, "must be at least 1"));
        }
        Ok(Some(Self {
            target,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()),
            events,
            batch_max: config.webhook_batch_max,
            wait: Duration::from_millis(config.webhook_wait_ms),
            timeout: Duration::from_millis(config.webhook_timeout_ms),
            first_retry: Duration::from_millis(config.webhook_retry_ms),
            held_max: config.webhook_held_max,
        }))
    }
}

fn events(names: &[String]) -> Result<Vec<EventKind>, ConfigError> {
    let kind = |name: &String| {
        EventKind::named(name).ok_or_else(|| {
            let known: Vec<&str> = EventKind::ALL.into_iter().map(EventKind::as_str).collect();
            wrong("webhook_events", format!("there is no event {name:?}, only {}", known.join(", ")))
        })
    };
    if names.is_empty() {
        return Err(wrong("webhook_events", "names no event; to tell nobody leave `webhook_url` empty"));
    }
    names.iter().map(kind).collect()
}

/// Where a backend is.
#[derive(Clone)]
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<Tls>,
}

/// Who looks for the backend in a log finds its host; a path may be nobody's business.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.authority()).finish()
    }
}

impl Target {
    fn parse(url: &str, ca_file: &Path) -> Result<Self, ConfigError> {
        let refuse = |rule: &str| wrong("webhook_url", rule);
        let uri: Uri = url.parse().map_err(|error| refuse(&format!("is no address: {error}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("names no host"))?;
        // What stands in an address is shown, in logs and to whoever asks for the configuration.
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err(refuse(
                "must have no user, password, query or fragment: requests are known by their signature",
            ));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refuse("names no host"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let tls = tls.then(|| Tls::to(&host, ca_file)).transpose();
        let tls = tls.map_err(|(name, why)| wrong(name, why))?;
        Ok(Self { uri, host, port, tls })
    }

    /// Host, and port if the address has one.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config(url: &str) -> Config {
        let webhook_secret = Secret::new("0123456789abcdef0123456789abcdef");
        Config { webhook_url: url.to_owned(), webhook_secret, ..Config::default() }
    }

    fn refused(config: &Config) -> String {
        Settings::of(config).unwrap_err().to_string()
    }

    #[test]
    fn nobody_is_told_unless_an_address_is_set() {
        assert!(Settings::of(&config("")).unwrap().is_none());
        assert!(Settings::of(&config("http://localhost")).unwrap().is_some());
    }

    #[test]
    fn an_address_has_a_host_a_port_and_a_path() {
        let target = |url: &str| {
            let target = Settings::of(&config(url)).unwrap().unwrap().target;
            format!("{} {} {}", target.host(), target.port(), target.path())
        };
        assert_eq!(target("http://backend"), "backend 80 /");
        assert_eq!(target("http://127.0.0.1:8000/hooks/presence"), "127.0.0.1 8000 /hooks/presence");
        assert_eq!(target("http://[::1]:8000/"), "::1 8000 /");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for url in ["backend", "ftp://backend", "http://", "/hooks", "http://a b"] {
            assert!(refused(&config(url)).starts_with("`webhook_url`"), "{url}");
        }
        for url in ["http://canary:x@backend", "http://backend?key=canary", "http://backend/#canary"] {
            let said = refused(&config(url));
            assert!(said.contains("`webhook_url`") && !said.contains("canary"), "{said}");
        }
        let without = Config { webhook_secret: Secret::default(), ..config("http://a") };
        assert!(refused(&without).starts_with("`webhook_secret`: is needed"));
        let short = Config { webhook_secret: Secret::new("canary"), ..config("http://a") };
        assert!(refused(&short).contains("32 bytes") && !refused(&short).contains("canary"));
        let unknown = Config { webhook_events: vec!["user_came".to_owned()], ..config("http://a") };
        assert!(refused(&unknown).contains("user_joined"));
        let none = Config { webhook_events: Vec::new(), ..config("http://a") };
        assert!(refused(&none).starts_with("`webhook_events`"));
        assert!(
            refused(&Config { webhook_held_max: 0, ..config("http://a") }).starts_with("`webhook_held_max`")
        );
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_that_is_not_built_in_is_refused() {
        assert!(refused(&config("https://backend")).contains("--features tls"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn authorities_come_from_a_file_that_has_some() {
        let with = |file: &str| Config { webhook_ca_file: file.into(), ..config("https://backend") };
        assert!(refused(&with("/nowhere/ca.pem")).starts_with("`webhook_ca_file`: /nowhere/ca.pem"));
        let made = presence_testkit::folder::Folder::made().unwrap();
        let empty = made.write("ca.pem", "nothing").unwrap();
        assert!(refused(&with(empty.to_str().unwrap())).contains("no certificate"));
        let certificate = presence_testkit::tls::Certificate::new().unwrap();
        let good = made.write("ca.pem", &certificate.cert_pem).unwrap();
        assert_eq!(Settings::of(&with(good.to_str().unwrap())).unwrap().unwrap().target.port(), 443);
    }
}
