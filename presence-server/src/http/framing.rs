//! Requests of two meanings: what hyper lets pass and another server might read differently, which is how requests are
//! smuggled past a proxy. They are refused, and the connection has to end with the answer.

use hyper::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, StatusCode, Version};

use super::answer::HttpError;

/// Checks what must stand in a request once, and as everybody reads it.
///
/// # Errors
/// Names the header.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), HttpError> {
    let headers = request.headers();
    // RFC 9112 section 3.2.
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(ambiguous("a request has one `Host`"));
    }
    // RFC 9112 section 6.1 allows more, which only smugglers send.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(chunked) || codings.next().is_some() {
        return Err(ambiguous("`Transfer-Encoding` can be `chunked`, once"));
    }
    Ok(())
}

fn ambiguous(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_message", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap()).is_err()
    }

    #[test]
    fn one_host_and_one_way_to_say_where_the_body_ends() {
        assert!(!refused(&[("host", "x")]));
        assert!(!refused(&[("host", "x"), ("transfer-encoding", "Chunked")]));
        assert!(refused(&[]) && refused(&[("host", "x"), ("host", "x")]));
        assert!(refused(&[("host", "x"), ("transfer-encoding", "identity, chunked")]));
        assert!(refused(&[
            ("host", "x"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked")
        ]));
    }
}
