//! Random lives of receivers, against a model: whatever is published, lost, acknowledged, dropped, and asked for again, a
//! client applies each message once and in order, and knows of those that it will never get. Seeded: a failure names its
//! seed.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use presence_core::frame::{Frame, Message};
use presence_core::id::{ConnectionId, RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::port::store::{Gap, GapReason};
use presence_core::stream::{
    Acknowledged, Courier, Fetch, Fetched, MessageId, MessageKind, NewMessage, Opened, Purpose, Receiver,
    Seq, StoredMessage, Tail, TailMessage, Told,
};
use presence_core::time::{Timestamp, WallTime};
use presence_core::wire;
use serde_json::Value;

const REDELIVERIES: u32 = 2;

fn limits() -> Limits {
    Limits {
        tail_messages_max: 4,
        gather_bytes_max: 700,
        redelivery: Duration::from_millis(100),
        redeliveries_max: REDELIVERIES,
        ..Limits::default()
    }
}

fn room() -> RoomId {
    RoomId::parse("doc").unwrap()
}

fn stored(seq: u64) -> StoredMessage {
    let message = NewMessage {
        room: room(),
        kind: MessageKind::Message,
        sender: UserId::parse("ann").unwrap(),
        sender_name: "Ann".into(),
        id: MessageId::parse(&format!("m-{seq}")).unwrap(),
        body: "0".into(),
        correlation: "c".into(),
        at: WallTime::default(),
    };
    StoredMessage { seq: Seq::new(seq), message }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A device: what it has applied outlives its connections.
#[derive(Default)]
struct Device {
    place: u64,
    applied: Vec<u64>,
    own: BTreeSet<u64>,
    gone: BTreeSet<u64>,
}

/// One of its connections.
struct Line {
    id: ConnectionId,
    courier: Courier,
    /// Its own messages that are kept, which the session has not heard of yet.
    acks: VecDeque<u64>,
    /// Written, and not read yet.
    wire: VecDeque<Frame>,
    fetches: Vec<Fetch>,
    /// Whether a sync waits for its answer.
    syncing: bool,
    /// From where on the server believes there is something for it, which it has not said yet.
    unopened: Option<Seq>,
    /// The last that came on it, and was not there before.
    came: u64,
    /// How often each message was sent again on it.
    again: BTreeMap<u64, u32>,
}

struct World {
    random: Random,
    now: Timestamp,
    head: u64,
    /// Messages up to here are dropped.
    dropped: u64,
    tail: Tail,
    receiver: Receiver,
    devices: [Device; 2],
    lines: [Line; 2],
    connections: u128,
}

fn line(id: u128, tail: &Tail, receiver: &Receiver) -> Line {
    let id = ConnectionId::from_random(id);
    let mut courier = Courier::new(id);
    let from = receiver.acked();
    courier.open(opened(tail, receiver, from));
    let (acks, wire) = (VecDeque::new(), VecDeque::new());
    Line {
        id,
        courier,
        acks,
        wire,
        fetches: Vec::new(),
        syncing: false,
        unopened: None,
        came: 0,
        again: BTreeMap::new(),
    }
}

fn opened(tail: &Tail, receiver: &Receiver, from: Seq) -> Opened {
    let (tail, receiver, told) = (tail.clone(), receiver.clone(), tail.head());
    Opened { room: room(), tail, receiver, from, told }
}

impl World {
    fn new(seed: u64) -> Self {
        let (tail, receiver) = (Tail::after(Seq::default()), Receiver::new(Seq::default(), Seq::default()));
        let lines = [line(1, &tail, &receiver), line(2, &tail, &receiver)];
        Self {
            random: Random(seed),
            now: Timestamp::default(),
            head: 0,
            dropped: 0,
            tail,
            receiver,
            devices: Default::default(),
            lines,
            connections: 2,
        }
    }

    fn step(&mut self) {
        let which = self.random.below(2) as usize;
        match self.random.below(15) {
            0..=2 => self.publish(which),
            3..=4 => self.gather(which),
            5..=6 => self.read(which),
            7 => self.acknowledge(which),
            8 => self.answer(which),
            9 => self.wait(),
            10 => match self.random.below(4) {
                0 => self.reconnect(which),
                1 => self.drop_some(),
                2 => self.tail.clear(),
                _ => self.not_answered(which),
            },
            12 => self.hear(which),
            13 => self.answer_sync(which),
            _ => self.open(which),
        }
    }

    fn publish(&mut self, which: usize) {
        self.head += 1;
        let own = self.random.below(5) == 0;
        let message = TailMessage {
            seq: Seq::new(self.head),
            frame: Frame::one(wire::stream_message(&stored(self.head))),
            from: own.then_some(self.lines[which].id),
            expires: Timestamp::from_millis(u64::MAX),
        };
        self.tail.append(message, &limits());
        if own {
            self.lines[which].acks.push_back(self.head);
            if self.receiver.acked().next() == Seq::new(self.head) {
                self.receiver.acknowledge(Seq::new(self.head));
            }
        }
    }

    /// The session hears of what it has sent itself. What others sent meanwhile may be in the tail already.
    fn hear(&mut self, which: usize) {
        let line = &mut self.lines[which];
        for seq in line.acks.drain(..) {
            line.courier.tell(&room(), Seq::new(seq));
            line.wire.push_back(Frame::one(Message::new(format!(r#"{{"type":"ack","seq":{seq}}}"#))));
        }
    }

    fn gather(&mut self, which: usize) {
        let line = &mut self.lines[which];
        let mut frames = Vec::new();
        line.courier.gather(self.now, &limits(), &mut frames, &mut line.fetches);
        assert_eq!(line.courier.pop_violation(), None);
        line.wire.extend(frames);
    }

    fn read(&mut self, which: usize) {
        let (line, device) = (&mut self.lines[which], &mut self.devices[which]);
        let Some(frame) = line.wire.pop_front() else { return };
        for message in frame.messages() {
            let value: Value = serde_json::from_slice(message.text()).unwrap();
            if value["type"] == "ack" {
                device.own.insert(value["seq"].as_u64().unwrap());
            } else if value["type"] == "messages_dropped" {
                let (from, to) = (value["from_seq"].as_u64().unwrap(), value["to_seq"].as_u64().unwrap());
                assert!(to <= self.dropped);
                device.gone.extend((from..=to).filter(|seq| *seq > device.place));
            } else {
                let seq = value["seq"].as_u64().unwrap();
                if value["redelivered"] == true {
                    let again = line.again.entry(seq).or_default();
                    *again += 1;
                    assert!(*again <= REDELIVERIES, "{seq} went again {again} times");
                }
                device.take(seq);
                if value["redelivered"] != true {
                    assert!(seq > line.came, "{seq} came again as if it were new");
                    line.came = seq;
                }
            }
            device.pass();
        }
    }

    fn acknowledge(&mut self, which: usize) {
        let place = self.devices[which].place;
        if place == 0 || self.lines[which].unopened.is_some() {
            return;
        }
        let before = self.receiver.acked();
        let seq = Seq::new(1 + self.random.below(place));
        match self.lines[which].courier.acknowledge(&room(), seq) {
            Acknowledged::To(_) | Acknowledged::Already => {}
            // It has all that: also its own, and what only an earlier connection of its was sent.
            Acknowledged::Beyond => panic!("{seq:?} is there"),
            Acknowledged::NotOpen => panic!("it is open"),
        }
        assert!(self.receiver.acked() >= before && self.receiver.acked() <= Seq::new(self.head));
        let beyond = Seq::new(self.head + 1);
        assert_eq!(self.lines[which].courier.acknowledge(&room(), beyond), Acknowledged::Beyond);
    }

    fn answer(&mut self, which: usize) {
        let pages = self.random.below(5) + 1;
        let (line, dropped, head) = (&mut self.lines[which], self.dropped, self.head);
        if line.fetches.is_empty() {
            return;
        }
        let fetch = line.fetches.remove(0);
        let after = fetch.after.number();
        let first = after.max(dropped) + 1;
        let limit = if let Purpose::Again { to } = fetch.purpose { to.number() } else { head };
        let last = (first + pages - 1).min(limit);
        let mut out: Vec<Message> = Vec::new();
        if fetch.purpose == Purpose::New && after < dropped {
            let gap = Gap { from: Seq::new(after + 1), to: Seq::new(dropped), reason: GapReason::Overflow };
            out.push(wire::messages_dropped(&room(), &gap));
        }
        out.extend((first..=last).map(|seq| wire::stream_message(&stored(seq))));
        let frame = (!out.is_empty()).then(|| Frame::new(out));
        let frame = match fetch.purpose {
            Purpose::New => frame,
            Purpose::Again { .. } => frame.as_ref().map(wire::redelivered),
        };
        let up_to = Seq::new(last.max(after).max(dropped.min(limit)));
        let last = (first <= last).then_some(Seq::new(last));
        line.courier.handle_fetched(Fetched { fetch, frame, last, up_to });
    }

    fn not_answered(&mut self, which: usize) {
        if self.lines[which].fetches.pop().is_some() {
            self.lines[which].courier.handle_not_fetched(&room());
        }
    }

    fn wait(&mut self) {
        self.now = self.now + Duration::from_millis(30 + self.random.below(200));
        for line in &mut self.lines {
            line.courier.handle_timeout(self.now, self.random.below(5) > 0, &limits());
        }
    }

    /// Whatever was on its way is lost. The new connection says what it has, before or after there is something for it, and
    /// goes on from there. To the server it may be new, and have what is there by now.
    fn reconnect(&mut self, which: usize) {
        self.connections += 1;
        let mut line = line(self.connections, &self.tail, &self.receiver);
        let from =
            [None, Some(self.receiver.acked()), Some(Seq::new(self.head))][self.random.below(3) as usize];
        if from.is_some() {
            (line.courier, line.unopened) = (Courier::new(line.id), from);
        }
        line.courier.hold(vec![room()]);
        line.syncing = true;
        self.lines[which] = line;
    }

    fn open(&mut self, which: usize) {
        let line = &mut self.lines[which];
        if let Some(from) = line.unopened.take() {
            line.courier.open(opened(&self.tail, &self.receiver, from));
        }
    }

    fn answer_sync(&mut self, which: usize) {
        let place = Seq::new(self.devices[which].place);
        let line = &mut self.lines[which];
        if std::mem::take(&mut line.syncing) {
            line.came = place.number();
            line.courier.release(&[Told { room: room(), from: place, to: place }]);
        }
    }

    fn drop_some(&mut self) {
        self.dropped = (self.dropped + self.random.below(3)).min(self.head.saturating_sub(1));
        // What the store has dropped is not in memory either.
        let kept = self.head - self.dropped;
        if kept < limits().tail_messages_max as u64 {
            self.tail.clear();
        }
    }

    fn settle(&mut self) {
        for _ in 0..400 {
            self.now = self.now + Duration::from_millis(1_001);
            for which in 0..2 {
                self.answer_sync(which);
                self.open(which);
                self.hear(which);
                self.gather(which);
                while !self.lines[which].fetches.is_empty() {
                    self.answer(which);
                    self.gather(which);
                }
                while !self.lines[which].wire.is_empty() {
                    self.read(which);
                }
            }
        }
    }
}

impl Device {
    fn take(&mut self, seq: u64) {
        if seq <= self.place || self.own.contains(&seq) {
            return;
        }
        self.pass();
        assert_eq!(seq, self.place + 1, "own {:?} gone {:?}", self.own, self.gone);
        self.applied.push(seq);
        self.place = seq;
    }

    fn pass(&mut self) {
        while self.own.contains(&(self.place + 1)) || self.gone.contains(&(self.place + 1)) {
            self.place += 1;
        }
    }
}

/// M2, M3, M5, M7, M9, M10.
#[test]
fn a_client_applies_each_message_once_in_order_whatever_happens() {
    for seed in 0..400 {
        let lived = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..600 {
                world.step();
            }
            world.settle();
            let mut applied = 0;
            for device in &world.devices {
                assert_eq!(device.place, world.head);
                assert!(device.applied.windows(2).all(|pair| pair[0] < pair[1]));
                applied += device.applied.len();
            }
            assert!(applied > 50, "{applied}");
        });
        assert!(lived.is_ok(), "seed {seed}");
    }
}

/// M5: again after the time, as often as may be, and not when it is acknowledged.
#[test]
fn what_is_not_acknowledged_goes_again_so_often_and_no_more() {
    let mut world = World::new(1);
    world.publish(1);
    world.publish(1);
    world.devices[0].own.clear();
    let mut times = Vec::new();
    for millis in (0..1_000).step_by(50) {
        world.now = Timestamp::from_millis(millis);
        world.lines[0].courier.handle_timeout(world.now, true, &limits());
        world.gather(0);
        let messages: usize = world.lines[0].wire.drain(..).map(|frame| frame.messages().len()).sum();
        if messages > 0 {
            times.push((millis, messages));
        }
        if millis == 150 {
            assert_eq!(
                world.lines[0].courier.acknowledge(&room(), Seq::new(1)),
                Acknowledged::To(Seq::new(1))
            );
        }
    }
    assert_eq!(times, [(0, 2), (100, 2), (200, 1)]);
    assert_eq!(world.lines[0].courier.poll_timeout(&limits()), None);
}

/// M10: whatever was sent to any of a user's devices, is known to this one as its own, or is there to be sent.
#[test]
fn m10_what_could_have_come_may_be_acknowledged_and_nothing_beyond_it() {
    for (sent, told, head) in [(5, 0, 0), (0, 5, 0), (0, 0, 5), (5, 3, 4)] {
        let (tail, receiver) = (Tail::after(Seq::new(head)), Receiver::new(Seq::new(0), Seq::new(sent)));
        let mut courier = Courier::new(ConnectionId::from_random(1));
        let (from, told) = (Seq::new(0), Seq::new(told));
        courier.open(Opened { room: room(), tail, receiver, from, told });
        let acknowledged = [6, 5, 5].map(|seq| courier.acknowledge(&room(), Seq::new(seq)));
        let to = Acknowledged::To(Seq::new(5));
        assert_eq!(acknowledged, [Acknowledged::Beyond, to, Acknowledged::Already], "{sent} {told} {head}");
    }
}

/// M10, M12: devices share what was sent, also what one of them was told with the answer to a sync.
#[test]
fn m10_what_a_sync_has_told_one_device_of_another_may_acknowledge() {
    let (tail, receiver) = (Tail::after(Seq::new(0)), Receiver::new(Seq::new(0), Seq::new(0)));
    let mut devices = [1, 2].map(|id| {
        let mut courier = Courier::new(ConnectionId::from_random(id));
        courier.open(opened(&tail, &receiver, Seq::new(0)));
        courier
    });
    let seq = Seq::new(4);
    assert_eq!(devices[1].acknowledge(&room(), seq), Acknowledged::Beyond);
    devices[0].hold(vec![room()]);
    devices[0].release(&[Told { room: room(), from: Seq::new(0), to: seq }]);
    assert_eq!(devices[1].acknowledge(&room(), seq), Acknowledged::To(seq));
}

/// M3: the check is not part of what delivers, so it can fail.
#[test]
fn an_answer_whose_last_message_is_not_of_it_is_found() {
    let mut courier = Courier::new(ConnectionId::from_random(1));
    let (tail, receiver) = (Tail::after(Seq::new(9)), Receiver::new(Seq::new(0), Seq::new(0)));
    let (from, told) = (Seq::new(0), Seq::new(0));
    courier.open(Opened { room: room(), tail, receiver, from, told });
    let (mut frames, mut fetches) = (Vec::new(), Vec::new());
    courier.gather(Timestamp::default(), &limits(), &mut frames, &mut fetches);
    let fetch = fetches.pop().unwrap();
    assert_eq!(courier.pop_violation(), None);

    let (last, up_to) = (Some(Seq::new(5)), Seq::new(4));
    courier.handle_fetched(Fetched { fetch, frame: None, last, up_to });
    courier.gather(Timestamp::default(), &limits(), &mut frames, &mut fetches);
    let found = courier.pop_violation().unwrap();
    assert_eq!((found.invariant.id(), found.room), ("M3", Some(room())));
    assert_eq!(courier.pop_violation(), None);
}
