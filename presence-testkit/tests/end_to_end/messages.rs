//! Messages that last: kept once, acknowledged, delivered in order to those who are there and to those who come later.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::Balance;
use presence_core::time::WallTime;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::http_surface::ask_until;
use crate::on_every_kind;
use crate::server::{TestServer, quick};

pub(crate) async fn connect(kind: Kind, server: &TestServer, user: &str, session: &str) -> Result<Client> {
    Client::connect(kind, server.address, &Credentials::new(user, session)).await
}

pub(crate) async fn back(client: Client, kind: Kind, server: &TestServer, session: &str) -> Result<Client> {
    let who = Credentials::new(client.name(), session);
    client.come_back(kind, server.address, &who).await
}

pub(crate) async fn add_member(server: &TestServer, room: &str, user: &str) -> Result<()> {
    let (room, user) = (RoomId::parse(room)?, UserId::parse(user)?);
    server.streams.store().add_member(&room, &user, WallTime::default()).await?;
    server.streams.joined_roster(&room, &user).await?;
    Ok(())
}

/// The six numbers, which add up at any time (M6).
async fn balance(server: &TestServer) -> Result<Balance> {
    let balance = server.streams.store().balance().await?;
    let Balance { accepted, acked, queued, expired, dropped, dead_lettered, purged } = balance;
    ensure!(accepted == acked + queued + expired + dropped + dead_lettered + purged, "{balance:?}");
    Ok(balance)
}

/// Waits until the numbers are as wanted: cursors are written down a little later.
pub(crate) async fn until_balance(server: &TestServer, wanted: impl Fn(&Balance) -> bool) -> Result<Balance> {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let search = async {
        loop {
            looks.tick().await;
            let balance = balance(server).await?;
            if wanted(&balance) {
                return anyhow::Ok(balance);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), search).await.context("the numbers do not get there")?
}

fn is_created(message: &ServerMessage) -> bool {
    matches!(message, ServerMessage::MessageCreated(_))
}

/// M2, M3: everybody in the room gets it at once, the sender's other session too; the sender gets an ack.
async fn a_message_reaches_everybody_in_the_room_and_its_sender_an_ack(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut tab = server.enter(kind, "ann", "second", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let ack = ann.send_message("doc", &json!({"text": "hello 💡", "n": [1, null]})).await?;
    assert_eq!((ack.seq, ack.durability.as_str(), ack.room.as_str()), (1, "memory", "doc"));
    assert_eq!(ack.reference, Some(json!("ann-1")));
    for client in [&mut tab, &mut bob] {
        client.until_place("doc", 1).await?;
        let stream = client.inbox().stream("doc");
        let got = &stream.applied[0];
        assert_eq!(got.snapshot, json!({"text": "hello 💡", "n": [1, null]}));
        assert_eq!((got.user_id.as_str(), got.user_name.as_str(), got.id.as_str()), ("ann", "ann", "ann-1"));
        assert_eq!((got.timestamp, got.redelivered), (ack.timestamp, false));
        assert!(got.correlation_id.contains('-'), "{got:?}");
        client.ack("doc").await?;
    }
    // Order is one order for all, whoever sends.
    for n in 0..5 {
        ann.say("doc", &json!(n)).await?;
        bob.say("doc", &json!(n)).await?;
    }
    for client in [&mut ann, &mut tab, &mut bob] {
        client.until_place("doc", 11).await?;
    }
    assert_eq!(tab.inbox().stream("doc").applied.len(), 11);
    assert_eq!(ann.inbox().stream("doc").applied.len(), 5);
    for client in [&mut ann, &mut tab, &mut bob] {
        client.ack("doc").await?;
    }
    until_balance(&server, |balance| balance.queued == 0 && balance.acked == 22).await?;
    Ok(())
}

/// M4: the same id is the same message; another body under it is a conflict, and changes nothing.
async fn the_same_id_is_the_same_message_and_never_another(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let message =
        |data: Value| json!({"type": "message", "room": "doc", "id": "x", "data": data, "ref": "x"});
    ann.send(&message(json!({"n": 1}))).await?;
    let first = ann.acked("x").await?;
    ann.send(&message(json!({"n": 1}))).await?;
    assert_eq!(ann.acked("x").await?, first);
    ann.send(&message(json!({"n": 2}))).await?;
    assert_eq!(ann.refusal().await?, ("conflict".to_owned(), Some("id".to_owned())));
    // Another sender's id is another id.
    bob.send(&message(json!({"n": 3}))).await?;
    assert_eq!(bob.acked("x").await?.seq, 2);
    bob.until_place("doc", 2).await?;
    assert_eq!(bob.inbox().stream("doc").applied.len(), 1);
    Ok(())
}

/// X4: sending takes presence, or a place on the roster.
async fn who_is_not_in_the_room_can_not_send_to_it(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    ann.say("doc", &json!(1)).await?;
    assert_eq!(ann.refusal().await?, ("not_joined".to_owned(), Some("room".to_owned())));
    add_member(&server, "doc", "ann").await?;
    assert_eq!(ann.send_message("doc", &json!(2)).await?.seq, 1);
    bob.until_place("doc", 1).await?;
    // Who is on the roster gets what is said there, wherever they are; and who has left does not.
    bob.send_message("doc", &json!(3)).await?;
    ann.until_place("doc", 2).await?;
    bob.send(&json!({"type": "presence:leave", "room": "doc"})).await?;
    bob.say("doc", &json!(4)).await?;
    assert_eq!(bob.refusal().await?.0, "not_joined");
    ann.send_message("doc", &json!(5)).await?;
    assert_eq!(ann.send_message("@bob", &json!(6)).await?.seq, 1);
    bob.until_place("@bob", 1).await?;
    assert_eq!(bob.inbox().stream("doc").place, 2);
    Ok(())
}

/// X3: what is no message is said to be none.
async fn a_bad_message_names_its_field(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    for (text, code, field) in [
        (r#"{"type":"message","room":"doc","data":1}"#, "bad_message", "id"),
        (r#"{"type":"message","room":"doc","id":"","data":1}"#, "bad_message", "id"),
        (r#"{"type":"message","room":"doc","id":"x"}"#, "bad_message", "data"),
        (r#"{"type":"message","room":"a b","id":"x","data":1}"#, "invalid_room", "room"),
        (r#"{"type":"ack","room":"doc"}"#, "bad_message", "seq"),
        (r#"{"type":"ack","room":"doc","seq":-1}"#, "bad_message", "seq"),
        (r#"{"type":"ack","room":"doc","seq":1.5}"#, "bad_message", "seq"),
        (r#"{"type":"sync","limit":0}"#, "bad_message", "limit"),
        (r#"{"type":"sync","cursors":{"doc":"x"}}"#, "bad_message", "cursors.doc"),
        (r#"{"type":"sync","cursors":{"a b":1}}"#, "invalid_room", "cursors.a b"),
    ] {
        ann.send_text(text).await?;
        let refusal = ann.refusal().await?;
        assert_eq!((refusal.0.as_str(), refusal.1.as_deref()), (code, Some(field)), "{text}");
    }
    // `null` is something to say, and a room that is not named is the default one.
    ann.send(&json!({"type": "presence:join"})).await?;
    ann.send_text(r#"{"type":"message","id":"x","data":null}"#).await?;
    assert_eq!(ann.acked("x").await?.room, "lobby");
    Ok(())
}

/// M10: nothing can be acknowledged that was not sent; who goes on with it is sent away.
async fn an_ack_beyond_what_was_sent_is_an_error_and_abuse_ends(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { abuse_max: 5, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    ann.send_message("doc", &json!(1)).await?;
    bob.until_place("doc", 1).await?;
    for seq in [2, (1_u64 << 53) - 1, u64::MAX] {
        bob.send(&json!({"type": "ack", "room": "doc", "seq": seq})).await?;
        assert_eq!(bob.refusal().await?, ("conflict".to_owned(), Some("seq".to_owned())), "{seq}");
    }
    bob.ack("doc").await?;
    until_balance(&server, |balance| balance.queued == 0).await?;
    for _ in 0..6 {
        let _ = bob.send(&json!({"type": "ack", "room": "doc", "seq": 9})).await;
    }
    assert_eq!(bob.closed().await?, Some(4500));
    Ok(())
}

/// M4 of the requirements: what comes while somebody is away waits, and comes in order, once.
async fn messages_wait_for_who_is_away_and_come_in_order_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { page_messages_max: 7, tail_messages_max: 5, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    add_member(&server, "doc", "bob").await?;
    for n in 0..30 {
        ann.send_message("doc", &json!(n)).await?;
        ann.send_message("@bob", &json!(n)).await?;
    }
    let mut bob = connect(kind, &server, "bob", "b").await?;
    for room in ["doc", "@bob"] {
        bob.until_place(room, 30).await?;
        let said: Vec<Value> =
            bob.inbox().stream(room).applied.iter().map(|created| created.snapshot.clone()).collect();
        assert_eq!(json!(said), json!((0..30).collect::<Vec<_>>()), "{room}");
        bob.ack(room).await?;
    }
    ann.send_message("@bob", &json!("live")).await?;
    bob.until_place("@bob", 31).await?;
    bob.ack("@bob").await?;
    until_balance(&server, |balance| balance.queued == 0).await?;
    // Nothing comes twice: the next thing that he hears of is new.
    bob.close(1000).await?;
    let mut bob = connect(kind, &server, "bob", "b").await?;
    ann.send_message("@bob", &json!("new")).await?;
    bob.until_place("@bob", 32).await?;
    assert_eq!(bob.inbox().stream("@bob").ids().len(), 1);
    Ok(())
}

/// M2, M9: who is cut off in the middle and comes back has everything, once.
async fn a_client_that_is_cut_off_in_the_middle_misses_nothing(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { page_messages_max: 3, tail_messages_max: 4, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    for round in 0..4 {
        for n in 0..6 {
            ann.send_message("doc", &json!([round, n])).await?;
        }
        bob.until_place("doc", round * 6 + 3).await?;
        if round % 2 == 0 {
            bob.ack("doc").await?;
        }
        // He is lost, and comes back within the grace; meanwhile there is more.
        let who = Credentials::new("bob", "b");
        let lost = std::mem::replace(&mut bob, connect(kind, &server, "nobody", "n").await?);
        let view = lost.inbox().clone();
        let back = lost.come_back(kind, server.address, &who).await?;
        assert_eq!(back.inbox().cursors().get("doc"), view.cursors().get("doc"));
        bob = back;
        bob.resume("doc").await?;
        bob.until_place("doc", (round + 1) * 6).await?;
    }
    let stream = bob.inbox().stream("doc");
    let places: Vec<u64> = stream.applied.iter().map(|created| created.seq).collect();
    assert_eq!(places, (1..=24).collect::<Vec<_>>());
    Ok(())
}

/// M2: who is back within the grace was in the room all the time, also if nothing had been said there before.
async fn who_is_cut_off_before_the_first_message_gets_it_too(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.reset();
    ask_until(server.address, "/v1/stats", |stats| stats["connections"] == 1).await?;
    ann.send_message("doc", &json!(1)).await?;
    ann.send_message("doc", &json!(2)).await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.until_place("doc", 2).await?;
    assert_eq!(bob.inbox().stream("doc").ids(), ["ann-1", "ann-2"]);
    Ok(())
}

/// M9: to a server that does not know that a user was ever there they are somebody new; who says what they have gets the
/// rest, before what is new.
async fn who_says_what_they_have_gets_the_rest_before_what_is_new(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    for n in 1..=3 {
        ann.send_message("doc", &json!(n)).await?;
    }
    for round in 1..=5 {
        let mut bob = connect(kind, &server, "bob", "b").await?;
        bob.send(&json!({"type": "presence:join", "room": "doc"})).await?;
        // What is posted waits for its turn, and until then somebody new is sent what is new.
        let answer = bob.sync(json!({"cursors": {"doc": 0}})).await?;
        assert_eq!(answer.cursors["doc"], 2 + round);
        ann.say("doc", &json!(round)).await?;
        bob.until_place("doc", 3 + round).await?;
        ann.send_message("@bob", &json!(round)).await?;
        bob.until_place("@bob", round).await?;
        assert_eq!(bob.inbox().stream("doc").applied.len() as u64, 3 + round);
        bob.close(1000).await?;
    }
    Ok(())
}

/// M2: a place that this server never gave does not keep anything new back.
async fn who_has_more_than_there_is_gets_what_is_new(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send_message("doc", &json!(1)).await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let answer = bob.sync(json!({"cursors": {"doc": 99, "@bob": 99}})).await?;
    assert_eq!((answer.cursors["doc"], answer.cursors["@bob"]), (1, 0));
    ann.send_message("doc", &json!(2)).await?;
    ann.send_message("@bob", &json!(1)).await?;
    bob.until_place("doc", 2).await?;
    bob.until_place("@bob", 1).await
}

/// M5: what is not acknowledged goes again, a bounded number of times, and says so; then it waits for the next connection.
async fn what_is_not_acknowledged_goes_again_and_not_for_ever(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { redelivery_ms: 100, redeliveries_max: 2, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    ann.send_message("doc", &json!(1)).await?;
    let mut again = std::collections::BTreeMap::<u64, usize>::new();
    let mut second = None;
    // The second message has its turns after the first has had all of its own.
    while again.get(&2) != Some(&2) {
        if again.get(&1) == Some(&2) && second.is_none() {
            second = Some(ann.send_message("doc", &json!(2)).await?);
        }
        if let ServerMessage::MessageCreated(created) = bob.wait_for("a message", is_created).await?
            && created.redelivered
        {
            *again.entry(created.seq).or_default() += 1;
        }
    }
    assert_eq!(again, [(1, 2), (2, 2)].into());
    assert_eq!(bob.inbox().stream("doc").repeated, 4);
    // They wait for him until he is in the room again.
    let mut bob = back(bob, kind, &server, "b").await?;
    bob.send(&json!({"type": "presence:join", "room": "doc"})).await?;
    let created = bob.wait_for("what waits", is_created).await?;
    assert!(matches!(created, ServerMessage::MessageCreated(created) if created.seq == 1));
    bob.wait_for("what waits", is_created).await?;
    bob.ack("doc").await?;
    until_balance(&server, |balance| balance.queued == 0).await?;
    Ok(())
}

/// M7: a full stream lets go of the oldest, and says so before anything else.
async fn when_a_stream_is_full_the_oldest_go_and_the_receiver_is_told(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { stream_messages_max: 3, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    for n in 1..=5 {
        ann.send_message("@bob", &json!(n)).await?;
    }
    let mut bob = connect(kind, &server, "bob", "b").await?;
    let is_dropped = |message: &ServerMessage| matches!(message, ServerMessage::MessagesDropped(_));
    let dropped = bob.wait_for("word of it", |message| is_dropped(message) || is_created(message)).await?;
    let ServerMessage::MessagesDropped(dropped) = dropped else { anyhow::bail!("{dropped:?}") };
    assert_eq!((dropped.count, dropped.from_seq, dropped.to_seq, &*dropped.reason), (2, 1, 2, "overflow"));
    bob.until_place("@bob", 5).await?;
    assert_eq!(bob.inbox().stream("@bob").ids(), ["ann-3", "ann-4", "ann-5"]);
    bob.ack("@bob").await?;
    let numbers = until_balance(&server, |balance| balance.queued == 0).await?;
    assert_eq!((numbers.accepted, numbers.acked, numbers.dropped), (5, 3, 2));
    Ok(())
}

/// M8: nobody gets what is too old, and the receiver is told.
async fn what_is_too_old_is_not_delivered_and_the_receiver_is_told(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { message_age_ms: 1_000, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    for n in 1..=2 {
        ann.send_message("@bob", &json!(n)).await?;
    }
    until_balance(&server, |balance| balance.expired == 2).await?;
    ann.send_message("@bob", &json!("fresh")).await?;
    let mut bob = connect(kind, &server, "bob", "b").await?;
    bob.until_place("@bob", 3).await?;
    assert_eq!(bob.inbox().stream("@bob").dropped, 2);
    assert_eq!(bob.inbox().stream("@bob").ids(), ["ann-3"]);
    Ok(())
}

/// M9: a sync comes in pages, in order, and live delivery goes on after it.
async fn a_sync_comes_in_pages_and_deliveries_go_on_after_it(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { redelivery_ms: 60_000, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    for n in 1..=5 {
        ann.send_message("@bob", &json!(n)).await?;
    }
    // One device has everything; the other begins anew.
    let mut phone = connect(kind, &server, "bob", "phone").await?;
    phone.until_place("@bob", 5).await?;
    phone.ack("@bob").await?;
    until_balance(&server, |balance| balance.queued == 0).await?;
    let mut laptop = connect(kind, &server, "bob", "laptop").await?;
    let (mut cursors, mut pages) = (json!({"@bob": 0}), Vec::new());
    loop {
        let page = laptop.sync(json!({"cursors": cursors, "limit": 2})).await?;
        assert!(page.messages.len() <= 2 && page.cursors["@bob"] > 0);
        pages.push(page.messages.len());
        cursors = json!(page.cursors);
        if !page.more {
            break;
        }
    }
    assert_eq!(laptop.inbox().stream("@bob").place, 5, "{pages:?}");
    ann.send_message("@bob", &json!("live")).await?;
    laptop.until_place("@bob", 6).await?;
    let places: Vec<u64> = laptop.inbox().stream("@bob").applied.iter().map(|created| created.seq).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    // What nobody has acknowledged is new to a client that knows nothing; what came since a time, too.
    assert_eq!(laptop.sync(json!({})).await?.messages.len(), 1);
    let since = laptop.inbox().stream("@bob").applied[2].timestamp - 1;
    assert!(laptop.sync(json!({"since": since})).await?.messages.len() >= 4);
    assert_eq!(laptop.sync(json!({"since": i64::MAX})).await?.messages.len(), 0);
    Ok(())
}

/// M12: every device gets it, and one that has dealt with it is enough.
async fn every_device_gets_it_and_one_ack_is_enough(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { redelivery_ms: 200, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let mut phone = connect(kind, &server, "bob", "phone").await?;
    let mut laptop = connect(kind, &server, "bob", "laptop").await?;
    ann.send_message("@bob", &json!(1)).await?;
    phone.until_place("@bob", 1).await?;
    laptop.until_place("@bob", 1).await?;
    phone.ack("@bob").await?;
    until_balance(&server, |balance| balance.queued == 0 && balance.acked == 1).await?;
    // Neither of them gets it again: the next is new to both.
    ann.send_message("@bob", &json!(2)).await?;
    for client in [&mut phone, &mut laptop] {
        client.until_place("@bob", 2).await?;
        client.ack("@bob").await?;
    }
    let third = connect(kind, &server, "bob", "third").await?;
    ann.send_message("@bob", &json!(3)).await?;
    let mut third = third;
    third.until_place("@bob", 3).await?;
    assert_eq!(third.inbox().stream("@bob").applied.last().map(|created| created.seq), Some(3));
    Ok(())
}

/// M13: who does not read holds up nobody.
async fn who_does_not_read_holds_up_nobody(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { messages_burst: 5_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let who = Credentials { receive_buffer: Some(4096), ..Credentials::new("slow", "s") };
    let mut slow = Client::enter(kind, server.address, &who, "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let filling = "x".repeat(8_000);
    for n in 1..=300 {
        ann.say("doc", &json!([n, filling])).await?;
        if n % 50 == 0 {
            bob.until_place("doc", n).await?;
            bob.ack("doc").await?;
        }
    }
    // And when they read again, they have everything.
    slow.until_place("doc", 300).await?;
    assert_eq!(slow.inbox().stream("doc").applied.len(), 300);
    Ok(())
}

on_every_kind! {
    a_message_reaches_everybody_in_the_room_and_its_sender_an_ack,
    the_same_id_is_the_same_message_and_never_another,
    who_is_not_in_the_room_can_not_send_to_it,
    a_bad_message_names_its_field,
    an_ack_beyond_what_was_sent_is_an_error_and_abuse_ends,
    messages_wait_for_who_is_away_and_come_in_order_once,
    a_client_that_is_cut_off_in_the_middle_misses_nothing,
    who_is_cut_off_before_the_first_message_gets_it_too,
    who_has_more_than_there_is_gets_what_is_new,
    who_says_what_they_have_gets_the_rest_before_what_is_new,
    what_is_not_acknowledged_goes_again_and_not_for_ever,
    when_a_stream_is_full_the_oldest_go_and_the_receiver_is_told,
    what_is_too_old_is_not_delivered_and_the_receiver_is_told,
    a_sync_comes_in_pages_and_deliveries_go_on_after_it,
    every_device_gets_it_and_one_ack_is_enough,
    who_does_not_read_holds_up_nobody,
}
