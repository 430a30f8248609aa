//! One room at work: when it hands out next, and who waits for that. Whoever wants to know how the room stands gets
//! the answer at a hand-out, when roster and version say the same; all who wait then share one encoding, and so does who
//! asks later while nothing has changed.

use std::sync::Arc;
use std::time::Duration;

use super::input::{Entry, RoomKey, ShardOutput};
use super::reading::{CurrentReading, RoomReading};
use super::tally::Tally;
use super::windows::{Line, Windows};
use crate::audit::Breaches;
use crate::error::{CommandError, ErrorCode};
use crate::frame::{Frame, Message};
use crate::id::{Generation, SessionId, UserId};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::room::{Room, Visitor};
use crate::time::{Now, Timestamp};
use crate::window::{RoomReader, Window};
use crate::wire::{self, Reference, Roster, Since, SnapshotReason};

/// How many different times of a tick rooms have: what a shard does for some of them together costs less than for each alone.
const PLACES: u64 = 8;

/// The part of a tick by which a hand-out may come earlier than a tick after the last one.
const NUDGE: u64 = 8;

/// When a room may hand out again: a tick after the last time, or a little earlier until it does so at times of its own.
/// Rooms that became busy together, or that waited for one another once, would stay together: the server had nothing to do
/// for most of a tick, and then the last of them were late.
fn again(last: Timestamp, tick: Duration, key: RoomKey) -> Timestamp {
    let (due, tick) = ((last + tick).as_millis(), tick.as_millis() as u64);
    let place = key.place_in(PLACES) * tick / PLACES;
    let beyond = (due + tick - place).checked_rem(tick).unwrap_or_default();
    Timestamp::from_millis(due - beyond.min(tick / NUDGE))
}

/// A room with its schedule.
#[derive(Debug)]
pub(super) struct Desk {
    room: Room,
    /// What whoever reads the room is told, for as long as nothing in it changes.
    reading: Option<CurrentReading>,
    /// When it hands out next, if anything waits for that.
    pub(super) due: Option<Timestamp>,
    /// When it last handed out; `None`: never.
    handed_out: Option<Timestamp>,
    /// Since when the oldest change waits.
    changed: Option<Timestamp>,
    /// Whether an alarm will let the feed forget what is old.
    pub(super) forgetting: bool,
    waiters: Vec<Waiter>,
    /// Who watches windows, if anybody does.
    windows: Option<Box<Windows>>,
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
    /// It wants to see other rows.
    Window,
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
            windows: None,
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

    /// Looks at everything in the room. Says whether what clients compare with had to be mended; if not, what was said of
    /// the room may be said again.
    pub(super) fn audit(&mut self, breaches: &mut Breaches) -> bool {
        let mended = self.room.audit(breaches);
        if mended {
            self.reading = None;
        }
        mended
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

    /// Whether somebody may come in, by what it wants to be told of the room. Whoever is there already stays.
    pub(super) fn admit(
        &self,
        visitor: &Visitor,
        window: Option<Window>,
        limits: &Limits,
    ) -> Result<(), CommandError> {
        if let Some(window) = window {
            return self.check_window(window, limits);
        }
        let member = self.room.member(visitor.profile.id.as_str());
        let is_there = member.is_some_and(|member| member.session(&visitor.session).is_some());
        if self.room.user_count() <= limits.exact_users_max || is_there {
            return Ok(());
        }
        let max = limits.exact_users_max;
        let message = format!("a room of more than {max} users is entered with a `window`");
        Err(CommandError::field(ErrorCode::TooLarge, "window", message))
    }

    /// Whether one more connection may watch this.
    pub(super) fn check_window(&self, window: Window, limits: &Limits) -> Result<(), CommandError> {
        self.windows.as_ref().map_or(Ok(()), |windows| windows.check(window, limits))
    }

    /// A connection watches a window from now on, or everything.
    pub(super) fn watch(&mut self, generation: Generation, window: Option<Window>) {
        match window {
            Some(window) => self.windows.get_or_insert_default().watch(generation, window),
            None => {
                let left = self.windows.take().map(|mut windows| {
                    windows.forget(generation);
                    windows
                });
                self.windows = left.filter(|windows| !windows.is_empty());
            }
        }
    }

    /// Which connections watch windows.
    pub(super) fn watchers(&self) -> impl Iterator<Item = Generation> {
        self.windows.iter().flat_map(|windows| windows.watchers())
    }

    /// A connection that is not in the room any more waits for nothing and watches nothing.
    pub(super) fn part_with(&mut self, generation: Generation) {
        self.watch(generation, None);
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

    /// When to hand out, after something has happened: at once if the room was quiet, else [a tick](again) after the last
    /// time. `None` if there is nothing to hand out.
    pub(super) fn next_due(&mut self, now: Timestamp, key: RoomKey, limits: &Limits) -> Option<Timestamp> {
        let news = self.room.has_news();
        if news {
            self.changed.get_or_insert(now);
        }
        if !news && self.waiters.is_empty() && !self.is_done() {
            let shown = self.windows.as_ref().and_then(|windows| windows.due(limits));
            return shown.map(|due| due.max(now));
        }
        let tick = self.room.mode().tick(limits);
        let earliest = self.handed_out.filter(|_| news).map_or(now, |last| again(last, tick, key));
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
            self.answer(now, key, limits, tally, out);
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
        if let Some(windows) = self.windows.as_mut().filter(|_| said.presence > 0) {
            windows.note(since);
        }
        self.answer(now, key, limits, tally, out);
    }

    /// Shows what is new to those who watch windows, if it is time, and answers who waits.
    fn answer(
        &mut self,
        now: Now,
        key: RoomKey,
        limits: &Limits,
        tally: &mut Tally,
        out: &mut impl Extend<ShardOutput>,
    ) {
        let waiters = std::mem::take(&mut self.waiters);
        let (room, windows) = (&self.room, self.windows.as_deref_mut());
        let mut answers = Answers { room, windows, line: None, roster: None, reading: &mut self.reading };
        out.extend(answers.show(now.at, limits));
        for waiter in waiters {
            out.extend(match waiter {
                Waiter::Read { ticket } => {
                    Some(ShardOutput::Reading { ticket, reading: answers.reading(now) })
                }
                Waiter::Connection { to, user, session, entry, want, reference } => {
                    let own = Own { to, user, session };
                    answers.frame(&own, want, &reference, tally).map(|(frame, reader)| {
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
    windows: Option<&'a mut Windows>,
    line: Option<Line<'a>>,
    roster: Option<Roster>,
    reading: &'a mut Option<CurrentReading>,
}

impl Answers<'_> {
    /// Shows what is new to those who watch windows, if it is time for that.
    fn show(&mut self, now: Timestamp, limits: &Limits) -> Option<ShardOutput> {
        let windows = self.windows.as_deref_mut()?;
        windows.due(limits).filter(|due| *due <= now)?;
        let line = self.line.get_or_insert_with(|| Line::of(self.room));
        let (since, to) = windows.show(now, line);
        (!to.is_empty()).then(|| ShardOutput::Show { name: self.room.id().clone(), to, since })
    }

    /// The answer, unless the connection has left the room meanwhile.
    fn frame(
        &mut self,
        own: &Own,
        want: Want,
        reference: &Reference,
        tally: &mut Tally,
    ) -> Option<(Frame, RoomReader)> {
        let member = self.room.member(own.user.as_str())?;
        let session = member.session(&own.session).filter(|session| session.is_attached_by(own.to))?;
        let mut messages = Vec::new();
        if let Want::Enter { restored: true, .. } = want {
            messages.push(wire::restored(self.room.id(), member, session, reference));
        }
        if let Some(windows) = self.windows.as_deref_mut()
            && let Some((shared, reader)) =
                windows.tell(own.to, self.line.get_or_insert_with(|| Line::of(self.room)))
        {
            tally.windows += 1;
            let reader = RoomReader::Window(Box::new(reader));
            if messages.is_empty() && reference.is_none() {
                return Some((shared, reader));
            }
            messages.extend(shared.messages().iter().map(|message| wire::referring(message, reference)));
            return Some((Frame::new(messages), reader));
        }
        match want {
            Want::Enter { since, .. } => match since {
                Some(since) => self.catch_up(own, &since, None, reference, tally, &mut messages),
                None => messages.push(self.snapshot(own, SnapshotReason::Join, reference, tally)),
            },
            Want::Sync { since, digest } => {
                self.catch_up(own, &since, digest, reference, tally, &mut messages);
            }
            Want::Restart => messages.push(self.snapshot(own, SnapshotReason::Lagged, reference, tally)),
            // It has come in anew since then, without a window.
            Want::Window => messages.push(self.snapshot(own, SnapshotReason::Join, reference, tally)),
        }
        messages.extend(self.room.typing_now());
        Some((Frame::new(messages), RoomReader::Feed(self.room.feed().reader())))
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

    fn reading(&mut self, now: Now) -> Arc<RoomReading> {
        if self.reading.as_ref().is_some_and(|current| !current.reading().holds(now.at)) {
            *self.reading = None;
        }
        let current = self.reading.get_or_insert_with(|| {
            let stand = self.room.stand();
            let body = wire::room_presence(stand, self.room.members(), now.wall);
            CurrentReading::new(RoomReading::once(stand, now.at, body.into()))
        });
        Arc::clone(current.reading())
    }
}
