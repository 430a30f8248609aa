//! The world: everything there is, what time it is, and one event after the other.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use presence_core::time::{Now, Timestamp, WallTime};

use super::agenda::{Agenda, Event};
use super::check::Checks;
use super::dice::Dice;
use super::link::{Flow, Link, Packet, Way};
use super::plan::Plan;
use super::server::disk::Disk;
use super::server::{Errand, Server};
use super::tab::{LOOK, Tab};
use super::trace::Trace;
use super::{Counts, Fault, Outcome, Run, Violation, millis};

/// When the virtual time begins, by the wall clock.
const EPOCH: i64 = 1_700_000_000_000;

/// How often everything is compared.
const SAMPLE: u64 = 250;

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: u64,
    pub(super) dice: Dice,
    agenda: Agenda,
    pub(super) trace: Trace,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) link_count: u64,
    pub(super) tabs: Vec<Tab>,
    pub(super) server: Option<Server>,
    pub(super) life: u64,
    /// What a server left to the next.
    pub(super) kept: Vec<Vec<u8>>,
    /// Until when the server's process does nothing.
    pub(super) paused_until: u64,
    /// Until when its shards do nothing.
    pub(super) starved_until: u64,
    /// How far the server's wall clock has been set.
    pub(super) wall_offset: i64,
    /// Milliseconds in which the server could not do anything about anything, so far.
    pub(super) lost_time: u64,
    /// Nothing goes wrong any more, and users do nothing.
    pub(super) calm: bool,
    /// What outlives the server.
    pub(super) disk: Disk,
    pub(super) slow_store_until: u64,
    pub(super) broken_store_until: u64,
    pub(super) errands: BTreeMap<u64, (u64, Errand)>,
    pub(super) errand_count: u64,
    pub(super) readings: BTreeMap<u64, Bytes>,
    pub(super) checks: Checks,
    pub(super) counts: Counts,
    run: Run,
    violation: Option<Violation>,
}

impl World {
    pub(super) fn new(plan: Plan, run: Run) -> Self {
        let mut dice = Dice::new(run.seed);
        let tabs = plan.tabs.iter().enumerate();
        let tabs = tabs
            .map(|(number, user)| {
                let mut tab = Tab::new(*user, number, dice.between(50, 2_500));
                tab.watches = plan.watches[number];
                tab
            })
            .collect();
        let mut world = Self {
            now: 0,
            dice,
            agenda: Agenda::default(),
            trace: Trace::new(run.echo),
            links: BTreeMap::new(),
            link_count: 0,
            tabs,
            server: None,
            life: 0,
            kept: Vec::new(),
            paused_until: 0,
            starved_until: 0,
            wall_offset: 0,
            lost_time: 0,
            calm: false,
            disk: Disk::new(plan.stream_max, &plan.rosters, &plan.users),
            slow_store_until: 0,
            broken_store_until: 0,
            errands: BTreeMap::new(),
            errand_count: 0,
            readings: BTreeMap::new(),
            checks: Checks::default(),
            counts: Counts::default(),
            run,
            violation: None,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.start_server();
        for tab in 0..self.tabs.len() {
            let at = self.dice.between(0, LOOK);
            self.agenda_at(at, Event::Look { tab });
            let at = self.dice.between(300, 4_000);
            self.agenda_at(at, Event::Act { tab });
        }
        for index in 0..self.plan.faults.len() {
            let planned = self.plan.faults[index];
            self.agenda_at(planned.at, Event::Fault { index });
            self.agenda_at(planned.until, Event::Mend { index });
        }
        self.agenda_at(SAMPLE, Event::Sample);
    }

    /// Chaos; then quiet, in which everybody has to agree; then everybody goes, and nothing may be left.
    pub(super) fn run(mut self, faults: Vec<Fault>) -> Outcome {
        self.run_until(self.plan.chaos);
        self.calm_down();
        self.run_until(self.now + self.settling());
        self.check_agreement();
        self.say_something();
        self.run_until(self.now + 2_000);
        self.run_until(self.now + 4_000);
        self.check_said();
        self.check_letters();
        self.say_everything_again();
        self.run_until(self.now + 2_000);
        self.check_nothing_changed();
        self.send_all_home();
        self.run_until(self.now + self.settling());
        self.check_empty();
        self.counts.lines = self.trace.lines();
        Outcome {
            seed: self.run.seed,
            hash: self.trace.hash(),
            counts: self.counts,
            faults,
            violation: self.violation,
        }
    }

    /// Within what time everybody has to agree once nothing goes wrong.
    fn settling(&self) -> u64 {
        let limits = &self.plan.limits;
        2 * self.plan.dead() + millis(limits.grace) + millis(limits.stall) + 8_000
    }

    fn run_until(&mut self, until: u64) {
        while self.violation.is_none()
            && self.run.steps.is_none_or(|steps| self.counts.events < steps)
            && let Some((at, event)) = self.agenda.next(until)
        {
            self.now = self.now.max(at);
            self.counts.events += 1;
            self.happen(event);
        }
        self.now = until;
    }

    /// Whether it counts what the server says of itself.
    pub(super) fn counts_own_audit(&self) -> bool {
        self.run.own_audit
    }

    /// Whether this run has ended before its end.
    pub(super) fn is_over(&self) -> bool {
        self.violation.is_some() || self.run.steps.is_some_and(|steps| self.counts.events >= steps)
    }

    pub(super) fn violate(&mut self, invariant: &str, said: fmt::Arguments<'_>) {
        if self.violation.is_none() {
            let (invariant, said) = (invariant.to_owned(), said.to_string());
            self.trace.note(self.now, format_args!("{invariant} does not hold: {said}"));
            self.violation = Some(Violation { invariant, at: self.now, said, tail: self.trace.tail() });
        }
    }

    pub(super) fn agenda_at(&mut self, at: u64, event: Event) {
        let order = (self.dice.draw() >> 32) as u32;
        self.agenda.add(at.max(self.now), order, event);
    }

    /// A task's turn comes soon, but others may come first.
    pub(super) fn soon(&mut self, event: Event) {
        let at = self.now + self.dice.pick(&[0, 0, 0, 0, 0, 1, 1, 2, 5]);
        self.agenda_at(at, event);
    }

    /// What time it is for the server.
    pub(super) fn clock(&self) -> Now {
        let started = self.server.as_ref().map_or(0, |server| server.started);
        let wall = EPOCH + i64::try_from(self.now).unwrap_or(i64::MAX) + self.wall_offset;
        Now { at: Timestamp::from_millis(self.now - started), wall: WallTime::from_unix_millis(wall) }
    }

    fn lives(&self, life: u64) -> bool {
        self.server.as_ref().is_some_and(|server| server.life == life)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { link, way } => self.arrive(link, way),
            Event::Read { link } => self.read(link),
            Event::Introduce { link } => self.introduce(link),
            Event::Act { tab } => self.act(tab),
            Event::Look { tab } => self.look(tab),
            Event::Fault { index } => self.begin_fault(index),
            Event::Mend { index } => self.end_fault(index),
            Event::Clog { link, stop } => self.clog(link, stop),
            Event::Start => self.start_server(),
            Event::Sample => {
                self.agenda_at(self.now + SAMPLE, Event::Sample);
                self.sample();
            }
            Event::Shard { life, .. }
            | Event::Connection { life, .. }
            | Event::Pace { life, .. }
            | Event::Hub { life }
            | Event::Settled { life }
            | Event::Tick { life }
            | Event::Errand { life, .. }
            | Event::Finish { life, .. } => {
                if !self.lives(life) {
                } else if self.now < self.paused_until {
                    self.agenda_at(self.paused_until, event);
                } else {
                    self.happen_in_server(event);
                }
            }
        }
    }

    fn happen_in_server(&mut self, event: Event) {
        match event {
            Event::Shard { .. } if self.now < self.starved_until => {
                self.agenda_at(self.starved_until, event);
            }
            Event::Shard { shard, .. } => self.run_shard(shard),
            Event::Connection { connection, .. } => self.run_connection(connection),
            Event::Pace { connection, .. } => self.ring(connection),
            Event::Finish { hands_over, .. } => self.finish_server(hands_over),
            Event::Hub { .. } => self.run_hub(),
            Event::Settled { .. } => self.settle_line(),
            Event::Tick { .. } => self.tick_hub(),
            Event::Errand { number, .. } => self.run_errand(number),
            _ => {}
        }
    }

    /// Sends something over a link.
    pub(super) fn send(&mut self, id: u64, way: Way, packet: Packet) {
        let delay = self.dice.between(1, 20);
        let Some(link) = self.links.get_mut(&id) else { return };
        let at = self.now + delay + link.lag;
        if let Some(at) = link.pipe(way).send(at, packet) {
            self.agenda_at(at, Event::Arrive { link: id, way });
        }
    }

    fn arrive(&mut self, id: u64, way: Way) {
        // A process that does nothing takes no connection; its kernel takes all else.
        let is_hello = |link: &Link| matches!(link.up.queue.front(), Some((_, Packet::Connect)));
        if way == Way::Up && self.now < self.paused_until && self.links.get(&id).is_some_and(is_hello) {
            return self.agenda_at(self.paused_until, Event::Arrive { link: id, way });
        }
        while let Some(packet) = self.links.get_mut(&id).and_then(|link| link.pipe(way).take(self.now)) {
            match way {
                Way::Up => self.arrive_up(id, packet),
                Way::Down => self.arrive_down(id, packet),
            }
        }
    }

    fn arrive_up(&mut self, id: u64, packet: Packet) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.up.bytes -= packet.len();
        let takes = self.server.as_ref().is_some_and(|server| !server.draining);
        match (link.server, &packet) {
            (None, Packet::Connect) if takes => self.accept(id),
            (Some((life, connection)), _) if self.lives(life) => self.come(connection, packet),
            (_, Packet::Close(_) | Packet::Reset) => {}
            _ => self.send(id, Way::Down, Packet::Reset),
        }
    }

    fn arrive_down(&mut self, id: u64, packet: Packet) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.open {
            link.down.bytes -= packet.len();
            if !matches!(packet, Packet::Close(_) | Packet::Reset) {
                self.send(id, Way::Up, Packet::Reset);
            }
            return;
        }
        link.unread.push_back(packet);
        if link.unread.len() == 1 {
            self.agenda_at(self.now, Event::Read { link: id });
        }
    }

    /// A client has read something: perhaps the server can go on.
    pub(super) fn drained(&mut self, id: u64) {
        let Some(link) = self.links.get(&id) else { return };
        let Some((life, connection)) = link.server else { return };
        if link.down.bytes > self.plan.window / 2 || !self.lives(life) {
            return;
        }
        let open = self.server.as_ref().and_then(|server| server.connection(connection));
        if open.is_some_and(|open| open.busy.is_some()) {
            self.take_incoming(connection, presence_core::port::transport::Incoming::Drained);
        }
    }

    /// A link stops, or goes on.
    pub(super) fn clog(&mut self, id: u64, stop: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.healthy = false;
        let mut due = Vec::new();
        for way in [Way::Up, Way::Down] {
            let pipe = link.pipe(way);
            match (stop, pipe.flow) {
                (true, Flow::Free) => pipe.flow = Flow::Clogged,
                (false, Flow::Clogged) => {
                    pipe.flow = Flow::Free;
                    due.extend(pipe.queue.iter().map(|(at, _)| (*at, way)));
                }
                _ => {}
            }
        }
        for (at, way) in due {
            self.agenda_at(at, Event::Arrive { link: id, way });
        }
    }
}
