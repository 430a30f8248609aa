//! One window of a room as one client sees it: each replaces the one before, and is checked as it comes.

use std::collections::BTreeSet;

use crate::view::versioned;
use crate::wire::{RoomPresence, User, WindowShown};

/// A window in the eyes of one client.
#[derive(Clone, Debug, Default)]
pub struct WindowView {
    /// The latest that came, with the rows that it stands for.
    shown: Option<WindowShown>,
    received: u64,
    received_rows: u64,
}

/// What must be true of a window and is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum WindowViolation {
    #[error("P11: {rows} rows of {count} from {from} on in a room of {total}")]
    Rows { from: usize, count: usize, total: usize, rows: usize },
    #[error("P11: {sessions} sessions of {total} users, and {shown} of those shown")]
    Sessions { sessions: usize, total: usize, shown: usize },
    #[error("P3: the rows are not in the order of their ids, each once: {0:?}")]
    Order(Vec<String>),
    #[error("P10: version {got} came after version {have}")]
    Backwards { have: u64, got: u64 },
    #[error("P14: there are totals of other rows than those that it has")]
    WithoutRows,
}

impl WindowView {
    /// The latest, with its rows.
    pub fn shown(&self) -> Option<&WindowShown> {
        self.shown.as_ref()
    }

    /// The ids of its rows.
    pub fn ids(&self) -> Vec<&str> {
        self.rows().iter().map(|user| user.id.as_str()).collect()
    }

    /// Its rows.
    pub fn rows(&self) -> &[User] {
        self.shown.as_ref().and_then(|shown| shown.users.as_deref()).unwrap_or_default()
    }

    /// How many are in the room: users and sessions.
    pub fn totals(&self) -> (usize, usize) {
        self.shown.as_ref().map_or((0, 0), |shown| (shown.total, shown.sessions))
    }

    /// How many windows came, and how many of them with rows.
    pub fn received(&self) -> (u64, u64) {
        (self.received, self.received_rows)
    }

    /// Takes a window in.
    ///
    /// # Errors
    /// If it is not as it must be.
    pub fn apply(&mut self, shown: &WindowShown) -> Result<(), WindowViolation> {
        let before = self.shown.take();
        if let Some(before) = before.as_ref().filter(|before| before.epoch == shown.epoch)
            && shown.version < before.version
        {
            return Err(WindowViolation::Backwards { have: before.version, got: shown.version });
        }
        self.received += 1;
        let mut now = shown.clone();
        if now.users.is_some() {
            self.received_rows += 1;
        } else {
            let rows = before.filter(|before| {
                (before.from, before.count, &before.epoch) == (now.from, now.count, &now.epoch)
            });
            now.users = Some(rows.and_then(|before| before.users).ok_or(WindowViolation::WithoutRows)?);
        }
        check(&now)?;
        self.shown = Some(now);
        Ok(())
    }

    /// What is different from what the server says; `None` if nothing is. What has no version is not compared.
    pub fn difference(&self, truth: &RoomPresence) -> Option<String> {
        let Some(shown) = &self.shown else { return Some("nothing was shown".to_owned()) };
        if shown.epoch != truth.epoch || self.totals() != (truth.total_active_users, truth.total_connections)
        {
            return Some(format!(
                "the window has {:?} of {}, the server {:?} of {}",
                self.totals(),
                shown.epoch,
                (truth.total_active_users, truth.total_connections),
                truth.epoch
            ));
        }
        let there = truth.users.iter().skip(shown.from).take(shown.count).map(versioned);
        let (here, there): (Vec<User>, Vec<User>) =
            (self.rows().iter().map(versioned).collect(), there.collect());
        let other = here.iter().zip(&there).find(|(here, there)| here != there);
        match other {
            Some((here, there)) => Some(format!("the window has {here:?}, the server {there:?}")),
            None if here.len() != there.len() => {
                Some(format!("the window has {} rows, the server {}", here.len(), there.len()))
            }
            None => None,
        }
    }
}

fn check(shown: &WindowShown) -> Result<(), WindowViolation> {
    let users = shown.users.as_deref().unwrap_or_default();
    let (from, count, total, rows) = (shown.from, shown.count, shown.total, users.len());
    if rows != total.saturating_sub(from).min(count) {
        return Err(WindowViolation::Rows { from, count, total, rows });
    }
    let of_rows: usize = users.iter().map(|user| user.sessions.len()).sum();
    if shown.sessions < total || shown.sessions < of_rows + (total - rows) {
        return Err(WindowViolation::Sessions { sessions: shown.sessions, total, shown: of_rows });
    }
    let ids: BTreeSet<&str> = users.iter().map(|user| user.id.as_str()).collect();
    if !ids.into_iter().eq(users.iter().map(|user| user.id.as_str())) {
        return Err(WindowViolation::Order(users.iter().map(|user| user.id.clone()).collect()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> User {
        let text = format!(
            r##"{{"id":"{id}","name":"{id}","color":"#fff","joinedAt":1,"lastSeen":1,"status":"online","connectionCount":1,
            "sessions":[{{"sessionId":"s","connectedAt":1,"active":true,"state":{{}},"cursor":null}}]}}"##
        );
        serde_json::from_str(&text).unwrap()
    }

    fn shown(version: u64, total: usize, ids: Option<&[&str]>) -> WindowShown {
        WindowShown {
            room: "r".to_owned(),
            epoch: "e".to_owned(),
            version,
            mode: "exact".to_owned(),
            from: 0,
            count: 20,
            total,
            sessions: total,
            users: ids.map(|ids| ids.iter().map(|id| user(id)).collect()),
            reference: None,
        }
    }

    fn fold(all: &[WindowShown]) -> Result<WindowView, WindowViolation> {
        let mut view = WindowView::default();
        all.iter().try_for_each(|shown| view.apply(shown))?;
        Ok(view)
    }

    #[test]
    fn each_window_replaces_the_one_before_and_totals_leave_the_rows() {
        let many: Vec<String> = (0..20).map(|number| format!("u{number:02}")).collect();
        let ids: Vec<&str> = many.iter().map(String::as_str).collect();
        let view =
            fold(&[shown(1, 1, Some(&["ann"])), shown(22, 21, Some(&ids)), shown(23, 22, None)]).unwrap();
        assert_eq!((view.ids(), view.totals(), view.received()), (ids, (22, 22), (3, 2)));
    }

    #[test]
    fn every_check_can_fail() {
        type Case<'a> = (Vec<WindowShown>, fn(&WindowViolation) -> bool);
        let few = WindowShown { sessions: 1, ..shown(1, 2, Some(&["ann", "bob"])) };
        let cases: [Case<'_>; 6] = [
            (vec![shown(1, 3, Some(&["ann"]))], |found| matches!(found, WindowViolation::Rows { .. })),
            (vec![few], |found| matches!(found, WindowViolation::Sessions { .. })),
            (vec![shown(1, 2, Some(&["bob", "ann"]))], |found| matches!(found, WindowViolation::Order(_))),
            (vec![shown(1, 2, Some(&["ann", "ann"]))], |found| matches!(found, WindowViolation::Order(_))),
            (vec![shown(2, 1, Some(&["ann"])), shown(1, 1, Some(&["ann"]))], |found| {
                matches!(found, WindowViolation::Backwards { .. })
            }),
            (vec![shown(1, 1, None)], |found| *found == WindowViolation::WithoutRows),
        ];
        for (messages, is_found) in cases {
            let found = fold(&messages).unwrap_err();
            assert!(is_found(&found), "{found}");
        }
    }
}
