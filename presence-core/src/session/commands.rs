//! What a client's message does to its connection: decided here, or routed to a room.

use std::sync::Arc;

use super::{ChosenBy, Identity, Phase, Seat, Session, SessionOutput};
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::id::{RoomId, SessionId, UserId};
use crate::profile::Profile;
use crate::shard::{Detach, Entry, Join, RoomCommand};
use crate::time::Now;
use crate::wire::{ClientMessage, Decoded, Reference, Since, StatePatch, UserClaim, decode};

impl Session {
    /// A message came.
    pub fn handle_text(&mut self, now: Now, text: &[u8]) {
        if self.is_closed() {
            return;
        }
        self.heartbeat.heard(now.at);
        let Decoded { reference, message } = decode(text, &self.limits);
        match message {
            Ok(message) => {
                self.outputs.push(SessionOutput::Received(message.type_name()));
                // A leave is never refused: whoever wants to go may.
                let free = matches!(message, ClientMessage::Leave { .. } | ClientMessage::Pong { .. });
                match self.budget.pay(now.at, &self.limits) {
                    Err(wait) if !free => {
                        let error = CommandError::new(ErrorCode::RateLimited, "you send more than you may")
                            .retry_after(wait);
                        self.offend(now, &error, &reference, CloseReason::RateLimitAbused);
                    }
                    _ => self.obey(now, message, &reference),
                }
            }
            Err(error) => self.offend(now, &error, &reference, CloseReason::ProtocolAbused),
        }
    }

    /// A message came that is not text.
    pub fn handle_binary(&mut self, now: Now) {
        if self.is_closed() {
            return;
        }
        self.heartbeat.heard(now.at);
        let error = CommandError::new(ErrorCode::BadMessage, "messages are text, not binary");
        self.offend(now, &error, &None, CloseReason::ProtocolAbused);
    }

    /// A routed command could not be taken: the shard has too much to do.
    pub fn handle_busy(&mut self, command: RoomCommand) {
        let reference = match command {
            RoomCommand::Join(join) => {
                self.rooms.retain(|seat| seat.entry != join.entry || seat.reader.is_some());
                join.reference
            }
            RoomCommand::Update { reference, .. }
            | RoomCommand::Cursor { reference, .. }
            | RoomCommand::Typing { reference, .. }
            | RoomCommand::Sync { reference, .. } => reference,
            RoomCommand::Leave
            | RoomCommand::Touch
            | RoomCommand::Activity { .. }
            | RoomCommand::Restart { .. }
            | RoomCommand::LiveNow => return,
        };
        let error = CommandError::new(ErrorCode::Busy, "the server has too much to do; nothing was changed")
            .retry_after(self.limits.huge_room_tick);
        self.refuse(&error, &reference);
    }

    fn offend(&mut self, now: Now, error: &CommandError, reference: &Reference, end: CloseReason) {
        self.refuse(error, reference);
        if self.offences.note(now.at, &self.limits) {
            self.close(end);
        }
    }

    fn obey(&mut self, now: Now, message: ClientMessage, reference: &Reference) {
        let done = match message {
            ClientMessage::Auth { token: _, user, session } => self.auth(now, user, session, reference),
            ClientMessage::Join { room, user, state, since } => {
                let room = room.unwrap_or_else(|| self.default_room.clone());
                self.join(now, room, &user, state, since, reference)
            }
            ClientMessage::Pong { .. } => {
                self.handle_pong(now);
                Ok(())
            }
            ClientMessage::Leave { room } => self.known().map(|_| ()).map(|()| self.leave(room)),
            ClientMessage::Heartbeat => {
                self.known().map(|_| ()).map(|()| self.route_all(&RoomCommand::Touch))
            }
            ClientMessage::Activity { active } => {
                self.known().map(|identity| identity.active = active).map(|()| {
                    self.route_all(&RoomCommand::Activity { active });
                })
            }
            ClientMessage::Update { room, state } => {
                self.route(room, |_| RoomCommand::Update { patch: state, reference: reference.clone() })
            }
            ClientMessage::Cursor { room, cursor } => {
                self.route(room, |_| RoomCommand::Cursor { cursor, reference: reference.clone() })
            }
            ClientMessage::Typing { room, typing } => {
                self.route(room, |_| RoomCommand::Typing { typing, reference: reference.clone() })
            }
            ClientMessage::Sync { room, since, digest } => self.route(room, |entry| RoomCommand::Sync {
                since,
                digest,
                entry,
                reference: reference.clone(),
            }),
        };
        if let Err(error) = done {
            self.refuse(&error, reference);
        }
    }

    fn known(&mut self) -> Result<&mut Identity, CommandError> {
        match &mut self.phase {
            Phase::Ready(identity) => Ok(identity),
            Phase::Opening { .. } | Phase::Closed => Err(CommandError::new(
                ErrorCode::Unauthorized,
                "say who you are first: `auth`, or `presence:join`",
            )),
        }
    }

    fn auth(
        &mut self,
        now: Now,
        user: Option<UserId>,
        session: Option<SessionId>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        if let Phase::Opening { .. } = self.phase {
            let user = user.ok_or_else(|| missing("client_id"))?;
            self.identify(now, Arc::new(Profile::of_user(user)), session, reference);
        } else {
            self.confirm(user.as_ref(), session, ("client_id", "session_id"))?;
            self.say_connected(now, reference);
        }
        Ok(())
    }

    /// Holds what a message says of its sender against what is known: the user stays, and the session too, unless
    /// the server chose it and no room has seen it. Says whether the session is another now.
    fn confirm(
        &mut self,
        user: Option<&UserId>,
        session: Option<SessionId>,
        (user_field, session_field): (&'static str, &'static str),
    ) -> Result<bool, CommandError> {
        let in_no_room = self.rooms.is_empty();
        let identity = self.known()?;
        if user.is_some_and(|user| *user != identity.profile.id) {
            let message = format!("`{user_field}` is not who this connection belongs to");
            return Err(CommandError::field(ErrorCode::Forbidden, user_field, message));
        }
        match session {
            Some(session) if session != identity.session => {
                if identity.chosen_by == ChosenBy::Client || !in_no_room {
                    let message = format!("`{session_field}` is not the session that this connection has");
                    return Err(CommandError::field(ErrorCode::Conflict, session_field, message));
                }
                identity.session = session.clone();
                identity.chosen_by = ChosenBy::Client;
                let user = identity.profile.id.clone();
                self.outputs.push(SessionOutput::Detach { how: Detach::Finished });
                self.outputs.push(SessionOutput::Attach { user, session });
                return Ok(true);
            }
            Some(_) => identity.chosen_by = ChosenBy::Client,
            None => {}
        }
        Ok(false)
    }

    fn join(
        &mut self,
        now: Now,
        room: RoomId,
        claim: &UserClaim,
        state: Option<StatePatch>,
        since: Option<Since>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        if let Phase::Opening { .. } = self.phase {
            let user = claim.id.clone().ok_or_else(|| missing("user.id"))?;
            self.may_enter(&user, &room)?;
            let profile = Arc::new(Profile::of_user(user)).with(claim);
            self.identify(now, profile, claim.session.clone(), &None);
        } else {
            let user = self.known()?.profile.id.clone();
            self.may_enter(&user, &room)?;
            if self.confirm(claim.id.as_ref(), claim.session.clone(), ("user.id", "user.sessionId"))? {
                self.say_connected(now, &None);
            }
        }
        let identity = self.known()?;
        identity.profile = identity.profile.with(claim);
        self.enter(room, state, since, reference)
    }

    /// Asks a room to let the session in.
    pub(super) fn enter(
        &mut self,
        room: RoomId,
        state: Option<StatePatch>,
        since: Option<Since>,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        let user = self.known()?.profile.id.clone();
        self.may_enter(&user, &room)?;
        let entry = self.take_seat(&room)?;
        let identity = self.known()?;
        let (profile, active) = (Arc::clone(&identity.profile), identity.active);
        let join = Join { profile, active, state, since, entry, reference: reference.clone() };
        self.outputs.push(SessionOutput::Route { room, command: RoomCommand::Join(join) });
        Ok(())
    }

    fn may_enter(&self, user: &UserId, room: &RoomId) -> Result<(), CommandError> {
        match room.inbox_of() {
            Some(owner) if owner != user.as_str() => {
                Err(CommandError::field(ErrorCode::Forbidden, "room", "this room is another user's inbox"))
            }
            _ => Ok(()),
        }
    }

    fn take_seat(&mut self, room: &RoomId) -> Result<Entry, CommandError> {
        self.entries = self.entries.wrapping_add(1);
        let entry = Entry(self.entries);
        if let Some(seat) = self.rooms.iter_mut().find(|seat| seat.room == *room) {
            seat.entry = entry;
        } else if self.rooms.len() < self.limits.rooms_per_connection_max {
            self.rooms.reserve_exact(1);
            self.rooms.push(Seat { room: room.clone(), entry, reader: None });
        } else {
            let message =
                format!("a connection may be in at most {} rooms", self.limits.rooms_per_connection_max);
            return Err(CommandError::field(ErrorCode::Conflict, "room", message));
        }
        Ok(entry)
    }

    fn leave(&mut self, room: Option<RoomId>) {
        let room = room.unwrap_or_else(|| self.default_room.clone());
        let before = self.rooms.len();
        self.rooms.retain(|seat| seat.room != room);
        // Leaving a room that was not entered is no error.
        if self.rooms.len() < before {
            self.outputs.push(SessionOutput::Route { room, command: RoomCommand::Leave });
        }
    }

    fn route(
        &mut self,
        room: Option<RoomId>,
        command: impl FnOnce(Entry) -> RoomCommand,
    ) -> Result<(), CommandError> {
        self.known()?;
        let room = room.unwrap_or_else(|| self.default_room.clone());
        let Some(seat) = self.rooms.iter().find(|seat| seat.room == room) else {
            return Err(crate::room::not_joined(&room));
        };
        self.outputs.push(SessionOutput::Route { command: command(seat.entry), room });
        Ok(())
    }

    fn route_all(&mut self, command: &RoomCommand) {
        for seat in &self.rooms {
            let route = SessionOutput::Route { room: seat.room.clone(), command: command.clone() };
            self.outputs.push(route);
        }
    }
}

fn missing(field: &'static str) -> CommandError {
    let message = format!("`{field}` is missing: nobody knows yet who you are");
    CommandError::field(ErrorCode::BadMessage, field, message)
}
