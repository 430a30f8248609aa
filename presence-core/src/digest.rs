//! The digest of a roster: how a client sees that what it shows is not what the server has.

use crate::id::UserId;

/// 32-bit FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv).
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The sum, modulo 2³², of the hash of `id:connectionCount` of every user present. A sum, so that it can be kept up
/// to date user by user, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u32);

impl Digest {
    /// Counts a user in.
    pub fn add(&mut self, user: &UserId, connections: usize) {
        self.0 = self.0.wrapping_add(entry(user, connections));
    }

    /// Counts a user out, who was counted in with the same number.
    pub fn remove(&mut self, user: &UserId, connections: usize) {
        self.0 = self.0.wrapping_sub(entry(user, connections));
    }

    /// The sum.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

fn entry(user: &UserId, connections: usize) -> u32 {
    fnv1a(user.as_str().bytes().chain([b':']).chain(connections.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_matches_its_published_vectors() {
        assert_eq!(fnv1a(*b""), 0x811c_9dc5);
        assert_eq!(fnv1a(*b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(*b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn what_was_added_can_be_removed_in_any_order() {
        let (ann, bob) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
        let mut digest = Digest::default();
        digest.add(&ann, 1);
        digest.add(&bob, 2);
        digest.remove(&ann, 1);
        let mut only_bob = Digest::default();
        only_bob.add(&bob, 2);
        assert_eq!(digest, only_bob);
        assert_eq!(only_bob.to_string(), format!("{:08x}", fnv1a(*b"bob:2")));
    }
}
