//! Faults as they begin and end, and the quiet after them.

use super::agenda::Event;
use super::fault::Fault;
use super::link::{Packet, Way};
use super::tab::Phase;
use super::world::World;

impl World {
    pub(super) fn begin_fault(&mut self, index: usize) {
        let planned = self.plan.faults[index];
        let (fault, spread) = (planned.fault, planned.spread);
        self.trace.note(self.now, format_args!("── {} until {}", fault.as_str(), planned.until));
        self.note_alive();
        match fault {
            Fault::Drop | Fault::HalfOpenUp | Fault::HalfOpenDown | Fault::Reset | Fault::Delay => {
                let links: Vec<u64> = self.tabs.iter().filter_map(|tab| tab.link).collect();
                for link in self.dice.some_of(&links, spread) {
                    self.harm(link, fault);
                }
            }
            Fault::Swizzle => self.swizzle(spread, planned.until),
            Fault::PausedClient | Fault::SlowReader | Fault::Deaf | Fault::Duplicate => {
                let tabs: Vec<usize> = (0..self.tabs.len()).collect();
                for tab in self.dice.some_of(&tabs, spread) {
                    self.burden(tab, fault);
                }
            }
            Fault::PausedServer => {
                self.paused_until = self.paused_until.max(planned.until);
                self.lost_time += planned.until - planned.at;
                self.distrust_all_links();
            }
            Fault::Starved => self.starved_until = self.starved_until.max(planned.until),
            Fault::ClockForwards => self.wall_offset += self.dice.between(1_000, 900_000) as i64,
            Fault::ClockBackwards => {
                self.wall_offset -= self.dice.between(1_000, 900_000) as i64;
                self.checks.clock_went_back = true;
            }
            Fault::SlowStore => self.slow_store_until = planned.until,
            Fault::BrokenStore => self.broken_store_until = planned.until,
            Fault::Restart | Fault::Stop | Fault::Kill | Fault::PowerLoss => {
                self.end_life(fault, planned.until);
            }
        }
    }

    fn end_life(&mut self, fault: Fault, until: u64) {
        let Some(life) = self.server.as_ref().map(|server| server.life) else { return };
        self.paused_until = self.now.min(self.paused_until);
        self.lost_time += 1_200 + until - self.now;
        let hands_over = fault == Fault::Restart;
        match fault {
            Fault::Restart | Fault::Stop => {
                self.drain_server();
                let at = self.now + self.dice.between(5, 1_000);
                self.agenda_at(at, Event::Finish { life, hands_over });
                self.agenda_at(until.max(at) + 1, Event::Start);
            }
            _ => {
                self.end_server(fault == Fault::Kill);
                self.agenda_at(until, Event::Start);
            }
        }
    }

    fn harm(&mut self, id: u64, fault: Fault) {
        self.trace.note(self.now, format_args!("link {id}: {}", fault.as_str()));
        let lag = self.dice.between(100, 1_500);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.healthy = false;
        match fault {
            Fault::Drop => link.cut(),
            Fault::HalfOpenUp => link.up.cut(),
            Fault::HalfOpenDown => link.down.cut(),
            Fault::Delay => link.lag += lag,
            _ => {
                // Whatever was under way is lost.
                link.up.queue.clear();
                link.down.queue.clear();
                self.send(id, Way::Up, Packet::Reset);
                self.send(id, Way::Down, Packet::Reset);
            }
        }
    }

    /// Links stop one by one, and go on in another order.
    fn swizzle(&mut self, spread: usize, until: u64) {
        let links: Vec<u64> = self.tabs.iter().filter_map(|tab| tab.link).collect();
        let chosen = self.dice.some_of(&links, spread);
        let back = self.dice.some_of(&chosen, 1);
        let step = (until - self.now) / (2 * chosen.len() as u64 + 1);
        let stops = chosen.into_iter().map(|link| (link, true));
        let goes_on = back.into_iter().map(|link| (link, false));
        let mut at = self.now;
        for (link, stop) in stops.chain(goes_on) {
            self.agenda_at(at, Event::Clog { link, stop });
            at += step;
        }
    }

    fn burden(&mut self, tab: usize, fault: Fault) {
        self.trace.note(self.now, format_args!("tab {tab}: {}", fault.as_str()));
        let pause = self.dice.between(30, 600);
        let known = &mut self.tabs[tab];
        match fault {
            Fault::PausedClient => known.paused = true,
            Fault::SlowReader => known.slow = Some(pause),
            Fault::Deaf => known.deaf = true,
            _ => known.doubles = true,
        }
        if fault != Fault::Duplicate {
            self.links.values_mut().filter(|link| link.tab == tab).for_each(|link| link.healthy = false);
        }
    }

    fn distrust_all_links(&mut self) {
        self.links.values_mut().for_each(|link| link.healthy = false);
    }

    pub(super) fn end_fault(&mut self, index: usize) {
        let fault = self.plan.faults[index].fault;
        match fault {
            Fault::PausedClient | Fault::SlowReader | Fault::Deaf | Fault::Duplicate => {
                (0..self.tabs.len()).for_each(|tab| self.relieve(tab, fault));
            }
            Fault::Delay => self.links.values_mut().for_each(|link| link.lag = 0),
            _ => {}
        }
    }

    fn relieve(&mut self, tab: usize, fault: Fault) {
        let known = &mut self.tabs[tab];
        match fault {
            Fault::PausedClient => known.paused = false,
            Fault::SlowReader => known.slow = None,
            Fault::Deaf => known.deaf = false,
            _ => known.doubles = false,
        }
        let own = self.links.iter().filter(|(_, link)| link.tab == tab && link.open);
        let own: Vec<u64> = own.map(|(id, _)| *id).collect();
        for link in own {
            self.agenda_at(self.now, Event::Read { link });
        }
    }

    /// Faults are over, and users do nothing more. What is cut stays cut: its ends have to find out.
    pub(super) fn calm_down(&mut self) {
        if self.is_over() {
            return;
        }
        self.trace.note(self.now, format_args!("── all is quiet"));
        self.note_alive();
        self.calm = true;
        for tab in 0..self.tabs.len() {
            for fault in [Fault::PausedClient, Fault::SlowReader, Fault::Deaf, Fault::Duplicate] {
                self.relieve(tab, fault);
            }
            if self.tabs[tab].phase == Phase::Superseded && self.dice.one_in(2) {
                self.open_again(tab);
            }
        }
        let links: Vec<u64> = self.links.keys().copied().collect();
        for link in links {
            self.clog(link, false);
            if let Some(link) = self.links.get_mut(&link) {
                link.lag = 0;
            }
        }
    }
}
