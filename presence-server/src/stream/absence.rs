//! Who has no connection when a message waits for them, so that a backend can tell them in another way. Nothing is kept
//! unless a backend wants to know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use presence_core::id::{RoomId, UserId};
use presence_core::stream::Seq;
use presence_core::time::Timestamp;

/// A message that waits for somebody who is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) room: RoomId,
    pub(super) user: UserId,
    pub(super) seq: Seq,
}

/// The newest messages of a room, whose roster has to be read to know who misses them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) seq: Seq,
    /// Who has sent them, if that was one user.
    pub(super) sender: Option<UserId>,
}

/// Who is here, and what is still to be found out.
#[derive(Debug)]
pub(super) struct Absence {
    /// Connections of each user.
    here: HashMap<UserId, usize>,
    /// Those who may be back at once, and what waits for them.
    expected: HashMap<UserId, Expected>,
    ends: BTreeSet<(Timestamp, UserId)>,
    /// Until then nobody is missed: whoever was here before the server started has that long to come back.
    opening: Timestamp,
    /// Rooms whose roster is being read, and what has come meanwhile.
    asked: BTreeMap<RoomId, Option<Question>>,
    /// Rooms whose roster could not be read.
    unanswered: BTreeMap<RoomId, Question>,
}

#[derive(Debug)]
struct Expected {
    until: Timestamp,
    missed: BTreeMap<RoomId, Seq>,
}

impl Absence {
    pub(super) fn new(opening: Timestamp) -> Self {
        Self {
            here: HashMap::new(),
            expected: HashMap::new(),
            ends: BTreeSet::new(),
            opening,
            asked: BTreeMap::new(),
            unanswered: BTreeMap::new(),
        }
    }

    /// A connection of a user: what waits for them comes by it.
    pub(super) fn come(&mut self, user: &UserId) {
        *self.here.entry(user.clone()).or_default() += 1;
        if let Some(expected) = self.expected.remove(user) {
            self.ends.remove(&(expected.until, user.clone()));
        }
    }

    /// It is gone, and for this long another may take its place.
    pub(super) fn go(&mut self, now: Timestamp, user: &UserId, wait: Duration) {
        let Some(connections) = self.here.get_mut(user) else { return };
        *connections -= 1;
        if *connections == 0 {
            self.here.remove(user);
            if !wait.is_zero() {
                self.expect(user, now + wait);
            }
        }
    }

    fn expect(&mut self, user: &UserId, until: Timestamp) {
        self.expected.insert(user.clone(), Expected { until, missed: BTreeMap::new() });
        self.ends.insert((until, user.clone()));
    }

    /// There is a message for a user. Gives it back if they miss it; of those who may be back that is seen later.
    pub(super) fn wait(&mut self, now: Timestamp, room: &RoomId, user: &UserId, seq: Seq) -> Option<Missed> {
        if self.here.contains_key(user) {
            return None;
        }
        if now < self.opening && !self.expected.contains_key(user) {
            self.expect(user, self.opening);
        }
        if let Some(expected) = self.expected.get_mut(user) {
            let newest = expected.missed.entry(room.clone()).or_default();
            *newest = seq.max(*newest);
            return None;
        }
        Some(Missed { room: room.clone(), user: user.clone(), seq })
    }

    /// Those who have not come back in time, and what they miss.
    pub(super) fn given_up(&mut self, now: Timestamp) -> Vec<Missed> {
        let mut missed = Vec::new();
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, user)) = self.ends.pop_first() else { break };
            let Some(expected) = self.expected.remove(&user) else { continue };
            let of_user = expected.missed.into_iter();
            missed.extend(of_user.map(|(room, seq)| Missed { room, user: user.clone(), seq }));
        }
        missed
    }

    /// A room has a message. Gives what its roster is to be read for, unless it is being read: then that comes next.
    pub(super) fn ask(&mut self, room: &RoomId, seq: Seq, sender: &UserId) -> Option<Question> {
        let mut question = Question { seq, sender: Some(sender.clone()) };
        match self.asked.get_mut(room) {
            Some(next) => {
                if let Some(before) = next.take() {
                    question.sender = question.sender.filter(|sender| before.sender.as_ref() == Some(sender));
                }
                *next = Some(question);
                None
            }
            None => {
                self.asked.insert(room.clone(), None);
                Some(question)
            }
        }
    }

    /// The roster has been read. Gives what it is to be read for again, if there is something.
    pub(super) fn answered(&mut self, room: &RoomId) -> Option<Question> {
        let next = self.asked.get_mut(room)?.take();
        if next.is_none() {
            self.asked.remove(room);
        }
        next
    }

    /// It could not be read; it is asked for again in a while.
    pub(super) fn not_answered(&mut self, room: RoomId, question: Question) {
        let newer = self.asked.remove(&room).flatten();
        self.unanswered.insert(room, newer.unwrap_or(question));
    }

    /// What was not answered, to be asked again.
    pub(super) fn ask_again(&mut self) -> Vec<(RoomId, Question)> {
        let again: Vec<_> = std::mem::take(&mut self.unanswered).into_iter().collect();
        let (free, asked): (Vec<_>, Vec<_>) =
            again.into_iter().partition(|(room, _)| !self.asked.contains_key(room));
        // A newer message has asked for these already.
        drop(asked);
        self.asked.extend(free.iter().map(|(room, _)| (room.clone(), None)));
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: Timestamp = Timestamp::from_millis(10);
    const WAIT: Duration = Duration::from_millis(100);

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn room() -> RoomId {
        RoomId::parse("doc").unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn missed(seq: u64) -> Missed {
        Missed { room: room(), user: user("bob"), seq: Seq::new(seq) }
    }

    fn wait(absence: &mut Absence, millis: u64, seq: u64) -> Option<Missed> {
        absence.wait(at(millis), &room(), &user("bob"), Seq::new(seq))
    }

    #[test]
    fn who_has_a_connection_misses_nothing_and_who_has_none_does_at_once() {
        let mut absence = Absence::new(OPENING);
        absence.come(&user("bob"));
        absence.come(&user("bob"));
        assert_eq!(wait(&mut absence, 20, 1), None);
        absence.go(at(30), &user("bob"), Duration::ZERO);
        assert_eq!(wait(&mut absence, 30, 2), None, "another device is there");
        absence.go(at(30), &user("bob"), Duration::ZERO);
        assert_eq!(wait(&mut absence, 31, 3), Some(missed(3)));
    }

    #[test]
    fn who_may_be_back_at_once_is_missed_only_if_they_are_not() {
        let mut absence = Absence::new(OPENING);
        absence.come(&user("bob"));
        absence.go(at(20), &user("bob"), WAIT);
        assert_eq!((wait(&mut absence, 30, 1), wait(&mut absence, 40, 2)), (None, None));
        absence.come(&user("bob"));
        assert_eq!(absence.given_up(at(500)), []);
        absence.go(at(600), &user("bob"), WAIT);
        assert_eq!((wait(&mut absence, 610, 3), wait(&mut absence, 620, 4)), (None, None));
        assert_eq!(absence.given_up(at(699)), []);
        assert_eq!(absence.given_up(at(700)), [missed(4)], "the newest stands for all");
        assert_eq!(wait(&mut absence, 700, 5), Some(missed(5)));
    }

    #[test]
    fn nobody_is_missed_before_they_had_time_to_come_back_to_a_new_server() {
        let mut absence = Absence::new(OPENING);
        assert_eq!(wait(&mut absence, 5, 1), None);
        assert_eq!(absence.given_up(at(10)), [missed(1)]);
    }

    #[test]
    fn a_roster_is_read_once_at_a_time_and_again_for_what_came_meanwhile() {
        let mut absence = Absence::new(OPENING);
        let question = |seq, sender: Option<&str>| Question { seq: Seq::new(seq), sender: sender.map(user) };
        assert_eq!(absence.ask(&room(), Seq::new(1), &user("ann")), Some(question(1, Some("ann"))));
        assert_eq!(absence.ask(&room(), Seq::new(2), &user("ann")), None);
        assert_eq!(absence.ask(&room(), Seq::new(3), &user("cleo")), None);
        assert_eq!(
            absence.answered(&room()),
            Some(question(3, None)),
            "each of them misses what the other sent"
        );
        absence.not_answered(room(), question(3, None));
        assert_eq!(absence.ask_again(), [(room(), question(3, None))]);
        assert_eq!(absence.answered(&room()), None);
        assert_eq!(absence.ask_again(), []);
    }
}
