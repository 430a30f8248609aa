//! What comes too often, too slowly, or at all where it should not; and how good a connection is.

use std::sync::Arc;
use std::time::Duration;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::limits::Limits;
use presence_core::port::transport::{Sent, Silence};
use presence_core::session::{Quality, UserBudget};

use crate::client::{Client, word};

const HEARTBEAT: &str = r#"{"type":"presence:heartbeat"}"#;

/// S6: pings and pongs have a budget of their own.
#[test]
fn s6_control_frames_beyond_their_budget_are_refused_once_and_counted_each() {
    let limits = Limits { control_per_second: 1, control_burst: 3, abuse_max: 4, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    client.session.handle_control(client.now(), 3);
    assert!(client.wants().is_empty());
    client.session.handle_control(client.now(), 4);
    assert_eq!(client.wants(), ["refused: RateLimited", "limited: Control"]);
    let refusal = client.reads();
    assert_eq!((refusal.len(), &refusal[0]["retry_after_ms"]), (1, &1_000.into()));
    assert!(client.says(HEARTBEAT).is_empty(), "messages are paid from elsewhere");
    client.session.handle_control(client.now(), 1);
    assert_eq!(client.wants().last().unwrap(), "close: RateLimitAbused");
    client.session.handle_control(client.now(), 1);
    assert!(client.wants().is_empty());
}

#[test]
fn s6_a_clients_own_pongs_are_paid_as_control_frames_are() {
    let limits = Limits { control_per_second: 1, control_burst: 1, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    client.millis = 30;
    assert_eq!(client.says(r#"{"type":"pong","timestamp":0}"#), ["round trip: 30ms"]);
    assert_eq!(client.says(r#"{"type":"pong"}"#), ["refused: RateLimited", "limited: Control"]);
}

#[test]
fn control_frames_and_bits_of_messages_are_signs_of_life() {
    type Sign = fn(&mut Client);
    let signs: [Sign; 5] = [
        |client| client.session.handle_control(client.now(), 1),
        |client| client.session.handle_partial(client.now()),
        |client| client.session.handle_alive(client.now()),
        |client| client.session.handle_binary(client.now()),
        |client| drop(client.says("{")),
    ];
    for sign in signs {
        let mut client = Client::ann();
        client.millis = 9_000;
        sign(&mut client);
        client.wants();
        assert!(client.waits_until(10_000).is_empty());
    }
    assert_eq!(Client::ann().waits_until(10_000), ["detach: Lost", "close: HeartbeatTimeout"]);
}

#[test]
fn s6_joins_have_a_budget_of_their_own_and_a_leave_is_never_refused() {
    let limits = Limits { joins_per_second: 1, joins_burst: 1, messages_burst: 100, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    let join = r#"{"type":"presence:join","ref":"r"}"#;
    assert_eq!(client.says(join), ["lobby: join as ann"]);
    assert_eq!(client.says(join), ["refused: RateLimited", "limited: Joins"]);
    assert_eq!(client.reads_errors(), ["rate_limited - r"]);

    let mut client =
        Client::ann_within(Limits { messages_per_second: 1, messages_burst: 1, ..Limits::default() });
    client.says(r#"{"type":"presence:join"}"#);
    let leave = r#"{"type":"presence:leave","ref":"r"}"#;
    assert_eq!(
        client.says(leave),
        ["do not listen to lobby", "lobby: Leave", "refused: RateLimited", "limited: Messages"]
    );
    assert_eq!(client.reads_errors(), ["rate_limited - r"]);
    assert!(client.rooms().is_empty());
}

#[test]
fn s6_the_connections_of_a_user_pay_together() {
    let limits = Limits {
        messages_per_second: 2,
        messages_burst: 2,
        user_messages_per_second: 2,
        user_messages_burst: 3,
        ..Limits::default()
    };
    let budget = Arc::new(UserBudget::default());
    let mut tabs = [Client::ann_within(limits.clone()), Client::ann_within(limits)];
    tabs.iter_mut().for_each(|tab| tab.session.share_budget(Arc::clone(&budget)));
    assert!(tabs[0].says(HEARTBEAT).is_empty() && tabs[0].says(HEARTBEAT).is_empty());
    assert!(tabs[1].says(HEARTBEAT).is_empty());
    assert_eq!(tabs[1].says(HEARTBEAT), ["refused: RateLimited", "limited: UserMessages"]);
}

#[test]
fn a_message_that_begins_and_does_not_end_is_given_up() {
    let time = Limits::default().message_time.as_millis() as u64;
    let mut client = Client::ann();
    let mut at = 0;
    client.session.handle_partial(client.now());
    // Its bits are signs of life, and no reason to wait longer for its end.
    while at + 1_000 < time {
        at += 1_000;
        assert!(client.waits_until(at).is_empty());
        client.session.handle_partial(client.now());
        client.reads();
    }
    assert!(client.session.poll_timeout() <= Some(client.now().at + Duration::from_millis(time - at)));
    assert_eq!(client.waits_until(time), ["refused: BadMessage", "detach: Lost", "close: HeartbeatTimeout"]);
    assert_eq!(client.reads_errors(), ["bad_message - -"]);
}

#[test]
fn a_message_that_has_come_whole_ends_the_waiting_for_it() {
    type Whole = fn(&mut Client);
    let wholes: [Whole; 2] =
        [|client| drop(client.says(HEARTBEAT)), |client| client.session.handle_binary(client.now())];
    for whole in wholes {
        let mut client = Client::ann();
        client.session.handle_partial(client.now());
        whole(&mut client);
        client.wants();
        let mut at = 0;
        while at < 2 * Limits::default().message_time.as_millis() as u64 {
            at += 1_000;
            client.millis = at;
            client.session.handle_alive(client.now());
            assert!(client.waits_until(at).is_empty(), "{at}");
        }
    }
}

#[test]
fn s5_what_is_no_message_is_refused_and_its_abuse_ends_the_connection() {
    let limits = Limits { abuse_max: 2, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    client.session.handle_binary(client.now());
    assert_eq!(client.wants(), ["refused: BadMessage"]);
    assert_eq!(client.reads_errors(), ["bad_message - -"]);
    assert_eq!(client.says("nonsense"), ["refused: BadJson"]);
    assert_eq!(client.says(r#"{"type":"nonsense"}"#)[2], "close: ProtocolAbused");
    client.session.handle_binary(client.now());
    assert!(client.wants().is_empty());
}

#[test]
fn who_breaks_the_rules_of_the_wire_or_has_no_place_is_told_why_and_closed() {
    let error = CommandError::new(ErrorCode::TooLarge, "too large");
    let mut client = Client::ann();
    client.session.handle_violation(&error);
    assert_eq!(client.wants(), ["refused: TooLarge", "detach: Lost", "close: ProtocolAbused"]);
    assert_eq!(client.reads_errors(), ["too_large - -"]);
    client.session.handle_violation(&error);
    client.session.handle_crowded(&error);
    client.session.handle_drain(1);
    assert!(client.wants().is_empty() && client.reads().is_empty(), "the end is said once");

    let mut crowded = Client::ann();
    crowded.session.handle_crowded(&error);
    assert_eq!(crowded.wants(), ["refused: TooLarge", "detach: Lost", "close: RateLimitAbused"]);
}

#[test]
fn l4_a_connection_is_as_good_as_its_last_round_trip() {
    let mut client = Client::ann();
    let poor = Limits::default().poor_rtt.as_millis() as u64;
    assert_eq!(client.session.quality(client.now()), None, "nothing is known yet");
    client.millis = poor;
    client.session.handle_pong(client.now());
    assert_eq!(client.wants(), [format!("round trip: {:?}", Limits::default().poor_rtt)]);
    assert_eq!(client.session.quality(client.now()), Some(Quality::Good));
    let ping = client.session.poll_timeout().unwrap().as_millis();
    client.waits_until(ping);
    client.millis = ping + poor + 1;
    client.session.handle_pong(client.now());
    assert_eq!(client.session.quality(client.now()), Some(Quality::Poor));
    assert_eq!(client.session.rtt(), Some(Duration::from_millis(poor + 1)));
    client.session.handle_pong(client.now());
    assert_eq!(client.session.rtt(), Some(Duration::from_millis(poor + 1)), "a ping is answered once");
}

#[test]
fn a_peer_that_reads_slowly_is_poor_and_one_that_is_silent_is_gone() {
    let mut client = Client::ann();
    client.session.handle_pong(client.now());
    assert_eq!(client.session.quality(client.now()), Some(Quality::Good));
    client.session.handle_sent(client.now(), Sent::Waiting);
    assert_eq!(client.session.quality(client.now()), Some(Quality::Poor));
    client.session.handle_sent(client.now(), Sent::All);
    assert_eq!(client.session.quality(client.now()), Some(Quality::Good));
    let ping = client.session.poll_timeout().unwrap().as_millis();
    client.waits_until(ping);
    let silence = Limits::default().silence.as_millis() as u64;
    for (after, quality) in [(silence - 1, Quality::Good), (silence, Quality::Disconnected)] {
        client.millis = ping + after;
        assert_eq!(client.session.quality(client.now()), Some(quality), "{after}");
    }
    assert_eq!(Quality::ALL.map(Quality::as_str), ["good", "poor", "disconnected"]);
}

#[test]
fn on_a_wire_that_carries_nothing_back_silence_says_nothing_of_the_quality() {
    let mut client = Client::opened(word(Some("ann")), Limits::default(), |opening| {
        opening.silence = Silence::MaySayNothing;
    });
    client.millis = 9_999;
    assert_eq!(client.session.quality(client.now()), None);
}

/// X1: a peer that does not read finds one ping when it reads again.
#[test]
fn x1_pings_do_not_pile_up() {
    let mut client = Client::opened(word(Some("ann")), Limits::default(), |_| {});
    for _ in 0..5 {
        client.session.handle_pong(client.now());
        client.wants();
        client.millis = client.session.poll_timeout().unwrap().as_millis();
        client.session.handle_timeout(client.now());
    }
    assert_eq!(client.reads_types(), ["connected", "ping"]);
}

/// X1: who reads nothing for too long is closed, and not before.
#[test]
fn x1_a_peer_that_reads_nothing_is_closed_when_its_time_is_over() {
    let limits = Limits { stall: Duration::from_secs(2), ..Limits::default() };
    let mut client = Client::ann_within(limits);
    client.millis = 1_000;
    client.session.handle_sent(client.now(), Sent::Waiting);
    assert_eq!(client.session.poll_timeout().map(|at| at.as_millis()), Some(3_000));
    assert!(client.waits_until(2_999).is_empty());
    assert_eq!(client.waits_until(3_000), ["detach: Lost", "close: SlowConsumer"]);
}

/// X4: whoever stays unknown is closed, and not before their time is over.
#[test]
fn x4_who_is_not_known_yet_has_time_to_say_who_they_are() {
    let hello = Limits::default().hello.as_millis() as u64;
    let mut client = Client::opened(word(None), Limits::default(), |_| {});
    assert_eq!(client.session.poll_timeout().map(|at| at.as_millis()), Some(hello));
    assert!(client.waits_until(hello - 1).is_empty());
    assert_eq!(client.waits_until(hello), ["close: NotAuthorized"]);
}
