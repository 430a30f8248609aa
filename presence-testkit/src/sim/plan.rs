//! What a seed decides before anything happens: how many there are, how tight the limits are, and what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use presence_core::id::{RoomId, UserId};
use presence_core::limits::Limits;

use super::dice::Dice;
use super::fault::{Fault, Planned};
use super::{Scale, millis};

/// A run as it is meant to go.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) limits: Arc<Limits>,
    pub(super) shards: usize,
    pub(super) users: Vec<UserId>,
    /// The user of each tab.
    pub(super) tabs: Vec<usize>,
    /// Which tabs watch windows. Drawn from other dice than the rest, so that there is nothing else to a run of which that
    /// is new.
    pub(super) watches: Vec<bool>,
    pub(super) rooms: Vec<RoomId>,
    /// Who is on which roster.
    pub(super) rosters: Vec<(RoomId, Vec<UserId>)>,
    /// Messages that a stream holds.
    pub(super) stream_max: usize,
    /// Bytes that the server may have written and a client not read, before it has to wait.
    pub(super) window: usize,
    /// Milliseconds between two things that a user does.
    pub(super) pace: u64,
    /// How long things go wrong.
    pub(super) chaos: u64,
    pub(super) faults: Vec<Planned>,
}

impl Plan {
    pub(super) fn of(seed: u64, scale: Scale, kinds: &[Fault]) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed_0f51);
        let limits = limits(&mut dice);
        let users = match scale {
            Scale::Usual => dice.between(2, 9) as usize,
            Scale::Clients(clients) => clients.max(2) / 2,
        };
        let mut tabs: Vec<usize> = (0..users).collect();
        for user in 0..users {
            let more = if let Scale::Usual = scale { dice.below(3) } else { 1 };
            tabs.extend(std::iter::repeat_n(user, more));
        }
        let rooms = match scale {
            Scale::Usual => dice.between(1, 3) as usize,
            Scale::Clients(clients) => 2 + clients / 100,
        };
        let users: Vec<UserId> =
            (0..users).map(|user| UserId::parse(&format!("u{user}")).expect("this is an id")).collect();
        let rooms: Vec<RoomId> =
            (0..rooms).map(|room| RoomId::parse(&format!("r{room}")).expect("this is an id")).collect();
        let chaos = dice.between(15_000, 45_000);
        Self {
            shards: dice.between(1, 3) as usize,
            watches: watches(seed, tabs.len()),
            rosters: rooms.iter().map(|room| (room.clone(), dice.some_of(&users, 3))).collect(),
            users,
            tabs,
            rooms,
            stream_max: dice.pick(&[5, 60, 10_000]),
            window: dice.pick(&[2_048, 65_536, 1_000_000]),
            pace: if let Scale::Usual = scale { dice.between(200, 1_500) } else { 6_000 },
            chaos,
            faults: if kinds.is_empty() { Vec::new() } else { faults(&mut dice, chaos, kinds) },
            limits: Arc::new(limits),
        }
    }

    /// After what time a peer that says nothing is found out.
    pub(super) fn dead(&self) -> u64 {
        millis(self.limits.heartbeat) + millis(self.limits.heartbeat_timeout) + 100
    }
}

/// In every third run about half of the tabs.
fn watches(seed: u64, tabs: usize) -> Vec<bool> {
    let mut dice = Dice::new(seed ^ 0x71de_3a11);
    let any = dice.one_in(3);
    (0..tabs).map(|_| any && dice.one_in(2)).collect()
}

fn limits(dice: &mut Dice) -> Limits {
    let seconds = |dice: &mut Dice, low, high| Duration::from_millis(dice.between(low, high));
    let heartbeat_timeout = seconds(dice, 1_500, 4_000);
    let grace = seconds(dice, 2_000, 8_000);
    Limits {
        heartbeat: heartbeat_timeout + seconds(dice, 500, 4_000),
        heartbeat_timeout,
        grace,
        going_away_grace: seconds(dice, 300, 1_500),
        typing: seconds(dice, 1_000, 3_000),
        hello: Duration::from_secs(7),
        stall: seconds(dice, 3_000, 9_000),
        feed_messages_max: dice.pick(&[6, 40, 4_096]),
        feed_age_max: dice.pick(&[Duration::from_secs(4), Duration::from_secs(120)]),
        kept_events_bytes_max: dice.pick(&[0, 2_000, 64 * 1024]),
        live_frames_max: dice.pick(&[1, 4, 16]),
        gather_bytes_max: dice.pick(&[1_024, 256 * 1024]),
        mailbox_max: dice.pick(&[24, 1_024]),
        redelivery: seconds(dice, 1_000, 3_000),
        redeliveries_max: dice.between(1, 3) as u32,
        tail_messages_max: dice.pick(&[2, 16, 256]),
        tail_age_max: seconds(dice, 2_000, 20_000),
        page_messages_max: dice.pick(&[3, 200]),
        sync_items_max: dice.pick(&[9, 500]),
        shard_inbox_max: dice.pick(&[8, 32, 65_536]),
        hub_inbox_max: dice.pick(&[8, 8_192]),
        ..Limits::default()
    }
}

/// Faults of all kinds, some of them at the same time; lives of the server do not overlap.
fn faults(dice: &mut Dice, chaos: u64, kinds: &[Fault]) -> Vec<Planned> {
    let count = dice.between(3, 12);
    let mut faults: Vec<Planned> = Vec::new();
    for _ in 0..count {
        let fault = dice.pick(kinds);
        let at = dice.between(2_000, chaos - 1_000);
        let lasts = match fault {
            // How long there is no server.
            fault if fault.ends_life() => dice.pick(&[200, 1_500, 6_000]),
            Fault::PausedServer => dice.between(100, 7_000),
            Fault::Starved => dice.between(50, 1_500),
            Fault::Deaf => dice.between(3_000, 22_000),
            _ => dice.between(300, 12_000),
        };
        let until = (at + lasts).min(chaos);
        let overlaps = |other: &Planned| {
            other.fault.ends_life() && at <= other.until + 2_500 && other.at <= until + 2_500
        };
        if !(fault.ends_life() && faults.iter().any(overlaps)) {
            faults.push(Planned { at, until, fault, spread: dice.between(1, 4) as usize });
        }
    }
    faults.sort_by_key(|planned| planned.at);
    faults
}
