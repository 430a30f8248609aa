//! How a server comes and goes: it starts with what the last one left, stops in good order, or just ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use presence_core::id::Incarnation;
use presence_core::shard::{Shard, ShardInput};
use presence_core::wire::{kept_room, read_kept_room};

use super::super::agenda::Event;
use super::super::check::model::Model;
use super::super::link::{Packet, Way};
use super::super::world::World;
use super::{Server, Task};

impl World {
    /// A server starts, and takes up what was handed over to it.
    pub(in super::super) fn start_server(&mut self) {
        // One that has not come to its end in good order, since it was paused, is killed by whoever starts the next.
        if self.server.is_some() {
            self.end_server(true);
        }
        self.life += 1;
        let life = self.life;
        let incarnation = Incarnation::from_random(self.dice.draw());
        let task = |number: usize| Task {
            shard: Shard::new(Arc::clone(&self.plan.limits), incarnation.of_shard(number as u64)),
            model: Model::new(&self.plan.limits),
            inbox: VecDeque::new(),
            listeners: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            scheduled: false,
            armed: None,
            waiting: BTreeSet::new(),
        };
        let shards = (0..self.plan.shards).map(task).collect();
        let (started, connections) = (self.now, BTreeMap::new());
        let (hub, generations, draining) = (super::hub::Hub::default(), 0, false);
        let server = Server { life, started, shards, connections, generations, hub, draining };
        self.server = Some(server);
        let now = self.clock();
        let kept = std::mem::take(&mut self.kept);
        self.trace.note(self.now, format_args!("life {life} begins with {} rooms", kept.len()));
        for line in kept {
            let read = read_kept_room(&line);
            let Some(server) = &mut self.server else { return };
            match read {
                Ok(room) => {
                    let shard = server.shard_of(&room.id);
                    server.shards[shard].model.take_up(now.at, &room);
                    server.shards[shard].shard.take_up(now, room);
                }
                Err(error) => self.violate("X8", format_args!("a room that was handed over: {error}")),
            }
        }
        for shard in 0..self.plan.shards {
            self.soon(Event::Shard { life, shard });
        }
        self.soon(Event::Tick { life });
    }

    /// It begins to stop in good order: nobody comes in, everybody is sent away, nobody's time runs out.
    pub(in super::super) fn drain_server(&mut self) {
        let Some(server) = &mut self.server else { return };
        server.draining = true;
        self.trace.note(self.now, format_args!("life {} drains", server.life));
        let open: Vec<u64> = server.connections.keys().copied().collect();
        for (turn, id) in open.into_iter().enumerate() {
            if let Some(open) = self.server.as_mut().and_then(|server| server.connections.get_mut(&id)) {
                open.drain = Some(100 + 10 * turn as u64);
            }
            self.schedule_connection(id);
        }
        for shard in 0..self.plan.shards {
            self.freeze(shard);
        }
    }

    fn freeze(&mut self, shard: usize) {
        // The server waits for room; nothing else happens to a shard meanwhile that could not have come before.
        if self.put(shard, ShardInput::Freeze, None).is_err() {
            self.run_shard(shard);
            self.freeze(shard);
        }
    }

    /// It ends in good order, and hands over if it has somewhere to.
    pub(in super::super) fn finish_server(&mut self, hands_over: bool) {
        for shard in 0..self.plan.shards {
            while self.server.as_ref().is_some_and(|server| !server.shards[shard].inbox.is_empty()) {
                self.run_shard(shard);
            }
            let now = self.clock();
            let Some(server) = &mut self.server else { return };
            let task = &mut server.shards[shard];
            task.shard.handle_timeout(now);
            task.model.pass(now.at, &task.shard);
            self.carry_out_all(shard);
            self.check_shard(shard);
            let Some(server) = &mut self.server else { return };
            let rooms = server.shards[shard].shard.hand_over(now);
            self.carry_out_all(shard);
            if hands_over {
                self.kept.extend(rooms.iter().map(kept_room));
            }
        }
        self.run_hub();
        self.write_cursors();
        self.settle_line();
        self.end_server(true);
    }

    /// It is gone. Its kernel tells whoever can be reached, unless that is gone too; then not all that was written is there.
    pub(in super::super) fn end_server(&mut self, kernel_lives: bool) {
        let all = kernel_lives && self.dice.one_in(2);
        self.lose_line(all);
        self.checks.receivers.clear();
        let Some(server) = self.server.take() else { return };
        self.trace.note(self.now, format_args!("life {} is over", server.life));
        self.counts.lives += 1;
        for (_, connection) in server.connections {
            if kernel_lives {
                self.send(connection.link, Way::Down, Packet::Reset);
            }
        }
    }
}
