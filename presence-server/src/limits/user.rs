//! What all connections of one user share: how many there are, and how much they send.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use presence_core::id::UserId;
use presence_core::limits::{Limits, RateLimit};
use presence_core::rate::Rate;
use presence_core::session::UserBudget;
use presence_core::time::Timestamp;

use super::recent::Recent;
use super::{Bound, Refused, UNTIL_SOMEBODY_LEAVES};
use crate::clock::Clock;

/// Users who are gone and whose budget is remembered until it would be full again.
const REMEMBERED_MAX: usize = 100_000;

/// The users who have connections.
#[derive(Debug)]
pub struct UserLimits {
    connections_max: usize,
    messages: Rate,
    clock: Clock,
    users: Mutex<Users>,
}

#[derive(Debug)]
struct Users {
    here: HashMap<UserId, Here>,
    /// Who comes back must not find a full budget because of having been away.
    gone: Recent<UserId, UserBudget>,
}

#[derive(Debug)]
struct Here {
    connections: usize,
    budget: Arc<UserBudget>,
}

/// One connection of a user, for as long as the value lives.
#[derive(Debug)]
pub struct UserPlace {
    user: UserId,
    limits: Arc<UserLimits>,
}

impl UserLimits {
    /// At most `connections_max` connections each; how much they may send is in `limits`.
    pub fn new(connections_max: usize, limits: &Limits, clock: Clock) -> Self {
        let messages = limits.rate(RateLimit::UserMessages);
        let longest = messages.refill().max(limits.rate(RateLimit::UserJoins).refill());
        let gone = Recent::new(REMEMBERED_MAX, longest);
        let users = Mutex::new(Users { here: HashMap::new(), gone });
        Self { connections_max, messages, clock, users }
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().expect("nothing panics while it holds the users")
    }

    /// One more connection of this user.
    ///
    /// # Errors
    /// If it has as many as it may have.
    pub fn enter(self: &Arc<Self>, user: &UserId) -> Result<UserPlace, Refused> {
        let mut users = self.users();
        let Users { here, gone } = &mut *users;
        let here = here.entry(user.clone()).or_insert_with(|| {
            let budget = Arc::new(gone.remove(user).unwrap_or_default());
            Here { connections: 0, budget }
        });
        if here.connections >= self.connections_max {
            return Err(Refused { bound: Bound::ConnectionsPerUser, retry_after: UNTIL_SOMEBODY_LEAVES });
        }
        here.connections += 1;
        Ok(UserPlace { user: user.clone(), limits: Arc::clone(self) })
    }

    /// Whether a user may send a message now.
    ///
    /// # Errors
    /// If it has sent more than it may.
    pub fn check(&self, user: &UserId) -> Result<(), Refused> {
        let bucket =
            self.users().here.get(user).map(|here| here.budget.messages.bucket()).unwrap_or_default();
        let checked = bucket.check(self.clock.now().at, self.messages);
        checked.map_err(|retry_after: Duration| Refused { bound: Bound::UserMessages, retry_after })
    }

    /// A user sends a message, or does as much, without a connection.
    ///
    /// # Errors
    /// If it has sent more than it may.
    pub fn pay(&self, user: &UserId) -> Result<(), Refused> {
        let now = self.clock.now().at;
        let mut users = self.users();
        let paid = match users.here.get(user) {
            Some(here) => here.budget.messages.pay(now, self.messages),
            None => users.gone.entry(now, user.clone()).messages.pay(now, self.messages),
        };
        paid.map_err(|retry_after| Refused { bound: Bound::UserMessages, retry_after })
    }

    /// What the connections of a user who has any have left together.
    fn budget(&self, user: &UserId) -> Arc<UserBudget> {
        self.users().here.get(user).map(|here| Arc::clone(&here.budget)).unwrap_or_default()
    }

    fn leave(&self, user: &UserId) {
        let now: Timestamp = self.clock.now().at;
        let mut users = self.users();
        let Some(here) = users.here.get_mut(user) else { return };
        here.connections -= 1;
        if here.connections == 0
            && let Some(Here { budget, .. }) = users.here.remove(user)
            && !budget.is_full(now)
        {
            *users.gone.entry(now, user.clone()) = budget.resume();
        }
    }
}

impl UserPlace {
    /// Whose it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// What the user's connections have left together.
    pub fn budget(&self) -> Arc<UserBudget> {
        self.limits.budget(&self.user)
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        self.limits.leave(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn a_user_has_so_many_connections_and_others_have_their_own() {
        let users = Arc::new(UserLimits::new(2, &Limits::default(), Clock::start()));
        let (first, _second) = (users.enter(&user("ann")).unwrap(), users.enter(&user("ann")).unwrap());
        assert_eq!(users.enter(&user("ann")).unwrap_err().bound, Bound::ConnectionsPerUser);
        assert!(users.enter(&user("bob")).is_ok());
        drop(first);
        assert!(users.enter(&user("ann")).is_ok());
    }

    /// S6: whoever pays, and at the same time.
    #[test]
    fn connections_on_many_threads_pay_from_one_budget() {
        let users = Arc::new(UserLimits::new(9, &Limits::default(), Clock::start()));
        let (place, rate) = (users.enter(&user("ann")).unwrap(), Rate::per_second(1, 20));
        let now = Timestamp::from_millis(1_000);
        let pay = || (0..1_000).filter(|_| place.budget().messages.pay(now, rate).is_ok()).count();
        let paid: usize = std::thread::scope(|scope| {
            let payers: Vec<_> = (0..4).map(|_| scope.spawn(pay)).collect();
            payers.into_iter().map(|payer| payer.join().unwrap()).sum()
        });
        assert_eq!(paid, 20);
    }

    /// S6: what a user does without a connection and with one is paid from one budget.
    #[test]
    fn a_budget_is_the_same_with_a_connection_and_without() {
        let limits = Limits {
            messages_burst: 4,
            user_messages_burst: 4,
            user_messages_per_second: 1,
            ..Limits::default()
        };
        let clock = Clock::start();
        let users = Arc::new(UserLimits::new(9, &limits, clock));
        let rate = limits.rate(RateLimit::UserMessages);
        assert!((0..2).all(|_| users.pay(&user("ann")).is_ok()));
        let place = users.enter(&user("ann")).unwrap();
        assert!((0..2).all(|_| place.budget().messages.pay(clock.now().at, rate).is_ok()));
        assert_eq!(users.pay(&user("ann")).unwrap_err().bound, Bound::UserMessages);
        drop(place);
        assert_eq!(users.pay(&user("ann")).unwrap_err().bound, Bound::UserMessages);
        assert!(users.pay(&user("bob")).is_ok());
    }

    /// S6: coming back is no way to a new budget; and nothing is kept of who sent nothing.
    #[test]
    fn who_comes_back_finds_the_budget_that_was_left() {
        let limits = Limits {
            messages_per_second: 1,
            messages_burst: 1,
            user_messages_per_second: 1,
            user_messages_burst: 1_000_000,
            ..Limits::default()
        };
        let clock = Clock::start();
        let users = Arc::new(UserLimits::new(9, &limits, clock));
        let rate = limits.rate(RateLimit::UserMessages);
        let place = users.enter(&user("ann")).unwrap();
        let quiet = users.enter(&user("bob")).unwrap();
        for _ in 0..1_000 {
            place.budget().messages.pay(clock.now().at, rate).unwrap();
        }
        let left = place.budget().messages.bucket();
        drop((place, quiet));
        assert!(users.users().here.is_empty());
        assert_eq!(users.users().gone.len(), 1);
        assert_eq!(users.enter(&user("ann")).unwrap().budget().messages.bucket(), left);
    }
}
