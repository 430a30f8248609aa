//! What several connections have to say on one socket, and whose turn it is.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::task::{Context, Poll, Waker};

/// Bytes after which it is somebody else's turn, at the end of the event that reaches them. A single event may be
/// larger.
const TURN: usize = 16 * 1024;

/// One connection's place among those that share a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u64);

/// The events of several connections, on their way to one socket. They go out in turns of whole events, so nobody's
/// event is cut in two by another's, and whoever has much to say does not keep the others from being heard.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
    opened: u64,
    turn: Option<Turn>,
    /// Who had the last turn.
    last: Option<LaneId>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Whole events.
    events: Vec<u8>,
    /// Bytes of them that have had their turn.
    taken: usize,
    /// Who waits for all of it to be out.
    waker: Option<Waker>,
}

/// What is being written. It goes on when its connection has ended meanwhile.
#[derive(Debug)]
struct Turn {
    of: LaneId,
    bytes: Vec<u8>,
    written: usize,
}

impl Turn {
    fn left(&self) -> usize {
        self.bytes.len() - self.written
    }
}

impl Lane {
    /// The events of its next turn, if it has any.
    fn take(&mut self) -> Option<Vec<u8>> {
        let waiting = &self.events[self.taken..];
        if waiting.is_empty() {
            return None;
        }
        let end = end_of_turn(waiting);
        if self.taken == 0 && end == waiting.len() {
            return Some(std::mem::take(&mut self.events));
        }
        let turn = waiting[..end].to_vec();
        self.taken += end;
        if self.taken == self.events.len() {
            (self.events, self.taken) = (Vec::new(), 0);
        }
        Some(turn)
    }
}

/// Where the event ends that reaches the length of a turn. An event ends with the first empty line, and has none within.
fn end_of_turn(events: &[u8]) -> usize {
    if events.len() <= TURN {
        return events.len();
    }
    let from = TURN - 2;
    let end = events[from..].windows(2).position(|pair| pair == b"\n\n");
    end.map_or(events.len(), |at| from + at + 2)
}

impl Lanes {
    /// Nobody's, with this to be said before anything else.
    pub(crate) fn beginning_with(bytes: Vec<u8>) -> Self {
        let turn = Some(Turn { of: LaneId(0), bytes, written: 0 });
        Self { turn, ..Self::default() }
    }

    /// One more connection.
    pub(crate) fn open(&mut self) -> LaneId {
        self.opened += 1;
        let id = LaneId(self.opened);
        self.lanes.insert(id, Lane::default());
        id
    }

    /// A connection has ended: what it had to say and has not begun to is not said.
    pub(crate) fn close(&mut self, id: LaneId) {
        self.lanes.remove(&id);
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.turn.is_none() && self.lanes.values().all(|lane| lane.events.is_empty())
    }

    /// Adds whole events to what a connection has to say.
    pub(crate) fn put(&mut self, id: LaneId, encode: impl FnOnce(&mut Vec<u8>)) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            encode(&mut lane.events);
        }
    }

    /// Bytes of a connection that are not out.
    pub(crate) fn waiting(&self, id: LaneId) -> usize {
        let begun = self.turn.as_ref().filter(|turn| turn.of == id).map_or(0, Turn::left);
        begun + self.lanes.get(&id).map_or(0, |lane| lane.events.len() - lane.taken)
    }

    /// Ready once a connection has nothing more that waits.
    pub(crate) fn poll_out(&mut self, id: LaneId, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting(id) == 0 {
            return Poll::Ready(());
        }
        self.wait(id, cx);
        Poll::Pending
    }

    /// Wakes a connection when it has nothing more that waits, or when all of them are woken.
    pub(crate) fn wait(&mut self, id: LaneId, cx: &mut Context<'_>) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && !lane.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            lane.waker = Some(cx.waker().clone());
        }
    }

    /// Wakes everybody who waits.
    pub(crate) fn wake_all(&mut self) {
        self.lanes.values_mut().filter_map(|lane| lane.waker.take()).for_each(Waker::wake);
    }

    /// Writes turn after turn, as long as the socket takes something. Ready once nothing waits.
    ///
    /// # Errors
    /// What the socket says.
    pub(crate) fn poll_write(
        &mut self,
        mut socket: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Some(turn) = &mut self.turn else {
                match self.next_turn() {
                    Some(turn) => self.turn = Some(turn),
                    None => return Poll::Ready(Ok(())),
                }
                continue;
            };
            match socket(&turn.bytes[turn.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(taken)) => turn.written += taken,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            if turn.left() == 0 {
                let of = turn.of;
                self.turn = None;
                if self.waiting(of) == 0
                    && let Some(waker) = self.lanes.get_mut(&of).and_then(|lane| lane.waker.take())
                {
                    waker.wake();
                }
            }
        }
    }

    fn next_turn(&mut self) -> Option<Turn> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let waits = |lane: &Lane| !lane.events.is_empty();
        let later = self.lanes.range((after, Bound::Unbounded)).find(|(_, lane)| waits(lane));
        let of = *later.or_else(|| self.lanes.iter().find(|(_, lane)| waits(lane)))?.0;
        let bytes = self.lanes.get_mut(&of)?.take()?;
        self.last = Some(of);
        Some(Turn { of, bytes, written: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, bytes: usize) -> String {
        format!("event: {name}\ndata: {}\n\n", "x".repeat(bytes))
    }

    fn put(lanes: &mut Lanes, id: LaneId, text: &str) {
        lanes.put(id, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// Takes at most `room` bytes, some at a time.
    fn write(lanes: &mut Lanes, room: usize) -> String {
        let (mut out, mut left) = (Vec::new(), room);
        let _ = lanes.poll_write(|bytes| {
            let taken = bytes.len().min(1_000).min(left);
            if taken == 0 {
                return Poll::Pending;
            }
            left -= taken;
            out.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn who_has_much_to_say_does_not_keep_the_others_from_being_heard() {
        let mut lanes = Lanes::default();
        let (loud, quiet) = (lanes.open(), lanes.open());
        put(&mut lanes, loud, &event("loud", 1_000).repeat(100));
        put(&mut lanes, quiet, &event("quiet", 1));
        let said = write(&mut lanes, usize::MAX);
        assert!(said.find("event: quiet").unwrap() < 20_000);
        assert_eq!(said.replace(&event("quiet", 1), ""), event("loud", 1_000).repeat(100));
        assert!(lanes.is_idle());
    }

    #[test]
    fn an_event_is_never_cut_in_two_by_another() {
        let mut lanes = Lanes::default();
        let ids: Vec<LaneId> = (0..3).map(|_| lanes.open()).collect();
        let mut said = String::new();
        for round in 0..50 {
            for (at, id) in ids.iter().enumerate() {
                put(&mut lanes, *id, &event(&format!("c{at}"), round * 397));
            }
            said += &write(&mut lanes, 7_001);
        }
        said += &write(&mut lanes, usize::MAX);
        for (at, _) in ids.iter().enumerate() {
            let name = format!("event: c{at}\n");
            let own: Vec<&str> =
                said.split_inclusive("\n\n").filter(|event| event.starts_with(&name)).collect();
            let expected: Vec<String> = (0..50).map(|round| event(&format!("c{at}"), round * 397)).collect();
            assert_eq!(own, expected);
        }
    }

    #[test]
    fn what_a_connection_has_begun_is_finished_though_it_has_ended_and_the_rest_is_dropped() {
        let mut lanes = Lanes::default();
        let (gone, stays) = (lanes.open(), lanes.open());
        put(&mut lanes, gone, &event("gone", 20_000).repeat(2));
        let begun = write(&mut lanes, 100);
        put(&mut lanes, stays, &event("stays", 1));
        assert_eq!(lanes.waiting(gone), 2 * event("gone", 20_000).len() - 100);
        lanes.close(gone);
        assert_eq!(begun + &write(&mut lanes, usize::MAX), event("gone", 20_000) + &event("stays", 1));
        assert_eq!((lanes.waiting(stays), lanes.len()), (0, 1));
    }
}
