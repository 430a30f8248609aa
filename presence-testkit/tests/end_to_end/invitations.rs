//! Rosters and invitations: every step, and every step that is not allowed.

use anyhow::Result;
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::Appended;
use presence_core::stream::{MessageId, MessageKind, NewMessage, StoredMessage};
use presence_core::time::WallTime;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{Answer, request, send};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::as_user::{arrival, ask, invitation, on_roster, outcome, roster, tell};
use crate::messages::until_balance;
use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

async fn connect(kind: Kind, server: &TestServer, user: &str) -> Result<Client> {
    Client::connect(kind, server.address, &Credentials::new(user, "tab")).await
}

async fn invite(server: &TestServer, by: &str, room: &str, user: &str) -> Result<Answer> {
    tell(server, by, "POST", &format!("/v1/rooms/{room}/invites"), &json!({"user_id": user})).await
}

async fn react(server: &TestServer, user: &str, room: &str, action: &str) -> Result<Answer> {
    let path = format!("/v1/rooms/{room}/invites/{user}");
    tell(server, user, "PUT", &path, &json!({"action": action})).await
}

fn said(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// C3: invite, hear of it, accept, be on the roster, and every other member hears of that.
async fn who_is_invited_and_accepts_is_on_the_roster_and_all_members_hear(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    assert_eq!(ask(&server, "ann", "PUT", "/v1/rooms/team/a/members/ann").await?.status, 201);
    on_roster(&server, "team/a", &["carl"]).await?;
    let (mut ann, mut bob) = (connect(kind, &server, "ann").await?, connect(kind, &server, "bob").await?);
    let mut carl = connect(kind, &server, "carl").await?;
    let mut phone = Client::connect(kind, server.address, &Credentials::new("bob", "phone")).await?;
    let sent = invite(&server, "ann", "team/a", "bob").await?;
    assert_eq!(sent.status, 201, "{}", sent.body);
    for device in [&mut bob, &mut phone] {
        let notice = invitation(device).await?;
        assert_eq!((notice.thread_id.as_str(), notice.room.as_str()), ("team/a", "team/a"));
        assert_eq!((notice.invited_by.as_str(), notice.user_name.as_str()), ("ann", "ann"));
        assert_eq!((notice.inbox.as_str(), notice.seq), ("@bob", 1));
    }
    let open: Value = ask(&server, "bob", "GET", "/v1/users/bob/invites").await?.json()?;
    assert_eq!(open["invites"][0]["room"], "team/a");
    assert_eq!(open["invites"][0]["invited_by"], "ann");
    let of_room: Value = ask(&server, "ann", "GET", "/v1/rooms/team/a/invites").await?.json()?;
    assert_eq!(of_room, open);
    let accepted = react(&server, "bob", "team/a", "accept").await?;
    assert_eq!(accepted.status, 200, "{}", accepted.body);
    for member in [&mut ann, &mut carl] {
        let arrived = arrival(member).await?;
        assert_eq!((arrived.thread_id.as_str(), arrived.user_id.as_str()), ("team/a", "bob"));
    }
    assert_eq!(roster(&server, "bob", "team/a").await?, ["ann", "carl", "bob"]);
    let open: Value = ask(&server, "bob", "GET", "/v1/users/bob/invites").await?.json()?;
    assert_eq!(open, json!({"invites": []}));
    // Bob is the one member who is not told.
    bob.send(&json!({"type": "list_users"})).await?;
    let heard =
        |m: &ServerMessage| matches!(m, ServerMessage::OnlineUsers(_) | ServerMessage::InvitationAccepted(_));
    assert!(matches!(bob.wait_for("an answer", heard).await?, ServerMessage::OnlineUsers(_)));
    Ok(())
}

/// C3: each of these is refused, clearly, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_clearly() -> Result<()> {
    let server = TestServer::start(quick())?;
    on_roster(&server, "team", &["ann"]).await?;
    assert_eq!(outcome(&react(&server, "bob", "team", "accept").await?), said(404, "not_found"));
    assert_eq!(invite(&server, "ann", "team", "bob").await?.status, 201);
    assert_eq!(outcome(&invite(&server, "ann", "team", "bob").await?), said(409, "conflict"));
    assert_eq!(outcome(&invite(&server, "ann", "team", "ann").await?), said(409, "conflict"));
    assert_eq!(outcome(&react(&server, "bob", "team", "perhaps").await?), said(400, "bad_message"));
    assert_eq!(react(&server, "bob", "team", "decline").await?.status, 200);
    assert_eq!(outcome(&react(&server, "bob", "team", "accept").await?), said(404, "not_found"));
    assert_eq!(invite(&server, "ann", "team", "bob").await?.status, 201);
    let withdraw = "/v1/rooms/team/invites/bob";
    assert_eq!(outcome(&ask(&server, "bob", "DELETE", withdraw).await?), said(403, "forbidden"));
    assert_eq!(ask(&server, "ann", "DELETE", withdraw).await?.status, 204);
    assert_eq!(outcome(&ask(&server, "ann", "DELETE", withdraw).await?), said(404, "not_found"));
    assert_eq!(outcome(&react(&server, "bob", "team", "accept").await?), said(404, "not_found"));
    for (body, field) in [(json!({}), "user_id"), (json!({"user_id": ""}), "user_id")] {
        let answer = tell(&server, "ann", "POST", "/v1/rooms/team/invites", &body).await?;
        let error: Value = answer.json()?;
        assert_eq!((answer.status, error["error"]["field"].as_str()), (400, Some(field)));
    }
    let unnamed = json!({"user_id": "bob"}).to_string();
    let answer = send(server.address, "POST", "/v1/rooms/team/invites", &[], &unnamed).await?;
    let error: Value = answer.json()?;
    assert_eq!((answer.status, error["error"]["field"].as_str()), (400, Some("X-User-Id")));
    assert_eq!(roster(&server, "ann", "team").await?, ["ann"]);
    Ok(())
}

/// Of many who do the same at once exactly one does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_have_one_winner() -> Result<()> {
    let server = TestServer::start(quick())?;
    on_roster(&server, "team", &["ann"]).await?;
    let invites = (0..8).map(|_| invite(&server, "ann", "team", "bob"));
    let statuses = all(invites).await?;
    assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, 7));
    let answers = (0..8).map(|turn| {
        let action = if turn % 2 == 0 { "accept" } else { "decline" };
        react(&server, "bob", "team", action)
    });
    let statuses = all(answers).await?;
    assert_eq!((count(&statuses, 200), count(&statuses, 404)), (1, 7));
    // Who founds a roster is on it alone.
    let founders: Vec<String> = (0..8).map(|number| format!("user-{number}")).collect();
    let paths: Vec<String> = founders.iter().map(|user| format!("/v1/rooms/new/members/{user}")).collect();
    let founding = founders.iter().zip(&paths).map(|(user, path)| ask(&server, user, "PUT", path));
    let statuses = all(founding).await?;
    assert_eq!((count(&statuses, 201), count(&statuses, 403)), (1, 7));
    Ok(())
}

/// The statuses of requests that are all on their way at once.
async fn all(requests: impl Iterator<Item = impl Future<Output = Result<Answer>>>) -> Result<Vec<u16>> {
    let mut waiting: Vec<_> = requests.map(Box::pin).collect();
    let mut statuses: Vec<Option<Result<u16>>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (request, status) in waiting.iter_mut().zip(&mut statuses) {
            if status.is_none()
                && let std::task::Poll::Ready(answer) = request.as_mut().poll(cx)
            {
                *status = Some(answer.map(|answer| answer.status));
            }
        }
        if statuses.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    statuses.into_iter().flatten().collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|known| **known == status).count()
}

/// C2: members read a roster, bring others in and take them off; who is put there is told to the others.
async fn members_change_their_roster_and_others_hear_of_arrivals(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = connect(kind, &server, "ann").await?;
    assert_eq!(ask(&server, "ann", "PUT", "/v1/rooms/team/members/ann").await?.status, 201);
    assert_eq!(invite(&server, "ann", "team", "bob").await?.status, 201);
    assert_eq!(ask(&server, "ann", "PUT", "/v1/rooms/team/members/bob").await?.status, 201);
    assert_eq!(arrival(&mut ann).await?.user_id, "bob");
    assert_eq!(ask(&server, "ann", "PUT", "/v1/rooms/team/members/bob").await?.status, 204);
    assert_eq!(
        react(&server, "bob", "team", "accept").await?.status,
        404,
        "being there ended the invitation"
    );
    let body: Value = ask(&server, "bob", "GET", "/v1/rooms/team/members").await?.json()?;
    let shown = &body["members"][0];
    assert_eq!((&shown["user_id"], &shown["username"]), (&json!("ann"), &Value::Null));
    assert_eq!((&shown["name"], &shown["status"]), (&json!("ann"), &json!("online")));
    assert_eq!(body["members"][1]["status"], "offline");
    assert_eq!(ask(&server, "bob", "DELETE", "/v1/rooms/team/members/bob").await?.status, 204);
    assert_eq!(ask(&server, "bob", "GET", "/v1/rooms/team/members").await?.status, 403);
    assert_eq!(ask(&server, "ann", "DELETE", "/v1/rooms/team/members/bob").await?.status, 404);
    Ok(())
}

/// S9: a roster that is not for somebody and one that is not there look the same, byte for byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_of_others_looks_like_none() -> Result<()> {
    let server = TestServer::start(quick())?;
    on_roster(&server, "team", &["ann"]).await?;
    for (method, path) in [
        ("GET", "members"),
        ("PUT", "members/carl"),
        ("DELETE", "members/ann"),
        ("GET", "invites"),
        ("DELETE", "invites/carl"),
    ] {
        let of_room = async |room| ask(&server, "bob", method, &format!("/v1/rooms/{room}/{path}")).await;
        let (there, not_there) = (of_room("team").await?, of_room("nowhere").await?);
        assert_eq!(outcome(&there), said(403, "forbidden"), "{method} {path}");
        assert_eq!((there.status, there.body), (not_there.status, not_there.body), "{method} {path}");
    }
    for room in ["team", "nowhere"] {
        assert_eq!(outcome(&invite(&server, "bob", room, "carl").await?), said(403, "forbidden"));
    }
    let founding = ask(&server, "bob", "PUT", "/v1/rooms/team/members/bob").await?;
    assert_eq!(outcome(&founding), said(403, "forbidden"));
    let inbox = ask(&server, "ann", "PUT", "/v1/rooms/@ann/members/ann").await?;
    assert_eq!(outcome(&inbox), said(403, "forbidden"));
    Ok(())
}

/// A token's rooms bound what its user may do with rosters; one that names a room lets its user read the roster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_bounds_what_its_user_may_do_with_rosters() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let key = [("X-API-Key", API_KEY)];
    let put = |path: &'static str| request(server.address, "PUT", path, &key);
    assert_eq!(put("/v1/rooms/secret/members/ann").await?.status, 201);
    assert_eq!(put("/v1/rooms/doc-1/members/bob").await?.status, 201);
    let bound = format!("Bearer {}", token("ann", &["--room", "doc-*"])?);
    let headers = [("Authorization", bound.as_str())];
    let get = |path: &'static str| request(server.address, "GET", path, &headers);
    assert_eq!(get("/v1/rooms/secret/members").await?.status, 403, "on the roster, and not allowed to enter");
    assert_eq!(get("/v1/rooms/doc-1/members").await?.status, 200, "not on it, and named by the token");
    assert_eq!(get("/v1/rooms/doc-1/invites").await?.status, 403);
    let invited = [("X-API-Key", API_KEY), ("X-User-Id", "bob")];
    let body = json!({"user_id": "ann"}).to_string();
    for room in ["secret-2", "doc-1"] {
        let path = format!("/v1/rooms/{room}/invites");
        assert_eq!(send(server.address, "POST", &path, &invited, &body).await?.status, 201);
    }
    let accept = json!({"action": "accept"}).to_string();
    for (room, expected) in [("secret-2", 403), ("doc-1", 200)] {
        let path = format!("/v1/rooms/{room}/invites/ann");
        assert_eq!(send(server.address, "PUT", &path, &headers, &accept).await?.status, expected, "{room}");
    }
    let other = "/v1/users/bob/invites";
    assert_eq!(get(other).await?.status, 403);
    Ok(())
}

/// X4, S1: a member whose token does not let them into the room hears nothing of it.
async fn a_member_who_may_not_enter_hears_nothing(kind: Kind) -> Result<()> {
    let server = TestServer::start(guarded())?;
    let key = [("X-API-Key", API_KEY)];
    let put = |path: &'static str| request(server.address, "PUT", path, &key);
    put("/v1/rooms/secret/members/ann").await?;
    put("/v1/rooms/doc-1/members/ann").await?;
    let anns = Some(token("ann", &["--room", "doc-*"])?);
    let who = Credentials { token: anns, ..Credentials::new("ann", "a") };
    let mut ann = Client::connect(kind, server.address, &who).await?;
    assert_eq!(put("/v1/rooms/secret/members/bob").await?.status, 201);
    assert_eq!(put("/v1/rooms/doc-1/members/bob").await?.status, 201);
    assert_eq!(arrival(&mut ann).await?.room, "doc-1");
    Ok(())
}

/// C3, M3: an invitation waits in the inbox like any message: in its place, once, until it is acknowledged.
async fn invitations_wait_for_who_is_away_in_order_and_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    for team in ["team-1", "team-2", "team-3"] {
        on_roster(&server, team, &["ann"]).await?;
    }
    let mut ann = connect(kind, &server, "ann").await?;
    assert_eq!(invite(&server, "ann", "team-1", "bob").await?.status, 201);
    ann.send_message("@bob", &json!("come in")).await?;
    assert_eq!(invite(&server, "ann", "team-2", "bob").await?.status, 201);
    let waiting = [json!({"room": "team-1"}), json!("come in"), json!({"room": "team-2"})];
    let mut bob = connect(kind, &server, "bob").await?;
    let mut phone = Client::connect(kind, server.address, &Credentials::new("bob", "phone")).await?;
    for device in [&mut bob, &mut phone] {
        device.until_place("@bob", 3).await?;
        assert_eq!(device.take_fresh("@bob"), waiting);
    }
    let page = phone.sync(json!({"cursors": {"@bob": 0}})).await?;
    let synced: Vec<&Value> = page.messages.iter().map(|message| &message.snapshot).collect();
    assert_eq!(synced, waiting.iter().collect::<Vec<_>>());
    // One device has dealt with it, and that is enough.
    bob.ack("@bob").await?;
    until_balance(&server, |balance| balance.queued == 0).await?;
    bob.close(1000).await?;
    phone.close(1000).await?;
    assert_eq!(invite(&server, "ann", "team-3", "bob").await?.status, 201);
    let mut bob = connect(kind, &server, "bob").await?;
    bob.until_place("@bob", 4).await?;
    assert_eq!(bob.take_fresh("@bob"), [json!({"room": "team-3"})]);
    assert_eq!(bob.inbox().stream("@bob").repeated, 0);
    Ok(())
}

/// M3: what comes into an inbox by two ways at once is told in its order, whichever is told of first.
async fn invitations_that_overtake_each_other_come_in_their_order(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = connect(kind, &server, "bob").await?;
    let mut stored = Vec::new();
    for room in ["team-1", "team-2"] {
        let message = NewMessage {
            room: RoomId::parse("@bob")?,
            kind: MessageKind::Invitation,
            sender: UserId::parse("ann")?,
            sender_name: "ann".into(),
            id: MessageId::parse(room)?,
            body: json!({"room": room}).to_string().into(),
            correlation: room.into(),
            // Far from being too old.
            at: WallTime::from_unix_millis(4_000_000_000_000),
        };
        let Appended::New { seq } = server.streams.store().append(message.clone()).await? else {
            anyhow::bail!("it is new");
        };
        stored.push(StoredMessage { seq, message });
    }
    for stored in stored.into_iter().rev() {
        server.streams.kept(stored).await;
    }
    bob.until_place("@bob", 2).await?;
    assert_eq!(bob.take_fresh("@bob"), [json!({"room": "team-1"}), json!({"room": "team-2"})]);
    Ok(())
}

/// C2, C3: who accepts gets what is said in the room from then on, wherever they are, and may speak there; who is taken off
/// does neither.
async fn a_place_on_the_roster_is_a_place_in_the_conversation(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    on_roster(&server, "team", &["ann"]).await?;
    let (mut ann, mut bob) = (connect(kind, &server, "ann").await?, connect(kind, &server, "bob").await?);
    ann.send_message("team", &json!("before")).await?;
    bob.say("team", &json!("too early")).await?;
    assert_eq!(bob.refusal().await?.0, "not_joined");
    assert_eq!(invite(&server, "ann", "team", "bob").await?.status, 201);
    assert_eq!(react(&server, "bob", "team", "accept").await?.status, 200);
    ann.send_message("team", &json!("welcome")).await?;
    bob.until_place("team", 2).await?;
    assert_eq!(bob.take_fresh("team"), [json!("welcome")]);
    assert_eq!(bob.send_message("team", &json!("thanks")).await?.seq, 3);
    ann.until_place("team", 3).await?;
    assert_eq!(ask(&server, "ann", "DELETE", "/v1/rooms/team/members/bob").await?.status, 204);
    ann.send_message("team", &json!("without bob")).await?;
    bob.say("team", &json!("too late")).await?;
    assert_eq!(bob.refusal().await?.0, "not_joined");
    // Put back, without a word of what was said meanwhile; a new connection expects none.
    bob.close(1000).await?;
    let mut bob = connect(kind, &server, "bob").await?;
    assert_eq!(ask(&server, "ann", "PUT", "/v1/rooms/team/members/bob").await?.status, 201);
    ann.send_message("team", &json!("again")).await?;
    bob.until_place("team", 5).await?;
    assert_eq!(bob.take_fresh("team"), [json!("again")]);
    Ok(())
}

on_every_kind! {
    who_is_invited_and_accepts_is_on_the_roster_and_all_members_hear,
    members_change_their_roster_and_others_hear_of_arrivals,
    a_member_who_may_not_enter_hears_nothing,
    invitations_wait_for_who_is_away_in_order_and_once,
    invitations_that_overtake_each_other_come_in_their_order,
    a_place_on_the_roster_is_a_place_in_the_conversation,
}
