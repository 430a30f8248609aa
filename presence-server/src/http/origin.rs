//! Which pages may connect: a browser tells where a page comes from, and a page of a stranger must not speak for the
//! user who happens to look at it.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::{StatusCode, Uri};

use super::answer::HttpError;

/// Lets a request pass that no page has made, or a page of the server itself, of this machine, or of an allowed origin.
pub(super) fn check(headers: &HeaderMap, allowed: &[String]) -> Result<(), HttpError> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let uri = origin.parse::<Uri>().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    let same = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .is_some_and(|host| authority.is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host)));
    let local = authority.is_some_and(|authority| is_loopback(authority.host()));
    if same || local || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return Ok(());
    }
    let shown: String = origin.chars().take(200).collect();
    Err(HttpError::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        format!(
            "pages of origin {shown:?} may not connect; add it to `allowed_origins` (PRESENCE_ALLOWED_ORIGINS)"
        ),
    ))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(origin: Option<&str>, allowed: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "presence.example:8080".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        check(&headers, &allowed).is_ok()
    }

    #[test]
    fn programs_own_pages_and_pages_of_this_machine_pass() {
        assert!(passes(None, &[]));
        assert!(passes(Some("http://presence.example:8080"), &[]));
        assert!(passes(Some("http://localhost:5173"), &[]));
        assert!(passes(Some("http://127.0.0.1"), &[]));
        assert!(passes(Some("http://[::1]:3000"), &[]));
    }

    #[test]
    fn strangers_pass_only_when_allowed() {
        for origin in
            ["https://evil.example", "null", "http://localhost.evil.example", "http://presence.example"]
        {
            assert!(!passes(Some(origin), &[]), "{origin}");
        }
        assert!(passes(Some("https://app.example"), &["https://app.example"]));
    }
}
