//! What must hold between the settings, however they were given.

use std::path::Path;

use presence_core::limits::LimitsError;

use super::{Config, ConfigError};
use crate::auth::Settled;
use crate::http::origin::{Nearby, Origins};
use crate::limits::TrustedProxies;
use crate::webhook;

/// More threads than any machine has cores for would only be in each other's way.
const THREADS_MAX: usize = 1_024;

impl Config {
    /// Checks what must hold between the settings.
    ///
    /// # Errors
    /// Names the setting and the rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.limits().check()?;
        let auth = Settled::of(self)?;
        if auth.is_dev_mode() && !self.listen.ip().is_loopback() {
            return Err(ConfigError::Public { listen: self.listen });
        }
        Origins::new(&self.allowed_origins, Nearby::Strangers)?;
        crate::logging::filter(&self.log_level)?;
        self.tls_files()?;
        self.check_bounds()?;
        TrustedProxies::parse(&self.trusted_proxies)?;
        self.check_store()?;
        webhook::Settings::of(self).map(drop)
    }

    /// Bounds that nothing could pass would be a server that serves nobody.
    fn check_bounds(&self) -> Result<(), LimitsError> {
        let bounds = [
            ("threads", self.threads),
            ("revocations_max", self.revocations_max),
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("connections_per_user_max", self.connections_per_user_max),
            ("shared_connections_max", self.shared_connections_max),
            ("unauthenticated_max", self.unauthenticated_max),
            ("connects_per_second", self.connects_per_second as usize),
            ("connects_burst", self.connects_burst as usize),
            ("requests_per_second", self.requests_per_second as usize),
            ("requests_burst", self.requests_burst as usize),
            ("failed_auths_per_minute", self.failed_auths_per_minute as usize),
            ("abuses_per_minute", self.abuses_per_minute as usize),
            ("addresses_max", self.addresses_max),
            ("fragments_max", self.fragments_max as usize),
        ];
        match bounds.into_iter().find(|(_, bound)| *bound == 0) {
            Some((field, _)) => Err(LimitsError { field, rule: "must be at least 1" }),
            None if self.threads > THREADS_MAX => {
                Err(LimitsError { field: "threads", rule: "must be at most 1024" })
            }
            None => Ok(()),
        }
    }

    /// The files with the certificate and its key, if the server is to speak TLS itself.
    ///
    /// # Errors
    /// If one of them is set without the other.
    pub fn tls_files(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        let (cert, key) = (&*self.tls_cert_file, &*self.tls_key_file);
        let lacking = |name: &str, given: &str| ConfigError::Value {
            name: name.to_owned(),
            error: format!("is needed too, since `{given}` is set"),
        };
        match (cert.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some((cert, key))),
            (false, true) => Err(lacking("tls_key_file", "tls_cert_file")),
            (true, false) => Err(lacking("tls_cert_file", "tls_key_file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_serve_nobody_is_refused_by_name() {
        let refused = |config: Config| config.check().expect_err("it was taken").to_string();
        for (config, name, rule) in [
            (Config { threads: 0, ..Config::default() }, "threads", "at least 1"),
            (Config { threads: THREADS_MAX + 1, ..Config::default() }, "threads", "at most 1024"),
            (Config { revocations_max: 0, ..Config::default() }, "revocations_max", "at least 1"),
            (Config { fragments_max: 0, ..Config::default() }, "fragments_max", "at least 1"),
        ] {
            let said = refused(config);
            assert!(said.contains(name) && said.contains(rule), "{said}");
        }
        assert!(Config { threads: THREADS_MAX, ..Config::default() }.check().is_ok());
    }
}
