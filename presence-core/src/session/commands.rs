//! What a client's message does to its connection: decided here, or routed to a room.

use std::sync::Arc;

use super::auth::{Rights, Wanted, another_inbox};
use super::{Phase, Seat, Session, SessionOutput};
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::id::RoomId;
use crate::planted::{self, Bug};
use crate::profile::Profile;
use crate::rights::Rooms;
use crate::shard::{Entry, Join, RoomCommand};
use crate::time::Now;
use crate::window::Window;
use crate::wire::{ClientMessage, Decoded, Reference, Since, StatePatch, UserClaim, decode};

/// What a client wants when it enters a room.
#[derive(Default)]
pub(super) struct Wish {
    pub(super) state: Option<StatePatch>,
    pub(super) since: Option<Since>,
    pub(super) window: Option<Window>,
}

impl Session {
    /// A message came.
    pub fn handle_text(&mut self, now: Now, text: &[u8]) {
        if self.is_closed() {
            return;
        }
        self.heartbeat.heard(now.at);
        self.unfinished = None;
        if planted::is(Bug::LifeIsProgress) {
            self.stalled = None;
        }
        let Decoded { reference, message } = decode(text, &self.limits);
        match message {
            Ok(message) => {
                self.outputs.push(SessionOutput::Received(message.type_name()));
                let paid = match message {
                    ClientMessage::Pong { .. } => self.budgets.pay_control(now.at, &self.limits),
                    ClientMessage::Join { .. } => self.budgets.pay_join(now.at, &self.limits),
                    // It pays when it turns out to be of no use.
                    ClientMessage::Ack { .. } => Ok(()),
                    _ => self.budgets.pay_message(now.at, &self.limits),
                };
                match paid {
                    Ok(()) => self.obey(now, message, &reference),
                    Err(used_up) => {
                        // A leave is never refused: whoever wants to go may. It counts all the same.
                        if matches!(message, ClientMessage::Leave { .. }) {
                            self.obey(now, message, &None);
                        }
                        self.overdraw(now, used_up, 1, &reference);
                    }
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
        self.unfinished = None;
        let error = CommandError::new(ErrorCode::BadMessage, "messages are text, not binary");
        self.offend(now, &error, &None, CloseReason::ProtocolAbused);
    }

    /// A routed command could not be taken: the shard has too much to do.
    pub fn handle_busy(&mut self, command: RoomCommand) {
        let reference = match command {
            RoomCommand::Join(join) => {
                self.not_entered(join.entry);
                join.reference
            }
            RoomCommand::Update { reference, .. }
            | RoomCommand::Cursor { reference, .. }
            | RoomCommand::Typing { reference, .. }
            | RoomCommand::Sync { reference, .. }
            | RoomCommand::Window { reference, .. } => reference,
            RoomCommand::Leave
            | RoomCommand::PutOut
            | RoomCommand::Touch
            | RoomCommand::Activity { .. }
            | RoomCommand::Profile { .. }
            | RoomCommand::Restart { .. }
            | RoomCommand::LiveNow => return,
        };
        let error = CommandError::new(ErrorCode::Busy, "the server has too much to do; nothing was changed")
            .retry_after(self.limits.huge_room_tick);
        self.refuse(&error, &reference);
    }

    /// Pays for one message. Says whether that could be paid; if not, it has been refused.
    pub(super) fn pay(&mut self, now: Now, reference: &Reference) -> bool {
        match self.budgets.pay_message(now.at, &self.limits) {
            Ok(()) => true,
            Err(used_up) => {
                self.overdraw(now, used_up, 1, reference);
                false
            }
        }
    }

    pub(super) fn offend(&mut self, now: Now, error: &CommandError, reference: &Reference, end: CloseReason) {
        self.refuse(error, reference);
        if self.offences.get_or_insert_default().note(now.at, &self.limits) {
            self.close(end);
        }
    }

    fn obey(&mut self, now: Now, message: ClientMessage, reference: &Reference) {
        let done = match message {
            ClientMessage::Auth { token, user, session } => self.auth(now, token, user, session, reference),
            ClientMessage::Join { room, user, state, since, window } => {
                let room = room.unwrap_or_else(|| self.default_room.clone());
                self.join(now, room, &user, Wish { state, since, window }, reference)
            }
            ClientMessage::Window { room, window } => {
                self.route(room, |entry| RoomCommand::Window { window, entry, reference: reference.clone() })
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
                    self.outputs.push(SessionOutput::Active(active));
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
                self.note_typing(room.as_ref(), typing);
                self.route(room, |_| RoomCommand::Typing { typing, reference: reference.clone() })
            }
            ClientMessage::Message { room, id, data } => self.publish(room, id, &data, reference),
            ClientMessage::Ack { room, seq } => {
                self.acknowledge(now, room, seq, reference);
                Ok(())
            }
            ClientMessage::SyncAll(request) => self.sync_all(request, reference),
            ClientMessage::ListUsers { room } => self.list_users(room, reference),
            ClientMessage::Watch { users } => self.watch(users, reference),
            ClientMessage::Unwatch { users } => self.unwatch(users),
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

    fn join(
        &mut self,
        now: Now,
        room: RoomId,
        claim: &UserClaim,
        wish: Wish,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        if let Phase::Opening { wanted: Wanted::Word, .. } = self.phase {
            let user = claim.id.clone().ok_or_else(|| missing("user.id"))?;
            if !Rooms::Every.allow(&user, &room) {
                return Err(another_inbox());
            }
            self.choose_session(claim.session.clone(), "user.sessionId")?;
            let profile = Arc::new(Profile::of_user(user)).with(claim);
            self.identify(now, profile, Rights::All, &None);
        } else {
            self.may_enter(&room)?;
            if self.confirm(claim.id.as_ref(), claim.session.clone(), ("user.id", "user.sessionId"))? {
                self.say_connected(now, &None);
            }
        }
        let identity = self.known()?;
        let said = identity.said.with(claim);
        if said != identity.said {
            identity.said = Arc::clone(&said);
            identity.profile = match &identity.kept {
                Some(person) => person.over(&said),
                None => Arc::clone(&said),
            };
            self.outputs.push(SessionOutput::Said(said));
        }
        self.enter(room, wish, reference)
    }

    /// Asks a room to let the session in.
    pub(super) fn enter(
        &mut self,
        room: RoomId,
        wish: Wish,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        self.may_enter(&room)?;
        let entry = self.take_seat(&room)?;
        let identity = self.known()?;
        let (profile, active) = (Arc::clone(&identity.profile), identity.active);
        let Wish { state, since, window } = wish;
        let join = Join { profile, active, state, since, window, entry, reference: reference.clone() };
        self.outputs.push(SessionOutput::Route { room, command: RoomCommand::Join(join) });
        Ok(())
    }

    fn take_seat(&mut self, room: &RoomId) -> Result<Entry, CommandError> {
        if let Some(seat) = self.rooms.iter_mut().find(|seat| seat.room == *room) {
            seat.asked += 1;
            return Ok(seat.entry);
        }
        if self.rooms.len() >= self.limits.rooms_per_connection_max {
            let message =
                format!("a connection may be in at most {} rooms", self.limits.rooms_per_connection_max);
            return Err(CommandError::field(ErrorCode::Conflict, "room", message));
        }
        self.entries = self.entries.wrapping_add(1);
        let entry = Entry(self.entries);
        self.rooms.push(Seat { room: room.clone(), entry, asked: 1, reader: None, typing: false });
        Ok(entry)
    }

    /// A request to enter was refused. If another one is still under way, or was granted, the session is in all the same.
    pub(super) fn not_entered(&mut self, entry: Entry) {
        let Some(index) = self.rooms.iter().position(|seat| seat.entry == entry) else { return };
        let seat = &mut self.rooms[index];
        seat.asked = seat.asked.saturating_sub(1);
        if seat.asked == 0 && seat.reader.is_none() {
            self.rooms.remove(index);
        }
    }

    fn leave(&mut self, room: Option<RoomId>) {
        let room = room.unwrap_or_else(|| self.default_room.clone());
        let before = self.rooms.len();
        self.rooms.retain(|seat| seat.room != room);
        // Leaving a room that was not entered is no error.
        if self.rooms.len() < before {
            self.leave_stream(&room);
            self.outputs.push(SessionOutput::Route { room, command: RoomCommand::Leave });
        }
    }

    fn note_typing(&mut self, room: Option<&RoomId>, typing: bool) {
        let room = room.unwrap_or(&self.default_room);
        if let Some(seat) = self.rooms.iter_mut().find(|seat| seat.room == *room) {
            seat.typing = typing;
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

pub(super) fn missing(field: &'static str) -> CommandError {
    let message = format!("`{field}` is missing: nobody knows yet who you are");
    CommandError::field(ErrorCode::BadMessage, field, message)
}
