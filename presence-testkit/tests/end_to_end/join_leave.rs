//! Coming and going, in the words of those who build on it.

use anyhow::Result;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// The messages that a plain page sends: no room, no version, no `ref`.
async fn the_plain_messages_of_a_page_work(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut observer = server.enter(kind, "observer", "o", "lobby").await?;

    let join =
        json!({"type": "presence:join", "user": {"id": "user-123", "name": "Alice", "sessionId": "s-1"}});
    let mut page = Client::anonymous(kind, server.address).await?;
    page.send(&join).await?;
    page.wait_for("the list", |m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    assert_eq!(page.view("lobby").users()["user-123"].name, "Alice");
    observer.until("lobby", "Alice is here", |view| view.users().contains_key("user-123")).await?;

    page.send(&json!({"type": "presence:heartbeat"})).await?;
    page.settle("lobby").await?;

    page.reset();
    let mut page = Client::anonymous(kind, server.address).await?;
    page.send(&join).await?;
    let restored = page.wait_for("restored", |m| matches!(m, ServerMessage::Restored(_))).await?;
    assert!(matches!(restored, ServerMessage::Restored(restored) if restored.session_id == "s-1"));
    page.wait_for("the list", |m| matches!(m, ServerMessage::CurrentUsers(_))).await?;

    page.send(&json!({"type": "presence:leave"})).await?;
    observer.until("lobby", "Alice is gone", |view| !view.users().contains_key("user-123")).await?;
    let edges = observer.view("lobby").edges("user-123");
    assert_eq!((edges.joins, edges.leaves), (1, 1), "nobody saw the reconnect");
    Ok(())
}

/// P4 of the requirements, P13: the joiner gets the list with itself in it, everybody else gets the join.
async fn the_joiner_gets_the_list_and_the_others_get_the_join(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    assert_eq!(bob.view("doc").users().len(), 2);
    ann.until("doc", "bob is here", |view| view.users().contains_key("bob")).await?;
    assert_eq!(bob.view("doc").edges("bob").joins, 0, "a joiner does not hear of itself");
    ann.settle("doc").await?;
    bob.settle("doc").await?;
    let truth = server.presence("doc").await?;
    assert_eq!(ann.view("doc").difference(&truth), None);
    assert_eq!(bob.view("doc").difference(&truth), None);
    Ok(())
}

/// P9: joining twice is joining once, and leaving what was not entered is no error.
async fn joining_twice_is_joining_once(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let version = bob.view("doc").version();
    bob.join("doc").await?;
    assert_eq!(bob.view("doc").version(), version);
    bob.send(&json!({"type": "presence:leave", "room": "elsewhere"})).await?;
    bob.settle("doc").await?;
    ann.settle("doc").await?;
    assert_eq!(ann.view("doc").edges("bob").joins, 1);
    Ok(())
}

/// P6, P7, P8 of the requirements: state merges by field, cursors and typing go their own way and end by themselves.
async fn state_cursor_and_typing_reach_the_others(kind: Kind) -> Result<()> {
    let server = TestServer::start(presence_server::Config { typing_ms: 300, ..quick() })?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    bob.send(&json!({"type": "presence:update", "room": "doc", "state": {"tool": "pen", "zoom": 2}})).await?;
    bob.send(&json!({"type": "presence:update", "room": "doc", "state": {"zoom": null, "page": 7}})).await?;
    let state = json!({"tool": "pen", "page": 7});
    ann.until("doc", "bob's state is merged", |view| {
        view.users().get("bob").is_some_and(|bob| json!(bob.sessions[0].state) == state)
    })
    .await?;
    let version = ann.view("doc").version();
    bob.send(&json!({"type": "presence:cursor", "room": "doc", "cursor": {"x": 0.5, "y": 1}})).await?;
    bob.send(&json!({"type": "presence:typing", "room": "doc", "typing": true})).await?;
    ann.until("doc", "bob types", |view| view.typing().contains("bob")).await?;
    ann.until("doc", "bob's cursor moved", |view| view.users()["bob"].sessions[0].cursor.is_some()).await?;
    ann.until("doc", "the typing has ended", |view| view.typing().is_empty()).await?;
    assert_eq!(ann.view("doc").version(), version, "the live lane has no versions");
    Ok(())
}

/// P11 of the requirements: a user is away when all sessions are idle. P16: that is one update.
async fn a_user_is_away_when_every_tab_is_idle(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut first = server.enter(kind, "bob", "1", "doc").await?;
    let mut second = server.enter(kind, "bob", "2", "doc").await?;
    first.send(&json!({"type": "presence:activity", "active": false})).await?;
    first.settle("doc").await?;
    ann.settle("doc").await?;
    assert_eq!(ann.view("doc").users()["bob"].status, "online");
    second.send(&json!({"type": "presence:activity", "active": false})).await?;
    ann.until("doc", "bob is away", |view| view.users()["bob"].status == "away").await?;
    second.send(&json!({"type": "presence:activity", "active": true})).await?;
    ann.until("doc", "bob is back", |view| view.users()["bob"].status == "online").await?;
    assert_eq!(ann.view("doc").edges("bob").joins, 1);
    Ok(())
}

/// A session id that the server chose gives way to the first one that the client names, while it is in no room.
async fn a_session_of_the_servers_choice_gives_way_to_the_clients(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let who = Credentials { user: "ann".to_owned(), ..Credentials::default() };
    let mut ann = Client::connect(kind, server.address, &who).await?;
    let user = json!({"id": "ann", "sessionId": "mine"});
    ann.send(&json!({"type": "presence:join", "room": "doc", "user": user})).await?;
    let snapshot = ann.wait_for("a snapshot", |m| matches!(m, ServerMessage::CurrentUsers(_))).await?;
    assert!(matches!(snapshot, ServerMessage::CurrentUsers(s) if s.own.session_id == "mine"));
    let user = json!({"id": "ann", "sessionId": "another"});
    ann.send(&json!({"type": "presence:join", "room": "doc", "user": user})).await?;
    assert_eq!(ann.refusal().await?, ("conflict".to_owned(), Some("user.sessionId".to_owned())));
    ann.settle("doc").await?;
    Ok(())
}

/// P16, C1 in a room: another name is one update, not a leave and a join.
async fn another_name_is_one_update(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let user =
        json!({"id": "bob", "name": "Robert", "color": "#123456", "avatar": "https://example.org/bob.png"});
    bob.send(&json!({"type": "presence:join", "room": "doc", "user": user})).await?;
    ann.until("doc", "bob has another name", |view| {
        view.users().get("bob").is_some_and(|bob| bob.name == "Robert")
    })
    .await?;
    let seen = &ann.view("doc").users()["bob"];
    assert_eq!(
        (seen.color.as_str(), seen.avatar.as_deref()),
        ("#123456", Some("https://example.org/bob.png"))
    );
    assert_eq!(ann.view("doc").edges("bob").joins, 1);
    server.agrees_with(&mut ann, "doc").await
}

/// X4: nothing crosses rooms.
async fn nothing_crosses_rooms(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "red").await?;
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    bob.join("blue").await?;
    bob.send(&json!({"type": "presence:update", "room": "blue", "state": {"x": 1}})).await?;
    bob.settle("blue").await?;
    ann.settle("red").await?;
    assert_eq!(ann.view("red").users().keys().collect::<Vec<_>>(), ["ann"]);
    assert_eq!(server.presence("blue").await?.active_users, ["bob"]);
    Ok(())
}

/// Every request to enter is answered with its `ref`, also several at once, fresh or with what the client has.
async fn each_of_several_joins_at_once_is_answered(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let _bob = server.enter(kind, "bob", "b", "doc").await?;
    let mut ann = server.enter(kind, "ann", "a", "other").await?;
    let (epoch, version) = (server.enter(kind, "cleo", "c", "doc").await?, 1);
    let epoch = epoch.view("doc").epoch().to_owned();
    for number in 0..6 {
        let mut join = json!({"type": "presence:join", "room": "doc", "ref": number});
        if number % 2 == 1 {
            join["since"] = json!({"epoch": epoch, "version": version});
        }
        ann.send(&join).await?;
    }
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 6 {
        let reference = match ann.next().await? {
            ServerMessage::CurrentUsers(snapshot) => snapshot.reference,
            ServerMessage::Synced(synced) => synced.reference,
            _ => None,
        };
        answered.extend(reference.and_then(|reference| reference.as_u64()));
    }
    ann.settle("doc").await
}

on_every_kind! {
    each_of_several_joins_at_once_is_answered,
    the_plain_messages_of_a_page_work,
    the_joiner_gets_the_list_and_the_others_get_the_join,
    joining_twice_is_joining_once,
    state_cursor_and_typing_reach_the_others,
    a_user_is_away_when_every_tab_is_idle,
    a_session_of_the_servers_choice_gives_way_to_the_clients,
    another_name_is_one_update,
    nothing_crosses_rooms,
}
