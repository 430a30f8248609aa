//! The signature of a request, by which a backend knows that it is ours and new.

use presence_core::time::WallTime;
use ring::hmac;

/// The header that has it.
pub(super) const HEADER: &str = "presence-signature";

/// `t=<unix seconds>,v1=<hex of HMAC-SHA256 of "t.body">`. The time is signed with the body, so that an old request can be
/// told from a new one.
pub(super) fn of(key: &hmac::Key, now: WallTime, body: &[u8]) -> String {
    let time = now.as_unix_millis() / 1_000;
    let mut signing = hmac::Context::with_key(key);
    signing.update(format!("{time}.").as_bytes());
    signing.update(body);
    let hex: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others compute: `printf '%s' '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac SECRET`.
    #[test]
    fn it_is_what_openssl_says() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        let signed = of(&key, WallTime::from_unix_millis(1_700_000_000_999), br#"{"events":[]}"#);
        assert_eq!(
            signed,
            "t=1700000000,v1=df29826f9365a4c39eb569c867ae31fb39108dee0a0b3e4bcf09f11a0ba43081"
        );
    }

    #[test]
    fn another_time_body_or_secret_is_another_signature() {
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        let at = WallTime::from_unix_millis;
        let signed = of(&key(b"a"), at(1_000), b"x");
        let mac = |text: &str| text.split("v1=").nth(1).unwrap().to_owned();
        for other in [
            of(&key(b"b"), at(1_000), b"x"),
            of(&key(b"a"), at(2_000), b"x"),
            of(&key(b"a"), at(1_000), b"y"),
        ] {
            assert_ne!(mac(&signed), mac(&other));
        }
    }
}
