//! When to ping, and when silence means that nobody is there.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::limits::Limits;
use crate::planted::{self, Bug};
use crate::port::transport::Silence;
use crate::time::Timestamp;

/// A deadline that is noticed later than this was missed by us, not by the peer: the process slept, or was stopped.
const OWN_LAG: Duration = Duration::from_secs(1);

/// How soon the second ping follows the first, so that a new client learns its round-trip time early.
const SECOND_PING: Duration = Duration::from_secs(2);

/// The pings of one connection.
#[derive(Debug)]
pub(super) struct Heartbeat {
    heard: Timestamp,
    phase: Phase,
    /// One more than its milliseconds.
    rtt: Option<NonZeroU32>,
    silence: Silence,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next ping goes out then.
    Quiet { ping_at: Timestamp, next: Next },
    /// A ping is out since `pinged`; something must be heard by `dead_at`.
    Pinged { pinged: Timestamp, dead_at: Timestamp, answered: bool, next: Next },
}

/// Which ping comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Second,
    /// Spreads the connections of a storm over the whole interval.
    Third,
    Later,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    Dead,
}

impl Heartbeat {
    /// Begins with a ping as soon as somebody is there to be pinged.
    pub(super) fn new(now: Timestamp, silence: Silence) -> Self {
        Self { heard: now, phase: Phase::Quiet { ping_at: now, next: Next::Second }, rtt: None, silence }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// The answer to the ping came. Says the round-trip time if it is the first answer to it.
    pub(super) fn answered(&mut self, now: Timestamp) -> Option<Duration> {
        if planted::is(Bug::DeafToPongs) {
            return None;
        }
        self.heard = now;
        let Phase::Pinged { pinged, answered, .. } = &mut self.phase else { return None };
        if std::mem::replace(answered, true) {
            return None;
        }
        let millis = u32::try_from(now.since(*pinged).as_millis()).unwrap_or(u32::MAX);
        self.rtt = Some(NonZeroU32::MIN.saturating_add(millis));
        self.rtt()
    }

    /// The round-trip time of the last ping that was answered.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt.map(|rtt| Duration::from_millis(u64::from(rtt.get() - 1)))
    }

    /// How long a ping has been out without any sign of life from one who would give it.
    pub(super) fn unanswered(&self, now: Timestamp) -> Duration {
        match self.phase {
            Phase::Pinged { pinged, answered: false, .. }
                if self.heard <= pinged && self.is_held_to_answer() =>
            {
                now.since(pinged)
            }
            Phase::Pinged { .. } | Phase::Quiet { .. } => Duration::ZERO,
        }
    }

    /// What is due now; `spread` is a number that differs between connections.
    pub(super) fn beat(&mut self, now: Timestamp, spread: u64, limits: &Limits) -> Beat {
        if let Phase::Pinged { pinged, dead_at, answered, next } = self.phase {
            if self.heard < pinged || (self.heard == pinged && !answered) {
                if now < dead_at {
                    return Beat::Nothing;
                }
                if self.is_held_to_answer() && !planted::is(Bug::SilenceIsLife) {
                    if now.since(dead_at) <= OWN_LAG {
                        return Beat::Dead;
                    }
                    let dead_at = now + limits.heartbeat_timeout;
                    self.phase = Phase::Pinged { pinged, dead_at, answered, next };
                    return Beat::Nothing;
                }
            }
            let (wait, next) = match next {
                Next::Second => (limits.heartbeat.min(SECOND_PING), Next::Third),
                Next::Third => (spread_over(limits.heartbeat, spread), Next::Later),
                Next::Later => (limits.heartbeat, Next::Later),
            };
            self.phase = Phase::Quiet { ping_at: pinged + wait, next };
        }
        match self.phase {
            Phase::Quiet { ping_at, next } if ping_at <= now => {
                let dead_at = now + limits.heartbeat_timeout;
                self.phase = Phase::Pinged { pinged: now, dead_at, answered: false, next };
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    fn is_held_to_answer(&self) -> bool {
        match self.silence {
            Silence::IsDeath => true,
            Silence::MaySayNothing => self.rtt.is_some(),
        }
    }

    /// When to ask again.
    pub(super) fn next(&self) -> Timestamp {
        match self.phase {
            Phase::Quiet { ping_at, .. } => ping_at,
            Phase::Pinged { dead_at, .. } => dead_at,
        }
    }
}

/// Between a fifth of the interval and all of it.
fn spread_over(interval: Duration, spread: u64) -> Duration {
    let millis = interval.as_millis() as u64;
    let fifth = millis / 5;
    Duration::from_millis(fifth + spread % (millis - fifth).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn silence_after_a_ping_is_death_and_any_sign_is_life() {
        let limits = Limits::default();
        let mut heartbeat = Heartbeat::new(at(1000), Silence::IsDeath);
        assert_eq!(heartbeat.beat(at(1000), 7, &limits), Beat::Ping);
        assert_eq!(heartbeat.beat(at(10_999), 7, &limits), Beat::Nothing);
        heartbeat.heard(at(10_999));
        // The second ping was due in the meantime.
        assert_eq!(heartbeat.beat(at(11_000), 7, &limits), Beat::Ping);
        assert_eq!(heartbeat.beat(at(20_999), 7, &limits), Beat::Nothing);
        assert_eq!(heartbeat.beat(at(21_000), 7, &limits), Beat::Dead);
    }

    #[test]
    fn on_a_wire_that_carries_nothing_back_only_who_has_answered_is_held_to_it() {
        let limits = Limits::default();
        let mut heartbeat = Heartbeat::new(at(0), Silence::MaySayNothing);
        assert_eq!(heartbeat.beat(at(0), 0, &limits), Beat::Ping);
        assert_eq!(heartbeat.beat(at(10_000), 0, &limits), Beat::Ping);
        heartbeat.answered(at(10_050));
        assert_eq!(heartbeat.beat(at(20_000), 0, &limits), Beat::Ping);
        assert_eq!(heartbeat.beat(at(30_000), 0, &limits), Beat::Dead);
    }

    #[test]
    fn a_ping_is_unanswered_until_anything_is_heard() {
        let mut heartbeat = Heartbeat::new(at(0), Silence::IsDeath);
        assert_eq!(heartbeat.unanswered(at(9_000)), Duration::ZERO);
        heartbeat.beat(at(0), 0, &Limits::default());
        assert_eq!(heartbeat.unanswered(at(9_000)), Duration::from_secs(9));
        heartbeat.heard(at(9_000));
        assert_eq!(heartbeat.unanswered(at(9_500)), Duration::ZERO);
    }

    #[test]
    fn the_round_trip_is_measured_once_per_ping() {
        let limits = Limits::default();
        let mut heartbeat = Heartbeat::new(at(0), Silence::IsDeath);
        assert_eq!(heartbeat.answered(at(0)), None);
        heartbeat.beat(at(0), 0, &limits);
        assert_eq!(heartbeat.answered(at(40)), Some(Duration::from_millis(40)));
        assert_eq!(heartbeat.answered(at(90)), None);
        assert_eq!(heartbeat.rtt(), Some(Duration::from_millis(40)));
    }

    #[test]
    fn p6_a_server_that_slept_gives_its_peers_the_time_it_missed() {
        let limits = Limits::default();
        let mut heartbeat = Heartbeat::new(at(0), Silence::IsDeath);
        heartbeat.beat(at(0), 0, &limits);
        assert_eq!(heartbeat.beat(at(60_000), 0, &limits), Beat::Nothing);
        assert_eq!(heartbeat.next(), at(70_000));
        assert_eq!(heartbeat.beat(at(70_000), 0, &limits), Beat::Dead);
    }

    #[test]
    fn the_pings_of_a_storm_spread_over_the_interval() {
        let limits = Limits::default();
        let third = |spread| {
            let mut heartbeat = Heartbeat::new(at(0), Silence::IsDeath);
            heartbeat.beat(at(0), spread, &limits);
            heartbeat.answered(at(1));
            heartbeat.beat(at(10_000), spread, &limits);
            heartbeat.answered(at(10_001));
            heartbeat.beat(at(10_002), spread, &limits);
            heartbeat.next().as_millis()
        };
        assert!(third(1) != third(4_000));
        assert!((15_000..=35_000).contains(&third(123_456)));
    }

    #[test]
    fn a_storm_is_spread_from_a_fifth_of_the_interval_to_all_of_it() {
        let interval = Duration::from_millis(25_000);
        for (spread, millis) in [(0, 5_000), (1, 5_001), (19_999, 24_999), (20_000, 5_000)] {
            assert_eq!(spread_over(interval, spread), Duration::from_millis(millis), "{spread}");
        }
        assert_eq!(spread_over(Duration::from_millis(1), 7), Duration::ZERO);
    }
}
