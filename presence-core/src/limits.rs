//! Every bound and every span of time of the system, each with its name, its unit and its outcome.

use std::time::Duration;

use crate::rate::Rate;
use crate::rights::UserIds;

/// How large, how many, how long. Made once at start and shared; the settings of the server map onto it one to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How often the server pings each connection.
    pub heartbeat: Duration,
    /// How long after a ping something must be heard; otherwise the connection ends with 4001.
    pub heartbeat_timeout: Duration,
    /// Above this round-trip time a connection's quality is poor.
    pub poor_rtt: Duration,
    /// How long after a ping, with nothing heard, a connection's quality is disconnected. It may still recover.
    pub silence: Duration,
    /// How long a session whose connection was lost stays in its rooms.
    pub grace: Duration,
    /// How long a session whose page went away (closed, or reloaded) stays in its rooms.
    pub going_away_grace: Duration,
    /// How long a typing indicator lasts without being renewed.
    pub typing: Duration,
    /// How long a connection may live before its user is known; then it ends with 4501.
    pub hello: Duration,
    /// The shortest time between two hand-outs of a busy room.
    pub tick: Duration,
    /// The same for rooms of more than [`large_room_users`](Self::large_room_users).
    pub large_room_tick: Duration,
    /// The same for rooms of more than [`huge_room_users`](Self::huge_room_users).
    pub huge_room_tick: Duration,
    /// The shortest time between two windows that one who watches a room is sent.
    pub window_tick: Duration,
    /// Above this many users a room is large.
    pub large_room_users: usize,
    /// Above this many users a room is huge.
    pub huge_room_users: usize,
    /// How long a connection may make no progress reading while it is otherwise alive; then it ends with 4000.
    pub stall: Duration,
    /// How long the server waits for its connections when it drains.
    pub drain: Duration,
    /// How long a message may take from its first byte to its last; then the connection ends with 4001.
    pub message_time: Duration,

    /// Which user ids there can be; another one is `bad_message`.
    pub user_ids: UserIds,
    /// Largest message from a client, in bytes; a larger one ends the connection with 4500.
    pub message_bytes_max: usize,
    /// Deepest nesting of a message from a client; deeper is `bad_json`.
    pub json_depth_max: usize,
    /// Rooms that one connection may be in; one more is `conflict`.
    pub rooms_per_connection_max: usize,
    /// Above this many users a room is entered with a window only; without one it is `too_large`.
    pub exact_users_max: usize,
    /// Rows that a window may be asked for; more is `bad_message`.
    pub window_rows_max: usize,
    /// Different windows that may be watched in one room; one more is `busy`.
    pub windows_per_room_max: usize,
    /// Users that one room may hold; one more is `busy`.
    pub users_per_room_max: usize,
    /// Sessions that one user may have in one room; one more is `conflict`.
    pub sessions_per_user_max: usize,
    /// Bytes of one session's state, keys and values; more is `too_large`.
    pub state_bytes_max: usize,
    /// Bytes of one cursor; more is `too_large`.
    pub cursor_bytes_max: usize,
    /// Characters of a user's name; more is `bad_message`.
    pub name_chars_max: usize,
    /// Bytes of an avatar's address; more is `bad_message`.
    pub avatar_bytes_max: usize,
    /// Users that one connection may watch; one more is `conflict`.
    pub watched_users_max: usize,

    /// Messages that one connection may send in the long run, per second.
    pub messages_per_second: u32,
    /// Messages that one connection may send at once; more is `rate_limited`.
    pub messages_burst: u32,
    /// Messages that all connections of one user may send in the long run, per second; one of them alone may always
    /// send what a connection may.
    pub user_messages_per_second: u32,
    /// Messages that they may send at once; more is `rate_limited`.
    pub user_messages_burst: u32,
    /// Rooms that one connection may ask to enter in the long run, per second.
    pub joins_per_second: u32,
    /// Rooms that it may ask to enter at once; more is `rate_limited`.
    pub joins_burst: u32,
    /// Rooms that all connections of one user may ask to enter in the long run, per second; one of them alone may always
    /// do what a connection may.
    pub user_joins_per_second: u32,
    /// Rooms that they may ask to enter at once; more is `rate_limited`.
    pub user_joins_burst: u32,
    /// Pings, pongs and other things without a message that one connection may send in the long run, per second.
    pub control_per_second: u32,
    /// How many of them it may send at once; more is `rate_limited`.
    pub control_burst: u32,
    /// `rate_limited` or malformed messages that one connection may collect within
    /// [`abuse_window`](Self::abuse_window); one more ends it with 4008 or 4500.
    pub abuse_max: u32,
    /// How long an offence counts.
    pub abuse_window: Duration,

    /// Versioned messages that a room keeps for those who come back or read slowly.
    pub feed_messages_max: usize,
    /// Bytes of them.
    pub feed_bytes_max: usize,
    /// How long it keeps them.
    pub feed_age_max: Duration,
    /// Bytes of its latest events that a room hands over to the next life of the server; who missed more gets a
    /// snapshot.
    pub kept_events_bytes_max: usize,
    /// Hand-outs of the live lane (cursors, typing) that a room keeps; who reads slower gets the latest of each.
    pub live_frames_max: usize,
    /// Bytes that are gathered for one connection before they are written.
    pub gather_bytes_max: usize,
    /// Direct answers waiting for one connection; one more ends it with 4000.
    pub mailbox_max: usize,
    /// Bytes of them, if there are several; more ends it likewise.
    pub mailbox_bytes_max: usize,

    /// How long the server waits for the acknowledgement of what it has sent before that goes again.
    pub redelivery: Duration,
    /// How often a message goes again on one connection; then it waits until the client comes back, or asks.
    pub redeliveries_max: u32,
    /// The newest messages of a stream that are kept in memory; who is further behind gets them from the store.
    pub tail_messages_max: usize,
    /// Bytes of them.
    pub tail_bytes_max: usize,
    /// How long they are kept there when nothing new comes.
    pub tail_age_max: Duration,
    /// How old a message may get; then nobody gets it any more.
    pub message_age_max: Duration,
    /// Messages that are read from the store at once.
    pub page_messages_max: usize,
    /// Bytes of them; the first is read however large it is.
    pub page_bytes_max: usize,
    /// Messages and changes that one answer to a sync may have.
    pub sync_items_max: usize,
    /// Messages waiting for one hub of streams, or for the store on its behalf; one more is `busy`.
    pub hub_inbox_max: usize,
    /// Inputs waiting for one shard; one more waits or is answered with `busy`.
    pub shard_inbox_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(10),
            poor_rtt: Duration::from_millis(300),
            silence: Duration::from_secs(3),
            grace: Duration::from_secs(15),
            going_away_grace: Duration::from_secs(3),
            typing: Duration::from_secs(5),
            hello: Duration::from_secs(10),
            tick: Duration::from_millis(33),
            large_room_tick: Duration::from_millis(100),
            huge_room_tick: Duration::from_millis(250),
            window_tick: Duration::from_millis(250),
            large_room_users: 1_000,
            huge_room_users: 5_000,
            stall: Duration::from_secs(120),
            drain: Duration::from_secs(20),
            message_time: Duration::from_secs(10),

            user_ids: UserIds::Any,
            message_bytes_max: 64 * 1024,
            json_depth_max: 32,
            rooms_per_connection_max: 100,
            exact_users_max: 20_000,
            window_rows_max: 200,
            windows_per_room_max: 1_024,
            users_per_room_max: 20_000,
            sessions_per_user_max: 64,
            state_bytes_max: 16 * 1024,
            cursor_bytes_max: 1024,
            name_chars_max: 128,
            avatar_bytes_max: 8 * 1024,
            watched_users_max: 5_000,

            messages_per_second: 120,
            messages_burst: 240,
            user_messages_per_second: 600,
            user_messages_burst: 1_200,
            joins_per_second: 10,
            joins_burst: 100,
            user_joins_per_second: 20,
            user_joins_burst: 200,
            control_per_second: 10,
            control_burst: 20,
            abuse_max: 100,
            abuse_window: Duration::from_secs(10),

            feed_messages_max: 4_096,
            feed_bytes_max: 1024 * 1024,
            feed_age_max: Duration::from_secs(120),
            kept_events_bytes_max: 64 * 1024,
            live_frames_max: 16,
            gather_bytes_max: 256 * 1024,
            mailbox_max: 1_024,
            mailbox_bytes_max: 16 * 1024 * 1024,
            redelivery: Duration::from_secs(10),
            redeliveries_max: 3,
            tail_messages_max: 256,
            tail_bytes_max: 256 * 1024,
            tail_age_max: Duration::from_secs(60),
            message_age_max: Duration::from_secs(30 * 24 * 3600),
            page_messages_max: 200,
            page_bytes_max: 256 * 1024,
            sync_items_max: 500,
            hub_inbox_max: 8_192,
            shard_inbox_max: 65_536,
        }
    }
}

/// Two settings that cannot both hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct LimitsError {
    /// The setting, named as in [`Limits`].
    pub field: &'static str,
    /// What must be true of it.
    pub rule: &'static str,
}

/// What has a rate of its own within one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// The messages of one connection.
    Messages,
    /// The messages of all connections of one user.
    UserMessages,
    /// The messages of one connection that enter a room.
    Joins,
    /// The messages of all connections of one user that enter a room.
    UserJoins,
    /// What one connection sends beside its messages.
    Control,
}

impl RateLimit {
    /// Every one, for metrics.
    pub const ALL: [Self; 5] =
        [Self::Messages, Self::UserMessages, Self::Joins, Self::UserJoins, Self::Control];

    /// The word that metrics have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::UserMessages => "user_messages",
            Self::Joins => "joins",
            Self::UserJoins => "user_joins",
            Self::Control => "control",
        }
    }

    /// What somebody is told who went beyond it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Messages => "this connection sends more than it may",
            Self::UserMessages => "your connections together send more than they may",
            Self::Joins => "this connection enters more rooms than it may in this time",
            Self::UserJoins => "your connections together enter more rooms than they may in this time",
            Self::Control => "this connection sends more pings and pongs than it may",
        }
    }
}

impl Limits {
    /// How often something may happen.
    pub fn rate(&self, limit: RateLimit) -> Rate {
        match limit {
            RateLimit::Messages => Rate::per_second(self.messages_per_second, self.messages_burst),
            RateLimit::UserMessages => {
                let per_second = self.user_messages_per_second.max(self.messages_per_second);
                Rate::per_second(per_second, self.user_messages_burst.max(self.messages_burst))
            }
            RateLimit::Joins => Rate::per_second(self.joins_per_second, self.joins_burst),
            RateLimit::UserJoins => {
                let per_second = self.user_joins_per_second.max(self.joins_per_second);
                Rate::per_second(per_second, self.user_joins_burst.max(self.joins_burst))
            }
            RateLimit::Control => Rate::per_second(self.control_per_second, self.control_burst),
        }
    }

    /// Checks what must hold between the fields.
    ///
    /// # Errors
    /// Names the first field that breaks a rule.
    pub fn check(&self) -> Result<(), LimitsError> {
        let rules = [
            ("heartbeat", "must be at least 100 ms", self.heartbeat >= Duration::from_millis(100)),
            (
                "heartbeat_timeout",
                "must be more than 0 and shorter than `heartbeat`",
                !self.heartbeat_timeout.is_zero() && self.heartbeat_timeout < self.heartbeat,
            ),
            ("going_away_grace", "must not be longer than `grace`", self.going_away_grace <= self.grace),
            ("hello", "must be more than 0", !self.hello.is_zero()),
            ("large_room_tick", "must not be shorter than `tick`", self.tick <= self.large_room_tick),
            (
                "huge_room_tick",
                "must not be shorter than `large_room_tick`",
                self.large_room_tick <= self.huge_room_tick,
            ),
            (
                "huge_room_users",
                "must not be less than `large_room_users`",
                self.large_room_users <= self.huge_room_users,
            ),
            ("message_bytes_max", "must be at least 1024", self.message_bytes_max >= 1024),
            (
                "state_bytes_max",
                "must be less than `message_bytes_max`",
                self.state_bytes_max < self.message_bytes_max,
            ),
            ("json_depth_max", "must be at least 4", self.json_depth_max >= 4),
            ("rooms_per_connection_max", "must be at least 1", self.rooms_per_connection_max >= 1),
            ("window_rows_max", "must be at least 1", self.window_rows_max >= 1),
            ("windows_per_room_max", "must be at least 1", self.windows_per_room_max >= 1),
            ("users_per_room_max", "must be at least 1", self.users_per_room_max >= 1),
            ("sessions_per_user_max", "must be at least 1", self.sessions_per_user_max >= 1),
            ("messages_per_second", "must be at least 1", self.messages_per_second >= 1),
            (
                "messages_burst",
                "must not be less than `messages_per_second`",
                self.messages_burst >= self.messages_per_second,
            ),
            ("joins_per_second", "must be at least 1", self.joins_per_second >= 1),
            ("joins_burst", "must be at least 1", self.joins_burst >= 1),
            ("control_per_second", "must be at least 1", self.control_per_second >= 1),
            ("control_burst", "must be at least 1", self.control_burst >= 1),
            ("message_time", "must be more than 0", !self.message_time.is_zero()),
            ("feed_messages_max", "must be at least 1", self.feed_messages_max >= 1),
            ("live_frames_max", "must be at least 1", self.live_frames_max >= 1),
            ("gather_bytes_max", "must be at least 1024", self.gather_bytes_max >= 1024),
            ("mailbox_max", "must be at least 8", self.mailbox_max >= 8),
            ("mailbox_bytes_max", "must be at least 1024", self.mailbox_bytes_max >= 1024),
            ("redelivery", "must be at least 10 ms", self.redelivery >= Duration::from_millis(10)),
            ("tail_messages_max", "must be at least 1", self.tail_messages_max >= 1),
            ("page_messages_max", "must be at least 1", self.page_messages_max >= 1),
            ("sync_items_max", "must be at least 1", self.sync_items_max >= 1),
            ("hub_inbox_max", "must be at least 8", self.hub_inbox_max >= 8),
            ("shard_inbox_max", "must be at least 8", self.shard_inbox_max >= 8),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            Some((field, rule, _)) => Err(LimitsError { field, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_with_each_other() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_broken_relation_is_named() {
        let limits = Limits { heartbeat_timeout: Duration::from_secs(60), ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().field, "heartbeat_timeout");
    }
}
