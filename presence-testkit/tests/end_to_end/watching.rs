//! Watching users: how they stand at once, and every change, whatever rooms anybody is in.

use anyhow::{Result, bail};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::request;
use presence_testkit::wire::{ServerMessage, UserStatus};
use serde_json::json;

use crate::as_user::standing;
use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn connect(kind: Kind, server: &TestServer, user: &str, session: &str) -> Result<Client> {
    Client::connect(kind, server.address, &Credentials::new(user, session)).await
}

async fn watch(client: &mut Client, users: &[&str]) -> Result<UserStatus> {
    client.send(&json!({"type": "watch", "users": users, "ref": "w"})).await?;
    let answer = |m: &ServerMessage| matches!(m, ServerMessage::UserStatus(m) if m.reference.is_some());
    match client.wait_for("user_status", answer).await? {
        ServerMessage::UserStatus(status) => Ok(status),
        other => bail!("{other:?}"),
    }
}

fn stands(status: &UserStatus) -> Vec<(&str, &str)> {
    status.users.iter().map(|standing| (standing.id.as_str(), standing.status.as_str())).collect()
}

/// P10, P15: online, away and offline are told at once and at every change, and `last_online` never goes back.
async fn who_watches_hears_of_every_change(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let mut bob = connect(kind, &server, "bob", "b").await?;
    let first = watch(&mut ann, &["bob", "carl", "bob"]).await?;
    assert_eq!(stands(&first), [("bob", "online"), ("carl", "offline")]);
    assert_eq!(first.users[1].last_online, None, "carl was never here");
    let mut seen = first.users[0].last_online;
    bob.send(&json!({"type": "presence:activity", "active": false})).await?;
    let away = standing(&mut ann, "bob").await?;
    assert_eq!(away.status, "away");
    bob.send(&json!({"type": "presence:activity", "active": true})).await?;
    let back = standing(&mut ann, "bob").await?;
    assert_eq!(back.status, "online");
    let carl = connect(kind, &server, "carl", "c").await?;
    assert_eq!(standing(&mut ann, "carl").await?.status, "online");
    bob.close(1000).await?;
    let gone = standing(&mut ann, "bob").await?;
    assert_eq!(gone.status, "offline");
    for now in [away.last_online, back.last_online, gone.last_online] {
        assert!(now >= seen && now.is_some(), "{seen:?} {now:?}");
        seen = now;
    }
    let again = watch(&mut ann, &["bob"]).await?;
    assert_eq!(again.users[0].last_online, gone.last_online, "the same as was said before");
    drop(carl);
    Ok(())
}

/// P10, L2: a reload, a second tab, a lost line that comes back: nobody hears of it.
async fn who_is_back_in_time_was_never_offline(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, going_away_grace_ms: 600_000, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let bob = connect(kind, &server, "bob", "b").await?;
    watch(&mut ann, &["bob", "marker"]).await?;
    bob.reset();
    let back = connect(kind, &server, "bob", "b").await?;
    let tab = connect(kind, &server, "bob", "tab").await?;
    back.reset();
    tab.reset();
    // What is said of the marker is said after whatever was to be said of bob.
    let _marker = connect(kind, &server, "marker", "m").await?;
    let told = |m: &ServerMessage| matches!(m, ServerMessage::UserStatus(_));
    match ann.wait_for("user_status", told).await? {
        ServerMessage::UserStatus(status) => assert_eq!(stands(&status), [("marker", "online")]),
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// P10: who was lost is offline when the grace is over, also in no room at all, and when kicked at once.
async fn who_does_not_come_back_is_offline_after_the_grace(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let bob = connect(kind, &server, "bob", "b").await?;
    watch(&mut ann, &["bob", "carl"]).await?;
    bob.reset();
    assert_eq!(standing(&mut ann, "bob").await?.status, "offline");
    let _carl = connect(kind, &server, "carl", "c").await?;
    assert_eq!(standing(&mut ann, "carl").await?.status, "online");
    request(server.address, "DELETE", "/v1/users/carl/sessions", &[]).await?;
    assert_eq!(standing(&mut ann, "carl").await?.status, "offline");
    Ok(())
}

/// Who does not want to hear any more does not.
async fn who_unwatches_hears_no_more(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    watch(&mut ann, &["bob", "carl"]).await?;
    ann.send(&json!({"type": "unwatch", "users": ["bob"]})).await?;
    // The answer to what was sent later shows that the earlier was taken in.
    assert_eq!(watch(&mut ann, &["carl"]).await?.users.len(), 1);
    let _bob = connect(kind, &server, "bob", "b").await?;
    let _carl = connect(kind, &server, "carl", "c").await?;
    let told = |m: &ServerMessage| matches!(m, ServerMessage::UserStatus(_));
    match ann.wait_for("user_status", told).await? {
        ServerMessage::UserStatus(status) => assert_eq!(stands(&status), [("carl", "online")]),
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// P10: thousands in one connection, in bulk, and one more than allowed is refused.
async fn a_connection_watches_thousands_and_no_more_than_it_may(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { watched_users_max: 2_500, ..quick() })?;
    let mut ann = connect(kind, &server, "ann", "a").await?;
    let users: Vec<String> = (0..2_500).map(|number| format!("user-{number:04}")).collect();
    ann.send(&json!({"type": "watch", "users": users})).await?;
    let mut told = Vec::new();
    while told.len() < users.len() {
        let status = |m: &ServerMessage| matches!(m, ServerMessage::UserStatus(_));
        if let ServerMessage::UserStatus(status) = ann.wait_for("user_status", status).await? {
            told.extend(status.users.into_iter().map(|standing| standing.id));
        }
    }
    assert_eq!(told, users);
    ann.send(&json!({"type": "watch", "users": ["one more"]})).await?;
    assert_eq!(ann.refusal().await?, ("conflict".to_owned(), Some("users".to_owned())));
    let _last = connect(kind, &server, "user-2499", "x").await?;
    assert_eq!(standing(&mut ann, "user-2499").await?.status, "online");
    Ok(())
}

on_every_kind! {
    who_watches_hears_of_every_change,
    who_is_back_in_time_was_never_offline,
    who_does_not_come_back_is_offline_after_the_grace,
    who_unwatches_hears_no_more,
    a_connection_watches_thousands_and_no_more_than_it_may,
}
