//! How a connection ends, and what that means for the rooms that it is in.

use presence_core::error::CloseReason;
use presence_core::limits::Limits;
use presence_core::session::Delivery;
use presence_core::shard::Detach;

use crate::client::{CONNECTION, Client, Stream, word};

/// Whoever may come back is waited for; who was sent away is not.
#[test]
fn the_reason_decides_whether_the_session_is_waited_for() {
    for reason in CloseReason::ALL {
        let mut client = Client::ann();
        client.enters("doc");
        let detach = match reason {
            CloseReason::PeerClosed => "detach: Finished",
            CloseReason::Kicked | CloseReason::NotAuthorized => "detach: Kicked",
            _ => "detach: Lost",
        };
        assert_eq!(client.gets(Delivery::Evict(reason)), [detach.to_owned(), format!("close: {reason:?}")]);
        assert!(client.rooms().is_empty() && client.session.is_closed());
        assert_eq!(client.session.connection(), CONNECTION, "its name is still its name");
        assert_eq!(client.session.poll_timeout(), None);
    }
}

#[test]
fn the_end_is_told_once_whoever_brings_it() {
    let mut client = Client::ann();
    client.enters("doc");
    client.session.handle_end(Detach::GoingAway);
    assert_eq!(client.wants(), ["detach: GoingAway"]);
    assert!(client.session.is_closed() && client.rooms().is_empty());
    assert_eq!(client.session.user(), None);
    client.session.handle_end(Detach::Lost);
    client.waits_until(60_000);
    assert!(client.gets(Delivery::Evict(CloseReason::Kicked)).is_empty());

    let mut nobody = Client::opened(word(None), Limits::default(), |_| {});
    nobody.session.handle_end(Detach::Lost);
    assert!(nobody.wants().is_empty(), "nobody was there");
}

#[test]
fn nothing_is_delivered_after_the_end_but_what_was_said_before_it() {
    let mut client = Client::ann();
    let feed = client.enters("doc");
    let stream = Stream::of("doc", 0);
    client.gets_of_streams(stream.opened(0));
    stream.grows(None);
    feed.append_live(crate::client::frame("live"), &Limits::default());
    client.session.handle_drain(1_500);
    assert_eq!(client.wants(), ["detach: Lost", "close: Draining"]);
    let read = client.reads();
    assert_eq!((read.len(), &read[0]["type"]), (1, &"server_draining".into()));
    client.gets_of_streams(stream.opened(0));
    assert!(client.says(r#"{"type":"presence:join"}"#).is_empty());
    assert!(client.reads().is_empty());
}
