//! Who watches whom. A change is told once to everybody who has not been told of it yet, and what changed back in between
//! is told to nobody: what a watcher hears of one user always differs from what they heard before.

use std::collections::{BTreeMap, BTreeSet};

use super::Availability;
use crate::id::{ConnectionId, UserId};

/// One connection watches more users than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection may watch at most {0} users")]
pub struct TooMany(pub usize);

/// Watching connections and watched users.
#[derive(Debug)]
pub struct Watchers {
    watched_max: usize,
    watched: BTreeMap<UserId, BTreeMap<ConnectionId, Told>>,
    watching: BTreeMap<ConnectionId, BTreeSet<UserId>>,
    /// Watched users who may stand otherwise than their watchers know.
    news: BTreeSet<UserId>,
}

/// What a watcher knows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing: the answer to its question is on its way, and will have everything up to then.
    Nothing,
    This(Availability),
}

impl Watchers {
    /// Nobody watches anybody; a connection may watch `watched_max` users.
    pub fn new(watched_max: usize) -> Self {
        Self { watched_max, watched: BTreeMap::new(), watching: BTreeMap::new(), news: BTreeSet::new() }
    }

    /// A connection wants to hear of these users. It hears nothing of them before [`answer`](Self::answer) was called.
    ///
    /// # Errors
    /// If they are too many, together with those it watches already; then nothing has changed.
    pub fn watch(&mut self, watcher: ConnectionId, users: &BTreeSet<UserId>) -> Result<(), TooMany> {
        let known = self.watching.get(&watcher);
        let new = users.iter().filter(|user| !known.is_some_and(|known| known.contains(*user))).count();
        if known.map_or(0, BTreeSet::len) + new > self.watched_max {
            return Err(TooMany(self.watched_max));
        }
        if !users.is_empty() {
            self.watching.entry(watcher).or_default().extend(users.iter().cloned());
        }
        for user in users {
            self.watched.entry(user.clone()).or_default().insert(watcher, Told::Nothing);
        }
        Ok(())
    }

    /// The watcher is told now how these users stand. Gives those whom it still watches.
    pub fn answer(
        &mut self,
        watcher: ConnectionId,
        users: &BTreeSet<UserId>,
        stands: impl Fn(&UserId) -> Availability,
    ) -> Vec<UserId> {
        let mut still = Vec::new();
        for user in users {
            if let Some(told) = self.watched.get_mut(user).and_then(|watchers| watchers.get_mut(&watcher)) {
                *told = Told::This(stands(user));
                still.push(user.clone());
            }
        }
        still
    }

    /// A connection does not want to hear of these users any more.
    pub fn unwatch(&mut self, watcher: ConnectionId, users: &BTreeSet<UserId>) {
        let Some(watching) = self.watching.get_mut(&watcher) else { return };
        let ended: Vec<&UserId> = users.iter().filter(|user| watching.remove(*user)).collect();
        if watching.is_empty() {
            self.watching.remove(&watcher);
        }
        for user in ended {
            self.end(watcher, user);
        }
    }

    /// A connection is gone.
    pub fn forget(&mut self, watcher: ConnectionId) {
        for user in self.watching.remove(&watcher).into_iter().flatten() {
            self.end(watcher, &user);
        }
    }

    fn end(&mut self, watcher: ConnectionId, user: &UserId) {
        let Some(watchers) = self.watched.get_mut(user) else { return };
        watchers.remove(&watcher);
        if watchers.is_empty() {
            self.watched.remove(user);
            self.news.remove(user);
        }
    }

    /// A user may stand otherwise than before. Says whether anybody watches them.
    pub fn changed(&mut self, user: &UserId) -> bool {
        let is_watched = self.watched.contains_key(user);
        if is_watched {
            self.news.insert(user.clone());
        }
        is_watched
    }

    /// Whether [`hand_out`](Self::hand_out) may have something to tell.
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What each watcher is to be told now, in the order of user ids.
    pub fn hand_out(
        &mut self,
        stands: impl Fn(&UserId) -> Availability,
    ) -> BTreeMap<ConnectionId, Vec<UserId>> {
        let mut all: BTreeMap<ConnectionId, Vec<UserId>> = BTreeMap::new();
        for user in std::mem::take(&mut self.news) {
            let now = Told::This(stands(&user));
            for (watcher, told) in self.watched.get_mut(&user).into_iter().flatten() {
                if *told != Told::Nothing && *told != now {
                    *told = now;
                    all.entry(*watcher).or_default().push(user.clone());
                }
            }
        }
        all
    }

    /// How many users a connection watches.
    pub fn watched_by(&self, watcher: ConnectionId) -> usize {
        self.watching.get(&watcher).map_or(0, BTreeSet::len)
    }

    /// How many pairs of watcher and watched there are.
    pub fn len(&self) -> usize {
        self.watching.values().map(BTreeSet::len).sum()
    }

    /// Whether nobody watches anybody.
    pub fn is_empty(&self) -> bool {
        self.watching.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(names: &[&str]) -> BTreeSet<UserId> {
        names.iter().map(|name| UserId::parse(name).unwrap()).collect()
    }

    fn watcher(number: u128) -> ConnectionId {
        ConnectionId::from_random(number)
    }

    /// Watches and has its answer.
    fn watching(watchers: &mut Watchers, number: u128, names: &[&str]) {
        watchers.watch(watcher(number), &users(names)).unwrap();
        watchers.answer(watcher(number), &users(names), |_| Availability::Offline);
    }

    fn hand_out(watchers: &mut Watchers, now: Availability) -> Vec<(ConnectionId, Vec<UserId>)> {
        watchers.hand_out(|_| now).into_iter().collect()
    }

    #[test]
    fn a_change_is_told_once_to_each_who_watches() {
        let mut all = Watchers::new(9);
        watching(&mut all, 1, &["ann", "bob"]);
        watching(&mut all, 2, &["bob"]);
        for name in ["ann", "bob", "carl", "bob"] {
            assert_eq!(all.changed(&UserId::parse(name).unwrap()), name != "carl");
        }
        let both: Vec<UserId> = users(&["ann", "bob"]).into_iter().collect();
        let bob: Vec<UserId> = users(&["bob"]).into_iter().collect();
        let told = hand_out(&mut all, Availability::Online);
        assert_eq!(told, [(watcher(1), both), (watcher(2), bob)]);
        assert!(!all.has_news());
    }

    #[test]
    fn what_changed_back_is_told_to_nobody() {
        let mut all = Watchers::new(9);
        watching(&mut all, 1, &["ann"]);
        for name in users(&["ann"]) {
            all.changed(&name);
        }
        assert_eq!(hand_out(&mut all, Availability::Offline), []);
    }

    #[test]
    fn before_its_answer_a_watcher_hears_nothing_and_after_it_nothing_twice() {
        let (mut all, ann) = (Watchers::new(9), users(&["ann"]));
        all.watch(watcher(1), &ann).unwrap();
        ann.iter().for_each(|ann| assert!(all.changed(ann)));
        assert_eq!(hand_out(&mut all, Availability::Online), []);
        ann.iter().for_each(|ann| assert!(all.changed(ann)));
        let told = all.answer(watcher(1), &ann, |_| Availability::Online);
        assert_eq!(told.len(), 1);
        assert_eq!(hand_out(&mut all, Availability::Online), [], "the answer has said so");
    }

    #[test]
    fn who_unwatches_before_the_answer_gets_none() {
        let (mut all, ann) = (Watchers::new(9), users(&["ann"]));
        all.watch(watcher(1), &ann).unwrap();
        all.unwatch(watcher(1), &ann);
        assert!(all.answer(watcher(1), &ann, |_| Availability::Online).is_empty());
        assert!(all.is_empty());
    }

    #[test]
    fn a_connection_watches_only_so_many_and_leaves_nothing_behind() {
        let mut all = Watchers::new(2);
        watching(&mut all, 1, &["ann", "bob"]);
        assert_eq!(all.watch(watcher(1), &users(&["bob", "carl"])), Err(TooMany(2)));
        assert_eq!(all.watched_by(watcher(1)), 2);
        all.watch(watcher(1), &users(&["ann", "bob"])).unwrap();
        all.unwatch(watcher(1), &users(&["ann", "nobody"]));
        all.watch(watcher(1), &users(&["carl"])).unwrap();
        all.forget(watcher(1));
        assert_eq!((all.len(), all.is_empty(), all.has_news()), (0, true, false));
        assert!(!all.changed(&UserId::parse("carl").unwrap()));
    }
}
