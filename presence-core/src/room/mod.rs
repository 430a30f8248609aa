//! One room: who is present, by user and session; what has happened since it last handed out; and the feed it hands
//! out to. A room decides nothing about time spans or connections: the shard that owns it does.

mod audit;
mod hand_out;
mod kept;
mod live;
mod member;
mod members;
mod mode;
mod movement;
mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use hand_out::HandedOut;
pub use kept::{KeptMember, KeptRoom, KeptSession};
pub use member::{LeaveCause, Link, Member, SessionPresence, Status};
pub use mode::Mode;
pub use movement::Movement;

use crate::digest::Digest;
use crate::error::{CommandError, ErrorCode};
use crate::feed::Feed;
use crate::frame::{Frame, Message};
use crate::id::{Epoch, Generation, RoomId, SessionId, UserId, Version};
use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::time::{Now, Timestamp};
use crate::wire::{self, Json, RoomStand, Roster, StatePatch};
use live::Live;
use members::Members;
use pending::{Departed, Pending};

/// One connection of one session, as rooms know it. Its generation is the fence: what a connection does after a newer
/// one has taken its session over changes nothing (P8).
#[derive(Clone, Debug)]
pub struct Visitor {
    /// What others see of the user.
    pub profile: Arc<Profile>,
    /// Which tab or device.
    pub session: SessionId,
    /// Which connection.
    pub generation: Generation,
    /// In use, or idle.
    pub active: bool,
}

/// What a join turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The session was not there.
    New,
    /// This very connection was there.
    Again,
    /// The session was held, or another connection had it; nobody hears of the change.
    Restored,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    epoch: Epoch,
    members: Members,
    /// What the feed has said.
    version: Version,
    digest: Digest,
    mode: Mode,
    told: audit::Told,
    pending: Pending,
    live: Live,
    feed: Feed,
}

impl Room {
    /// A room with nobody in it.
    pub fn new(id: RoomId, epoch: Epoch) -> Self {
        Self {
            id,
            epoch,
            members: Members::default(),
            version: Version::default(),
            digest: Digest::default(),
            mode: Mode::default(),
            told: audit::Told::default(),
            pending: Pending::default(),
            live: Live::default(),
            feed: Feed::new(),
        }
    }

    /// The room's id.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// What the room says, for those who listen.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Who is present, in the order of user ids. Equal to what the feed has said once [`has_news`](Self::has_news) is
    /// false.
    pub fn members(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.values()
    }

    /// How many users are present.
    pub fn user_count(&self) -> usize {
        self.members.len()
    }

    /// One user, if present.
    pub fn member(&self, user: &str) -> Option<&Member> {
        self.members.get(user)
    }

    /// How far the feed goes, and the digest there.
    pub fn stand(&self) -> RoomStand<'_> {
        let Self { id, epoch, version, digest, mode, .. } = self;
        RoomStand { room: id, epoch, version: *version, digest: *digest, mode: *mode }
    }

    /// How closely it tells what happens in it.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether something waits to be handed out.
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty() || self.live.has_news()
    }

    /// Lets a session in. Joining twice is joining once.
    ///
    /// # Errors
    /// When the room or the user's place in it is full, or the state too large; then nothing has changed.
    pub fn join(
        &mut self,
        now: Now,
        visitor: &Visitor,
        state: Option<&StatePatch>,
        limits: &Limits,
    ) -> Result<Entered, CommandError> {
        let user = &visitor.profile.id;
        let Some(member) = self.members.get_mut(user.as_str()) else {
            return self.admit_user(now, visitor, state, limits);
        };
        let Some(session) = member.session(&visitor.session) else {
            return self.admit_session(now, visitor, state, limits);
        };
        if let Some(patch) = state {
            check_merged(session, patch, limits)?;
        }
        let entered =
            if session.is_attached_by(visitor.generation) { Entered::Again } else { Entered::Restored };
        let awakened = session.active != visitor.active || planted::is(Bug::JoinAgainIsNews);
        if awakened || member.profile != visitor.profile {
            self.pending.touch(user, Some(member)).sessions |= awakened;
        }
        member.profile = Arc::clone(&visitor.profile);
        member.seen(now.wall);
        if let Some(session) = member.session_mut(&visitor.session) {
            session.link = Link::Attached(visitor.generation);
            session.active = visitor.active;
        }
        if let Some(patch) = state {
            self.merge(user, &visitor.session, patch);
        }
        Ok(entered)
    }

    fn admit_user(
        &mut self,
        now: Now,
        visitor: &Visitor,
        state: Option<&StatePatch>,
        limits: &Limits,
    ) -> Result<Entered, CommandError> {
        if self.members.len() >= limits.users_per_room_max {
            let message = format!("the room is full: it holds at most {} users", limits.users_per_room_max);
            return Err(CommandError::new(ErrorCode::Busy, message).retry_after(limits.grace));
        }
        let session = new_session(now, visitor, state, limits)?;
        let user = &visitor.profile.id;
        self.pending.touch(user, None);
        let member = Member {
            profile: Arc::clone(&visitor.profile),
            joined_at: now.wall,
            last_seen: now.wall,
            told: self.version,
            sessions: [session].into_iter().collect(),
        };
        self.members.insert(member);
        Ok(Entered::New)
    }

    fn admit_session(
        &mut self,
        now: Now,
        visitor: &Visitor,
        state: Option<&StatePatch>,
        limits: &Limits,
    ) -> Result<Entered, CommandError> {
        let user = &visitor.profile.id;
        let session = new_session(now, visitor, state, limits)?;
        let Some(member) = self.members.get_mut(user.as_str()) else { return Ok(Entered::New) };
        if member.sessions.len() >= limits.sessions_per_user_max {
            let message =
                format!("a user may have at most {} sessions in a room", limits.sessions_per_user_max);
            return Err(CommandError::new(ErrorCode::Conflict, message));
        }
        self.pending.touch(user, Some(member)).sessions = true;
        member.profile = Arc::clone(&visitor.profile);
        member.seen(now.wall);
        member.sessions.push(session);
        Ok(Entered::New)
    }

    /// The visitor's session, if this very connection is behind it.
    fn seat(&self, visitor: &Visitor) -> Result<&SessionPresence, CommandError> {
        let member = self.members.get(visitor.profile.id.as_str());
        let session = member.and_then(|member| member.session(&visitor.session));
        session.filter(|session| holds(visitor, session)).ok_or_else(|| not_joined(&self.id))
    }

    /// Whether this very connection is in the room.
    pub fn is_in(&self, visitor: &Visitor) -> bool {
        self.seat(visitor).is_ok()
    }

    /// Merges into the session's state. What changes nothing is no event (P9).
    ///
    /// # Errors
    /// If the session is not in the room, or its state would be too large.
    pub fn update(
        &mut self,
        now: Now,
        visitor: &Visitor,
        patch: &StatePatch,
        limits: &Limits,
    ) -> Result<(), CommandError> {
        check_merged(self.seat(visitor)?, patch, limits)?;
        self.touch(now, visitor);
        self.merge(&visitor.profile.id, &visitor.session, patch);
        Ok(())
    }

    fn merge(&mut self, user: &UserId, session: &SessionId, patch: &StatePatch) {
        let Some(member) = self.members.get(user.as_str()) else { return };
        let Some(held) = member.session(session) else { return };
        let news: StatePatch = patch
            .iter()
            .filter(|(name, value)| held.state.get(*name) != value.as_ref())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if news.is_empty() {
            return;
        }
        let change = self.pending.touch(user, Some(member));
        change.patches.entry(session.clone()).or_default().extend(news.clone());
        let Some(held) = self.members.get_mut(user.as_str()).and_then(|member| member.session_mut(session))
        else {
            return;
        };
        for (name, value) in news {
            match value {
                Some(value) => held.state.insert(name, value),
                None if planted::is(Bug::NullKept) => None,
                None => held.state.remove(&name),
            };
        }
    }

    /// Moves the session's cursor, or hides it.
    ///
    /// # Errors
    /// If the session is not in the room.
    pub fn cursor(&mut self, now: Now, visitor: &Visitor, cursor: Option<Json>) -> Result<(), CommandError> {
        let member = self.members.get_mut(visitor.profile.id.as_str()).ok_or_else(|| not_joined(&self.id))?;
        let session = member.session_mut(&visitor.session).filter(|session| holds(visitor, session));
        let session = session.ok_or_else(|| not_joined(&self.id))?;
        if session.cursor != cursor {
            session.cursor = cursor;
            member.seen(now.wall);
            self.live.moved(&visitor.profile.id, &visitor.session);
        }
        Ok(())
    }

    /// Notes that the session types, or has stopped. Says when to call [`end_typing`](Self::end_typing).
    ///
    /// # Errors
    /// If the session is not in the room.
    pub fn typing(
        &mut self,
        now: Now,
        visitor: &Visitor,
        typing: bool,
        limits: &Limits,
    ) -> Result<Option<Timestamp>, CommandError> {
        self.seat(visitor)?;
        self.touch(now, visitor);
        Ok(self.live.typing(now.at, (&visitor.profile.id, &visitor.session), typing, limits.typing))
    }

    /// Ends the typing whose time is over.
    pub fn end_typing(&mut self, now: Now) {
        self.live.end_typing(now.at);
    }

    /// Notes whether the session is in use.
    pub fn activity(&mut self, now: Now, visitor: &Visitor) {
        let Ok(session) = self.seat(visitor) else { return };
        if session.active == visitor.active {
            return;
        }
        let user = &visitor.profile.id;
        self.pending.touch(user, self.members.get(user.as_str())).sessions = true;
        if let Some(session) = self.seat_mut(visitor) {
            session.active = visitor.active;
        }
        self.touch(now, visitor);
    }

    /// Shows the visitor's user otherwise: what is different between `before` and `after`, and nothing else.
    pub fn show(&mut self, visitor: &Visitor, before: &Profile, after: &Profile) {
        if self.seat(visitor).is_err() {
            return;
        }
        let Some(member) = self.members.get_mut(visitor.profile.id.as_str()) else { return };
        let profile = member.profile.changed(before, after);
        if !Arc::ptr_eq(&profile, &member.profile) {
            self.pending.touch(&visitor.profile.id, Some(member));
            member.profile = profile;
        }
    }

    /// Notes that the session was heard from.
    pub fn touch(&mut self, now: Now, visitor: &Visitor) {
        if self.seat(visitor).is_ok()
            && let Some(member) = self.members.get_mut(visitor.profile.id.as_str())
        {
            member.seen(now.wall);
        }
    }

    fn seat_mut(&mut self, visitor: &Visitor) -> Option<&mut SessionPresence> {
        self.members.get_mut(visitor.profile.id.as_str())?.session_mut(&visitor.session)
    }

    /// Ends the visitor's session at once. Says whether it was there.
    pub fn leave(&mut self, now: Now, visitor: &Visitor, cause: LeaveCause) -> bool {
        if self.seat(visitor).is_err() {
            return false;
        }
        self.touch(now, visitor);
        self.remove(&visitor.profile.id, &visitor.session, cause);
        true
    }

    /// Holds the session of a connection that is gone, until it is taken up again or its time is over. Says whether
    /// it was there.
    pub fn lose(&mut self, now: Now, visitor: &Visitor, until: Timestamp, cause: LeaveCause) -> bool {
        if self.seat(visitor).is_err() {
            return false;
        }
        self.touch(now, visitor);
        self.live.forget(&visitor.profile.id, &visitor.session);
        if let Some(session) = self.seat_mut(visitor) {
            session.link = Link::Held { generation: visitor.generation, until, cause };
            if planted::is(Bug::StateLost) {
                session.state.clear();
            }
        }
        true
    }

    /// Ends a held session whose time is over. Says whether it did.
    pub fn expire(&mut self, now: Timestamp, user: &UserId, session: &SessionId) -> bool {
        let held = self.members.get(user.as_str()).and_then(|member| member.session(session));
        match held.map(|session| session.link) {
            Some(Link::Held { until, cause, .. }) if until <= now => {
                self.remove(user, session, cause);
                true
            }
            _ => false,
        }
    }

    /// Ends a session, whatever stands behind it. Says whether it was there.
    pub fn dismiss(&mut self, user: &UserId, session: &SessionId, cause: LeaveCause) -> bool {
        let there = self.members.get(user.as_str()).is_some_and(|member| member.session(session).is_some());
        if there {
            self.remove(user, session, cause);
        }
        there
    }

    fn remove(&mut self, user: &UserId, session: &SessionId, cause: LeaveCause) {
        self.live.forget(user, session);
        let Some(member) = self.members.get_mut(user.as_str()) else { return };
        let change = self.pending.touch(user, Some(member));
        member.sessions.retain(|present| present.id != *session);
        if member.sessions.is_empty() {
            change.departed = Some(Departed { cause, last_seen: member.last_seen });
            // Of a user who comes back before the hand-out, everything is new.
            change.patches.clear();
            self.members.remove(user.as_str());
        } else {
            change.sessions = true;
            if planted::is(Bug::LeaveOnTwoToOne) && member.sessions.len() == 1 {
                change.departed = Some(Departed { cause, last_seen: member.last_seen });
            }
        }
    }

    /// The latest of everything in the live lane, for one who has missed some of it.
    pub fn live_now(&self) -> Frame {
        let cursors = self.members.iter().flat_map(|(user, member)| {
            member.sessions.iter().map(move |session| (user, &session.id, session.cursor.as_ref()))
        });
        let typists = self.live.typists();
        let (cursors, typing) = (wire::cursors(&self.id, cursors), wire::typing(&self.id, typists.iter()));
        Frame::new([cursors, typing, wire::mode(&self.id, self.mode)])
    }

    /// Who is typing, for one who comes in; `None` if nobody is.
    pub fn typing_now(&self) -> Option<Message> {
        let typists = self.live.typists();
        (!typists.is_empty()).then(|| wire::typing(&self.id, typists.iter()))
    }

    /// The roster, encoded. Stands for [`stand`](Self::stand) only while nothing is pending.
    pub fn roster(&self) -> Roster {
        Roster::encode(self.members())
    }
}

/// Whether this very connection is behind the session.
fn holds(visitor: &Visitor, session: &SessionPresence) -> bool {
    session.is_attached_by(visitor.generation) || planted::is(Bug::NoFence)
}

/// The answer to one who is not in the room.
pub(crate) fn not_joined(room: &RoomId) -> CommandError {
    CommandError::field(ErrorCode::NotJoined, "room", format!("you are not in room {room}"))
}

fn new_session(
    now: Now,
    visitor: &Visitor,
    state: Option<&StatePatch>,
    limits: &Limits,
) -> Result<SessionPresence, CommandError> {
    let mut session = SessionPresence {
        id: visitor.session.clone(),
        link: Link::Attached(visitor.generation),
        connected_at: now.wall,
        active: visitor.active,
        state: BTreeMap::new(),
        cursor: None,
    };
    if let Some(patch) = state {
        check_merged(&session, patch, limits)?;
        let fields = patch.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        session.state = fields.collect();
    }
    Ok(session)
}

/// Refuses a patch that would make the state larger than allowed.
fn check_merged(session: &SessionPresence, patch: &StatePatch, limits: &Limits) -> Result<(), CommandError> {
    let kept = session.state.iter().filter(|(name, _)| !patch.contains_key(*name));
    let set = patch.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let bytes: usize = kept.chain(set).map(|(name, value)| name.len() + value.as_str().len()).sum();
    if bytes > limits.state_bytes_max {
        let message =
            format!("`state` would grow to {bytes} bytes; at most {} are allowed", limits.state_bytes_max);
        return Err(CommandError::field(ErrorCode::TooLarge, "state", message));
    }
    Ok(())
}
