//! How a tab keeps its connection: it connects, notices when nothing comes any more, and comes back.

use super::super::agenda::Event;
use super::super::link::{Link, Packet, Way};
use super::super::millis;
use super::super::world::World;
use super::{Asked, Phase};

/// How long a tab waits for a connection.
const CONNECTING: u64 = 2_500;

/// How long it waits for an answer to its join before it asks again.
const JOINING: u64 = 3_000;

/// How long it waits at most before it comes back.
pub(in super::super) const BACKOFF: u64 = 1_500;

/// How much later than the server a client gives up.
const PATIENCE: u64 = 1_500;

/// How often a tab looks.
pub(in super::super) const LOOK: u64 = 400;

impl World {
    /// A tab looks whether something is late.
    pub(in super::super) fn look(&mut self, tab: usize) {
        let again = self.now + LOOK;
        self.agenda_at(again, Event::Look { tab });
        if self.tabs[tab].paused {
            return;
        }
        let limits = &self.plan.limits;
        let silence = millis(limits.heartbeat) + millis(limits.heartbeat_timeout) + PATIENCE;
        let known = &self.tabs[tab];
        match known.phase {
            Phase::Away { until } if until <= self.now => self.connect(tab),
            Phase::Connecting { since } if since + CONNECTING <= self.now => {
                self.give_up(tab, "no connection")
            }
            Phase::Open { since } if since + CONNECTING + 5_000 <= self.now => self.give_up(tab, "no hello"),
            Phase::Ready if known.heard + silence <= self.now && !known.deaf => self.give_up(tab, "silence"),
            Phase::Ready => {
                let waits = |place: &super::Place| place.wanted && !place.confirmed;
                let late: Vec<usize> = known
                    .rooms
                    .iter()
                    .filter(|(_, place)| waits(place) && place.asked + JOINING <= self.now)
                    .map(|(room, _)| *room)
                    .collect();
                let unsaid = known.rooms.iter().filter(|(_, place)| place.confirmed && place.unsaid);
                let unsaid: Vec<usize> = unsaid.map(|(room, _)| *room).collect();
                late.into_iter().for_each(|room| self.join(tab, room));
                unsaid.into_iter().for_each(|room| self.update(tab, room));
                self.send_letters_again(tab);
                if self.tabs[tab].deaf {
                    self.say(tab, r#"{"type":"presence:heartbeat"}"#.to_owned());
                }
            }
            _ => {}
        }
    }

    /// A tab opens a connection; the one that it had, if any, is not its own any more.
    pub(in super::super) fn connect(&mut self, tab: usize) {
        let introduced = !self.dice.one_in(3);
        let copies = if self.tabs[tab].doubles { 2 } else { 1 };
        for copy in 0..copies {
            self.link_count += 1;
            let link = self.link_count;
            let attempt = self.tabs[tab].requests.next();
            let mut new = Link::new(tab, introduced, attempt);
            // Of two the client gives up the first.
            new.open = copy + 1 == copies;
            let known = &self.tabs[tab];
            if self.dice.one_in(6) {
                let lag = self.dice.between(50, 900);
                new.lag = if self.calm { 0 } else { lag };
            }
            new.healthy = new.open && new.lag < 400 && !known.paused && !known.deaf && known.slow.is_none();
            self.links.insert(link, new);
            self.trace.note(self.now, format_args!("tab {tab} connects by link {link}"));
            self.send(link, Way::Up, Packet::Connect);
            self.tabs[tab].link = Some(link);
        }
        let now = self.now;
        let known = &mut self.tabs[tab];
        known.phase = Phase::Connecting { since: now };
        known.asked.clear();
        known.rooms.values_mut().for_each(|place| place.confirmed = false);
    }

    /// The server has taken the connection.
    pub(super) fn accepted(&mut self, tab: usize, link: u64) {
        self.tabs[tab].phase = Phase::Open { since: self.now };
        self.tabs[tab].heard = self.now;
        if !self.links[&link].introduced {
            let at = self.now + self.dice.pick(&[0, 30, 900, 2_500]);
            self.agenda_at(at, Event::Introduce { link });
        }
    }

    /// A client that has not said who it is says so.
    pub(in super::super) fn introduce(&mut self, link: u64) {
        let Some(tab) = self.links.get(&link).map(|link| link.tab) else { return };
        let known = &self.tabs[tab];
        if known.link != Some(link) || !matches!(known.phase, Phase::Open { .. }) {
            return;
        }
        let (user, session) = (&self.plan.users[known.user], &known.session);
        let text = format!(r#"{{"type":"auth","client_id":"{user}","session_id":"{session}"}}"#);
        self.say_on(link, text);
    }

    /// A tab has lost its connection, or gives it up, and comes back in a while.
    pub(super) fn give_up(&mut self, tab: usize, why: &str) {
        self.trace.note(self.now, format_args!("tab {tab} gives up its link: {why}"));
        if let Some(link) = self.tabs[tab].link.take() {
            self.drop_link(link, Packet::Reset);
        }
        self.come_back(tab, None);
    }

    pub(super) fn come_back(&mut self, tab: usize, after: Option<u64>) {
        let wait = after.unwrap_or(0) + self.dice.between(50, BACKOFF);
        self.tabs[tab].lose(Phase::Away { until: self.now + wait });
    }

    /// A client lets go of its end.
    pub(super) fn drop_link(&mut self, link: u64, last: Packet) {
        self.send(link, Way::Up, last);
        if let Some(link) = self.links.get_mut(&link) {
            link.open = false;
            link.unread.clear();
        }
    }

    /// Asks to be let into a room, with what is known of it.
    pub(in super::super) fn join(&mut self, tab: usize, room: usize) {
        let now = self.now;
        let reference = self.tabs[tab].ask(Asked::Join(room));
        let known = &mut self.tabs[tab];
        let place = known.rooms.entry(room).or_default();
        (place.wanted, place.asked, place.alive, place.reference) = (true, now, now, reference);
        let since = match (place.view.epoch(), place.view.version()) {
            (Some(epoch), Some(version)) => {
                format!(r#","since":{{"epoch":"{epoch}","version":{version}}}"#)
            }
            _ if known.watches => r#","window":{"from":0,"count":20}"#.to_owned(),
            _ => String::new(),
        };
        let text = format!(
            r#"{{"type":"presence:join","room":"{}","ref":{reference}{since}}}"#,
            self.plan.rooms[room]
        );
        self.say(tab, text);
    }

    /// Sends a message on a tab's link.
    pub(in super::super) fn say(&mut self, tab: usize, text: String) {
        if let Some(link) = self.tabs[tab].link {
            self.say_on(link, text);
        }
    }

    pub(super) fn say_on(&mut self, link: u64, text: String) {
        self.send(link, Way::Up, Packet::Text(text.into()));
    }
}
