//! What rooms have said of themselves and still holds, for those who ask again: they need not ask the shard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use presence_core::id::RoomId;
use presence_core::shard::RoomReading;

use crate::clock::Clock;

/// Rooms of which it is known; when there are more, it begins anew.
const ROOMS_MAX: usize = 4_096;

/// The readings that were given last. The rooms keep them, and let go of them with the first change.
#[derive(Debug)]
pub(super) struct Readings {
    clock: Clock,
    known: Mutex<HashMap<RoomId, Weak<RoomReading>>>,
}

impl Readings {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<RoomId, Weak<RoomReading>>> {
        self.known.lock().expect("nothing panics while it holds the readings")
    }

    /// The last reading of a room, if that still holds.
    pub(super) fn get(&self, room: &RoomId) -> Option<Arc<RoomReading>> {
        let reading = self.known().get(room)?.upgrade()?;
        reading.holds(self.clock.now().at).then_some(reading)
    }

    /// Keeps a reading, unless it does not hold any more.
    pub(super) fn keep(&self, room: RoomId, reading: &Arc<RoomReading>) {
        if !reading.holds(self.clock.now().at) {
            return;
        }
        let mut known = self.known();
        if known.len() >= ROOMS_MAX {
            known.clear();
        }
        known.insert(room, Arc::downgrade(reading));
    }
}
