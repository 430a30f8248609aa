//! Who is in a room, for those who ask from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::id::{Epoch, Version};

/// Who is in a room, as a REST answer.
#[derive(Clone, Debug)]
pub struct RoomReading {
    /// Which history of the room.
    pub epoch: Epoch,
    /// How far it goes.
    pub version: Version,
    /// The body of `GET /v1/rooms/{room}/presence`.
    pub body: Bytes,
    /// The same body, smaller, for those who can unpack it.
    pub packed: Packed,
}

/// A place for a body in a smaller form, which all share who are given that body. The model does not pack: whoever is the
/// first to want it does.
#[derive(Clone, Debug, Default)]
pub struct Packed(Arc<Place>);

#[derive(Debug, Default)]
struct Place {
    begun: AtomicBool,
    body: OnceLock<Bytes>,
}

impl Packed {
    /// The packed body, once there is one.
    pub fn get(&self) -> Option<Bytes> {
        self.0.body.get().cloned()
    }

    /// Whether the caller is the first to ask this, and so is to pack the body.
    pub fn begin(&self) -> bool {
        !self.0.begun.swap(true, Ordering::Relaxed)
    }

    /// Here it is. The first one stays.
    pub fn set(&self, body: Bytes) {
        // Whoever did not begin has nothing to set.
        let _ = self.0.body.set(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packs_and_all_who_share_the_body_have_it() {
        let (packed, other) = (Packed::default(), Packed::default());
        let shared = packed.clone();
        assert!(packed.begin() && !shared.begin() && other.begin());
        assert_eq!(shared.get(), None);
        packed.set(Bytes::from_static(b"small"));
        assert_eq!((shared.get().as_deref(), other.get()), (Some(&b"small"[..]), None));
    }
}
