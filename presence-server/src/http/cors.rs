//! What a browser must hear before it shows an answer to a page of another origin (the Fetch standard, "CORS
//! protocol"). Such a page gets what programs get, if its origin is allowed: credentials are in headers that the page
//! itself sets, never in cookies.

use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{Answer, HttpError};
use super::origin::Origins;

/// Beginnings of the paths that pages of other origins may ask for.
const CROSSED: [&str; 4] = ["/v1/", "/sse", "/threads/", "/users/"];

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, \
                       X-User-Id";
const EXPOSED: &str = "ETag, Retry-After, X-Request-Id";

/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE: &str = "600";

/// A request as browsers see it.
#[derive(Debug)]
pub(super) enum Crossing {
    /// Not to a path for pages of other origins.
    None,
    /// No page made it.
    Program,
    /// A page of an origin that passes.
    Allowed(HeaderValue),
    /// A page of another origin. It hears why, but its browser does not show it.
    Refused(HttpError),
}

impl Crossing {
    /// Judges a request.
    pub(super) fn of<B>(request: &Request<B>, origins: &Origins) -> Self {
        if !CROSSED.iter().any(|path| request.uri().path().starts_with(path)) {
            return Self::None;
        }
        match origins.check(request.headers()) {
            Ok(None) => Self::Program,
            Ok(Some(origin)) => Self::Allowed(origin.clone()),
            Err(error) => Self::Refused(error),
        }
    }

    /// The answer without any route's doing: to a preflight, and to a page that may not ask.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Option<Result<Answer, HttpError>> {
        match self {
            Self::Refused(error) => Some(Err(error.clone())),
            Self::Allowed(_) if is_preflight(request) => Some(Ok(preflight())),
            Self::None | Self::Program | Self::Allowed(_) => None,
        }
    }

    /// Adds what the browser must hear.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        if !matches!(self, Self::None) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Self::Allowed(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (VARY, "Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
