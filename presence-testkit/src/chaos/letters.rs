//! The messages of a history: every one that was acknowledged is there, once, in order, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Entry, Event, Letter};
use super::ledger::Ledger;

/// What became of a message.
#[derive(Debug, Default)]
struct Fate {
    said: Option<u64>,
    /// When, and the place that it was given.
    acked: Option<(u64, u64)>,
    refused: bool,
    kept: Vec<u64>,
}

/// What a tab has of a room.
#[derive(Debug, Default)]
struct Pile {
    letters: BTreeSet<Letter>,
    last: u64,
    /// Places that it was told are gone.
    dropped: Vec<(u64, u64)>,
}

type Fates = BTreeMap<(u32, Letter), Fate>;
type Piles = BTreeMap<(u32, u32), Pile>;

/// Judges messages.
pub(super) fn judge(entries: &[Entry], ledger: &mut Ledger) {
    let (mut fates, mut piles) = (Fates::new(), Piles::new());
    let mut rooms: BTreeMap<Letter, u32> = BTreeMap::new();
    let mut owed = Vec::new();
    let mut entered: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for entry in entries {
        match &entry.event {
            Event::Said { letter, room } => {
                rooms.insert(*letter, *room);
                fates.entry((*room, *letter)).or_default().said = Some(entry.at);
            }
            Event::Acked { letter, room, seq } => {
                fates.entry((*room, *letter)).or_default().acked.get_or_insert((entry.at, *seq));
            }
            Event::Refused { letter, .. } => {
                let room = rooms.get(letter).copied().unwrap_or_default();
                fates.entry((room, *letter)).or_default().refused = true;
            }
            Event::Kept { room, seq, letter } => {
                fates.entry((*room, *letter)).or_default().kept.push(*seq);
            }
            Event::Applied { tab, room, seq, letter } => {
                let pile = piles.entry((*tab, *room)).or_default();
                if !pile.letters.insert(*letter) {
                    ledger.twice += 1;
                    ledger.tell("twice", || format!("tab {tab} applied {letter:?} twice"));
                }
                if *seq <= pile.last {
                    ledger.disordered += 1;
                    ledger
                        .tell("disordered", || format!("tab {tab} applied place {seq} after {}", pile.last));
                }
                pile.last = pile.last.max(*seq);
            }
            Event::Dropped { tab, room, from, to } => {
                piles.entry((*tab, *room)).or_default().dropped.push((*from, *to));
            }
            Event::Entered { tab, room } => {
                entered.entry((*tab, *room)).or_insert(entry.at);
            }
            Event::Owed { tab, room } => owed.push((*tab, *room)),
            _ => {}
        }
    }
    one_by_one(&fates, ledger);
    strangers(&fates, &piles, ledger);
    for (tab, room) in owed {
        let since = entered.get(&(tab, room)).copied().unwrap_or(0);
        debt((tab, room), since, &fates, &piles, ledger);
    }
    orders(&fates, ledger);
}

fn one_by_one(fates: &Fates, ledger: &mut Ledger) {
    for ((room, letter), fate) in fates {
        ledger.attempts += u64::from(fate.said.is_some());
        ledger.acked += u64::from(fate.acked.is_some());
        ledger.refused += u64::from(fate.refused);
        ledger.recovered += u64::from(fate.acked.is_none() && !fate.refused && !fate.kept.is_empty());
        if fate.acked.is_some_and(|(_, seq)| !fate.kept.contains(&seq)) {
            ledger.lost += 1;
            ledger.tell("lost", || format!("{letter:?} was acknowledged in r{room} and is gone: {fate:?}"));
        }
        if fate.kept.len() > 1 {
            ledger.twice += 1;
            ledger.tell("twice", || format!("{letter:?} stands twice in r{room}: {fate:?}"));
        }
        if !fate.kept.is_empty() && (fate.said.is_none() || fate.refused) {
            ledger.unexpected += 1;
            ledger.tell("unexpected", || format!("{letter:?} stands in r{room}: {fate:?}"));
        }
    }
}

/// Whatever is applied stands in the room too.
fn strangers(fates: &Fates, piles: &Piles, ledger: &mut Ledger) {
    for ((tab, room), pile) in piles {
        for letter in &pile.letters {
            if fates.get(&(*room, *letter)).is_none_or(|fate| fate.kept.is_empty() || fate.said.is_none()) {
                ledger.unexpected += 1;
                ledger.tell("unexpected", || format!("tab {tab} has {letter:?}, which is not in r{room}"));
            }
        }
    }
}

/// Whoever was there all the time has all that was said since they came and acknowledged, but for what they were told is
/// gone.
fn debt((tab, room): (u32, u32), since: u64, fates: &Fates, piles: &Piles, ledger: &mut Ledger) {
    let none = Pile::default();
    let pile = piles.get(&(tab, room)).unwrap_or(&none);
    for ((_, letter), fate) in
        fates.range((room, Letter { tab: 0, number: 0 })..).take_while(|(key, _)| key.0 == room)
    {
        let Some((_, seq)) = fate.acked else { continue };
        let gone = pile.dropped.iter().any(|(from, to)| (*from..=*to).contains(&seq));
        let late = fate.said.is_none_or(|said| said >= since);
        if late && letter.tab != tab && !gone && !pile.letters.contains(letter) {
            ledger.lost += 1;
            ledger.tell("lost", || format!("tab {tab} never got {letter:?} at place {seq} of r{room}"));
        }
    }
}

/// A message that was acknowledged: when it was said, when it was acknowledged, and its place.
type Acked = (u64, u64, u64);

/// M3: what was said after an acknowledgement stands after what was acknowledged.
fn orders(fates: &Fates, ledger: &mut Ledger) {
    let mut senders: BTreeMap<(u32, u32), Vec<Acked>> = BTreeMap::new();
    for ((room, letter), fate) in fates {
        if let (Some(said), Some((acked, seq))) = (fate.said, fate.acked) {
            senders.entry((*room, letter.tab)).or_default().push((said, acked, seq));
        }
    }
    for ((room, tab), mut letters) in senders {
        letters.sort_unstable();
        for (number, (said, _, seq)) in letters.iter().enumerate() {
            let before = &letters[..number];
            if before.iter().any(|(_, acked, earlier)| acked < said && earlier >= seq) {
                ledger.disordered += 1;
                ledger.tell("disordered", || {
                    format!("r{room}: place {seq} of tab {tab} is before what was acknowledged earlier")
                });
            }
        }
    }
}
