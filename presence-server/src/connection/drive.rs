//! One connection's task: one loop, one place that waits, one place that writes.

mod asks;
mod events;
mod measures;
mod owner;
mod write;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use presence_core::error::{CloseReason, CommandError, ErrorCode};
use presence_core::id::Generation;
use presence_core::port::transport::{Departure, Incoming, Sent, Transport, TransportError};
use presence_core::session::{Quality, Session, SessionOutput};
use presence_core::shard::Detach;
use presence_core::time::{Now, Timestamp, WallTime};
use tracing::{debug, error, info};

use super::mailbox::{Mail, Mailbox, Question};
use super::status::ConnectionStatus;
use super::trace::Watchers;
use super::{Connections, Places};
use crate::stream::Who;
use measures::Measures;
use write::{Broken, Written};

/// How long a closing connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A connection at work.
pub(super) struct Drive {
    shared: Arc<Connections>,
    transport: Box<dyn Transport>,
    session: Session,
    mailbox: Arc<Mailbox>,
    generation: Generation,
    opened: Timestamp,
    /// Messages received; the number of one and the connection's id are its correlation id.
    received: u32,
    /// The timer that the pacemaker has for this connection.
    armed: Option<Timestamp>,
    wire: Wire,
    places: Places,
    measures: Measures,
    watchers: Watchers,
}

/// Whether the peer keeps up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Free,
    /// The transport holds what the peer has not read yet.
    Busy,
}

/// What a connection waits for.
enum Event {
    Mail(Mail),
    Incoming(Result<Incoming, TransportError>),
}

/// How a connection ends.
enum Ending {
    /// By the server.
    Closed(CloseReason),
    /// By the peer, or by the network.
    Gone(&'static str),
}

impl Drive {
    pub(super) fn new(
        shared: Arc<Connections>,
        transport: Box<dyn Transport>,
        session: Session,
        mailbox: Arc<Mailbox>,
        generation: Generation,
        places: Places,
    ) -> Self {
        let opened = shared.clock.now().at;
        Self {
            shared,
            transport,
            session,
            mailbox,
            generation,
            opened,
            received: 0,
            armed: None,
            wire: Wire::Free,
            places,
            measures: Measures::default(),
            watchers: Watchers::default(),
        }
    }

    /// Until the connection is over. By reference, since a future keeps what it is given twice: as it came, and at work.
    /// What is waited for only for a moment, or once, has memory of its own, which an idle connection does not keep.
    pub(super) async fn run(&mut self) {
        let ending = 'work: {
            if let Some(ending) = self.look_first() {
                break 'work ending;
            }
            let mut now = self.shared.clock.now();
            loop {
                if self.session.has_outputs() {
                    let (closing, waited) = match self.settle() {
                        Settling::Done(closing) => (closing, false),
                        Settling::Waits(settling) => (settling.await, true),
                    };
                    if let Some(reason) = closing {
                        break 'work Ending::Closed(reason);
                    }
                    if waited {
                        now = self.shared.clock.now();
                    }
                }
                match self.write_in_order(now) {
                    Ok(Written::Everything) => {}
                    Ok(Written::MoreWaits) => continue,
                    Err(Broken) => break 'work Ending::Gone("broken"),
                }
                self.arm();
                let event = poll_fn(|cx| self.poll_event(cx)).await;
                now = self.shared.clock.now();
                if let Some(ending) = self.take_in(now, event) {
                    break 'work ending;
                }
            }
        };
        Box::pin(self.end(ending)).await;
    }

    /// Whoever has gone while their request waited, for a descriptor or for a server that slept, does not get the session: it
    /// would be taken from whoever has come in their place, and who is told to stay away.
    fn look_first(&mut self) -> Option<Ending> {
        let first = self.transport.poll_recv(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(incoming) = first else { return None };
        let ending = self.take_in(self.shared.clock.now(), Event::Incoming(incoming))?;
        self.session.handle_end(Detach::Lost);
        // Nothing of it was begun, so there is nothing to end.
        drop(self.session.take_outputs());
        Some(ending)
    }

    /// Carries out what the session wants, until it wants nothing more. Says whether it wants to close.
    fn settle(&mut self) -> Settling<'_> {
        let mut closing = None;
        while self.session.has_outputs() {
            let mut outputs = self.session.take_outputs().into_iter();
            if let Some(waiting) = self.carry_out_some(&mut outputs, &mut closing) {
                return Settling::Waits(Box::pin(self.settle_later(waiting, outputs, closing)));
            }
        }
        Settling::Done(closing)
    }

    /// Goes on with that once what it has to wait for is over.
    async fn settle_later(
        &mut self,
        waiting: Waiting,
        mut outputs: std::vec::IntoIter<SessionOutput>,
        mut closing: Option<CloseReason>,
    ) -> Option<CloseReason> {
        waiting.await;
        loop {
            while let Some(waiting) = self.carry_out_some(&mut outputs, &mut closing) {
                waiting.await;
            }
            if !self.session.has_outputs() {
                return closing;
            }
            outputs = self.session.take_outputs().into_iter();
        }
    }

    /// Carries out one thing after the other, up to one that has to wait. An output that were held across that wait would
    /// take up room in every connection's task.
    fn carry_out_some(
        &mut self,
        outputs: &mut impl Iterator<Item = SessionOutput>,
        closing: &mut Option<CloseReason>,
    ) -> Option<Waiting> {
        for output in outputs {
            match self.carry_out(output) {
                Step::Done => {}
                Step::Wait(waiting) => return Some(waiting),
                Step::Close(reason) => *closing = Some(reason),
            }
        }
        None
    }

    /// Carries out one thing, as far as that goes without waiting. What has to wait is boxed: it is rare, and an idle
    /// connection should not keep room for it.
    fn carry_out(&mut self, output: SessionOutput) -> Step {
        let (generation, shared) = (self.generation, Arc::clone(&self.shared));
        match output {
            SessionOutput::Attach { user, session, attempt } => {
                if let Err(refused) = self.take_place(&user) {
                    self.turn_away(refused);
                    return Step::Done;
                }
                let connection = self.session.connection();
                info!(%connection, %user, %session, generation = generation.number(), "session attached");
                shared.registry.identify(connection, &user);
                shared.people.attach(&user, &session, connection, &self.mailbox);
                let (shards, mailbox) = (shared.shards.clone(), Arc::clone(&self.mailbox));
                let streams = shared.streams.clone();
                return Step::wait(async move {
                    shards.attach(&user, &session, generation, attempt, &mailbox).await;
                    streams.attach(Who { user, generation }, &mailbox).await;
                });
            }
            SessionOutput::Detach { how } => {
                if let Some(user) = self.user() {
                    shared.people.detach(user, self.session.connection(), how);
                }
                let (shards, streams, who) = (shared.shards.clone(), shared.streams.clone(), self.who());
                return Step::wait(async move {
                    shards.detach(generation, how).await;
                    if let Some(who) = who {
                        streams.detach(&who, how).await;
                    }
                });
            }
            SessionOutput::Stream(command) => return self.carry_out_stream(command),
            SessionOutput::Route { room, command } => {
                if let Err(refused) = shared.shards.try_command(generation, room, command) {
                    let (room, command) = *refused;
                    if command.may_be_refused() {
                        self.session.handle_busy(command);
                    } else {
                        let shards = shared.shards.clone();
                        return Step::wait(async move { shards.command(generation, room, command).await });
                    }
                }
            }
            SessionOutput::RoundTrip(rtt) => shared.metrics.round_trip(rtt, Quality::of(rtt, &shared.limits)),
            SessionOutput::Received(kind) => {
                shared.metrics.message_received(kind);
                debug!(connection = %self.session.connection(), correlation = self.correlation(), kind, "message received");
            }
            SessionOutput::Limited(limit) => shared.metrics.rate_limited(limit.as_str()),
            SessionOutput::Refused(code) => {
                shared.metrics.error_answered(code);
                let (connection, correlation) = (self.session.connection(), self.correlation());
                debug!(%connection, correlation, code = code.as_str(), "message refused");
            }
            SessionOutput::Verify(credentials) => self.verify(*credentials),
            SessionOutput::Active(active) => {
                if let Some(user) = self.user() {
                    shared.people.set_active(user, self.session.connection(), active);
                }
            }
            SessionOutput::Said(said) => shared.people.set_said(self.session.connection(), said),
            SessionOutput::People(command) => self.ask_people(*command),
            SessionOutput::Close(reason) => return Step::Close(reason),
        }
        Step::Done
    }

    /// The name in the logs of the message that was received last.
    fn correlation(&self) -> String {
        format!("{}-{}", self.session.connection(), self.received)
    }

    /// Asks the pacemaker to call in time, unless it will anyway.
    fn arm(&mut self) {
        if let Some(at) = self.session.poll_timeout()
            && self.armed.is_none_or(|armed| at < armed)
        {
            self.armed = Some(at);
            let now = self.shared.clock.now().at;
            self.shared.pacemaker.set(now, at, Arc::clone(&self.mailbox));
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(mail) = self.mailbox.poll(cx) {
            return Poll::Ready(Event::Mail(mail));
        }
        self.transport.poll_recv(cx).map(Event::Incoming)
    }

    fn take_in(&mut self, now: Now, event: Event) -> Option<Ending> {
        if let Event::Incoming(Ok(incoming)) = &event {
            self.watchers.received(now.wall, incoming);
        }
        match event {
            Event::Mail(mail) => {
                for delivery in mail.deliveries {
                    self.session.handle_delivery(delivery);
                }
                if let Some(retry_after_millis) = mail.calls.drain {
                    self.session.handle_drain(retry_after_millis);
                }
                if mail.calls.timer {
                    self.armed = None;
                    self.session.handle_timeout(now);
                }
                self.measures.note(&mail.calls);
                for question in mail.questions {
                    match question {
                        Question::Status(asker) => asker.answer(self.status()),
                        Question::Watch(watcher) => self.watchers.add(now.wall, watcher),
                    }
                }
            }
            Event::Incoming(Ok(Incoming::Text(text))) => {
                self.received = self.received.wrapping_add(1);
                self.session.handle_text(now, &text);
            }
            Event::Incoming(Ok(Incoming::Binary)) => {
                self.received = self.received.wrapping_add(1);
                self.session.handle_binary(now);
            }
            Event::Incoming(Ok(Incoming::Pong)) => self.session.handle_pong(now),
            Event::Incoming(Ok(Incoming::Alive)) => self.session.handle_alive(now),
            Event::Incoming(Ok(Incoming::Control(count))) => self.session.handle_control(now, count),
            Event::Incoming(Ok(Incoming::Partial)) => self.session.handle_partial(now),
            Event::Incoming(Ok(Incoming::Drained)) => {
                self.wire = Wire::Free;
                self.session.handle_sent(now, Sent::All);
            }
            Event::Incoming(Ok(Incoming::Left(departure))) => {
                let (how, label) = match departure {
                    Departure::Finished => (Detach::Finished, "closed"),
                    Departure::GoingAway => (Detach::GoingAway, "going_away"),
                    Departure::Abrupt => (Detach::Lost, "lost"),
                };
                self.session.handle_end(how);
                return Some(Ending::Gone(label));
            }
            Event::Incoming(Err(TransportError::TooLarge { limit })) => {
                let message = format!("a message may have at most {limit} bytes");
                self.session.handle_violation(&CommandError::new(ErrorCode::TooLarge, message));
            }
            Event::Incoming(Err(TransportError::Protocol(rule))) => {
                self.session.handle_violation(&CommandError::new(ErrorCode::BadMessage, rule));
            }
            Event::Incoming(Err(TransportError::Io(error))) => {
                debug!(connection = %self.session.connection(), %error, "read failed");
                return Some(Ending::Gone("lost"));
            }
        }
        None
    }

    fn status(&self) -> ConnectionStatus {
        let now = self.shared.clock.now();
        let ago = now.at.since(self.opened).as_millis() as i64;
        ConnectionStatus {
            connection: self.session.connection(),
            transport: self.transport.info().kind,
            user: self.session.user().cloned(),
            session: self.session.session_id().cloned(),
            since: WallTime::from_unix_millis(now.wall.as_unix_millis() - ago),
            rtt: self.session.rtt(),
            quality: self.session.quality(now),
            rooms: self.session.readings().map(|(room, behind)| (room.clone(), behind)).collect(),
            bytes_waiting: self.transport.waiting_bytes() + self.session.waiting_bytes(),
        }
    }

    async fn end(&mut self, ending: Ending) {
        let reason = match ending {
            Ending::Closed(reason) => {
                if matches!(reason, CloseReason::RateLimitAbused | CloseReason::ProtocolAbused) {
                    self.shared.addresses.abused(self.transport.info().peer.ip());
                }
                // What was answered last should arrive before the close.
                let _ = self.write(self.shared.clock.now());
                let goodbye = self.transport.close(reason);
                if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
                    debug!(connection = %self.session.connection(), "the peer did not answer the close");
                }
                reason.as_str()
            }
            Ending::Gone(label) => label,
        };
        self.session.handle_end(Detach::Lost);
        if let Settling::Waits(settling) = self.settle() {
            settling.await;
        }
        let connection = self.session.connection();
        self.shared.registry.leave(connection);
        self.shared.people.forget(connection);
        self.watchers.ended(reason);
        let lasted = self.shared.clock.now().at.since(self.opened);
        let kind = self.transport.info().kind;
        self.shared.metrics.connection_ended(kind, reason);
        info!(
            connection = %connection,
            user = self.user().map(tracing::field::display),
            transport = kind,
            reason,
            lasted_ms = lasted.as_millis() as u64,
            "connection ended"
        );
    }
}

/// A connection whose task panics must not leave its session behind: a loss that nobody hears of is a ghost for ever.
impl Drop for Drive {
    fn drop(&mut self) {
        if self.session.is_closed() {
            return;
        }
        let connection = self.session.connection();
        error!(%connection, generation = self.generation.number(), "a connection's task has panicked");
        self.shared.registry.leave(connection);
        self.shared.people.forget(connection);
        if let Some(user) = self.user() {
            self.shared.people.detach(user, connection, Detach::Lost);
        }
        self.shared.metrics.connection_ended(self.transport.info().kind, "panicked");
        let (shards, generation) = (self.shared.shards.clone(), self.generation);
        let (streams, who) = (self.shared.streams.clone(), self.who());
        // Without a runtime the server is gone, and its rooms with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                shards.detach(generation, Detach::Lost).await;
                if let Some(who) = who {
                    streams.detach(&who, Detach::Lost).await;
                }
            });
        }
    }
}

/// What has to be waited for.
type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of all outputs.
enum Settling<'a> {
    /// They are carried out.
    Done(Option<CloseReason>),
    /// The rest has to wait for something, which is rare, and so has memory of its own.
    Waits(Pin<Box<dyn Future<Output = Option<CloseReason>> + Send + 'a>>),
}

/// What became of an output.
enum Step {
    Done,
    Wait(Waiting),
    Close(CloseReason),
}

impl Step {
    fn wait(what: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Wait(Box::pin(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X2: with what tokio adds to it, and with what the loop keeps while it waits, 144 bytes, this is one piece of 512
    /// bytes; tasks come in multiples of 128.
    #[test]
    fn a_connection_and_its_task_are_512_bytes() {
        assert!(size_of::<Drive>() <= 368, "{} bytes", size_of::<Drive>());
    }
}
