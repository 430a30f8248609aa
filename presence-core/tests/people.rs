//! What connections ask about people, and how rooms see somebody who has chosen another name; as lists of inputs.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use presence_core::frame::{Frame, Message};
use presence_core::id::{ConnectionId, Epoch, Generation, Incarnation, RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::people::{Person, Username};
use presence_core::port::transport::Silence;
use presence_core::profile::{Color, Profile};
use presence_core::rights::{Grant, Pattern, Rooms};
use presence_core::room::{Room, Visitor};
use presence_core::session::{Delivery, Opening, OwnEntry, PeopleCommand, Proof, Session, SessionOutput};
use presence_core::shard::RoomCommand;
use presence_core::time::{Now, Timestamp, WallTime};
use presence_core::wire::UserClaim;
use serde_json::Value;

fn at(millis: u64) -> Now {
    Now { at: Timestamp::from_millis(millis), wall: WallTime::from_unix_millis(millis.cast_signed()) }
}

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn open(proof: Proof) -> Session {
    let opening = Opening {
        connection: ConnectionId::from_random(5),
        default_room: RoomId::lobby(),
        proof,
        name: Some("what the URL says".into()),
        session: None,
        attempt: None,
        fallback_session: SessionId::parse("s").unwrap(),
        entry: OwnEntry::None,
        silence: Silence::IsDeath,
    };
    let limits = Limits { watched_users_max: 3, ..Limits::default() };
    let mut session = Session::open(at(0), opening, Arc::new(limits));
    session.take_outputs();
    written(&mut session);
    session
}

fn ann() -> Session {
    open(Proof::Word(Some(user("ann"))))
}

fn person(name: Option<&str>, color: Option<&str>) -> Person {
    Person {
        id: user("ann"),
        username: name.map(|name| Username::parse(name).unwrap()),
        color: color.map(|color| Color::parse(color).unwrap()),
        avatar: None,
        email: None,
        last_online: None,
        changed_at: WallTime::default(),
    }
}

fn written(session: &mut Session) -> Vec<Value> {
    let mut frames = Vec::new();
    session.gather(at(1), &mut frames);
    let messages = frames.iter().flat_map(Frame::messages);
    messages.map(|message| serde_json::from_slice(message.text()).unwrap()).collect()
}

fn asked(session: &mut Session, text: &str) -> Option<PeopleCommand> {
    session.handle_text(at(1), text.as_bytes());
    session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::People(command) => Some(*command),
        _ => None,
    })
}

fn refusal(session: &mut Session, text: &str) -> (String, Option<String>) {
    assert_eq!(asked(session, text), None, "{text}");
    let error = written(session).into_iter().find(|message| message["type"] == "error").unwrap();
    (error["code"].as_str().unwrap().to_owned(), error["field"].as_str().map(str::to_owned))
}

/// Names of the user in the rooms that are told, by the commands that a session gives.
fn shown(session: &mut Session) -> Vec<(String, String)> {
    let name = |output| match output {
        SessionOutput::Route { room, command: RoomCommand::Profile { after, .. } } => {
            Some((room.as_str().to_owned(), after.name.to_string()))
        }
        _ => None,
    };
    session.take_outputs().into_iter().filter_map(name).collect()
}

#[test]
fn questions_about_people_are_passed_on_with_what_they_need() {
    let mut session = ann();
    session.handle_text(at(0), br#"{"type":"presence:join","room":"doc"}"#);
    session.take_outputs();
    let doc = RoomId::parse("doc").unwrap();
    for (text, room) in [
        (r#"{"type":"list_users"}"#, None),
        (r#"{"type":"list_users","room":null}"#, None),
        (r#"{"type":"list_users","room":"doc"}"#, Some(doc.clone())),
    ] {
        let expected = PeopleCommand::ListUsers { room, rooms: vec![doc.clone()], reference: None };
        assert_eq!(asked(&mut session, text), Some(expected), "{text}");
    }
    let users = BTreeSet::from([user("bob"), user("💡")]);
    let watch = r#"{"type":"watch","users":["bob","💡","bob"],"ref":7}"#;
    let Some(PeopleCommand::Watch { users: watched, reference }) = asked(&mut session, watch) else {
        panic!("nobody is watched")
    };
    assert_eq!((&watched, reference.unwrap().as_str()), (&users, "7"));
    let unwatch = asked(&mut session, r#"{"type":"unwatch","users":["bob","💡"]}"#);
    assert_eq!(unwatch, Some(PeopleCommand::Unwatch { users }));
}

/// X3.
#[test]
fn a_question_that_is_none_is_refused_with_the_field() {
    let mut session = ann();
    let bad = |field: &str| ("bad_message".to_owned(), Some(field.to_owned()));
    for (text, refused) in [
        (r#"{"type":"watch"}"#, bad("users")),
        (r#"{"type":"watch","users":"bob"}"#, bad("users")),
        (r#"{"type":"watch","users":["bob",7]}"#, bad("users")),
        (r#"{"type":"watch","users":["bob",""]}"#, bad("users[1]")),
        (r#"{"type":"unwatch","users":["\u0000"]}"#, bad("users[0]")),
        (r#"{"type":"watch","users":["1","2","3","4"]}"#, bad("users")),
        (r#"{"type":"list_users","room":"a b"}"#, ("invalid_room".to_owned(), Some("room".to_owned()))),
        (r#"{"type":"list_users","room":"@bob"}"#, ("forbidden".to_owned(), Some("room".to_owned()))),
    ] {
        assert_eq!(refusal(&mut session, text), refused, "{text}");
    }
    let mut nobody = open(Proof::Word(None));
    for text in [r#"{"type":"watch","users":[]}"#, r#"{"type":"list_users"}"#] {
        assert_eq!(refusal(&mut nobody, text), ("unauthorized".to_owned(), None), "{text}");
    }
}

/// C1: what a person has chosen stands over what their connection says, in every room and at every later join.
#[test]
fn what_is_kept_of_the_user_reaches_every_room_that_the_connection_is_in() {
    let mut session = ann();
    for room in ["a", "b"] {
        session.handle_text(at(0), format!(r#"{{"type":"presence:join","room":"{room}"}}"#).as_bytes());
    }
    session.take_outputs();
    let told = |name: &str| vec![("a".to_owned(), name.to_owned()), ("b".to_owned(), name.to_owned())];
    session.handle_delivery(Delivery::Person(Arc::new(person(Some("alice"), None))));
    assert_eq!(shown(&mut session), told("alice"));
    session.handle_delivery(Delivery::Person(Arc::new(person(Some("alice"), None))));
    assert_eq!(shown(&mut session), [], "what changes nothing is told to nobody");
    session.handle_text(at(0), br#"{"type":"presence:join","room":"c","user":{"name":"Al"}}"#);
    let joined = session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Route { command: RoomCommand::Join(join), .. } => Some(join.profile.name.to_string()),
        _ => None,
    });
    assert_eq!(joined.as_deref(), Some("alice"));
    session.handle_delivery(Delivery::Person(Arc::new(person(None, None))));
    let names: Vec<String> = shown(&mut session).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["Al", "Al", "Al"], "without a choice it is as the connection says");
    let other = Person { id: user("bob"), ..person(Some("bobby"), None) };
    session.handle_delivery(Delivery::Person(Arc::new(other)));
    assert_eq!(shown(&mut session), [], "it is not this one's user");
}

/// X4, S1: a member whose token does not allow the room hears nothing of it.
#[test]
fn a_notice_reaches_only_who_may_enter_its_room() {
    let grant = Grant {
        profile: Arc::new(Profile::of_user(user("ann"))),
        rooms: Rooms::Like(Arc::from([Pattern::new("doc-*")])),
        expires: WallTime::from_unix_millis(1_000_000),
    };
    let mut session = open(Proof::Token(Box::new(grant)));
    for room in ["doc-1", "secret"] {
        let frame = Frame::one(Message::new(format!(r#"{{"type":"x","room":"{room}"}}"#)));
        session.handle_delivery(Delivery::Notice { room: RoomId::parse(room).unwrap(), frame });
    }
    let rooms: Vec<Value> =
        written(&mut session).into_iter().map(|message| message["room"].clone()).collect();
    assert_eq!(rooms, ["doc-1"]);
}

/// P16: only what has changed, though each of the user's connections may have said something else.
#[test]
fn a_room_shows_what_has_changed_and_leaves_the_rest() {
    let mut room = Room::new(RoomId::parse("doc").unwrap(), Epoch::new(Incarnation::from_random(1), 1));
    let limits = Limits::default();
    let said = |name: &str| {
        let claim = UserClaim { name: Some(name.into()), ..UserClaim::default() };
        Arc::new(Profile::of_user(user("ann"))).with(&claim)
    };
    let visitor = |session: &str, name: &str, generation| Visitor {
        profile: said(name),
        session: SessionId::parse(session).unwrap(),
        generation: Generation::new(generation),
        active: true,
    };
    let (tab, phone) = (visitor("tab", "Ann at work", 1), visitor("phone", "Ann at home", 2));
    room.join(at(0), &tab, None, &limits).unwrap();
    room.join(at(0), &phone, None, &limits).unwrap();
    room.hand_out(at(0), &limits);
    let version = room.stand().version;
    let blue = person(None, Some("#0000ff"));
    for visitor in [&phone, &tab] {
        room.show(visitor, &visitor.profile, &blue.over(&visitor.profile));
    }
    assert_eq!(room.hand_out(at(40), &limits).presence, 1);
    assert_eq!(room.stand().version, version.next());
    let member = room.member("ann").unwrap();
    assert_eq!((member.profile.name.as_ref(), member.profile.color.as_str()), ("Ann at home", "#0000ff"));
    room.show(&tab, &member.profile.clone(), &member.profile.clone());
    let gone = Visitor { generation: Generation::new(9), ..tab };
    room.show(&gone, &gone.profile, &person(Some("nobody"), None).over(&gone.profile));
    assert!(!room.has_news());
}
