//! The network: links between clients and the server, each two pipes that keep their order. A pipe can be slow, stopped,
//! or cut; and a cut one says nothing about it.

use std::collections::VecDeque;

use bytes::Bytes;
use presence_core::attempt::Attempt;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

/// How a pipe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Free,
    /// Everything waits until it is free again.
    Clogged,
    /// Everything is lost, for ever.
    Cut,
}

/// What goes over a link.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// A client wants to connect.
    Connect,
    /// It may.
    Accepted,
    /// A message.
    Text(Bytes),
    /// The wire's own ping.
    Ping,
    /// And its answer.
    Pong,
    /// The end, in good order.
    Close(u16),
    /// The end, without a word of why.
    Reset,
}

impl Packet {
    pub(super) fn len(&self) -> usize {
        if let Self::Text(text) = self { text.len() + 4 } else { 4 }
    }
}

/// One way of a link.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) flow: Flow,
    /// What is under way, and when it arrives if nothing stops it.
    pub(super) queue: VecDeque<(u64, Packet)>,
    /// Bytes that were sent and not read.
    pub(super) bytes: usize,
    last: u64,
}

impl Pipe {
    fn new() -> Self {
        Self { flow: Flow::Free, queue: VecDeque::new(), bytes: 0, last: 0 }
    }

    /// Sends something that needs so long. Says when it arrives, if that can be said.
    pub(super) fn send(&mut self, at: u64, packet: Packet) -> Option<u64> {
        self.bytes += packet.len();
        if self.flow == Flow::Cut {
            return None;
        }
        self.last = self.last.max(at);
        self.queue.push_back((self.last, packet));
        (self.flow == Flow::Free).then_some(self.last)
    }

    /// What has arrived.
    pub(super) fn take(&mut self, now: u64) -> Option<Packet> {
        if self.flow != Flow::Free || self.queue.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        self.queue.pop_front().map(|(_, packet)| packet)
    }

    pub(super) fn cut(&mut self) {
        self.flow = Flow::Cut;
        self.queue.clear();
    }
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) tab: usize,
    /// Whether the client says who it is as it connects, or later.
    pub(super) introduced: bool,
    /// Which of the client's requests it is, if the client says that.
    pub(super) attempt: Option<Attempt>,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    /// What has arrived and the client has not read.
    pub(super) unread: VecDeque<Packet>,
    /// The life of the server that has accepted it, and its connection there.
    pub(super) server: Option<(u64, u64)>,
    /// Whether the client still has its end.
    pub(super) open: bool,
    /// What it takes longer than it should.
    pub(super) lag: u64,
    /// Nothing has ever gone wrong with it.
    pub(super) healthy: bool,
}

impl Link {
    pub(super) fn new(tab: usize, introduced: bool, attempt: Option<Attempt>) -> Self {
        Self {
            tab,
            introduced,
            attempt,
            up: Pipe::new(),
            down: Pipe::new(),
            unread: VecDeque::new(),
            server: None,
            open: true,
            lag: 0,
            healthy: true,
        }
    }

    pub(super) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Nothing reaches the other end any more, and nobody is told.
    pub(super) fn cut(&mut self) {
        self.healthy = false;
        self.up.cut();
        self.down.cut();
    }
}
