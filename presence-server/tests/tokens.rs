//! Good tokens and bad ones, made as whoever wants to get in would make them: by hand.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use presence_core::error::ErrorCode;
use presence_core::id::RoomId;
use presence_server::Config;
use presence_server::auth::Auth;
use presence_server::clock::Clock;
use presence_server::config::Secret;
use presence_server::metrics::Metrics;
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The secret of `oct-1` in `set.json`.
const OCT_SECRET: &str = "another secret of more than 32 bytes";

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name).to_str().unwrap().to_owned()
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

fn auth(config: Config) -> Auth {
    let limits = Arc::new(config.limits());
    Auth::new(&config, limits, Clock::start(), Metrics::new()).unwrap()
}

fn with_secret() -> Config {
    Config { token_secret: Secret::new(SECRET), ..Config::default() }
}

fn now() -> i64 {
    Clock::start().now().wall.as_unix_millis() / 1_000
}

/// What a good token of ann's says, with `changes` put over it; `null` removes.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "ann", "exp": now() + 60, "iat": now()});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> Header {
    Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) }
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).unwrap()
}

/// A token under [`SECRET`].
fn token(changes: Value) -> String {
    signed(&header(Algorithm::HS256, None), &claims(changes), &EncodingKey::from_secret(SECRET.as_bytes()))
}

/// A token under [`SECRET`] of any header and body at all.
fn raw(header: &str, body: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// Refused, for this reason, and answered as all others are.
fn assert_refused(auth: &Auth, token: &str, reason: &str, what: &str) {
    let error = auth.verify(token).expect_err(what);
    assert_eq!(error.reason(), reason, "{what}: {error}");
    let answer = error.answer();
    assert_eq!((answer.code, answer.field.as_deref()), (ErrorCode::Unauthorized, Some("token")));
    assert_eq!(answer.message, "`token` is not valid here, or not any more", "{what}");
}

#[test]
fn a_good_token_says_who_where_and_until_when() {
    let exp = now() + 60;
    let avatar = "https://example.com/ann.png";
    let said = json!({
        "exp": exp, "rooms": ["doc-*"], "name": "Ann", "color": "#1F6FEB", "avatar": avatar, "email": "ann@example.com",
    });
    let grant = auth(with_secret()).verify(&token(said)).unwrap();
    assert_eq!(grant.user().as_str(), "ann");
    assert_eq!(grant.expires.as_unix_millis(), exp * 1_000);
    assert_eq!((&*grant.profile.name, grant.profile.color.as_str()), ("Ann", "#1f6feb"));
    assert_eq!(grant.profile.avatar.as_deref(), Some(avatar));
    assert_eq!(grant.profile.email.as_deref(), Some("ann@example.com"));
    let allows = |room: &str| grant.allows(&RoomId::parse(room).unwrap());
    assert!(allows("doc-1") && allows("@ann") && !allows("lobby") && !allows("@bob"));
}

#[test]
fn a_token_that_names_no_rooms_is_for_all_and_one_that_names_none_for_none() {
    let auth = auth(with_secret());
    let lobby = RoomId::lobby();
    assert!(auth.verify(&token(json!({}))).unwrap().allows(&lobby));
    assert!(!auth.verify(&token(json!({"rooms": []}))).unwrap().allows(&lobby));
}

#[test]
fn what_cannot_be_shown_of_a_profile_is_left_out_and_its_user_is_not() {
    let odd =
        json!({"name": " ", "color": "red", "avatar": "http://example.com/x.png", "email": "x".repeat(400)});
    let profile = auth(with_secret()).verify(&token(odd)).unwrap().profile;
    assert_eq!((&*profile.name, &profile.avatar, &profile.email), ("ann", &None, &None));
}

#[test]
fn each_kind_of_key_knows_its_own_tokens_by_name_and_no_others() {
    let config = Config { token_key_files: vec![file("set.json")], ..with_secret() };
    let auth = auth(config);
    let keys = [
        (Algorithm::RS256, "rsa-1", EncodingKey::from_rsa_pem(&pem("rsa-private.pem")).unwrap()),
        (Algorithm::ES256, "ec-1", EncodingKey::from_ec_pem(&pem("ec-private.pem")).unwrap()),
        (Algorithm::EdDSA, "ed-1", EncodingKey::from_ed_pem(&pem("ed-private.pem")).unwrap()),
        (Algorithm::HS256, "oct-1", EncodingKey::from_secret(OCT_SECRET.as_bytes())),
    ];
    for (algorithm, kid, key) in &keys {
        let good = signed(&header(*algorithm, Some(kid)), &claims(json!({})), key);
        assert_eq!(auth.verify(&good).unwrap().user().as_str(), "ann", "{kid}");
        for (_, other, _) in keys.iter().filter(|(_, other, _)| other != kid) {
            let stolen = signed(&header(*algorithm, Some(other)), &claims(json!({})), key);
            assert_refused(&auth, &stolen, "signature", &format!("{kid} as {other}"));
        }
        let unnamed = signed(&header(*algorithm, None), &claims(json!({})), key);
        assert_refused(&auth, &unnamed, "signature", &format!("{kid} as the secret"));
        let not_for_signatures = signed(&header(*algorithm, Some("for-encryption")), &claims(json!({})), key);
        assert_refused(&auth, &not_for_signatures, "unknown_key", "for-encryption");
    }
    assert!(auth.verify(&token(json!({}))).is_ok(), "the secret counts beside the files");
}

#[test]
fn a_public_key_may_come_alone_and_is_called_like_its_file() {
    for (name, private, algorithm) in [
        ("rsa", EncodingKey::from_rsa_pem(&pem("rsa-private.pem")).unwrap(), Algorithm::RS256),
        ("ec", EncodingKey::from_ec_pem(&pem("ec-private.pem")).unwrap(), Algorithm::ES256),
        ("ed", EncodingKey::from_ed_pem(&pem("ed-private.pem")).unwrap(), Algorithm::EdDSA),
    ] {
        let auth = auth(Config { token_key_files: vec![file(&format!("{name}.pem"))], ..Config::default() });
        for kid in [None, Some(name)] {
            let good = signed(&header(algorithm, kid), &claims(json!({})), &private);
            assert!(auth.verify(&good).is_ok(), "{name} {kid:?}");
        }
        // The oldest trick: the public key, which everybody knows, as the secret of an HMAC.
        let confused = EncodingKey::from_secret(&pem(&format!("{name}.pem")));
        let forged = signed(&header(Algorithm::HS256, None), &claims(json!({})), &confused);
        assert_refused(&auth, &forged, "signature", name);
    }
}

#[test]
fn a4_bad_tokens_are_refused_all_in_one_way() {
    let auth = auth(Config {
        token_audience: "presence".to_owned(),
        token_issuer: "https://issuer.example".to_owned(),
        ..with_secret()
    });
    let ours = json!({"aud": "presence", "iss": "https://issuer.example"});
    let with = |changes: Value| {
        let mut all = ours.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        token(all)
    };
    assert!(auth.verify(&with(json!({}))).is_ok());
    assert!(auth.verify(&with(json!({"aud": ["other", "presence"], "exp": now() as f64 + 60.5}))).is_ok());
    let far = now() + 3_600;
    for (changes, reason) in [
        (json!({"exp": null}), "missing"),
        (json!({"exp": far.to_string()}), "malformed"),
        (json!({"exp": -1}), "missing"),
        (json!({"exp": -1.5}), "missing"),
        (json!({"exp": true}), "malformed"),
        (json!({"exp": [far]}), "malformed"),
        (json!({"exp": 1e18}), "malformed"),
        (json!({"exp": 1e308}), "missing"),
        (json!({"exp": u64::MAX}), "malformed"),
        (json!({"exp": far * 1_000}), "malformed"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": now() - 6}), "expired"),
        (json!({"nbf": far}), "too_early"),
        (json!({"nbf": far.to_string()}), "malformed"),
        (json!({"nbf": -5}), "malformed"),
        (json!({"iat": far}), "too_early"),
        (json!({"iat": "yesterday"}), "malformed"),
        (json!({"aud": null}), "missing"),
        (json!({"aud": "other"}), "audience"),
        (json!({"aud": ["other"]}), "audience"),
        (json!({"aud": []}), "audience"),
        (json!({"aud": 7}), "missing"),
        (json!({"aud": "presence "}), "audience"),
        (json!({"iss": null}), "missing"),
        (json!({"iss": "https://issuer.example.evil"}), "issuer"),
        (json!({"iss": {"x": "https://issuer.example"}}), "missing"),
        (json!({"sub": null}), "missing"),
        (json!({"sub": ""}), "user"),
        (json!({"sub": 7}), "malformed"),
        (json!({"sub": ["ann"]}), "malformed"),
        (json!({"sub": "a\u{0}b"}), "user"),
        (json!({"sub": "x".repeat(129)}), "user"),
        (json!({"rooms": "doc-*"}), "malformed"),
        (json!({"rooms": [7]}), "malformed"),
        (json!({"rooms": ["doc [0-9]"]}), "rooms"),
        (json!({"rooms": [""]}), "rooms"),
        (json!({"name": {"first": "Ann"}}), "malformed"),
        (json!({"name": "x".repeat(9_000)}), "too_long"),
    ] {
        assert_refused(
            &auth,
            &with(changes.clone()),
            reason,
            &changes.to_string().chars().take(80).collect::<String>(),
        );
    }
}

#[test]
fn a4_what_is_not_the_key_s_own_algorithm_is_refused_whatever_the_header_says() {
    let auth = auth(with_secret());
    let body = claims(json!({})).to_string();
    assert!(auth.verify(&raw(r#"{"alg":"HS256"}"#, &body)).is_ok());
    for (header, reason) in [
        (r#"{"alg":"none"}"#, "malformed"),
        (r#"{"alg":"None"}"#, "malformed"),
        (r#"{"alg":"nOnE"}"#, "malformed"),
        (r#"{"alg":""}"#, "malformed"),
        (r#"{"alg":null}"#, "malformed"),
        (r#"{"alg":["HS256"]}"#, "malformed"),
        (r#"{"alg":"hs256"}"#, "malformed"),
        (r#"{"alg":"HS256","alg":"none"}"#, "malformed"),
        (r#"{"typ":"JWT"}"#, "malformed"),
        ("[]", "malformed"),
        ("", "malformed"),
        (r#"{"alg":"HS384"}"#, "signature"),
        (r#"{"alg":"HS512"}"#, "signature"),
        (r#"{"alg":"RS256"}"#, "signature"),
        (r#"{"alg":"PS256"}"#, "signature"),
        (r#"{"alg":"ES256"}"#, "signature"),
        (r#"{"alg":"EdDSA"}"#, "signature"),
        (r#"{"alg":"HS256","crit":["exp"]}"#, "malformed"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "malformed"),
        (r#"{"alg":"HS256","kid":""}"#, "unknown_key"),
        (r#"{"alg":"HS256","kid":"../../etc/passwd"}"#, "unknown_key"),
        (r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#, "unknown_key"),
        (r#"{"alg":"HS256","kid":7}"#, "malformed"),
    ] {
        assert_refused(&auth, &raw(header, &body), reason, header);
    }
    // What a token brings along to be verified with is not looked at, and does no harm.
    let own = r#"{"alg":"HS256","jku":"https://evil.example/keys","x5u":"https://evil.example/x",
                  "jwk":{"kty":"oct","k":"AAAA"}}"#;
    assert!(auth.verify(&raw(own, &body)).is_ok());
    let mut forged = raw(own, &body);
    forged.truncate(forged.len() - 2);
    assert_refused(&auth, &forged, "malformed", "a signature cut short");
}

#[test]
fn a4_what_is_no_token_is_refused() {
    let auth = auth(with_secret());
    let good = token(json!({}));
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts")
    };
    let other = token(json!({"sub": "bob"}));
    let other_body = other.split('.').nth(1).unwrap();
    let doubled = format!(r#"{{"sub":"ann","sub":"bob","exp":{}}}"#, now() + 60);
    let huge_number = r#"{"sub":"ann","exp":1e400}"#;
    for (bad, reason) in [
        (String::new(), "malformed"),
        (".".to_owned(), "malformed"),
        ("..".to_owned(), "malformed"),
        ("a.b.c".to_owned(), "malformed"),
        (format!("{head}.{body}"), "malformed"),
        (format!("{head}.{body}."), "signature"),
        (format!("{head}.{body}.{signature}.{signature}"), "malformed"),
        (format!("{head}.{body}.{signature}="), "malformed"),
        (format!(" {good}"), "malformed"),
        (format!("{good}\n"), "malformed"),
        (format!("{head}.{other_body}.{signature}"), "signature"),
        (format!("{head}..{signature}"), "signature"),
        (raw(r#"{"alg":"HS256"}"#, &doubled), "malformed"),
        (raw(r#"{"alg":"HS256"}"#, huge_number), "malformed"),
        (raw(r#"{"alg":"HS256"}"#, "[]"), "malformed"),
        (raw(r#"{"alg":"HS256"}"#, "null"), "malformed"),
        (raw(r#"{"alg":"HS256"}"#, &good), "malformed"),
        ("x".repeat(1 << 20), "too_long"),
        (format!("{good}{}", "A".repeat(9_000)), "too_long"),
    ] {
        assert_refused(&auth, &bad, reason, &bad.chars().take(60).collect::<String>());
    }
}

#[test]
fn a_user_who_was_sent_away_needs_a_newer_token() {
    use presence_core::time::WallTime;

    let auth = auth(with_secret());
    let (old, unknown, new) =
        (token(json!({"iat": now() - 10})), token(json!({"iat": null})), token(json!({"iat": now() + 2})));
    assert!(auth.verify(&old).is_ok() && auth.verify(&unknown).is_ok());
    let ann = auth.verify(&old).unwrap().user().clone();
    auth.revocations().revoke(ann, WallTime::from_unix_millis(now() * 1_000));
    assert_refused(&auth, &old, "revoked", "older");
    assert_refused(&auth, &unknown, "revoked", "of unknown age");
    assert!(auth.verify(&new).is_ok());
    assert!(auth.verify(&token(json!({"sub": "bob", "iat": now() - 10}))).is_ok());
}

#[test]
fn keys_that_would_not_do_keep_the_server_from_starting_and_say_why() {
    let settings = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    let key_file = |name: &str| settings(&|config| config.token_key_files = vec![file(name)]);
    for (said, wanted) in [
        (settings(&|config| config.token_secret = Secret::new("x".repeat(31))), "at least 32 bytes"),
        (settings(&|config| config.api_key = Secret::new("short")), "`api_key`"),
        (settings(&|config| config.token_secret_file = file("missing")), "cannot read"),
        (key_file("missing"), "cannot read"),
        (key_file("rsa-private.pem"), "private key"),
        (key_file("p384.pem"), "P-256"),
        (key_file("weak-rsa.pem"), "2048 bits"),
        (key_file("README.md"), "neither a JWK Set nor a PEM"),
        (
            settings(&|config| config.token_key_files = vec![file("set.json"), file("set.json")]),
            "already a key",
        ),
        (
            settings(&|config| {
                config.token_secret = Secret::new(SECRET);
                config.token_secret_file = file("ec.pem");
            }),
            "one is enough",
        ),
        (settings(&|config| config.allowed_origins = vec!["*".to_owned()]), "allowed_origins"),
    ] {
        assert!(said.contains(wanted), "{said:?} does not say {wanted:?}");
        assert!(!said.contains("xxxx"), "{said}");
    }
}

#[test]
fn a_secret_may_come_from_a_file_without_its_line_break() {
    let path = std::env::temp_dir().join(format!("presence-secret-{}", std::process::id()));
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let config = Config { token_secret_file: path.to_str().unwrap().to_owned(), ..Config::default() };
    let auth = auth(config);
    std::fs::remove_file(&path).unwrap();
    assert!(auth.verify(&token(json!({}))).is_ok());
}
