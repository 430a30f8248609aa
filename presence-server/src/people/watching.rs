//! Watching users: answers, and changes gathered per tick.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::frame::Frame;
use presence_core::id::{ConnectionId, UserId};
use presence_core::people::{Standing, TooMany};
use presence_core::session::Delivery;
use presence_core::time::WallTime;
use presence_core::wire::{self, Reference};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use super::People;
use crate::connection::mailbox::Mailbox;

/// Users in one answer; a longer one comes in several.
const CHUNK: usize = 1_000;

/// How long watchers sleep at most while nobody comes or goes.
const IDLE: Duration = Duration::from_secs(3_600);

impl People {
    /// A connection wants to know how these users stand, and from now on. The answer comes when the store has said when
    /// those were last online who are not here; what changes after it comes after it.
    ///
    /// # Errors
    /// If it would watch too many.
    pub fn watch(
        self: &Arc<Self>,
        watcher: ConnectionId,
        mailbox: &Arc<Mailbox>,
        users: BTreeSet<UserId>,
        reference: Reference,
    ) -> Result<(), CommandError> {
        let Some(turn) = self.turn(mailbox, &reference) else { return Ok(()) };
        {
            let mut state = self.state();
            state.watchers.watch(watcher, &users).map_err(|TooMany(max)| too_many(max))?;
            if !users.is_empty() {
                state.watching.insert(watcher, Arc::clone(mailbox));
            }
            self.metrics.watched(state.watchers.len());
        }
        let (people, mailbox) = (Arc::clone(self), Arc::clone(mailbox));
        tokio::spawn(async move {
            people.answer_watch(watcher, &mailbox, users, &reference).await;
            drop(turn);
        });
        Ok(())
    }

    /// A place among the questions that are being answered; without one the question is refused.
    pub(super) fn turn(&self, mailbox: &Mailbox, reference: &Reference) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.questions).try_acquire_owned().ok();
        if turn.is_none() {
            let error = CommandError::new(ErrorCode::Busy, "the server has too much to do");
            let error = error.retry_after(self.limits.huge_room_tick);
            mailbox.deliver(Delivery::Refused { error, reference: reference.clone() });
        }
        turn
    }

    async fn answer_watch(
        &self,
        watcher: ConnectionId,
        mailbox: &Mailbox,
        mut users: BTreeSet<UserId>,
        reference: &Reference,
    ) {
        loop {
            let rest = users.iter().nth(CHUNK).cloned().map(|next| users.split_off(&next));
            let asked: Vec<UserId> = users.iter().cloned().collect();
            // Without the store it is known who is here, and not when the others were.
            let kept = self.store.people(&asked).await.unwrap_or_default();
            let kept: BTreeMap<UserId, Option<WallTime>> =
                kept.into_iter().map(|person| (person.id, person.last_online)).collect();
            self.answer_chunk(watcher, mailbox, &users, &kept, reference);
            match rest {
                Some(rest) => users = rest,
                None => return,
            }
        }
    }

    /// Under the lock, so that no change gets in between what is said here and what is said next.
    fn answer_chunk(
        &self,
        watcher: ConnectionId,
        mailbox: &Mailbox,
        users: &BTreeSet<UserId>,
        kept: &BTreeMap<UserId, Option<WallTime>>,
        reference: &Reference,
    ) {
        let (wall, mut guard) = (self.clock.now().wall, self.state());
        let state = &mut *guard;
        let (watchers, attendance) = (&mut state.watchers, &state.attendance);
        let told = watchers.answer(watcher, users, |user| attendance.availability(user));
        let standings = told.iter().map(|user| {
            let kept = kept.get(user).copied().flatten();
            (user, state.standing(user, kept, wall))
        });
        mailbox.deliver(Delivery::Answer(Frame::one(wire::user_status(standings, reference))));
    }

    /// A connection does not want to hear of these users any more.
    pub fn unwatch(&self, watcher: ConnectionId, users: &BTreeSet<UserId>) {
        let mut state = self.state();
        state.watchers.unwatch(watcher, users);
        if state.watchers.watched_by(watcher) == 0 {
            state.watching.remove(&watcher);
        }
        self.metrics.watched(state.watchers.len());
    }

    /// For ever: lets go of those whose grace is over, and tells who watches them; at once after a quiet time, and then
    /// once per tick.
    pub(super) async fn keep_telling_watchers(&self) {
        loop {
            let next = self.state().attendance.next_expiry();
            let wait = next.map_or(IDLE, |at| at.since(self.clock.now().at));
            tokio::select! {
                () = self.stir.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            self.tell_watchers();
            tokio::time::sleep(self.limits.tick).await;
        }
    }

    fn tell_watchers(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        state.attendance.expire(now.at);
        self.follow_up(state);
        let mut guard = self.state();
        let state = &mut *guard;
        if !state.watchers.has_news() {
            state.departures.clear();
            return;
        }
        let attendance = &state.attendance;
        let told = state.watchers.hand_out(|user| attendance.availability(user));
        debug!(watchers = told.len(), "told how users stand");
        // Many watch the same users: what they are told is encoded once.
        let mut frames: BTreeMap<&[UserId], Frame> = BTreeMap::new();
        for (watcher, users) in &told {
            let frame = frames.entry(users).or_insert_with(|| {
                let standings: Vec<(&UserId, Standing)> =
                    users.iter().map(|user| (user, state.standing(user, None, now.wall))).collect();
                Frame::one(wire::user_status(standings.into_iter(), &None))
            });
            if let Some(mailbox) = state.watching.get(watcher) {
                mailbox.deliver(Delivery::Answer(frame.clone()));
            }
        }
        state.departures.clear();
    }
}

fn too_many(max: usize) -> CommandError {
    let message = format!("a connection may watch at most {max} users; none of these was added");
    CommandError::field(ErrorCode::Conflict, "users", message)
}
