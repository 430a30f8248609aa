//! The opening handshake (RFC 6455 section 4.2).

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use tungstenite::handshake::derive_accept_key;

use crate::SUBPROTOCOL;

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not a GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// `Connection` and `Upgrade` do not ask for a WebSocket.
    #[error("this address speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NoUpgrade,
    /// Another version than 13.
    #[error("only version 13 of WebSocket is spoken here (`Sec-WebSocket-Version: 13`)")]
    Version,
    /// No key, or not 16 bytes in base64.
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    Key,
}

impl HandshakeError {
    /// The status that fits.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whether one of the comma-separated words of a header is `wanted`.
fn has_word(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name);
    let mut words = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

/// The key of a request that asks for a WebSocket.
fn check<B>(request: &Request<B>) -> Result<&HeaderValue, HandshakeError> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    if !has_word(headers, CONNECTION, "upgrade") || !has_word(headers, UPGRADE, "websocket") {
        return Err(HandshakeError::NoUpgrade);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    let (digits, padding) = key.as_bytes().split_at_checked(22).ok_or(HandshakeError::Key)?;
    let base64 = digits.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    if base64 && padding == b"==" { Ok(key) } else { Err(HandshakeError::Key) }
}

/// The answer to a request that asks for a WebSocket. Once it has been written, the socket is one: hand it to
/// [`WsTransport::new`](crate::WsTransport::new), with whatever the client has sent already.
///
/// # Errors
/// If the request does not ask for one in the right way.
pub fn accept<B>(request: &Request<B>) -> Result<Response<()>, HandshakeError> {
    let accept = derive_accept_key(check(request)?.as_bytes());
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64 is a header value"));
    if has_word(request.headers(), SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get("/ws");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn without(name: &str) -> Request<()> {
        request(&GOOD.into_iter().filter(|(header, _)| *header != name).collect::<Vec<_>>())
    }

    #[test]
    fn a_right_request_passes_and_gives_its_key() {
        assert_eq!(check(&request(&GOOD)).unwrap(), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn each_missing_part_is_named() {
        assert_eq!(check(&without("connection")), Err(HandshakeError::NoUpgrade));
        assert_eq!(check(&without("upgrade")), Err(HandshakeError::NoUpgrade));
        assert_eq!(check(&without("sec-websocket-version")), Err(HandshakeError::Version));
        assert_eq!(check(&without("sec-websocket-key")), Err(HandshakeError::Key));
        let mut posted = request(&GOOD);
        *posted.method_mut() = Method::POST;
        assert_eq!(check(&posted), Err(HandshakeError::Method));
    }

    #[test]
    fn a_key_that_is_not_16_bytes_in_base64_is_refused() {
        for key in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ=!",
            "dGhlIHNhbXBsZSBub25jZQ====",
            "dGhlIHNhbXBsZSBub25j?Q==",
        ] {
            let mut headers = GOOD;
            headers[3].1 = key;
            assert_eq!(check(&request(&headers)), Err(HandshakeError::Key), "{key:?}");
        }
    }
}
