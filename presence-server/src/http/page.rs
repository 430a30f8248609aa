//! The page at `/`, out of the binary.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::about::{About, Body, Group, Reply, plain};
use super::answer::{Answer, text};

pub(super) const ABOUT: About = plain(
    "getPage",
    Group::Operations,
    "A page to try the server with",
    &[Reply {
        status: 200,
        text: "The page. Its script and its styles stand beside it.",
        body: Body::Text(HTML),
    }],
);

/// Nothing but the page's own files, nothing inline, and no text that becomes HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type, content. They are built from `clients/typescript/demo`, by `npm run demo` there, and kept here so that
/// a server is built without Node.
const FILES: [(&str, &str, &str); 3] = [
    ("/", HTML, include_str!("../demo/index.html")),
    ("/page.css", CSS, include_str!("../demo/page.css")),
    ("/page.js", JAVASCRIPT, include_str!("../demo/page.js")),
];

/// Whether the page has a file at `path`.
pub(super) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(file, ..)| *file == path)
}

/// The file at `path`, if the page has one there.
pub(super) fn get(path: &str) -> Option<Answer> {
    let (_, content_type, content) = FILES.iter().find(|(file, ..)| *file == path)?;
    let mut answer = file(content_type, content);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Some(answer)
}

/// A file of a page, still without the page's policy.
pub(super) fn file(content_type: &'static str, content: &'static str) -> Answer {
    let mut answer = text(StatusCode::OK, content_type, content);
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    answer
}
