//! A room as one life of the server leaves it to the next: plain data, in which nobody is connected any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{LeaveCause, Link, Member, Room, SessionPresence};
use crate::feed::Feed;
use crate::frame::{EventId, Frame, Message};
use crate::id::{Epoch, Generation, RoomId, SessionId, Version};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::time::{Timestamp, WallTime};
use crate::wire::{Json, State};

/// The generation of a connection that an earlier life of the server had: every connection of this one is newer.
const EARLIER_LIFE: Generation = Generation::new(0);

/// A room with everybody who is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRoom {
    /// Which room.
    pub id: RoomId,
    /// Its history, which goes on.
    pub epoch: Epoch,
    /// How far that goes.
    pub version: Version,
    /// In the order of user ids.
    pub members: Vec<KeptMember>,
    /// The texts of its latest events, each one version after the one before; the last leads to `version`.
    pub latest: Vec<Bytes>,
}

/// A user of whom at least one session is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMember {
    /// What others see of the user.
    pub profile: Arc<Profile>,
    /// When the first of the sessions came.
    pub joined_at: WallTime,
    /// When the room last heard from any of them.
    pub last_seen: WallTime,
    /// In the order in which they came.
    pub sessions: Vec<KeptSession>,
}

/// A session that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// Which one.
    pub id: SessionId,
    /// When it came.
    pub connected_at: WallTime,
    /// In use, or idle.
    pub active: bool,
    /// What it said about itself.
    pub state: State,
    /// Where it pointed.
    pub cursor: Option<Json>,
    /// How much longer it is waited for, counted from the start of the next life.
    pub grace: Duration,
    /// What its leaving will be called if it does not come back.
    pub cause: LeaveCause,
}

impl Room {
    /// The room as it is handed over; `None` if nobody is in it. It must have handed out everything. A session that
    /// has a connection will be waited for as if it lost it, one that has lost it as long as it would have been after
    /// `frozen`.
    pub(crate) fn keep(&self, frozen: Timestamp, limits: &Limits) -> Option<KeptRoom> {
        if self.members.is_empty() {
            return None;
        }
        let session = |session: &SessionPresence| {
            let (grace, cause) = match session.link {
                Link::Attached(_) => (limits.grace, LeaveCause::Timeout),
                Link::Held { until, cause, .. } => (until.since(frozen), cause),
            };
            KeptSession {
                id: session.id.clone(),
                connected_at: session.connected_at,
                active: session.active,
                state: session.state.clone(),
                cursor: session.cursor.clone(),
                grace,
                cause,
            }
        };
        let member = |member: &Member| KeptMember {
            profile: Arc::clone(&member.profile),
            joined_at: member.joined_at,
            last_seen: member.last_seen,
            sessions: member.sessions.iter().map(session).collect(),
        };
        Some(KeptRoom {
            id: self.id.clone(),
            epoch: self.epoch.clone(),
            version: self.version,
            members: self.members().map(member).collect(),
            latest: self.feed.latest(limits.kept_events_bytes_max),
        })
    }

    /// The room as it was handed over, with everybody in it waited for from `now` on. Nobody hears of that.
    pub(crate) fn restore(now: Timestamp, kept: KeptRoom, limits: &Limits) -> Self {
        let KeptRoom { id, epoch, version, members, latest } = kept;
        // More events than there ever were are none of this room's.
        let gone = version.number().checked_sub(latest.len() as u64).map_or(version, Version::new);
        let feed = Feed::after(gone);
        for (number, text) in (gone.number() + 1..=version.number()).zip(latest) {
            let version = Version::new(number);
            let event = EventId { room: id.clone(), epoch: epoch.clone(), version };
            feed.append_presence(now, version, Frame::one(Message::versioned(text, event)), limits);
        }
        let mut room = Self { version, feed, ..Self::new(id, epoch) };
        if planted::is(Bug::HandedOverAnew) {
            (room.version, room.feed) = (Version::default(), Feed::new());
        }
        for member in members {
            room.members.insert(member.wait(now, limits));
        }
        for (user, member) in room.members.iter() {
            room.digest.add(user, member.sessions.len());
            room.told.joined(user);
        }
        room.mode = room.mode.with_users(room.members.len(), limits);
        room
    }

    /// Who is waited for, and until when.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&Arc<Profile>, &SessionId, Timestamp)> {
        self.members.values().flat_map(|member| {
            member.sessions.iter().filter_map(move |session| match session.link {
                Link::Held { until, .. } => Some((&member.profile, &session.id, until)),
                Link::Attached(_) => None,
            })
        })
    }
}

impl KeptMember {
    fn wait(self, now: Timestamp, limits: &Limits) -> Member {
        let session = |kept: KeptSession| SessionPresence {
            id: kept.id,
            link: Link::Held {
                generation: EARLIER_LIFE,
                until: now + kept.grace.min(limits.grace),
                cause: kept.cause,
            },
            connected_at: kept.connected_at,
            active: kept.active,
            state: kept.state,
            cursor: kept.cursor,
        };
        Member {
            profile: self.profile,
            joined_at: self.joined_at,
            last_seen: self.last_seen,
            told: Version::default(),
            sessions: self.sessions.into_iter().map(session).collect(),
        }
    }
}
