//! What can go wrong, in two kinds that never mix: an error answers a message and the connection lives on; a close
//! reason ends a connection and its code tells the client whether to come back.

use std::borrow::Cow;
use std::time::Duration;

/// The word a client can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not JSON, or not a JSON object.
    BadJson,
    /// JSON of the wrong shape; the error names the field.
    BadMessage,
    /// No message has this `type`.
    UnknownType,
    /// Above a size limit.
    TooLarge,
    /// Nobody is known on this connection yet.
    Unauthorized,
    /// Known, and not allowed.
    Forbidden,
    /// Needs presence in the room first.
    NotJoined,
    /// Not a room id.
    InvalidRoom,
    /// Above the rate budget; come again after `retry_after_ms`.
    RateLimited,
    /// The server has too much to do; come again.
    Busy,
    /// A part of the server that this needs is not there.
    Unavailable,
    /// Contradicts what was said before.
    Conflict,
    /// No such thing.
    NotFound,
}

impl ErrorCode {
    /// Every code, for metrics and documents.
    pub const ALL: [ErrorCode; 13] = [
        Self::BadJson,
        Self::BadMessage,
        Self::UnknownType,
        Self::TooLarge,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotJoined,
        Self::InvalidRoom,
        Self::RateLimited,
        Self::Busy,
        Self::Unavailable,
        Self::Conflict,
        Self::NotFound,
    ];

    /// The code as the wire and the metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadMessage => "bad_message",
            Self::UnknownType => "unknown_type",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotJoined => "not_joined",
            Self::InvalidRoom => "invalid_room",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
        }
    }
}

/// The answer to a message that could not be carried out. The connection lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct CommandError {
    /// What a program acts on.
    pub code: ErrorCode,
    /// What a person reads.
    pub message: Cow<'static, str>,
    /// Path of the field that is at fault, such as `user.sessionId`.
    pub field: Option<Cow<'static, str>>,
    /// When the same message may succeed.
    pub retry_after: Option<Duration>,
}

impl CommandError {
    /// An error without a field.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), field: None, retry_after: None }
    }

    /// An error about one field.
    pub fn field(
        code: ErrorCode,
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, message: message.into(), field: Some(field.into()), retry_after: None }
    }

    /// The same error, with the time after which to try again.
    #[must_use]
    pub fn retry_after(self, span: Duration) -> Self {
        Self { retry_after: Some(span), ..self }
    }
}

/// Why the server ends a connection. 1012 and 4000–4499 mean "come back", 4500–4999 "don't"
/// (WebSocket close codes, RFC 6455 section 7.4; the ranges are ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed first and in good order; this is the echo.
    PeerClosed,
    /// The server is going away; `server_draining` said when to come back.
    Draining,
    /// Stopped reading, and stayed so.
    SlowConsumer,
    /// Nothing heard after a ping.
    HeartbeatTimeout,
    /// Went on after `rate_limited`, or has too many connections.
    RateLimitAbused,
    /// The token's time is over; come back with a new one.
    TokenExpired,
    /// A newer connection has the session; this one must not come back by itself.
    TakenOver,
    /// Broke the rules of the protocol.
    ProtocolAbused,
    /// Nobody was known in time, or the token is bad.
    NotAuthorized,
    /// Sent away by the operator.
    Kicked,
}

impl CloseReason {
    /// Every reason, for metrics and documents.
    pub const ALL: [CloseReason; 10] = [
        Self::PeerClosed,
        Self::Draining,
        Self::SlowConsumer,
        Self::HeartbeatTimeout,
        Self::RateLimitAbused,
        Self::TokenExpired,
        Self::TakenOver,
        Self::ProtocolAbused,
        Self::NotAuthorized,
        Self::Kicked,
    ];

    /// The WebSocket close code.
    pub const fn code(self) -> u16 {
        match self {
            Self::PeerClosed => 1000,
            Self::Draining => 1012,
            Self::SlowConsumer => 4000,
            Self::HeartbeatTimeout => 4001,
            Self::RateLimitAbused => 4008,
            Self::TokenExpired => 4010,
            Self::TakenOver => 4409,
            Self::ProtocolAbused => 4500,
            Self::NotAuthorized => 4501,
            Self::Kicked => 4503,
        }
    }

    /// Whether the client should come back by itself.
    pub const fn wants_return(self) -> bool {
        match self {
            Self::Draining
            | Self::SlowConsumer
            | Self::HeartbeatTimeout
            | Self::RateLimitAbused
            | Self::TokenExpired => true,
            Self::PeerClosed
            | Self::TakenOver
            | Self::ProtocolAbused
            | Self::NotAuthorized
            | Self::Kicked => false,
        }
    }

    /// One word, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Draining => "draining",
            Self::SlowConsumer => "slow_consumer",
            Self::HeartbeatTimeout => "heartbeat_timeout",
            Self::RateLimitAbused => "rate_limit_abused",
            Self::TokenExpired => "token_expired",
            Self::TakenOver => "taken_over",
            Self::ProtocolAbused => "protocol_abused",
            Self::NotAuthorized => "not_authorized",
            Self::Kicked => "kicked",
        }
    }

    /// The sentence in the close frame; at most 123 bytes (RFC 6455 section 5.5.1).
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::PeerClosed => "",
            Self::Draining => "the server is restarting; come back after retry_after_ms",
            Self::SlowConsumer => "you stopped reading; come back when you can read again",
            Self::HeartbeatTimeout => "nothing was heard from you after a ping; come back",
            Self::RateLimitAbused => "this is more than you may send or open; come back later and slower",
            Self::TokenExpired => "your token has expired; come back with a new one",
            Self::TakenOver => "a newer connection took this session over; do not come back by yourself",
            Self::ProtocolAbused => "you broke the protocol; do not come back",
            Self::NotAuthorized => "you did not say who you are; do not come back with the same credentials",
            Self::Kicked => "you were sent away; do not come back",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_sentence_fits_a_close_frame_and_every_code_is_its_own() {
        let mut codes: Vec<u16> = CloseReason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CloseReason::ALL.len());
        assert!(CloseReason::ALL.iter().all(|reason| reason.sentence().len() <= 123));
    }
}
