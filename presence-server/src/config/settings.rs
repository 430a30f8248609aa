//! What `--help` and the reference say of each setting.

use toml::Value;

/// A setting: under which heading `--help` shows it, its name, and what it is.
pub(super) struct Setting {
    pub(super) heading: &'static str,
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

const fn server(name: &'static str, help: &'static str) -> Setting {
    Setting { heading: "Server", name, help }
}

const fn auth(name: &'static str, help: &'static str) -> Setting {
    Setting { heading: "Who may", name, help }
}

const fn webhook(name: &'static str, help: &'static str) -> Setting {
    Setting { heading: "Webhooks", name, help }
}

const fn time(name: &'static str, help: &'static str) -> Setting {
    Setting { heading: "Times", name, help }
}

const fn bound(name: &'static str, help: &'static str) -> Setting {
    Setting { heading: "Bounds", name, help }
}

/// Whether a setting's value must not be shown: what a name ends in says what it holds. A file with a secret in it is
/// `…_file`, and may be named.
pub(super) fn is_secret(name: &str) -> bool {
    ["secret", "key", "password", "token"].contains(&name.rsplit('_').next().unwrap_or(name))
}

/// A value as it is written in a flag or a variable.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// In the order in which `--help` shows them.
pub(super) const SETTINGS: &[Setting] = &[
    server("listen", "Address and port to listen on; without tokens only a loopback address"),
    server("tls_cert_file", "PEM file with the certificate and its chain: the server then speaks HTTPS only"),
    server("tls_key_file", "PEM file with the certificate's key; both are read again on SIGHUP"),
    auth(
        "token_secret",
        "Secret of 32 bytes or more that tokens are signed with (HS256); better a variable than a flag",
    ),
    auth("token_secret_file", "File with that secret"),
    auth(
        "token_key_files",
        "Files with keys of tokens: JWK Sets, or PEM files with one public key, named KID.pem",
    ),
    auth("token_audience", "What `aud` of a token has to be or contain"),
    auth("token_issuer", "What `iss` of a token has to be"),
    auth("token_bytes_max", "Longest token"),
    auth("api_key", "Key of your backend for the HTTP interface, of 16 bytes or more"),
    auth("api_key_file", "File with that key"),
    auth(
        "user_id_pattern",
        "Form of user ids: hex24, uuid, or a text with * for any characters; any unless set",
    ),
    auth("revocations_max", "Users whose earlier tokens are refused, since they were sent away"),
    auth(
        "allowed_origins",
        "Origins of pages that may connect, beside the server's own; such as https://app.example",
    ),
    server(
        "trusted_proxies",
        "Addresses and networks (CIDR) whose X-Forwarded-For is believed; they are not limited themselves",
    ),
    server("connections_max", "Connections at once; one more is answered with 503"),
    server(
        "connections_per_address_max",
        "The same of one address (IPv6: of a /64); one more is answered with 429",
    ),
    server(
        "connections_per_user_max",
        "The same of one user; one more is answered with 429, or closed with 4008",
    ),
    server("shared_connections_max", "The same of one shared event stream; one more is answered with 429"),
    server("unauthenticated_max", "Connections whose user is not known yet; one more is answered with 503"),
    server("connects_per_second", "Connections that one address may open in the long run; more get 429"),
    server("connects_burst", "Connections that one address may open at once"),
    server("requests_per_second", "Requests that one address may make in the long run; more get 429"),
    server("requests_burst", "Requests that one address may make at once"),
    server("abuses_per_minute", "Connections of one address ended with 4008 or 4500 after which it gets 429"),
    server("failed_auths_per_minute", "Failed logins of one address after which it gets 429"),
    server("addresses_max", "Addresses that are remembered; the least recent are forgotten first"),
    server("header_timeout_ms", "How long a request's headers may take"),
    server("body_timeout_ms", "How long a request's body may take; a slower one is answered with 408"),
    server("body_bytes_max", "Largest body of a request; a larger one is answered with 413"),
    server("posts_max", "Messages posted to one event stream that may wait; one more is answered with 429"),
    server(
        "silent_timeout_ms",
        "How long a peer may acknowledge nothing before TCP gives it up; finds dead event streams",
    ),
    server("threads", "Threads that carry connections and rooms; as many as cores unless set"),
    server("shards", "Tasks that share the rooms among them; half the cores unless set"),
    server(
        "data_dir",
        "Folder for what outlives the server: its store, and what it hands over to the next; none: nothing does",
    ),
    server(
        "store",
        "auto, memory or sqlite: where messages, rosters and profiles are; auto is sqlite with data_dir",
    ),
    server(
        "store_sync",
        "full or normal: whether an acknowledged message survives the loss of power, or the process",
    ),
    server("log_level", "error, warn, info, debug, trace, or a filter such as presence_server=debug"),
    server(
        "metrics_access",
        "Who may read /metrics: open (whoever reaches it), key (with the API key) or off",
    ),
    server("debug_access", "Who may read /debug: open, key or off"),
    server("log_format", "auto, pretty or json; auto is pretty on a terminal"),
    webhook("webhook_url", "Address of your backend that is told what happens; nobody is told unless set"),
    webhook(
        "webhook_secret",
        "Secret of 32 bytes or more that requests to it are signed with; better a variable than a flag",
    ),
    webhook("webhook_secret_file", "File with that secret"),
    webhook(
        "webhook_ca_file",
        "PEM file with the authorities that its certificate may come from; those of the system unless set",
    ),
    webhook("webhook_events", "What it is told of"),
    webhook("webhook_batch_max", "Events in one request"),
    webhook("webhook_wait_ms", "How long an event may wait for others to come with it"),
    webhook("webhook_timeout_ms", "How long an answer may take"),
    webhook(
        "webhook_retry_ms",
        "How long to wait before a request is made again; twice as long each time, up to 5 minutes",
    ),
    webhook("webhook_held_max", "Events that wait to be delivered; one more and the oldest goes"),
    time("heartbeat_ms", "How often each connection is pinged"),
    time("heartbeat_timeout_ms", "How long after a ping something must be heard"),
    time("poor_rtt_ms", "Round-trip time above which a connection's quality is poor"),
    time("silence_ms", "How long after a ping, with nothing heard, a connection's quality is disconnected"),
    time("grace_ms", "How long a lost session stays in its rooms"),
    time("going_away_grace_ms", "How long a session stays whose page was closed or reloaded"),
    time("typing_ms", "How long typing lasts unless it is renewed"),
    time("hello_ms", "How long a connection may live before its user is known"),
    time("tick_ms", "Time between two hand-outs of a busy room; one may come up to an eighth of it earlier"),
    time("large_room_tick_ms", "The same for large rooms"),
    time("huge_room_tick_ms", "The same for huge rooms"),
    time(
        "window_tick_ms",
        "Shortest time between two windows of a room that a client who watches one is sent",
    ),
    time("stall_ms", "How long a connection may make no progress reading while it is otherwise alive"),
    time("message_time_ms", "How long a message may take from its first byte to its last"),
    time("drain_ms", "How long a stopping server waits for its connections"),
    time("last_online_ms", "How often it is noted that users who are connected are online"),
    time("handover_age_ms", "How old what the last server handed over may be"),
    time("message_age_ms", "How old a message may get; older ones go, and receivers are told"),
    time("redelivery_ms", "How long a message's acknowledgement is waited for before it goes again"),
    time("tail_age_ms", "How long the newest messages of a stream stay in memory when nothing new comes"),
    time("dedup_ms", "How long a message's id is remembered after the message has gone"),
    bound("large_room_users", "Above this many users a room is large"),
    bound("huge_room_users", "Above this many users a room is huge"),
    bound(
        "exact_users_max",
        "Above this many users a room can be entered only by those who watch a window of it",
    ),
    bound("window_rows_max", "Rows that a window may be asked for"),
    bound(
        "windows_per_room_max",
        "Different windows that may be watched in one room at once; one more is `busy`",
    ),
    bound("message_bytes_max", "Largest message from a client; a larger one ends the connection"),
    bound("fragments_max", "Pieces that a WebSocket message may come in"),
    bound("json_depth_max", "Deepest nesting of a message from a client"),
    bound("rooms_per_connection_max", "Rooms that one connection may be in"),
    bound("users_per_room_max", "Users that one room may hold"),
    bound("sessions_per_user_max", "Sessions that one user may have in one room"),
    bound("state_bytes_max", "Bytes of one session's state"),
    bound("cursor_bytes_max", "Bytes of one cursor"),
    bound("name_chars_max", "Characters of a user's name"),
    bound("avatar_bytes_max", "Bytes of an avatar's address"),
    bound("watched_users_max", "Users that one connection may watch"),
    bound("document_bytes_max", "Largest of a user's own documents; a larger one is answered with 413"),
    bound(
        "last_online_waiting_max",
        "Users whose last-online time may wait for the store; of more it is lost",
    ),
    bound("messages_per_second", "Messages that one connection may send in the long run"),
    bound("messages_burst", "Messages that one connection may send at once"),
    bound(
        "user_messages_per_second",
        "Messages that a user may send, over all connections and HTTP, in the long run",
    ),
    bound("user_messages_burst", "The same at once; what is changed over HTTP is a message too"),
    bound("joins_per_second", "Rooms that one connection may ask to enter in the long run"),
    bound("joins_burst", "Rooms that one connection may ask to enter at once"),
    bound("user_joins_per_second", "Rooms that all connections of a user may ask to enter in the long run"),
    bound("user_joins_burst", "Rooms that all connections of a user may ask to enter at once"),
    bound("control_per_second", "Pings and pongs that one connection may send in the long run"),
    bound("control_burst", "Pings and pongs that one connection may send at once"),
    bound("abuse_max", "Offences after which a connection ends"),
    bound("abuse_window_ms", "How long an offence counts"),
    bound("feed_messages_max", "Events that a room keeps for those who come back"),
    bound("feed_bytes_max", "Bytes of them"),
    bound("feed_age_ms", "How long it keeps them"),
    bound("kept_events_bytes_max", "Bytes of its latest events that a room hands over to the next server"),
    bound("handover_bytes_max", "Bytes of what is handed over in all; rooms beyond that begin anew"),
    bound("live_frames_max", "Hand-outs of cursors and typing that a room keeps"),
    bound("gather_bytes_max", "Bytes gathered per room for one write"),
    bound("mailbox_max", "Direct answers that wait for one connection"),
    bound("mailbox_bytes_max", "Bytes of them"),
    bound("shard_inbox_max", "Inputs that wait for one shard"),
    bound("stream_messages_max", "Messages that a room or inbox holds; one more and the oldest goes"),
    bound("stream_bytes_max", "Bytes of them; more and the oldest go"),
    bound(
        "dedup_ids_max",
        "Ids that are remembered of messages that have gone; one more and the oldest is forgotten",
    ),
    bound("redeliveries_max", "How often a message goes again on one connection"),
    bound("tail_messages_max", "The newest messages of a stream that are kept in memory"),
    bound("tail_bytes_max", "Bytes of them"),
    bound("page_messages_max", "Messages that are read from the store at once"),
    bound("page_bytes_max", "Bytes of them, and of the messages in one answer to a sync"),
    bound("sync_items_max", "Messages and changes in one answer to a sync"),
    bound("hub_inbox_max", "Messages that wait for one hub of streams; one more is busy"),
    bound("store_queue_max", "Calls that wait for the store; one more is answered with busy"),
    bound("store_batch_max", "Calls that share a commit of the store"),
    bound(
        "store_gather_ms",
        "How far apart commits begin that many share; 0: each begins when the one before is over",
    ),
    bound(
        "store_bytes_max",
        "Bytes of the store's file, beyond which it takes nothing; 0: as many as the disk has",
    ),
    bound("store_reserve_bytes", "Bytes of the disk kept for removing what is too old once it is full"),
];
