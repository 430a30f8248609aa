//! The operator's page at `/admin`, out of the binary. It knows nothing itself: whoever opens it asks the other routes,
//! with the API key.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::about::{About, Body, Group, Reply, plain};
use super::answer::Answer;
use super::page::{CSS, HTML, JAVASCRIPT, file};

pub(super) const ABOUT: About = plain(
    "getAdminPage",
    Group::Operations,
    "A page to look after the server with",
    &[Reply {
        status: 200,
        text: "The page, without any data. Its scripts and styles stand below it.",
        body: Body::Text(HTML),
    }],
);

/// Nothing but the page's own files, nothing inline, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// Path, type, content.
const FILES: [(&str, &str, &str); 14] = [
    (PATH, HTML, include_str!("../admin/index.html")),
    ("/admin/page.css", CSS, include_str!("../admin/page.css")),
    ("/admin/page.js", JAVASCRIPT, include_str!("../admin/page.js")),
    ("/admin/server.js", JAVASCRIPT, include_str!("../admin/server.js")),
    ("/admin/elements.js", JAVASCRIPT, include_str!("../admin/elements.js")),
    ("/admin/metrics.js", JAVASCRIPT, include_str!("../admin/metrics.js")),
    ("/admin/charts.js", JAVASCRIPT, include_str!("../admin/charts.js")),
    ("/admin/sweep.js", JAVASCRIPT, include_str!("../admin/sweep.js")),
    ("/admin/table.js", JAVASCRIPT, include_str!("../admin/table.js")),
    ("/admin/overview.js", JAVASCRIPT, include_str!("../admin/overview.js")),
    ("/admin/connections.js", JAVASCRIPT, include_str!("../admin/connections.js")),
    ("/admin/rooms.js", JAVASCRIPT, include_str!("../admin/rooms.js")),
    ("/admin/trace.js", JAVASCRIPT, include_str!("../admin/trace.js")),
    ("/admin/kick.js", JAVASCRIPT, include_str!("../admin/kick.js")),
];

/// Where the page is.
pub(super) const PATH: &str = "/admin";

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

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes markup or code out of text.
    const MAKERS: [&str; 6] =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("];

    #[test]
    fn whatever_a_file_refers_to_is_there_and_everything_there_is_referred_to() {
        let all: Vec<&str> = FILES.iter().flat_map(|(.., content)| content.split('"')).collect();
        let referred = || all.iter().copied().filter(|text| text.starts_with("/admin/"));
        assert_eq!(referred().find(|path| !is_file(path)), None);
        let unused = FILES.iter().find(|(path, ..)| *path != PATH && !referred().any(|text| text == *path));
        assert_eq!(unused.map(|(path, ..)| path), None);
    }

    #[test]
    fn no_file_makes_markup_or_code_of_text() {
        for (path, content_type, content) in FILES {
            assert_eq!(MAKERS.iter().find(|maker| content.contains(*maker)), None, "{path}");
            let comment = if content_type == HTML {
                "<!-- "
            } else if content_type == CSS {
                "/* "
            } else {
                "// "
            };
            assert!(content.starts_with(comment), "{path} does not say what it is");
        }
    }
}
