//! Which pages may connect: a browser tells where a page comes from, and a page of a stranger must not speak for the
//! user who happens to look at it. Origins are compared as scheme, host and port, never as texts.

use std::net::{IpAddr, Ipv6Addr};

use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

use super::answer::HttpError;
use crate::config::ConfigError;

/// Where a page comes from (RFC 6454 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`, which is all that an origin may be.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let secure = match &*scheme.to_ascii_lowercase() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = split(authority)?;
        Some(Self { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }) })
    }

    /// Whether a request with this `Host` went where the page came from. Which scheme it came by only a proxy knows.
    fn is_at(&self, host: &str) -> bool {
        let default = if self.secure { 443 } else { 80 };
        split(host).is_some_and(|(host, port)| host == self.host && port.unwrap_or(default) == self.port)
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Host, in one spelling, and port.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            (host, Some(digits.then(|| port.parse().ok())??))
        }
        _ => (authority, None),
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => format!("[{}]", address.parse::<Ipv6Addr>().ok()?),
        None => {
            let named =
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            named.then(|| host.to_ascii_lowercase())?
        }
    };
    Some((host, port))
}

/// Whether pages of this machine pass unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nearby {
    /// They do: the server is for this machine only (dev mode).
    Friends,
    /// They do not.
    Strangers,
}

/// The origins whose pages pass.
#[derive(Debug)]
pub(crate) struct Origins {
    allowed: Vec<Origin>,
    nearby: Nearby,
}

impl Origins {
    /// These, and the server's own.
    ///
    /// # Errors
    /// Names the one that is no origin.
    pub(crate) fn new(allowed: &[String], nearby: Nearby) -> Result<Self, ConfigError> {
        let parse = |text: &String| {
            Origin::parse(text).ok_or_else(|| ConfigError::Value {
                name: "allowed_origins".to_owned(),
                error: format!(
                    "{text:?} is not an origin: write scheme, host and port only, such as https://app.example"
                ),
            })
        };
        Ok(Self { allowed: allowed.iter().map(parse).collect::<Result<_, _>>()?, nearby })
    }

    /// Lets a request pass that no page has made, or a page of the server itself or of an allowed origin. Gives the
    /// origin of the page.
    pub(crate) fn check<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, HttpError> {
        let Some(value) = headers.get(ORIGIN) else { return Ok(None) };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let passes = |origin: &Origin| {
            origin.is_at(host)
                || self.allowed.contains(origin)
                || (self.nearby == Nearby::Friends && origin.is_loopback())
        };
        let text = value.to_str().unwrap_or_default();
        if Origin::parse(text).as_ref().is_some_and(passes) {
            return Ok(Some(value));
        }
        let shown: String = text.chars().take(200).collect();
        Err(HttpError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!(
                "pages of origin {shown:?} may not connect; add it to `allowed_origins` (PRESENCE_ALLOWED_ORIGINS)"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(origin: Option<&str>, host: &str, nearby: Nearby) -> bool {
        let allowed = ["https://app.example.com", "http://dev.example:5173", "https://[2001:db8::1]"];
        let origins = Origins::new(&allowed.map(str::to_owned), nearby).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        origins.check(&headers).is_ok()
    }

    #[test]
    fn a1_only_the_very_origins_that_are_allowed_pass() {
        for (origin, good) in [
            ("https://app.example.com", true),
            ("https://app.example.com:443", true),
            ("https://APP.example.com", true),
            ("HTTPS://app.example.com", true),
            ("http://dev.example:5173", true),
            ("https://[2001:db8::1]", true),
            ("https://[2001:0db8:0:0:0:0:0:1]:443", true),
            ("https://presence.example:8080", true),
            ("http://presence.example:8080", true),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://app.example.com.evil.example", false),
            ("https://evil.example/https://app.example.com", false),
            ("https://app.example.com/", false),
            ("https://app.example.com.", false),
            ("https://app.example.com:", false),
            ("https://app.example.com:443x", false),
            ("https://app.example.com:99999", false),
            ("https://app.example.com@evil.example", false),
            ("https://user@app.example.com", false),
            ("https://xapp.example.com", false),
            ("https://sub.app.example.com", false),
            ("https://app.example.com evil.example", false),
            ("https://äpp.example.com", false),
            ("https://[2001:db8::2]", false),
            ("https://[2001:db8::1", false),
            ("http://presence.example", false),
            ("http://presence.example:80", false),
            ("app.example.com", false),
            ("ftp://app.example.com", false),
            ("file://", false),
            ("null", false),
            ("", false),
            ("*", false),
            ("http://localhost:5173", false),
            ("http://127.0.0.1", false),
        ] {
            assert_eq!(passes(Some(origin), "presence.example:8080", Nearby::Strangers), good, "{origin}");
        }
        assert!(passes(None, "presence.example", Nearby::Strangers));
        assert!(passes(Some("https://presence.example"), "presence.example", Nearby::Strangers));
    }

    #[test]
    fn in_dev_mode_pages_of_this_machine_pass_and_no_others() {
        for (origin, good) in [
            ("http://localhost:5173", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:3000", true),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(passes(Some(origin), "localhost:8080", Nearby::Friends), good, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_cannot_be_allowed() {
        for text in [
            "*",
            "null",
            "app.example",
            "https://app.example/",
            "https://*.example",
            "https://münchen.example",
        ] {
            let error = Origins::new(&[text.to_owned()], Nearby::Friends).unwrap_err().to_string();
            assert!(error.contains("allowed_origins"), "{error}");
        }
    }
}
