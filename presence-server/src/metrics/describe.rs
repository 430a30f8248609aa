//! What every metric means.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use super::*;

/// Tells the recorder help and unit of every metric.
pub(super) fn describe() {
    describe_gauge!(CONNECTIONS, Unit::Count, "Connections that are open, by transport.");
    describe_counter!(OPENED, Unit::Count, "Connections that were opened, by transport.");
    describe_counter!(DISCONNECTS, Unit::Count, "Connections that ended, by transport and reason.");
    describe_counter!(
        STALE,
        Unit::Count,
        "Connections that were ended because nothing was heard after a ping."
    );
    describe_gauge!(SESSIONS, Unit::Count, "Sessions that have a connection.");
    describe_gauge!(USERS, Unit::Count, "Users with a session, connected or held.");
    describe_gauge!(ROOMS, Unit::Count, "Rooms with somebody in them, by shard.");
    describe_counter!(JOINS, Unit::Count, "Users who came into a room (0 to 1 sessions).");
    describe_counter!(LEAVES, Unit::Count, "Users who left a room (1 to 0 sessions), by cause.");
    describe_counter!(RESTORES, Unit::Count, "Sessions that came back to what they had.");
    describe_counter!(TAKEOVERS, Unit::Count, "Connections that lost their session to a newer one.");
    describe_counter!(FENCED, Unit::Count, "Commands of connections that no longer had their session.");
    describe_counter!(SNAPSHOTS, Unit::Count, "Snapshots sent, by reason.");
    describe_counter!(VIOLATIONS, Unit::Count, "What was not as it must be, by the invariant's id.");
    describe_counter!(DRIFT, Unit::Count, "Rosters that were not what was told of them, by who found it.");
    describe_counter!(REPLAYS, Unit::Count, "Times that a client got what it missed instead of a snapshot.");
    describe_counter!(WINDOWS, Unit::Count, "Times that a client was answered with a window of a room.");
    describe_counter!(HAND_OUTS, Unit::Count, "Times that a room handed out what had happened.");
    describe_counter!(
        ROOM_MESSAGES,
        Unit::Count,
        "Messages that rooms said, counted once however many listen."
    );
    describe_counter!(RECEIVED, Unit::Count, "Messages from clients, by type.");
    describe_counter!(SENT, Unit::Count, "Messages written to clients.");
    describe_counter!(SENT_BYTES, Unit::Bytes, "Bytes of messages written to clients, without framing.");
    describe_counter!(WRITES, Unit::Count, "Writes to clients; each carries all messages that waited.");
    describe_counter!(ERRORS, Unit::Count, "Errors answered to clients, by code.");
    describe_counter!(HEARTBEATS, Unit::Count, "Heartbeats that ended, by the quality that they showed.");
    describe_histogram!(RTT, Unit::Seconds, "Round-trip time of heartbeats.");
    describe_histogram!(DELIVERY, Unit::Seconds, "From a change to its write, one sample per hand-out.");
    describe_gauge!(INBOX, Unit::Count, "Inputs that wait for a shard, by shard.");
    describe_counter!(ACCEPT_ERRORS, Unit::Count, "Connections that could not be accepted, by error.");
    describe_counter!(RATE_LIMITED, Unit::Count, "Messages and requests that were too many, by limit.");
    describe_counter!(REFUSED, Unit::Count, "Connections that were turned away, by reason.");
    describe_counter!(TOKENS_REFUSED, Unit::Count, "Tokens that were not good, by reason.");
    describe_counter!(TLS_HANDSHAKES, Unit::Count, "TLS handshakes, by outcome.");
    describe_counter!(TLS_RELOADS, Unit::Count, "Times that the certificate was read again, by outcome.");
    describe_counter!(HTTP, Unit::Count, "HTTP requests, by route and status.");
    describe_counter!(HANDOVERS, Unit::Count, "Starts with a data_dir, by what became of the hand-over.");
    describe_store();
    describe_counter!(PUBLISHED, Unit::Count, "Messages that arrived to be kept, by what became of them.");
    describe_histogram!(COMMIT, Unit::Seconds, "From a message's arrival until it is safe.");
    describe_histogram!(MESSAGE_DELIVERY, Unit::Seconds, "From arrival to write, one sample a message.");
    describe_counter!(REDELIVERED, Unit::Count, "Messages that went again since nobody acknowledged them.");
    describe_counter!(
        SYNCS,
        Unit::Count,
        "Answers to clients that asked what they did not have, by outcome."
    );
    describe_webhooks();
    describe_people();
    describe_gauge!(BUILD, Unit::Count, "Always 1; the labels say what is running.");
    describe_gauge!(RESIDENT, Unit::Bytes, "Resident memory.");
    describe_gauge!(TASKS, Unit::Count, "Tasks of the runtime that have not ended.");
    describe_gauge!(FDS, Unit::Count, "Open file descriptors.");
    describe_gauge!(FDS_MAX, Unit::Count, "File descriptors that may be open.");
    describe_gauge!(STARTED, Unit::Seconds, "When the process started, in Unix time.");
}

fn describe_store() {
    describe_gauge!(STORE_WELL, Unit::Count, "Whether the store can be written to: 1, or 0.");
    describe_histogram!(
        STORE_COMMITS,
        Unit::Seconds,
        "How long a batch of calls took to be written and safe."
    );
    describe_counter!(
        STORE_CALLS,
        Unit::Count,
        "Calls that were written; by the commits it is the size of a batch."
    );
    describe_gauge!(
        STORE_QUEUE,
        Unit::Count,
        "Calls that waited to be written when the last batch was taken."
    );
    describe_counter!(
        STORE_FAILURES,
        Unit::Count,
        "Batches and calls that the store could not write, by fault."
    );
    describe_gauge!(STORE_BYTES, Unit::Bytes, "The store's file, and the log beside it.");
    describe_gauge!(
        STREAM_MESSAGES,
        Unit::Count,
        "What became of all messages that were ever taken in, each counted once for every receiver."
    );
}

fn describe_webhooks() {
    describe_counter!(WEBHOOK_EVENTS, Unit::Count, "Events for a backend that are settled, by outcome.");
    describe_gauge!(WEBHOOK_HELD, Unit::Count, "Events that wait to be delivered to a backend.");
    describe_counter!(WEBHOOK_POSTS, Unit::Count, "Requests to a backend, by outcome.");
    describe_histogram!(WEBHOOK_SECONDS, Unit::Seconds, "How long requests to a backend took, by outcome.");
}

fn describe_people() {
    describe_gauge!(WATCHED, Unit::Count, "Users that connections watch, counted once for each that does.");
    describe_counter!(PROFILES, Unit::Count, "Profiles that were changed.");
    describe_counter!(INVITATIONS, Unit::Count, "Invitations sent, and ended, by outcome.");
    describe_counter!(LAST_ONLINE, Unit::Count, "Last-online times on their way into the store, by outcome.");
}
