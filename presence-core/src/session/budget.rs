//! How much one connection may send, alone and together with its user's others; and a count of offences.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{CommandError, ErrorCode};
use crate::limits::{Limits, RateLimit};
use crate::rate::{Bucket, SharedBucket};
use crate::time::Timestamp;

/// What one connection has left. What is accepted never exceeds rate × time + burst (S6).
#[derive(Debug, Default)]
pub(super) struct Budgets {
    messages: Bucket,
    joins: Bucket,
    control: Bucket,
    /// What all connections of the user have left together, once the user is known.
    user: Option<Arc<UserBudget>>,
}

/// What all connections of one user have left together.
#[derive(Debug, Default)]
pub struct UserBudget {
    /// Of messages.
    pub messages: SharedBucket,
    /// Of rooms to enter.
    pub joins: SharedBucket,
}

impl UserBudget {
    /// Goes on from how another one stands now.
    #[must_use]
    pub fn resume(&self) -> Self {
        let again = |bucket: &SharedBucket| SharedBucket::new(bucket.bucket());
        Self { messages: again(&self.messages), joins: again(&self.joins) }
    }

    /// Whether it is as good as a new one.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.messages.bucket().is_full(now) && self.joins.bucket().is_full(now)
    }
}

/// A budget that is used up, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsedUp {
    pub(super) limit: RateLimit,
    pub(super) wait: Duration,
}

impl UsedUp {
    pub(super) fn error(self) -> CommandError {
        CommandError::new(ErrorCode::RateLimited, self.limit.sentence()).retry_after(self.wait)
    }
}

impl Budgets {
    /// Pays together with the other connections of a user from now on.
    pub(super) fn share(&mut self, user: Arc<UserBudget>) {
        self.user = Some(user);
    }

    /// Pays for one message.
    ///
    /// # Errors
    /// Which budget has not enough for it.
    pub(super) fn pay_message(&mut self, now: Timestamp, limits: &Limits) -> Result<(), UsedUp> {
        let used_up = |limit| move |wait| UsedUp { limit, wait };
        let (own, user) = (RateLimit::Messages, RateLimit::UserMessages);
        self.messages.pay(now, limits.rate(own)).map_err(used_up(own))?;
        let shared = self.user.as_ref();
        shared.map_or(Ok(()), |shared| shared.messages.pay(now, limits.rate(user))).map_err(used_up(user))
    }

    /// Pays for a message that enters a room.
    ///
    /// # Errors
    /// Which budget has not enough for it.
    pub(super) fn pay_join(&mut self, now: Timestamp, limits: &Limits) -> Result<(), UsedUp> {
        self.pay_message(now, limits)?;
        let used_up = |limit| move |wait| UsedUp { limit, wait };
        let (own, user) = (RateLimit::Joins, RateLimit::UserJoins);
        self.joins.pay(now, limits.rate(own)).map_err(used_up(own))?;
        let shared = self.user.as_ref();
        shared.map_or(Ok(()), |shared| shared.joins.pay(now, limits.rate(user))).map_err(used_up(user))
    }

    /// Pays for something that only keeps the connection going.
    ///
    /// # Errors
    /// If there is not enough for it.
    pub(super) fn pay_control(&mut self, now: Timestamp, limits: &Limits) -> Result<(), UsedUp> {
        let limit = RateLimit::Control;
        self.control.pay(now, limits.rate(limit)).map_err(|wait| UsedUp { limit, wait })
    }
}

/// Offences of one connection within a sliding window of two halves.
#[derive(Debug, Default)]
pub(super) struct Offences {
    count: u32,
    since: Timestamp,
}

impl Offences {
    /// Notes one. Says whether it was one too many.
    pub(super) fn note(&mut self, now: Timestamp, limits: &Limits) -> bool {
        if now.since(self.since) >= limits.abuse_window {
            *self = Self { count: 0, since: now };
        }
        self.count += 1;
        self.count > limits.abuse_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn connections_of_a_user_have_a_budget_each_and_one_together() {
        let limits = Limits {
            messages_per_second: 10,
            messages_burst: 20,
            user_messages_per_second: 15,
            user_messages_burst: 30,
            ..Limits::default()
        };
        let shared = Arc::new(UserBudget::default());
        let mut tabs = [Budgets::default(), Budgets::default()];
        tabs.iter_mut().for_each(|tab| tab.share(Arc::clone(&shared)));
        let mut pay = |tab: usize| tabs[tab].pay_message(START, &limits);
        assert!((0..20).all(|_| pay(0).is_ok()));
        assert_eq!(pay(0).unwrap_err().limit, RateLimit::Messages);
        assert!((0..10).all(|_| pay(1).is_ok()));
        assert_eq!(pay(1).unwrap_err().limit, RateLimit::UserMessages);
    }

    #[test]
    fn joins_have_a_budget_of_their_own() {
        let limits = Limits { joins_per_second: 3, joins_burst: 3, ..Limits::default() };
        let mut budgets = Budgets::default();
        assert!((0..3).all(|_| budgets.pay_join(START, &limits).is_ok()));
        let used_up = budgets.pay_join(START, &limits).unwrap_err();
        assert_eq!(used_up, UsedUp { limit: RateLimit::Joins, wait: Duration::from_millis(334) });
        assert!(budgets.pay_message(START, &limits).is_ok());
        assert!(budgets.pay_join(START + used_up.wait, &limits).is_ok());
    }

    /// Coming back with a new connection is no way to enter more rooms.
    #[test]
    fn joins_are_shared_between_the_connections_of_a_user_too() {
        let limits = Limits { joins_burst: 10, user_joins_burst: 15, ..Limits::default() };
        let user = UserBudget::default();
        let pay = |user: &UserBudget| {
            let mut tab = Budgets::default();
            tab.share(Arc::new(user.resume()));
            let paid = (0..10).take_while(|_| tab.pay_join(START, &limits).is_ok()).count();
            (paid, tab.user.unwrap())
        };
        let (first, user) = pay(&user);
        let (second, user) = pay(&user);
        assert_eq!((first, second), (10, 5));
        assert!(!user.is_full(START) && user.is_full(START + Duration::from_secs(60)));
        let half = UserBudget::default();
        half.messages.pay(START, limits.rate(RateLimit::UserMessages)).unwrap();
        assert!(!half.is_full(START), "what it has left of one does not make up for the other");
    }

    #[test]
    fn offences_are_forgotten_in_time() {
        let limits = Limits { abuse_max: 2, ..Limits::default() };
        let mut offences = Offences::default();
        let noted = [0, 1, 2].map(|millis| offences.note(Timestamp::from_millis(millis), &limits));
        assert_eq!(noted, [false, false, true]);
        assert!(!offences.note(Timestamp::default() + limits.abuse_window, &limits));
    }
}
