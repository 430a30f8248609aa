//! What a client has of streams, as a careful client keeps it: each message is applied once and in order, by its room and
//! place. What the server may never do is an error.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::wire::{MessageCreated, ServerMessage, ThreadInvitation};

/// What was wrong with a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misdelivery {
    /// Messages between are missing, and nobody has said that they are gone (M3, M7).
    #[error("{room}: {seq} came after {last}")]
    Gap {
        /// The room.
        room: String,
        /// The last before.
        last: u64,
        /// What came.
        seq: u64,
    },
    /// It came again on the same connection, and was not said to go again.
    #[error("{room}: {seq} came again as if it were new")]
    Again {
        /// The room.
        room: String,
        /// What came.
        seq: u64,
    },
    /// Its places do not agree with each other.
    #[error("{0}")]
    Shape(String),
}

/// What a client has of all its streams.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    streams: BTreeMap<String, Stream>,
    /// The streams whose places the client has said when it asked last; `None`: all of them.
    named: Option<BTreeSet<String>>,
}

/// What a client has of one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// What has been applied, in the order of application.
    pub applied: Vec<MessageCreated>,
    /// The place up to which everything is applied, or known to be gone, or the client's own.
    pub place: u64,
    /// Messages that came again, which were not applied.
    pub repeated: usize,
    /// Messages that are said to be gone.
    pub dropped: u64,
    /// What the client has sent itself.
    own: BTreeSet<u64>,
    /// How many of `applied` somebody has asked for.
    seen: usize,
    /// The last that came on this connection; 0: nothing yet.
    came: u64,
}

impl Inbox {
    /// A stream.
    pub fn stream(&self, room: &str) -> Stream {
        self.streams.get(room).cloned().unwrap_or_default()
    }

    /// Where the client is in a stream.
    pub fn stream_place(&self, room: &str) -> u64 {
        self.streams.get(room).map_or(0, |stream| stream.place)
    }

    /// What was applied to a stream since this was last asked.
    pub(crate) fn fresh(&mut self, room: &str) -> &[MessageCreated] {
        let Some(stream) = self.streams.get_mut(room) else { return &[] };
        let seen = std::mem::replace(&mut stream.seen, stream.applied.len());
        &stream.applied[seen..]
    }

    /// Where the client is in every stream.
    pub fn cursors(&self) -> BTreeMap<String, u64> {
        self.streams.iter().map(|(room, stream)| (room.clone(), stream.place)).collect()
    }

    /// Where the client is in every stream, to ask for what comes after. Of a stream that is not among these a server may
    /// tell from a place that this client has passed.
    pub fn ask(&mut self) -> BTreeMap<String, u64> {
        self.named = Some(self.streams.keys().cloned().collect());
        self.cursors()
    }

    /// A new connection: what comes next may begin anywhere.
    pub fn reconnect(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.came = 0);
    }

    /// The client has left the room: what comes next of it may begin anywhere.
    pub fn leave(&mut self, room: &str) {
        if let Some(stream) = self.streams.get_mut(room) {
            stream.came = 0;
        }
    }

    /// What came on a new connection before this was known there.
    pub fn follow(&mut self, early: Inbox) {
        for (room, stream) in early.streams {
            let known = self.streams.entry(room).or_default();
            let place = known.place;
            known.applied.extend(stream.applied.into_iter().filter(|created| created.seq > place));
            known.place = place.max(stream.place);
            known.dropped += stream.dropped;
            known.came = stream.came;
            known.own.extend(stream.own);
        }
    }

    /// Takes a message of the server in.
    ///
    /// # Errors
    /// If the server may never say that.
    pub fn apply(&mut self, message: &ServerMessage) -> Result<(), Misdelivery> {
        match message {
            ServerMessage::MessageCreated(created) => {
                if created.parent_thread != created.room {
                    return Err(Misdelivery::Shape(format!("{created:?}")));
                }
                self.take(created, Source::Live)
            }
            ServerMessage::ThreadInvitation(invitation) => self.take(&as_stored(invitation), Source::Live),
            ServerMessage::Ack(ack) => {
                let stream = self.streams.entry(ack.room.clone()).or_default();
                stream.own.insert(ack.seq);
                stream.pass_own();
                Ok(())
            }
            ServerMessage::MessagesDropped(dropped) => {
                if dropped.count != dropped.to_seq + 1 - dropped.from_seq {
                    return Err(Misdelivery::Shape(format!("{dropped:?}")));
                }
                let stream = self.streams.entry(dropped.room.clone()).or_default();
                stream.drop_up_to(dropped.from_seq, dropped.to_seq);
                Ok(())
            }
            ServerMessage::SyncResult(result) => {
                for dropped in &result.dropped {
                    let stream = self.streams.entry(dropped.room.clone()).or_default();
                    stream.drop_up_to(dropped.from_seq, dropped.to_seq);
                }
                for created in &result.messages {
                    self.take(created, Source::Sync)?;
                }
                for (room, place) in &result.cursors {
                    let named = self.named.as_ref().is_none_or(|named| named.contains(room));
                    let stream = self.streams.entry(room.clone()).or_default();
                    stream.came = if named { *place } else { stream.came.max(*place) };
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, created: &MessageCreated, source: Source) -> Result<(), Misdelivery> {
        let stream = self.streams.entry(created.room.clone()).or_default();
        let (room, seq) = (created.room.clone(), created.seq);
        if source == Source::Live && !created.redelivered {
            if stream.came != 0 {
                if seq <= stream.came {
                    return Err(Misdelivery::Again { room, seq });
                }
                let missing = (stream.came + 1..seq).find(|seq| !stream.own.contains(seq));
                if missing.is_some() {
                    return Err(Misdelivery::Gap { room, last: stream.came, seq });
                }
            }
            stream.came = seq;
        }
        if seq <= stream.place || stream.own.contains(&seq) {
            stream.repeated += 1;
        } else {
            stream.place = seq;
            stream.applied.push(created.clone());
        }
        stream.pass_own();
        Ok(())
    }
}

/// An invitation stands in its inbox as any message does; a sync shows it so.
fn as_stored(invitation: &ThreadInvitation) -> MessageCreated {
    MessageCreated {
        id: String::new(),
        room: invitation.inbox.clone(),
        parent_thread: invitation.inbox.clone(),
        seq: invitation.seq,
        user_id: invitation.invited_by.clone(),
        user_name: invitation.user_name.clone(),
        snapshot: serde_json::json!({"room": invitation.room}),
        timestamp: invitation.timestamp,
        correlation_id: invitation.correlation_id.clone(),
        redelivered: invitation.redelivered,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Live,
    Sync,
}

impl Stream {
    /// What was applied, as the senders' ids.
    pub fn ids(&self) -> Vec<&str> {
        self.applied.iter().map(|created| created.id.as_str()).collect()
    }

    fn drop_up_to(&mut self, from: u64, to: u64) {
        // Only what would have come next can be missing.
        self.dropped += (from..=to).filter(|seq| *seq > self.place).count() as u64;
        self.place = self.place.max(to);
        self.came = self.came.max(to);
        self.pass_own();
    }

    /// What the client has sent itself, with everything before it, it has.
    fn pass_own(&mut self) {
        while self.own.contains(&(self.place + 1)) {
            self.place += 1;
        }
    }
}
