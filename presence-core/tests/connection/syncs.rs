//! A client that asks what it does not have.

use std::time::Duration;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::feed::Feed;
use presence_core::frame::Frame;
use presence_core::limits::Limits;
use presence_core::rights::Rooms;
use presence_core::session::{SessionOutput, StreamCommand, StreamDelivery, Sync, Synced};
use presence_core::stream::{Seq, Told};
use presence_core::wire::SyncRequest;

use crate::client::{CONNECTION, Client, Stream, frame, room, user};

/// It asks; that is the question.
fn asked(client: &mut Client, text: &str) -> Sync {
    client.session.handle_text(client.now(), text.as_bytes());
    let outputs = client.session.take_outputs();
    let sync = outputs.into_iter().find_map(|output| match output {
        SessionOutput::Stream(StreamCommand::Sync(sync)) => Some(*sync),
        _ => None,
    });
    sync.unwrap()
}

fn answered(answer: Result<Frame, CommandError>, places: &[(&str, u64)]) -> StreamDelivery {
    brought(answer, places.iter().map(|(name, to)| told(name, 0, *to)).collect())
}

fn brought(answer: Result<Frame, CommandError>, places: Vec<Told>) -> StreamDelivery {
    let request = SyncRequest::default();
    let (present, sent) = (Vec::new(), Vec::new());
    let sync = Sync { user: user("ann"), rooms: Rooms::Every, present, sent, request, reference: None };
    StreamDelivery::Synced(Box::new(Synced { answer, places, sync: Box::new(sync) }))
}

fn told(name: &str, from: u64, to: u64) -> Told {
    Told { room: room(name), from: Seq::new(from), to: Seq::new(to) }
}

#[test]
fn a_sync_says_who_asks_where_they_are_and_what_they_have() {
    let mut client = Client::ann_in(&["doc-*"]);
    client.enters("doc-1");
    let text = r#"{"type":"sync","since":5,"cursors":{"doc-1":3,"@ann":0},"limit":7,"ref":"r"}"#;
    let Sync { user: who, rooms, present, sent, request, reference } = asked(&mut client, text);
    assert_eq!((&who, present, sent), (&user("ann"), vec![room("doc-1")], vec![]));
    assert!(rooms.allow(&who, &room("doc-2")) && !rooms.allow(&who, &room("team")));
    let mut cursors = request.cursors;
    cursors.sort_unstable();
    assert_eq!(cursors, [(room("@ann"), Seq::new(0)), (room("doc-1"), Seq::new(3))]);
    assert_eq!((request.since.unwrap().as_unix_millis(), request.limit), (5, Some(7)));
    assert_eq!(reference.unwrap().as_str(), r#""r""#);
    assert!(asked(&mut Client::ann(), r#"{"type":"sync"}"#).rooms.allow(&who, &room("team")));
}

/// M9: what is new must not come before what is older.
#[test]
fn while_a_sync_is_under_way_nothing_is_delivered_and_another_is_too_early() {
    let mut client = Client::ann();
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    assert_eq!(client.says(r#"{"type":"sync","cursors":{"doc":0}}"#), ["sync of ann"]);
    (0..3).for_each(|_| stream.grows(None));
    assert!(client.reads().is_empty());
    assert_eq!(client.says(r#"{"type":"sync","ref":"r"}"#), ["refused: Busy"]);
    let refusal = client.reads();
    assert_eq!((&refusal[0]["code"], &refusal[0]["ref"]), (&"busy".into(), &"r".into()));
    assert!(refusal[0]["retry_after_ms"].as_u64() > Some(0), "{refusal:?}");
    client.gets_of_streams(answered(Ok(frame("answer")), &[("doc", 2)]));
    assert_eq!(client.reads_types(), ["answer", "message-3"]);
    assert_eq!(client.says(r#"{"type":"sync"}"#), ["sync of ann"]);
}

#[test]
fn a_sync_that_failed_says_so_and_deliveries_go_on_from_where_they_were() {
    let mut client = Client::ann();
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    client.says(r#"{"type":"sync"}"#);
    stream.grows(None);
    let error = CommandError::new(ErrorCode::Unavailable, "the store is away");
    assert_eq!(client.gets_of_streams(answered(Err(error), &[])), ["refused: Unavailable"]);
    assert_eq!(client.reads_types(), ["error", "message-1"]);
    assert_eq!(client.says(r#"{"type":"sync"}"#), ["sync of ann"]);
}

/// M9: live delivery goes on where the sync ended, of streams that open later too.
#[test]
fn a_stream_that_opens_after_a_sync_goes_on_from_where_that_ended() {
    let mut client = Client::ann();
    client.enters("doc");
    let waiting = client.asks_to_enter("team");
    assert_eq!(client.says(r#"{"type":"sync"}"#), ["sync of ann"]);
    // Who listens already is to listen from there; who has not been let in yet says so when it is.
    let answer = answered(Ok(frame("answer")), &[("doc", 2), ("team", 4), ("@ann", 9)]);
    assert_eq!(client.gets_of_streams(answer), ["listen to doc after 2"]);
    client.is_let_in("team", waiting, &Feed::new());
    assert_eq!(client.wants(), ["listen to team after 4"]);
    let stream = Stream::of("doc", 1);
    (0..3).for_each(|_| stream.grows(None));
    client.gets_of_streams(stream.opened(1));
    assert_eq!(client.reads_types(), ["answer", "snapshot", "message-3", "message-4"]);
    let later = client.asks_to_enter("doc");
    client.is_let_in("doc", later, &Feed::new());
    assert_eq!(client.wants(), ["listen to doc"], "it is open, and knows its place itself");
}

#[test]
fn what_a_sync_has_told_of_a_stream_is_forgotten_when_that_is_for_others() {
    let mut client = Client::ann();
    client.says(r#"{"type":"sync"}"#);
    client.gets_of_streams(answered(Ok(frame("answer")), &[("doc", 2), ("team", 4)]));
    client.gets_of_streams(StreamDelivery::Closed(room("doc")));
    for (name, wanted) in [("doc", "listen to doc"), ("team", "listen to team after 4")] {
        let entry = client.asks_to_enter(name);
        client.is_let_in(name, entry, &Feed::new());
        assert_eq!(client.wants(), [wanted]);
    }
}

/// M10: what a sync has brought counts as sent, also of a room in which another tab is and this one is not.
#[test]
fn what_a_sync_has_brought_may_be_acknowledged() {
    let mut client = Client::ann();
    client.says(r#"{"type":"sync"}"#);
    client.gets_of_streams(answered(Ok(frame("answer")), &[("doc", 9)]));
    for (seq, wanted) in [(9, "doc is read up to 9"), (10, "doc is read up to 10, if that may be")] {
        assert_eq!(client.says(&format!(r#"{{"type":"ack","room":"doc","seq":{seq}}}"#)), [wanted]);
    }
}

/// M9, M12: what a sync tells joins on to what was sent. Where a stream was opened meanwhile that it does not join on to, it is
/// asked again, and the client hears of it once.
#[test]
fn a_sync_skips_nothing_that_a_connection_has_yet_to_be_sent() {
    let mut client = Client::ann();
    client.gets_of_streams(Stream::of("doc", 9).opened(2));
    let sync = asked(&mut client, r#"{"type":"sync","cursors":{"named":5}}"#);
    assert_eq!(sync.sent, [(room("doc"), Seq::new(2))]);
    client.gets_of_streams(Stream::of("team", 9).opened(4));
    let answer = |sync: Sync, from: u64| {
        let places = vec![told("doc", 2, 9), told("team", from, 9)];
        StreamDelivery::Synced(Box::new(Synced { answer: Ok(frame("answer")), places, sync: Box::new(sync) }))
    };
    assert_eq!(client.gets_of_streams(answer(sync.clone(), 7)), ["sync of ann"]);
    assert!(client.reads().is_empty());
    assert_eq!(client.says(r#"{"type":"sync"}"#), ["refused: Busy"], "the first is under way");
    client.reads();
    assert!(client.gets_of_streams(answer(sync, 4)).is_empty());
    assert_eq!(client.reads_types(), ["answer"]);
}

/// A sync says what the client has: what is to go again up to there goes again, what comes after it comes as new.
#[test]
fn m9_what_was_to_go_again_when_a_sync_came_goes_once() {
    for (has, goes) in [(3, [1, 2, 3].as_slice()), (1, &[2, 3]), (0, &[1, 2, 3])] {
        let limits = Limits { redelivery: Duration::from_millis(500), ..Limits::default() };
        let (mut client, stream) = Client::ann_receiving(limits);
        (0..3).for_each(|_| stream.grows(None));
        client.reads();
        if has == 1 {
            client.says(r#"{"type":"ack","room":"doc","seq":1}"#);
        }
        client.says(&format!(r#"{{"type":"sync","cursors":{{"doc":{has}}}}}"#));
        client.waits_until(500);
        assert!(client.reads().is_empty());
        client.gets_of_streams(brought(Ok(frame("answer")), vec![told("doc", has, has)]));
        let read = client.reads_types();
        let messages: Vec<String> = goes.iter().map(|seq| format!("message-{seq}")).collect();
        assert_eq!(read[1..], messages, "{has}");
    }
}

/// Where a client says its place, that counts, and not what it was sent.
#[test]
fn m9_a_sync_joins_on_to_the_place_that_a_client_says() {
    let mut client = Client::ann();
    client.gets_of_streams(Stream::of("doc", 9).opened(2));
    let sync = asked(&mut client, r#"{"type":"sync","cursors":{"doc":5}}"#);
    assert_eq!(sync.sent, []);
    let (answer, places) = (Ok(frame("answer")), vec![told("doc", 5, 9)]);
    let synced = StreamDelivery::Synced(Box::new(Synced { answer, places, sync: Box::new(sync) }));
    assert!(client.gets_of_streams(synced).is_empty(), "it is not asked again");
    assert_eq!(client.reads_types(), ["answer"]);
    assert!(client.wants().is_empty());
}

/// Where it says none, deliveries go on from the further of what was sent and what the answer tells.
#[test]
fn m9_after_a_sync_nothing_comes_as_new_that_was_sent_or_told() {
    for (told_to, next) in [(1, 4), (3, 4), (5, 6), (6, 7)] {
        let mut client = Client::ann();
        let stream = Stream::of("doc", 0);
        client.gets_of_streams(stream.opened(0));
        (0..3).for_each(|_| stream.grows(None));
        client.reads();
        client.says(r#"{"type":"sync"}"#);
        (0..3).for_each(|_| stream.grows(None));
        client.gets_of_streams(answered(Ok(frame("answer")), &[("doc", told_to)]));
        let messages: Vec<String> = (next..=6).map(|seq| format!("message-{seq}")).collect();
        assert_eq!(client.reads_types()[1..], messages, "{told_to}");
    }
}

/// M5: what was sent before a sync and lies before its place goes again in its own time, and what came as new in that.
#[test]
fn m5_what_is_waited_for_when_a_sync_comes_is_waited_for_after_it() {
    let limits = Limits { redelivery: Duration::from_millis(500), ..Limits::default() };
    let (mut client, stream) = Client::ann_receiving(limits);
    for millis in [10, 20, 30] {
        client.millis = millis;
        stream.grows(None);
        client.reads();
    }
    client.millis = 100;
    client.says(r#"{"type":"sync","cursors":{"doc":1}}"#);
    client.gets_of_streams(brought(Ok(frame("answer")), vec![told("doc", 1, 1)]));
    assert_eq!(client.reads_types(), ["answer", "message-2", "message-3"]);
    let mut again = Vec::new();
    for millis in 101..=600 {
        client.waits_until(millis);
        again.extend(client.reads_types().into_iter().map(|message| (millis, message)));
    }
    let message = |seq: u64| format!("message-{seq}");
    assert_eq!(again, [(510, message(1)), (600, message(2)), (600, message(3))]);
}

/// What a client has sent itself it need not acknowledge, and a sync that brings nothing does not change that.
#[test]
fn m10_who_acknowledges_the_last_of_others_has_their_own_after_it_too() {
    let mut client = Client::ann();
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    stream.grows(Some(CONNECTION));
    let (seq, ack) = (Seq::new(2), frame("ack"));
    client.gets_of_streams(StreamDelivery::Kept { room: room("doc"), seq, frame: ack });
    assert_eq!(client.reads_types(), ["ack", "message-1"]);
    client.says(r#"{"type":"sync"}"#);
    client.gets_of_streams(brought(Ok(frame("answer")), vec![told("doc", 2, 2)]));
    assert_eq!(client.reads_types(), ["answer"]);
    assert_eq!(client.says(r#"{"type":"ack","room":"doc","seq":1}"#), ["doc is read up to 2"]);
}
