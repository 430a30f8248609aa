//! What one connection's protocol wants of streams, and what it does with what it gets.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::sync::Arc;

use presence_core::feed::Feed;
use presence_core::frame::{Frame, Message};
use presence_core::id::{ConnectionId, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::port::transport::Silence;
use presence_core::session::{
    Delivery, Opening, OwnEntry, Proof, Session, SessionOutput, StreamCommand, StreamDelivery, Sync, Synced,
};
use presence_core::shard::RoomCommand;
use presence_core::stream::{Opened, Receiver, Seq, Tail, Told};
use presence_core::time::{Now, Timestamp, WallTime};

fn at(millis: u64) -> Now {
    Now { at: Timestamp::from_millis(millis), wall: WallTime::from_unix_millis(millis.cast_signed()) }
}

fn open() -> Session {
    let opening = Opening {
        connection: ConnectionId::from_random(5),
        default_room: RoomId::lobby(),
        proof: Proof::Word(Some(UserId::parse("ann").unwrap())),
        name: None,
        session: None,
        fallback_session: SessionId::parse("chosen-by-the-server").unwrap(),
        entry: OwnEntry::None,
        silence: Silence::IsDeath,
    };
    Session::open(at(0), opening, Arc::new(Limits::default()))
}

fn frame(name: &str) -> Frame {
    Frame::one(Message::new(format!(r#"{{"type":"{name}"}}"#)))
}

/// Lets it into the lobby.
fn enter(session: &mut Session) {
    session.handle_text(at(1), br#"{"type":"presence:join"}"#);
    let entry = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Route { command: RoomCommand::Join(join), .. } => Some(join.entry),
        _ => None,
    });
    let (room, reader) = (RoomId::lobby(), Feed::new().reader());
    session.handle_delivery(Delivery::Position {
        room,
        entry: entry.unwrap(),
        frame: frame("snapshot"),
        reader,
    });
}

/// A stream with nine messages is opened for it, from a place on.
fn opened(room: &str, from: u64) -> Delivery {
    let (tail, receiver) = (Tail::after(Seq::new(9)), Receiver::new(Seq::new(from), Seq::new(9)));
    let room = RoomId::parse(room).unwrap();
    let opened = Opened { room, tail, receiver, from: Seq::new(from), told: Seq::new(9) };
    Delivery::Stream(StreamDelivery::Opened(opened))
}

/// How often the client is told the answer to its sync.
fn answers(session: &mut Session) -> usize {
    let mut frames = Vec::new();
    session.gather(at(2), &mut frames);
    let messages = frames.iter().flat_map(Frame::messages);
    messages.filter(|message| message.text().starts_with(br#"{"type":"sync_result""#)).count()
}

/// The sync that it asks for.
fn asked(session: &mut Session) -> Option<Box<Sync>> {
    session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Stream(StreamCommand::Sync(sync)) => Some(sync),
        _ => None,
    })
}

fn synced(sync: Box<Sync>, from: u64, to: u64) -> Delivery {
    let places = vec![Told { room: RoomId::lobby(), from: Seq::new(from), to: Seq::new(to) }];
    let answer = Ok(frame("sync_result"));
    Delivery::Stream(StreamDelivery::Synced(Box::new(Synced { answer, places, sync })))
}

/// M10: what a sync has brought counts as sent, also of a room in which another tab is and this one is not.
#[test]
fn what_a_sync_has_brought_may_be_acknowledged() {
    let mut session = open();
    session.handle_text(at(1), br#"{"type":"sync"}"#);
    let sync = asked(&mut session).unwrap();
    session.handle_delivery(synced(sync, 7, 9));
    session.take_outputs();
    let mut sure = |seq: u64| {
        session.handle_text(at(2), format!(r#"{{"type":"ack","seq":{seq}}}"#).as_bytes());
        let outputs = session.take_outputs().into_iter();
        outputs.into_iter().find_map(|output| match output {
            SessionOutput::Stream(StreamCommand::Acknowledge { unsure, .. }) => Some(unsure.is_none()),
            _ => None,
        })
    };
    assert_eq!((sure(9), sure(10)), (Some(true), Some(false)));
}

/// M12: who leaves a room and is on its roster is sent what they were not, whatever their other devices have dealt with.
#[test]
fn who_leaves_a_room_says_how_far_it_was_sent_its_messages() {
    let mut session = open();
    enter(&mut session);
    session.handle_delivery(opened("lobby", 4));
    session.take_outputs();
    session.handle_text(at(1), br#"{"type":"presence:leave"}"#);
    let left = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Stream(StreamCommand::Leave { sent, .. }) => Some(sent),
        _ => None,
    });
    assert_eq!(left, Some(Some(Seq::new(4))));
}

/// M9, M12: what a sync tells joins on to what was sent. Where a stream was opened meanwhile that it does not join on to, it is
/// asked again, and the client hears of it once.
#[test]
fn a_sync_skips_nothing_that_a_connection_has_yet_to_be_sent() {
    let mut session = open();
    session.handle_delivery(opened("doc", 2));
    session.handle_text(at(1), br#"{"type":"sync","cursors":{"named":5}}"#);
    let sync = asked(&mut session).unwrap();
    assert_eq!(sync.sent, [(RoomId::parse("doc").unwrap(), Seq::new(2))]);
    session.handle_delivery(opened("lobby", 4));
    session.handle_delivery(synced(sync, 7, 9));
    let sync = asked(&mut session).unwrap();
    assert!(sync.sent.contains(&(RoomId::lobby(), Seq::new(4))));
    assert_eq!(answers(&mut session), 0);
    session.handle_delivery(synced(sync, 4, 9));
    assert!(asked(&mut session).is_none());
    assert_eq!(answers(&mut session), 1);
}
