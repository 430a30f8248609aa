//! M5: what is not acknowledged goes again.

use std::collections::BTreeMap;
use std::time::Duration;

use presence_core::limits::Limits;
use presence_core::session::StreamDelivery;
use presence_core::stream::{Fetch, Fetched, Purpose, Seq};

use crate::client::{Client, Stream, frame, room};

/// The session is called when something is to go again, as often as that may be, and not for what is acknowledged.
#[test]
fn m5_time_runs_for_what_is_not_acknowledged_and_for_nothing_else() {
    let limits = Limits { redelivery: Duration::from_millis(500), redeliveries_max: 2, ..Limits::default() };
    let mut client = Client::ann_within(limits);
    client.session.handle_pong(client.now());
    let next = |client: &Client| client.session.poll_timeout().unwrap().as_millis();
    let ping = next(&client);
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    client.millis = 10;
    client.reads();
    assert_eq!(next(&client), 510);
    client.says(r#"{"type":"ack","room":"doc","seq":1}"#);
    assert_eq!(next(&client), ping, "it has arrived");
    stream.grows(None);
    client.millis = 20;
    client.reads();
    for again in [520, 1_020] {
        assert_eq!(next(&client), again);
        client.waits_until(again);
        assert_eq!(client.reads().len(), 1);
    }
    assert_eq!(next(&client), ping, "it has gone again as often as it may");
}

/// The first and the third are due again, and the second, which lies between them, is not.
#[test]
fn m5_what_is_due_again_takes_nothing_along_that_is_not() {
    let limits = Limits { redelivery: Duration::from_millis(500), redeliveries_max: 2, ..Limits::default() };
    let (mut client, stream) = Client::ann_receiving(limits);
    let writes = |client: &mut Client, millis: u64| {
        client.millis = millis;
        stream.grows(None);
        client.reads();
    };
    let mut gone = Vec::new();
    writes(&mut client, 0);
    writes(&mut client, 400);
    // The first goes at 500 for the first time, the second, looked at late, at 990.
    client.waits_until(500);
    gone.extend(client.reads_types());
    writes(&mut client, 501);
    client.waits_until(990);
    gone.extend(client.reads_types());
    for millis in [1_001, 1_002, 1_500, 1_510, 2_000, 2_100, 9_000] {
        client.waits_until(millis);
        gone.extend(client.reads_types());
    }
    gone.retain(|kind| kind != "ping");
    gone.sort();
    let twice = ["message-1", "message-1", "message-2", "message-2", "message-3", "message-3"];
    assert_eq!(gone, twice);
}

#[test]
fn m5_what_goes_again_goes_in_pieces_too() {
    let limits = Limits {
        gather_bytes_max: 1_024,
        redelivery: Duration::from_millis(500),
        heartbeat: Duration::from_secs(60),
        ..Limits::default()
    };
    let (mut client, stream) = Client::ann_receiving(limits);
    (0..100).for_each(|_| stream.grows(None));
    let gather = |client: &mut Client| {
        let mut frames = Vec::new();
        let rounds = (0..100).take_while(|_| client.session.gather(client.now(), &mut frames)).count();
        (frames.len(), (1..100).contains(&rounds))
    };
    assert_eq!(gather(&mut client), (100, true));
    client.wants();
    client.waits_until(500);
    assert_eq!(gather(&mut client), (100, true));
    let again: u64 =
        client.wants().iter().map(|wish| wish["redelivered: ".len()..].parse::<u64>().unwrap()).sum();
    assert_eq!(again, 100);
}

#[test]
fn m5_what_goes_again_comes_from_the_store_page_by_page_if_only_that_has_it() {
    let limits = Limits { redelivery: Duration::from_millis(500), ..Limits::default() };
    let (mut client, stream) = Client::ann_receiving(limits);
    (0..4).for_each(|_| stream.grows(None));
    client.reads();
    client.wants();
    stream.tail.clear();
    client.waits_until(500);
    let ask = |after: u64| format!("fetch doc after {after}: Again {{ to: Seq(4) }}");
    assert!(client.reads().is_empty());
    assert_eq!(client.wants(), [ask(0)]);
    assert!(client.reads().is_empty() && client.wants().is_empty(), "the store is asked once");
    for (after, up_to, wanted) in [(0, 2, vec![ask(2)]), (2, 4, vec![])] {
        let purpose = Purpose::Again { to: Seq::new(4) };
        let fetch = Fetch { room: room("doc"), after: Seq::new(after), purpose };
        let (frame, up_to) = (Some(frame("page")), Seq::new(up_to));
        let fetched = Fetched { fetch, frame, last: Some(up_to), up_to };
        client.gets_of_streams(StreamDelivery::Fetched(Box::new(fetched)));
        assert_eq!(client.reads_types(), ["page"]);
        assert_eq!(client.wants(), [wanted, vec!["redelivered: 1".to_owned()]].concat());
    }
    assert!(client.reads().is_empty() && client.wants().is_empty());
}

/// Sixteen writes are waited for one by one; of more, the two oldest count as one, which goes no earlier than its newer.
#[test]
fn m5_of_many_writes_neighbours_are_waited_for_together() {
    for (writes, first, goes) in [(16, 501, 1), (17, 502, 2)] {
        let limits = Limits { redelivery: Duration::from_millis(500), ..Limits::default() };
        let (mut client, stream) = Client::ann_receiving(limits);
        for millis in 1..=writes {
            client.millis = millis;
            stream.grows(None);
            assert_eq!(client.reads().len(), 1);
        }
        client.waits_until(first - 1);
        assert!(client.reads().is_empty(), "{writes}");
        client.waits_until(first);
        assert_eq!(client.reads().len(), goes, "{writes}");
    }
}

/// Who has gone again already is not waited for together with those who have not, which would go once less.
#[test]
fn m5_many_writes_go_again_as_often_as_few() {
    let limits = Limits { redelivery: Duration::from_millis(500), redeliveries_max: 2, ..Limits::default() };
    let (mut client, stream) = Client::ann_receiving(limits);
    stream.grows(None);
    client.reads();
    client.waits_until(500);
    assert_eq!(client.reads_types(), ["message-1"]);
    for millis in 501..=516 {
        client.millis = millis;
        stream.grows(None);
        assert_eq!(client.reads().len(), 1);
    }
    let mut again = BTreeMap::new();
    for millis in 517..1_900 {
        client.waits_until(millis);
        client.reads_types().into_iter().for_each(|message| *again.entry(message).or_insert(0) += 1);
    }
    let wanted = (1..=17).map(|seq| (format!("message-{seq}"), if seq == 1 { 1 } else { 2 }));
    assert_eq!(again, wanted.collect());
}

#[test]
fn m5_what_arrives_when_it_is_about_to_go_again_holds_up_nothing_that_follows() {
    let limits = Limits { redelivery: Duration::from_millis(500), ..Limits::default() };
    let (mut client, stream) = Client::ann_receiving(limits);
    stream.grows(None);
    client.reads();
    client.waits_until(500);
    client.says(r#"{"type":"ack","room":"doc","seq":1}"#);
    assert!(client.reads().is_empty());
    stream.grows(None);
    assert_eq!(client.reads_types(), ["message-2"]);
    client.waits_until(1_000);
    assert_eq!(client.reads_types(), ["message-2"]);
}
