//! A backend is told what happens: everything, in order, however it behaves.

use anyhow::{Context, Result, bail, ensure};
use presence_server::Config;
use presence_server::config::Secret;
use presence_testkit::client::Kind;
#[cfg(feature = "sqlite")]
use presence_testkit::client::{Client, Credentials};
use presence_testkit::http::get;
use presence_testkit::receiver::{Receiver, Reply, SECRET};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::messages::{add_member, connect};
use crate::on_every_kind;
use crate::server::{TestServer, quick};

fn telling(receiver: &Receiver) -> Config {
    Config {
        webhook_url: receiver.url(),
        webhook_secret: Secret::new(SECRET),
        webhook_wait_ms: 10,
        webhook_retry_ms: 20,
        ..quick()
    }
}

/// An event in few words.
fn words(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    format!("{} {} {}", text("type"), text("room"), text("user")).trim_end().to_owned()
}

fn all_words(events: &[Value]) -> Vec<String> {
    events.iter().map(words).collect()
}

/// Waits until the last of these has been told. Gives all events; they must be these.
async fn told(receiver: &Receiver, wanted: &[&str]) -> Result<Vec<Value>> {
    let events = receiver.until(wanted[wanted.len() - 1], |events| events.len() >= wanted.len()).await?;
    ensure!(all_words(&events) == wanted, "{events:?}");
    Ok(events)
}

/// The numbers follow each other from the first.
fn are_all(events: &[Value]) -> Result<()> {
    let first = events.first().and_then(|event| event["number"].as_u64()).context("no event")?;
    for (number, event) in (first..).zip(events) {
        ensure!(event["number"] == number, "something is missing before {event}");
    }
    Ok(())
}

async fn metric(server: &TestServer, line: &str) -> Result<f64> {
    let body = get(server.address, "/metrics", &[]).await?.body;
    let value = body.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {line} in {body}"))?.parse()?)
}

/// P2, P4, P10: who comes and goes, with the versions that clients see; another tab is nobody new.
async fn a_backend_is_told_who_comes_and_goes(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    let server = TestServer::start(telling(&receiver))?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let bob = server.enter(kind, "bob", "b", "doc").await?;
    let tab = server.enter(kind, "bob", "second", "doc").await?;
    tab.close(1000).await?;
    bob.close(1000).await?;
    let left = ann.wait_for("bob leaves", |m| matches!(m, ServerMessage::UserLeft(_))).await?;
    let ServerMessage::UserLeft(left) = left else { bail!("{left:?}") };
    ann.close(1000).await?;
    let wanted = [
        "room_occupied doc",
        "user_joined doc ann",
        "user_joined doc bob",
        "user_left doc bob",
        "user_left doc ann",
        "room_vacated doc",
    ];
    let events = told(&receiver, &wanted).await?;
    are_all(&events)?;
    assert_eq!((&events[3]["version"], &events[3]["cause"]), (&json!(left.version), &json!(left.cause)));
    let versions: Vec<u64> = events.iter().filter_map(|event| event["version"].as_u64()).collect();
    assert!(versions.len() == events.len() && versions.is_sorted(), "{versions:?}");
    assert!(events.iter().all(|event| event["epoch"] == events[0]["epoch"] && event["time"].is_i64()));
    // One after the other, over one connection.
    assert_eq!(receiver.connections(), 1);
    Ok(())
}

/// M1: a message is told once it is kept, with its place and without what it says.
async fn a_backend_is_told_of_messages(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    let server = TestServer::start(telling(&receiver))?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send_message("doc", &json!({"text": "between us"})).await?;
    ann.send_message("doc", &json!({"text": "and again"})).await?;
    let wanted = ["room_occupied doc", "user_joined doc ann", "message doc ann", "message doc ann"];
    let events = told(&receiver, &wanted).await?;
    assert_eq!((&events[2]["seq"], &events[3]["seq"]), (&json!(1), &json!(2)));
    assert!(!events.iter().any(|event| event.to_string().contains("between us")));
    Ok(())
}

/// M1: who has no connection misses what is said to their roster and their inbox; who is here, or back at once, does not.
async fn a_backend_is_told_who_misses_a_message(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    let webhook_events = vec!["user_absent".to_owned()];
    let server = TestServer::start(Config { webhook_events, ..telling(&receiver) })?;
    add_member(&server, "doc", "ann").await?;
    add_member(&server, "doc", "bob").await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send_message("doc", &json!(1)).await?;
    told(&receiver, &["user_absent doc bob"]).await?;
    ann.send_message("@bob", &json!(1)).await?;
    told(&receiver, &["user_absent doc bob", "user_absent @bob bob"]).await?;

    let mut bob = connect(kind, &server, "bob", "b").await?;
    bob.until_place("doc", 1).await?;
    ann.send_message("doc", &json!(2)).await?;
    bob.until_place("doc", 2).await?;
    bob.ack("doc").await?;
    // Cut off; it does not matter whether the server knows by now.
    drop(bob);
    ann.send_message("doc", &json!(3)).await?;
    let mut bob = connect(kind, &server, "bob", "b").await?;
    bob.until_place("doc", 3).await?;
    bob.ack("doc").await?;
    bob.ack("@bob").await?;
    // The server may hear of the message before it hears that he goes.
    bob.close(1000).await?;
    ann.send_message("doc", &json!(4)).await?;
    let events =
        told(&receiver, &["user_absent doc bob", "user_absent @bob bob", "user_absent doc bob"]).await?;
    let places: Vec<&Value> = events.iter().map(|event| &event["seq"]).collect();
    assert_eq!(json!(places), json!([1, 1, 4]));
    Ok(())
}

/// M5: whatever it answers but a 2xx, or nothing in time, is no answer; what comes again is what came before.
async fn a_backend_that_fails_is_told_the_same_again(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    let failures =
        [Reply::Status(500), Reply::Status(302), Reply::Status(404), Reply::Silence, Reply::HangUp];
    receiver.reply_next(failures);
    let server = TestServer::start(Config { webhook_timeout_ms: 500, ..telling(&receiver) })?;
    let _ann = server.enter(kind, "ann", "a", "doc").await?;
    receiver.until_asked(2).await?;
    // What happens meanwhile waits its turn.
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    let events =
        told(&receiver, &["room_occupied doc", "user_joined doc ann", "user_joined doc bob"]).await?;
    are_all(&events)?;
    let deliveries = receiver.deliveries();
    let first = &deliveries[0];
    for (again, reply) in deliveries.iter().zip(failures.into_iter().chain([Reply::Status(204)])) {
        assert_eq!((again.reply, again.number, &again.body), (reply, first.number, &first.body));
        assert!(again.signed_at >= first.signed_at);
    }
    for outcome in ["refused", "timed_out", "delivered"] {
        let line = format!("presence_webhook_posts_total{{outcome=\"{outcome}\"}}");
        assert!(metric(&server, &line).await? >= 1.0);
    }
    Ok(())
}

/// A backend that is away for a while misses nothing, and nobody in a room notices.
async fn a_backend_that_was_away_misses_nothing(kind: Kind) -> Result<()> {
    let mut receiver = Receiver::start().await?;
    let server = TestServer::start(Config { webhook_batch_max: 3, ..telling(&receiver) })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    told(&receiver, &["room_occupied doc", "user_joined doc ann"]).await?;
    receiver.go_down().await;
    for name in ["bob", "cleo", "dan"] {
        server.enter(kind, name, "s", "doc").await?.close(1000).await?;
        ann.until("doc", "they have left", |view| view.edges(name).leaves == 1).await?;
    }
    receiver.come_back().await?;
    let wanted = [
        "room_occupied doc",
        "user_joined doc ann",
        "user_joined doc bob",
        "user_left doc bob",
        "user_joined doc cleo",
        "user_left doc cleo",
        "user_joined doc dan",
        "user_left doc dan",
    ];
    are_all(&told(&receiver, &wanted).await?)?;
    let sizes = receiver.deliveries().into_iter().map(|delivery| delivery.body.matches("\"number\"").count());
    assert!(sizes.max().is_some_and(|largest| largest <= 3), "a batch was too large");
    server.agrees_with(&mut ann, "doc").await
}

/// M7: a backend that stays away costs no more than it may; the oldest events go, their numbers are missing, and they are
/// counted.
async fn beyond_what_may_wait_the_oldest_events_go(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.reply(Reply::Status(503));
    let config = Config { webhook_held_max: 4, ..telling(&receiver) };
    let server = TestServer::start(config)?;
    let before = metric(&server, "presence_webhook_events_total{outcome=\"dropped\"}").await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    receiver.until_asked(1).await?;
    let first = receiver.deliveries()[0].number;
    for name in ["bob", "cleo", "dan"] {
        server.enter(kind, name, "s", "doc").await?.close(1000).await?;
        ann.until("doc", "they have left", |view| view.edges(name).leaves == 1).await?;
    }
    receiver.until_asked_from(first + 4).await?;
    receiver.reply(Reply::Status(200));
    let events = receiver.until("the newest", |events| events.len() == 4).await?;
    let wanted = ["user_joined doc cleo", "user_left doc cleo", "user_joined doc dan", "user_left doc dan"];
    assert_eq!(all_words(&events), wanted);
    assert_eq!(events[0]["number"], first + 4, "four are missing");
    // Servers of other tests in this process count too.
    assert!(metric(&server, "presence_webhook_events_total{outcome=\"dropped\"}").await? >= before + 4.0);
    Ok(())
}

/// Only what is asked for is told.
async fn a_backend_is_told_no_more_than_it_asks_for(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    let webhook_events = vec!["room_vacated".to_owned(), "room_occupied".to_owned()];
    let server = TestServer::start(Config { webhook_events, ..telling(&receiver) })?;
    let ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.close(1000).await?;
    are_all(&told(&receiver, &["room_occupied doc", "room_vacated doc"]).await?)
}

/// X7: without a folder nothing lasts, so a server tells what it can before it ends.
async fn a_server_that_ends_for_good_tells_what_it_has_to_tell(kind: Kind) -> Result<()> {
    let receiver = Receiver::start().await?;
    // What is gathered for a minute is not told before the end.
    let mut server = TestServer::start(Config { webhook_wait_ms: 60_000, ..telling(&receiver) })?;
    let ann = server.enter(kind, "ann", "a", "doc").await?;
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    ann.close(1000).await?;
    assert_eq!(receiver.deliveries(), []);
    server.stop().await?;
    let wanted = ["room_occupied doc", "user_joined doc ann", "user_joined doc bob", "user_left doc ann"];
    are_all(&told(&receiver, &wanted).await?)
}

/// X8, P7: what waited is told by the next server, once, and who came back in time is not told of.
#[cfg(feature = "sqlite")]
async fn what_waited_is_told_after_a_restart(kind: Kind) -> Result<()> {
    use presence_testkit::folder::Folder;

    let folder = Folder::new();
    let mut receiver = Receiver::start().await?;
    let keeping = || Config { data_dir: folder.path().to_owned(), grace_ms: 4_000, ..telling(&receiver) };
    let mut server = TestServer::start(keeping())?;
    let ann = server.enter(kind, "ann", "a", "doc").await?;
    told(&receiver, &["room_occupied doc", "user_joined doc ann"]).await?;
    let config = keeping();
    receiver.go_down().await;
    let bob = server.enter(kind, "bob", "b", "doc").await?;
    server.enter(kind, "cleo", "c", "other").await?.close(1000).await?;
    server.stop().await?;

    let mut server = TestServer::start(config.clone())?;
    let bob = bob.come_back(kind, server.address, &Credentials::new("bob", "b")).await;
    let mut bob: Client = bob?;
    bob.resume("doc").await?;
    receiver.come_back().await?;
    drop(ann);
    let events =
        receiver.until("ann's leave", |events| all_words(events).contains(&"user_left doc ann".to_owned()));
    let events = events.await?;
    are_all(&events)?;
    let of = |room: &str| -> Vec<String> {
        let events = events.iter().filter(|event| event["room"] == room);
        events.map(words).collect()
    };
    let wanted = ["room_occupied doc", "user_joined doc ann", "user_joined doc bob", "user_left doc ann"];
    assert_eq!(of("doc"), wanted);
    let wanted =
        ["room_occupied other", "user_joined other cleo", "user_left other cleo", "room_vacated other"];
    assert_eq!(of("other"), wanted);
    let epochs = |event: &Value| (event["room"] == "doc").then(|| event["epoch"].clone());
    let epochs: Vec<Value> = events.iter().filter_map(epochs).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "the history went on");
    // What was told is not told again.
    server.stop().await?;
    let before = receiver.deliveries().len();
    let server = TestServer::start(config)?;
    server.enter(kind, "dan", "d", "new").await?;
    let events =
        receiver.until("dan", |events| all_words(events).contains(&"user_joined new dan".to_owned())).await?;
    are_all(&events)?;
    let again = receiver.deliveries().split_off(before);
    assert!(again.iter().all(|delivery| !delivery.body.contains("\"other\"")), "{again:?}");
    Ok(())
}

/// The backend's certificate is checked; a backend that can not prove who it is is told nothing.
#[cfg(feature = "tls")]
async fn a_backend_over_tls_has_to_prove_who_it_is(kind: Kind) -> Result<()> {
    use presence_testkit::receiver::acceptor;
    use presence_testkit::tls::{Certificate, CertificateFiles};

    let certificate = Certificate::new()?;
    let files = CertificateFiles::of(&certificate)?;
    let receiver = Receiver::start_with(Some(acceptor(&certificate)?)).await?;
    let stranger = Receiver::start_with(Some(acceptor(&Certificate::new()?)?)).await?;
    let config = |receiver: &Receiver| Config { webhook_ca_file: files.cert(), ..telling(receiver) };
    let server = TestServer::start(config(&receiver))?;
    let deceived = TestServer::start(config(&stranger))?;
    let _ann = server.enter(kind, "ann", "a", "doc").await?;
    let _bob = deceived.enter(kind, "bob", "b", "doc").await?;
    told(&receiver, &["room_occupied doc", "user_joined doc ann"]).await?;
    stranger.until_met(3).await?;
    assert_eq!(stranger.deliveries(), []);
    Ok(())
}

on_every_kind! {
    a_backend_is_told_who_comes_and_goes,
    a_backend_is_told_of_messages,
    a_backend_is_told_who_misses_a_message,
    a_backend_that_fails_is_told_the_same_again,
    a_backend_that_was_away_misses_nothing,
    beyond_what_may_wait_the_oldest_events_go,
    a_backend_is_told_no_more_than_it_asks_for,
    a_server_that_ends_for_good_tells_what_it_has_to_tell,
}

#[cfg(feature = "sqlite")]
mod kept {
    use super::what_waited_is_told_after_a_restart;
    crate::on_every_kind! { what_waited_is_told_after_a_restart }
}

#[cfg(feature = "tls")]
mod secure {
    use super::a_backend_over_tls_has_to_prove_who_it_is;
    crate::on_every_kind! { a_backend_over_tls_has_to_prove_who_it_is }
}
