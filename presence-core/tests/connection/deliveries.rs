//! What streams have for a connection.

use std::time::Duration;

use presence_core::session::{Delivery, StreamDelivery};
use presence_core::stream::{Fetch, Fetched, Purpose, Seq};

use crate::client::{Client, Stream, frame, message, room, word};
use presence_core::limits::Limits;

fn new_after(name: &str, after: u64) -> Fetch {
    Fetch { room: room(name), after: Seq::new(after), purpose: Purpose::New }
}

#[test]
fn what_is_no_longer_in_the_tail_is_asked_of_the_store_and_what_is_new_follows_it() {
    let mut client = Client::ann();
    let stream = Stream::of("doc", 2);
    client.gets_of_streams(stream.opened(0));
    assert!(client.reads().is_empty());
    assert_eq!(client.wants(), ["fetch doc after 0: New"]);
    stream.grows(None);
    assert!(client.reads().is_empty(), "M3: what is newer waits for what is older");
    assert!(client.wants().is_empty(), "the store is asked once");
    let fetched = Fetched {
        fetch: new_after("doc", 0),
        frame: Some(frame("from-the-store")),
        last: Some(Seq::new(2)),
        up_to: Seq::new(2),
    };
    client.gets_of_streams(StreamDelivery::Fetched(Box::new(fetched)));
    assert_eq!(client.reads_types(), ["from-the-store", "message-3"]);
    assert!(client.wants().is_empty());
}

#[test]
fn a_store_that_could_not_be_read_is_asked_again_a_second_later() {
    let mut client = Client::ann();
    client.session.handle_pong(client.now());
    let stream = Stream::of("doc", 2);
    client.gets_of_streams(stream.opened(0));
    client.reads();
    assert_eq!(client.wants().last().unwrap(), "fetch doc after 0: New");
    client.millis = 100;
    client.gets_of_streams(StreamDelivery::NotFetched(room("doc")));
    client.reads();
    assert_eq!(client.session.poll_timeout(), Some(client.now().at + Duration::from_secs(1)));
    client.waits_until(1_099);
    client.reads();
    assert!(client.wants().is_empty());
    client.waits_until(1_100);
    client.reads();
    assert_eq!(client.wants(), ["fetch doc after 0: New"]);
}

/// M5.
#[test]
fn what_is_not_acknowledged_goes_again_and_is_counted() {
    let mut client = Client::ann();
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    stream.grows(None);
    assert_eq!(client.reads_types(), ["message-1", "message-2"]);
    client.says(r#"{"type":"ack","room":"doc","seq":1}"#);
    client.millis = 9_000;
    client.session.handle_pong(client.now());
    client.wants();
    assert!(client.waits_until(9_999).is_empty());
    assert_eq!(client.reads_types(), ["ping"]);
    client.waits_until(10_000);
    let read = client.reads();
    assert_eq!((read.len(), &read[0]["type"]), (1, &"message-2".into()));
    assert_eq!(read[0]["redelivered"], true);
    assert_eq!(client.wants(), ["redelivered: 1"]);
}

/// S1: a roster does not outweigh a token.
#[test]
fn s1_a_stream_that_the_token_does_not_allow_is_not_delivered() {
    let mut client = Client::ann_in(&["doc-*"]);
    for (name, goes) in [("team", false), ("@bob", false), ("doc-1", true), ("@ann", true)] {
        let stream = Stream::of(name, 0);
        client.gets_of_streams(stream.opened(0));
        stream.grows(None);
        assert_eq!(!client.reads().is_empty(), goes, "{name}");
    }
}

#[test]
fn s1_nothing_is_delivered_to_nobody() {
    let mut client = Client::opened(word(None), Limits::default(), |_| {});
    let stream = Stream::of("lobby", 0);
    stream.grows(None);
    client.gets_of_streams(stream.opened(0));
    assert!(client.reads().is_empty());
    client.says(r#"{"type":"auth","client_id":"ann"}"#);
    assert_eq!(client.reads_types(), ["connected", "ping"]);
}

#[test]
fn what_comes_late_for_a_stream_that_was_closed_changes_nothing() {
    let mut client = Client::ann();
    let fetched = || {
        let (fetch, frame) = (new_after("doc", 0), Some(frame("late")));
        StreamDelivery::Fetched(Box::new(Fetched {
            fetch,
            frame,
            last: Some(Seq::new(2)),
            up_to: Seq::new(2),
        }))
    };
    // To who receives nothing, and to who receives something else.
    for _ in 0..2 {
        for late in [fetched(), StreamDelivery::NotFetched(room("doc")), StreamDelivery::Closed(room("doc"))]
        {
            assert!(client.gets_of_streams(late).is_empty());
        }
        assert!(client.reads().is_empty());
        client.gets_of_streams(Stream::of("lobby", 0).opened(0));
    }
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    client.gets_of_streams(StreamDelivery::Closed(room("doc")));
    stream.grows(None);
    assert!(client.reads().is_empty());
}

/// M12: who is on its roster is sent what comes after that, whatever their other devices have dealt with.
#[test]
fn who_leaves_a_room_gets_none_of_its_messages() {
    let mut client = Client::ann();
    client.enters("doc");
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    assert_eq!(
        client.says(r#"{"type":"presence:leave","room":"doc"}"#),
        ["do not listen to doc after 0", "doc: Leave"]
    );
    assert!(client.reads().is_empty());
    assert!(client.says(r#"{"type":"presence:leave","room":"doc"}"#).is_empty(), "it has left already");
}

#[test]
fn a_renewal_that_allows_fewer_rooms_ends_their_messages_too() {
    let mut client = Client::ann_in(&["*"]);
    let (doc, team) = (Stream::of("doc", 0), Stream::of("team", 0));
    for stream in [&doc, &team] {
        client.gets_of_streams(stream.opened(0));
        stream.grows(None);
    }
    let fewer = crate::client::grant("ann", &["doc"], 600_000);
    client.proves(r#"{"type":"auth","token":"t"}"#, Ok(fewer));
    assert_eq!(client.reads_types(), ["connected", "message-1"]);
    assert_eq!(client.says(r#"{"type":"ack","room":"doc","seq":1}"#), ["doc is read up to 1"]);
    assert_eq!(
        client.says(r#"{"type":"ack","room":"team","seq":1}"#),
        ["team is read up to 1, if that may be"]
    );
}

#[test]
fn direct_answers_come_before_messages_and_messages_before_what_rooms_say() {
    let mut client = Client::ann();
    let feed = client.enters("doc");
    feed.append_live(frame("live"), &Limits::default());
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    client.gets(Delivery::Answer(frame("answer")));
    assert_eq!(client.session.waiting_bytes(), r#"{"type":"answer"}"#.len());
    let behind: Vec<_> = client.session.readings().map(|(room, behind)| (room.as_str(), behind)).collect();
    assert_eq!(behind, [("doc", Some(1))]);
    assert_eq!(client.reads_types(), ["answer", "message-1", "live"]);
    assert_eq!(client.session.waiting_bytes(), 0);
}

#[test]
fn who_has_more_to_read_than_fits_at_once_is_told_so() {
    let limits = Limits { gather_bytes_max: 1_024, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    (0..100).for_each(|_| stream.grows(None));
    let mut frames = Vec::new();
    let rounds = (0..100).take_while(|_| client.session.gather(client.now(), &mut frames)).count();
    assert_eq!((frames.len(), (1..100).contains(&rounds)), (100, true), "{rounds}");
    assert_eq!(message(100).messages()[0].text(), frames[99].messages()[0].text());
}

#[test]
fn who_has_more_of_a_room_to_read_than_fits_at_once_is_told_so_too() {
    let limits = Limits { gather_bytes_max: 1_024, live_frames_max: 200, ..Limits::default() };
    let mut client = Client::ann_within(limits.clone());
    let feeds = [client.enters("doc"), client.enters("team")];
    for feed in &feeds {
        (0..100).for_each(|_| feed.append_live(frame("live"), &limits));
    }
    let mut frames = Vec::new();
    let rounds = (0..100).take_while(|_| client.session.gather(client.now(), &mut frames)).count();
    assert_eq!((frames.len(), (1..100).contains(&rounds)), (200, true), "{rounds}");
    assert!(client.wants().is_empty());
}
