//! Tokens: as any text, and as any header and claims under a right signature. Nothing panics; nothing is accepted that
//! is not signed with the key, by its algorithm; and what is accepted is a user whose time it is.

#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use presence_core::rights::Grant;
use presence_server::auth::Auth;
use presence_server::clock::Clock;
use presence_server::config::{Config, Secret};
use presence_server::metrics::Metrics;
use ring::hmac;
use serde_json::Value;
use serde_json::value::RawValue;

const SECRET: &str = "a secret that everybody knows, for fuzzing";

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// One that wants to know for whom a token is and from whom, and one that does not.
static AUTHS: LazyLock<[Auth; 2]> = LazyLock::new(|| {
    let plain =
        Config { token_secret: Secret::new(SECRET), user_id_pattern: "a*".to_owned(), ..Config::default() };
    let strict = Config { token_audience: "aud".to_owned(), token_issuer: "iss".to_owned(), ..plain.clone() };
    [plain, strict].map(|config| {
        let limits = Arc::new(config.limits());
        Auth::new(&config, limits, *CLOCK, Metrics::new()).expect("the settings are good")
    })
});

fn signature(signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()))
}

/// A part of a token. A member that nobody asks for may have any value that JSON can write down, also a number that no
/// computer holds.
fn read(part: &str) -> impl Fn(&str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("what was accepted is base64");
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(&bytes).expect("what was accepted is JSON");
    move |name| match members.get(name) {
        Some(member) => serde_json::from_str(member.get()).expect("what was accepted can be read"),
        None => Value::Null,
    }
}

/// What must be true of a token that was accepted.
fn check(token: &str, grant: &Grant, strict: bool) {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(given), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        panic!("it has other parts than three")
    };
    assert_eq!(given, signature(&format!("{header}.{claims}")), "it is not signed");
    let (header, claims) = (read(header), read(claims));
    assert_eq!(header("alg"), "HS256");
    assert!(header("crit").is_null());
    assert_eq!(claims("sub"), grant.user().as_str());
    assert!(grant.user().as_str().starts_with('a'));
    let now = CLOCK.now().wall.as_unix_millis();
    assert!(grant.expires.as_unix_millis() > now - 6_000, "it has expired");
    for since in ["nbf", "iat"] {
        assert!(
            claims(since).as_f64().is_none_or(|since| since * 1_000.0 <= (now + 6_000) as f64),
            "{since}"
        );
    }
    if strict {
        let names = |claim: &Value, name: &str| match claim {
            Value::Array(all) => all.iter().any(|one| one == name),
            one => one == name,
        };
        assert!(names(&claims("aud"), "aud") && names(&claims("iss"), "iss"));
    }
}

fn verify(token: &str) {
    for (auth, strict) in AUTHS.iter().zip([false, true]) {
        match auth.verify(token) {
            Ok(grant) => check(token, &grant, strict),
            Err(error) => assert!(!error.reason().is_empty() && !error.answer().message.contains("aud")),
        }
    }
}

fuzz_target!(|text: &str| {
    verify(text);
    let (header, claims) = text.split_once('\n').unwrap_or((r#"{"typ":"JWT","alg":"HS256"}"#, text));
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    verify(&format!("{signed}.{}", signature(&signed)));
});
