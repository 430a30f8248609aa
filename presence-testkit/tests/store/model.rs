//! The store in a file against the one in memory, call by call: whatever is asked of both, in whatever order and with
//! whatever restarts between, they say the same.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{DocumentKey, Invitation, InvitationAnswer, PersonPatch, Revision, Username};
use presence_core::port::store::{PageLimits, Store, StreamLimits};
use presence_core::profile::Color;
use presence_core::stream::{MessageKind, NewMessage, Seq};
use presence_core::time::WallTime;
use presence_server::store::FILE;
use presence_server::store::memory::MemoryStore;
use presence_testkit::contract::store::{ALL, at, message, room, user};
use presence_testkit::folder::Folder;
use presence_testkit::random::Random;

use crate::file::{is_whole, open, options};

/// So small that everything happens all the time.
const LIMITS: StreamLimits = StreamLimits {
    messages: 6,
    bytes: 60,
    age: Duration::from_millis(200),
    dedup: Duration::from_millis(100),
    dedup_ids: 12,
};

const ROOMS: [&str; 4] = ["doc", "other", "@ann", "@bob"];
const USERS: [&str; 4] = ["ann", "bob", "cid", "dan"];

/// A call, with all that it says.
#[derive(Clone, Debug)]
enum Call {
    Append(NewMessage),
    Read(RoomId, Seq, PageLimits),
    Subscribe(RoomId, UserId),
    Unsubscribe(RoomId, UserId),
    Acknowledge(RoomId, UserId, Seq),
    Expire(WallTime),
    ChangePerson(UserId, PersonPatch, WallTime),
    SeenOnline(Vec<(UserId, WallTime)>),
    AddMember(RoomId, UserId, WallTime),
    RemoveMember(RoomId, UserId),
    Invite(Invitation, NewMessage),
    Answer(RoomId, UserId, InvitationAnswer, WallTime),
    Changes(UserId, WallTime, usize),
    WriteDocument(UserId, DocumentKey, Bytes, Option<Option<Revision>>, WallTime),
    DeleteDocument(UserId, DocumentKey, Option<Option<Revision>>),
    KeepNotices(Vec<Bytes>, usize),
    ForgetNotices(u64),
}

fn said(outcome: impl Debug) -> String {
    format!("{outcome:?}")
}

impl Call {
    fn draw(random: &mut Random, now: i64) -> Self {
        let room = room(ROOMS[random.below(ROOMS.len())]);
        let user = user(USERS[random.below(USERS.len())]);
        // Clocks are set back at times.
        let now = at(now - if random.below(8) == 0 { 60 } else { 0 });
        let seq = Seq::new(random.below(30) as u64);
        match random.below(24) {
            0..=6 => Self::Append(any_message(random, &room, now)),
            7 => Self::Read(room, seq, PageLimits { messages: random.below(5), bytes: random.below(60) }),
            8 => Self::Subscribe(room, user),
            9 => Self::Unsubscribe(room, user),
            10..=12 => Self::Acknowledge(room, user, seq),
            13 | 14 => Self::Expire(now),
            15 => Self::ChangePerson(user, any_patch(random), now),
            16 => Self::SeenOnline(vec![(user.clone(), now), (user, at(now.as_unix_millis() - 5))]),
            17 => Self::AddMember(room, user, now),
            18 => Self::RemoveMember(room, user),
            19 => any_invitation(random, room, user, now),
            20 => {
                let answers =
                    [InvitationAnswer::Accept, InvitationAnswer::Decline, InvitationAnswer::Withdraw];
                Self::Answer(room, user, answers[random.below(3)], now)
            }
            21 => Self::Changes(user, at(now.as_unix_millis() - 100), random.below(4)),
            22 => any_document_call(random, user, now),
            _ if random.below(2) == 0 => Self::ForgetNotices(random.below(30) as u64),
            _ => Self::KeepNotices(vec![Bytes::from(format!("\"{seq}\"")); random.below(4)], 3),
        }
    }

    async fn make(self, store: &dyn Store) -> String {
        match self {
            Self::Append(message) => said(store.append(message).await),
            Self::Read(room, after, limits) => said(store.read(&room, after, limits).await),
            Self::Subscribe(room, user) => said(store.subscribe(&room, &user).await),
            Self::Unsubscribe(room, user) => said(store.unsubscribe(&room, &user).await),
            Self::Acknowledge(room, user, seq) => said(store.acknowledge(&room, &user, seq).await),
            Self::Expire(now) => said(store.expire(now).await),
            Self::ChangePerson(user, patch, now) => said(store.change_person(&user, patch, now).await),
            Self::SeenOnline(seen) => said(store.seen_online(&seen).await),
            Self::AddMember(room, user, now) => said(store.add_member(&room, &user, now).await),
            Self::RemoveMember(room, user) => said(store.remove_member(&room, &user).await),
            Self::Invite(invitation, notice) => said(store.invite(invitation, notice).await),
            Self::Answer(room, user, answer, now) => {
                said(store.answer_invitation(&room, &user, answer, now).await)
            }
            Self::Changes(user, since, limit) => said(store.changes(&user, since, limit).await),
            Self::WriteDocument(user, key, body, expected, now) => {
                said(store.write_document(&user, &key, body, expected, now).await)
            }
            Self::DeleteDocument(user, key, expected) => {
                said(store.delete_document(&user, &key, expected).await)
            }
            Self::KeepNotices(notices, held_max) => said(store.keep_notices(notices, held_max).await),
            Self::ForgetNotices(up_to) => said(store.forget_notices(up_to).await),
        }
    }
}

/// A message with one of few ids, so that many are repetitions, right ones and wrong ones.
fn any_message(random: &mut Random, room: &RoomId, now: WallTime) -> NewMessage {
    let sender = USERS[random.below(USERS.len())];
    let id = random.below(12).to_string();
    let body = "x".repeat(if random.below(4) == 0 { random.below(80) } else { 8 });
    NewMessage { at: now, ..message(room.as_str(), sender, &id, &body) }
}

fn any_patch(random: &mut Random) -> PersonPatch {
    let name = Username::parse(["Ann", "Bob the builder"][random.below(2)]).unwrap();
    let color = Color::parse(["#fb0", "#1f6feb"][random.below(2)]).unwrap();
    let mut maybe = || random.below(3);
    PersonPatch {
        username: [None, Some(None), Some(Some(name))][maybe()].clone(),
        color: [None, Some(None), Some(Some(color))][maybe()],
        avatar: [None, Some(None), Some(Some(Arc::from("https://a.b")))][maybe()].clone(),
        email: [None, Some(None), Some(Some(Arc::from("a@b.c")))][maybe()].clone(),
    }
}

fn any_invitation(random: &mut Random, room: RoomId, who: UserId, now: WallTime) -> Call {
    let inbox = RoomId::inbox(&who);
    let notice = any_message(random, &inbox, now);
    let invitation = Invitation { room, user: who, invited_by: notice.sender.clone(), created_at: now };
    Call::Invite(invitation, NewMessage { kind: MessageKind::Invitation, ..notice })
}

fn any_document_call(random: &mut Random, user: UserId, now: WallTime) -> Call {
    let key = DocumentKey::parse(["settings", "list"][random.below(2)]).unwrap();
    let expected = [None, Some(None), Some(Some(Revision(random.below(6) as u64)))][random.below(3)];
    match random.below(3) {
        0 => Call::DeleteDocument(user, key, expected),
        _ => Call::WriteDocument(user, key, Bytes::from_static(b"{}"), expected, now),
    }
}

/// All that can be asked of a store.
async fn everything(store: &dyn Store) -> Result<String> {
    let mut all = vec![said(store.balance().await?), said(store.notices(100).await?)];
    for id in ROOMS.map(room) {
        all.push(said(store.read(&id, Seq::new(0), ALL).await?));
        all.push(said(store.roster(&id).await?));
        all.push(said(store.invitations_to(&id).await?));
    }
    for id in USERS.map(user) {
        all.push(said(store.standings(&id).await?));
        all.push(said(store.people(std::slice::from_ref(&id)).await?));
        all.push(said(store.acquaintances(&id).await?));
        all.push(said(store.invitations_of(&id).await?));
        all.push(said(store.changes(&id, at(0), 100).await?));
        for key in ["settings", "list"] {
            all.push(said(store.document(&id, &DocumentKey::parse(key)?).await?));
        }
        for room in ROOMS.map(room) {
            all.push(said(store.is_member(&room, &id).await?));
        }
    }
    Ok(all.join("\n"))
}

async fn agree(seed: u64, calls: usize) -> Result<()> {
    let folder = Folder::made()?;
    let mut random = Random::new(seed);
    let model = MemoryStore::new(LIMITS);
    let mut store = open(folder.path(), options(LIMITS))?;
    let (mut now, mut made) = (1_000, Vec::new());
    for number in 1..=calls {
        now += random.below(20) as i64;
        let call = Call::draw(&mut random, now);
        made.push(call.clone());
        let (wanted, got) = (call.clone().make(&model).await, call.make(&store).await);
        ensure!(
            wanted == got,
            "seed {seed}, after {number} calls, the last of them {:?}:\n{wanted}\n{got}",
            made.pop()
        );
        if number % 50 == 0 {
            let (wanted, got) = (everything(&model).await?, everything(&store).await?);
            ensure!(wanted == got, "seed {seed}, after {number} calls:\n{wanted}\n---\n{got}");
            is_whole(&folder.path().join(FILE))?;
        }
        if random.below(100) == 0 {
            drop(store);
            store = open(folder.path(), options(LIMITS))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_file_and_memory_agree_on_everything() -> Result<()> {
    for seed in 0..20 {
        agree(seed, 500).await?;
    }
    Ok(())
}
