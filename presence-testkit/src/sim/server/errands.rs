//! What the store is asked for one connection: messages that are in memory no longer, what a client does not have, and
//! where somebody stands who has just connected. And what is done when writes have become safe.

use std::collections::BTreeMap;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::{Frame, Message};
use presence_core::id::RoomId;
use presence_core::planted::{self, Bug};
use presence_core::port::store::{Appended, Page, PageLimits};
use presence_core::session::{Delivery, StreamDelivery, Sync, Synced};
use presence_core::stream::{Fetch, Fetched, Purpose, Seq, StoredMessage, Told};
use presence_core::wire::{self, SyncResult};

use super::super::agenda::Event;
use super::super::world::World;
use super::disk::{Disk, Write, Wrote};
use super::hub::Then;

/// A question to the store that is under way.
#[derive(Debug)]
pub(in crate::sim) enum Errand {
    Arrive,
    Fetch(Fetch),
    Sync(Box<Sync>),
}

impl World {
    /// Asks the store something for a connection.
    pub(super) fn send_errand(&mut self, connection: u64, errand: Errand) {
        let delay = self.dice.between(0, 12) + if self.now < self.slow_store_until { 900 } else { 0 };
        let Some(life) = self.server.as_ref().map(|server| server.life) else { return };
        self.errand_count += 1;
        let number = self.errand_count;
        self.errands.insert(number, (connection, errand));
        self.agenda_at(self.now + delay, Event::Errand { life, number });
    }

    pub(in crate::sim) fn run_errand(&mut self, number: u64) {
        let Some((connection, errand)) = self.errands.remove(&number) else { return };
        let broken = self.now < self.broken_store_until;
        match errand {
            Errand::Arrive if broken => {
                let life = self.server.as_ref().map_or(0, |server| server.life);
                self.errands.insert(number, (connection, Errand::Arrive));
                self.agenda_at(self.now + 1_000, Event::Errand { life, number });
            }
            Errand::Arrive => self.arrive_at_streams(connection),
            Errand::Fetch(fetch) if broken => {
                self.deliver(connection, Delivery::Stream(StreamDelivery::NotFetched(fetch.room)));
            }
            Errand::Fetch(fetch) => {
                let limits = self.page_limits();
                let page = self.disk.read(&fetch.room, fetch.after, limits);
                let fetched = Box::new(fetched(fetch, &page));
                self.deliver(connection, Delivery::Stream(StreamDelivery::Fetched(fetched)));
            }
            Errand::Sync(sync) => {
                let synced = if broken {
                    Synced { answer: Err(unavailable()), places: Vec::new(), sync }
                } else {
                    let items = self.plan.limits.sync_items_max;
                    let result = collect(&self.disk, &sync, items, self.clock().wall);
                    let frame = Frame::one(wire::sync_result(&result, &sync.reference));
                    let cursors = result.cursors.into_iter().zip(result.begins);
                    let places = cursors.map(|((room, to), from)| Told { room, from, to }).collect();
                    Synced { answer: Ok(frame), places, sync }
                };
                self.deliver(connection, Delivery::Stream(StreamDelivery::Synced(Box::new(synced))));
            }
        }
    }

    fn page_limits(&self) -> PageLimits {
        let limits = &self.plan.limits;
        PageLimits { messages: limits.page_messages_max, bytes: limits.page_bytes_max }
    }

    /// What has been written until now is safe.
    pub(in crate::sim) fn settle_line(&mut self) {
        let Some(hub) = self.hub() else { return };
        hub.settling = false;
        let line = std::mem::take(&mut hub.line);
        let broken = self.now < self.broken_store_until;
        for (write, then) in line {
            let wrote = if broken { Wrote::Unavailable } else { self.disk.apply(write.clone()) };
            self.check_write(&write, wrote);
            self.written(write, then, wrote);
        }
    }

    fn written(&mut self, write: Write, then: Then, wrote: Wrote) {
        let standing = if let Wrote::Stands(standing) = wrote { Some(standing) } else { None };
        match then {
            Then::Nothing => {}
            Then::Place { room, user } => self.place(&room, &user, standing),
            Then::CaughtUp { connection, room, user, after } => {
                self.place(&room, &user, standing);
                self.open_after(connection, &room, after);
            }
            Then::Acked { room, user, seq } => {
                if wrote == Wrote::Unavailable {
                    self.note_acked(room, user, seq);
                }
            }
            Then::Message { connection, id, reference } => {
                let Write::Append(message) = write else { return };
                let Some(appended) = Then::appended(wrote) else {
                    let error = if wrote == Wrote::Conflict {
                        CommandError::field(ErrorCode::Conflict, "id", "you have used this `id`")
                    } else {
                        unavailable()
                    };
                    return self.deliver(connection, Delivery::Refused { error, reference });
                };
                let (Appended::New { seq } | Appended::Again { seq, .. }) = appended;
                self.trace.note(
                    self.now,
                    format_args!("{} of {} is {seq} in {}", message.id, message.sender, message.room),
                );
                if !planted::is(Bug::AckBeforeWrite) {
                    self.say_kept(connection, &message, seq, &reference);
                }
                if let Appended::New { seq } = appended {
                    self.counts.messages += 1;
                    self.hand_on(StoredMessage { seq, message: *message }, id);
                }
            }
        }
    }

    /// The server is no more, and what was on its way to the store is there as far as the disk got.
    pub(in crate::sim) fn lose_line(&mut self, everything_is_there: bool) {
        let line = self.hub().map(|hub| std::mem::take(&mut hub.line)).unwrap_or_default();
        let kept = if everything_is_there { line.len() } else { self.dice.below(line.len() + 1) };
        for (write, _) in line.into_iter().take(kept) {
            let wrote = self.disk.apply(write.clone());
            self.check_write(&write, wrote);
        }
        self.errands.clear();
    }
}

fn unavailable() -> CommandError {
    CommandError::new(ErrorCode::Unavailable, "messages can not be kept or read now")
}

fn end_of(page: &Page, after: Seq) -> Seq {
    if !page.more {
        return page.head.max(after);
    }
    let last = page.messages.last().map(|stored| stored.seq);
    last.or(page.gaps.last().map(|gap| gap.to)).unwrap_or(after)
}

fn fetched(fetch: Fetch, page: &Page) -> Fetched {
    let limit = match fetch.purpose {
        Purpose::New => Seq::LAST,
        Purpose::Again { to } => to,
    };
    let mut out: Vec<Message> = Vec::new();
    if fetch.purpose == Purpose::New && !planted::is(Bug::DroppedUntold) {
        out.extend(page.gaps.iter().map(|gap| wire::messages_dropped(&fetch.room, gap)));
    }
    let messages: Vec<&StoredMessage> =
        page.messages.iter().take_while(|stored| stored.seq <= limit).collect();
    let last = messages.last().map(|stored| stored.seq);
    out.extend(messages.into_iter().map(wire::stream_message));
    let frame = (!out.is_empty()).then(|| Frame::new(out));
    let (frame, up_to) = match fetch.purpose {
        Purpose::New => (frame, end_of(page, fetch.after)),
        Purpose::Again { to } => (frame.as_ref().map(wire::redelivered), end_of(page, fetch.after).min(to)),
    };
    Fetched { fetch, frame, last, up_to }
}

/// One answer's worth of what a client does not have.
fn collect(disk: &Disk, sync: &Sync, items_max: usize, at: presence_core::time::WallTime) -> SyncResult {
    let mut items = sync.request.limit.unwrap_or(items_max).min(items_max);
    let mut places: BTreeMap<RoomId, Option<Seq>> =
        sync.present.iter().map(|room| (room.clone(), None)).collect();
    places.extend(
        disk.standings(&sync.user).into_iter().map(|(room, standing, _)| (room, Some(standing.cursor))),
    );
    let mut result = SyncResult { at, ..SyncResult::default() };
    for (room, cursor) in places {
        let own = sync.request.cursors.iter().find(|(known, _)| *known == room).map(|(_, place)| *place);
        let sent = sync.sent.iter().find(|(known, _)| *known == room).map(|(_, sent)| *sent);
        let Some(place) = own.or(cursor.map(|cursor| sent.map_or(cursor, |sent| cursor.min(sent)))) else {
            continue;
        };
        if items == 0 {
            result.more = true;
            result.cursors.push((room, place));
            result.begins.push(place);
            continue;
        }
        let page = disk.read(&room, place, PageLimits { messages: items, bytes: usize::MAX });
        let place = place.min(page.head);
        let end = end_of(&page, place);
        items -= page.messages.len().min(items);
        result.more |= page.more;
        let gaps = page.gaps.into_iter().filter(|gap| gap.to <= end && !planted::is(Bug::DroppedUntold));
        result.dropped.extend(gaps.map(|gap| (room.clone(), gap)));
        result.messages.extend(page.messages);
        result.cursors.push((room, end));
        result.begins.push(place);
    }
    result
}
