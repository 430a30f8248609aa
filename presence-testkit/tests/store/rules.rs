//! Streams, rosters and invitations against a model that keeps everything for ever: what is sent has the next place once,
//! whoever receives it is never moved back, pages and gaps are all there is, every message is accounted for, and an
//! invitation is open from when it is made to when it is answered. A list of calls that fails is made short, and its seed is
//! kept beside this file.

use std::collections::BTreeMap;
use std::time::Duration;

use presence_core::id::{RoomId, UserId};
use presence_core::people::{Invitation, InvitationAnswer};
use presence_core::port::store::{
    Appended, Balance, GapReason, PageLimits, Standing, Store, StoreError, StreamLimits,
};
use presence_core::stream::{MessageKind, NewMessage, Seq};
use presence_server::store::memory::MemoryStore;
use presence_testkit::contract::store::{at, message, room, user};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tokio::runtime::{Builder, Runtime};

/// So few that streams overflow all the time.
const HELD_MAX: usize = 4;

const LIMITS: StreamLimits = StreamLimits {
    messages: HELD_MAX,
    bytes: 1_000_000,
    age: Duration::from_secs(1_000_000),
    dedup: Duration::from_secs(1_000_000),
    dedup_ids: 1_000_000,
};

const ROOMS: [&str; 5] = ["doc", "other", "@ann", "@bob", "@cid"];
const USERS: [&str; 3] = ["ann", "bob", "cid"];

/// A call; numbers stand for rooms, users and ids of messages.
#[derive(Clone, Debug)]
enum Call {
    Send { room: usize, sender: usize, id: u8, body: u8 },
    Read { room: usize, after: u64, limit: usize },
    Subscribe { room: usize, user: usize },
    Unsubscribe { room: usize, user: usize },
    Acknowledge { room: usize, user: usize, seq: u64 },
    Add { room: usize, user: usize },
    Remove { room: usize, user: usize },
    Invite { room: usize, by: usize, user: usize },
    Answer { room: usize, user: usize, answer: InvitationAnswer },
}

fn call() -> impl Strategy<Value = Call> {
    let (rooms, users) = (0..ROOMS.len(), 0..USERS.len());
    let place = (rooms.clone(), users.clone());
    let answers = prop::sample::select(vec![
        InvitationAnswer::Accept,
        InvitationAnswer::Decline,
        InvitationAnswer::Withdraw,
    ]);
    prop_oneof![
        6 => (place.clone(), 0..12_u8, 0..2_u8)
            .prop_map(|((room, sender), id, body)| Call::Send { room, sender, id, body }),
        2 => (rooms.clone(), 0..16_u64, 1..6_usize)
            .prop_map(|(room, after, limit)| Call::Read { room, after, limit }),
        1 => place.clone().prop_map(|(room, user)| Call::Subscribe { room, user }),
        1 => place.clone().prop_map(|(room, user)| Call::Unsubscribe { room, user }),
        4 => (place.clone(), 0..16_u64)
            .prop_map(|((room, user), seq)| Call::Acknowledge { room, user, seq }),
        2 => place.clone().prop_map(|(room, user)| Call::Add { room, user }),
        1 => place.clone().prop_map(|(room, user)| Call::Remove { room, user }),
        3 => (place.clone(), users).prop_map(|((room, by), user)| Call::Invite { room, by, user }),
        3 => (place, answers).prop_map(|((room, user), answer)| Call::Answer { room, user, answer }),
    ]
}

/// What was sent: by whom, under which id, and what.
type Sent = (usize, String, String);

type Key = (usize, usize);

/// Everything, by the numbers of rooms and users.
#[derive(Default)]
struct Model {
    said: BTreeMap<usize, Vec<Sent>>,
    cursors: BTreeMap<Key, u64>,
    members: Vec<Key>,
    /// Who invited.
    invited: BTreeMap<Key, usize>,
    /// How many messages had how many receivers; how many of those had them, never will, or do not want them.
    accepted: u64,
    acked: u64,
    dropped: u64,
    purged: u64,
    notices: u32,
}

impl Model {
    fn head(&self, room: usize) -> u64 {
        self.said.get(&room).map_or(0, |said| said.len() as u64)
    }

    /// The last message that is gone.
    fn gone(&self, room: usize) -> u64 {
        self.head(room).saturating_sub(HELD_MAX as u64)
    }

    fn owner(room: usize) -> Option<usize> {
        let owner = ROOMS[room].strip_prefix('@')?;
        USERS.iter().position(|user| *user == owner)
    }

    /// Where a user stands, if they receive the room.
    fn cursor(&self, room: usize, user: usize) -> Option<u64> {
        let own = (Self::owner(room) == Some(user)).then_some(0);
        self.cursors.get(&(room, user)).copied().or(own)
    }

    fn receivers(&self, room: usize) -> Vec<usize> {
        (0..USERS.len()).filter(|user| self.cursor(room, *user).is_some()).collect()
    }

    fn send(&mut self, room: usize, sent: Sent) -> Result<(u64, bool), StoreError> {
        for (place, said) in &self.said {
            if let Some(at) = said.iter().position(|(sender, id, _)| (*sender, id) == (sent.0, &sent.1)) {
                return match *place == room && said[at] == sent {
                    true => Ok((at as u64 + 1, false)),
                    false => Err(StoreError::Conflict("")),
                };
            }
        }
        let (sender, before, receivers) = (sent.0, self.gone(room), self.receivers(room));
        self.said.entry(room).or_default().push(sent);
        let head = self.head(room);
        self.accepted += receivers.len() as u64;
        if self.cursor(room, sender) == Some(head - 1) {
            self.cursors.insert((room, sender), head);
            self.acked += 1;
        }
        if self.gone(room) > before {
            let missed = receivers.iter().filter(|user| self.cursor(room, **user) < Some(self.gone(room)));
            self.dropped += missed.count() as u64;
        }
        Ok((head, true))
    }

    fn waiting(&self, room: usize, user: usize) -> u64 {
        let cursor = self.cursor(room, user).unwrap_or_default();
        self.head(room) - cursor.max(self.gone(room))
    }

    fn receive(&mut self, room: usize, user: usize) -> u64 {
        let cursor = self.cursor(room, user).unwrap_or(self.head(room));
        self.cursors.insert((room, user), cursor);
        cursor
    }

    fn leave(&mut self, room: usize, user: usize) {
        self.purged += self.waiting(room, user) * u64::from(self.cursor(room, user).is_some());
        self.cursors.remove(&(room, user));
    }

    fn acknowledge(&mut self, room: usize, user: usize, seq: u64) -> Result<u64, StoreError> {
        let cursor = self.cursor(room, user).ok_or(StoreError::NotFound(""))?;
        if seq > self.head(room) {
            return Err(StoreError::Conflict(""));
        }
        if seq > cursor {
            let before = self.waiting(room, user);
            self.cursors.insert((room, user), seq);
            self.acked += before - self.waiting(room, user);
        }
        Ok(seq.max(cursor))
    }

    fn add(&mut self, room: usize, user: usize) -> bool {
        self.receive(room, user);
        let new = !self.members.contains(&(room, user));
        if new {
            self.members.push((room, user));
            self.invited.remove(&(room, user));
        }
        new
    }
}

struct World {
    runtime: Runtime,
    store: MemoryStore,
    model: Model,
    now: i64,
}

/// The kind of an error; what its sentence is does not matter here.
fn kind<T>(outcome: Result<T, StoreError>) -> Result<T, &'static str> {
    outcome.map_err(|error| match error {
        StoreError::Conflict(_) => "conflict",
        StoreError::NotFound(_) => "not found",
        other => panic!("{other}"),
    })
}

fn rooms(of: usize) -> RoomId {
    room(ROOMS[of])
}

fn users(of: usize) -> UserId {
    user(USERS[of])
}

impl World {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { runtime, store: MemoryStore::new(LIMITS), model: Model::default(), now: 0 }
    }

    fn make(&mut self, call: &Call) {
        self.now += 1;
        let Self { runtime, store, model, now } = self;
        let now = at(*now);
        match *call {
            Call::Send { room, sender, id, body } => {
                let sent = (sender, id.to_string(), body.to_string());
                let new = NewMessage { at: now, ..message(ROOMS[room], USERS[sender], &sent.1, &sent.2) };
                let got = kind(runtime.block_on(store.append(new))).map(|appended| match appended {
                    Appended::New { seq } => (seq.number(), true),
                    Appended::Again { seq, .. } => (seq.number(), false),
                });
                assert_eq!(got, kind(model.send(room, sent)));
            }
            Call::Read { room, after, limit } => self.read(room, after, limit),
            Call::Subscribe { room, user } => {
                let allowed = Model::owner(room).is_none_or(|owner| owner == user);
                let wanted = if allowed {
                    Ok((model.cursor(room, user).unwrap_or(model.head(room)), model.head(room)))
                } else {
                    Err("conflict")
                };
                if allowed && Model::owner(room).is_none() {
                    model.receive(room, user);
                }
                let got = kind(runtime.block_on(store.subscribe(&rooms(room), &users(user))));
                assert_eq!(got.map(numbers), wanted);
            }
            Call::Unsubscribe { room, user } => {
                if Model::owner(room) != Some(user) && !model.members.contains(&(room, user)) {
                    model.leave(room, user);
                }
                runtime.block_on(store.unsubscribe(&rooms(room), &users(user))).unwrap();
            }
            Call::Acknowledge { room, user, seq } => {
                let wanted =
                    kind(model.acknowledge(room, user, seq)).map(|cursor| (cursor, model.head(room)));
                let got = runtime.block_on(store.acknowledge(&rooms(room), &users(user), Seq::new(seq)));
                assert_eq!(kind(got).map(numbers), wanted);
            }
            Call::Add { room, user } => {
                let wanted =
                    if Model::owner(room).is_some() { Err("conflict") } else { Ok(model.add(room, user)) };
                let got = runtime.block_on(store.add_member(&rooms(room), &users(user), now));
                assert_eq!(kind(got), wanted);
            }
            Call::Remove { room, user } => {
                let was = model.members.contains(&(room, user));
                if was {
                    model.members.retain(|member| *member != (room, user));
                    model.leave(room, user);
                }
                assert_eq!(runtime.block_on(store.remove_member(&rooms(room), &users(user))), Ok(was));
            }
            Call::Invite { room, by, user } => self.invite(room, by, user),
            Call::Answer { room, user, answer } => {
                let open = model.invited.remove(&(room, user));
                if open.is_some() && answer == InvitationAnswer::Accept {
                    model.add(room, user);
                }
                let (room, user) = (rooms(room), users(user));
                let got = kind(runtime.block_on(store.answer_invitation(&room, &user, answer, now)));
                let got = got.map(|invitation| invitation.invited_by);
                assert_eq!(got, open.map(users).ok_or("not found"));
            }
        }
        self.agree();
    }

    fn invite(&mut self, room: usize, by: usize, user: usize) {
        let Self { runtime, store, model, now } = self;
        let inbox = format!("@{}", USERS[user]);
        model.notices += 1;
        let id = format!("notice-{}", model.notices);
        let notice = message(&inbox, USERS[by], &id, "{}");
        let notice = NewMessage { kind: MessageKind::Invitation, at: at(*now), ..notice };
        let invitation =
            Invitation { room: rooms(room), user: users(user), invited_by: users(by), created_at: at(*now) };
        let got = kind(runtime.block_on(store.invite(invitation, notice))).map(Seq::number);
        let key = (room, user);
        if Model::owner(room).is_some() || model.members.contains(&key) || model.invited.contains_key(&key) {
            assert_eq!(got, Err("conflict"));
            return;
        }
        model.invited.insert(key, by);
        let inbox =
            ROOMS.iter().position(|room| *room == inbox).expect("everybody's inbox is among the rooms");
        assert_eq!(got, kind(model.send(inbox, (by, id, "{}".to_owned()))).map(|(seq, _)| seq));
    }

    fn read(&self, room: usize, after: u64, limit: usize) {
        let limits = PageLimits { messages: limit, bytes: usize::MAX };
        let page = self.runtime.block_on(self.store.read(&rooms(room), Seq::new(after), limits)).unwrap();
        let (head, gone) = (self.model.head(room), self.model.gone(room));
        assert_eq!(page.head.number(), head);
        let first = after.max(gone) + 1;
        let last = head.min(first + limit as u64 - 1);
        let numbers: Vec<u64> = page.messages.iter().map(|message| message.seq.number()).collect();
        assert_eq!(numbers, (first..=last).collect::<Vec<_>>());
        for stored in &page.messages {
            let (_, id, body) = &self.model.said[&room][stored.seq.number() as usize - 1];
            assert_eq!(
                (stored.message.id.as_str(), &stored.message.body[..]),
                (id.as_str(), body.as_bytes())
            );
        }
        assert_eq!(page.more, last < head);
        let gaps: Vec<_> =
            page.gaps.iter().map(|gap| (gap.from.number(), gap.to.number(), gap.reason)).collect();
        let missing = (after < gone).then_some((after + 1, gone, GapReason::Overflow));
        assert_eq!(gaps, Vec::from_iter(missing));
    }

    /// M2, M6, M9: whoever looks sees what the model has.
    fn agree(&self) {
        let Self { runtime, store, model, .. } = self;
        for room in 0..ROOMS.len() {
            let roster = runtime.block_on(store.roster(&rooms(room))).unwrap();
            let roster: Vec<UserId> = roster.into_iter().map(|member| member.user).collect();
            let members = model.members.iter().filter(|(of, _)| *of == room);
            assert_eq!(
                roster,
                members.map(|(_, user)| users(*user)).collect::<Vec<_>>(),
                "by when they came"
            );
            let mut open = runtime.block_on(store.invitations_to(&rooms(room))).unwrap();
            open.sort_by(|one, other| one.user.cmp(&other.user));
            let open: Vec<_> = open.into_iter().map(|one| (one.user, one.invited_by)).collect();
            let wanted = model.invited.iter().filter(|((of, _), _)| *of == room);
            assert_eq!(open, wanted.map(|((_, user), by)| (users(*user), users(*by))).collect::<Vec<_>>());
        }
        for user in 0..USERS.len() {
            for (id, standing) in runtime.block_on(store.standings(&users(user))).unwrap() {
                let room = ROOMS.iter().position(|room| *room == id.as_str()).expect("it is one of them");
                let cursor = model.cursor(room, user).expect("they receive it");
                assert_eq!(numbers(standing), (cursor, model.head(room)));
            }
        }
        let balance = runtime.block_on(store.balance()).unwrap();
        let pairs = (0..ROOMS.len()).flat_map(|room| (0..USERS.len()).map(move |user| (room, user)));
        let receiving = pairs.filter(|(room, user)| model.cursor(*room, *user).is_some());
        let queued: u64 = receiving.map(|(room, user)| model.waiting(room, user)).sum();
        let wanted = (model.accepted, model.acked, queued, model.dropped, model.purged);
        let Balance { accepted, acked, queued, dropped, purged, .. } = balance;
        assert_eq!((accepted, acked, queued, dropped, purged), wanted);
        let settled = balance.acked + balance.queued + balance.dropped + balance.purged;
        assert_eq!(balance.accepted, settled, "every message is accounted for");
    }
}

fn numbers(standing: Standing) -> (u64, u64) {
    (standing.cursor.number(), standing.head.number())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/store/rules.regressions"))),
        ..ProptestConfig::default()
    })]

    /// M1, M2, M4, M6, M9, and that invitations and rosters are what was asked for.
    #[test]
    fn streams_and_rosters_are_what_was_asked_for(calls in prop::collection::vec(call(), 0..80)) {
        let mut world = World::new();
        calls.iter().for_each(|call| world.make(call));
    }
}
