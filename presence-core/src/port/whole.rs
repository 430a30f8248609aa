//! Whether a stretch of a stream is whole (M9), and whether all messages are accounted for (M6).

use super::store::{Balance, Page};
use crate::audit::{Breaches, Invariant};
use crate::stream::Seq;

impl Page {
    /// Looks whether every place after `after` is a message or said to be missing, once and in order, up to the last
    /// message; and up to the stream's newest if there is no more.
    pub fn check(&self, after: Seq) -> Breaches {
        let mut breaches = Breaches::default();
        let mut gaps = self.gaps.iter().peekable();
        let (mut told, mut whole) = (after.number(), true);
        for seq in self.messages.iter().map(|stored| stored.seq.number()) {
            while let Some(gap) = gaps.next_if(|gap| gap.to.number() < seq) {
                whole &= gap.from.number() == told.saturating_add(1);
                told = gap.to.number();
            }
            whole &= seq == told.saturating_add(1);
            told = seq;
        }
        if !self.more {
            for gap in gaps {
                whole &= gap.from.number() == told.saturating_add(1);
                told = gap.to.number();
            }
            whole &= told >= self.head.number();
        }
        whole &= told <= self.head.number().max(after.number());
        breaches.expect(Invariant::Whole, whole, || {
            let (messages, gaps) = (self.messages.len(), self.gaps.len());
            format!(
                "{messages} messages and {gaps} gaps after {after} do not tell every place up to {told} of {}",
                self.head
            )
        });
        breaches
    }
}

impl Balance {
    /// Looks whether the terms add up. What waits must have been counted, not be what is left of the others.
    pub fn check(&self) -> Breaches {
        let Self { accepted, acked, queued, expired, dropped, dead_lettered, purged } = *self;
        let mut breaches = Breaches::default();
        // A damaged file says anything.
        let settled =
            [acked, expired, dropped, dead_lettered, purged].into_iter().fold(0, u64::saturating_add);
        breaches.expect(Invariant::Conservation, accepted == settled.saturating_add(queued), || {
            format!("{accepted} were taken in, {settled} are settled and {queued} wait")
        });
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RoomId, UserId};
    use crate::port::store::{Gap, GapReason};
    use crate::stream::{MessageId, MessageKind, NewMessage, StoredMessage};
    use crate::time::WallTime;

    fn page(messages: &[u64], gaps: &[(u64, u64)], head: u64, more: bool) -> Page {
        let message = |seq: &u64| StoredMessage {
            seq: Seq::new(*seq),
            message: NewMessage {
                room: RoomId::lobby(),
                kind: MessageKind::Message,
                sender: UserId::parse("ann").unwrap(),
                sender_name: "Ann".into(),
                id: MessageId::parse("1").unwrap(),
                body: "{}".into(),
                correlation: "c".into(),
                at: WallTime::from_unix_millis(0),
            },
        };
        let gap = |(from, to): &(u64, u64)| Gap {
            from: Seq::new(*from),
            to: Seq::new(*to),
            reason: GapReason::Expired,
        };
        let (messages, gaps) = (messages.iter().map(message).collect(), gaps.iter().map(gap).collect());
        Page { messages, gaps, head: Seq::new(head), more }
    }

    #[test]
    fn a_page_is_whole_if_each_place_is_told_once() {
        for (whole, of) in [
            (page(&[4, 5], &[], 5, false), "all there is"),
            (page(&[4, 5], &[], 9, true), "a part"),
            (page(&[6, 9], &[(4, 5), (7, 8)], 9, false), "gaps between"),
            (page(&[], &[(4, 9)], 9, false), "a gap alone"),
            (page(&[4], &[(5, 9)], 9, false), "a gap at the end"),
            (page(&[], &[], 2, false), "a place beyond the end"),
        ] {
            assert!(whole.check(Seq::new(3)).is_empty(), "{of}");
        }
        for (broken, of) in [
            (page(&[5], &[], 5, false), "a hole before it"),
            (page(&[4, 6], &[], 6, false), "a hole in it"),
            (page(&[4, 6], &[(5, 5), (7, 7)], 8, false), "a hole after it"),
            (page(&[4, 4], &[], 4, false), "a message twice"),
            (page(&[5, 4], &[], 5, false), "an order that is none"),
            (page(&[4, 5], &[(4, 4)], 5, false), "a gap where a message is"),
            (page(&[4, 5], &[], 4, false), "a message beyond the newest"),
            (page(&[], &[], 5, false), "nothing though there is something"),
        ] {
            assert!(!broken.check(Seq::new(3)).is_empty(), "{of}");
        }
    }

    #[test]
    fn a_balance_that_does_not_add_up_is_found() {
        let even = Balance {
            accepted: 9,
            acked: 3,
            queued: 2,
            expired: 1,
            dropped: 2,
            purged: 1,
            ..Balance::default()
        };
        assert!(even.check().is_empty());
        assert!(!Balance { queued: 3, ..even }.check().is_empty());
        assert!(!Balance { dropped: 1, ..even }.check().is_empty());
    }
}
