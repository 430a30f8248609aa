//! What a client does not have: messages past its places, and what changed of people, rosters and invitations. One answer
//! is bounded; a client that is told that there is more asks again from where it was told to.

use std::collections::BTreeMap;

use presence_core::frame::Frame;
use presence_core::id::RoomId;
use presence_core::port::store::{Changes, PageLimits, StoreError};
use presence_core::session::{Sync, Synced};
use presence_core::stream::{Seq, Told};
use presence_core::time::WallTime;
use presence_core::wire::{self, SyncResult};
use tracing::debug;

use super::fetch::end_of;
use super::{World, told};

/// Answers a connection.
pub(super) async fn answer(world: &World, sync: Sync) -> Synced {
    let collected = collect(world, &sync).await;
    let sync = Box::new(sync);
    match collected {
        Ok(result) => {
            world.metrics.synced("answered");
            let frame = Frame::one(wire::sync_result(&result, &sync.reference));
            let cursors = result.cursors.into_iter().zip(result.begins);
            let places = cursors.map(|((room, to), from)| Told { room, from, to }).collect();
            Synced { answer: Ok(frame), places, sync }
        }
        Err(error) => {
            world.metrics.synced("failed");
            debug!(user = %sync.user, %error, "cannot answer a sync");
            Synced { answer: Err(told(&error)), places: Vec::new(), sync }
        }
    }
}

/// Reads one answer's worth.
pub(super) async fn collect(world: &World, sync: &Sync) -> Result<SyncResult, StoreError> {
    let items_max = world.limits.sync_items_max;
    let mut items = sync.request.limit.unwrap_or(items_max).min(items_max);
    let mut bytes = world.limits.page_bytes_max;
    let now = world.clock.now().wall;
    let mut result = SyncResult { at: now, ..SyncResult::default() };
    for (room, place) in places(world, sync).await? {
        if items == 0 || bytes == 0 {
            result.more = true;
            result.cursors.push((room, place));
            result.begins.push(place);
            continue;
        }
        let page = world.read(&room, place, PageLimits { messages: items, bytes }).await?;
        // A place beyond the newest is from a stream that was lost: what comes from now on is new all the same.
        let place = place.min(page.head);
        let end = end_of(&page, place);
        items -= page.messages.len().min(items);
        let read: usize = page.messages.iter().map(|stored| stored.message.body.len()).sum();
        bytes = bytes.saturating_sub(read);
        result.more |= page.more;
        let gaps = page.gaps.into_iter().filter(|gap| gap.to <= end);
        result.dropped.extend(gaps.map(|gap| (room.clone(), gap)));
        result.messages.extend(page.messages);
        result.cursors.push((room, end));
        result.begins.push(place);
    }
    let since = sync.request.since.unwrap_or_default();
    // Each of the three lists has its share.
    let share = items / 3;
    if share == 0 && !result.messages.is_empty() {
        result.more = true;
        result.at = since;
        return Ok(result);
    }
    result.changes = world.store.changes(&sync.user, since, share.max(1)).await?;
    if result.changes.more {
        result.more = true;
        result.at = told_until(&result.changes, share.max(1), since);
    }
    Ok(result)
}

/// Up to when changes are told if a list was cut off: not quite as far as its last, since more may have changed at that
/// moment; but further than they were.
fn told_until(changes: &Changes, share: usize, since: WallTime) -> WallTime {
    let full = |times: Vec<WallTime>| if times.len() >= share { times.into_iter().max() } else { None };
    let lasts = [
        full(changes.people.iter().map(|person| person.changed_at).collect()),
        full(changes.rosters.iter().map(|member| member.joined_at).collect()),
        full(changes.invitations.iter().map(|invitation| invitation.created_at).collect()),
    ];
    let last = lasts.into_iter().flatten().min().unwrap_or(since);
    let before = WallTime::from_unix_millis(last.as_unix_millis() - 1);
    if before > since { before } else { last.max(since) }
}

/// From where on each stream is told: the client's own place; else what was there at its time; else its user's cursor. Unless
/// it is its own place, not from later than its connection was sent: it would never get what lies between.
async fn places(world: &World, sync: &Sync) -> Result<BTreeMap<RoomId, Seq>, StoreError> {
    let mut places = BTreeMap::new();
    let standings = world.store.standings(&sync.user).await?;
    let known = standings.into_iter().map(|(room, standing)| (room, Some(standing)));
    let present = sync.present.iter().map(|room| (room.clone(), None));
    // A place that is known stands before one that is not.
    let mut streams: BTreeMap<RoomId, _> = present.collect();
    streams.extend(known);
    for (room, standing) in streams {
        // S1: neither a roster nor an old subscription outweighs a token.
        if !sync.rooms.allow(&sync.user, &room) {
            continue;
        }
        let own = sync.request.cursors.iter().find(|(known, _)| *known == room).map(|(_, place)| *place);
        let place = match (own, sync.request.since, standing) {
            (Some(own), ..) => own,
            (None, Some(since), _) => place_at(world, &room, since).await?,
            (None, None, Some(standing)) => standing.cursor,
            (None, None, None) => continue,
        };
        let sent = sync.sent.iter().find(|(known, _)| *known == room).map(|(_, sent)| *sent);
        let latest = if own.is_some() { None } else { sent };
        places.insert(room, latest.map_or(place, |latest| place.min(latest)));
    }
    Ok(places)
}

/// The place before the first message that is kept and came after a time. Looks at as many messages as the stream's length
/// has binary digits.
async fn place_at(world: &World, room: &RoomId, since: WallTime) -> Result<Seq, StoreError> {
    let one = PageLimits { messages: 1, bytes: 1 };
    let page = world.store.read(room, Seq::default(), one).await?;
    let Some(oldest) = page.messages.first() else { return Ok(page.head) };
    // All up to `low` is too early, or gone; nothing after `high` is.
    let (mut low, mut high) = (oldest.seq.number() - 1, page.head.number());
    while low < high {
        let middle = low + (high - low) / 2;
        let page = world.store.read(room, Seq::new(middle), one).await?;
        match page.messages.first() {
            Some(stored) if stored.message.at <= since => low = stored.seq.number(),
            _ => high = middle,
        }
    }
    Ok(Seq::new(low))
}
