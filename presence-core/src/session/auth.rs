//! Who a connection belongs to: how that becomes known, what it allows, how a token is renewed and when it ends.

use std::sync::Arc;

use super::{ChosenBy, Identity, Phase, Session, SessionOutput};
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::frame::Frame;
use crate::id::{RoomId, SessionId, UserId};
use crate::profile::{Profile, Text};
use crate::rights::{Grant, Rooms, Token};
use crate::shard::{Detach, RoomCommand};
use crate::time::{Now, Timestamp};
use crate::wire::{self, Reference, UserClaim};

/// How it is known to whom a connection belongs when it opens.
#[derive(Clone, Debug, Default)]
pub enum Proof {
    /// A token is needed, and has to come in the first message.
    #[default]
    Awaited,
    /// A good token came with the request.
    Token(Box<Grant>),
    /// Nobody proves anything (dev mode): the user is who the URL says, or else the first message.
    Word(Option<UserId>),
}

/// What an `auth` message brought, on its way to whoever can tell a good token from a bad one and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// To be checked.
    pub token: Token,
    pub(super) user: Option<UserId>,
    pub(super) session: Option<SessionId>,
    pub(super) reference: Reference,
}

/// What has to come before the user is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A good token.
    Token,
    /// A name.
    Word,
}

/// What the user of a connection may do.
#[derive(Clone, Debug)]
pub(super) enum Rights {
    /// Everything (dev mode).
    All,
    /// What a token says.
    Granted(Box<Granted>),
}

/// What a token says its user may do.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    rooms: Rooms,
    until: Timestamp,
}

impl Rights {
    /// A grant names a moment of the wall clock; from here on it is a span, which no jump of that clock changes (C8).
    fn of(now: Now, grant: &Grant) -> Self {
        let left = grant.expires.as_unix_millis().saturating_sub(now.wall.as_unix_millis());
        let left = std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Self::Granted(Box::new(Granted { rooms: grant.rooms.clone(), until: now.at + left }))
    }

    /// When they end.
    pub(super) fn until(&self) -> Option<Timestamp> {
        match self {
            Self::All => None,
            Self::Granted(granted) => Some(granted.until),
        }
    }

    /// Where they hold.
    pub(super) fn rooms(&self) -> Rooms {
        match self {
            Self::All => Rooms::Every,
            Self::Granted(granted) => granted.rooms.clone(),
        }
    }

    pub(super) fn allow(&self, user: &UserId, room: &RoomId) -> bool {
        match self {
            Self::All => Rooms::Every.allow(user, room),
            Self::Granted(granted) => granted.rooms.allow(user, room),
        }
    }

    pub(super) fn allow_sending(&self, user: &UserId, room: &RoomId) -> bool {
        match self {
            Self::All => true,
            Self::Granted(granted) => granted.rooms.allow_sending(user, room),
        }
    }
}

impl Session {
    /// The request that opened the connection said or proved who it is, or neither.
    pub(super) fn begin(&mut self, now: Now, proof: Proof, name: Option<Text>) {
        let (profile, rights) = match proof {
            Proof::Awaited | Proof::Word(None) => return,
            Proof::Word(Some(user)) => (Arc::new(Profile::of_user(user)), Rights::All),
            Proof::Token(grant) => (Arc::clone(&grant.profile), Rights::of(now, &grant)),
        };
        let profile = profile.with(&UserClaim { name, ..Default::default() });
        self.identify(now, profile, rights, &None);
    }

    /// An `auth` message came.
    pub(super) fn auth(
        &mut self,
        now: Now,
        token: Option<Token>,
        user: Option<UserId>,
        session: Option<SessionId>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        match (&self.phase, token) {
            (Phase::Opening { wanted: Wanted::Word, .. }, _) => {
                let user = user.ok_or_else(|| super::commands::missing("client_id"))?;
                self.choose_session(session, "session_id")?;
                self.identify(now, Arc::new(Profile::of_user(user)), Rights::All, reference);
            }
            (Phase::Opening { wanted: Wanted::Token, .. }, None) => {
                let message = "`token` is missing: here everybody has to prove who they are";
                self.refuse(&CommandError::field(ErrorCode::Unauthorized, "token", message), reference);
                self.close(CloseReason::NotAuthorized);
            }
            (Phase::Opening { .. }, Some(token)) => self.ask(token, user, session, reference),
            (Phase::Ready(Identity { rights: Rights::Granted(_), .. }), Some(token)) => {
                self.ask(token, user, session, reference);
            }
            (Phase::Ready(_), _) => {
                self.confirm(user.as_ref(), session, ("client_id", "session_id"))?;
                self.say_connected(now, reference);
            }
            (Phase::Closed, _) => {}
        }
        Ok(())
    }

    fn ask(&mut self, token: Token, user: Option<UserId>, session: Option<SessionId>, reference: &Reference) {
        let credentials = Credentials { token, user, session, reference: reference.clone() };
        self.outputs.push(SessionOutput::Verify(Box::new(credentials)));
    }

    /// The answer to [`SessionOutput::Verify`].
    pub fn handle_verified(
        &mut self,
        now: Now,
        credentials: Credentials,
        verdict: Result<Grant, CommandError>,
    ) {
        let reference = credentials.reference.clone();
        let done = match (&self.phase, verdict) {
            (Phase::Closed, _) => return,
            (Phase::Opening { .. }, Err(error)) => {
                self.refuse(&error, &reference);
                return self.close(CloseReason::NotAuthorized);
            }
            // What was granted before still holds. Guessing does not.
            (Phase::Ready(_), Err(error)) => {
                return self.offend(now, &error, &reference, CloseReason::ProtocolAbused);
            }
            (Phase::Opening { .. }, Ok(grant)) => self.admit(now, &grant, credentials),
            (Phase::Ready(_), Ok(grant)) => self.renew(now, &grant, credentials),
        };
        if let Err(error) = done {
            self.refuse(&error, &reference);
        }
    }

    fn admit(&mut self, now: Now, grant: &Grant, credentials: Credentials) -> Result<(), CommandError> {
        if credentials.user.is_some_and(|user| user != *grant.user()) {
            return Err(not_whose("client_id"));
        }
        self.choose_session(credentials.session, "session_id")?;
        self.identify(now, Arc::clone(&grant.profile), Rights::of(now, grant), &credentials.reference);
        Ok(())
    }

    fn renew(&mut self, now: Now, grant: &Grant, credentials: Credentials) -> Result<(), CommandError> {
        let identity = self.known()?;
        if identity.profile.id != *grant.user() {
            return Err(not_whose("token"));
        }
        self.confirm(credentials.user.as_ref(), credentials.session, ("client_id", "session_id"))?;
        let rights = Rights::of(now, grant);
        self.known()?.rights = rights.clone();
        self.say_connected(now, &credentials.reference);
        // Whatever the new token does not allow ends: the others hear of it as of somebody who was sent away.
        let gone: Vec<RoomId> =
            self.rooms().filter(|room| !rights.allow(grant.user(), room)).cloned().collect();
        if let Some(courier) = &mut self.courier {
            courier.retain(|room| rights.allow(grant.user(), room));
        }
        for room in gone {
            self.rooms.retain(|seat| seat.room != room);
            self.outbox.push(Frame::one(wire::put_out(&room)));
            self.leave_stream(&room);
            self.outputs.push(SessionOutput::Route { room, command: RoomCommand::PutOut });
        }
        Ok(())
    }

    /// Who it is, if that is known.
    pub(super) fn known(&mut self) -> Result<&mut Identity, CommandError> {
        let message = match &mut self.phase {
            Phase::Ready(identity) => return Ok(identity),
            Phase::Opening { wanted: Wanted::Token, .. } => {
                "prove who you are first: send `auth` with a token"
            }
            Phase::Opening { wanted: Wanted::Word, .. } | Phase::Closed => {
                "say who you are first: `auth`, or `presence:join`"
            }
        };
        Err(CommandError::new(ErrorCode::Unauthorized, message))
    }

    /// Whether the user may enter the room. Does not know, and so cannot tell, whether there is such a room.
    pub(super) fn may_enter(&mut self, room: &RoomId) -> Result<(), CommandError> {
        let identity = self.known()?;
        if identity.rights.allow(&identity.profile.id, room) {
            return Ok(());
        }
        if room.inbox_of().is_some() {
            return Err(another_inbox());
        }
        let message = "your token does not let you enter this room";
        Err(CommandError::field(ErrorCode::Forbidden, "room", message))
    }

    /// Notes the session id that a first message gives; one that the URL gave stands.
    pub(super) fn choose_session(
        &mut self,
        session: Option<SessionId>,
        field: &'static str,
    ) -> Result<(), CommandError> {
        let (Some(given), Phase::Opening { session, chosen_by, .. }) = (session, &mut self.phase) else {
            return Ok(());
        };
        if *chosen_by == ChosenBy::Client && *session != given {
            return Err(another_session(field));
        }
        (*session, *chosen_by) = (given, ChosenBy::Client);
        Ok(())
    }

    /// Holds what a message says of its sender against what is known: the user stays, and the session too, unless
    /// the server chose it and no room has seen it. Says whether the session is another now.
    pub(super) fn confirm(
        &mut self,
        user: Option<&UserId>,
        session: Option<SessionId>,
        (user_field, session_field): (&'static str, &'static str),
    ) -> Result<bool, CommandError> {
        let in_no_room = self.rooms.is_empty();
        let identity = self.known()?;
        if user.is_some_and(|user| *user != identity.profile.id) {
            return Err(not_whose(user_field));
        }
        match session {
            Some(session) if session != identity.session => {
                if identity.chosen_by == ChosenBy::Client || !in_no_room {
                    return Err(another_session(session_field));
                }
                identity.session = session.clone();
                identity.chosen_by = ChosenBy::Client;
                let (user, said) = (identity.profile.id.clone(), Arc::clone(&identity.said));
                let active = identity.active;
                self.outputs.extend([
                    SessionOutput::Detach { how: Detach::Finished },
                    SessionOutput::Attach { user, session, attempt: None },
                    SessionOutput::Said(said),
                    SessionOutput::Active(active),
                ]);
                return Ok(true);
            }
            Some(_) => identity.chosen_by = ChosenBy::Client,
            None => {}
        }
        Ok(false)
    }
}

fn not_whose(field: &'static str) -> CommandError {
    let message = format!("`{field}` is not who this connection belongs to");
    CommandError::field(ErrorCode::Forbidden, field, message)
}

pub(super) fn another_inbox() -> CommandError {
    CommandError::field(ErrorCode::Forbidden, "room", "this room is another user's inbox")
}

fn another_session(field: &'static str) -> CommandError {
    let message = format!("`{field}` is not the session that this connection has");
    CommandError::field(ErrorCode::Conflict, field, message)
}
