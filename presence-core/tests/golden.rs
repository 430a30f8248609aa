//! Every server message as it stands on the wire, one file each in `tests/golden`. Clients are tested against the same
//! files. `UPDATE_GOLDEN=1 cargo test -p presence-core --test golden` writes them anew; what that changes is for all
//! clients to see.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use presence_core::digest::Digest;
use presence_core::error::{CloseReason, CommandError, ErrorCode};
use presence_core::id::{ConnectionId, Epoch, Generation, Incarnation, RoomId, SessionId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::people::{Availability, Invitation, Person, RosterMember, Standing, Username};
use presence_core::port::store::{Changes, Durability, Gap, GapReason};
use presence_core::profile::Profile;
use presence_core::room::{LeaveCause, Link, Member, Mode, SessionPresence};
use presence_core::stream::{MessageId, MessageKind, NewMessage, Seq, StoredMessage};
use presence_core::time::WallTime;
use presence_core::window::Window;
use presence_core::wire::{
    self, Changed, ClientMessage, Json, Kept, Reference, RoomStand, Roster, SnapshotReason, SyncResult,
    Totals,
};

const WALL: WallTime = WallTime::from_unix_millis(1_645_564_800_000);

fn json(text: &str) -> Json {
    Json::from(serde_json::value::RawValue::from_string(text.to_owned()).unwrap())
}

fn ann() -> Member {
    let mut profile = Profile::of_user(UserId::parse("ann").unwrap());
    profile.name = "Ann 💡".into();
    profile.avatar = Some("https://example.org/ann.png".into());
    profile.email = Some("ann@example.org".into());
    let session = SessionPresence {
        id: SessionId::parse("tab-1").unwrap(),
        link: Link::Attached(Generation::new(1)),
        connected_at: WALL,
        active: true,
        state: BTreeMap::from([("tool".into(), json(r#"{"kind":"pen"}"#))]),
        cursor: Some(json(r#"{"x":0.5,"y":0.25,"visible":true}"#)),
    };
    let (told, sessions) = (Version::new(7), vec![session]);
    Member {
        profile: Arc::new(profile),
        joined_at: WALL,
        last_seen: WALL,
        told,
        sessions: sessions.into_iter().collect(),
    }
}

fn stored(seq: u64) -> StoredMessage {
    let message = NewMessage {
        room: RoomId::parse("doc-1").unwrap(),
        kind: MessageKind::Message,
        sender: UserId::parse("ann").unwrap(),
        sender_name: "Ann 💡".into(),
        id: MessageId::parse("m-1").unwrap(),
        body: r#"{"text":"hello"}"#.into(),
        correlation: "00000000000000000000000000000001-4".into(),
        at: WALL,
    };
    StoredMessage { seq: Seq::new(seq), message }
}

fn invitation() -> StoredMessage {
    let StoredMessage { seq, message } = stored(3);
    let (room, body) = (RoomId::parse("@bob").unwrap(), wire::invitation_notice(&message.room).into());
    StoredMessage { seq, message: NewMessage { room, body, kind: MessageKind::Invitation, ..message } }
}

fn kept(stored: &StoredMessage) -> Kept<'_> {
    let StoredMessage { seq, message } = stored;
    Kept { id: &message.id, room: &message.room, seq: *seq, at: message.at, durability: Durability::Disk }
}

fn gap() -> Gap {
    Gap { from: Seq::new(3), to: Seq::new(6), reason: GapReason::Overflow }
}

fn sync_result() -> SyncResult {
    let (room, user) = (RoomId::parse("doc-1").unwrap(), UserId::parse("ann").unwrap());
    let person = Person {
        id: user.clone(),
        username: Username::parse("Ann 💡").ok(),
        color: None,
        avatar: Some("https://example.org/ann.png".into()),
        email: None,
        last_online: Some(WALL),
        changed_at: WALL,
    };
    let invitation = Invitation {
        room: RoomId::parse("doc-2").unwrap(),
        user: UserId::parse("bob").unwrap(),
        invited_by: user.clone(),
        created_at: WALL,
    };
    let changes = Changes {
        people: vec![person],
        rosters: vec![RosterMember { room: room.clone(), user, joined_at: WALL }],
        invitations: vec![invitation],
        more: false,
    };
    SyncResult {
        messages: vec![stored(7)],
        dropped: vec![(room.clone(), gap())],
        cursors: vec![(room, Seq::new(7))],
        begins: vec![Seq::new(6)],
        changes,
        more: false,
        at: WALL,
    }
}

fn standings(member: &Member) -> [(&UserId, Standing); 2] {
    let standing = |availability, last_online| Standing { availability, last_online };
    static NOBODY: std::sync::OnceLock<UserId> = std::sync::OnceLock::new();
    let nobody = NOBODY.get_or_init(|| UserId::parse("nobody").unwrap());
    [
        (&member.profile.id, standing(Availability::Online, Some(WALL))),
        (nobody, standing(Availability::Offline, None)),
    ]
}

fn messages() -> Vec<(&'static str, String)> {
    let (member, room) = (ann(), RoomId::parse("doc-1").unwrap());
    let epoch = Epoch::new(Incarnation::from_random(0xfeed), 3);
    let mut digest = Digest::default();
    digest.add(&member.profile.id, 1);
    let version = Version::new(7);
    let stand = RoomStand { room: &room, epoch: &epoch, version, digest, mode: Mode::Wide };
    let (user, session) = (&member.profile.id, &member.sessions[0]);
    let reference: Reference = Some(json(r#""r-1""#));
    let error = CommandError::field(ErrorCode::RateLimited, "state", "too much")
        .retry_after(Duration::from_millis(250));
    let patch = BTreeMap::from([("tool".into(), None), ("page".into(), Some(json("7")))]);
    let all = Changed { name: true, color: true, avatar: true, email: true, status: true, sessions: true };
    let text = |message: presence_core::frame::Message| String::from_utf8(message.text().to_vec()).unwrap();
    let event = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let connection = ConnectionId::from_random(1);
    let roster = Roster::encode(std::iter::once(&member));
    let own = (user, &session.id);
    let username = Username::parse("Ann 💡").unwrap();
    let online = std::iter::once((&*member.profile, Availability::Away));
    let window = Window::parse(0, 100, &Limits::default()).unwrap();
    let (totals, row) = (Totals { users: 10_000, sessions: 10_002 }, wire::window_row(&member));
    let rows = std::iter::once(&row[..]);
    let moved = std::iter::once((user, &session.id, session.cursor.as_ref()));
    vec![
        (
            "connected",
            text(wire::connected(
                connection,
                &member.profile,
                &session.id,
                WALL,
                &Limits::default(),
                &reference,
            )),
        ),
        ("opened", text(wire::opened(connection, WALL))),
        ("close", text(wire::close(CloseReason::TakenOver))),
        ("error", text(wire::error(&error, &reference))),
        ("put_out", text(wire::put_out(&room))),
        ("ping", text(wire::ping(WALL, Some(12)))),
        ("server_draining", text(wire::server_draining(1_500))),
        ("current_users", text(wire::current_users(stand, &roster, own, SnapshotReason::Join, &reference))),
        ("restored", text(wire::restored(&room, &member, session, &reference))),
        ("synced", text(wire::synced(stand, &reference))),
        ("user_joined", event(wire::user_joined(&room, version, &member))),
        ("user_left", event(wire::user_left(&room, version, user, LeaveCause::Timeout, WALL))),
        ("user_updated", event(wire::user_updated(&room, version, &member, all))),
        ("state_updated", event(wire::state_updated(&room, version, user, &session.id, &patch))),
        ("cursors", text(wire::cursors(&room, moved))),
        ("typing", text(wire::typing(&room, std::iter::once(user)))),
        ("mode", text(wire::mode(&room, Mode::Wide))),
        ("window", text(wire::referring(&wire::window(stand, window, totals, Some(rows)), &reference))),
        ("window_totals", text(wire::window(stand, window, totals, None::<std::iter::Empty<_>>))),
        ("message_created", text(wire::stream_message(&stored(7)))),
        ("thread_invitation", text(wire::stream_message(&invitation()))),
        ("ack", text(wire::message_ack(kept(&stored(7)), &reference))),
        ("messages_dropped", text(wire::messages_dropped(&room, &gap()))),
        ("sync_result", text(wire::sync_result(&sync_result(), &reference))),
        ("user_status", text(wire::user_status(standings(&member).into_iter(), &reference))),
        ("online_users", text(wire::online_users(online, WALL, false, &reference))),
        ("user_profile_updated", text(wire::user_profile_updated(Some(&username), &member.profile, WALL))),
        ("invitation_accepted", text(wire::invitation_accepted(&room, user, &member.profile.name, WALL))),
        ("room_presence", event(wire::room_presence(stand, std::iter::once(&member), WALL))),
    ]
}

#[test]
fn every_server_message_stands_on_the_wire_as_it_always_has() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, text) in messages() {
        let file = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, format!("{text}\n")).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, golden.trim_end(), "{name}");
    }
}

/// S5: whatever the bytes, decoding ends in a message or an error. Mutates good messages, seeded.
#[test]
fn s5_no_bytes_make_decoding_panic() {
    let good = [
        r##"{"type":"presence:join","room":"doc","user":{"id":"ann","name":"Ann","color":"#fff"},"state":{"a":[1,{"b":"\ud83d\ude00"}]},"ref":1}"##,
        r#"{"type":"presence:sync","epoch":"e-1","version":7,"digest":"deadbeef"}"#,
        r#"{"type":"presence:cursor","cursor":{"x":0.5,"y":-1e3,"visible":false}}"#,
        r#"{"token":"t","client_id":"ann"}"#,
        r#"{"type":"message","room":"doc","id":"m-1","data":{"text":"x"}}"#,
        r#"{"type":"ack","room":"doc","seq":7}"#,
        r#"{"type":"sync","since":1,"cursors":{"doc":7},"limit":9}"#,
    ];
    let limits = Limits::default();
    let mut seed = 1_u64;
    let mut draw = |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % end
    };
    let interesting = b"{}[]\",:\\u0nulltruefalse-.eE \xff\x00\xed\xa0\x80";
    let (mut messages, mut errors) = (0, 0);
    for _ in 0..200_000 {
        let mut bytes = good[draw(good.len())].as_bytes().to_vec();
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            match draw(4) {
                0 => bytes[at] = interesting[draw(interesting.len())],
                1 => bytes.insert(at, interesting[draw(interesting.len())]),
                2 => bytes.truncate(at.max(1)),
                _ => {
                    bytes.remove(at);
                    bytes.push(b'}');
                }
            }
        }
        match wire::decode(&bytes, &limits).message {
            Ok(message) => {
                assert!(ClientMessage::TYPES.contains(&message.type_name()));
                messages += 1;
            }
            Err(error) => {
                assert!(!error.message.is_empty() && error.message.len() < 1_000, "{error}");
                errors += 1;
            }
        }
    }
    assert!(messages > 1_000 && errors > 1_000, "{messages} messages and {errors} errors");
}

/// A client that sends a long text is not sent that text back (D11).
#[test]
fn a_refusal_does_not_quote_a_whole_message() {
    let limits = Limits::default();
    let long = "x".repeat(10_000);
    for text in [
        format!("\"{long}\""),
        format!("[\"{long}\"]"),
        format!("{{\"type\":\"{long}\"}}"),
        format!("{{\"type\":\"presence:join\",\"user\":\"{long}\"}}"),
        format!("{{\"type\":\"sync\",\"cursors\":{{\"{long}\":1}}}}"),
        format!("{{\"type\":\"ack\",\"seq\":\"{long}\"}}"),
        format!("{{\"{long}\":1,\"{long}\":1}}"),
    ] {
        let error = wire::decode(text.as_bytes(), &limits).message.unwrap_err();
        assert!(error.message.len() < 1_000, "{}", error.message);
    }
}
