//! A connection's task, as the server drives it: settle, write, wait, take in.

use std::collections::VecDeque;
use std::sync::Arc;

use presence_core::error::{CloseReason, CommandError, ErrorCode};
use presence_core::frame::{Frame, FrameKind};
use presence_core::id::{ConnectionId, Generation, RoomId, SessionId};
use presence_core::planted::{self, Bug};
use presence_core::port::transport::{Departure, Incoming, Sent, Silence};
use presence_core::session::{
    Delivery, Opening, OwnEntry, Proof, Session, SessionOutput, StreamCommand, StreamDelivery,
};
use presence_core::shard::{Detach, ShardInput};

use super::super::agenda::Event;
use super::super::link::{Packet, Way};
use super::super::world::World;
use super::errands::Errand;
use super::hub::Input;
use super::{Connection, Todo};

/// How exact the pacemaker is.
const PACE: u64 = 25;

/// What came of settling.
enum Settled {
    /// Nothing is left to do.
    All,
    /// An inbox is full.
    Waits,
    Closing(CloseReason),
}

impl World {
    /// A client has asked for a connection, and gets it.
    pub(in super::super) fn accept(&mut self, link_id: u64) {
        let now = self.clock();
        let bits = |world: &mut Self| u128::from(world.dice.draw()) << 64 | u128::from(world.dice.draw());
        let (connection, fallback) = (bits(self), bits(self));
        let Some(link) = self.links.get_mut(&link_id) else { return };
        let tab = &self.tabs[link.tab];
        let user = self.plan.users[tab.user].clone();
        let (introduced, attempt) = (link.introduced, link.attempt);
        let opening = Opening {
            connection: ConnectionId::from_random(connection),
            default_room: RoomId::lobby(),
            proof: Proof::Word(introduced.then_some(user)),
            name: None,
            session: introduced.then(|| tab.session.clone()),
            attempt,
            fallback_session: SessionId::from_random(fallback),
            entry: OwnEntry::None,
            silence: Silence::IsDeath,
        };
        let Some(server) = &mut self.server else { return };
        server.generations += 1;
        let generation = Generation::new(server.generations);
        let id = generation.number();
        link.server = Some((server.life, id));
        let session = Session::open(now, opening, Arc::clone(&self.plan.limits));
        let connection = Connection {
            session,
            link: link_id,
            user: None,
            deliveries: Vec::new(),
            news: false,
            timer: false,
            drain: None,
            incoming: VecDeque::new(),
            busy: None,
            armed: None,
            todo: VecDeque::new(),
            closing: None,
            ending: false,
            scheduled: false,
            syncing: false,
        };
        server.connections.insert(id, connection);
        self.trace.note(self.now, format_args!("link {link_id} is connection {id}"));
        self.send(link_id, Way::Down, Packet::Accepted);
        self.schedule_connection(id);
    }

    /// Something has come over a connection's link.
    pub(in super::super) fn come(&mut self, connection: u64, packet: Packet) {
        let incoming = match packet {
            Packet::Text(text) => Incoming::Text(text),
            Packet::Pong => Incoming::Pong,
            Packet::Close(1000) => Incoming::Left(Departure::Finished),
            Packet::Close(1001) => Incoming::Left(Departure::GoingAway),
            Packet::Close(_) | Packet::Reset => Incoming::Left(Departure::Abrupt),
            Packet::Connect | Packet::Accepted | Packet::Ping => return,
        };
        self.take_incoming(connection, incoming);
    }

    pub(in super::super) fn take_incoming(&mut self, connection: u64, incoming: Incoming) {
        let Some(server) = &mut self.server else { return };
        if let Some(open) = server.connections.get_mut(&connection) {
            open.incoming.push_back(incoming);
            self.schedule_connection(connection);
        }
    }

    pub(super) fn wake(&mut self, connection: u64) {
        let Some(server) = &mut self.server else { return };
        if let Some(open) = server.connections.get_mut(&connection) {
            open.news = true;
            self.schedule_connection(connection);
        }
    }

    pub(in super::super) fn deliver(&mut self, connection: u64, delivery: Delivery) {
        let Some(server) = &mut self.server else { return };
        if let Some(open) = server.connections.get_mut(&connection) {
            open.deliveries.push(delivery);
            open.news = true;
            self.schedule_connection(connection);
        }
    }

    pub(in super::super) fn ring(&mut self, connection: u64) {
        let Some(server) = &mut self.server else { return };
        if let Some(open) = server.connections.get_mut(&connection) {
            open.timer = true;
            self.schedule_connection(connection);
        }
    }

    pub(super) fn schedule_connection(&mut self, connection: u64) {
        let Some(server) = &mut self.server else { return };
        let life = server.life;
        let Some(open) = server.connections.get_mut(&connection) else { return };
        if !std::mem::replace(&mut open.scheduled, true) {
            self.soon(Event::Connection { life, connection });
        }
    }

    fn open(&mut self, id: u64) -> Option<&mut Connection> {
        self.server.as_mut()?.connections.get_mut(&id)
    }

    /// A connection's turn.
    pub(in super::super) fn run_connection(&mut self, id: u64) {
        let Some(open) = self.open(id) else { return };
        open.scheduled = false;
        if open.ending {
            return self.end_connection(id);
        }
        for _ in 0..self.dice.between(1, 8) {
            match self.settle(id) {
                Settled::Waits => return,
                Settled::Closing(reason) => return self.close_connection(id, reason),
                Settled::All => {}
            }
            // What a shard has answered comes before what its rooms have said since.
            let answered = self.open(id).is_some_and(|open| !open.deliveries.is_empty());
            if (!answered || planted::is(Bug::EventsBeforeAnswers)) && self.write(id) {
                continue;
            }
            self.arm(id);
            match self.take_in(id) {
                Some(true) => {}
                Some(false) => return,
                None => {
                    self.trace.note(self.now, format_args!("connection {id} is gone"));
                    return self.end_connection(id);
                }
            }
        }
        self.schedule_connection(id);
    }

    /// Carries out what the session wants, until it wants nothing more.
    fn settle(&mut self, id: u64) -> Settled {
        loop {
            while let Some(todo) = self.open(id).and_then(|open| open.todo.pop_front()) {
                if let Err(todo) = self.carry_out(id, todo) {
                    if let Some(open) = self.open(id) {
                        open.todo.push_front(todo);
                    }
                    return Settled::Waits;
                }
            }
            let Some(open) = self.open(id) else { return Settled::All };
            if !open.session.has_outputs() {
                return open.closing.map_or(Settled::All, Settled::Closing);
            }
            open.todo.extend(open.session.take_outputs().into_iter().map(Todo::Output));
        }
    }

    /// Does one thing, or gives it back if it has to wait.
    fn carry_out(&mut self, id: u64, todo: Todo) -> Result<(), Todo> {
        let generation = Generation::new(id);
        match todo {
            Todo::Output(output) => {
                self.carry_out_output(id, output);
                Ok(())
            }
            Todo::Attach { shard, input } => {
                let put = self.put_or_wait(id, shard, *input, Some(id));
                put.map_err(|input| Todo::Attach { shard, input: Box::new(input) })
            }
            Todo::Detach { shard, how } => {
                let input = ShardInput::Detach { generation, how };
                self.put_or_wait(id, shard, input, None).map_err(|_| Todo::Detach { shard, how })
            }
            Todo::Hub(input) => {
                let put = self.put_to_hub(input);
                if put.is_err() {
                    // Its hub is quick; it is looked at again soon.
                    self.wake(id);
                }
                put.map_err(Todo::Hub)
            }
            Todo::Command { room, command } => {
                let shard = self.shard_of(&room);
                let input = ShardInput::Command { generation, room, command };
                self.put_or_wait(id, shard, input, None).map_err(|input| match input {
                    ShardInput::Command { room, command, .. } => Todo::Command { room, command },
                    _ => Todo::Detach { shard, how: Detach::Lost },
                })
            }
        }
    }

    fn put_or_wait(
        &mut self,
        id: u64,
        shard: usize,
        input: ShardInput,
        connection: Option<u64>,
    ) -> Result<(), ShardInput> {
        let put = self.put(shard, input, connection);
        if let (Err(_), Some(server)) = (&put, &mut self.server) {
            server.shards[shard].waiting.insert(id);
        }
        put
    }

    fn shard_of(&self, room: &RoomId) -> usize {
        self.server.as_ref().map_or(0, |server| server.shard_of(room))
    }

    fn carry_out_output(&mut self, id: u64, output: SessionOutput) {
        let generation = Generation::new(id);
        let shards = self.plan.shards;
        match output {
            SessionOutput::Attach { user, session, attempt } => {
                let Some(open) = self.open(id) else { return };
                open.user = Some(user.clone());
                for shard in (0..shards).rev() {
                    let (user, session) = (user.clone(), session.clone());
                    let input = ShardInput::Attach { user, session, generation, attempt };
                    open.todo.push_front(Todo::Attach { shard, input: Box::new(input) });
                }
                let at = shards;
                open.todo.insert(at, Todo::Hub(Input::Attach { connection: id, user }));
            }
            SessionOutput::Detach { how } => {
                let Some(open) = self.open(id) else { return };
                for shard in (0..shards).rev() {
                    open.todo.push_front(Todo::Detach { shard, how });
                }
                open.todo.insert(shards, Todo::Hub(Input::Detach { connection: id, how }));
            }
            SessionOutput::Route { room, command } => {
                if !command.may_be_refused() {
                    if let Some(open) = self.open(id) {
                        open.todo.push_front(Todo::Command { room, command });
                    }
                    return;
                }
                let shard = self.shard_of(&room);
                let refused = self.put(shard, ShardInput::Command { generation, room, command }, None);
                if let (Err(ShardInput::Command { command, .. }), Some(open)) = (refused, self.open(id)) {
                    open.session.handle_busy(command);
                }
            }
            SessionOutput::Close(reason) => {
                if let Some(open) = self.open(id) {
                    open.closing = Some(reason);
                }
            }
            SessionOutput::Stream(command) => self.carry_out_stream(id, command),
            // People, and what is only counted.
            _ => {}
        }
    }

    fn carry_out_stream(&mut self, id: u64, command: StreamCommand) {
        let Some(open) = self.open(id) else { return };
        match command {
            StreamCommand::Listen { room, after } => {
                open.todo.push_front(Todo::Hub(Input::Listen { connection: id, room, after }));
            }
            StreamCommand::Leave { room, sent } => {
                open.todo.push_front(Todo::Hub(Input::Leave { connection: id, room, sent }));
            }
            StreamCommand::Acknowledge { room, seq, unsure } => {
                open.todo.push_front(Todo::Hub(Input::Acknowledge { connection: id, room, seq, unsure }));
            }
            StreamCommand::Publish(publish) => {
                let (reference, name) = (publish.reference.clone(), open.session.connection());
                let input = Input::Publish { connection: id, id: name, publish };
                if self.put_to_hub(input).is_err()
                    && let Some(open) = self.open(id)
                {
                    let error = CommandError::new(ErrorCode::Busy, "the server has too much to do");
                    open.session.handle_delivery(Delivery::Refused { error, reference });
                }
            }
            StreamCommand::Fetch(fetch) => self.send_errand(id, Errand::Fetch(fetch)),
            StreamCommand::Sync(sync) => {
                open.syncing = true;
                self.send_errand(id, Errand::Sync(sync));
            }
            StreamCommand::Violated(violation) => self.own_up(&violation),
            StreamCommand::Redelivered(_) => {}
        }
    }

    /// Writes what waits, if the peer keeps up. Says whether there is more to do at once.
    fn write(&mut self, id: u64) -> bool {
        let (now, window) = (self.clock(), self.plan.window);
        let Some(open) = self.open(id) else { return false };
        if open.busy.is_some() {
            return false;
        }
        let link = open.link;
        let mut frames: Vec<Frame> = Vec::new();
        let more = open.session.gather(now, &mut frames);
        if frames.is_empty() {
            return open.session.has_outputs();
        }
        let syncing = open.syncing;
        self.check_written(id, syncing, &frames);
        for frame in &frames {
            for message in frame.messages() {
                self.send(link, Way::Down, Packet::Text(message.text().clone()));
            }
            if frame.kind() == FrameKind::Heartbeat {
                self.send(link, Way::Down, Packet::Ping);
            }
        }
        let full = self.links.get(&link).is_some_and(|link| link.down.bytes > window);
        let at = self.now;
        let Some(open) = self.open(id) else { return false };
        open.session.handle_sent(now, if full { Sent::Waiting } else { Sent::All });
        if full {
            open.busy = Some(at);
            return false;
        }
        more || open.session.has_outputs()
    }

    /// Asks the pacemaker to call in time, unless it will anyway.
    fn arm(&mut self, id: u64) {
        let Some(server) = &mut self.server else { return };
        let (life, started) = (server.life, server.started);
        let Some(open) = server.connections.get_mut(&id) else { return };
        if let Some(at) = open.session.poll_timeout()
            && open.armed.is_none_or(|armed| at < armed)
        {
            open.armed = Some(at);
            let beat = at.as_millis().next_multiple_of(PACE);
            self.agenda_at(started + beat, Event::Pace { life, connection: id });
        }
    }

    /// Takes in what waits: mail before the wire. Says whether there was something; `None`: the connection is over.
    fn take_in(&mut self, id: u64) -> Option<bool> {
        let (now, wall) = (self.clock(), self.now);
        let open = self.open(id)?;
        if open.news || open.timer || open.drain.is_some() {
            for delivery in std::mem::take(&mut open.deliveries) {
                if let Delivery::Stream(StreamDelivery::Synced(_)) = delivery {
                    open.syncing = false;
                }
                open.session.handle_delivery(delivery);
            }
            if let Some(retry_after) = open.drain.take() {
                open.session.handle_drain(retry_after);
            }
            open.news = false;
            if std::mem::take(&mut open.timer) {
                open.armed = None;
                open.session.handle_timeout(now);
            }
            return Some(true);
        }
        let Some(incoming) = open.incoming.pop_front() else { return Some(false) };
        match incoming {
            Incoming::Text(text) => {
                self.trace.note(wall, format_args!("connection {id} ← {}", String::from_utf8_lossy(&text)));
                self.open(id)?.session.handle_text(now, &text);
            }
            Incoming::Pong => open.session.handle_pong(now),
            Incoming::Drained => {
                open.busy = None;
                open.session.handle_sent(now, Sent::All);
            }
            Incoming::Left(departure) => {
                let how = match departure {
                    Departure::Finished => Detach::Finished,
                    Departure::GoingAway => Detach::GoingAway,
                    Departure::Abrupt => Detach::Lost,
                };
                open.session.handle_end(how);
                return None;
            }
            Incoming::Alive => open.session.handle_alive(now),
            Incoming::Binary => open.session.handle_binary(now),
            Incoming::Control(count) => open.session.handle_control(now, count),
            Incoming::Partial => open.session.handle_partial(now),
        }
        Some(true)
    }

    fn close_connection(&mut self, id: u64, reason: CloseReason) {
        self.trace.note(self.now, format_args!("connection {id} closes: {reason:?}"));
        self.check_close(id, reason);
        // What was answered last should arrive before the close.
        self.write(id);
        if let Some(link) = self.open(id).map(|open| open.link) {
            self.send(link, Way::Down, Packet::Close(reason.code()));
        }
        self.end_connection(id);
    }

    /// The end, as far as the inboxes have room for it.
    fn end_connection(&mut self, id: u64) {
        let Some(open) = self.open(id) else { return };
        open.ending = true;
        open.session.handle_end(Detach::Lost);
        if !matches!(self.settle(id), Settled::Waits)
            && let Some(server) = &mut self.server
        {
            server.connections.remove(&id);
        }
    }
}
