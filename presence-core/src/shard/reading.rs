//! Who is in a room, for those who ask from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::id::{Epoch, Version};
use crate::time::Timestamp;
use crate::wire::RoomStand;

/// How long an answer may be given again: it says when it was true.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Who is in a room, as a REST answer.
#[derive(Debug)]
pub struct RoomReading {
    /// Which history of the room.
    pub epoch: Epoch,
    /// How far it goes.
    pub version: Version,
    /// The body of `GET /v1/rooms/{room}/presence`.
    pub body: Bytes,
    /// The same body, smaller, for those who can unpack it.
    pub packed: Packed,
    at: Timestamp,
    over: AtomicBool,
}

impl RoomReading {
    /// What was true at a time, and may not be said again.
    pub(super) fn once(stand: RoomStand<'_>, at: Timestamp, body: Bytes) -> Self {
        let (epoch, version) = (stand.epoch.clone(), stand.version);
        Self { epoch, version, body, packed: Packed::default(), at, over: AtomicBool::new(true) }
    }

    /// Whether it may still be said: its room has not changed, as far as its shard has come, and it is not too old.
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.over.load(Ordering::Acquire) && now < self.at + AGE_MAX
    }
}

/// A reading that may be said until its room lets go of it.
#[derive(Debug)]
pub(super) struct CurrentReading(Arc<RoomReading>);

impl CurrentReading {
    pub(super) fn new(reading: RoomReading) -> Self {
        reading.over.store(false, Ordering::Relaxed);
        Self(Arc::new(reading))
    }

    pub(super) fn reading(&self) -> &Arc<RoomReading> {
        &self.0
    }
}

impl Drop for CurrentReading {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
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
