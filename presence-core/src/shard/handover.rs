//! From one life of the server to the next: a shard gives its rooms away as plain data, and another one takes them up.
//!
//! What is handed over is waited for, not present by a connection: it stands under a generation older than any that
//! connects later, so the fence holds. A room keeps its epoch and version, because nothing can have happened in it in
//! between; for that, what was handed over must be taken up at most once, which is the driver's part.

use std::sync::Arc;

use super::{Alarm, Shard, ShardOutput};
use crate::room::{KeptRoom, Room};
use crate::time::Now;

impl Shard {
    /// Gives all rooms away in which somebody is. This is the shard's end: it has no rooms after it, and what
    /// [`poll_output`](Self::poll_output) still gives is the last of it.
    pub fn hand_over(&mut self, now: Now) -> Vec<KeptRoom> {
        let frozen = self.frozen.unwrap_or(now.at);
        let limits = Arc::clone(&self.limits);
        let (outputs, tally) = (&mut self.outputs, &mut self.tally);
        let mut keep = |mut room: Room| {
            // Whoever comes back is to find a roster and a version that say the same.
            let said = room.hand_out(now, &limits);
            outputs.extend(ShardOutput::moved(&room, now, said.movements));
            outputs.extend(tally.violated(Some(room.id()), said.breaches));
            room.keep(frozen, &limits)
        };
        self.keys.clear();
        self.names.clear();
        self.due.clear();
        std::mem::take(&mut self.desks)
            .into_iter()
            .flatten()
            .filter_map(|desk| keep(desk.into_room()))
            .collect()
    }

    /// Takes a room up that an earlier life of the server has handed over. The grace of everybody in it begins now.
    /// A room that is there already stays as it is.
    pub fn take_up(&mut self, now: Now, kept: KeptRoom) {
        if self.keys.contains_key(&kept.id) || kept.members.is_empty() {
            return;
        }
        let room = Room::restore(now.at, kept, &self.limits);
        let held: Vec<_> = room
            .held()
            .map(|(profile, session, until)| (Arc::clone(profile), session.clone(), until))
            .collect();
        let key = self.place(room);
        for (profile, session, until) in held {
            self.directory.restore(&profile, &session, key);
            let user = profile.id.clone();
            self.alarms.set(until, Alarm::Grace { room: key, user, session });
        }
        if let Some(desk) = self.desk_mut(key) {
            desk.forgetting = true;
            self.alarms.set(now.at + self.limits.feed_age_max, Alarm::Forget { room: key });
        }
    }
}
