//! What a command does to its room, beside joins and leaves, which change more than the room.

use super::desk::{Desk, Want};
use super::input::RoomCommand;
use crate::error::CommandError;
use crate::frame::Frame;
use crate::limits::Limits;
use crate::room::Visitor;
use crate::time::{Now, Timestamp};
use crate::wire::Reference;

/// What a command came to, beside what it changed in the room.
pub(super) enum Applied {
    Nothing,
    Answer(Frame),
    TypingUntil(Timestamp),
    /// The connection does not read the room's feed any more.
    Silence,
}

/// Carries out a command of one who is in the room, or should be.
pub(super) fn apply(
    desk: &mut Desk,
    now: Now,
    visitor: &Visitor,
    command: RoomCommand,
    limits: &Limits,
) -> Result<Applied, (CommandError, Reference)> {
    match command {
        RoomCommand::Update { patch, reference } => {
            desk.room_mut().update(now, visitor, &patch, limits).map_err(|error| (error, reference))?;
        }
        RoomCommand::Cursor { cursor, reference } => {
            desk.room_mut().cursor(now, visitor, cursor).map_err(|error| (error, reference))?;
        }
        RoomCommand::Typing { typing, reference } => {
            let until =
                desk.room_mut().typing(now, visitor, typing, limits).map_err(|error| (error, reference))?;
            return Ok(until.map_or(Applied::Nothing, Applied::TypingUntil));
        }
        RoomCommand::Activity { active } => {
            desk.room_mut().activity(now, &Visitor { active, ..visitor.clone() })
        }
        RoomCommand::Touch => desk.room_mut().touch(now, visitor),
        RoomCommand::Profile { before, after } => desk.room_mut().show(visitor, &before, &after),
        RoomCommand::Sync { since, digest, entry, reference } => {
            if !desk.room().is_in(visitor) {
                return Err((crate::room::not_joined(desk.room().id()), reference));
            }
            desk.wait(visitor, entry, Want::Sync { since, digest }, reference);
        }
        RoomCommand::Window { window, entry, reference } => {
            if !desk.room().is_in(visitor) {
                return Err((crate::room::not_joined(desk.room().id()), reference));
            }
            if let Err(error) = desk.check_window(window, limits) {
                return Err((error, reference));
            }
            desk.watch(visitor.generation, Some(window));
            desk.wait(visitor, entry, Want::Window, reference);
            return Ok(Applied::Silence);
        }
        RoomCommand::Restart { entry } => desk.wait(visitor, entry, Want::Restart, None),
        RoomCommand::LiveNow if desk.room().is_in(visitor) => {
            return Ok(Applied::Answer(desk.room().live_now()));
        }
        // Joins and leaves change more than the room, and the shard has taken them already.
        RoomCommand::LiveNow | RoomCommand::Join(_) | RoomCommand::Leave | RoomCommand::PutOut => {}
    }
    Ok(Applied::Nothing)
}
