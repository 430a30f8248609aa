//! How a connection comes to belong to somebody, what it may say of them, and which session it has.

use std::sync::Arc;

use presence_core::error::{CommandError, ErrorCode};
use presence_core::id::{SessionId, Version};
use presence_core::limits::Limits;
use presence_core::people::Username;
use presence_core::port::transport::Silence;
use presence_core::session::{Delivery, OwnEntry, Proof, SessionOutput};
use presence_core::wire::Since;

use crate::client::{Client, grant, person, room, word};

const AUTH: &str = r#"{"type":"auth","token":"t"}"#;

fn unknown() -> Client {
    Client::opened(word(None), Limits::default(), |_| {})
}

#[test]
fn in_dev_mode_the_first_message_says_who_it_is() {
    let mut client = unknown();
    assert_eq!(client.says(r#"{"type":"auth","ref":"r"}"#), ["refused: BadMessage"]);
    assert_eq!(client.reads_errors(), ["bad_message client_id r"]);
    assert_eq!(
        client.says(r#"{"type":"auth","client_id":"ann","session_id":"tab","ref":"r"}"#),
        ["attach ann as tab"]
    );
    let read = client.reads();
    assert_eq!((&read[0]["user_id"], &read[0]["session_id"]), (&"ann".into(), &"tab".into()));
    assert_eq!((&read[0]["ref"], &read[1]["type"]), (&"r".into(), &"ping".into()));
}

#[test]
fn in_dev_mode_a_join_may_say_who_it_is_and_enters_too() {
    let mut client = unknown();
    assert_eq!(client.says(r#"{"type":"presence:join","ref":"r"}"#), ["refused: BadMessage"]);
    assert_eq!(client.reads_errors(), ["bad_message user.id r"]);
    let inbox = r#"{"type":"presence:join","room":"@bob","user":{"id":"ann"},"ref":"r"}"#;
    assert_eq!(client.says(inbox), ["refused: Forbidden"]);
    assert_eq!(client.reads_errors(), ["forbidden room r"]);
    assert_eq!(client.session.user(), None, "who may not enter has not come");
    assert_eq!(
        client.says(r#"{"type":"presence:join","user":{"id":"ann","name":"Ann","sessionId":"tab"}}"#),
        ["attach ann as tab", "said: Ann", "lobby: join as Ann"]
    );
}

#[test]
fn whoever_says_no_more_of_themselves_than_their_id_has_said_nothing() {
    let mut client = Client::opened(word(Some("ann")), Limits::default(), |_| {});
    assert_eq!(client.wants(), ["attach ann as by-the-server"]);
    assert_eq!(client.says(r#"{"type":"presence:join"}"#), ["lobby: join as ann"]);
    assert_eq!(
        client.says(r#"{"type":"presence:join","user":{"name":"Ann"}}"#),
        ["said: Ann", "lobby: join as Ann"]
    );
    assert_eq!(client.says(r#"{"type":"presence:join","user":{"name":"Ann"}}"#), ["lobby: join as Ann"]);
}

#[test]
fn the_url_may_say_a_name_and_a_session() {
    let mut client = Client::opened(word(Some("ann")), Limits::default(), |opening| {
        opening.name = Some("Ann".into());
        opening.session = Some(SessionId::parse("tab").unwrap());
    });
    assert_eq!(client.wants(), ["attach ann as tab", "said: Ann"]);
    client.reads();
    let other = r#"{"type":"presence:join","user":{"sessionId":"other"},"ref":"r"}"#;
    assert_eq!(client.says(other), ["refused: Conflict"]);
    assert_eq!(client.reads_errors(), ["conflict user.sessionId r"]);
}

#[test]
fn a_session_id_of_the_url_stands_against_the_first_message_too() {
    for first in [
        r#"{"type":"auth","client_id":"ann","session_id":"other"}"#,
        r#"{"type":"presence:join","user":{"id":"ann","sessionId":"other"}}"#,
    ] {
        let mut client = Client::opened(word(None), Limits::default(), |opening| {
            opening.session = Some(SessionId::parse("tab").unwrap());
        });
        assert_eq!(client.says(first), ["refused: Conflict"], "{first}");
        assert_eq!(client.session.session_id(), None);
        assert_eq!(client.says(&first.replace("other", "tab"))[0], "attach ann as tab");
    }
}

/// The protocol: one that the server chose is replaced by the first one given while no room is entered.
#[test]
fn a_session_id_that_the_server_chose_gives_way_to_the_clients_before_any_room_has_seen_it() {
    let mut client = Client::ann();
    client.says(r#"{"type":"presence:activity","active":false}"#);
    assert_eq!(
        client.says(r#"{"type":"presence:join","user":{"sessionId":"tab"}}"#),
        ["detach: Finished", "attach ann as tab", "said: ann", "active: false", "lobby: join as ann"]
    );
    let read = client.reads();
    assert_eq!((&read[0]["type"], &read[0]["session_id"]), (&"connected".into(), &"tab".into()));
    let other = r#"{"type":"auth","session_id":"other","ref":"r"}"#;
    assert_eq!(client.says(other), ["refused: Conflict"], "the first one given stands");
    assert_eq!(client.reads_errors(), ["conflict session_id r"]);
}

#[test]
fn a_session_id_that_the_server_chose_stays_once_a_room_has_seen_it_or_the_client_has_said_it() {
    let mut client = Client::ann();
    client.enters("doc");
    let other = r#"{"type":"auth","session_id":"other"}"#;
    assert_eq!(client.says(other), ["refused: Conflict"]);
    let mut client = Client::ann();
    assert!(client.says(r#"{"type":"auth","session_id":"by-the-server"}"#).is_empty());
    assert_eq!(client.reads_types(), ["connected"], "an `auth` is answered whatever it changes");
    assert_eq!(client.says(other), ["refused: Conflict"]);
}

#[test]
fn s7_whoever_is_known_is_nobody_else_from_then_on() {
    let mut client = Client::ann();
    assert_eq!(client.says(r#"{"type":"auth","client_id":"bob","ref":"r"}"#), ["refused: Forbidden"]);
    assert_eq!(client.reads_errors(), ["forbidden client_id r"]);
    assert_eq!(client.says(r#"{"type":"presence:join","user":{"id":"bob"}}"#), ["refused: Forbidden"]);
    assert!(client.says(r#"{"type":"auth","client_id":"ann","token":"any"}"#).is_empty());
    assert_eq!(client.session.user().unwrap().as_str(), "ann");
}

#[test]
fn a_renewal_is_for_the_same_user_and_the_same_session() {
    let mut client = Client::ann_in(&["*"]);
    client.enters("doc");
    let ann = || Ok(grant("ann", &["*"], 600_000));
    let auth = |more: &str| format!(r#"{{"type":"auth","token":"t",{more},"ref":"r"}}"#);
    assert_eq!(client.proves(&auth(r#""client_id":"bob""#), ann()), ["refused: Forbidden"]);
    assert_eq!(client.reads_errors(), ["forbidden client_id r"]);
    assert_eq!(client.proves(&auth(r#""session_id":"other""#), ann()), ["refused: Conflict"]);
    assert_eq!(client.reads_errors(), ["conflict session_id r"]);
    assert!(client.proves(&auth(r#""session_id":"by-the-server""#), ann()).is_empty());
    assert_eq!(client.reads_types(), ["connected"]);
}

#[test]
fn a_token_on_its_way_is_handed_out_to_be_checked_and_so_is_its_renewal() {
    let mut client = Client::opened(Proof::Awaited, Limits::default(), |_| {});
    assert_eq!(client.says(r#"{"type":"auth","token":"secret"}"#), ["verify secret"]);
    let mut client = Client::ann_in(&["*"]);
    assert_eq!(client.says(r#"{"type":"auth","token":"next"}"#), ["verify next"]);
    assert!(
        client.says(r#"{"type":"auth","client_id":"ann"}"#).is_empty(),
        "without a token nothing is renewed"
    );
    assert_eq!(client.reads_types(), ["connected"]);
}

#[test]
fn a_verdict_that_comes_after_the_end_changes_nothing() {
    let mut client = Client::opened(Proof::Awaited, Limits::default(), |_| {});
    client.session.handle_text(client.now(), AUTH.as_bytes());
    let credentials = client.session.take_outputs().into_iter().find_map(|output| match output {
        SessionOutput::Verify(credentials) => Some(credentials),
        _ => None,
    });
    assert_eq!(client.waits_until(10_000), ["close: NotAuthorized"]);
    let good = Ok(grant("ann", &["*"], 600_000));
    client.session.handle_verified(client.now(), *credentials.unwrap(), good);
    assert!(client.wants().is_empty() && client.reads().is_empty());
    assert_eq!(client.session.user(), None);
}

/// C8, S2: what is over when it comes is over at once, however far back the clock says.
#[test]
fn s2_a_token_that_is_over_when_it_comes_ends_at_once() {
    let proof = Proof::Token(Box::new(grant("ann", &["*"], -5)));
    let mut client = Client::opened(proof, Limits::default(), |_| {});
    assert_eq!(client.session.poll_timeout(), Some(client.now().at));
    client.wants();
    assert_eq!(client.waits_until(0), ["detach: Lost", "close: TokenExpired"]);
}

#[test]
fn a_connection_that_enters_by_itself_asks_as_soon_as_it_is_known() {
    let since = Since { epoch: "e-1".into(), version: Version::new(7) };
    let enters = OwnEntry::Enter(Some(since.clone()));
    let mut client = Client::opened(word(None), Limits::default(), |opening| {
        opening.entry = enters.clone();
        opening.default_room = room("doc");
    });
    assert!(client.rooms().is_empty());
    assert_eq!(
        client.says(r#"{"type":"auth","client_id":"ann"}"#),
        ["attach ann as by-the-server", "doc: join as ann"]
    );

    let mut client =
        Client::opened(word(Some("ann")), Limits::default(), |opening| opening.entry = enters.clone());
    let asked = client.session.take_outputs();
    let join = asked.into_iter().find_map(|output| match output {
        SessionOutput::Route { command: presence_core::shard::RoomCommand::Join(join), .. } => Some(join),
        _ => None,
    });
    assert_eq!(join.unwrap().since, Some(since));

    let proof = Proof::Token(Box::new(grant("ann", &["doc-*"], 600_000)));
    let mut client = Client::opened(proof, Limits::default(), |opening| opening.entry = enters);
    assert_eq!(client.wants(), ["attach ann as by-the-server", "refused: Forbidden"]);
    assert_eq!(client.reads_types(), ["connected", "ping", "error"]);
}

#[test]
fn who_speaks_over_other_connections_learns_the_name_of_this_one_before_it_is_known() {
    let silent = |silence| move |opening: &mut presence_core::session::Opening| opening.silence = silence;
    let mut client = Client::opened(Proof::Awaited, Limits::default(), silent(Silence::MaySayNothing));
    assert_eq!(client.reads_types(), ["opened"]);
    let mut client = Client::opened(word(Some("ann")), Limits::default(), silent(Silence::MaySayNothing));
    assert_eq!(client.reads_types(), ["connected", "ping"], "`connected` says it too");
    let mut client = Client::opened(Proof::Awaited, Limits::default(), silent(Silence::IsDeath));
    assert!(client.reads().is_empty());
}

#[test]
fn the_refusal_says_what_has_to_come_first() {
    let heartbeat = r#"{"type":"presence:heartbeat"}"#;
    for (proof, what) in [(Proof::Awaited, "send `auth` with a token"), (word(None), "`presence:join`")] {
        let mut client = Client::opened(proof, Limits::default(), |_| {});
        client.says(heartbeat);
        let message = client.reads()[0]["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with(what), "{message}");
    }
}

/// What a person has chosen for good stands over what one of their connections says.
#[test]
fn what_is_kept_of_the_user_stands_over_what_the_connection_says() {
    let mut client = Client::ann();
    client.enters("doc");
    let chosen = |name: Option<&str>| {
        let username = name.map(|name| Username::parse(name).unwrap());
        Delivery::Person(Arc::new(presence_core::people::Person { username, ..person("ann") }))
    };
    assert_eq!(client.gets(chosen(Some("Annie"))), ["doc: ann is Annie now"]);
    assert!(client.gets(chosen(Some("Annie"))).is_empty());
    assert_eq!(
        client.says(r#"{"type":"presence:join","room":"doc","user":{"name":"Ann"}}"#),
        ["said: Ann", "doc: join as Annie"]
    );
    assert_eq!(client.gets(chosen(None)), ["doc: Annie is Ann now"]);
    let bob = presence_core::people::Person { username: Username::parse("Bobby").ok(), ..person("bob") };
    assert!(client.gets(Delivery::Person(Arc::new(bob.clone()))).is_empty(), "that is somebody else");
    let mut nobody = unknown();
    assert!(nobody.gets(Delivery::Person(Arc::new(bob))).is_empty());
}

#[test]
fn a_bad_token_on_a_live_connection_changes_nothing() {
    let mut client = Client::ann_in(&["doc"]);
    client.enters("doc");
    let bad = CommandError::field(ErrorCode::Unauthorized, "token", "it is bad");
    assert_eq!(client.proves(AUTH, Err(bad)), ["refused: Unauthorized"]);
    assert_eq!(client.rooms(), ["doc"]);
    assert_eq!(client.says(r#"{"type":"presence:join","room":"team"}"#), ["refused: Forbidden"]);
}
