//! What users go through, from one end to the other: the stories that an application on top of this tells.

use anyhow::{Context, Result};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::proxy::Proxy;
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::as_user::{arrival, ask, invitation, profile_update, roster, standing, tell, user_until};
use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn connect(kind: Kind, server: &TestServer, user: &str) -> Result<Client> {
    Client::connect(kind, server.address, &Credentials::new(user, "app")).await
}

/// Somebody with a name of their own makes a thread.
async fn make_thread(server: &TestServer, user: &str, name: &str, thread: &str) -> Result<()> {
    let named =
        tell(server, user, "PUT", &format!("/users/{user}/username"), &json!({"username": name})).await?;
    assert_eq!(named.status, 200, "{}", named.body);
    let made = ask(server, user, "PUT", &format!("/v1/rooms/{thread}/members/{user}")).await?;
    assert_eq!(made.status, 201, "{}", made.body);
    Ok(())
}

async fn invite_and_accept(server: &TestServer, by: &str, user: &str, thread: &str) -> Result<()> {
    let invites = format!("/v1/rooms/{thread}/invites");
    assert_eq!(tell(server, by, "POST", &invites, &json!({"user_id": user})).await?.status, 201);
    let answer = format!("/threads/{thread}/invites/{user}");
    let accepted = tell(server, user, "PUT", &answer, &json!({"action": "accept"})).await?;
    assert_eq!(accepted.status, 200, "{}", accepted.body);
    Ok(())
}

/// Says something in a thread, and waits until somebody else has it. Gives the name that it came under.
async fn hear(from: &mut Client, to: &mut Client, thread: &str, text: &str) -> Result<String> {
    let ack = from.send_message(thread, &json!(text)).await?;
    to.until_place(thread, ack.seq).await?;
    let stream = to.inbox().stream(thread);
    let heard = stream.applied.last().context("nothing was heard")?;
    assert_eq!(heard.snapshot, text);
    Ok(heard.user_name.clone())
}

/// The names on a thread, as one of its members reads them.
async fn participants(server: &TestServer, user: &str, thread: &str) -> Result<Vec<(String, String)>> {
    let body: Value = ask(server, user, "GET", &format!("/v1/rooms/{thread}/members")).await?.json()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let members = body["members"].as_array().into_iter().flatten();
    Ok(members.map(|member| (text(&member["username"]), text(&member["status"]))).collect())
}

/// Story 1: a name changes, and who shares a thread sees it change: of who is there, on the roster, and under what is said.
async fn a_name_changes_while_others_look(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    make_thread(&server, "user_a", "alice", "thread_1").await?;
    let mut a = connect(kind, &server, "user_a").await?;
    let mut b = connect(kind, &server, "user_b").await?;
    invite_and_accept(&server, "user_a", "user_b", "thread_1").await?;
    assert_eq!(participants(&server, "user_b", "thread_1").await?[0].0, "alice");
    a.join("thread_1").await?;
    b.join("thread_1").await?;
    let named = |name: &'static str| {
        move |view: &presence_testkit::view::View| {
            view.users().get("user_a").is_some_and(|user| user.name == name)
        }
    };
    b.until("thread_1", "alice is there", named("alice")).await?;
    assert_eq!(hear(&mut a, &mut b, "thread_1", "first").await?, "alice");
    let body = json!({"username": "alice_new"});
    assert_eq!(tell(&server, "user_a", "PUT", "/users/user_a/username", &body).await?.status, 200);
    let updated = profile_update(&mut b, "user_a").await?;
    assert_eq!(updated.username.as_deref(), Some("alice_new"));
    b.until("thread_1", "alice_new is there", named("alice_new")).await?;
    assert_eq!(hear(&mut a, &mut b, "thread_1", "second").await?, "alice_new");
    // What was said stays as it was said.
    let names: Vec<String> =
        b.inbox().stream("thread_1").applied.into_iter().map(|message| message.user_name).collect();
    assert_eq!(names, ["alice", "alice_new"]);
    assert_eq!(participants(&server, "user_b", "thread_1").await?[0].0, "alice_new");
    Ok(())
}

/// Story 2: somebody is invited, chooses a name, accepts, and is there for everybody without a reload; they talk.
async fn an_invitation_is_accepted_while_the_inviter_looks(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    make_thread(&server, "user_a", "alice", "thread_1").await?;
    let mut a = connect(kind, &server, "user_a").await?;
    let mut b = connect(kind, &server, "user_b").await?;
    let invites = "/v1/rooms/thread_1/invites";
    assert_eq!(tell(&server, "user_a", "POST", invites, &json!({"user_id": "user_b"})).await?.status, 201);
    let notice = invitation(&mut b).await?;
    assert_eq!((notice.thread_id.as_str(), notice.user_name.as_str()), ("thread_1", "alice"));
    // An empty name is what an app asks for before anything else.
    let own: Value = ask(&server, "user_b", "GET", "/v1/users/user_b").await?.json()?;
    assert_eq!(own["username"], Value::Null);
    let body = json!({"username": "bobby"});
    assert_eq!(tell(&server, "user_b", "PUT", "/users/user_b/username", &body).await?.status, 200);
    let path = "/threads/thread_1/invites/user_b";
    assert_eq!(tell(&server, "user_b", "PUT", path, &json!({"action": "accept"})).await?.status, 200);
    let arrived = arrival(&mut a).await?;
    assert_eq!((arrived.thread_id.as_str(), arrived.user_id.as_str()), ("thread_1", "user_b"));
    assert_eq!(arrived.user_name, "bobby");
    assert_eq!(roster(&server, "user_a", "thread_1").await?, ["user_a", "user_b"]);
    // Neither of them is looking at the thread, and both get what is said there.
    assert_eq!(hear(&mut b, &mut a, "thread_1", "hello").await?, "bobby");
    assert_eq!(hear(&mut a, &mut b, "thread_1", "welcome").await?, "alice");
    Ok(())
}

/// Story 3: the green dot comes, and goes when the app is closed; what is said meanwhile waits.
async fn the_green_dot_comes_and_goes(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    make_thread(&server, "user_a", "alice", "thread_1").await?;
    invite_and_accept(&server, "user_a", "user_b", "thread_1").await?;
    let mut b = connect(kind, &server, "user_b").await?;
    b.send(&json!({"type": "watch", "users": ["user_a"]})).await?;
    assert_eq!(standing(&mut b, "user_a").await?.status, "offline");
    let a = connect(kind, &server, "user_a").await?;
    let online = standing(&mut b, "user_a").await?;
    assert_eq!(online.status, "online");
    a.close(1001).await?;
    let offline = standing(&mut b, "user_a").await?;
    assert_eq!(offline.status, "offline");
    assert!(offline.last_online >= online.last_online, "the app shows it for 15 minutes if it likes");
    let seen: Value = ask(&server, "user_b", "GET", "/v1/users/user_a").await?.json()?;
    assert_eq!(seen["last_online"].as_i64(), offline.last_online);
    b.send_message("thread_1", &json!("are you there?")).await?;
    let mut a = connect(kind, &server, "user_a").await?;
    assert_eq!(standing(&mut b, "user_a").await?.status, "online");
    a.until_place("thread_1", 1).await?;
    assert_eq!(a.take_fresh("thread_1"), [json!("are you there?")]);
    Ok(())
}

/// Story 4: the line breaks and comes back; nobody saw anybody go, and what happened meanwhile is there: who came, what
/// was said, what they are asked.
async fn a_broken_line_comes_back_and_nothing_is_lost(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, ..quick() })?;
    let proxy = Proxy::to(server.address).await?;
    make_thread(&server, "user_a", "alice", "thread_1").await?;
    let mut b = server.enter(kind, "user_b", "app", "thread_1").await?;
    let who = Credentials::new("user_a", "app");
    let mut a = Client::enter(kind, proxy.address(), &who, "thread_1").await?;
    a.settle("thread_1").await?;
    let fault = proxy.silence();
    invite_and_accept(&server, "user_a", "user_b", "thread_1").await?;
    let body = json!({"username": "bobby"});
    assert_eq!(tell(&server, "user_b", "PUT", "/users/user_b/username", &body).await?.status, 200);
    make_thread(&server, "user_b", "bobby", "thread_2").await?;
    let invites = "/v1/rooms/thread_2/invites";
    assert_eq!(tell(&server, "user_b", "POST", invites, &json!({"user_id": "user_a"})).await?.status, 201);
    for text in ["one", "two", "three"] {
        b.send_message("thread_1", &json!(text)).await?;
    }
    let mut back = a.come_back(kind, server.address, &who).await?;
    back.resume("thread_1").await?;
    back.settle("thread_1").await?;
    assert_eq!(back.view("thread_1").users()["user_b"].name, "bobby");
    b.settle("thread_1").await?;
    assert_eq!(b.view("thread_1").edges("user_a").leaves, 0);
    back.until_place("thread_1", 3).await?;
    assert_eq!(back.take_fresh("thread_1"), [json!("one"), json!("two"), json!("three")]);
    back.until_place("@user_a", 1).await?;
    assert_eq!(back.take_fresh("@user_a"), [json!({"room": "thread_2"})]);
    // All that an app reloads after that, in one question.
    let news = back.sync(json!({"since": 0})).await?;
    let ids = |list: &[Value], field: &str| {
        let ids = list.iter().filter_map(|item| item[field].as_str());
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids(&news.profiles, "username"), ["alice", "bobby"]);
    assert_eq!(ids(&news.rosters, "user_id"), ["user_a", "user_b"]);
    assert_eq!(ids(&news.invitations, "room"), ["thread_2"]);
    let both = [("alice".to_owned(), "online".to_owned()), ("bobby".to_owned(), "online".to_owned())];
    assert_eq!(participants(&server, "user_a", "thread_1").await?, both);
    drop(fault);
    Ok(())
}

/// Story 5: a zombie is found by the heartbeat and removed, and when it was last there is kept. What was said to it comes to
/// who is there next.
async fn a_zombie_is_found_and_its_last_time_kept(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { heartbeat_ms: 500, heartbeat_timeout_ms: 300, ..quick() })?;
    make_thread(&server, "user_a", "alice", "thread_1").await?;
    invite_and_accept(&server, "user_a", "user_b", "thread_1").await?;
    let proxy = Proxy::to(server.address).await?;
    let mut b = connect(kind, &server, "user_b").await?;
    let mut zombie = Client::connect(kind, proxy.address(), &Credentials::new("user_a", "app")).await?;
    zombie.wait_for("a ping, which it answers", |m| matches!(m, ServerMessage::Ping(_))).await?;
    b.send(&json!({"type": "watch", "users": ["user_a"]})).await?;
    let online = standing(&mut b, "user_a").await?;
    assert_eq!(online.status, "online");
    let fault = proxy.silence();
    b.send_message("thread_1", &json!("to a zombie")).await?;
    let offline = standing(&mut b, "user_a").await?;
    assert_eq!(offline.status, "offline");
    assert!(offline.last_online >= online.last_online);
    let kept = user_until(server.address, "user_a", |user| user["status"] == "offline").await?;
    assert_eq!(kept["last_online"].as_i64(), offline.last_online);
    let mut alive = connect(kind, &server, "user_a").await?;
    alive.until_place("thread_1", 1).await?;
    assert_eq!(alive.take_fresh("thread_1"), [json!("to a zombie")]);
    drop((fault, zombie));
    Ok(())
}

on_every_kind! {
    a_name_changes_while_others_look,
    an_invitation_is_accepted_while_the_inviter_looks,
    the_green_dot_comes_and_goes,
    a_broken_line_comes_back_and_nothing_is_lost,
    a_zombie_is_found_and_its_last_time_kept,
}
