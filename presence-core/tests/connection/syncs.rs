//! A client that asks what it does not have.

use presence_core::error::{CommandError, ErrorCode};
use presence_core::feed::Feed;
use presence_core::frame::Frame;
use presence_core::session::{SessionOutput, StreamCommand, StreamDelivery, Sync, Synced};
use presence_core::stream::{Seq, Told};

use crate::client::{Client, Stream, frame, room, user};

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
    let told = |(name, to): &(&str, u64)| Told { room: room(name), from: Seq::default(), to: Seq::new(*to) };
    let places = places.iter().map(told).collect();
    let sync = Box::new(asked(&mut Client::ann(), r#"{"type":"sync"}"#));
    StreamDelivery::Synced(Box::new(Synced { answer, places, sync }))
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
