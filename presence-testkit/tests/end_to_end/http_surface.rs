//! What backends and operators see and do over HTTP: rooms, users, totals, connections, kicks.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{get, request};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn ask(server: SocketAddr, path: &str) -> Result<Value> {
    let answer = get(server, path, &[]).await?;
    anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    answer.json()
}

async fn delete(server: SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = request(server, "DELETE", path, &[]).await?;
    Ok((answer.status, answer.body))
}

/// Asks until the answer is as wanted.
pub(crate) async fn ask_until(
    server: SocketAddr,
    path: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let search = async {
        loop {
            let answer = ask(server, path).await?;
            if wanted(&answer) {
                return anyhow::Ok(answer);
            }
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(10), search).await;
    found.with_context(|| format!("{path} does not get there"))?
}

async fn connections_of(server: SocketAddr, user: &str) -> Result<Vec<Value>> {
    let answer = ask(server, &format!("/debug/connections?user={user}")).await?;
    Ok(answer["connections"].as_array().cloned().unwrap_or_default())
}

fn texts<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|item| item[name].as_str()).collect()
}

/// P9: rooms come in order, page by page, from all shards, with their counts.
async fn rooms_are_listed_page_by_page_with_their_counts(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "team/1").await?;
    for room in ["team/2", "team/3", "other", "team"] {
        ann.join(room).await?;
    }
    let _tab = server.enter(kind, "ann", "b", "team/2").await?;
    let _bob = server.enter(kind, "bob", "b", "team/2").await?;
    let all = ask(server.address, "/v1/rooms").await?;
    assert_eq!(texts(&all["rooms"], "room"), ["other", "team", "team/1", "team/2", "team/3"]);
    assert_eq!(all["rooms"][3], json!({"room": "team/2", "users": 2, "sessions": 3}));
    assert!(all.get("next").is_none());
    let (mut seen, mut path) = (Vec::new(), "/v1/rooms?prefix=team%2F&limit=2".to_owned());
    loop {
        let page = ask(server.address, &path).await?;
        seen.extend(texts(&page["rooms"], "room").into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/rooms?prefix=team%2F&limit=2&after={next}");
    }
    assert_eq!(seen, ["team/1", "team/2", "team/3"]);
    Ok(())
}

/// P9: a user with two tabs in two rooms on two shards is one user with two sessions.
async fn totals_count_everybody_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, grace_ms: 600_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "one").await?;
    for room in ["two", "three", "four"] {
        ann.join(room).await?;
    }
    let _tab = server.enter(kind, "ann", "b", "two").await?;
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    bob.join("five").await?;
    bob.reset();
    // Bob's connection ends, and his session is held.
    let stats = ask_until(server.address, "/v1/stats", |stats| stats["connections"] == 2).await?;
    let counts = ["rooms", "users", "sessions"].map(|name| stats[name].as_u64());
    assert_eq!(counts, [Some(5), Some(2), Some(3)]);
    let by_transport = stats["connections_by_transport"].as_object().context("no transports")?;
    assert_eq!(by_transport.values().filter_map(Value::as_u64).sum::<u64>(), 2);
    assert!(stats["uptime_ms"].is_u64() && stats["version"].is_string());
    Ok(())
}

/// P11, C5: who is online now, away when every session is idle, and offline when all have ended.
async fn users_are_online_away_or_offline(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, ..quick() })?;
    let mut ann = Client::connect(kind, server.address, &Credentials::new("ann", "a")).await?;
    let user = json!({"name": "Ann 💡", "color": "#123456", "avatar": "https://example.org/a.png"});
    ann.send(&json!({"type": "presence:join", "room": "one", "user": user})).await?;
    ann.settle("one").await?;
    let mut tab = server.enter(kind, "ann", "b", "two").await?;
    let seen = ask(server.address, "/v1/users/ann").await?;
    assert!(seen["last_online"].is_i64());
    for (name, value) in [
        ("id", "ann"),
        ("name", "Ann 💡"),
        ("color", "#123456"),
        ("avatar", "https://example.org/a.png"),
        ("status", "online"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    for (client, room) in [(&mut ann, "one"), (&mut tab, "two")] {
        client.send(&json!({"type": "presence:activity", "active": false})).await?;
        client.settle(room).await?;
    }
    assert_eq!(ask(server.address, "/v1/users/ann").await?["status"], "away");
    let _odd = server.enter(kind, "a%2Cb%2F%20%F0%9F%92%A1", "o", "one").await?;
    let some = ask(server.address, "/v1/users?ids=nobody,a%2Cb%2F+%F0%9F%92%A1,ann,ann").await?;
    assert_eq!(texts(&some["users"], "id"), ["a,b/ 💡", "ann"]);
    assert_eq!(ask(server.address, "/v1/users/a%2Cb%2F%20%F0%9F%92%A1").await?["id"], "a,b/ 💡");
    assert_eq!(get(server.address, "/v1/users/nobody", &[]).await?.status, 404);
    tab.close(1000).await?;
    ann.close(1000).await?;
    let offline = |some: &Value| some["users"][0]["status"] == "offline";
    ask_until(server.address, "/v1/users?ids=ann", offline).await?;
    assert_eq!(ask(server.address, "/v1/users/ann").await?["status"], "offline");
    Ok(())
}

/// O2, L4: who is connected, how, since when, how well, and where.
async fn connections_tell_how_they_are(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.join("notes").await?;
    ann.settle("doc").await?;
    let before = ask(server.address, "/v1/stats").await?["server_time"].as_i64();
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    let all = ask(server.address, "/debug/connections").await?;
    let ids = texts(&all["connections"], "connection_id");
    assert!(ids.len() == 2 && ids.is_sorted(), "{all}");
    let [ann_seen] = &connections_of(server.address, "ann").await?[..] else { bail!("not one connection") };
    assert!(ids.contains(&ann_seen["connection_id"].as_str().unwrap_or_default()));
    assert_eq!(ann_seen["session_id"], "a");
    assert_eq!(ann_seen["rooms"], json!(["doc", "notes"]));
    assert_eq!(ann_seen["bytes_waiting"], 0);
    assert!(ann_seen["since"].as_i64() <= before);
    let first = ask(server.address, "/debug/connections?limit=1").await?;
    let next = first["next"].as_str().context("there is more")?;
    assert_eq!(next, ids[0]);
    let second = ask(server.address, &format!("/debug/connections?limit=1&after={next}")).await?;
    assert_eq!((texts(&second["connections"], "connection_id"), second.get("next")), (vec![ids[1]], None));
    assert!(connections_of(server.address, "nobody").await?.is_empty());
    Ok(())
}

/// L4: an answered heartbeat gives a round-trip time, and that a quality.
#[cfg(feature = "ws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answered_heartbeat_gives_a_quality() -> Result<()> {
    let server = TestServer::start(Config { poor_rtt_ms: 60_000, ..quick() })?;
    let mut ann = server.enter(Kind::Ws, "ann", "a", "doc").await?;
    ann.settle("doc").await?;
    let path = "/debug/connections?user=ann";
    let seen = ask_until(server.address, path, |seen| seen["connections"][0]["rtt_ms"].is_u64()).await?;
    assert_eq!(seen["connections"][0]["quality"], "good");
    let metrics = get(server.address, "/metrics", &[]).await?.body;
    assert!(metrics.contains("presence_heartbeats_total{quality=\"good\"}"), "{metrics}");
    Ok(())
}

/// L4: a peer that answers nothing is shown as disconnected before it is given up.
#[cfg(feature = "ws")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_shows_before_the_connection_is_given_up() -> Result<()> {
    let server = TestServer::start(Config { silence_ms: 50, ..quick() })?;
    // It reads nothing after `connected`, so it answers no ping.
    let _ann = Client::connect(Kind::Ws, server.address, &Credentials::new("ann", "a")).await?;
    let path = "/debug/connections?user=ann";
    let silent = |seen: &Value| seen["connections"][0]["quality"] == "disconnected";
    ask_until(server.address, path, silent).await?;
    Ok(())
}

/// O2: a room shows its members, held ones too, and how far its readers are.
async fn a_room_can_be_looked_into(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "team/doc").await?;
    server.enter(kind, "bob", "b", "team/doc").await?.reset();
    ann.until("team/doc", "bob is there", |view| view.users().contains_key("bob")).await?;
    let held = |room: &Value| !room["members"][1]["sessions"][0]["held"].is_null();
    let room = ask_until(server.address, "/debug/rooms/team%2Fdoc", held).await?;
    assert_eq!(texts(&room["members"], "user_id"), ["ann", "bob"]);
    assert_eq!(room["members"][1]["sessions"][0]["held"]["cause"], "timeout");
    assert_eq!(room["version"].as_u64(), ann.view("team/doc").version());
    assert_eq!(room["epoch"].as_str(), ann.view("team/doc").epoch());
    assert_eq!((&room["feed"]["messages"], &room["listeners"]), (&json!(2), &json!(1)));
    assert_eq!(texts(&room["readers"], "session_id"), ["a"]);
    assert_eq!(room["readers"][0]["behind"], 0);
    assert_eq!(get(server.address, "/debug/rooms/nowhere", &[]).await?.status, 404);
    Ok(())
}

/// A kicked connection is closed with 4503, and everybody else hears of it at once.
async fn a_kicked_connection_goes_at_once_and_others_hear_why(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let [seen] = &connections_of(server.address, "bob").await?[..] else { bail!("not one connection") };
    let path = format!("/v1/connections/{}", seen["connection_id"].as_str().unwrap_or_default());
    assert_eq!(delete(server.address, &path).await?, (204, String::new()));
    assert_eq!(bob.closed().await?, Some(4503));
    let left = |m: &ServerMessage| matches!(m, ServerMessage::UserLeft(left) if left.cause == "kicked");
    ann.wait_for("bob is kicked", left).await?;
    ask_until(server.address, "/v1/stats", |stats| stats["connections"] == 1).await?;
    assert_eq!(delete(server.address, &path).await?.0, 404);
    assert_eq!(delete(server.address, "/v1/connections/nonsense").await?.0, 404);
    // A kick is no ban.
    server.enter(kind, "bob", "b", "doc").await?.settle("doc").await?;
    Ok(())
}

/// A kicked user loses all sessions, also those that wait for their user to come back.
async fn a_kicked_user_loses_all_sessions(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { shards: 3, grace_ms: 600_000, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut tab = server.enter(kind, "bob", "1", "doc").await?;
    let mut other = server.enter(kind, "bob", "2", "notes").await?;
    server.enter(kind, "bob", "3", "doc").await?.reset();
    ask_until(server.address, "/v1/stats", |stats| stats["connections"] == 3).await?;
    let (status, body) = delete(server.address, "/v1/users/bob/sessions").await?;
    assert_eq!((status, body.as_str()), (200, r#"{"kicked":3}"#));
    assert_eq!((tab.closed().await?, other.closed().await?), (Some(4503), Some(4503)));
    let left = |m: &ServerMessage| matches!(m, ServerMessage::UserLeft(left) if left.cause == "kicked");
    ann.wait_for("bob is kicked", left).await?;
    ann.settle("doc").await?;
    assert_eq!(ann.view("doc").edges("bob").leaves, 1);
    assert_eq!(server.presence("notes").await?.total_active_users, 0);
    assert_eq!(delete(server.address, "/v1/users/bob/sessions").await?.0, 404);
    Ok(())
}

/// X3: what is wrong with a request is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_parameter_is_named() -> Result<()> {
    let server = TestServer::start(quick())?;
    let too_many = format!("/v1/users?ids={}", vec!["x"; 101].join(","));
    for (path, code, field) in [
        ("/v1/rooms?limit=0", "bad_message", "limit"),
        ("/v1/rooms?limit=1001", "bad_message", "limit"),
        ("/v1/rooms?after=a%20b", "invalid_room", "after"),
        ("/v1/rooms?prefix=%21", "invalid_room", "prefix"),
        ("/v1/users", "bad_message", "ids"),
        ("/v1/users?ids=%00", "bad_message", "ids"),
        (&too_many, "bad_message", "ids"),
        ("/v1/users/%00", "bad_message", "id"),
        ("/v1/users/%ff", "bad_message", "id"),
        ("/debug/connections?after=x", "bad_message", "after"),
        ("/debug/connections?user=%00", "bad_message", "user"),
        ("/debug/connections?limit=many", "bad_message", "limit"),
        ("/debug/rooms/a%20b", "invalid_room", "room"),
    ] {
        let answer = get(server.address, path, &[]).await?;
        let body: Value = answer.json()?;
        let said = (answer.status, body["error"]["code"].as_str(), body["error"]["field"].as_str());
        assert_eq!(said, (400, Some(code), Some(field)), "{path}");
    }
    Ok(())
}

/// A page of a stranger can not send anybody away, even where nobody has to prove anything.
async fn a_page_of_a_stranger_can_not_kick(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let origin = [("Origin", "https://evil.example")];
    let answer = request(server.address, "DELETE", "/v1/users/bob/sessions", &origin).await?;
    assert_eq!(answer.status, 403);
    bob.settle("doc").await?;
    Ok(())
}

on_every_kind! {
    rooms_are_listed_page_by_page_with_their_counts,
    totals_count_everybody_once,
    users_are_online_away_or_offline,
    connections_tell_how_they_are,
    a_room_can_be_looked_into,
    a_kicked_connection_goes_at_once_and_others_hear_why,
    a_kicked_user_loses_all_sessions,
    a_page_of_a_stranger_can_not_kick,
}
