//! One connection's protocol, as lists of inputs: no socket, no clock.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::sync::Arc;
use std::time::Duration;

use presence_core::attempt::Attempt;
use presence_core::error::{CloseReason, CommandError, ErrorCode};
use presence_core::feed::Feed;
use presence_core::frame::{EventId, Frame, FrameKind, Message};
use presence_core::id::{ConnectionId, Epoch, Incarnation, RoomId, SessionId, UserId, Version};
use presence_core::limits::Limits;
use presence_core::port::transport::{Sent, Silence};
use presence_core::profile::Profile;
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::session::{Delivery, Opening, OwnEntry, Proof, Session, SessionOutput};
use presence_core::shard::{Detach, Entry, RoomCommand};
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::window::RoomReader;
use serde_json::Value;

fn at(millis: u64) -> Now {
    Now { at: Timestamp::from_millis(millis), wall: WallTime::from_unix_millis(millis.cast_signed()) }
}

fn limits() -> Limits {
    Limits { feed_messages_max: 2, live_frames_max: 1, mailbox_max: 8, ..Limits::default() }
}

fn open(user: Option<&str>) -> Session {
    open_with(Proof::Word(user.map(|user| UserId::parse(user).unwrap())), None)
}

fn open_with(proof: Proof, session: Option<&str>) -> Session {
    let opening = Opening {
        connection: ConnectionId::from_random(5),
        default_room: RoomId::lobby(),
        proof,
        name: None,
        session: session.map(|session| SessionId::parse(session).unwrap()),
        attempt: Attempt::parse("7-2").ok(),
        fallback_session: SessionId::parse("chosen-by-the-server").unwrap(),
        entry: OwnEntry::None,
        silence: Silence::IsDeath,
    };
    Session::open(at(0), opening, Arc::new(limits()))
}

/// What it wants, but of streams.
fn about_rooms(session: &mut Session) -> Vec<SessionOutput> {
    let outputs = session.take_outputs().into_iter();
    outputs.filter(|output| !matches!(output, SessionOutput::Stream(_))).collect()
}

/// What a good token of ann's says.
fn grant(user: &str, rooms: &[&str], expires: i64) -> Grant {
    let patterns = rooms.iter().map(|pattern| Pattern::of_rooms(pattern).unwrap());
    Grant {
        profile: Arc::new(Profile::of_user(UserId::parse(user).unwrap())),
        rooms: Rooms::Like(patterns.collect()),
        expires: WallTime::from_unix_millis(expires),
    }
}

/// Says `auth`, and answers the question whether the token is good.
fn auth(session: &mut Session, now: Now, text: &str, verdict: Result<Grant, CommandError>) {
    session.handle_text(now, text.as_bytes());
    let asked = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Verify(credentials) => Some(credentials),
        _ => None,
    });
    session.handle_verified(now, *asked.unwrap(), verdict);
}

/// Codes and fields of the errors that it has to write.
fn refusals(session: &mut Session) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let errors = written(session).into_iter().filter(|message| message["type"] == "error");
    errors.map(|error| (text(&error["code"]).unwrap(), text(&error["field"]))).collect()
}

const BAD: &str = r#"{"type":"auth","token":"bad"}"#;
const GOOD: &str = r#"{"token":"good","client_id":"ann","session_id":"s"}"#;

fn bad() -> CommandError {
    CommandError::field(ErrorCode::Unauthorized, "token", "it is bad")
}

/// What it has to write, as JSON.
fn written(session: &mut Session) -> Vec<Value> {
    let mut frames = Vec::new();
    session.gather(at(0), &mut frames);
    let messages = frames.iter().flat_map(Frame::messages);
    messages.map(|message| serde_json::from_slice(message.text()).unwrap()).collect()
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

/// Which entry its last join made.
fn joined(session: &mut Session) -> Entry {
    session.handle_text(at(1), br#"{"type":"presence:join"}"#);
    let entry = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Route { command: RoomCommand::Join(join), .. } => Some(join.entry),
        _ => None,
    });
    entry.unwrap()
}

fn closed(session: &mut Session) -> Option<CloseReason> {
    session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Close(reason) => Some(reason),
        _ => None,
    })
}

fn snapshot(feed: &Feed, entry: Entry) -> Delivery {
    let reader = RoomReader::Feed(feed.reader());
    Delivery::Position { room: RoomId::lobby(), entry, frame: frame("snapshot"), reader }
}

fn frame(name: &str) -> Frame {
    Frame::one(Message::new(format!(r#"{{"type":"{name}"}}"#)))
}

fn event(version: u64) -> Frame {
    let epoch = Epoch::new(Incarnation::from_random(1), 1);
    let id = EventId { room: RoomId::lobby(), epoch, version: Version::new(version) };
    Frame::one(Message::versioned(format!(r#"{{"type":"event-{version}"}}"#), id))
}

#[test]
fn whoever_the_url_names_is_connected_and_pinged_at_once() {
    let mut session = open(Some("ann"));
    assert!(matches!(&session.take_outputs()[..], [SessionOutput::Attach { user, attempt, .. }]
            if user.as_str() == "ann" && *attempt == Attempt::parse("7-2").ok()));
    let mut frames = Vec::new();
    session.gather(at(0), &mut frames);
    assert_eq!(
        frames.iter().map(Frame::kind).collect::<Vec<_>>(),
        [FrameKind::Messages, FrameKind::Heartbeat]
    );
    assert_eq!(session.session_id().unwrap().as_str(), "chosen-by-the-server");
}

#[test]
fn nobody_says_anything_before_they_say_who_they_are() {
    let mut session = open(None);
    for text in [r#"{"type":"presence:leave"}"#, r#"{"type":"presence:update","state":{}}"#] {
        session.handle_text(at(1), text.as_bytes());
        let refused = session.take_outputs();
        assert!(
            refused.iter().any(|output| matches!(output, SessionOutput::Refused(ErrorCode::Unauthorized))),
            "{text}"
        );
    }
    session.handle_text(at(2), br#"{"client_id":"ann","session_id":"s"}"#);
    assert_eq!(session.user().unwrap().as_str(), "ann");
    assert_eq!(session.session_id().unwrap().as_str(), "s");
}

#[test]
fn x4_whoever_stays_unknown_is_closed() {
    let mut session = open(None);
    assert_eq!(session.poll_timeout(), Some(Timestamp::default() + limits().hello));
    session.handle_timeout(at(10_000));
    assert_eq!(closed(&mut session), Some(CloseReason::NotAuthorized));
    assert!(session.is_closed());
}

#[test]
fn l1_silence_after_a_ping_is_the_end_and_the_session_is_waited_for() {
    let mut session = open(Some("ann"));
    session.take_outputs();
    session.handle_timeout(at(9_999));
    assert!(session.take_outputs().is_empty());
    session.handle_timeout(at(10_000));
    let outputs = session.take_outputs();
    assert!(matches!(
        outputs[..],
        [SessionOutput::Detach { how: Detach::Lost }, SessionOutput::Close(CloseReason::HeartbeatTimeout)]
    ));
}

#[test]
fn l4_after_an_answer_the_next_ping_counts_and_not_the_end_of_waiting_for_it() {
    let mut session = open(Some("ann"));
    session.handle_pong(at(40));
    assert_eq!(session.poll_timeout(), Some(Timestamp::from_millis(2_000)));
    session.take_outputs();
    written(&mut session);
    session.handle_timeout(at(2_000));
    assert_eq!(types(&written(&mut session)), ["ping"]);
}

#[test]
fn p14_the_snapshot_comes_before_what_follows_it_and_nothing_of_the_room_before_the_snapshot() {
    let (mut session, feed) = (open(Some("ann")), Feed::new());
    let entry = joined(&mut session);
    written(&mut session);
    feed.append_presence(Timestamp::default(), Version::new(1), event(1), &limits());
    assert!(written(&mut session).is_empty());
    session.handle_delivery(snapshot(&feed, entry));
    feed.append_presence(Timestamp::default(), Version::new(2), event(2), &limits());
    assert_eq!(types(&written(&mut session)), ["snapshot", "event-2"]);
}

#[test]
fn the_answer_to_an_entry_that_was_left_is_not_taken_for_that_to_the_next() {
    let (mut session, feed) = (open(Some("ann")), Feed::new());
    let first = joined(&mut session);
    session.handle_text(at(2), br#"{"type":"presence:leave"}"#);
    let second = joined(&mut session);
    written(&mut session);
    session.handle_delivery(snapshot(&feed, first));
    assert!(written(&mut session).is_empty());
    session.handle_delivery(snapshot(&feed, second));
    assert_eq!(types(&written(&mut session)), ["snapshot"]);
}

#[test]
fn who_fell_off_the_feed_asks_for_a_fresh_start_once() {
    let (mut session, feed) = (open(Some("ann")), Feed::new());
    let entry = joined(&mut session);
    session.handle_delivery(snapshot(&feed, entry));
    written(&mut session);
    for version in 1..=5 {
        feed.append_presence(Timestamp::default(), Version::new(version), event(version), &limits());
    }
    assert!(written(&mut session).is_empty());
    let asked = about_rooms(&mut session);
    assert!(matches!(
        &asked[..],
        [SessionOutput::Route { command: RoomCommand::Restart { entry: asked }, .. }] if *asked == entry
    ));
    assert!(written(&mut session).is_empty());
    assert!(session.take_outputs().is_empty());
    session.handle_delivery(snapshot(&feed, entry));
    assert_eq!(types(&written(&mut session)), ["snapshot"]);
}

/// P3: `busy` says that nothing was changed, and so it is.
#[test]
fn p3_who_gets_a_fresh_start_gets_it_though_another_entry_is_refused_meanwhile() {
    let (mut session, feed) = (open(Some("ann")), Feed::new());
    let entry = joined(&mut session);
    session.handle_delivery(snapshot(&feed, entry));
    written(&mut session);
    // The first is missing: nobody can go on from there.
    feed.append_presence(Timestamp::default(), Version::new(2), event(2), &limits());
    assert!(written(&mut session).is_empty());
    assert_eq!(about_rooms(&mut session).len(), 1);
    session.handle_text(at(2), br#"{"type":"presence:join"}"#);
    for output in session.take_outputs() {
        if let SessionOutput::Route { command, .. } = output {
            session.handle_busy(command);
        }
    }
    assert_eq!(types(&written(&mut session)), ["error"]);
    session.handle_delivery(snapshot(&feed, entry));
    feed.append_presence(Timestamp::default(), Version::new(3), event(3), &limits());
    assert_eq!(types(&written(&mut session)), ["snapshot", "event-3"]);
}

#[test]
fn who_missed_cursors_asks_for_the_latest_and_keeps_its_place() {
    let (mut session, feed) = (open(Some("ann")), Feed::new());
    let entry = joined(&mut session);
    session.handle_delivery(snapshot(&feed, entry));
    written(&mut session);
    for name in ["live-1", "live-2"] {
        feed.append_live(frame(name), &limits());
    }
    assert_eq!(types(&written(&mut session)), ["live-2"]);
    let asked = about_rooms(&mut session);
    assert!(matches!(&asked[..], [SessionOutput::Route { command: RoomCommand::LiveNow, .. }]));
}

#[test]
fn x1_who_reads_nothing_for_too_long_is_closed_and_answers_do_not_pile_up() {
    let mut session = open(Some("ann"));
    session.handle_sent(at(1_000), Sent::Waiting);
    session.handle_sent(at(2_000), Sent::Waiting);
    let end = Timestamp::from_millis(1_000) + limits().stall;
    for millis in (1_000..end.as_millis()).step_by(1_000) {
        session.handle_alive(at(millis));
        session.handle_timeout(at(millis));
        assert_eq!(closed(&mut session), None);
    }
    session.handle_alive(at(end.as_millis()));
    session.handle_timeout(at(end.as_millis()));
    assert_eq!(closed(&mut session), Some(CloseReason::SlowConsumer));

    let mut flooded = open(Some("bob"));
    for _ in 0..20 {
        flooded.handle_delivery(Delivery::Answer(frame("answer")));
    }
    assert_eq!(closed(&mut flooded), Some(CloseReason::SlowConsumer));
}

#[test]
fn a_session_that_is_taken_over_says_nothing_more() {
    let mut session = open(Some("ann"));
    let entry = joined(&mut session);
    session.handle_delivery(Delivery::Evict(CloseReason::TakenOver));
    assert_eq!(closed(&mut session), Some(CloseReason::TakenOver));
    session.handle_delivery(snapshot(&Feed::new(), entry));
    session.handle_text(at(3), br#"{"type":"presence:leave"}"#);
    session.handle_end(Detach::Lost);
    assert!(session.take_outputs().is_empty());
}

#[test]
fn a_command_that_could_not_be_taken_is_answered_with_busy() {
    let mut session = open(Some("ann"));
    session.handle_text(at(1), br#"{"type":"presence:join","ref":7}"#);
    let command = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Route { command, .. } => Some(command),
        _ => None,
    });
    written(&mut session);
    session.handle_busy(command.unwrap());
    let said = written(&mut session);
    assert_eq!((&said[0]["code"], &said[0]["ref"]), (&Value::from("busy"), &Value::from(7)));
    assert_eq!(session.rooms().count(), 0);
}

#[test]
fn a_drain_is_told_and_then_the_connection_closes() {
    let mut session = open(Some("ann"));
    written(&mut session);
    session.handle_drain(1_234);
    assert_eq!(closed(&mut session), Some(CloseReason::Draining));
    let said = written(&mut session);
    assert_eq!((types(&said), &said[0]["retry_after_ms"]), (vec!["server_draining"], &Value::from(1_234)));
}

#[test]
fn s6_the_budget_is_told_and_its_abuse_ends_the_connection() {
    let mut session = open(Some("ann"));
    let allowed = limits().messages_burst + limits().abuse_max;
    for _ in 0..allowed {
        session.handle_text(at(1), br#"{"type":"presence:heartbeat"}"#);
    }
    assert_eq!(closed(&mut session), None);
    session.handle_text(at(1), br#"{"type":"presence:heartbeat"}"#);
    assert_eq!(closed(&mut session), Some(CloseReason::RateLimitAbused));
    let said = written(&mut session);
    let wait = said.iter().find(|message| message["code"] == "rate_limited").unwrap();
    assert!(Duration::from_millis(wait["retry_after_ms"].as_u64().unwrap()) <= Duration::from_millis(10));
}

#[test]
fn where_a_token_is_needed_nobody_is_anybody_without_one() {
    let mut session = open_with(Proof::Awaited, None);
    session.handle_text(at(1), br#"{"type":"presence:join","user":{"id":"ann"}}"#);
    assert_eq!(refusals(&mut session), [("unauthorized".to_owned(), None)]);
    assert_eq!(session.user(), None);
    session.handle_text(at(2), br#"{"type":"auth","client_id":"ann"}"#);
    assert_eq!(refusals(&mut session)[0].1.as_deref(), Some("token"));
    assert_eq!(closed(&mut session), Some(CloseReason::NotAuthorized));
}

#[test]
fn a_first_message_with_a_good_token_says_who_it_is_with_or_without_a_type() {
    for text in [GOOD, r#"{"type":"auth","token":"good","session_id":"s","ref":1}"#] {
        let mut session = open_with(Proof::Awaited, None);
        auth(&mut session, at(1), text, Ok(grant("ann", &["*"], 60_000)));
        assert_eq!(session.user().unwrap().as_str(), "ann");
        assert_eq!(session.session_id().unwrap().as_str(), "s");
        assert_eq!(types(&written(&mut session))[0], "connected");
    }
}

#[test]
fn a_first_message_with_a_bad_token_is_the_end() {
    let mut session = open_with(Proof::Awaited, None);
    auth(&mut session, at(1), BAD, Err(bad()));
    assert_eq!(refusals(&mut session), [("unauthorized".to_owned(), Some("token".to_owned()))]);
    assert_eq!(closed(&mut session), Some(CloseReason::NotAuthorized));
}

#[test]
fn s7_nobody_is_somebody_else_than_their_token_says() {
    let mut session = open_with(Proof::Awaited, None);
    auth(&mut session, at(1), r#"{"token":"good","client_id":"bob"}"#, Ok(grant("ann", &["*"], 60_000)));
    assert_eq!(refusals(&mut session), [("forbidden".to_owned(), Some("client_id".to_owned()))]);
    assert_eq!(session.user(), None);
    auth(&mut session, at(2), GOOD, Ok(grant("ann", &["*"], 60_000)));
    written(&mut session);
    session.handle_text(at(3), br#"{"type":"presence:join","user":{"id":"bob"}}"#);
    assert_eq!(refusals(&mut session), [("forbidden".to_owned(), Some("user.id".to_owned()))]);
    auth(&mut session, at(4), r#"{"type":"auth","token":"bobs"}"#, Ok(grant("bob", &["*"], 60_000)));
    assert_eq!(refusals(&mut session), [("forbidden".to_owned(), Some("token".to_owned()))]);
    assert_eq!(session.user().unwrap().as_str(), "ann");
}

#[test]
fn the_session_id_of_the_url_stands() {
    let mut session = open_with(Proof::Awaited, Some("from-the-url"));
    auth(&mut session, at(1), GOOD, Ok(grant("ann", &["*"], 60_000)));
    assert_eq!(refusals(&mut session), [("conflict".to_owned(), Some("session_id".to_owned()))]);
    auth(&mut session, at(2), r#"{"token":"good"}"#, Ok(grant("ann", &["*"], 60_000)));
    assert_eq!(session.session_id().unwrap().as_str(), "from-the-url");
}

#[test]
fn s1_rooms_beyond_the_token_are_forbidden_and_the_own_inbox_is_not() {
    let mut session = open_with(Proof::Token(Box::new(grant("ann", &["doc-*"], 60_000))), None);
    session.take_outputs();
    written(&mut session);
    for (room, goes) in [("doc-1", true), ("lobby", false), ("@ann", true), ("@bob", false)] {
        session.handle_text(at(1), format!(r#"{{"type":"presence:join","room":"{room}"}}"#).as_bytes());
        let routed =
            session.take_outputs().iter().any(|output| matches!(output, SessionOutput::Route { .. }));
        assert_eq!(routed, goes, "{room}");
        let refused: &[_] = if goes { &[] } else { &[("forbidden".to_owned(), Some("room".to_owned()))] };
        assert_eq!(refusals(&mut session), refused, "{room}");
    }
}

#[test]
fn s2_a_connection_ends_when_its_token_does_whatever_the_wall_clock_does_meanwhile() {
    let mut session = open_with(Proof::Token(Box::new(grant("ann", &["*"], 5_000))), None);
    session.take_outputs();
    session.handle_alive(at(4_999));
    session.handle_timeout(at(4_999));
    assert_eq!(closed(&mut session), None);
    assert!(session.poll_timeout() <= Some(Timestamp::from_millis(5_000)));
    session.handle_timeout(Now { wall: WallTime::from_unix_millis(1), ..at(5_000) });
    let outputs = session.take_outputs();
    assert!(matches!(
        outputs[..],
        [SessionOutput::Detach { how: Detach::Lost }, SessionOutput::Close(CloseReason::TokenExpired)]
    ));
}

#[test]
fn a_renewal_moves_the_end_and_a_bad_one_does_not() {
    let mut session = open_with(Proof::Token(Box::new(grant("ann", &["*"], 5_000))), None);
    auth(
        &mut session,
        at(1_000),
        r#"{"type":"auth","token":"good","ref":"r"}"#,
        Ok(grant("ann", &["*"], 9_000)),
    );
    let said = written(&mut session);
    assert!(said.iter().any(|message| message["type"] == "connected" && message["ref"] == "r"));
    auth(&mut session, at(2_000), BAD, Err(bad()));
    assert_eq!(refusals(&mut session), [("unauthorized".to_owned(), Some("token".to_owned()))]);
    for (millis, ended) in [(8_999, None), (9_000, Some(CloseReason::TokenExpired))] {
        session.handle_alive(at(millis));
        session.handle_timeout(at(millis));
        assert_eq!(closed(&mut session), ended, "{millis}");
    }
}

#[test]
fn a_renewal_that_allows_fewer_rooms_ends_the_others() {
    let mut session = open_with(Proof::Token(Box::new(grant("ann", &["*"], 60_000))), None);
    for room in ["doc-1", "team"] {
        session.handle_text(at(1), format!(r#"{{"type":"presence:join","room":"{room}"}}"#).as_bytes());
    }
    session.take_outputs();
    written(&mut session);
    auth(&mut session, at(2), r#"{"type":"auth","token":"good"}"#, Ok(grant("ann", &["doc-*"], 60_000)));
    let outputs = about_rooms(&mut session);
    assert!(matches!(
        &outputs[..],
        [SessionOutput::Route { room, command: RoomCommand::PutOut }] if room.as_str() == "team"
    ));
    assert_eq!(session.rooms().map(RoomId::as_str).collect::<Vec<_>>(), ["doc-1"]);
    let said = written(&mut session);
    assert_eq!(types(&said), ["connected", "error"]);
    assert_eq!((&said[1]["code"], &said[1]["room"]), (&Value::from("forbidden"), &Value::from("team")));
}

#[test]
fn guessing_tokens_ends_a_connection() {
    let mut session = open_with(Proof::Token(Box::new(grant("ann", &["*"], 60_000))), None);
    for _ in 0..limits().abuse_max {
        auth(&mut session, at(1), BAD, Err(bad()));
    }
    assert_eq!(closed(&mut session), None);
    auth(&mut session, at(1), BAD, Err(bad()));
    assert_eq!(closed(&mut session), Some(CloseReason::ProtocolAbused));
}
