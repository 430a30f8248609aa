//! Messages that last, as one connection sends and receives them.

use std::sync::Arc;

use bytes::Bytes;

use super::{Session, SessionOutput};
use crate::audit::Violation;
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::frame::Frame;
use crate::id::{RoomId, UserId};
use crate::rights::Rooms;
use crate::shard::RoomCommand;
use crate::stream::{Acknowledged, Courier, Fetch, Fetched, MessageId, Opened, Seq, Told};
use crate::time::Now;
use crate::wire::{Json, Reference, SyncRequest};

/// What a session wants of streams.
#[derive(Debug)]
pub enum StreamCommand {
    /// It is in this room now, and receives its messages.
    Listen {
        /// The room.
        room: RoomId,
        /// A sync has told it of those up to here, before anybody knew that it listens.
        after: Option<Seq>,
    },
    /// It is there no more.
    Leave {
        /// The room.
        room: RoomId,
        /// How far it was sent its messages, if it was. Who is on the roster goes on from there.
        sent: Option<Seq>,
    },
    /// To have a message kept, and delivered.
    Publish(Box<Publish>),
    /// To have its user's cursor moved, if that may be.
    Acknowledge {
        /// The stream.
        room: RoomId,
        /// Everything up to here is dealt with.
        seq: Seq,
        /// For the answer, if it may not be; `None`: it may.
        unsure: Option<Reference>,
    },
    /// To have messages read from the store.
    Fetch(Fetch),
    /// To know what there is that the client does not have.
    Sync(Box<Sync>),
    /// So many messages were sent again.
    Redelivered(u64),
    /// Something is not as it must be; count it, and say so.
    Violated(Violation),
}

/// What streams have for a connection.
#[derive(Debug)]
pub enum StreamDelivery {
    /// A message of the connection's own is kept.
    Kept {
        /// Its stream.
        room: RoomId,
        /// Its place there.
        seq: Seq,
        /// The ack.
        frame: Frame,
    },
    /// There is something to deliver of this one.
    Opened(Opened),
    /// This one is for others from now on.
    Closed(RoomId),
    /// What the store has of one.
    Fetched(Box<Fetched>),
    /// The store can not be read.
    NotFetched(RoomId),
    /// The answer to a sync.
    Synced(Box<Synced>),
}

/// A message on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Its stream.
    pub room: RoomId,
    /// The sender's own name for it.
    pub id: MessageId,
    /// JSON.
    pub body: Bytes,
    /// Who sends it.
    pub sender: UserId,
    /// What others call them.
    pub sender_name: Arc<str>,
    /// How it is known that they may.
    pub standing: Standing,
    /// For the answer.
    pub reference: Reference,
}

/// How it is known that somebody may send to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are in the room, or it is an inbox that they may send to, or they are the backend.
    Sure,
    /// Only if they are on the room's roster.
    OnRoster,
}

/// A client that asks what it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Who asks.
    pub user: UserId,
    /// Where they may be.
    pub rooms: Rooms,
    /// Rooms that they are in, beside those whose messages they receive anyway.
    pub present: Vec<RoomId>,
    /// How far this connection was sent the streams whose places it does not say. What it is told joins on to that.
    pub sent: Vec<(RoomId, Seq)>,
    /// What it has.
    pub request: SyncRequest,
    /// For the answer.
    pub reference: Reference,
}

/// The answer to that.
#[derive(Debug)]
pub struct Synced {
    /// What to write, or why there is nothing.
    pub answer: Result<Frame, CommandError>,
    /// How far each stream is told with it.
    pub places: Vec<Told>,
    /// The question.
    pub sync: Box<Sync>,
}

impl Session {
    pub(super) fn publish(
        &mut self,
        room: Option<RoomId>,
        id: MessageId,
        data: &Json,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        let room = room.unwrap_or_else(|| self.default_room.clone());
        self.may_send(&room)?;
        let seat = self.rooms.iter_mut().find(|seat| seat.room == room);
        let present = seat.is_some();
        // Who has sent it types it no more.
        if let Some(seat) = seat
            && std::mem::take(&mut seat.typing)
        {
            let command = RoomCommand::Typing { typing: false, reference: None };
            self.outputs.push(SessionOutput::Route { room: room.clone(), command });
        }
        let profile = Arc::clone(&self.known()?.profile);
        let sure = present || room.inbox_of().is_some();
        let publish = Publish {
            id,
            body: Bytes::copy_from_slice(data.as_str().as_bytes()),
            sender: profile.id.clone(),
            sender_name: Arc::from(&*profile.name),
            standing: if sure { Standing::Sure } else { Standing::OnRoster },
            reference: reference.clone(),
            room,
        };
        self.outputs.push(SessionOutput::Stream(StreamCommand::Publish(Box::new(publish))));
        Ok(())
    }

    fn may_send(&mut self, room: &RoomId) -> Result<(), CommandError> {
        let identity = self.known()?;
        if identity.rights.allow_sending(&identity.profile.id, room) {
            return Ok(());
        }
        let message = "your token does not let you send there";
        Err(CommandError::field(ErrorCode::Forbidden, "room", message))
    }

    /// What moves the cursor is free: there can not be more of it than was sent.
    pub(super) fn acknowledge(&mut self, now: Now, room: Option<RoomId>, seq: Seq, reference: &Reference) {
        if let Err(error) = self.known().map(|_| ()) {
            return self.refuse(&error, reference);
        }
        let room = room.unwrap_or_else(|| self.default_room.clone());
        let courier = self.courier.as_mut();
        let done = courier.map_or(Acknowledged::NotOpen, |courier| courier.acknowledge(&room, seq));
        let mut unsure = None;
        let seq = match done {
            Acknowledged::To(seq) => seq,
            Acknowledged::Already => {
                self.pay(now, reference);
                return;
            }
            Acknowledged::Beyond => {
                return self.offend(now, &beyond(), reference, CloseReason::ProtocolAbused);
            }
            Acknowledged::NotOpen => {
                let told = self.courier.as_ref().and_then(|courier| courier.told_of(&room));
                if !self.pay(now, reference) {
                    return;
                }
                // What a sync has brought counts as sent, also of a stream that is not received here.
                unsure = (told < Some(seq)).then(|| reference.clone());
                seq
            }
        };
        self.outputs.push(SessionOutput::Stream(StreamCommand::Acknowledge { room, seq, unsure }));
    }

    pub(super) fn sync_all(
        &mut self,
        request: SyncRequest,
        reference: &Reference,
    ) -> Result<(), CommandError> {
        let identity = self.known()?;
        let (user, rooms) = (identity.profile.id.clone(), identity.rights.rooms());
        if std::mem::replace(&mut self.syncing, true) {
            let message = "the answer to your last `sync` is still under way";
            return Err(CommandError::new(ErrorCode::Busy, message).retry_after(self.limits.huge_room_tick));
        }
        let connection = self.connection;
        let courier = self.courier.get_or_insert_with(|| Box::new(Courier::new(connection)));
        courier.hold(request.cursors.iter().map(|(room, _)| room.clone()).collect());
        let sent = courier.sent_unnamed();
        let present = self.rooms().cloned().collect();
        let sync = Sync { user, rooms, present, sent, request, reference: reference.clone() };
        self.outputs.push(SessionOutput::Stream(StreamCommand::Sync(Box::new(sync))));
        Ok(())
    }

    pub(super) fn handle_stream(&mut self, delivery: StreamDelivery) {
        match (delivery, &mut self.courier) {
            (StreamDelivery::Kept { room, seq, frame }, courier) => {
                if let Some(courier) = courier {
                    courier.tell(&room, seq);
                }
                self.outbox.push(frame);
            }
            (StreamDelivery::Opened(opened), _) => self.handle_opened(opened),
            (StreamDelivery::Synced(synced), _) => self.handle_synced(*synced),
            (StreamDelivery::Closed(room), Some(courier)) => _ = courier.close(&room),
            (StreamDelivery::Fetched(fetched), Some(courier)) => courier.handle_fetched(*fetched),
            (StreamDelivery::NotFetched(room), Some(courier)) => courier.handle_not_fetched(&room),
            (_, None) => {}
        }
    }

    fn handle_opened(&mut self, opened: Opened) {
        let Ok(identity) = self.known() else { return };
        // S1: a roster does not outweigh a token.
        if identity.rights.allow(&identity.profile.id, &opened.room) {
            let connection = self.connection;
            self.courier.get_or_insert_with(|| Box::new(Courier::new(connection))).open(opened);
        }
    }

    fn handle_synced(&mut self, synced: Synced) {
        let Synced { answer, places, mut sync } = synced;
        if let Some(courier) = &mut self.courier {
            if courier.would_skip(&places) {
                // A stream was opened meanwhile that the answer does not join on to.
                sync.sent = courier.sent_unnamed();
                return self.outputs.push(SessionOutput::Stream(StreamCommand::Sync(sync)));
            }
            courier.release(&places);
        }
        self.syncing = false;
        for seat in self.rooms.iter().filter(|seat| seat.reader.is_some()) {
            if let Some(after) = self.courier.as_ref().and_then(|courier| courier.told_of(&seat.room)) {
                let listen = StreamCommand::Listen { room: seat.room.clone(), after: Some(after) };
                self.outputs.push(SessionOutput::Stream(listen));
            }
        }
        match answer {
            Ok(frame) => self.outbox.push(frame),
            Err(error) => self.refuse(&error, &sync.reference),
        }
    }

    /// Its messages are for others from now on.
    pub(super) fn leave_stream(&mut self, room: &RoomId) {
        let sent = self.courier.as_mut().and_then(|courier| courier.close(room));
        let leave = StreamCommand::Leave { room: room.clone(), sent };
        self.outputs.push(SessionOutput::Stream(leave));
    }

    /// Adds what waits of streams to `frames`. Says whether there is more than fitted.
    pub(super) fn gather_streams(&mut self, now: Now, frames: &mut Vec<Frame>) -> bool {
        let Some(courier) = &mut self.courier else { return false };
        let mut fetches = Vec::new();
        let more = courier.gather(now.at, &self.limits, frames, &mut fetches);
        let commands = fetches.into_iter().map(StreamCommand::Fetch);
        self.outputs.extend(commands.map(SessionOutput::Stream));
        let again = courier.take_redelivered();
        while let Some(violation) = courier.pop_violation() {
            self.outputs.push(SessionOutput::Stream(StreamCommand::Violated(violation)));
        }
        if again > 0 {
            self.outputs.push(SessionOutput::Stream(StreamCommand::Redelivered(again)));
        }
        more
    }
}

/// Nothing so new was sent (M10).
pub fn beyond() -> CommandError {
    let message = "`seq` is beyond what you were sent";
    CommandError::field(ErrorCode::Conflict, "seq", message)
}
