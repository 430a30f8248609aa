//! Where a request may carry its credentials.

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, SEC_WEBSOCKET_PROTOCOL};

use crate::http::query::parameter;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request presents, unchecked. Has no `Debug`: nobody should see it.
pub(super) struct Presented<'a> {
    /// `X-API-Key`.
    pub(super) api_key: Option<Cow<'a, str>>,
    /// `Authorization: Bearer`: a token, or the API key.
    pub(super) bearer: Option<Cow<'a, str>>,
    /// `?token=`.
    query: Option<Cow<'a, str>>,
    /// Subprotocol `bearer.T`: the only header of a WebSocket that a page can set.
    subprotocol: Option<&'a str>,
}

impl<'a> Presented<'a> {
    /// Whatever there is.
    pub(super) fn of(headers: &'a HeaderMap, query: Option<&'a str>) -> Self {
        // What is no text is no credential that we gave anybody; it is compared, and refused, all the same.
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let bearer = text(AUTHORIZATION).and_then(|value| {
            let (scheme, rest) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| Cow::Owned(rest.trim().to_owned()))
        });
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let subprotocol =
            offered.flat_map(|value| value.split(',')).find_map(|word| word.trim().strip_prefix("bearer."));
        Self { api_key: text(API_KEY), bearer, query: parameter(query, "token"), subprotocol }
    }

    /// The token: the first there is, whether it is good or not.
    pub(super) fn token(&self) -> Option<&str> {
        self.bearer.as_deref().or(self.query.as_deref()).or(self.subprotocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(headers: &[(HeaderName, &str)], query: Option<&str>) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        Presented::of(&map, query).token().map(str::to_owned)
    }

    #[test]
    fn the_first_place_that_has_a_token_wins() {
        let header = (AUTHORIZATION, "bearer  header");
        let subprotocol = (SEC_WEBSOCKET_PROTOCOL, "presence.v1, bearer.sub-protocol");
        assert_eq!(token(&[header.clone(), subprotocol.clone()], Some("token=query")).unwrap(), "header");
        assert_eq!(token(std::slice::from_ref(&subprotocol), Some("a=b&token=qu%65ry")).unwrap(), "query");
        assert_eq!(token(&[subprotocol], None).unwrap(), "sub-protocol");
        assert_eq!(token(&[(AUTHORIZATION, "Basic YTpi")], Some("tokens=x")), None);
    }
}
