//! What can be set, and from where: flags over `PRESENCE_*` over a TOML file over the defaults. A setting has one name
//! in three spellings: `--heartbeat-ms`, `PRESENCE_HEARTBEAT_MS`, `heartbeat_ms`.

mod check;
mod effective;
mod flags;
mod read;
mod reference;
mod secret;
mod settings;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use presence_core::limits::Limits;
use presence_core::rights::UserIds;
use serde::{Deserialize, Serialize};

use crate::webhook::EventKind;

pub use flags::Task;
pub use read::{Asked, ConfigError, read};
pub use secret::Secret;

/// How many things this machine can do at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Every setting with its default. Numbers carry their unit in the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    missing_docs,
    reason = "each setting is described where `--help` takes its text from: `settings.rs`"
)]
pub struct Config {
    pub listen: SocketAddr,
    pub token_secret: Secret,
    pub token_secret_file: String,
    pub token_key_files: Vec<String>,
    pub token_audience: String,
    pub token_issuer: String,
    pub token_bytes_max: usize,
    pub api_key: Secret,
    pub api_key_file: String,
    pub user_id_pattern: String,
    pub revocations_max: usize,
    pub tls_cert_file: PathBuf,
    pub tls_key_file: PathBuf,
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<String>,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub connections_per_user_max: usize,
    pub shared_connections_max: usize,
    pub unauthenticated_max: usize,
    pub connects_per_second: u32,
    pub connects_burst: u32,
    pub requests_per_second: u32,
    pub requests_burst: u32,
    pub failed_auths_per_minute: u32,
    pub abuses_per_minute: u32,
    pub addresses_max: usize,
    pub header_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub body_bytes_max: usize,
    pub posts_max: usize,
    pub silent_timeout_ms: u64,
    pub threads: usize,
    pub shards: usize,
    pub data_dir: PathBuf,
    pub store: StoreKind,
    pub store_sync: StoreSync,
    pub webhook_url: String,
    pub webhook_secret: Secret,
    pub webhook_secret_file: String,
    pub webhook_ca_file: PathBuf,
    pub webhook_events: Vec<String>,
    pub webhook_batch_max: usize,
    pub webhook_wait_ms: u64,
    pub webhook_timeout_ms: u64,
    pub webhook_retry_ms: u64,
    pub webhook_held_max: usize,
    pub log_level: String,
    pub log_format: LogFormat,
    pub metrics_access: Exposure,
    pub debug_access: Exposure,

    pub heartbeat_ms: u64,
    pub heartbeat_timeout_ms: u64,
    pub poor_rtt_ms: u64,
    pub silence_ms: u64,
    pub grace_ms: u64,
    pub going_away_grace_ms: u64,
    pub typing_ms: u64,
    pub hello_ms: u64,
    pub tick_ms: u64,
    pub large_room_tick_ms: u64,
    pub huge_room_tick_ms: u64,
    pub window_tick_ms: u64,
    pub stall_ms: u64,
    pub message_time_ms: u64,
    pub drain_ms: u64,
    pub handover_age_ms: u64,
    pub message_age_ms: u64,
    pub dedup_ms: u64,
    pub redelivery_ms: u64,
    pub tail_age_ms: u64,
    pub last_online_ms: u64,

    pub large_room_users: usize,
    pub huge_room_users: usize,
    pub exact_users_max: usize,
    pub window_rows_max: usize,
    pub windows_per_room_max: usize,
    pub message_bytes_max: usize,
    pub fragments_max: u32,
    pub json_depth_max: usize,
    pub rooms_per_connection_max: usize,
    pub users_per_room_max: usize,
    pub sessions_per_user_max: usize,
    pub state_bytes_max: usize,
    pub cursor_bytes_max: usize,
    pub name_chars_max: usize,
    pub avatar_bytes_max: usize,
    pub watched_users_max: usize,
    pub document_bytes_max: usize,
    pub last_online_waiting_max: usize,
    pub messages_per_second: u32,
    pub messages_burst: u32,
    pub user_messages_per_second: u32,
    pub user_messages_burst: u32,
    pub joins_per_second: u32,
    pub joins_burst: u32,
    pub user_joins_per_second: u32,
    pub user_joins_burst: u32,
    pub control_per_second: u32,
    pub control_burst: u32,
    pub abuse_max: u32,
    pub abuse_window_ms: u64,
    pub feed_messages_max: usize,
    pub feed_bytes_max: usize,
    pub feed_age_ms: u64,
    pub kept_events_bytes_max: usize,
    pub handover_bytes_max: u64,
    pub live_frames_max: usize,
    pub gather_bytes_max: usize,
    pub mailbox_max: usize,
    pub mailbox_bytes_max: usize,
    pub shard_inbox_max: usize,
    pub stream_messages_max: usize,
    pub stream_bytes_max: usize,
    pub dedup_ids_max: usize,
    pub redeliveries_max: u32,
    pub tail_messages_max: usize,
    pub tail_bytes_max: usize,
    pub page_messages_max: usize,
    pub page_bytes_max: usize,
    pub sync_items_max: usize,
    pub hub_inbox_max: usize,
    pub store_queue_max: usize,
    pub store_batch_max: usize,
    pub store_gather_ms: u64,
    pub store_bytes_max: u64,
    pub store_reserve_bytes: u64,
}

/// Where messages, rosters and profiles are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In a file if there is a folder for it, else in memory.
    Auto,
    /// In memory: they end with the process.
    Memory,
    /// In a file.
    Sqlite,
}

/// What an acknowledged message survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreSync {
    /// The loss of power.
    Full,
    /// The end of the process, whatever it is.
    Normal,
}

/// Who may read what is there for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// Whoever reaches the server.
    Open,
    /// Whoever has the API key; where nobody has to prove anything, everybody.
    Key,
    /// Nobody: there is nothing at the address.
    Off,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// The port that is listened on unless another is asked for.
const PORT: u16 = 8080;

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}

/// Makes the defaults of a list of settings, which is as long as it is.
macro_rules! defaults {
    ($limits:ident: $($setting:ident: $default:expr,)*) => {
        impl Default for Config {
            fn default() -> Self {
                let $limits = Limits::default();
                Self { $($setting: $default,)* }
            }
        }
    };
}

defaults! { limits:
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT),
            token_secret: Secret::default(),
            token_secret_file: String::new(),
            token_key_files: Vec::new(),
            token_audience: String::new(),
            token_issuer: String::new(),
            token_bytes_max: 8 * 1024,
            api_key: Secret::default(),
            api_key_file: String::new(),
            user_id_pattern: String::new(),
            revocations_max: 100_000,
            tls_cert_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
            connections_max: 1_000_000,
            connections_per_address_max: 2_000,
            connections_per_user_max: 64,
            shared_connections_max: 32,
            unauthenticated_max: 10_000,
            connects_per_second: 100,
            connects_burst: 1_000,
            requests_per_second: 1_000,
            requests_burst: 3_000,
            failed_auths_per_minute: 60,
            abuses_per_minute: 60,
            addresses_max: 100_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            body_bytes_max: 256 * 1024,
            posts_max: 256,
            silent_timeout_ms: 30_000,
            threads: cores(),
            shards: (cores() / 2).max(1),
            data_dir: PathBuf::new(),
            store: StoreKind::Auto,
            store_sync: StoreSync::Full,
            webhook_url: String::new(),
            webhook_secret: Secret::default(),
            webhook_secret_file: String::new(),
            webhook_ca_file: PathBuf::new(),
            webhook_events: EventKind::ALL.map(|kind| kind.as_str().to_owned()).into(),
            webhook_batch_max: 100,
            webhook_wait_ms: 100,
            webhook_timeout_ms: 10_000,
            webhook_retry_ms: 1_000,
            webhook_held_max: 100_000,
            log_level: "info".to_owned(),
            log_format: LogFormat::Auto,
            metrics_access: Exposure::Open,
            debug_access: Exposure::Key,
            heartbeat_ms: millis(limits.heartbeat),
            heartbeat_timeout_ms: millis(limits.heartbeat_timeout),
            poor_rtt_ms: millis(limits.poor_rtt),
            silence_ms: millis(limits.silence),
            grace_ms: millis(limits.grace),
            going_away_grace_ms: millis(limits.going_away_grace),
            typing_ms: millis(limits.typing),
            hello_ms: millis(limits.hello),
            tick_ms: millis(limits.tick),
            large_room_tick_ms: millis(limits.large_room_tick),
            huge_room_tick_ms: millis(limits.huge_room_tick),
            window_tick_ms: millis(limits.window_tick),
            stall_ms: millis(limits.stall),
            message_time_ms: millis(limits.message_time),
            drain_ms: millis(limits.drain),
            handover_age_ms: 300_000,
            message_age_ms: millis(limits.message_age_max),
            dedup_ms: 24 * 3_600_000,
            redelivery_ms: millis(limits.redelivery),
            tail_age_ms: millis(limits.tail_age_max),

            last_online_ms: 60_000,
            large_room_users: limits.large_room_users,
            huge_room_users: limits.huge_room_users,
            exact_users_max: limits.exact_users_max,
            window_rows_max: limits.window_rows_max,
            windows_per_room_max: limits.windows_per_room_max,
            message_bytes_max: limits.message_bytes_max,
            fragments_max: 64,
            json_depth_max: limits.json_depth_max,
            rooms_per_connection_max: limits.rooms_per_connection_max,
            users_per_room_max: limits.users_per_room_max,
            sessions_per_user_max: limits.sessions_per_user_max,
            state_bytes_max: limits.state_bytes_max,
            cursor_bytes_max: limits.cursor_bytes_max,
            name_chars_max: limits.name_chars_max,
            avatar_bytes_max: limits.avatar_bytes_max,
            watched_users_max: limits.watched_users_max,
            document_bytes_max: 64 * 1024,
            last_online_waiting_max: 100_000,
            messages_per_second: limits.messages_per_second,
            messages_burst: limits.messages_burst,
            user_messages_per_second: limits.user_messages_per_second,
            user_messages_burst: limits.user_messages_burst,
            joins_per_second: limits.joins_per_second,
            joins_burst: limits.joins_burst,
            user_joins_per_second: limits.user_joins_per_second,
            user_joins_burst: limits.user_joins_burst,
            control_per_second: limits.control_per_second,
            control_burst: limits.control_burst,
            abuse_max: limits.abuse_max,
            abuse_window_ms: millis(limits.abuse_window),
            feed_messages_max: limits.feed_messages_max,
            feed_bytes_max: limits.feed_bytes_max,
            feed_age_ms: millis(limits.feed_age_max),
            kept_events_bytes_max: limits.kept_events_bytes_max,
            handover_bytes_max: 256 * 1024 * 1024,
            live_frames_max: limits.live_frames_max,
            gather_bytes_max: limits.gather_bytes_max,
            mailbox_max: limits.mailbox_max,
            mailbox_bytes_max: limits.mailbox_bytes_max,
            shard_inbox_max: limits.shard_inbox_max,
            stream_messages_max: 10_000,
            stream_bytes_max: 16 * 1024 * 1024,
            dedup_ids_max: 1_000_000,
            redeliveries_max: limits.redeliveries_max,
            tail_messages_max: limits.tail_messages_max,
            tail_bytes_max: limits.tail_bytes_max,
            page_messages_max: limits.page_messages_max,
            page_bytes_max: limits.page_bytes_max,
            sync_items_max: limits.sync_items_max,
            hub_inbox_max: limits.hub_inbox_max,
            store_queue_max: 16_384,
            store_batch_max: 1_000,
            store_gather_ms: 2,
            store_bytes_max: 0,
            store_reserve_bytes: 4 * 1024 * 1024,
}

impl Config {
    /// The bounds of the model.
    pub fn limits(&self) -> Limits {
        let span = Duration::from_millis;
        Limits {
            heartbeat: span(self.heartbeat_ms),
            heartbeat_timeout: span(self.heartbeat_timeout_ms),
            poor_rtt: span(self.poor_rtt_ms),
            silence: span(self.silence_ms),
            grace: span(self.grace_ms),
            going_away_grace: span(self.going_away_grace_ms),
            typing: span(self.typing_ms),
            hello: span(self.hello_ms),
            tick: span(self.tick_ms),
            large_room_tick: span(self.large_room_tick_ms),
            huge_room_tick: span(self.huge_room_tick_ms),
            window_tick: span(self.window_tick_ms),
            stall: span(self.stall_ms),
            message_time: span(self.message_time_ms),
            drain: span(self.drain_ms),

            large_room_users: self.large_room_users,
            huge_room_users: self.huge_room_users,
            exact_users_max: self.exact_users_max,
            window_rows_max: self.window_rows_max,
            windows_per_room_max: self.windows_per_room_max,
            user_ids: UserIds::named(&self.user_id_pattern),
            message_bytes_max: self.message_bytes_max,
            json_depth_max: self.json_depth_max,
            rooms_per_connection_max: self.rooms_per_connection_max,
            users_per_room_max: self.users_per_room_max,
            sessions_per_user_max: self.sessions_per_user_max,
            state_bytes_max: self.state_bytes_max,
            cursor_bytes_max: self.cursor_bytes_max,
            name_chars_max: self.name_chars_max,
            avatar_bytes_max: self.avatar_bytes_max,
            watched_users_max: self.watched_users_max,
            messages_per_second: self.messages_per_second,
            messages_burst: self.messages_burst,
            user_messages_per_second: self.user_messages_per_second,
            user_messages_burst: self.user_messages_burst,
            joins_per_second: self.joins_per_second,
            joins_burst: self.joins_burst,
            user_joins_per_second: self.user_joins_per_second,
            user_joins_burst: self.user_joins_burst,
            control_per_second: self.control_per_second,
            control_burst: self.control_burst,
            abuse_max: self.abuse_max,
            abuse_window: span(self.abuse_window_ms),
            feed_messages_max: self.feed_messages_max,
            feed_bytes_max: self.feed_bytes_max,
            feed_age_max: span(self.feed_age_ms),
            kept_events_bytes_max: self.kept_events_bytes_max,
            live_frames_max: self.live_frames_max,
            gather_bytes_max: self.gather_bytes_max,
            mailbox_max: self.mailbox_max,
            mailbox_bytes_max: self.mailbox_bytes_max,
            shard_inbox_max: self.shard_inbox_max,
            redelivery: span(self.redelivery_ms),
            redeliveries_max: self.redeliveries_max,
            message_age_max: span(self.message_age_ms),
            tail_age_max: span(self.tail_age_ms),
            // What the store has dropped must not be in memory any more.
            tail_messages_max: self.tail_messages_max.min(self.stream_messages_max),
            tail_bytes_max: self.tail_bytes_max.min(self.stream_bytes_max),
            page_messages_max: self.page_messages_max,
            page_bytes_max: self.page_bytes_max,
            sync_items_max: self.sync_items_max,
            hub_inbox_max: self.hub_inbox_max,
        }
    }
}
