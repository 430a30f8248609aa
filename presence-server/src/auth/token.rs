//! What a token says, and whether it is good.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode, decode_header, encode};
use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::IdError;
use presence_core::limits::Limits;
use presence_core::profile::{Color, Profile, Text, is_safe_picture};
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::time::WallTime;
use presence_core::wire::UserClaim;
use serde::{Deserialize, Serialize, Serializer};

use super::keys::Keys;

/// How far the clock of whoever makes tokens may differ from ours, in milliseconds.
const LEEWAY_MILLIS: i64 = 5_000;

/// The latest moment that a token may name, in Unix seconds: the end of the year 9999.
const LATEST_SECONDS: f64 = 253_402_300_799.0;

/// Seconds since 1970, possibly with a fraction (RFC 7519 section 2, NumericDate).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub f64);

impl Moment {
    fn millis(self, name: &'static str) -> Result<i64, TokenError> {
        if (0.0..=LATEST_SECONDS).contains(&self.0) {
            Ok((self.0 * 1_000.0) as i64)
        } else {
            Err(TokenError::Moment(name))
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Many who read tokens want whole numbers.
        serializer.serialize_i64(self.0 as i64)
    }
}

/// What a token says (RFC 7519 section 4).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// When it ends.
    pub exp: Moment,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Moment>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<Moment>,
    /// Its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<serde_json::Value>,
    /// Whom it is for; checked if the server has a `token_audience`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
    /// Who made it; checked if the server has a `token_issuer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<serde_json::Value>,
    /// The rooms that its user may enter; every room if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<String>>,
    /// What others read, unless the user says something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A colour, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Address of a picture, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// E-mail address, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Why a token is not good. For the operator: whoever sent it hears only that it is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than `token_bytes_max`.
    #[error("it has {bytes} bytes, more than `token_bytes_max`")]
    TooLong {
        /// How long.
        bytes: usize,
    },
    /// Not a JWT, or one of a kind or with claims that we do not take.
    #[error("it is not a token of the kind that this server takes: {0}")]
    Malformed(String),
    /// It wants something understood that is not.
    #[error("its header has `crit`")]
    Critical,
    /// No key has the name that it gives, or it gives none where one is needed.
    #[error("no key is called {0:?}")]
    UnknownKey(Option<String>),
    /// Signed with another key or algorithm.
    #[error("its signature is not made with the key it names, or not with that key's algorithm")]
    Signature,
    /// A claim that has to be there is not.
    #[error("its claim `{0}` is missing or not of the right kind")]
    Missing(String),
    /// For somebody else.
    #[error("its `aud` is not this server's `token_audience`")]
    Audience,
    /// From somebody else.
    #[error("its `iss` is not this server's `token_issuer`")]
    Issuer,
    /// A moment that is none.
    #[error("its `{0}` is no moment between 1970 and 9999")]
    Moment(&'static str),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("its `{0}` lies in the future")]
    TooEarly(&'static str),
    /// Its user cannot be one.
    #[error("its `sub` {0}")]
    User(IdError),
    /// Its rooms cannot be rooms.
    #[error("a pattern of its `rooms` {0}")]
    Rooms(IdError),
    /// Its user was sent away after it was made.
    #[error("its user was sent away after it was made")]
    Revoked,
}

impl TokenError {
    /// One word, for metrics and logs: it tells nothing of what the token says.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Malformed(_) | Self::Critical | Self::Moment(_) => "malformed",
            Self::UnknownKey(_) => "unknown_key",
            Self::Signature => "signature",
            Self::Missing(_) => "missing",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Expired => "expired",
            Self::TooEarly(_) => "too_early",
            Self::User(_) => "user",
            Self::Rooms(_) => "rooms",
            Self::Revoked => "revoked",
        }
    }

    /// What whoever sent the token hears: the same for each fault, so that nobody can feel their way.
    pub fn answer(&self) -> CommandError {
        CommandError::field(ErrorCode::Unauthorized, "token", "`token` is not valid here, or not any more")
    }
}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Self::Signature,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) => Self::Missing(claim.clone()),
            _ => Self::Malformed(error.to_string()),
        }
    }
}

/// Makes a token.
pub(super) fn sign(
    (kid, algorithm, key): (Option<&str>, Algorithm, &EncodingKey),
    claims: &Claims,
) -> Result<String, jsonwebtoken::errors::Error> {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key)
}

/// What a token says, if it is one of ours and it is its time.
pub(super) fn verify(
    keys: &Keys,
    bytes_max: usize,
    now: WallTime,
    token: &str,
) -> Result<Claims, TokenError> {
    if token.len() > bytes_max {
        return Err(TokenError::TooLong { bytes: token.len() });
    }
    let header = decode_header(token)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    // Of all that a header can say only the name of the key is heard. The key knows its algorithm; addresses and keys
    // that the token brings along (`jku`, `x5u`, `jwk`) do not matter.
    let key = keys.get(header.kid.as_deref()).ok_or(TokenError::UnknownKey(header.kid))?;
    let claims = decode::<Claims>(token, &key.decoding, &key.validation)?.claims;
    let (exp, nbf, iat) = (
        claims.exp.millis("exp")?,
        claims.nbf.map(|nbf| nbf.millis("nbf")).transpose()?,
        claims.iat.map(|iat| iat.millis("iat")).transpose()?,
    );
    let now = now.as_unix_millis();
    if exp + LEEWAY_MILLIS <= now {
        return Err(TokenError::Expired);
    }
    for (name, moment) in [("nbf", nbf), ("iat", iat)] {
        if moment.is_some_and(|moment| moment > now + LEEWAY_MILLIS) {
            return Err(TokenError::TooEarly(name));
        }
    }
    Ok(claims)
}

impl Claims {
    /// When the token was made, in Unix milliseconds.
    pub(super) fn issued(&self) -> Option<i64> {
        self.iat.and_then(|iat| iat.millis("iat").ok())
    }

    /// What all this lets its user do.
    pub(super) fn grant(self, limits: &Limits) -> Result<Grant, TokenError> {
        let user = limits.user_ids.parse(&self.sub).map_err(TokenError::User)?;
        let rooms = match &self.rooms {
            None => Rooms::Every,
            Some(patterns) => {
                let patterns = patterns.iter().map(|pattern| Pattern::of_rooms(pattern));
                Rooms::Like(patterns.collect::<Result<_, _>>().map_err(TokenError::Rooms)?)
            }
        };
        let expires = WallTime::from_unix_millis(self.exp.millis("exp")?);
        let profile = std::sync::Arc::new(Profile::of_user(user)).with(&self.defaults(limits));
        Ok(Grant { profile, rooms, expires })
    }

    /// The profile, as far as it can be shown: a picture that cannot is no reason to keep its user out.
    fn defaults(self, limits: &Limits) -> UserClaim {
        let short = |text: &String, max: usize| text.chars().count() <= max;
        let name = self.name.filter(|name| short(name, limits.name_chars_max) && !name.trim().is_empty());
        let picture = |avatar: &String| avatar.len() <= limits.avatar_bytes_max && is_safe_picture(avatar);
        UserClaim {
            name: name.map(Text::from),
            color: self.color.and_then(|color| Color::parse(&color).ok()),
            avatar: self.avatar.filter(picture).map(Text::from),
            email: self.email.filter(|email| short(email, 320)).map(Text::from),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::config::Secret;

    #[test]
    fn five_seconds_between_clocks_do_not_matter_and_more_do() {
        let config = Config { token_secret: Secret::new("x".repeat(32)), ..Config::default() };
        let keys = Keys::load(&config).unwrap().unwrap();
        let claims = Claims {
            sub: "ann".to_owned(),
            nbf: Some(Moment(100.0)),
            exp: Moment(200.0),
            ..Claims::default()
        };
        let token = sign(keys.signing().unwrap(), &claims).unwrap();
        for (millis, outcome) in [
            (94_999, Err(TokenError::TooEarly("nbf"))),
            (95_000, Ok(())),
            (204_999, Ok(())),
            (205_000, Err(TokenError::Expired)),
        ] {
            let verified = verify(&keys, 8_192, WallTime::from_unix_millis(millis), &token);
            assert_eq!(verified.map(|_| ()), outcome, "{millis}");
        }
    }
}
