//! The words of the model as others meet them: on the wire, in logs, in metrics and in refusals.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use presence_core::digest::Digest;
use presence_core::error::{CloseReason, CommandError, ErrorCode};
use presence_core::frame::{EventId, Frame, FrameKind, Mark, Message};
use presence_core::id::{
    ConnectionId, Epoch, Generation, IdError, Incarnation, RoomId, SessionId, UserId, Version,
};
use presence_core::limits::{Limits, LimitsError, RateLimit};
use presence_core::people::{Availability, DocumentKey, Person, Username, UsernameError};
use presence_core::port::store::{Durability, GapReason, StoreError};
use presence_core::port::transport::{PostError, TransportError};
use presence_core::profile::{Color, Profile, is_safe_picture};
use presence_core::rate::Rate;
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::room::{LeaveCause, Movement};
use presence_core::stream::{MessageId, Seq};
use presence_core::time::{Timestamp, WallTime};
use presence_core::wire::{SnapshotReason, UserClaim};

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// Each word of a list is one of its own, made of what metrics and the wire allow.
fn are_words(words: &[&str]) {
    let each: BTreeSet<&&str> = words.iter().collect();
    assert_eq!(each.len(), words.len(), "{words:?}");
    for word in words {
        assert!(!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{word}");
    }
}

#[test]
fn what_metrics_and_the_wire_tell_apart_has_a_word_each() {
    are_words(&ErrorCode::ALL.map(ErrorCode::as_str));
    are_words(&CloseReason::ALL.map(CloseReason::as_str));
    are_words(&LeaveCause::ALL.map(LeaveCause::as_str));
    are_words(&SnapshotReason::ALL.map(SnapshotReason::as_str));
    are_words(&RateLimit::ALL.map(RateLimit::as_str));
    are_words(&Availability::ALL.map(Availability::as_str));
    are_words(&[Durability::Memory, Durability::Process, Durability::Disk].map(Durability::as_str));
    are_words(&[GapReason::Overflow, GapReason::Expired].map(GapReason::as_str));
    let sentences: BTreeSet<_> = RateLimit::ALL.map(RateLimit::sentence).into();
    assert_eq!(sentences.len(), RateLimit::ALL.len());
}

/// The protocol: 1012 and 4000–4499 mean "come back", 4500–4999 "don't"; who was taken over must not by itself.
#[test]
fn a_close_code_says_whether_to_come_back() {
    for reason in CloseReason::ALL {
        let comes_back = matches!(reason.code(), 1012 | 4000..=4499) && reason != CloseReason::TakenOver;
        assert_eq!(reason.wants_return(), comes_back, "{reason:?}");
    }
}

#[test]
fn an_error_says_what_a_program_and_what_a_person_needs() {
    let error = CommandError::field(ErrorCode::TooLarge, "state", "`state` is too large");
    assert_eq!(error.to_string(), "too_large: `state` is too large");
    let busy = CommandError::new(ErrorCode::Busy, "come again").retry_after(Duration::from_secs(1));
    assert_eq!((busy.retry_after, busy.field), (Some(Duration::from_secs(1)), None));
}

#[test]
fn ids_are_shown_as_they_are_written() {
    let (user, session) = (ann(), SessionId::parse("tab 1").unwrap());
    assert_eq!(
        (format!("{user} {user:?}"), format!("{session} {session:?}")),
        (r#"ann "ann""#.into(), r#"tab 1 "tab 1""#.into())
    );
    assert_eq!(RoomId::inbox(&user).to_string(), "@ann");
    let connection = ConnectionId::from_random(0xfeed);
    assert_eq!(format!("{connection:?}"), "0000000000000000000000000000feed");
    let epoch = Epoch::new(Incarnation::from_random(0xfeed), 3);
    assert_eq!(format!("{epoch} {epoch:?}"), "000000000000feed-3 000000000000feed-3");
    assert_eq!((Generation::new(7).number(), Version::new(7).next().to_string()), (7, "8".to_owned()));
    assert_eq!(MessageId::parse("m-1").unwrap().to_string(), "m-1");
    assert_eq!(Seq::new(6).next().to_string(), "7");
    assert_eq!(format!("{:?}", Timestamp::from_millis(5)), "Timestamp(5)");
    assert_eq!(format!("{:?}", Pattern::new("doc-*")), r#""doc-*""#);
    assert_eq!(format!("{:?}", Color::parse("#FB0").unwrap()), "#fb0");
}

#[test]
fn ids_that_a_server_draws_differ_wherever_what_was_drawn_does() {
    let session = |bits| SessionId::from_random(bits).as_str().to_owned();
    assert_eq!(session(0xfeed), "0000000000000000000000000000feed");
    assert!(SessionId::parse(&session(u128::MAX)).is_ok());
    let node = Incarnation::from_random(7);
    let epochs: BTreeSet<_> =
        (0..64).map(|shard| Epoch::new(node.of_shard(shard), 1).as_str().to_owned()).collect();
    assert_eq!(epochs.len(), 64, "no two shards of a node make the same epoch");
    assert_eq!(Epoch::new(node.of_shard(0), 1), Epoch::new(node, 1));
}

#[test]
fn ids_beyond_their_rules_are_refused_with_the_rule() {
    for (error, rule) in [
        (SessionId::parse("").unwrap_err(), "must not be empty"),
        (SessionId::parse(&"x".repeat(129)).unwrap_err(), "must be at most 128 characters"),
        (RoomId::parse("a b").unwrap_err(), "must not contain ' '"),
        (RoomId::parse("@").unwrap_err(), "must name a user after the @"),
        (ConnectionId::parse("?").unwrap_err(), "is not an id of this server"),
    ] {
        assert_eq!(error.to_string(), rule);
    }
    assert_eq!(MessageId::parse("a\0").unwrap_err(), IdError::Character('\0'));
    assert_eq!(DocumentKey::parse(""), Err(IdError::Empty));
    assert_eq!(DocumentKey::parse("notes/1").unwrap().as_str(), "notes/1");
    let room_without_owner = room("doc");
    assert_eq!((room_without_owner.inbox_of(), RoomId::lobby().as_str()), (None, "lobby"));
}

#[test]
fn a_username_is_trimmed_and_has_3_to_64_characters() {
    assert_eq!(Username::parse("  Ann 💡 ").unwrap().as_str(), "Ann 💡");
    assert!(Username::parse(&"💡".repeat(64)).is_ok() && Username::parse("abc").is_ok());
    for bad in ["ab", "  ab ", "", &"x".repeat(65), "a\nb c"] {
        assert_eq!(Username::parse(bad), Err(UsernameError), "{bad:?}");
    }
}

#[test]
fn what_a_person_has_chosen_stands_over_what_they_say() {
    let said = Arc::new(Profile::of_user(ann())).with(&UserClaim {
        name: Some("Ann".into()),
        email: Some("said@example.org".into()),
        ..UserClaim::default()
    });
    let nothing = Person {
        id: ann(),
        username: None,
        color: None,
        avatar: None,
        email: None,
        last_online: None,
        changed_at: WallTime::default(),
    };
    assert!(Arc::ptr_eq(&nothing.over(&said), &said) && !nothing.has_chosen());
    let color = Color::parse("#123456").unwrap();
    let choices = [
        Person { username: Username::parse("Annie").ok(), ..nothing.clone() },
        Person { color: Some(color), ..nothing.clone() },
        Person { avatar: Some("https://a".into()), ..nothing.clone() },
        Person { email: Some("kept@example.org".into()), ..nothing },
    ];
    let seen = choices.each_ref().map(|person| person.over(&said));
    assert!(choices.iter().all(Person::has_chosen));
    assert_eq!((&*seen[0].name, seen[0].color), ("Annie", said.color));
    assert_eq!((&*seen[1].name, seen[1].color), ("Ann", color));
    assert_eq!(
        (seen[2].avatar.as_deref(), seen[2].email.as_deref()),
        (Some("https://a"), Some("said@example.org"))
    );
    assert_eq!(seen[3].email.as_deref(), Some("kept@example.org"));
}

#[test]
fn of_two_profiles_only_what_is_different_is_put_over_a_third() {
    let plain = Arc::new(Profile::of_user(ann()));
    let all = UserClaim {
        name: Some("Ann".into()),
        color: Some(Color::parse("#abc").unwrap()),
        avatar: Some("data:image/png;base64,".into()),
        email: Some("ann@example.org".into()),
        ..UserClaim::default()
    };
    let full = plain.with(&all);
    assert!(Arc::ptr_eq(&full.with(&all), &full), "what changes nothing makes no copy");
    assert_eq!(plain.changed(&plain, &full), full);
    assert_eq!(full.changed(&full, &plain), plain);
    assert!(Arc::ptr_eq(&plain.changed(&full, &full), &plain));
    let other = plain.with(&UserClaim { name: Some("Annie".into()), ..UserClaim::default() });
    let colored = plain.with(&UserClaim { color: all.color, ..UserClaim::default() });
    let changed = other.changed(&plain, &colored);
    assert_eq!((&*changed.name, changed.color), ("Annie", colored.color));
}

#[test]
fn a_picture_is_one_that_a_browser_shows_without_running_anything() {
    for (address, safe) in [
        ("https://example.org/a.png", true),
        ("data:image/png;base64,", true),
        ("http://example.org/a.png", false),
        ("data:text/html,", false),
        ("javascript:alert(1)", false),
    ] {
        assert_eq!(is_safe_picture(address), safe, "{address}");
    }
}

#[test]
fn s1_a_grant_is_for_its_user_and_its_rooms() {
    let rooms = Rooms::Like(Arc::from([Pattern::new("doc-*"), Pattern::new("@b*")]));
    let grant = Grant { profile: Arc::new(Profile::of_user(ann())), rooms, expires: WallTime::default() };
    assert_eq!(grant.user(), &ann());
    for (name, enters, sends) in [
        ("doc-1", true, true),
        ("team", false, false),
        ("@ann", true, true),
        ("@bob", false, true),
        ("@cleo", false, false),
    ] {
        assert_eq!(grant.allows(&room(name)), enters, "{name}");
        assert_eq!(grant.rooms.allow_sending(grant.user(), &room(name)), sends, "{name}");
    }
    assert!(Rooms::Every.allow_sending(&ann(), &room("@bob")));
}

#[test]
fn p15_time_saturates_and_does_not_go_back() {
    let at = Timestamp::from_millis(1_000);
    assert_eq!(at - Duration::from_millis(400), Timestamp::from_millis(600));
    assert_eq!((at + Duration::MAX).as_millis(), u64::MAX - 1);
    assert_eq!(at.since(at - Duration::from_millis(1)), Duration::from_millis(1));
    assert_eq!(WallTime::from_unix_millis(-5).as_unix_millis(), -5);
}

#[test]
fn a_frame_knows_what_it_is_and_how_long() {
    let id = EventId {
        room: room("doc"),
        epoch: Epoch::new(Incarnation::from_random(1), 2),
        version: Version::new(3),
    };
    assert_eq!(id.to_string(), "doc;0000000000000001-2;3");
    let event = Message::versioned("event", id.clone());
    let goodbye = Message::retry("bye", Duration::from_secs(2));
    let lasting = Message::marked("lasting", Mark::Correlation("c".into()));
    assert_eq!((event.version(), event.mark()), (Some(Version::new(3)), Some(&Mark::Id(id))));
    assert_eq!((goodbye.version(), lasting.version(), Message::new("plain").version()), (None, None, None));
    let frame = Frame::new([event, goodbye, lasting]);
    assert_eq!((frame.kind(), frame.text_len()), (FrameKind::Messages, 15));
    assert_eq!(Frame::heartbeat(Message::new("ping")).kind(), FrameKind::Heartbeat);
}

/// P11: a digest is the sum of who is there, by how many sessions.
#[test]
fn p11_a_digest_tells_users_and_counts_apart() {
    let digest = |users: &[(&str, usize)]| {
        let mut digest = Digest::default();
        users.iter().for_each(|(name, count)| digest.add(&UserId::parse(name).unwrap(), *count));
        digest
    };
    assert_eq!(digest(&[("ann", 1), ("bob", 2)]), digest(&[("bob", 2), ("ann", 1)]));
    assert_ne!(digest(&[("ann", 1)]), digest(&[("ann", 2)]));
    assert_ne!(digest(&[("ann", 1)]), digest(&[("bob", 1)]));
    assert_eq!((digest(&[]).value(), digest(&[]).to_string()), (0, "00000000".to_owned()));
}

#[test]
fn a_movement_has_the_version_that_clients_have_seen() {
    let (version, user, cause) = (Version::new(4), ann(), LeaveCause::Left);
    for movement in [
        Movement::Occupied { version },
        Movement::Joined { version, user: user.clone() },
        Movement::Left { version, user, cause },
        Movement::Vacated { version },
    ] {
        assert_eq!(movement.version(), version);
    }
}

#[test]
fn what_a_port_could_not_do_is_said_in_a_sentence() {
    for (said, sentence) in [
        (PostError::TooLarge { limit: 9 }.to_string(), "a message may have at most 9 bytes"),
        (PostError::Full { limit: 9 }.to_string(), "9 messages wait to be taken in; send slower"),
        (PostError::Over.to_string(), "the connection is over"),
        (TransportError::Protocol("why".into()).to_string(), "the peer broke the protocol: why"),
        (TransportError::TooLarge { limit: 9 }.to_string(), "a message is larger than 9 bytes"),
        (
            StoreError::Unavailable("disk full".into()).to_string(),
            "the store can not be written to: disk full",
        ),
        (StoreError::Busy.to_string(), "the store has too much to do"),
    ] {
        assert_eq!(said, sentence);
    }
    let broken = TransportError::from(io::Error::other("cut"));
    assert_eq!(broken.to_string(), "the connection broke");
    assert_eq!(std::error::Error::source(&broken).unwrap().to_string(), "cut");
}

/// A user's connections together may always do what one of them may.
#[test]
fn s6_a_shared_rate_is_never_less_than_that_of_one_connection() {
    let limits = Limits {
        messages_per_second: 50,
        messages_burst: 70,
        user_messages_per_second: 10,
        user_messages_burst: 10,
        joins_per_second: 5,
        joins_burst: 7,
        user_joins_per_second: 1,
        user_joins_burst: 1,
        control_per_second: 3,
        control_burst: 4,
        ..Limits::default()
    };
    for (limit, count, burst) in [
        (RateLimit::Messages, 50, 70),
        (RateLimit::UserMessages, 50, 70),
        (RateLimit::Joins, 5, 7),
        (RateLimit::UserJoins, 5, 7),
        (RateLimit::Control, 3, 4),
    ] {
        assert_eq!(limits.rate(limit), Rate::per_second(count, burst), "{limit:?}");
    }
    let wider = Limits { user_messages_per_second: 60, user_messages_burst: 90, ..limits };
    assert_eq!(wider.rate(RateLimit::UserMessages), Rate::per_second(60, 90));
}

/// Every relation between limits is held to, and the refusal names the one that is broken.
#[test]
fn limits_that_contradict_each_other_are_refused_by_name() {
    type Break = fn(&mut Limits);
    let breaks: [(&str, Break); 13] = [
        ("heartbeat", |limits| limits.heartbeat = Duration::from_millis(99)),
        ("heartbeat_timeout", |limits| limits.heartbeat_timeout = Duration::ZERO),
        ("heartbeat_timeout", |limits| limits.heartbeat_timeout = limits.heartbeat),
        ("going_away_grace", |limits| limits.going_away_grace = limits.grace + Duration::from_millis(1)),
        ("large_room_tick", |limits| limits.large_room_tick = limits.tick - Duration::from_millis(1)),
        ("huge_room_tick", |limits| {
            limits.huge_room_tick = limits.large_room_tick - Duration::from_millis(1)
        }),
        ("huge_room_users", |limits| limits.huge_room_users = limits.large_room_users - 1),
        ("state_bytes_max", |limits| limits.state_bytes_max = limits.message_bytes_max),
        ("messages_burst", |limits| limits.messages_burst = limits.messages_per_second - 1),
        ("mailbox_max", |limits| limits.mailbox_max = 7),
        ("mailbox_bytes_max", |limits| limits.mailbox_bytes_max = 1_023),
        ("redelivery", |limits| limits.redelivery = Duration::from_millis(9)),
        ("hello", |limits| limits.hello = Duration::ZERO),
    ];
    for (field, broken) in breaks {
        let mut limits = Limits::default();
        broken(&mut limits);
        assert_eq!(limits.check().unwrap_err().field, field);
    }
    let error = LimitsError { field: "hello", rule: "must be more than 0" };
    assert_eq!(error.to_string(), "`hello` must be more than 0");
}
