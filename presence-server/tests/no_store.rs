//! Presence without a store: joining waits for none, and who is here is known whatever the store says.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use presence_core::id::{Incarnation, UserId};
use presence_core::people::{Availability, PersonPatch};
use presence_core::session::Proof;
use presence_server::Config;
use presence_server::auth::Auth;
use presence_server::clock::Clock;
use presence_server::connection::{Connections, Hello, Parts};
use presence_server::limits::AddressLimits;
use presence_server::metrics::Metrics;
use presence_server::people::People;
use presence_server::shard::Shards;
use presence_server::stream::Streams;
use presence_server::webhook::Notices;
use presence_testkit::client::Received;
use presence_testkit::contract::fake::{FakePeer, pair};
use presence_testkit::contract::no_store::NoStore;
use presence_testkit::contract::transport::Peer;

fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

/// Connections over a store that is no use, with everything that runs beside them.
fn connections(store: NoStore) -> Result<Arc<Connections>> {
    let config = Config { last_online_ms: 50, ..Config::default() };
    let (limits, clock, metrics) = (Arc::new(config.limits()), Clock::start(), Metrics::new());
    let shards = Shards::start(1, &limits, Incarnation::from_random(1), clock, &metrics);
    let auth = Arc::new(Auth::new(&config, Arc::clone(&limits), clock, metrics.clone())?);
    let notices = Notices::off();
    let streams = Streams::start(1, Arc::new(store), &limits, clock, &metrics, &notices);
    let people = People::new(streams.clone(), shards.clone(), &config, &limits, clock, &metrics);
    let people = Arc::new(people);
    tokio::spawn({
        let people = Arc::clone(&people);
        async move { people.run().await }
    });
    let addresses = Arc::new(AddressLimits::new(&config, clock)?);
    let parts = Parts { addresses, clock, metrics, shards, streams, auth, people };
    Ok(Arc::new(Connections::new(&config, parts)))
}

fn connect(connections: &Arc<Connections>, name: &str) -> FakePeer {
    let (transport, peer) = pair();
    let proof = Proof::Word(Some(user(name)));
    connections.open(Box::new(transport), Hello { proof, ..Hello::default() });
    peer
}

async fn hears(peer: &mut FakePeer, what: &str) -> Result<String> {
    let search = async {
        loop {
            match peer.recv().await? {
                Received::Text(text) if text.contains(what) => return anyhow::Ok(text),
                Received::Text(_) => {}
                Received::Closed(code) => bail!("closed with {code:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), search).await.with_context(|| format!("no {what}"))?
}

#[tokio::test]
async fn a_join_never_waits_for_the_store() -> Result<()> {
    for store in [NoStore::Failing, NoStore::Hanging] {
        let connections = connections(store)?;
        let mut ann = connect(&connections, "ann");
        ann.send_texts(&[r#"{"type":"presence:join","room":"doc"}"#]).await?;
        hears(&mut ann, "presence:currentUsers").await?;
        let mut bob = connect(&connections, "bob");
        // What waits for the store keeps nothing else waiting.
        bob.send_texts(&[
            r#"{"type":"watch","users":["ann"]}"#,
            r#"{"type":"list_users"}"#,
            r#"{"type":"presence:join","room":"doc"}"#,
        ])
        .await?;
        hears(&mut bob, "presence:currentUsers").await?;
        hears(&mut ann, "presence:userJoined").await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_is_here_is_told_without_the_store_and_what_lasts_is_refused() -> Result<()> {
    let connections = connections(NoStore::Failing)?;
    let people = connections.people();
    let mut ann = connect(&connections, "ann");
    ann.send_texts(&[r#"{"type":"presence:join","room":"doc"}"#]).await?;
    hears(&mut ann, "presence:currentUsers").await?;
    ann.send_texts(&[r#"{"type":"watch","users":["ann","bob"]}"#]).await?;
    let stands = hears(&mut ann, "user_status").await?;
    assert!(stands.contains(r#""id":"bob","status":"offline","last_online":null"#), "{stands}");
    let _bob = connect(&connections, "bob");
    let changed = hears(&mut ann, "user_status").await?;
    assert!(changed.contains(r#""id":"bob","status":"online""#), "{changed}");
    ann.send_texts(&[r#"{"type":"list_users"}"#]).await?;
    assert!(hears(&mut ann, "online_users").await?.contains(r#""id":"ann""#));
    ann.send_texts(&[r#"{"type":"list_users","room":"elsewhere"}"#]).await?;
    let refused = hears(&mut ann, r#""error""#).await?;
    assert!(refused.contains(r#""code":"unavailable""#) && !refused.contains("disk"), "{refused}");
    let sights = people.sights(&[user("ann")]).await?;
    assert_eq!(sights[0].standing.availability, Availability::Online);
    assert!(
        people.sights(&[user("ann"), user("carl")]).await.is_err(),
        "nobody knows whether there is a carl"
    );
    assert!(people.change(user("ann"), PersonPatch::default()).await.is_err());
    Ok(())
}
