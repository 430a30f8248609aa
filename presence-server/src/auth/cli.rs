//! `presence-server token new` and `token verify`: tokens by hand, with the keys of the configuration.

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jsonwebtoken::{Algorithm, EncodingKey};
use presence_core::time::WallTime;

use super::keys::Keys;
use super::token::{self, Claims, Moment};
use crate::clock::Clock;
use crate::config::Config;

/// How long a token lasts unless it is said.
const TTL: &str = "1h";

/// Carries out `token …`. Gives what to print.
///
/// # Errors
/// Says what is wrong with the arguments, or the token.
pub fn run(arguments: &ArgMatches, config: &Config) -> Result<String> {
    let now = Clock::start().now().wall;
    match arguments.subcommand() {
        Some(("new", arguments)) => new(arguments, config, now),
        Some(("verify", arguments)) => verify(arguments, config, now),
        _ => bail!("say `new` or `verify`"),
    }
}

/// The part of the command line that is about tokens.
pub(crate) fn command() -> Command {
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TEXT").help(help).value_parser(NonEmptyStringValueParser::new())
    };
    let new = Command::new("new")
        .about("Print a token, signed with `token_secret` or with a private key of yours")
        .args([
            text("user", "Whose it is").required(true),
            text("room", "Rooms that the user may enter, such as 'doc-*'; every room unless given")
                .action(ArgAction::Append),
            text("ttl", "How long it lasts: 90s, 15m, 1h, 7d").default_value(TTL),
            text("name", "What others read"),
            text("color", "A colour such as #1f6feb"),
            text("avatar", "Address of a picture, https: or data:image/"),
            text("email", "E-mail address"),
            text(
                "signing-key",
                "PEM file with a private key (PKCS #8), where the server has only public ones",
            ),
            text("kid", "Name of that key, as the server knows it"),
        ]);
    let verify = Command::new("verify")
        .about("Print what a token says, or why the server would not take it")
        .args([Arg::new("token").value_name("TOKEN").required(true).help("The token, or - to read it")]);
    Command::new("token")
        .about("Make tokens, and look into them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([new, verify])
}

fn new(matches: &ArgMatches, config: &Config, now: WallTime) -> Result<String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let iat = now.as_unix_millis() / 1_000;
    let ttl = seconds(&text("ttl").unwrap_or_default())?;
    let wanted = |setting: &String| (!setting.is_empty()).then(|| setting.clone().into());
    let claims = Claims {
        sub: text("user").unwrap_or_default(),
        exp: Moment((iat + ttl) as f64),
        iat: Some(Moment(iat as f64)),
        aud: wanted(&config.token_audience),
        iss: wanted(&config.token_issuer),
        rooms: matches.get_many::<String>("room").map(|rooms| rooms.cloned().collect()),
        name: text("name"),
        color: text("color"),
        avatar: text("avatar"),
        email: text("email"),
        ..Claims::default()
    };
    // Whatever the server would not take should not be made.
    claims.clone().grant(&config.limits())?;
    let keys = Keys::load(config)?;
    let file = text("signing-key");
    let (kid, private) = (text("kid"), file.map(|file| private_key(&file)).transpose()?);
    let signing = match (&private, &keys) {
        (Some((algorithm, key)), _) => Some((kid.as_deref(), *algorithm, key)),
        (None, Some(keys)) => keys.signing(),
        (None, None) => None,
    };
    let signing = signing.context(
        "there is nothing to sign with: set `token_secret` (PRESENCE_TOKEN_SECRET), or give --signing-key FILE",
    )?;
    let made = token::sign(signing, &claims).map_err(|error| anyhow!("cannot sign: {error}"))?;
    if let Some(keys) = &keys {
        token::verify(keys, config.token_bytes_max, now, &made)
            .map_err(|error| anyhow!("the server would not take this token: {error}"))?;
    }
    Ok(format!("{made}\n"))
}

fn verify(matches: &ArgMatches, config: &Config, now: WallTime) -> Result<String> {
    let given = matches.get_one::<String>("token").cloned().unwrap_or_default();
    let given = if given == "-" { std::io::read_to_string(std::io::stdin())? } else { given };
    let keys =
        Keys::load(config)?.context("the configuration has no `token_secret` and no `token_key_files`")?;
    let refused = |error| anyhow!("the server would not take this token: {error}");
    let claims = token::verify(&keys, config.token_bytes_max, now, given.trim()).map_err(refused)?;
    claims.clone().grant(&config.limits()).map_err(refused)?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&claims)?))
}

fn private_key(file: &str) -> Result<(Algorithm, EncodingKey)> {
    let pem = fs::read(file).with_context(|| format!("cannot read {file}"))?;
    EncodingKey::from_rsa_pem(&pem)
        .map(|key| (Algorithm::RS256, key))
        .or_else(|_| EncodingKey::from_ec_pem(&pem).map(|key| (Algorithm::ES256, key)))
        .or_else(|_| EncodingKey::from_ed_pem(&pem).map(|key| (Algorithm::EdDSA, key)))
        .map_err(|_| anyhow!("{file} is no private key in PKCS #8 of RSA, P-256 or Ed25519"))
}

/// A span such as `90s`, `15m`, `1h` or `7d`.
fn seconds(text: &str) -> Result<i64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => bail!("--ttl is a number with s, m, h or d, such as 15m, and not {text:?}"),
    };
    let number: i64 = number.parse().with_context(|| format!("--ttl {text:?} is no span of time"))?;
    number.checked_mul(unit).filter(|span| *span <= 1_000_000_000).context("--ttl is too long")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{Asked, Task, read};

    const SECRET: (&str, &str) = ("PRESENCE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");

    fn say(arguments: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let arguments = ["token"].iter().chain(arguments).map(OsString::from);
        match read(arguments, environment)? {
            Asked::Do(Task::Token(arguments), config) => run(&arguments, &config),
            other => bail!("that was no question about tokens: {other:?}"),
        }
    }

    #[test]
    fn a_token_that_was_made_says_what_it_was_given() {
        let made =
            say(&["new", "--user", "ann", "--room", "doc-*", "--room", "lobby", "--ttl", "15m"], &[SECRET])
                .unwrap();
        let said: Claims = serde_json::from_str(&say(&["verify", made.trim()], &[SECRET]).unwrap()).unwrap();
        assert_eq!(
            (said.sub.as_str(), said.rooms.unwrap()),
            ("ann", vec!["doc-*".to_owned(), "lobby".to_owned()])
        );
        assert_eq!(said.exp.0 - said.iat.unwrap().0, 900.0);
    }

    #[test]
    fn a_server_with_public_keys_takes_tokens_of_the_private_ones() {
        let file = |name: &str| format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        for name in ["rsa", "ec", "ed"] {
            let (public, private) = (file(name), file(&format!("{name}-private")));
            let keys = [("PRESENCE_TOKEN_KEY_FILES", public.as_str())];
            let made =
                say(&["new", "--user", "ann", "--signing-key", &private, "--kid", name], &keys).unwrap();
            assert!(say(&["verify", made.trim()], &keys).unwrap().contains("\"ann\""), "{name}");
            assert!(say(&["new", "--user", "ann"], &keys).unwrap_err().to_string().contains("--signing-key"));
        }
    }

    #[test]
    fn a_token_that_would_not_be_taken_is_not_made_and_says_why() {
        let said = |arguments: &[&str], environment: &[(&str, &str)]| {
            say(arguments, environment).unwrap_err().to_string()
        };
        assert!(said(&["new", "--user", "ann"], &[]).contains("token_secret"));
        let wants_hex = [SECRET, ("PRESENCE_USER_ID_PATTERN", "hex24")];
        assert!(said(&["new", "--user", "ann"], &wants_hex).contains("`sub`"));
        assert!(said(&["new", "--user", "ann", "--ttl", "soon"], &[SECRET]).contains("--ttl"));
        assert!(said(&["new", "--user", "ann", "--room", "a b"], &[SECRET]).contains("`rooms`"));
        assert!(said(&["verify", "a.b.c"], &[SECRET]).contains("would not take"));
        assert!(said(&["new"], &[SECRET]).contains("--user"));
    }
}
