//! Every metric of the server: name, help, unit, and the one place where it is counted. Labels have few values: never
//! a user, a room or an address.

mod audit;
mod describe;
mod outcome;
mod process;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use presence_core::audit::Invariant;
use presence_core::error::ErrorCode;
use presence_core::frame::Frame;
use presence_core::port::store::Balance;
use presence_core::room::LeaveCause;
use presence_core::session::Quality;
use presence_core::shard::{Shard, Tally};
use presence_core::wire::{ClientMessage, SnapshotReason};

use crate::limits::Bound;
pub(crate) use outcome::Outcome;
use process::Process;

const CONNECTIONS: &str = "presence_connections";
const OPENED: &str = "presence_connections_opened_total";
const DISCONNECTS: &str = "presence_disconnects_total";
const STALE: &str = "presence_stale_connections_total";
const SESSIONS: &str = "presence_sessions";
const USERS: &str = "presence_users";
const ROOMS: &str = "presence_rooms";
const JOINS: &str = "presence_joins_total";
const LEAVES: &str = "presence_leaves_total";
const RESTORES: &str = "presence_restores_total";
const TAKEOVERS: &str = "presence_takeovers_total";
const FENCED: &str = "presence_fenced_commands_total";
const SNAPSHOTS: &str = "presence_snapshots_total";
const VIOLATIONS: &str = "presence_invariant_violations_total";
const DRIFT: &str = "presence_drift_total";
const REPLAYS: &str = "presence_replays_total";
const WINDOWS: &str = "presence_windows_total";
const HAND_OUTS: &str = "presence_hand_outs_total";
const ROOM_MESSAGES: &str = "presence_room_messages_total";
const RECEIVED: &str = "presence_messages_received_total";
const SENT: &str = "presence_messages_sent_total";
const SENT_BYTES: &str = "presence_sent_bytes_total";
const WRITES: &str = "presence_writes_total";
const ERRORS: &str = "presence_errors_total";
const HEARTBEATS: &str = "presence_heartbeats_total";
const RTT: &str = "presence_heartbeat_rtt_seconds";
const DELIVERY: &str = "presence_delivery_seconds";
const INBOX: &str = "presence_shard_inbox_inputs";
const ACCEPT_ERRORS: &str = "presence_accept_errors_total";
const RATE_LIMITED: &str = "presence_rate_limited_total";
const REFUSED: &str = "presence_connections_refused_total";
const TOKENS_REFUSED: &str = "presence_tokens_refused_total";
const TLS_HANDSHAKES: &str = "presence_tls_handshakes_total";
const TLS_RELOADS: &str = "presence_tls_certificate_reloads_total";
const HTTP: &str = "presence_http_requests_total";
const HANDOVERS: &str = "presence_handovers_total";
const STORE_WELL: &str = "presence_store_well";
const STORE_COMMITS: &str = "presence_store_commit_seconds";
const STORE_CALLS: &str = "presence_store_calls_total";
const STORE_QUEUE: &str = "presence_store_queue_calls";
const STORE_FAILURES: &str = "presence_store_failures_total";
const STORE_BYTES: &str = "presence_store_file_bytes";
const STREAM_MESSAGES: &str = "presence_stream_messages";
const PUBLISHED: &str = "presence_messages_published_total";
const COMMIT: &str = "presence_message_commit_seconds";
const MESSAGE_DELIVERY: &str = "presence_message_delivery_seconds";
const REDELIVERED: &str = "presence_messages_redelivered_total";
const SYNCS: &str = "presence_syncs_total";
const WEBHOOK_EVENTS: &str = "presence_webhook_events_total";
const WEBHOOK_HELD: &str = "presence_webhook_held_events";
const WEBHOOK_POSTS: &str = "presence_webhook_posts_total";
const WEBHOOK_SECONDS: &str = "presence_webhook_post_seconds";
const WATCHED: &str = "presence_watched_users";
const PROFILES: &str = "presence_profile_changes_total";
const INVITATIONS: &str = "presence_invitations_total";
const LAST_ONLINE: &str = "presence_last_online_writes_total";
const BUILD: &str = "presence_build_info";
const RESIDENT: &str = "process_resident_memory_bytes";
const TASKS: &str = "presence_tasks";
const FDS: &str = "process_open_fds";
const FDS_MAX: &str = "process_max_fds";
const CPU: &str = "process_cpu_seconds_total";
const STARTED: &str = "process_start_time_seconds";

/// From a tick on a quiet machine to a stall.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("seconds".to_owned()), &SECONDS)
            .expect("the list of buckets is not empty")
            .install_recorder()
            .expect("nothing else in this process records metrics");
        describe::describe();
        handle
    })
}

/// Handles to what is counted often. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    received: [Counter; ClientMessage::TYPES.len()],
    errors: [Counter; ErrorCode::ALL.len()],
    leaves: [Counter; LeaveCause::ALL.len()],
    snapshots: [Counter; SnapshotReason::ALL.len()],
    heartbeats: [Counter; Quality::ALL.len()],
    violations: [Counter; Invariant::ALL.len()],
    drift: audit::Drift,
    published: [Counter; Outcome::ALL.len()],
    joins: Counter,
    restores: Counter,
    takeovers: Counter,
    fenced: Counter,
    replays: Counter,
    windows: Counter,
    hand_outs: Counter,
    room_messages: Counter,
    sent: Counter,
    sent_bytes: Counter,
    writes: Counter,
    sessions: Gauge,
    users: Gauge,
    rtt: Histogram,
    delivery: Histogram,
    commit: Histogram,
    message_delivery: Histogram,
}

/// What is known of one shard.
pub(crate) struct ShardGauges {
    rooms: Gauge,
    inbox: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Installs the recorder if this process has none yet.
    pub fn new() -> Self {
        recorder();
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        // A rate over a counter that is not there yet misses its first steps.
        counter!(STALE).increment(0);
        for error in ["connection", "exhausted"] {
            counter!(ACCEPT_ERRORS, "error" => error).increment(0);
        }
        for reason in ["connections_max", "descriptors"] {
            counter!(REFUSED, "reason" => reason).increment(0);
        }
        Self {
            received: ClientMessage::TYPES.map(|kind| counter!(RECEIVED, "type" => kind)),
            errors: ErrorCode::ALL.map(|code| counter!(ERRORS, "code" => code.as_str())),
            leaves: LeaveCause::ALL.map(|cause| counter!(LEAVES, "cause" => cause.as_str())),
            snapshots: SnapshotReason::ALL.map(|reason| counter!(SNAPSHOTS, "reason" => reason.as_str())),
            heartbeats: Quality::ALL.map(|quality| counter!(HEARTBEATS, "quality" => quality.as_str())),
            violations: audit::violations(),
            drift: audit::Drift::new(),
            published: Outcome::ALL.map(|outcome| counter!(PUBLISHED, "outcome" => outcome.as_str())),
            joins: counter!(JOINS),
            restores: counter!(RESTORES),
            takeovers: counter!(TAKEOVERS),
            fenced: counter!(FENCED),
            replays: counter!(REPLAYS),
            windows: counter!(WINDOWS),
            hand_outs: counter!(HAND_OUTS),
            room_messages: counter!(ROOM_MESSAGES),
            sent: counter!(SENT),
            sent_bytes: counter!(SENT_BYTES),
            writes: counter!(WRITES),
            sessions: gauge!(SESSIONS),
            users: gauge!(USERS),
            rtt: histogram!(RTT),
            delivery: histogram!(DELIVERY),
            commit: histogram!(COMMIT),
            message_delivery: histogram!(MESSAGE_DELIVERY),
        }
    }

    pub(crate) fn connection_opened(&self, transport: &'static str) {
        gauge!(CONNECTIONS, "transport" => transport).increment(1.0);
        counter!(OPENED, "transport" => transport).increment(1);
    }

    pub(crate) fn connection_ended(&self, transport: &'static str, reason: &'static str) {
        gauge!(CONNECTIONS, "transport" => transport).decrement(1.0);
        counter!(DISCONNECTS, "transport" => transport, "reason" => reason).increment(1);
        if reason == presence_core::error::CloseReason::HeartbeatTimeout.as_str() {
            counter!(STALE).increment(1);
            self.heartbeats[Quality::Disconnected as usize].increment(1);
        }
    }

    pub(crate) fn connection_refused(&self, reason: &'static str) {
        counter!(REFUSED, "reason" => reason).increment(1);
    }

    /// Somebody went beyond a bound of addresses or users.
    pub(crate) fn refused(&self, bound: Bound) {
        if bound.is_of_connections() {
            self.connection_refused(bound.as_str());
        } else {
            self.rate_limited(bound.as_str());
        }
    }

    pub(crate) fn rate_limited(&self, limit: &'static str) {
        counter!(RATE_LIMITED, "limit" => limit).increment(1);
    }

    pub(crate) fn accept_failed(&self, error: &'static str) {
        counter!(ACCEPT_ERRORS, "error" => error).increment(1);
    }

    pub(crate) fn token_refused(&self, reason: &'static str) {
        counter!(TOKENS_REFUSED, "reason" => reason).increment(1);
    }

    /// `outcome`: `done`, `failed` or `timed_out`.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_handshake(&self, outcome: &'static str) {
        counter!(TLS_HANDSHAKES, "outcome" => outcome).increment(1);
    }

    /// Nothing has been read again yet: what is counted for the first time could not be seen to rise.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_loaded(&self) {
        for outcome in ["done", "failed"] {
            counter!(TLS_RELOADS, "outcome" => outcome).increment(0);
        }
    }

    /// A certificate that cannot be used leaves the one before in its place.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_reloaded(&self, worked: bool) {
        counter!(TLS_RELOADS, "outcome" => if worked { "done" } else { "failed" }).increment(1);
    }

    pub(crate) fn http_answered(&self, route: &'static str, status: u16) {
        counter!(HTTP, "route" => route, "status" => status.to_string()).increment(1);
    }

    pub(crate) fn handover(&self, outcome: &'static str) {
        counter!(HANDOVERS, "outcome" => outcome).increment(1);
    }

    pub(crate) fn store_health(&self, is_well: bool) {
        gauge!(STORE_WELL).set(f64::from(u8::from(is_well)));
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn store_committed(&self, calls: usize, took: Duration, waiting: usize) {
        histogram!(STORE_COMMITS).record(took);
        counter!(STORE_CALLS).increment(calls as u64);
        gauge!(STORE_QUEUE).set(waiting as f64);
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn store_failed(&self, fault: &'static str) {
        counter!(STORE_FAILURES, "fault" => fault).increment(1);
    }

    pub(crate) fn store_bytes(&self, bytes: u64) {
        gauge!(STORE_BYTES).set(bytes as f64);
    }

    pub(crate) fn stream_balance(&self, balance: &Balance) {
        let Balance { accepted, acked, queued, expired, dropped, dead_lettered, purged } = *balance;
        for (outcome, count) in [
            ("accepted", accepted),
            ("acked", acked),
            ("queued", queued),
            ("expired", expired),
            ("dropped", dropped),
            ("dead_lettered", dead_lettered),
            ("purged", purged),
        ] {
            gauge!(STREAM_MESSAGES, "outcome" => outcome).set(count as f64);
        }
    }

    /// A backend is told things: nothing has happened yet, and it must be seen to rise.
    pub(crate) fn webhooks_on(&self) {
        for outcome in ["delivered", "dropped"] {
            counter!(WEBHOOK_EVENTS, "outcome" => outcome).increment(0);
        }
        for outcome in ["delivered", "refused", "timed_out", "unreachable", "broken"] {
            counter!(WEBHOOK_POSTS, "outcome" => outcome).increment(0);
        }
    }

    pub(crate) fn webhook_events_delivered(&self, events: u64) {
        counter!(WEBHOOK_EVENTS, "outcome" => "delivered").increment(events);
    }

    pub(crate) fn webhook_events_dropped(&self, events: u64) {
        if events > 0 {
            counter!(WEBHOOK_EVENTS, "outcome" => "dropped").increment(events);
        }
    }

    pub(crate) fn webhook_events_held(&self, events: u64) {
        gauge!(WEBHOOK_HELD).set(events as f64);
    }

    pub(crate) fn webhook_posted(&self, outcome: &'static str, took: Duration) {
        counter!(WEBHOOK_POSTS, "outcome" => outcome).increment(1);
        histogram!(WEBHOOK_SECONDS, "outcome" => outcome).record(took);
    }

    pub(crate) fn watched(&self, pairs: usize) {
        gauge!(WATCHED).set(pairs as f64);
    }

    pub(crate) fn profile_changed(&self) {
        counter!(PROFILES).increment(1);
    }

    pub(crate) fn invitation(&self, outcome: &'static str) {
        counter!(INVITATIONS, "outcome" => outcome).increment(1);
    }

    pub(crate) fn last_online(&self, outcome: &'static str, users: usize) {
        counter!(LAST_ONLINE, "outcome" => outcome).increment(users as u64);
    }

    pub(crate) fn message_received(&self, kind: &'static str) {
        if let Some(index) = ClientMessage::TYPES.iter().position(|known| *known == kind) {
            self.received[index].increment(1);
        }
    }

    pub(crate) fn error_answered(&self, code: ErrorCode) {
        self.errors[code as usize].increment(1);
    }

    pub(crate) fn round_trip(&self, rtt: Duration, quality: Quality) {
        self.heartbeats[quality as usize].increment(1);
        self.rtt.record(rtt);
    }

    pub(crate) fn delivered(&self, after: Duration) {
        self.delivery.record(after);
    }

    /// A message that is safe took some time to get so.
    pub(crate) fn message_published(&self, outcome: Outcome, after: Option<Duration>) {
        self.published[outcome as usize].increment(1);
        after.into_iter().for_each(|after| self.commit.record(after));
    }

    pub(crate) fn message_delivered(&self, after: Duration) {
        self.message_delivery.record(after);
    }

    pub(crate) fn redelivered(&self, messages: u64) {
        counter!(REDELIVERED).increment(messages);
    }

    pub(crate) fn synced(&self, outcome: &'static str) {
        counter!(SYNCS, "outcome" => outcome).increment(1);
    }

    pub(crate) fn written(&self, frames: &[Frame]) {
        self.writes.increment(1);
        self.sent.increment(frames.iter().map(|frame| frame.messages().len() as u64).sum());
        self.sent_bytes.increment(frames.iter().map(|frame| frame.text_len() as u64).sum());
    }

    /// Carries what a shard has done since `told` over, which it has then been told.
    pub(crate) fn shard(
        &self,
        number: usize,
        gauges: &ShardGauges,
        shard: &Shard,
        told: &mut Tally,
        waiting: usize,
    ) {
        let tally = shard.tally();
        if tally != told {
            self.audited(tally, told);
            self.joins.increment(tally.joins - told.joins);
            self.restores.increment(tally.restores - told.restores);
            self.fenced.increment(tally.fenced - told.fenced);
            self.replays.increment(tally.replays - told.replays);
            self.windows.increment(tally.windows - told.windows);
            self.hand_outs.increment(tally.hand_outs - told.hand_outs);
            self.room_messages.increment(tally.messages - told.messages);
            for (counter, (now, before)) in self.leaves.iter().zip(tally.leaves.iter().zip(&told.leaves)) {
                counter.increment(now - before);
            }
            for (counter, (now, before)) in self.errors.iter().zip(tally.errors.iter().zip(&told.errors)) {
                counter.increment(now - before);
            }
            for (counter, (now, before)) in
                self.snapshots.iter().zip(tally.snapshots.iter().zip(&told.snapshots))
            {
                counter.increment(now - before);
            }
            if number == 0 {
                self.takeovers.increment(tally.takeovers - told.takeovers);
            }
            told.clone_from(tally);
        }
        // Every shard knows every session; one of them speaks for all.
        if number == 0 {
            self.sessions.set(shard.connection_count() as f64);
            self.users.set(shard.user_count() as f64);
        }
        gauges.rooms.set(shard.room_count() as f64);
        gauges.inbox.set(waiting as f64);
    }

    /// The gauges of one shard.
    pub(crate) fn shard_gauges(&self, number: usize) -> ShardGauges {
        ShardGauges {
            rooms: gauge!(ROOMS, "shard" => number.to_string()),
            inbox: gauge!(INBOX, "shard" => number.to_string()),
        }
    }

    /// Everything, in the text format of Prometheus.
    pub fn render(&self) -> String {
        let process = Process::observe();
        let gauges = [
            (RESIDENT, process.resident_bytes),
            (FDS, process.fds),
            (FDS_MAX, process.fds_max),
            (TASKS, process.tasks),
            (STARTED, process.started_seconds),
        ];
        for (name, value) in gauges {
            if let Some(value) = value {
                gauge!(name).set(value);
            }
        }
        let mut text = recorder().render();
        // Counters of the recorder are whole numbers; this one is not.
        if let Some(seconds) = process.cpu_seconds {
            text.push_str(&format!(
                "# HELP {CPU} CPU time spent, user and system.\n# TYPE {CPU} counter\n{CPU} {seconds}\n\n"
            ));
        }
        text
    }

    /// Keeps the recorder from growing: histograms keep every sample until somebody does this.
    pub async fn upkeep(&self) {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            recorder().run_upkeep();
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
