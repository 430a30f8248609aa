//! One room at work: when it hands out next, and who waits for that. Whoever wants to know how the room stands gets
//! the answer at a hand-out, when roster and version say the same; all who wait then share one encoding, and so does who
//! asks later while nothing has changed.

use std::time::Duration;

use bytes::Bytes;

use super::input::{Entry, RoomKey, RoomReading, ShardOutput};
use super::tally::Tally;
use crate::frame::{Frame, Message};
use crate::id::{Generation, SessionId, UserId};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::room::{Room, Visitor};
use crate::time::{Now, Timestamp};
use crate::wire::{self, Reference, Roster, Since, SnapshotReason};

/// How long an answer may be given again: it says when it was true.
const READING_AGE_MAX: Duration = Duration::from_secs(1);

/// A room with its schedule.
#[derive(Debug)]
pub(super) struct Desk {
    room: Room,
    /// What whoever reads the room is told, for as long as nothing in it changes.
    reading: Option<Reading>,
    /// When it hands out next, if anything waits for that.
    pub(super) due: Option<Timestamp>,
    /// When it last handed out; `None`: never.
    handed_out: Option<Timestamp>,
    /// Since when the oldest change waits.
    changed: Option<Timestamp>,
    /// Whether an alarm will let the feed forget what is old.
    pub(super) forgetting: bool,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
struct Reading {
    at: Timestamp,
    body: Bytes,
}

#[derive(Debug)]
enum Waiter {
    Connection {
        to: Generation,
        user: UserId,
        session: SessionId,
        entry: Entry,
        want: Want,
        reference: Reference,
    },
    Read {
        ticket: u64,
    },
}

/// What a waiting connection wants.
#[derive(Debug)]
pub(super) enum Want {
    /// It came in; its session may have been held.
    Enter { since: Option<Since>, restored: bool },
    /// Is what it has what the room has?
    Sync { since: Since, digest: Option<u32> },
    /// It read too slowly.
    Restart,
}

impl Desk {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            reading: None,
            due: None,
            handed_out: None,
            changed: None,
            forgetting: false,
            waiters: Vec::new(),
        }
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// The room, to be changed: what was said of it is no more to be said.
    pub(super) fn room_mut(&mut self) -> &mut Room {
        self.reading = None;
        &mut self.room
    }

    pub(super) fn into_room(self) -> Room {
        self.room
    }

    /// Forgets what nobody may want any more. Says when to call this again, if at all.
    pub(super) fn forget_old(&mut self, now: Timestamp, limits: &Limits) -> Option<Timestamp> {
        self.reading = None;
        let next = self.room.feed().forget_old(now, limits);
        self.forgetting = next.is_some();
        next
    }

    pub(super) fn wait(&mut self, visitor: &Visitor, entry: Entry, want: Want, reference: Reference) {
        let (user, session) = (visitor.profile.id.clone(), visitor.session.clone());
        self.waiters.push(Waiter::Connection {
            to: visitor.generation,
            user,
            session,
            entry,
            want,
            reference,
        });
    }

    pub(super) fn wait_to_read(&mut self, ticket: u64) {
        self.waiters.push(Waiter::Read { ticket });
    }

    /// A connection that is not in the room any more waits for nothing.
    pub(super) fn stop_waiting(&mut self, generation: Generation) {
        self.waiters.retain(|waiter| !matches!(waiter, Waiter::Connection { to, .. } if *to == generation));
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Nobody is in the room, and nobody asks.
    pub(super) fn is_done(&self) -> bool {
        self.room.user_count() == 0 && self.waiters.is_empty()
    }

    /// When to hand out, after something has happened: at once if the room was quiet, else a tick after the last
    /// time. `None` if there is nothing to hand out.
    pub(super) fn next_due(&mut self, now: Timestamp, limits: &Limits) -> Option<Timestamp> {
        let news = self.room.has_news();
        if news {
            self.changed.get_or_insert(now);
        }
        if !news && self.waiters.is_empty() && !self.is_done() {
            return None;
        }
        let tick = limits.tick_of(self.room.user_count());
        let earliest = self.handed_out.filter(|_| news).map_or(now, |last| last + tick);
        Some(earliest.max(now))
    }

    /// Says what has happened and answers who waits.
    pub(super) fn hand_out(
        &mut self,
        now: Now,
        key: RoomKey,
        limits: &Limits,
        tally: &mut Tally,
        out: &mut impl Extend<ShardOutput>,
    ) {
        if planted::is(Bug::SnapshotTooEarly) {
            self.answer(now, key, tally, out);
        }
        if self.room.has_news() {
            self.reading = None;
        }
        let said = self.room.hand_out(now, limits);
        tally.handed_out(&said);
        let since = self.changed.take().unwrap_or(now.at);
        let messages = said.presence + said.live;
        if messages > 0 {
            self.handed_out = Some(now.at);
            out.extend([self.wake(key, messages, since)]);
        }
        out.extend(ShardOutput::moved(&self.room, now, said.movements));
        out.extend(tally.violated(Some(self.room.id()), said.breaches));

        self.answer(now, key, tally, out);
    }

    /// Answers who waits.
    fn answer(&mut self, now: Now, key: RoomKey, tally: &mut Tally, out: &mut impl Extend<ShardOutput>) {
        let waiters = std::mem::take(&mut self.waiters);
        let mut answers = Answers { room: &self.room, roster: None, reading: &mut self.reading };
        for waiter in waiters {
            out.extend(match waiter {
                Waiter::Read { ticket } => {
                    Some(ShardOutput::Reading { ticket, reading: answers.reading(now) })
                }
                Waiter::Connection { to, user, session, entry, want, reference } => {
                    let own = Own { to, user, session };
                    let frame = answers.frame(&own, want, &reference, tally);
                    let reader = answers.room.feed().reader();
                    frame.map(|frame| {
                        let name = answers.room.id().clone();
                        ShardOutput::Position { to, room: key, name, entry, frame, reader }
                    })
                }
            });
        }
    }
}

impl Desk {
    fn wake(&self, room: RoomKey, messages: usize, since: Timestamp) -> ShardOutput {
        let (name, version) = (self.room.id().clone(), self.room.stand().version);
        ShardOutput::Wake { room, name, version, messages, since }
    }
}

/// Who asks.
struct Own {
    to: Generation,
    user: UserId,
    session: SessionId,
}

/// The answers of one hand-out; what several of them need is encoded once.
struct Answers<'a> {
    room: &'a Room,
    roster: Option<Roster>,
    reading: &'a mut Option<Reading>,
}

impl Answers<'_> {
    /// The answer, unless the connection has left the room meanwhile.
    fn frame(&mut self, own: &Own, want: Want, reference: &Reference, tally: &mut Tally) -> Option<Frame> {
        let member = self.room.member(own.user.as_str())?;
        let session = member.session(&own.session).filter(|session| session.is_attached_by(own.to))?;
        let mut messages = Vec::new();
        match want {
            Want::Enter { since, restored } => {
                if restored {
                    messages.push(wire::restored(self.room.id(), member, session, reference));
                }
                match since {
                    Some(since) => self.catch_up(own, &since, None, reference, tally, &mut messages),
                    None => messages.push(self.snapshot(own, SnapshotReason::Join, reference, tally)),
                }
            }
            Want::Sync { since, digest } => {
                self.catch_up(own, &since, digest, reference, tally, &mut messages);
            }
            Want::Restart => messages.push(self.snapshot(own, SnapshotReason::Lagged, reference, tally)),
        }
        messages.extend(self.room.typing_now());
        Some(Frame::new(messages))
    }

    /// What was missed and `synced`, or a snapshot and why.
    fn catch_up(
        &mut self,
        own: &Own,
        since: &Since,
        digest: Option<u32>,
        reference: &Reference,
        tally: &mut Tally,
        messages: &mut Vec<Message>,
    ) {
        let stand = self.room.stand();
        let is_other = *since.epoch != *stand.epoch.as_str() && !planted::is(Bug::EpochIgnored);
        let afresh = if is_other {
            Some(SnapshotReason::Epoch)
        } else if since.version > stand.version {
            Some(SnapshotReason::Gap)
        } else if since.version == stand.version
            && digest.is_some_and(|digest| digest != stand.digest.value())
        {
            Some(SnapshotReason::Drift)
        } else {
            None
        };
        match (afresh, self.room.feed().replay(since.version)) {
            (Some(reason), _) => messages.push(self.snapshot(own, reason, reference, tally)),
            (None, None) => messages.push(self.snapshot(own, SnapshotReason::Gap, reference, tally)),
            (None, Some(missed)) => {
                tally.replays += 1;
                messages.extend(missed);
                messages.push(wire::synced(stand, reference));
            }
        }
    }

    fn snapshot(
        &mut self,
        own: &Own,
        reason: SnapshotReason,
        reference: &Reference,
        tally: &mut Tally,
    ) -> Message {
        tally.snapshots[reason as usize] += 1;
        let roster = self.roster.get_or_insert_with(|| self.room.roster());
        wire::current_users(self.room.stand(), roster, (&own.user, &own.session), reason, reference)
    }

    fn reading(&mut self, now: Now) -> RoomReading {
        let stand = self.room.stand();
        if self.reading.as_ref().is_some_and(|reading| reading.at + READING_AGE_MAX <= now.at) {
            *self.reading = None;
        }
        let reading = self.reading.get_or_insert_with(|| {
            let body = wire::room_presence(stand, self.room.members(), now.wall);
            Reading { at: now.at, body: body.into() }
        });
        RoomReading { epoch: stand.epoch.clone(), version: stand.version, body: reading.body.clone() }
    }
}
