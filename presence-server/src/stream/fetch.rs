//! Messages that are in memory no longer, read from the store for one connection.

use std::sync::Weak;

use presence_core::frame::{Frame, Message};
use presence_core::id::RoomId;
use presence_core::port::store::{Page, PageLimits, StoreError};
use presence_core::session::{Delivery, StreamDelivery};
use presence_core::stream::{Fetch, Fetched, Purpose, Seq};
use presence_core::time::WallTime;
use presence_core::wire;
use tracing::debug;

use super::World;
use crate::audit;
use crate::connection::mailbox::Mailbox;

/// How often a page is read again because some of it had to be removed first.
const ATTEMPTS: usize = 3;

impl World {
    fn is_too_old(&self, at: WallTime, now: WallTime) -> bool {
        let age = i64::try_from(self.limits.message_age_max.as_millis()).unwrap_or(i64::MAX);
        at.as_unix_millis().saturating_add(age) <= now.as_unix_millis()
    }

    /// A page in which nothing is too old (M8).
    pub(super) async fn read(
        &self,
        room: &RoomId,
        after: Seq,
        limits: PageLimits,
    ) -> Result<Page, StoreError> {
        for _ in 0..ATTEMPTS {
            let page = self.store.read(room, after, limits).await?;
            audit::violated(&self.metrics, page.check(after).of(Some(room)));
            let now = self.clock.now().wall;
            if !page.messages.iter().any(|stored| self.is_too_old(stored.message.at, now)) {
                return Ok(page);
            }
            while self.store.expire(now).await? {}
        }
        Err(StoreError::Busy)
    }
}

/// Answers a courier's question.
pub(super) async fn fetch(world: World, fetch: Fetch, mailbox: Weak<Mailbox>) {
    let limits = PageLimits { messages: world.limits.page_messages_max, bytes: world.limits.page_bytes_max };
    let delivery = match world.read(&fetch.room, fetch.after, limits).await {
        Ok(page) => StreamDelivery::Fetched(Box::new(fetched(fetch, &page))),
        Err(error) => {
            debug!(room = %fetch.room, %error, "cannot read messages");
            StreamDelivery::NotFetched(fetch.room)
        }
    };
    // Whoever asked may have gone.
    if let Some(mailbox) = mailbox.upgrade() {
        mailbox.deliver(Delivery::Stream(delivery));
    }
}

/// How far a page tells its stream.
pub(super) fn end_of(page: &Page, after: Seq) -> Seq {
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
    let mut gaps = page.gaps.iter().peekable();
    let mut last = None;
    for stored in page.messages.iter().take_while(|stored| stored.seq <= limit) {
        if fetch.purpose == Purpose::New {
            while let Some(gap) = gaps.next_if(|gap| gap.to < stored.seq) {
                out.push(wire::messages_dropped(&fetch.room, gap));
            }
        }
        out.push(wire::stream_message(stored));
        last = Some(stored.seq);
    }
    if fetch.purpose == Purpose::New && !page.more {
        out.extend(gaps.map(|gap| wire::messages_dropped(&fetch.room, gap)));
    }
    let frame = (!out.is_empty()).then(|| Frame::new(out));
    let (frame, up_to) = match fetch.purpose {
        Purpose::New => (frame, end_of(page, fetch.after)),
        Purpose::Again { to } => (frame.as_ref().map(wire::redelivered), end_of(page, fetch.after).min(to)),
    };
    Fetched { fetch, frame, last, up_to }
}
