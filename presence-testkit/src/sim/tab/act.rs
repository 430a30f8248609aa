//! What users do in their tabs.

use super::super::agenda::Event;
use super::super::link::{Packet, Way};
use super::super::world::World;
use super::{Asked, Phase, Place};

impl World {
    /// A user does something.
    pub(in super::super) fn act(&mut self, tab: usize) {
        if self.calm {
            return;
        }
        let again = self.now + self.dice.between(self.plan.pace / 4, self.plan.pace * 2);
        self.agenda_at(again, Event::Act { tab });
        let known = &self.tabs[tab];
        if known.paused {
            return;
        }
        match known.phase {
            Phase::Superseded | Phase::Closed if self.dice.one_in(3) => self.open_again(tab),
            Phase::Ready => self.act_connected(tab),
            _ => {}
        }
    }

    /// Opens a tab, or takes it up where another connection has taken its session.
    pub(in super::super) fn open_again(&mut self, tab: usize) {
        if self.tabs[tab].phase == Phase::Closed {
            self.tabs[tab].requests.begin_again();
            self.tabs[tab].rooms.values_mut().for_each(Place::forget);
        }
        self.connect(tab);
    }

    fn act_connected(&mut self, tab: usize) {
        let rooms = self.plan.rooms.len();
        let room = self.dice.below(rooms);
        let here = self.tabs[tab].rooms.get(&room).is_some_and(|place| place.wanted);
        match self.dice.below(36) {
            0..=3 if !here => self.join(tab, room),
            0 => self.join(tab, room),
            1 if here => self.leave(tab, room),
            4..=8 if here => self.update(tab, room),
            9..=11 if here => self.move_cursor(tab, room),
            12..=13 if here => self.say_typing(tab, room),
            14 => self.say_active(tab),
            15 if here && self.tabs[tab].watches => self.move_window(tab, room),
            15 if here => self.ask_sync(tab, room),
            16 => self.close_tab(tab, 1000),
            17 => self.close_tab(tab, 1001),
            18 => self.reload(tab),
            19 => self.take_over(tab),
            20 => self.vanish(tab),
            26..=29 if here => self.write_letter(tab, Some(room)),
            30 | 31 => self.write_letter(tab, None),
            32 if here => self.say_too_much(tab, room),
            _ if !here => self.join(tab, room),
            _ => self.update(tab, room),
        }
    }

    fn leave(&mut self, tab: usize, room: usize) {
        self.note_alive();
        let id = self.plan.rooms[room].clone();
        if let Some(place) = self.tabs[tab].rooms.get_mut(&room) {
            (place.wanted, place.confirmed, place.known) = (false, false, false);
        }
        let known_to_streams = self.is_known_to_streams(tab);
        let having = self.tabs[tab].having.entry(id.to_string()).or_default();
        having.begin_again();
        if !known_to_streams {
            having.lose_track();
        }
        self.tabs[tab].loose.insert(id.to_string());
        self.say(tab, format!(r#"{{"type":"presence:leave","room":"{id}"}}"#));
    }

    /// Whether the server has read what the user receives.
    fn is_known_to_streams(&self, tab: usize) -> bool {
        let link = self.tabs[tab].link.and_then(|link| self.links.get(&link));
        let (Some((life, connection)), Some(server)) = (link.and_then(|link| link.server), &self.server)
        else {
            return false;
        };
        server.life == life && server.hub_knows(connection)
    }

    /// Changes its state; now and then twice the same, which is once.
    pub(in super::super) fn update(&mut self, tab: usize, room: usize) {
        let id = self.plan.rooms[room].clone();
        let value = self.dice.draw() % 1_000_000;
        let twice = self.dice.one_in(4);
        let extra = self.dice.below(3);
        let reference = self.tabs[tab].ask(Asked::Update(room));
        let Some(place) = self.tabs[tab].rooms.get_mut(&room) else { return };
        (place.marker, place.unsaid) = (value, false);
        let field = if self.dice.one_in(2) { "null".to_owned() } else { self.dice.below(5).to_string() };
        let text = format!(
            r#"{{"type":"presence:update","room":"{id}","state":{{"mark":{value},"f{extra}":{field}}},"ref":{reference}}}"#
        );
        if twice {
            self.say(tab, text.clone());
        }
        self.say(tab, text);
    }

    /// Says again what it has said, which changes nothing.
    pub(in super::super) fn repeat(&mut self, tab: usize, room: usize) {
        let (id, known) = (self.plan.rooms[room].clone(), &self.tabs[tab]);
        let (marker, active) = (known.rooms[&room].marker, known.active);
        self.join(tab, room);
        if marker > 0 {
            let text = format!(r#"{{"type":"presence:update","room":"{id}","state":{{"mark":{marker}}}}}"#);
            self.say(tab, text);
        }
        self.say(tab, format!(r#"{{"type":"presence:activity","active":{active}}}"#));
        self.say(tab, r#"{"type":"presence:leave","room":"elsewhere"}"#.to_owned());
    }

    fn move_cursor(&mut self, tab: usize, room: usize) {
        let (id, x) = (self.plan.rooms[room].clone(), self.dice.below(1_000));
        self.say(tab, format!(r#"{{"type":"presence:cursor","room":"{id}","cursor":{{"x":{x},"y":1}}}}"#));
    }

    fn say_typing(&mut self, tab: usize, room: usize) {
        let (id, typing) = (self.plan.rooms[room].clone(), !self.dice.one_in(4));
        self.say(tab, format!(r#"{{"type":"presence:typing","room":"{id}","typing":{typing}}}"#));
    }

    fn say_active(&mut self, tab: usize) {
        let active = !self.tabs[tab].active;
        self.tabs[tab].active = active;
        self.say(tab, format!(r#"{{"type":"presence:activity","active":{active}}}"#));
    }

    fn ask_sync(&mut self, tab: usize, room: usize) {
        let id = self.plan.rooms[room].clone();
        let reference = self.tabs[tab].ask(Asked::Other);
        let view = &self.tabs[tab].rooms[&room].view;
        let (Some(epoch), Some(version)) = (view.epoch(), view.version()) else { return };
        let digest = view.digest();
        self.say(tab, format!(
            r#"{{"type":"presence:sync","room":"{id}","epoch":"{epoch}","version":{version},"digest":"{digest}","ref":{reference}}}"#
        ));
    }

    /// Its user closes it: the network hears of it in good order, if at all.
    pub(in super::super) fn close_tab(&mut self, tab: usize, code: u16) {
        self.note_alive();
        self.trace.note(self.now, format_args!("tab {tab} is closed with {code}"));
        if let Some(link) = self.tabs[tab].link.take() {
            self.drop_link(link, Packet::Close(code));
        }
        let known = &mut self.tabs[tab];
        known.phase = Phase::Closed;
        for place in known.rooms.values_mut() {
            (place.wanted, place.confirmed, place.known) = (false, false, false);
        }
    }

    /// Its page is loaded anew: it forgets everything but its session and where it was.
    fn reload(&mut self, tab: usize) {
        self.trace.note(self.now, format_args!("tab {tab} is reloaded"));
        if let Some(link) = self.tabs[tab].link.take() {
            self.drop_link(link, Packet::Close(1001));
        }
        let known = &mut self.tabs[tab];
        known.active = true;
        known.requests.begin_again();
        for place in known.rooms.values_mut() {
            place.forget();
            place.confirmed = false;
        }
        let wait = self.dice.between(20, 600);
        self.tabs[tab].lose(Phase::Away { until: self.now + wait });
    }

    /// It opens a second connection with the same session; the first one stays as it is, and may still say something.
    fn take_over(&mut self, tab: usize) {
        self.counts.takeovers += 1;
        let old = self.tabs[tab].link;
        self.connect(tab);
        if let Some(old) = old
            && self.dice.one_in(2)
        {
            let room = self.dice.below(self.plan.rooms.len());
            let (id, now) = (self.plan.rooms[room].clone(), self.now);
            self.tabs[tab].rooms.entry(room).or_default().alive = now;
            let text = if self.dice.one_in(2) { "leave" } else { "join" };
            self.say_on(old, format!(r#"{{"type":"presence:{text}","room":"{id}"}}"#));
            if self.dice.one_in(3) {
                self.send(old, Way::Up, Packet::Close(1000));
            }
        }
    }

    /// Its network is gone from one moment to the next.
    fn vanish(&mut self, tab: usize) {
        self.note_alive();
        self.trace.note(self.now, format_args!("the network of tab {tab} is gone"));
        if let Some(link) = self.tabs[tab].link.take()
            && let Some(link) = self.links.get_mut(&link)
        {
            link.cut();
            link.open = false;
        }
        let wait = self.dice.between(0, 12_000);
        self.come_back(tab, Some(wait));
    }
}
