//! One room as one client sees it: what it received, folded, and checked as it is folded.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{RoomPresence, ServerMessage, Session, User, UserUpdated};

/// A room in the eyes of one client.
#[derive(Clone, Debug, Default)]
pub struct View {
    stand: Option<Stand>,
    users: BTreeMap<String, User>,
    typing: BTreeSet<String>,
    snapshots: u64,
    /// Joins and leaves that were seen, of all users.
    edges: BTreeMap<String, Edges>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    epoch: String,
    version: u64,
}

/// How often a user was seen to come and to go, by events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// `userJoined`.
    pub joins: u64,
    /// `userLeft`.
    pub leaves: u64,
}

/// What a message did to a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is newer than the view now.
    Changed,
    /// The view had it already.
    Known,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Violation {
    #[error("P4: event {got} follows version {have}")]
    Gap { have: u64, got: u64 },
    #[error("P14: an event came before any snapshot: {0}")]
    NoSnapshot(String),
    #[error("P1: {0} joined and was there")]
    JoinedTwice(String),
    #[error("P1: {0} left and was not there")]
    LeftTwice(String),
    #[error("P16: {0} was updated and was not there")]
    UpdatedAbsent(String),
    #[error("P11: {user} has {count} connections and {sessions} sessions")]
    Count { user: String, count: usize, sessions: usize },
    #[error("P3: at version {version} the digest is {said} and the view has {have}")]
    Digest { version: u64, said: String, have: String },
    #[error("P3: synced at {epoch}:{version} and the view is at {have}")]
    NotSynced { epoch: String, version: u64, have: String },
    #[error("P13: the snapshot lacks its receiver, {0}")]
    WithoutSelf(String),
}

/// 32-bit FNV-1a.
fn fnv1a(text: &str) -> u32 {
    let mut hash: u32 = 2_166_136_261;
    for byte in text.as_bytes() {
        hash ^= u32::from(*byte);
        hash = hash.wrapping_mul(16_777_619);
    }
    hash
}

impl View {
    /// Who is present, by id.
    pub fn users(&self) -> &BTreeMap<String, User> {
        &self.users
    }

    /// Who is typing.
    pub fn typing(&self) -> &BTreeSet<String> {
        &self.typing
    }

    /// How far it goes; `None` before the first snapshot.
    pub fn version(&self) -> Option<u64> {
        self.stand.as_ref().map(|stand| stand.version)
    }

    /// Which history it follows.
    pub fn epoch(&self) -> Option<&str> {
        self.stand.as_ref().map(|stand| stand.epoch.as_str())
    }

    /// How many snapshots it has had.
    pub fn snapshots(&self) -> u64 {
        self.snapshots
    }

    /// How often a user was seen to come and go.
    pub fn edges(&self, user: &str) -> Edges {
        self.edges.get(user).copied().unwrap_or_default()
    }

    /// The digest of what it has.
    pub fn digest(&self) -> String {
        let sum = self.users.values().fold(0_u32, |sum, user| {
            sum.wrapping_add(fnv1a(&format!("{}:{}", user.id, user.connection_count)))
        });
        format!("{sum:08x}")
    }

    /// Takes a message in.
    ///
    /// # Errors
    /// If it shows that an invariant does not hold.
    pub fn apply(&mut self, message: &ServerMessage) -> Result<Applied, Violation> {
        match message {
            ServerMessage::CurrentUsers(snapshot) => {
                self.stand = Some(Stand { epoch: snapshot.epoch.clone(), version: snapshot.version });
                self.users = snapshot.users.iter().map(|user| (user.id.clone(), user.clone())).collect();
                self.snapshots += 1;
                self.users.values().try_for_each(check_count)?;
                if !self.users.contains_key(&snapshot.own.user_id) {
                    return Err(Violation::WithoutSelf(snapshot.own.user_id.clone()));
                }
                self.check_digest(&snapshot.digest)?;
            }
            ServerMessage::UserJoined(joined) => {
                if self.step(joined.version)? == Applied::Known {
                    return Ok(Applied::Known);
                }
                check_count(&joined.user)?;
                self.edges.entry(joined.user.id.clone()).or_default().joins += 1;
                if self.users.insert(joined.user.id.clone(), joined.user.clone()).is_some() {
                    return Err(Violation::JoinedTwice(joined.user.id.clone()));
                }
            }
            ServerMessage::UserLeft(left) => {
                if self.step(left.version)? == Applied::Known {
                    return Ok(Applied::Known);
                }
                self.edges.entry(left.user_id.clone()).or_default().leaves += 1;
                if self.users.remove(&left.user_id).is_none() {
                    return Err(Violation::LeftTwice(left.user_id.clone()));
                }
            }
            ServerMessage::UserUpdated(updated) => {
                if self.step(updated.version)? == Applied::Known {
                    return Ok(Applied::Known);
                }
                let absent = || Violation::UpdatedAbsent(updated.user_id.clone());
                let user = self.users.get_mut(&updated.user_id).ok_or_else(absent)?;
                update(user, updated);
                check_count(user)?;
            }
            ServerMessage::Synced(synced) => {
                let stand = Stand { epoch: synced.epoch.clone(), version: synced.version };
                if self.stand.as_ref() != Some(&stand) {
                    let have = format!("{:?}", self.stand);
                    return Err(Violation::NotSynced { epoch: stand.epoch, version: stand.version, have });
                }
                self.check_digest(&synced.digest)?;
            }
            ServerMessage::Cursors(moved) => {
                for cursor in &moved.cursors {
                    // A cursor of somebody who has just left is no news.
                    if let Some(session) = self.session_mut(&cursor.user_id, &cursor.session_id) {
                        session.cursor.clone_from(&cursor.cursor);
                    }
                }
            }
            ServerMessage::Typing(typing) => self.typing = typing.user_ids.iter().cloned().collect(),
            _ => {}
        }
        Ok(Applied::Changed)
    }

    /// Moves one version on.
    fn step(&mut self, version: u64) -> Result<Applied, Violation> {
        let Some(stand) = &mut self.stand else {
            return Err(Violation::NoSnapshot(format!("version {version}")));
        };
        if version <= stand.version {
            return Ok(Applied::Known);
        }
        if version != stand.version + 1 {
            return Err(Violation::Gap { have: stand.version, got: version });
        }
        stand.version = version;
        Ok(Applied::Changed)
    }

    fn session_mut(&mut self, user: &str, session: &str) -> Option<&mut Session> {
        let user = self.users.get_mut(user)?;
        user.sessions.iter_mut().find(|known| known.session_id == session)
    }

    fn check_digest(&self, said: &str) -> Result<(), Violation> {
        let have = self.digest();
        if have == said {
            return Ok(());
        }
        Err(Violation::Digest { version: self.version().unwrap_or_default(), said: said.to_owned(), have })
    }

    /// What is different from what the server says; `None` if nothing is. Cursors move without a version and
    /// `lastSeen` without an event, so neither is compared.
    pub fn difference(&self, truth: &RoomPresence) -> Option<String> {
        if self.epoch() != Some(&truth.epoch) || self.version() != Some(truth.version) {
            return Some(format!(
                "the view is at {:?}, the server at {}:{}",
                self.stand, truth.epoch, truth.version
            ));
        }
        if self.digest() != truth.digest {
            return Some(format!("the view's digest is {}, the server's {}", self.digest(), truth.digest));
        }
        if truth.users.len() != self.users.len() {
            return Some(format!(
                "the view has {} users, the server {}",
                self.users.len(),
                truth.users.len()
            ));
        }
        truth.users.iter().find_map(|user| {
            let mine = self.users.get(&user.id);
            let same = mine.is_some_and(|mine| versioned(mine) == versioned(user));
            (!same).then(|| format!("the view has {mine:?}, the server {user:?}"))
        })
    }
}

/// The user without what changes without a version.
pub(crate) fn versioned(user: &User) -> User {
    let mut user = user.clone();
    user.last_seen = 0;
    user.sessions.iter_mut().for_each(|session| session.cursor = None);
    user
}

fn check_count(user: &User) -> Result<(), Violation> {
    let (count, sessions) = (user.connection_count, user.sessions.len());
    if count == sessions && count > 0 {
        return Ok(());
    }
    Err(Violation::Count { user: user.id.clone(), count, sessions })
}

fn update(user: &mut User, updated: &UserUpdated) {
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut user.name, &updated.name);
    set(&mut user.color, &updated.color);
    set(&mut user.status, &updated.status);
    if let Some(avatar) = &updated.avatar {
        user.avatar.clone_from(avatar);
    }
    if let Some(email) = &updated.email {
        user.email.clone_from(email);
    }
    if let Some(count) = updated.connection_count {
        user.connection_count = count;
    }
    if let Some(sessions) = &updated.sessions {
        user.sessions.clone_from(sessions);
    }
    if let (Some(id), Some(patch)) = (&updated.session_id, &updated.state)
        && let Some(session) = user.sessions.iter_mut().find(|session| session.session_id == *id)
    {
        for (name, value) in patch {
            if value.is_null() {
                session.state.remove(name);
            } else {
                session.state.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str, connections: usize) -> String {
        let sessions: Vec<String> = (0..connections)
            .map(|n| {
                format!(r#"{{"sessionId":"s{n}","connectedAt":1,"active":true,"state":{{}},"cursor":null}}"#)
            })
            .collect();
        format!(
            r##"{{"id":"{id}","name":"{id}","color":"#fff","joinedAt":1,"lastSeen":1,"status":"online","connectionCount":{connections},"sessions":[{}]}}"##,
            sessions.join(",")
        )
    }

    fn snapshot(version: u64, digest: &str, users: &[String]) -> String {
        format!(
            r#"{{"type":"presence:currentUsers","room":"r","epoch":"e","version":{version},"digest":"{digest}","users":[{}],"self":{{"userId":"ann","sessionId":"s0"}},"reason":"join"}}"#,
            users.join(",")
        )
    }

    fn joined(version: u64, id: &str) -> String {
        format!(r#"{{"type":"presence:userJoined","room":"r","version":{version},"user":{}}}"#, user(id, 1))
    }

    fn left(version: u64, id: &str) -> String {
        format!(
            r#"{{"type":"presence:userLeft","room":"r","version":{version},"userId":"{id}","cause":"left","lastSeen":1}}"#
        )
    }

    fn ann_alone() -> String {
        snapshot(1, &format!("{:08x}", fnv1a("ann:1")), &[user("ann", 1)])
    }

    fn fold(messages: &[String]) -> Result<View, Violation> {
        let mut view = View::default();
        for text in messages {
            view.apply(&ServerMessage::parse(text).unwrap())?;
        }
        Ok(view)
    }

    #[test]
    fn a_right_history_passes() {
        let view = fold(&[ann_alone(), joined(2, "bob"), joined(2, "bob"), left(3, "bob")]).unwrap();
        assert_eq!(view.version(), Some(3));
        assert_eq!(view.edges("bob"), Edges { joins: 1, leaves: 1 });
    }

    #[test]
    fn every_check_can_fail() {
        let cases: Vec<(Vec<String>, Violation)> = vec![
            (vec![joined(1, "bob")], Violation::NoSnapshot("version 1".to_owned())),
            (vec![ann_alone(), joined(3, "bob")], Violation::Gap { have: 1, got: 3 }),
            (vec![ann_alone(), joined(2, "ann")], Violation::JoinedTwice("ann".to_owned())),
            (vec![ann_alone(), left(2, "bob")], Violation::LeftTwice("bob".to_owned())),
            (
                vec![snapshot(1, "00000000", &[user("ann", 1)])],
                Violation::Digest {
                    version: 1,
                    said: "00000000".to_owned(),
                    have: format!("{:08x}", fnv1a("ann:1")),
                },
            ),
            (
                vec![snapshot(1, "00000000", &[user("ann", 0)])],
                Violation::Count { user: "ann".to_owned(), count: 0, sessions: 0 },
            ),
            (
                vec![snapshot(1, &format!("{:08x}", fnv1a("bob:1")), &[user("bob", 1)])],
                Violation::WithoutSelf("ann".to_owned()),
            ),
            (
                vec![
                    ann_alone(),
                    r#"{"type":"presence:userUpdated","room":"r","version":2,"userId":"bob","status":"away"}"#.to_owned(),
                ],
                Violation::UpdatedAbsent("bob".to_owned()),
            ),
        ];
        for (messages, violation) in cases {
            assert_eq!(fold(&messages).unwrap_err(), violation);
        }
        let synced =
            r#"{"type":"presence:synced","room":"r","epoch":"e","version":2,"digest":"0"}"#.to_owned();
        assert!(matches!(fold(&[ann_alone(), synced]), Err(Violation::NotSynced { .. })));
    }
}
