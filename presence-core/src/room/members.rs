//! Who is in a room, by user. Half of a room's work is to find one of them, and most of its memory is what it keeps of each.

use super::Member;
use crate::id::UserId;

/// The members of a room, in the order of user ids. A list and not a tree: of a tree almost half lies idle when most rooms
/// are small, and moving what is behind a newcomer, two words each, is cheap in the largest room that there may be.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(UserId, Box<Member>)>);

impl Members {
    fn place(&self, user: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(user))
    }

    pub(super) fn get(&self, user: &str) -> Option<&Member> {
        self.place(user).ok().map(|place| &*self.0[place].1)
    }

    pub(super) fn get_mut(&mut self, user: &str) -> Option<&mut Member> {
        self.place(user).ok().map(|place| &mut *self.0[place].1)
    }

    /// Adds a member, in place of the one of the same user.
    pub(super) fn insert(&mut self, member: Member) {
        let user = member.profile.id.clone();
        match self.place(user.as_str()) {
            Ok(place) => *self.0[place].1 = member,
            Err(place) => {
                if self.0.len() == self.0.capacity() {
                    // Most rooms are small, and half of what is doubled would lie idle.
                    self.0.reserve_exact(1 + self.0.len() / 8);
                }
                self.0.insert(place, (user, Box::new(member)));
            }
        }
    }

    pub(super) fn remove(&mut self, user: &str) {
        if let Ok(place) = self.place(user) {
            self.0.remove(place);
            if self.0.len() * 4 < self.0.capacity() {
                self.0.shrink_to(self.0.len() * 2);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&UserId, &Member)> + Clone {
        self.0.iter().map(|(user, member)| (user, &**member))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Member> + Clone {
        self.0.iter().map(|(_, member)| &**member)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::few::Few;
    use crate::id::Version;
    use crate::profile::Profile;
    use crate::time::WallTime;

    fn member(name: &str, told: u64) -> Member {
        Member {
            profile: Arc::new(Profile::of_user(UserId::parse(name).unwrap())),
            joined_at: WallTime::default(),
            last_seen: WallTime::default(),
            told: Version::new(told),
            sessions: Few::new(),
        }
    }

    #[test]
    fn everybody_is_found_and_listed_in_the_order_of_names_whoever_comes_and_goes() {
        let (mut members, mut expected) = (Members::default(), BTreeMap::new());
        for step in 0..2_000_u64 {
            let name = format!("user-{}", step * 7_919 % 331);
            if step % 3 == 0 {
                members.remove(&name);
                expected.remove(&name);
            } else {
                members.insert(member(&name, step));
                expected.insert(name.clone(), step);
            }
            assert_eq!(members.get(&name).map(|member| member.told.number()), expected.get(&name).copied());
            assert_eq!(members.get_mut(&name).is_some(), expected.contains_key(&name));
        }
        let listed = members.iter().map(|(user, member)| (user.as_str().to_owned(), member.told.number()));
        assert!(listed.eq(expected.clone()));
        assert!(members.values().map(|member| member.profile.id.as_str()).eq(expected.keys()));
        expected.keys().for_each(|name| members.remove(name));
        assert!(members.is_empty() && members.0.capacity() == 0);
    }
}
