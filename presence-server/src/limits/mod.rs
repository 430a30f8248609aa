//! What addresses and users may do over all their connections, and what nobody may do without saying who it is. What one
//! connection may do alone is the session's affair.

mod address;
mod proxies;
mod recent;
mod unknown;
mod user;

use std::time::Duration;

use hyper::StatusCode;

pub use address::{AddressLimits, AddressPlace};
pub use proxies::TrustedProxies;
pub use unknown::{UnknownLimit, UnknownPlace};
pub use user::{UserLimits, UserPlace};

use crate::http::answer::HttpError;

/// When somebody may come again who has to wait for another to leave.
pub(crate) const UNTIL_SOMEBODY_LEAVES: Duration = Duration::from_secs(5);

/// What somebody is told whom the server has no room for.
pub(crate) fn too_many_connections() -> HttpError {
    let message = "the server has too many connections";
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(UNTIL_SOMEBODY_LEAVES)
}

/// A bound that something would have gone beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Connections of one address at once.
    ConnectionsPerAddress,
    /// New connections of one address in a time.
    Connects,
    /// Requests of one address in a time.
    Requests,
    /// Failed attempts of one address to prove who it is.
    FailedAuths,
    /// Connections of one address that had to be ended, in a time.
    Abuses,
    /// Connections of one user at once.
    ConnectionsPerUser,
    /// Connections of one shared stream at once.
    SharedConnections,
    /// Messages of one user in a time.
    UserMessages,
    /// Connections of nobody in particular, all in all.
    Unauthenticated,
}

impl Bound {
    /// The word that metrics have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionsPerAddress => "connections_per_address_max",
            Self::Connects => "connects",
            Self::Requests => "requests",
            Self::FailedAuths => "failed_auths",
            Self::Abuses => "abuses",
            Self::ConnectionsPerUser => "connections_per_user_max",
            Self::SharedConnections => "shared_connections_max",
            Self::UserMessages => "user_messages",
            Self::Unauthenticated => "unauthenticated_max",
        }
    }

    /// Whether it bounds connections, not what they do.
    pub const fn is_of_connections(self) -> bool {
        match self {
            Self::ConnectionsPerAddress
            | Self::Connects
            | Self::Abuses
            | Self::ConnectionsPerUser
            | Self::SharedConnections
            | Self::Unauthenticated => true,
            Self::Requests | Self::FailedAuths | Self::UserMessages => false,
        }
    }

    /// What somebody is told who went beyond it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ConnectionsPerAddress => "your address has too many connections",
            Self::Connects => "your address connects more often than it may",
            Self::Requests => "your address asks more often than it may",
            Self::FailedAuths => "your address has failed too often to prove who it is",
            Self::Abuses => {
                "too many connections of your address had to be ended; come back later, and slower"
            }
            Self::ConnectionsPerUser => "this user has too many connections",
            Self::SharedConnections => "this shared stream has too many connections",
            Self::UserMessages => "your connections together send more than they may",
            Self::Unauthenticated => "too many connections have not said who they are; say it in the request",
        }
    }
}

/// Somebody went beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", bound.sentence())]
pub struct Refused {
    /// Which one.
    pub bound: Bound,
    /// When the same may succeed.
    pub retry_after: Duration,
}

impl Refused {
    /// The answer over HTTP: the asker's own doing is 429, the doing of others 503.
    pub(crate) fn answer(self) -> HttpError {
        let (status, code) = match self.bound {
            Bound::Unauthenticated => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            _ => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        };
        HttpError::new(status, code, self.bound.sentence()).retry_after(self.retry_after)
    }
}
