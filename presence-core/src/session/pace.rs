//! What comes too often, too slowly, or over too many connections.

use std::sync::Arc;

use super::budget::{UsedUp, UserBudget};
use super::{Session, SessionOutput};
use crate::error::{CloseReason, CommandError, ErrorCode};
use crate::time::{Now, Timestamp};
use crate::wire::Reference;

impl Session {
    /// Something came that is no message but asks for work, `count` times: pings, pongs.
    pub fn handle_control(&mut self, now: Now, count: u32) {
        if self.is_closed() {
            return;
        }
        self.heartbeat.heard(now.at);
        let paid = (0..count).map(|_| self.budgets.pay_control(now.at, &self.limits));
        let (refused, last) =
            paid.filter_map(Result::err).fold((0, None), |(count, _), last| (count + 1, Some(last)));
        if let Some(used_up) = last {
            self.overdraw(now, used_up, refused, &None);
        }
    }

    /// Refuses once what was too much `times` times.
    pub(super) fn overdraw(&mut self, now: Now, used_up: UsedUp, times: u32, reference: &Reference) {
        self.refuse(&used_up.error(), reference);
        self.outputs.push(SessionOutput::Limited(used_up.limit));
        if (0..times).any(|_| self.offences.get_or_insert_default().note(now.at, &self.limits)) {
            self.close(CloseReason::RateLimitAbused);
        }
    }

    /// The beginning of a message came, or more of it, and not its end.
    pub fn handle_partial(&mut self, now: Now) {
        self.heartbeat.heard(now.at);
        self.unfinished.get_or_insert(now.at);
    }

    /// This connection pays for its messages together with the others of its user.
    pub fn share_budget(&mut self, user: Arc<UserBudget>) {
        self.budgets.share(user);
    }

    /// There is no place for this connection beside the others of its user: says so, and closes.
    pub fn handle_crowded(&mut self, error: &CommandError) {
        if !self.is_closed() {
            self.refuse(error, &None);
            self.close(CloseReason::RateLimitAbused);
        }
    }

    /// When a message that is on its way must have come.
    pub(super) fn unfinished_until(&self) -> Option<Timestamp> {
        self.unfinished.map(|since| since + self.limits.message_time)
    }

    /// Gives up a message that does not come, and its connection with it. The peer may come back: it may be its network.
    pub(super) fn give_up_waiting(&mut self) {
        let error = CommandError::new(ErrorCode::BadMessage, "a message took too long to come");
        self.refuse(&error, &None);
        self.close(CloseReason::HeartbeatTimeout);
    }
}
