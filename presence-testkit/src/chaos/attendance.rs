//! When each user must have been in sight of the others, and when they may have been, by what the tabs themselves tell.
//!
//! Where a moment is not known exactly the stretch is shortened (*must*) or lengthened (*may*), never the other way
//! round: what is found against it is a fault.

use std::collections::BTreeMap;

use super::history::{Entry, Event, Going};
use super::spans::{Spans, merged};

/// How long the server may take, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `grace_ms`.
    pub grace: u64,
    /// `going_away_grace_ms`.
    pub going_away: u64,
    /// From the last sign of life until a connection is known to be dead.
    pub detection: u64,
    /// By how much clocks and machines that have much to do may be late.
    pub slack: u64,
}

impl Rules {
    /// How long somebody stays in their rooms for certain.
    const fn at_least(&self, how: Going) -> u64 {
        match how {
            Going::Left => 0,
            Going::Away => self.going_away.saturating_sub(self.slack),
            Going::Lost => self.grace.saturating_sub(self.slack),
        }
    }

    /// How long others may see somebody who has gone.
    const fn at_most(&self, how: Going) -> u64 {
        self.slack
            + match how {
                Going::Left => 0,
                Going::Away => self.going_away,
                Going::Lost => self.detection + self.grace,
            }
    }
}

/// When the server, or the way to it, was not to be relied on.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    down: Spans,
    /// By tab.
    cuts: BTreeMap<u32, Spans>,
}

impl Troubles {
    pub(super) fn of(entries: &[Entry], end: u64) -> Self {
        let mut troubles = Self::default();
        for entry in entries {
            match entry.event {
                Event::Down => troubles.down.push((entry.at, end)),
                Event::Up => troubles.down.last_mut().into_iter().for_each(|down| down.1 = entry.at),
                Event::Cut { tab } => troubles.cuts.entry(tab).or_default().push((entry.at, end)),
                Event::Mended { tab } => {
                    let cuts = troubles.cuts.entry(tab).or_default();
                    cuts.last_mut().into_iter().for_each(|cut| cut.1 = entry.at);
                }
                _ => {}
            }
        }
        troubles
    }

    fn cuts_of(&self, tab: u32) -> impl Iterator<Item = (u64, u64)> {
        self.cuts.get(&tab).into_iter().flatten().copied()
    }

    /// Those of one tab.
    pub(super) fn of_tab(&self, tab: u32) -> impl Iterator<Item = (u64, u64)> {
        self.down.iter().copied().chain(self.cuts_of(tab))
    }
}

/// When somebody had to be seen in a room, and when they might be.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    pub(super) must: Spans,
    pub(super) may: Spans,
}

/// A tab in a room, as far as has been read.
#[derive(Clone, Debug, Default)]
struct Stay {
    user: u32,
    /// Since when it may be seen.
    asked: Option<u64>,
    /// Since when it must be seen.
    inside: Option<u64>,
    /// Whether it knows that it is out.
    noticed: bool,
    /// When it last went.
    went: u64,
    /// When it had to be seen until now.
    must: Spans,
}

/// By user and room.
pub(super) type Attendance = BTreeMap<(u32, u32), Presence>;

/// Who was where, and when.
pub(super) fn attendance(entries: &[Entry], end: u64, rules: &Rules, troubles: &Troubles) -> Attendance {
    let (stays, found) = (BTreeMap::new(), Attendance::new());
    let mut reader = Reader { rules, troubles, stays, is_forgotten: false, found };
    for entry in entries {
        reader.read(entry);
    }
    for ((_, room), stay) in std::mem::take(&mut reader.stays) {
        let presence = reader.found.entry((stay.user, room)).or_default();
        presence.may.extend(stay.asked.map(|from| (from, end + 1)));
        presence.must.extend(stay.must.into_iter().chain(stay.inside.map(|from| (from, end + 1))));
    }
    for presence in reader.found.values_mut() {
        presence.must = merged(std::mem::take(&mut presence.must));
        presence.may = merged(std::mem::take(&mut presence.may));
    }
    reader.found
}

struct Reader<'a> {
    rules: &'a Rules,
    troubles: &'a Troubles,
    /// By tab and room.
    stays: BTreeMap<(u32, u32), Stay>,
    /// Whether the server has been killed, and is not there again.
    is_forgotten: bool,
    found: Attendance,
}

impl Reader<'_> {
    fn read(&mut self, entry: &Entry) {
        let at = entry.at;
        match entry.event {
            Event::Entering { tab, user, room } => {
                let stay = self.stays.entry((tab, room)).or_default();
                (stay.user, stay.noticed) = (user, false);
                stay.asked.get_or_insert(at);
            }
            // It may have been on its way from before the cut, or from a server that is not there any more.
            Event::Entered { .. } if self.is_forgotten => {}
            Event::Entered { tab, .. }
                if self.troubles.cuts_of(tab).any(|cut| (cut.0..cut.1).contains(&at)) => {}
            Event::Up => self.is_forgotten = false,
            Event::Entered { tab, room } => {
                self.stays.entry((tab, room)).or_default().inside.get_or_insert(at);
            }
            Event::Going { tab, room, how } => {
                self.go(tab, room, at, how);
                self.stays.entry((tab, room)).or_default().noticed = true;
            }
            Event::Forgotten => {
                self.is_forgotten = true;
                for stay in self.stays.values_mut() {
                    stay.must.extend(stay.inside.take().map(|from| (from, at)));
                    stay.must.iter_mut().for_each(|span| span.1 = span.1.min(at));
                }
            }
            Event::Unheard { tab, room } => {
                let Some(stay) = self.stays.get(&(tab, room)) else { return };
                let until = at + self.rules.at_most(Going::Lost);
                self.found.entry((stay.user, room)).or_default().may.push((stay.went, until));
            }
            // To the server it is lost, whether it knows it or not.
            Event::Cut { tab } => {
                for room in self.rooms_of(tab) {
                    self.go(tab, room, at, Going::Lost);
                }
            }
            Event::Mended { tab } => {
                for (_, stay) in self.stays.range_mut((tab, 0)..=(tab, u32::MAX)) {
                    // Who did not notice is there again.
                    if !stay.noticed {
                        stay.asked.get_or_insert(at);
                    }
                }
            }
            _ => {}
        }
    }

    fn rooms_of(&self, tab: u32) -> Vec<u32> {
        self.stays.range((tab, 0)..=(tab, u32::MAX)).map(|((_, room), _)| *room).collect()
    }

    fn go(&mut self, tab: u32, room: u32, at: u64, how: Going) {
        let Some(stay) = self.stays.get_mut(&(tab, room)) else { return };
        stay.went = at;
        let presence = self.found.entry((stay.user, room)).or_default();
        // Whoever goes while the server is down has its grace when it is up again.
        let down = self.troubles.down.iter().find(|down| (down.0..down.1).contains(&at));
        let from_when = if how == Going::Lost { down.map_or(at, |down| down.1) } else { at };
        let until = from_when + self.rules.at_least(how);
        // Whoever was lost once, came back and leaves now is not waited for.
        stay.must.iter_mut().for_each(|span| span.1 = span.1.min(until));
        stay.must.extend(stay.inside.take().map(|from| (from, until)));
        if let Some(from) = stay.asked.take() {
            let mut until = at + self.rules.at_most(how);
            let lost = self.rules.at_most(Going::Lost);
            // What is said just before, or meanwhile, may not be heard.
            let near =
                |until: u64, (begins, ends): (u64, u64)| begins <= until && at <= ends + self.rules.slack;
            for down in &self.troubles.down {
                if near(until, *down) {
                    until = until.max(down.1.max(at) + lost);
                }
            }
            for (begins, ends) in self.troubles.cuts_of(tab) {
                if near(until, (begins, ends)) {
                    until = until.max(begins.max(at) + lost);
                    // What was held back may arrive then.
                    presence.may.push((ends, ends + lost));
                }
            }
            presence.may.push((from, until));
        }
    }
}
