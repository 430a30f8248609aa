//! What a run came to, in the manner of Jepsen: judged from the history alone, after the run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::attendance::{Attendance, Rules, Troubles, attendance};
use super::history::{Entry, Event, Sight};
use super::letters;
use super::spans::{Spans, cover, merged, uncovered};

/// How many findings of a kind are told in words.
const TOLD: usize = 3;

/// What was counted. The first group is information, all in the second must be zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Messages said.
    pub attempts: u64,
    /// Of them acknowledged.
    pub acked: u64,
    /// Refused, with an error that says so.
    pub refused: u64,
    /// Neither nor, yet found in their room in the end.
    pub recovered: u64,
    /// Comings and goings that all who watch have seen.
    pub sights: u64,

    /// Acknowledged messages that are gone, or that somebody never got who should have.
    pub lost: u64,
    /// Messages that nobody said, or that were refused, and came all the same.
    pub unexpected: u64,
    /// Messages stored or applied twice.
    pub twice: u64,
    /// Messages of one sender in another order than they were said and acknowledged in, or applied out of order.
    pub disordered: u64,
    /// What the protocol does not allow: gaps, digests, shapes.
    pub broken: u64,
    /// What was not the same everywhere in the end.
    pub diverged: u64,
    /// Microseconds, over all who watch, in which somebody was shown who had been gone beyond detection and grace.
    pub ghost_micros: u64,
    /// Leaves that were seen of users who were there.
    pub false_leaves: u64,

    /// The first findings.
    pub reasons: Vec<String>,
}

impl Ledger {
    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        let Self {
            lost, unexpected, twice, disordered, broken, diverged, ghost_micros, false_leaves, ..
        } = self;
        lost + unexpected + twice + disordered + broken + diverged + ghost_micros + false_leaves == 0
    }

    /// Keeps the words for a finding.
    pub(super) fn tell(&mut self, kind: &str, words: impl FnOnce() -> String) {
        if self.reasons.iter().filter(|reason| reason.starts_with(kind)).count() < TOLD {
            self.reasons.push(format!("{kind}: {}", words()));
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ghost = self.ghost_micros as f64 / 1e6;
        write!(
            f,
            "said {} acked {} refused {} recovered {} sights {} | lost {} unexpected {} twice {} disordered {} broken {} \
             diverged {} ghost-seconds {ghost:.1} false leaves {}",
            self.attempts,
            self.acked,
            self.refused,
            self.recovered,
            self.sights,
            self.lost,
            self.unexpected,
            self.twice,
            self.disordered,
            self.broken,
            self.diverged,
            self.false_leaves
        )
    }
}

/// Judges a history, whose entries are in the order of time.
pub fn judge(entries: &[Entry], rules: &Rules) -> Ledger {
    let mut ledger = Ledger::default();
    letters::judge(entries, &mut ledger);
    let end = entries.last().map_or(0, |last| last.at);
    let troubles = Troubles::of(entries, end);
    let truth = attendance(entries, end, rules, &troubles);
    let users = entries.iter().filter_map(|entry| match entry.event {
        Event::Entering { tab, user, .. } => Some((tab, user)),
        _ => None,
    });
    let mut watch = Watch {
        rules,
        troubles: &troubles,
        truth: &truth,
        users: users.collect(),
        eyes: BTreeMap::new(),
        ledger: &mut ledger,
    };
    for entry in entries {
        watch.read(entry);
    }
    let all: Vec<(u32, u32)> = watch.eyes.keys().copied().collect();
    for (tab, room) in all {
        watch.close(tab, room, end);
    }
    ledger
}

/// What one tab sees of one room.
#[derive(Debug, Default)]
struct Eye {
    /// Who is shown, and since when that counts.
    shown: BTreeMap<u32, u64>,
    hearing: bool,
    /// Since when nothing came, if nothing does.
    deaf_since: Option<u64>,
}

/// Holds what is seen against the truth.
struct Watch<'a> {
    rules: &'a Rules,
    troubles: &'a Troubles,
    truth: &'a Attendance,
    /// Whose a tab is.
    users: BTreeMap<u32, u32>,
    /// By tab and room.
    eyes: BTreeMap<(u32, u32), Eye>,
    ledger: &'a mut Ledger,
}

impl Watch<'_> {
    fn read(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Came { tab, room, user } => {
                self.ledger.sights += 1;
                self.eyes.entry((*tab, *room)).or_default().shown.entry(*user).or_insert(at);
            }
            Event::Went { tab, room, user, by } => {
                self.ledger.sights += 1;
                let eye = self.eyes.entry((*tab, *room)).or_default();
                let (hearing, deaf_since) = (eye.hearing, eye.deaf_since);
                let since = eye.shown.remove(user);
                if let Some(since) = since.filter(|_| hearing) {
                    self.haunted(*tab, *room, *user, since, at);
                }
                if *by != Sight::NewEpoch {
                    self.left(*tab, *room, *user, at, deaf_since);
                }
            }
            Event::Hearing { tab, room } => {
                let eye = self.eyes.entry((*tab, *room)).or_default();
                if !eye.hearing {
                    eye.shown.values_mut().for_each(|since| *since = at);
                }
                (eye.hearing, eye.deaf_since) = (true, None);
            }
            Event::Deaf { tab, room } => self.close(*tab, *room, at),
            Event::Broken { tab, what } => {
                self.ledger.broken += 1;
                self.ledger.tell("broken", || format!("tab {tab}: {what}"));
            }
            Event::Diverged { what } => {
                self.ledger.diverged += 1;
                self.ledger.tell("diverged", || what.clone());
            }
            _ => {}
        }
    }

    /// It sees nothing new from now on, so what it shows is not the server's.
    fn close(&mut self, tab: u32, room: u32, at: u64) {
        let Some(eye) = self.eyes.get_mut(&(tab, room)) else { return };
        if !std::mem::replace(&mut eye.hearing, false) {
            return;
        }
        // It may not have known for a while.
        let late = |(begins, ends): &(u64, u64)| (*begins..=ends + self.rules.slack).contains(&at);
        let since = self.troubles.of_tab(tab).filter(late).map(|trouble| trouble.0).min();
        eye.deaf_since.get_or_insert(since.unwrap_or(at));
        let shown: Vec<(u32, u64)> = eye.shown.iter().map(|(user, since)| (*user, *since)).collect();
        for (user, since) in shown {
            self.haunted(tab, room, user, since, at);
        }
    }

    /// P5: whoever is shown is there, or was a moment ago.
    fn haunted(&mut self, tab: u32, room: u32, user: u32, since: u64, until: u64) {
        if self.users.get(&tab) == Some(&user) {
            return;
        }
        let none = Spans::new();
        let may = self.truth.get(&(user, room)).map_or(&none, |presence| &presence.may);
        if uncovered(may, since, until) == 0 {
            return;
        }
        // What does not get through can not be seen either.
        let late = |(from, to): (u64, u64)| (from, to + self.rules.slack);
        let spans = merged(may.iter().copied().chain(self.troubles.of_tab(tab).map(late)).collect());
        let micros = uncovered(&spans, since, until);
        if micros > 0 {
            self.ledger.ghost_micros += micros;
            let seconds = micros as f64 / 1e6;
            self.ledger
                .tell("ghost", || format!("tab {tab} sees u{user} in r{room} {seconds:.1} s too long"));
        }
    }

    /// P6, P7: whoever is seen to leave was not there all the time.
    fn left(&mut self, tab: u32, room: u32, user: u32, at: u64, deaf_since: Option<u64>) {
        if self.users.get(&tab) == Some(&user) {
            return;
        }
        // It is told of late, and later still by who hears nothing.
        let mut from = at.saturating_sub(self.rules.slack).min(deaf_since.unwrap_or(at));
        for (begins, ends) in self.troubles.of_tab(tab) {
            if (begins..=ends + self.rules.slack).contains(&at) {
                from = from.min(begins);
            }
        }
        let must = self.truth.get(&(user, room)).map(|presence| &presence.must);
        if must.is_some_and(|must| cover(must, from, at)) {
            self.ledger.false_leaves += 1;
            self.ledger.tell("false leave", || format!("tab {tab} sees u{user} leave r{room} who is there"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::{Going, Letter, SECOND};

    const RULES: Rules =
        Rules { grace: 5 * SECOND, going_away: 3 * SECOND, detection: 4 * SECOND, slack: SECOND };

    /// Ann's tab 1 watches Bob's tab 2 in room 0; both are in from the first second on.
    fn history(more: &[(u64, Event)]) -> Ledger {
        let (tab, room) = (1, 0);
        let mut all = vec![
            (0, Event::Entering { tab, user: 1, room }),
            (0, Event::Entered { tab, room }),
            (0, Event::Hearing { tab, room }),
            (1, Event::Entering { tab: 2, user: 2, room }),
            (1, Event::Entered { tab: 2, room }),
            (1, Event::Came { tab, room, user: 2 }),
        ];
        all.extend_from_slice(more);
        let mut entries: Vec<Entry> =
            all.into_iter().map(|(at, event)| Entry { at: at * SECOND, event }).collect();
        entries.sort_by_key(|entry| entry.at);
        judge(&entries, &RULES)
    }

    fn going(how: Going) -> Event {
        Event::Going { tab: 2, room: 0, how }
    }

    fn went(by: Sight) -> Event {
        Event::Went { tab: 1, room: 0, user: 2, by }
    }

    fn nothing() -> Event {
        Event::Hearing { tab: 1, room: 0 }
    }

    const BACK: [Event; 2] =
        [Event::Entering { tab: 2, user: 2, room: 0 }, Event::Entered { tab: 2, room: 0 }];

    fn back(at: u64) -> [(u64, Event); 2] {
        BACK.map(|event| (at, event))
    }

    const FIRST: Letter = Letter { tab: 2, number: 1 };
    const SECOND_ONE: Letter = Letter { tab: 2, number: 2 };

    fn said(letter: Letter) -> Event {
        Event::Said { letter, room: 0 }
    }

    fn acked(letter: Letter, seq: u64) -> Event {
        Event::Acked { letter, room: 0, seq }
    }

    fn kept(letter: Letter, seq: u64) -> Event {
        Event::Kept { room: 0, seq, letter }
    }

    fn applied(letter: Letter, seq: u64) -> Event {
        Event::Applied { tab: 1, room: 0, seq, letter }
    }

    #[test]
    fn a_right_history_is_clean() {
        let ledger = history(&[
            (2, said(FIRST)),
            (3, acked(FIRST, 1)),
            (3, applied(FIRST, 1)),
            (4, going(Going::Left)),
            (4, went(Sight::Event)),
            (20, kept(FIRST, 1)),
            (20, Event::Owed { tab: 1, room: 0 }),
        ]);
        assert!(ledger.is_clean(), "{ledger}");
        assert_eq!((ledger.attempts, ledger.acked, ledger.sights), (1, 1, 2));
    }

    #[test]
    fn a_leave_of_somebody_who_is_there_is_false() {
        assert_eq!(history(&[(10, went(Sight::Event))]).false_leaves, 1);
        assert_eq!(history(&[(10, went(Sight::Snapshot))]).false_leaves, 1);
        // A room that begins anew says of nobody that they leave.
        assert_eq!(history(&[(10, went(Sight::NewEpoch))]).false_leaves, 0);
    }

    #[test]
    fn a_leave_before_the_grace_is_over_is_false() {
        assert_eq!(history(&[(10, going(Going::Lost)), (12, went(Sight::Event))]).false_leaves, 1);
        assert_eq!(history(&[(10, going(Going::Lost)), (16, went(Sight::Event))]).false_leaves, 0);
        assert_eq!(history(&[(10, going(Going::Away)), (11, went(Sight::Event))]).false_leaves, 1);
    }

    #[test]
    fn a_leave_of_one_tab_is_none_of_its_user() {
        let second =
            [(2, Event::Entering { tab: 3, user: 2, room: 0 }), (2, Event::Entered { tab: 3, room: 0 })];
        let ledger = history(&[&second[..], &[(10, going(Going::Left)), (10, went(Sight::Event))]].concat());
        assert_eq!(ledger.false_leaves, 1);
    }

    #[test]
    fn who_is_back_in_time_was_never_gone() {
        let events = [vec![(10, going(Going::Lost))], back(13).to_vec(), vec![(16, went(Sight::Event))]];
        assert_eq!(history(&events.concat()).false_leaves, 1);
    }

    #[test]
    fn who_waits_for_a_server_that_is_down_has_the_grace_when_it_is_up() {
        let events = [(10, Event::Down), (11, going(Going::Lost)), (30, Event::Up), (32, went(Sight::Event))];
        assert_eq!(history(&events).false_leaves, 1);
        // A server that was killed knows nobody.
        let killed = [&events[..1], &[(10, Event::Forgotten)], &events[1..]].concat();
        assert_eq!(history(&killed).false_leaves, 0);
    }

    #[test]
    fn who_is_shown_after_they_left_is_a_ghost() {
        let ghost =
            |how, until| history(&[(10, going(how)), (until, went(Sight::Event))]).ghost_micros / SECOND;
        assert_eq!(ghost(Going::Left, 13), 2);
        assert_eq!(ghost(Going::Away, 13), 0);
        assert_eq!(ghost(Going::Away, 20), 6);
        assert_eq!(ghost(Going::Lost, 20), 0);
        assert_eq!(ghost(Going::Lost, 25), 5);
        // To the end, and nobody ever hears of it.
        assert_eq!(history(&[(10, going(Going::Left)), (30, nothing())]).ghost_micros / SECOND, 19);
    }

    #[test]
    fn who_is_cut_off_is_a_ghost_as_well_whatever_they_know() {
        let cut = |until| {
            let cut = Event::Cut { tab: 2 };
            let mended = Event::Mended { tab: 2 };
            history(&[(10, cut), (until, went(Sight::Event)), (40, mended), (41, going(Going::Lost))])
        };
        assert_eq!((cut(20).ghost_micros, cut(20).false_leaves), (0, 0));
        assert_eq!(cut(25).ghost_micros / SECOND, 5);
        assert_eq!(cut(12).false_leaves, 1);
        // It may be one way only, and a goodbye gets through.
        let cut = Event::Cut { tab: 2 };
        assert!(history(&[(10, cut), (11, going(Going::Left)), (11, went(Sight::Event))]).is_clean());
    }

    #[test]
    fn who_hears_nothing_sees_no_ghosts() {
        let deaf = Event::Deaf { tab: 1, room: 0 };
        let ledger =
            history(&[(10, going(Going::Left)), (10, deaf), (30, went(Sight::Snapshot)), (30, nothing())]);
        assert!(ledger.is_clean(), "{ledger}");
    }

    #[test]
    fn what_was_acknowledged_and_is_gone_is_lost() {
        assert_eq!(history(&[(2, said(FIRST)), (3, acked(FIRST, 1))]).lost, 1);
        // At another place is not there.
        assert_eq!(history(&[(2, said(FIRST)), (3, acked(FIRST, 1)), (9, kept(FIRST, 2))]).lost, 1);
        let owed = (9, Event::Owed { tab: 1, room: 0 });
        let stored = [(2, said(FIRST)), (3, acked(FIRST, 1)), (9, kept(FIRST, 1)), owed];
        assert_eq!(history(&stored).lost, 1);
        let told = (8, Event::Dropped { tab: 1, room: 0, from: 1, to: 1 });
        assert_eq!(history(&[&stored[..], &[told]].concat()).lost, 0);
    }

    #[test]
    fn what_is_not_known_to_be_safe_may_be_there_or_not() {
        let ledger = history(&[(2, said(FIRST)), (3, said(SECOND_ONE)), (9, kept(FIRST, 1))]);
        assert!(ledger.is_clean() && ledger.recovered == 1, "{ledger}");
    }

    #[test]
    fn what_nobody_said_or_was_refused_is_unexpected() {
        assert_eq!(history(&[(9, kept(FIRST, 1))]).unexpected, 1);
        assert_eq!(history(&[(2, said(FIRST)), (3, applied(FIRST, 1))]).unexpected, 1);
        let refused = Event::Refused { letter: FIRST, code: "unavailable".to_owned() };
        assert_eq!(history(&[(2, said(FIRST)), (3, refused), (9, kept(FIRST, 1))]).unexpected, 1);
    }

    #[test]
    fn what_comes_twice_or_in_another_order_is_found() {
        let twice = [(2, said(FIRST)), (9, kept(FIRST, 1)), (9, kept(FIRST, 2))];
        assert_eq!(history(&twice).twice, 1);
        let again = [(2, said(FIRST)), (3, applied(FIRST, 1)), (4, applied(FIRST, 2)), (9, kept(FIRST, 1))];
        assert_eq!(history(&again).twice, 1);
        let order = [
            (2, said(FIRST)),
            (3, acked(FIRST, 2)),
            (4, said(SECOND_ONE)),
            (5, acked(SECOND_ONE, 1)),
            (5, applied(FIRST, 2)),
            (5, applied(SECOND_ONE, 1)),
            (9, kept(SECOND_ONE, 1)),
            (9, kept(FIRST, 2)),
        ];
        assert_eq!(history(&order).disordered, 2);
    }

    #[test]
    fn what_is_broken_or_not_the_same_everywhere_is_counted() {
        let broken = Event::Broken { tab: 1, what: "a gap".to_owned() };
        let diverged = Event::Diverged { what: "a view".to_owned() };
        let ledger = history(&[(2, broken), (3, diverged)]);
        assert_eq!((ledger.broken, ledger.diverged, ledger.is_clean()), (1, 1, false));
    }
}
