//! Profiles: what users choose lasts, stands over what their connections say, and reaches everybody whom it concerns.

use anyhow::{Context, Result};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{get, send};
use presence_testkit::wire::{OnlineUsers, ServerMessage};
use serde_json::{Value, json};

use crate::as_user::{ask, on_roster, outcome, profile_update, tell, user_until};
use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

async fn rename(server: &TestServer, user: &str, username: &str) -> Result<u16> {
    let path = format!("/v1/users/{user}/username");
    Ok(tell(server, user, "PUT", &path, &json!({"username": username})).await?.status)
}

async fn online(client: &mut Client, question: &Value) -> Result<OnlineUsers> {
    client.send(question).await?;
    let answer = |m: &ServerMessage| matches!(m, ServerMessage::OnlineUsers(_));
    match client.wait_for("online_users", answer).await? {
        ServerMessage::OnlineUsers(online) => Ok(online),
        other => anyhow::bail!("{other:?}"),
    }
}

fn ids(online: &OnlineUsers) -> Vec<&str> {
    online.users.iter().map(|user| user.id.as_str()).collect()
}

/// C1: everybody who shares a room or a roster hears of a new name, each connection once, and nobody else does.
async fn a_new_name_reaches_all_who_share_a_room_or_a_roster_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "r0").await?;
    let mut bob = server.enter(kind, "bob", "b", "r0").await?;
    for number in 1..12 {
        ann.join(&format!("r{number}")).await?;
        bob.join(&format!("r{number}")).await?;
    }
    on_roster(&server, "team", &["ann", "bob", "carl", "eve"]).await?;
    let mut carl = Client::connect(kind, server.address, &Credentials::new("carl", "c")).await?;
    let mut dora = server.enter(kind, "dora", "d", "elsewhere").await?;
    assert_eq!(rename(&server, "ann", "  alice ").await?, 200);
    for client in [&mut ann, &mut bob, &mut carl] {
        let updated = profile_update(client, "ann").await?;
        assert_eq!((updated.username.as_deref(), updated.name.as_str()), (Some("alice"), "alice"));
    }
    for number in 0..12 {
        let named = |view: &presence_testkit::view::View| view.users()["ann"].name == "alice";
        bob.until(&format!("r{number}"), "the room shows the name", named).await?;
    }
    assert_eq!(rename(&server, "ann", "second").await?, 200);
    // Between one change and the next there is no other word of it.
    for client in [&mut ann, &mut bob, &mut carl] {
        assert_eq!(profile_update(client, "ann").await?.name, "second");
    }
    dora.send(&json!({"type": "list_users", "ref": 1})).await?;
    let heard =
        |m: &ServerMessage| matches!(m, ServerMessage::OnlineUsers(_) | ServerMessage::UserProfileUpdated(_));
    let first = dora.wait_for("an answer", heard).await?;
    assert!(matches!(first, ServerMessage::OnlineUsers(_)), "dora shares nothing with ann");
    Ok(())
}

/// C1: a choice outlasts the connection and stands over what a later one says; without it that counts again.
async fn what_was_chosen_stands_over_what_a_connection_says(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let patch = json!({"username": "alice", "color": "#0000ff", "avatar": "https://example.org/a.png"});
    assert_eq!(tell(&server, "ann", "PATCH", "/v1/users/ann", &patch).await?.status, 200);
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let who = Credentials { name: Some("Ann%20of%20the%20URL".to_owned()), ..Credentials::new("ann", "a") };
    let mut ann = Client::enter(kind, server.address, &who, "doc").await?;
    let shown = |view: &presence_testkit::view::View| {
        view.users().get("ann").is_some_and(|ann| ann.name == "alice" && ann.color == "#0000ff")
    };
    bob.until("doc", "the choice", shown).await?;
    ann.until("doc", "the choice", shown).await?;
    let joined = json!({"type": "presence:join", "room": "other", "user": {"name": "Al"}});
    ann.send(&joined).await?;
    ann.settle("other").await?;
    assert_eq!(ann.view("other").users()["ann"].name, "alice");
    let clear = json!({"username": null, "color": null, "avatar": null});
    let cleared: Value = tell(&server, "ann", "PATCH", "/v1/users/ann", &clear).await?.json()?;
    assert_eq!((&cleared["username"], &cleared["avatar"]), (&Value::Null, &Value::Null));
    assert_eq!(cleared["name"], "Al", "what the connection says");
    let updated = profile_update(&mut bob, "ann").await?;
    assert_eq!((updated.username, updated.name.as_str(), updated.avatar), (None, "Al", None));
    bob.until("doc", "what the connection says", |view| view.users()["ann"].name == "Al").await?;
    Ok(())
}

/// P11: who has gone is known, and when they were here.
async fn who_was_here_is_known_when_they_are_gone(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    assert_eq!(get(server.address, "/v1/users/ann", &[]).await?.status, 404);
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send(&json!({"type": "presence:activity", "active": false})).await?;
    let here = user_until(server.address, "ann", |user| user["status"] == "away").await?;
    assert_eq!(here["username"], Value::Null, "ann has not chosen a name");
    ann.close(1000).await?;
    let gone = user_until(server.address, "ann", |user| user["status"] == "offline").await?;
    assert!(gone["last_online"].as_i64() >= here["last_online"].as_i64(), "{here} {gone}");
    let some: Value = get(server.address, "/v1/users?ids=nobody,ann", &[]).await?.json()?;
    assert_eq!(some["users"].as_array().map(Vec::len), Some(1));
    assert_eq!(some["users"][0]["status"], "offline");
    Ok(())
}

/// X3, C1: rules for names, each refusal with its field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_has_rules() -> Result<()> {
    let server = TestServer::start(quick())?;
    for (body, field) in [
        (json!({"username": "  ab "}), Some("username")),
        (json!({"username": "x".repeat(65)}), Some("username")),
        (json!({"username": "a\u{7}bc"}), Some("username")),
        (json!({"username": 7}), Some("username")),
        (json!({"username": null}), Some("username")),
        (json!({}), Some("username")),
        (json!([]), None),
    ] {
        let answer = tell(&server, "ann", "PUT", "/v1/users/ann/username", &body).await?;
        let said: Value = answer.json()?;
        assert_eq!((answer.status, said["error"]["field"].as_str()), (400, field), "{body}");
    }
    for (body, field) in [
        (json!({"color": "red"}), "color"),
        (json!({"avatar": "http://example.org/a.png"}), "avatar"),
        (json!({"avatar": format!("https:{}", "x".repeat(9_000))}), "avatar"),
        (json!({"email": "x".repeat(321)}), "email"),
    ] {
        let answer = tell(&server, "ann", "PATCH", "/v1/users/ann", &body).await?;
        let said: Value = answer.json()?;
        assert_eq!((answer.status, said["error"]["field"].as_str()), (400, Some(field)), "{body}");
    }
    assert_eq!(get(server.address, "/v1/users/ann", &[]).await?.status, 404, "nothing of it was kept");
    let longest = json!({"username": "💡".repeat(64)});
    let answer = tell(&server, "ann", "PUT", "/users/ann/username", &longest).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(())
}

/// Users change themselves, the backend everybody, and nobody else anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_changes_somebody_elses_profile() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let (ann, bob) = (format!("Bearer {}", token("ann", &[])?), format!("Bearer {}", token("bob", &[])?));
    let body = json!({"username": "alice"}).to_string();
    for (credential, expected) in [
        (None, 401),
        (Some(("Authorization", bob.as_str())), 403),
        (Some(("Authorization", ann.as_str())), 200),
        (Some(("X-API-Key", API_KEY)), 200),
    ] {
        let headers: Vec<_> = credential.into_iter().collect();
        for path in ["/v1/users/ann/username", "/users/ann/username"] {
            let answer = send(server.address, "PUT", path, &headers, &body).await?;
            assert_eq!(answer.status, expected, "{path} {headers:?}");
        }
    }
    // The header says nothing to one who proves otherwise.
    let pretends = [("Authorization", bob.as_str()), ("X-User-Id", "ann")];
    assert_eq!(send(server.address, "PATCH", "/v1/users/ann", &pretends, &body).await?.status, 403);
    let dev = TestServer::start(quick())?;
    let answer = tell(&dev, "bob", "PUT", "/v1/users/ann/username", &json!({"username": "alice"})).await?;
    assert_eq!(outcome(&answer), (403, "forbidden".to_owned()));
    Ok(())
}

/// S6: what a user changes over HTTP comes out of the budget that their connections have too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_change_over_http_draws_on_their_budget() -> Result<()> {
    let slow = Config {
        messages_per_second: 1,
        messages_burst: 4,
        user_messages_per_second: 1,
        user_messages_burst: 4,
        ..guarded()
    };
    let server = TestServer::start(slow)?;
    let (ann, bob) = (format!("Bearer {}", token("ann", &[])?), format!("Bearer {}", token("bob", &[])?));
    let (address, body) = (server.address, json!({"username": "alice"}).to_string());
    let rename = async |user: &str, header: (&str, &str)| {
        send(address, "PUT", &format!("/v1/users/{user}/username"), &[header], &body).await
    };
    // More often than one in a second, however slow this machine is now.
    let mut refused = None;
    for _ in 0..100 {
        let answer = rename("ann", ("Authorization", &ann)).await?;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.context("nothing was too much")?;
    assert_eq!(outcome(&refused), (429, "rate_limited".to_owned()));
    assert!(refused.header("retry-after").is_some());
    let reading = [("Authorization", ann.as_str())];
    assert_eq!(get(address, "/v1/users/ann", &reading).await?.status, 200, "looking costs nothing");
    assert_eq!(rename("bob", ("Authorization", &bob)).await?.status, 200, "others have their own");
    for _ in 0..10 {
        assert_eq!(rename("ann", ("X-API-Key", API_KEY)).await?.status, 200, "the backend may");
    }
    Ok(())
}

/// C5: of those with whom the asker shares a room or a roster.
async fn who_is_online_is_told_of_those_whom_the_asker_may_see(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, ..quick() })?;
    on_roster(&server, "team", &["ann", "carl", "offline"]).await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    let _carl = Client::connect(kind, server.address, &Credentials::new("carl", "c")).await?;
    let _dora = server.enter(kind, "dora", "d", "elsewhere").await?;
    let all = online(&mut ann, &json!({"type": "list_users", "ref": "x"})).await?;
    assert_eq!((ids(&all), all.more), (vec!["ann", "bob", "carl"], false));
    assert_eq!(all.reference, Some(json!("x")));
    assert!(all.users.iter().all(|user| user.status == "online" && !user.color.is_empty()));
    let of_room = |room: &str| json!({"type": "list_users", "room": room});
    assert_eq!(ids(&online(&mut ann, &of_room("doc")).await?), ["ann", "bob"]);
    assert_eq!(ids(&online(&mut ann, &of_room("team")).await?), ["ann", "carl"]);
    for unseen in ["elsewhere", "nowhere"] {
        ann.send(&of_room(unseen)).await?;
        assert_eq!(ann.refusal().await?, ("not_joined".to_owned(), Some("room".to_owned())), "{unseen}");
    }
    let own = ask(&server, "ann", "GET", "/v1/users/ann").await?;
    assert_eq!(own.status, 200);
    Ok(())
}

on_every_kind! {
    a_new_name_reaches_all_who_share_a_room_or_a_roster_once,
    what_was_chosen_stands_over_what_a_connection_says,
    who_was_here_is_known_when_they_are_gone,
    who_is_online_is_told_of_those_whom_the_asker_may_see,
}
