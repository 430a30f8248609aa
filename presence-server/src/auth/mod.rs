//! Who may: tokens of users, the backend's key, and what either lets a request do.

pub mod cli;
mod credentials;
mod crypto;
mod keys;
mod revocations;
mod token;

use std::fmt;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use presence_core::id::{RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::rights::Grant;
use presence_core::session::Proof;
use subtle::ConstantTimeEq;
use tracing::debug;

use crate::clock::Clock;
use crate::config::{Config, ConfigError, Secret};
use crate::connection::registry::Owner;
use crate::http::answer::HttpError;
use crate::http::origin::{Nearby, Origins};
use crate::metrics::Metrics;
use credentials::Presented;
use keys::Keys;
pub(crate) use keys::secret_of;
pub use revocations::Revocations;
pub use token::{Claims, Moment, TokenError};

/// Shortest key of a backend, in bytes.
const API_KEY_BYTES_MIN: usize = 16;

/// The secrets of a configuration, read and found good.
#[derive(Debug)]
pub(crate) struct Settled {
    keys: Option<Keys>,
    api_key: Option<Secret>,
}

impl Settled {
    /// Reads the files that it names.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let api_key = keys::secret_of("api_key", &config.api_key, &config.api_key_file)?;
        if let Some(key) = &api_key
            && key.reveal().len() < API_KEY_BYTES_MIN
        {
            let error =
                format!("must be at least {API_KEY_BYTES_MIN} bytes: make one with `openssl rand -hex 32`");
            return Err(ConfigError::Value { name: "api_key".to_owned(), error });
        }
        Ok(Self { keys: Keys::load(config)?, api_key })
    }

    /// Whether nobody has to prove anything, for want of what a token could be signed with.
    pub(crate) fn is_dev_mode(&self) -> bool {
        self.keys.is_none()
    }
}

/// Tells good credentials from bad ones.
pub struct Auth {
    settled: Settled,
    origins: Origins,
    limits: Arc<Limits>,
    token_bytes_max: usize,
    revocations: Revocations,
    clock: Clock,
    metrics: Metrics,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("dev_mode", &self.is_dev_mode()).finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, since nobody can prove anything (dev mode).
    Anyone,
    /// Anybody but the backend, which has a key although users have none (dev mode).
    AnyUser,
    /// A user with a token.
    User(Box<Grant>),
    /// The operator's own programs.
    Backend,
}

impl Auth {
    /// Reads the secrets of a configuration.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn new(
        config: &Config,
        limits: Arc<Limits>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let settled = Settled::of(config)?;
        let nearby = if settled.is_dev_mode() { Nearby::Friends } else { Nearby::Strangers };
        Ok(Self {
            settled,
            origins: Origins::new(&config.allowed_origins, nearby)?,
            limits,
            token_bytes_max: config.token_bytes_max,
            revocations: Revocations::new(config.revocations_max),
            clock,
            metrics,
        })
    }

    /// Whether nobody has to prove anything.
    pub fn is_dev_mode(&self) -> bool {
        self.settled.is_dev_mode()
    }

    /// Whose pages may ask.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Users who were sent away.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// What a token lets its user do.
    ///
    /// # Errors
    /// If it is not good, or in dev mode, which has no tokens.
    pub fn verify(&self, token: &str) -> Result<Grant, TokenError> {
        let checked = self.check(token);
        if let Err(error) = &checked {
            let reason = error.reason();
            self.metrics.token_refused(reason);
            debug!(reason, "token refused");
        }
        checked
    }

    fn check(&self, token: &str) -> Result<Grant, TokenError> {
        let keys = self.settled.keys.as_ref().ok_or(TokenError::UnknownKey(None))?;
        let claims = token::verify(keys, self.token_bytes_max, self.clock.now().wall, token)?;
        let issued = claims.issued();
        let grant = claims.grant(&self.limits)?;
        if self.revocations.holds(grant.user(), issued) { Err(TokenError::Revoked) } else { Ok(grant) }
    }

    /// Who asks for something under `/v1` and its like.
    ///
    /// # Errors
    /// 401 if that is nobody we know.
    pub(crate) fn access(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Access, HttpError> {
        let presented = Presented::of(headers, query);
        if let Some(key) = &presented.api_key
            && self.settled.api_key.is_some()
        {
            return if self.is_api_key(key) {
                Ok(Access::Backend)
            } else {
                Err(unauthorized("`X-API-Key` is wrong"))
            };
        }
        if presented.bearer.as_deref().is_some_and(|bearer| self.is_api_key(bearer)) {
            return Ok(Access::Backend);
        }
        if self.is_dev_mode() {
            return Ok(if self.settled.api_key.is_none() { Access::Anyone } else { Access::AnyUser });
        }
        match presented.token() {
            Some(token) => Ok(Access::User(Box::new(self.verify(token).map_err(|error| refused(&error))?))),
            None => Err(unauthorized(
                "this needs a user's token (`Authorization: Bearer`) or the server's API key",
            )),
        }
    }

    /// How it is known to whom the connection belongs that a request opens; `said` is who its URL says it is.
    ///
    /// # Errors
    /// 401 if its token is not good, 403 if it says that it is somebody else.
    pub(crate) fn proof(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        said: Option<UserId>,
    ) -> Result<Proof, HttpError> {
        if self.is_dev_mode() {
            return Ok(Proof::Word(said));
        }
        let presented = Presented::of(headers, query);
        let Some(token) = presented.token() else { return Ok(Proof::Awaited) };
        let grant = self.verify(token).map_err(|error| refused(&error))?;
        if said.is_some_and(|said| said != *grant.user()) {
            let message = "`user_id` is not whose token this is";
            return Err(HttpError::field(StatusCode::FORBIDDEN, "forbidden", "user_id", message));
        }
        Ok(Proof::Token(Box::new(grant)))
    }

    /// Whether a request may post to an event stream. Every post proves itself, since logs know the ids of streams; only
    /// while nobody knows whose the stream is, the post itself may say so.
    ///
    /// # Errors
    /// 401 without a good token, 403 with another user's.
    pub(crate) fn may_post(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        owner: Owner,
    ) -> Result<(), HttpError> {
        if self.is_dev_mode() {
            return Ok(());
        }
        let presented = Presented::of(headers, query);
        let Some(token) = presented.token() else {
            return match owner {
                Owner::Unknown => Ok(()),
                Owner::User(_) | Owner::NoConnection => Err(unauthorized(
                    "a post needs the token of the stream's user, in a header or in the URL",
                )),
            };
        };
        let grant = self.verify(token).map_err(|error| refused(&error))?;
        match owner {
            Owner::User(user) if user != *grant.user() => {
                Err(forbidden(Some("connection_id"), "this connection is another user's"))
            }
            Owner::User(_) | Owner::Unknown | Owner::NoConnection => Ok(()),
        }
    }

    fn is_api_key(&self, given: &str) -> bool {
        let known = self.settled.api_key.as_ref();
        known.is_some_and(|key| key.reveal().as_bytes().ct_eq(given.as_bytes()).into())
    }
}

fn unauthorized(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

fn refused(error: &TokenError) -> HttpError {
    let answer = error.answer();
    HttpError::field(StatusCode::UNAUTHORIZED, "unauthorized", "token", answer.message)
}

fn forbidden(field: Option<&'static str>, message: &'static str) -> HttpError {
    HttpError { field, ..HttpError::new(StatusCode::FORBIDDEN, "forbidden", message) }
}

impl Access {
    /// Whether it may know who is in a room and what is said there: the same answer whether there is such a room or
    /// not (S9).
    ///
    /// # Errors
    /// 403 if not.
    pub(crate) fn may_read(&self, room: &RoomId) -> Result<(), HttpError> {
        match self {
            Self::User(grant) if !grant.allows(room) => {
                Err(forbidden(Some("room"), "your token does not let you into this room"))
            }
            Self::Anyone | Self::AnyUser | Self::Backend | Self::User(_) => Ok(()),
        }
    }

    /// Whether it may act for `user`: that user, or the backend.
    ///
    /// # Errors
    /// 403 if not.
    #[allow(dead_code, reason = "the routes of users and of the operator ask it")]
    pub(crate) fn may_be(&self, user: &UserId) -> Result<(), HttpError> {
        match self {
            Self::User(grant) if grant.user() != user => {
                Err(forbidden(Some("user"), "your token is another user's"))
            }
            Self::Anyone | Self::AnyUser | Self::Backend | Self::User(_) => Ok(()),
        }
    }

    /// Whether it is the backend. In dev mode anybody may be, unless there is a key for it.
    ///
    /// # Errors
    /// 403 if not.
    pub(crate) fn require_backend(&self) -> Result<(), HttpError> {
        match self {
            Self::User(_) | Self::AnyUser => {
                Err(forbidden(None, "this needs the server's API key (`X-API-Key`)"))
            }
            Self::Anyone | Self::Backend => Ok(()),
        }
    }

    /// Whose token it has, if it has one.
    #[allow(dead_code, reason = "the routes of users and of the operator ask it")]
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Self::User(grant) => Some(grant.user()),
            Self::Anyone | Self::AnyUser | Self::Backend => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    const KEY: &str = "the key of a backend";

    fn access(config: &Config, key: Option<&'static str>) -> Result<Access, u16> {
        let limits = Arc::new(config.limits());
        let auth = Auth::new(config, limits, Clock::start(), Metrics::new()).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(HeaderName::from_static("x-api-key"), key.parse().unwrap());
        }
        auth.access(&headers, None).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn the_operators_routes_are_open_only_where_nobody_has_a_key() {
        let dev = Config::default();
        let with_key = Config { api_key: Secret::new(KEY), ..Config::default() };
        let guarded = Config { token_secret: Secret::new("x".repeat(32)), ..with_key.clone() };
        for (config, key, expected) in [
            (&dev, None, Ok(Access::Anyone)),
            (&dev, Some("anything"), Ok(Access::Anyone)),
            (&with_key, None, Ok(Access::AnyUser)),
            (&with_key, Some(KEY), Ok(Access::Backend)),
            (&with_key, Some("another key"), Err(401)),
            (&guarded, None, Err(401)),
            (&guarded, Some(KEY), Ok(Access::Backend)),
            (&guarded, Some("another key"), Err(401)),
        ] {
            let access = access(config, key);
            assert_eq!(access, expected, "{key:?}");
            let operates = access.is_ok_and(|access| access.require_backend().is_ok());
            assert_eq!(operates, matches!(expected, Ok(Access::Anyone | Access::Backend)), "{key:?}");
        }
    }
}
