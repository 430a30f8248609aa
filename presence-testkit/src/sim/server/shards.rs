//! A shard's task, as the server's driver has it: in with what has come, out with what the shard wants done.

use presence_core::id::Generation;
use presence_core::session::Delivery;
use presence_core::shard::{ShardInput, ShardOutput};
use presence_core::window::RoomReader;

use super::super::agenda::Event;
use super::super::world::World;

/// Inputs that are taken in before anything is handed out, at most.
const BATCH: u64 = 256;

/// Members that a shard's own walk looks at after each turn.
const AUDITED: usize = 16;

impl World {
    /// Puts something into a shard's inbox. Gives it back if that is full.
    pub(super) fn put(
        &mut self,
        shard: usize,
        input: ShardInput,
        connection: Option<u64>,
    ) -> Result<(), ShardInput> {
        let inbox_max = self.plan.limits.shard_inbox_max;
        let Some(server) = &mut self.server else { return Ok(()) };
        let task = &mut server.shards[shard];
        if task.inbox.len() >= inbox_max {
            self.counts.full_inboxes += 1;
            return Err(input);
        }
        task.inbox.push_back((input, connection));
        self.schedule_shard(shard);
        Ok(())
    }

    fn schedule_shard(&mut self, shard: usize) {
        let Some(server) = &mut self.server else { return };
        let (life, task) = (server.life, &mut server.shards[shard]);
        if !std::mem::replace(&mut task.scheduled, true) {
            self.soon(Event::Shard { life, shard });
        }
    }

    /// A shard's turn.
    pub(in super::super) fn run_shard(&mut self, shard: usize) {
        let now = self.clock();
        let batch = self.dice.between(1, BATCH);
        let Some(server) = &mut self.server else { return };
        let task = &mut server.shards[shard];
        task.scheduled = false;
        let mut detached: Vec<Generation> = Vec::new();
        for _ in 0..batch {
            let Some((input, connection)) = task.inbox.pop_front() else { break };
            match &input {
                ShardInput::Attach { generation, .. } => {
                    task.mailboxes.extend(connection.map(|connection| (*generation, connection)));
                    detached.retain(|gone| gone != generation);
                }
                ShardInput::Detach { generation, .. } => detached.push(*generation),
                _ => {}
            }
            self.trace.note(self.now, format_args!("shard {shard} takes in {}", Shown(&input)));
            task.model.take_in(now.at, &input);
            task.shard.handle_input(now, input);
        }
        task.shard.handle_timeout(now);
        task.shard.audit(now, AUDITED);
        task.model.pass(now.at, &task.shard);
        let waiting = std::mem::take(&mut task.waiting);
        let more = !task.inbox.is_empty();
        self.carry_out_all(shard);
        if let Some(server) = &mut self.server {
            for generation in detached {
                server.shards[shard].mailboxes.remove(&generation);
            }
        }
        for connection in waiting {
            self.wake(connection);
        }
        if more {
            self.schedule_shard(shard);
        }
        self.arm_shard(shard);
        self.check_shard(shard);
    }

    /// What a shard wants done.
    pub(in super::super) fn carry_out_all(&mut self, shard: usize) {
        while let Some(output) =
            self.server.as_mut().and_then(|server| server.shards[shard].shard.poll_output())
        {
            self.carry_out_of_shard(shard, output);
        }
    }

    fn arm_shard(&mut self, shard: usize) {
        let Some(server) = &mut self.server else { return };
        let (life, started, task) = (server.life, server.started, &mut server.shards[shard]);
        let Some(at) = task.shard.poll_timeout() else { return };
        if task.armed.is_none_or(|armed| at < armed || armed.as_millis() + started <= self.now) {
            task.armed = Some(at);
            self.agenda_at(started + at.as_millis(), Event::Shard { life, shard });
        }
    }

    fn carry_out_of_shard(&mut self, shard: usize, output: ShardOutput) {
        let Some(server) = &mut self.server else { return };
        let task = &mut server.shards[shard];
        match output {
            ShardOutput::Position { to, room, name, entry, frame, reader } => {
                if task.mailboxes.contains_key(&to) {
                    if let RoomReader::Feed(_) = reader {
                        task.listeners.entry(room).or_default().insert(to);
                    }
                    self.mail(shard, to, Delivery::Position { room: name, entry, frame, reader });
                }
            }
            ShardOutput::Silence { to, room } => {
                task.listeners.entry(room).or_default().remove(&to);
            }
            ShardOutput::NotEntered { to, entry, frame } => {
                self.mail(shard, to, Delivery::NotEntered { entry, frame });
            }
            ShardOutput::Answer { to, frame } => self.mail(shard, to, Delivery::Answer(frame)),
            ShardOutput::Evict { to, reason } => {
                self.trace.note(self.now, format_args!("shard {shard} evicts {}: {reason:?}", to.number()));
                self.mail(shard, to, Delivery::Evict(reason));
            }
            ShardOutput::Wake { room, name, version, .. } => {
                self.trace.note(self.now, format_args!("{name} hands out up to {version}"));
                let listening = task.listeners.get(&room).cloned().unwrap_or_default();
                let woken: Vec<u64> =
                    listening.iter().filter_map(|to| task.mailboxes.get(to)).copied().collect();
                for connection in woken {
                    self.wake(connection);
                }
            }
            ShardOutput::Show { name, to, .. } => {
                self.trace.note(self.now, format_args!("{name} shows {} windows", to.len()));
                let woken: Vec<u64> = to.iter().filter_map(|to| task.mailboxes.get(to)).copied().collect();
                for connection in woken {
                    self.wake(connection);
                }
            }
            ShardOutput::Moved { room, movements, .. } => self.check_movements(shard, &room, &movements),
            ShardOutput::Violated(violation) => self.own_up(&violation),
            ShardOutput::Closed { room } => {
                task.listeners.remove(&room);
            }
            ShardOutput::Reading { ticket, reading } => {
                self.readings.insert(ticket, reading.body.clone());
            }
        }
    }

    fn mail(&mut self, shard: usize, to: Generation, delivery: Delivery) {
        let Some(server) = &mut self.server else { return };
        if let Some(connection) = server.shards[shard].mailboxes.get(&to).copied() {
            self.deliver(connection, delivery);
        }
    }
}

/// An input as the trace shows it.
pub(super) struct Shown<'a>(pub(super) &'a ShardInput);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ShardInput::Attach { user, session, generation, attempt } => {
                write!(f, "attach {} {user}/{session} by {attempt:?}", generation.number())
            }
            ShardInput::Detach { generation, how } => write!(f, "detach {} {how:?}", generation.number()),
            ShardInput::Command { generation, room, command } => {
                let name = format!("{command:?}");
                let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
                write!(f, "{} {name} {room}", generation.number())
            }
            other => write!(f, "{other:?}"),
        }
    }
}
