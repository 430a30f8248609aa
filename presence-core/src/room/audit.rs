//! Whether a room is what it has said: what it told is kept beside who is there, and the two are compared.

use std::collections::BTreeSet;

use super::Room;
use crate::audit::{Breaches, Invariant};
use crate::digest::Digest;
use crate::frame::Message;
use crate::id::{UserId, Version};

/// Whom the feed has told of: it follows what is said, not who is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    users: usize,
    /// A sum over their names; everybody counts the same.
    names: Digest,
}

impl Told {
    pub(super) fn joined(&mut self, user: &UserId) {
        self.users += 1;
        self.names.add(user, 0);
    }

    pub(super) fn left(&mut self, user: &UserId) {
        self.users = self.users.saturating_sub(1);
        self.names.remove(user, 0);
    }

    /// How many.
    pub(super) fn users(self) -> usize {
        self.users
    }
}

impl Room {
    /// Looks at what a hand-out has said, beginning after `before`. Must come when all of it is said.
    pub(super) fn check_said(&mut self, before: Version, messages: &[Message], breaches: &mut Breaches) {
        let mut reached = before;
        let in_order = messages.iter().all(|message| {
            reached = reached.next();
            message.version() == Some(reached)
        });
        breaches.expect(Invariant::GapFree, in_order && reached == self.version, || {
            let (count, version) = (messages.len(), self.version.number());
            format!("{count} messages after version {before} lead to {version} another way than one by one")
        });
        let (told, there) = (self.told.users, self.members.len());
        breaches.expect(Invariant::Counts, told == there, || {
            format!("after a hand-out {told} users have been told of and {there} are there")
        });
        if told != there {
            self.told = self.told_of();
        }
    }

    /// Looks at everything in the room, and mends what clients compare with. Says whether that had to be mended.
    pub(crate) fn audit(&mut self, breaches: &mut Breaches) -> bool {
        for (user, member) in self.members.iter() {
            let ids: BTreeSet<_> = match &*member.sessions {
                [_] => continue,
                sessions => sessions.iter().map(|session| &session.id).collect(),
            };
            breaches.expect(Invariant::EdgeTrigger, !ids.is_empty(), || {
                format!("user {user} is there without a session")
            });
            breaches.expect(Invariant::EdgeTrigger, ids.len() == member.sessions.len(), || {
                format!("user {user} is there twice by one session")
            });
        }
        let told = self.told_of();
        breaches.expect(Invariant::Alternation, self.told == told, || {
            let (users, there) = (self.told.users, told.users);
            format!(
                "{users} users have been told of, {there} were there to be told of, and they are not the same"
            )
        });
        self.told = told;
        let (kept, digest) = (self.digest, self.digest_of());
        breaches.expect(Invariant::Convergence, kept == digest, || {
            format!("the digest is kept as {kept}, and the roster at version {} gives {digest}", self.version)
        });
        self.digest = digest;
        kept != digest
    }

    /// Who was there at the last hand-out, by how many sessions: from who is there now, and what has happened since.
    fn at_hand_out(&self) -> impl Iterator<Item = (&UserId, usize)> {
        let untouched = self.members.iter().filter(|(user, _)| !self.pending.has_touched(user));
        let untouched = untouched.map(|(user, member)| (user, member.sessions.len()));
        untouched.chain(self.pending.before())
    }

    fn told_of(&self) -> Told {
        let mut told = Told::default();
        self.at_hand_out().for_each(|(user, _)| told.joined(user));
        told
    }

    fn digest_of(&self) -> Digest {
        let mut digest = Digest::default();
        self.at_hand_out().for_each(|(user, connections)| digest.add(user, connections));
        digest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::few::Few;
    use crate::id::{Epoch, Generation, Incarnation, RoomId, SessionId};
    use crate::limits::Limits;
    use crate::profile::Profile;
    use crate::room::{LeaveCause, Visitor};
    use crate::time::{Now, Timestamp};

    const NOW: Now = Now { at: Timestamp::from_millis(0), wall: crate::time::WallTime::from_unix_millis(0) };

    fn visitor(user: &str, session: &str) -> Visitor {
        Visitor {
            profile: Arc::new(Profile::of_user(UserId::parse(user).unwrap())),
            session: SessionId::parse(session).unwrap(),
            generation: Generation::new(1),
            active: true,
        }
    }

    fn user(room: &Room) -> UserId {
        room.members.values().next().unwrap().profile.id.clone()
    }

    /// A room with ann, who has two tabs, and bob.
    fn room() -> Room {
        let mut room = Room::new(RoomId::lobby(), Epoch::new(Incarnation::from_random(1), 1));
        for (user, session) in [("ann", "a1"), ("ann", "a2"), ("bob", "b")] {
            room.join(NOW, &visitor(user, session), None, &Limits::default()).unwrap();
        }
        assert!(room.hand_out(NOW, &Limits::default()).breaches.is_empty());
        room
    }

    fn ids(breaches: Breaches) -> Vec<&'static str> {
        breaches.of(None).map(|violation| violation.invariant.id()).collect()
    }

    fn audited(room: &mut Room) -> Vec<&'static str> {
        let mut breaches = Breaches::default();
        let drift = room.audit(&mut breaches);
        let ids = ids(breaches);
        assert_eq!(drift, ids.contains(&"P3"));
        ids
    }

    #[test]
    fn a_room_is_what_it_told_also_between_two_hand_outs() {
        let mut room = room();
        let later = Timestamp::default() + Duration::from_secs(1);
        let (a1, a2, bob, cid) =
            (visitor("ann", "a1"), visitor("ann", "a2"), visitor("bob", "b"), visitor("cid", "c"));
        room.leave(NOW, &a1, LeaveCause::Left);
        assert_eq!(audited(&mut room), [""; 0]);
        room.leave(NOW, &a2, LeaveCause::Left);
        room.join(NOW, &cid, None, &Limits::default()).unwrap();
        assert_eq!(audited(&mut room), [""; 0]);
        room.lose(NOW, &bob, later, LeaveCause::Timeout);
        room.join(NOW, &a1, None, &Limits::default()).unwrap();
        room.leave(NOW, &cid, LeaveCause::Left);
        assert_eq!(audited(&mut room), [""; 0]);
        assert_eq!(ids(room.hand_out(NOW, &Limits::default()).breaches), [""; 0]);
        assert_eq!(audited(&mut room), [""; 0]);
    }

    #[test]
    fn what_is_harmed_behind_the_rooms_back_is_found() {
        type Harm = fn(&mut Room);
        let harms: [(&str, Harm, &[&str]); 7] = [
            ("a digest that is not the roster's", |room| room.digest.add(&user(room), 7), &["P3"]),
            ("somebody told of who never came", |room| room.told.joined(&user(room)), &["P1"]),
            ("somebody told of under another name", |room| room.told.names.add(&user(room), 0), &["P1"]),
            ("somebody who is gone without a word", |room| room.members.remove("ann"), &["P1", "P3"]),
            ("a tab that is gone without a word", |room| drop(sessions(room).remove(1)), &["P3"]),
            ("a member without a session", |room| sessions(room).clear(), &["P2", "P3"]),
            ("a session that is there twice", twice, &["P2", "P3"]),
        ];
        for (what, harm, found) in harms {
            let mut room = room();
            harm(&mut room);
            assert_eq!(audited(&mut room), found, "{what}");
        }
    }

    fn sessions(room: &mut Room) -> &mut Few<crate::room::SessionPresence> {
        &mut room.members.get_mut("ann").unwrap().sessions
    }

    fn twice(room: &mut Room) {
        let again = sessions(room)[0].clone();
        sessions(room).push(again);
    }

    #[test]
    fn a_digest_that_has_drifted_is_mended_and_counted_once() {
        let mut room = room();
        let right = room.digest;
        room.digest.add(&user(&room), 7);
        assert_eq!(audited(&mut room), ["P3"]);
        assert_eq!((audited(&mut room), room.digest), (vec![], right));
    }

    #[test]
    fn a_hand_out_that_does_not_say_what_happened_is_found() {
        let mut room = room();
        room.members.remove("ann");
        room.touch(NOW, &visitor("bob", "b"));
        assert_eq!(ids(room.hand_out(NOW, &Limits::default()).breaches), ["P11"]);
        assert_eq!(ids(room.hand_out(NOW, &Limits::default()).breaches), [""; 0], "it is counted once");
    }

    #[test]
    fn a_gap_in_the_versions_is_found_in_the_hand_out_and_before_it() {
        let mut room = room();
        room.version = room.version.next();
        room.leave(NOW, &visitor("bob", "b"), LeaveCause::Left);
        assert_eq!(ids(room.hand_out(NOW, &Limits::default()).breaches), ["P4"]);
        room.leave(NOW, &visitor("ann", "a1"), LeaveCause::Left);
        assert_eq!(ids(room.hand_out(NOW, &Limits::default()).breaches), [""; 0]);

        let before = room.version;
        room.version = before.next();
        let without_version = Message::new("an event without a version");
        for said in [vec![], vec![without_version.clone()], vec![without_version; 2]] {
            let mut breaches = Breaches::default();
            room.check_said(before, &said, &mut breaches);
            assert_eq!(ids(breaches), ["P4"], "{said:?}");
        }
    }
}
