//! Windows of a large room: what they show is what is there, whoever comes, goes and changes.

use std::time::Duration;

use anyhow::{Result, bail};
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use presence_testkit::wire::{ServerMessage, WindowShown};
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};

async fn connect(kind: Kind, server: &TestServer, user: &str) -> Result<Client> {
    Client::connect(kind, server.address, &Credentials::new(user, "s")).await
}

/// Enters `hall` with a window, and gives what is shown at once.
async fn watch(kind: Kind, server: &TestServer, user: &str, from: usize, count: usize) -> Result<Client> {
    let mut client = connect(kind, server, user).await?;
    let window = json!({"from": from, "count": count});
    client.send(&json!({"type": "presence:join", "room": "hall", "window": window, "ref": "w"})).await?;
    answer(&mut client, "w").await?;
    Ok(client)
}

/// The window that answers the message of this `ref`.
async fn answer(client: &mut Client, reference: &str) -> Result<WindowShown> {
    let wanted =
        |m: &ServerMessage| matches!(m, ServerMessage::Window(w) if w.reference == Some(json!(reference)));
    match client.wait_for("the answer", wanted).await? {
        ServerMessage::Window(shown) => Ok(shown),
        other => bail!("{other:?}"),
    }
}

async fn crowd(kind: Kind, server: &TestServer, from: usize, to: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for number in from..to {
        clients.push(server.enter(kind, &format!("guest-{number:02}"), "s", "hall").await?);
    }
    Ok(clients)
}

/// P3: holds a window against the room until they agree. The room may move on meanwhile, so it is asked again.
async fn agrees(client: &mut Client, server: &TestServer) -> Result<()> {
    let mut difference = None;
    for _ in 0..30 {
        let truth = server.presence("hall").await?;
        let same =
            client.until_window("hall", "as the server says", |view| view.difference(&truth).is_none());
        if let Ok(agreed) = tokio::time::timeout(Duration::from_secs(1), same).await {
            return agreed;
        }
        difference = client.window("hall").difference(&truth);
    }
    bail!("{difference:?}")
}

/// P3, P11, P13: rows and totals are right after every kind of change, in the window and outside.
async fn what_a_window_shows_is_what_is_there(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut guests = crowd(kind, &server, 0, 30).await?;
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    assert_eq!(
        (ann.window("hall").totals(), ann.window("hall").ids()[..2].to_vec()),
        ((31, 31), vec!["ann", "guest-00"])
    );
    let mut zoe = watch(kind, &server, "zoe", 20, 20).await?;
    agrees(&mut zoe, &server).await?;
    agrees(&mut ann, &server).await?;
    // One whom both do not see leaves, another tab comes, somebody says something of themselves.
    guests.remove(25).close(1000).await?;
    agrees(&mut ann, &server).await?;
    let _tab = server.enter(kind, "guest-03", "second", "hall").await?;
    guests[4].send(&json!({"type": "presence:update", "room": "hall", "state": {"hand": "up"}})).await?;
    ann.until_window("hall", "a hand is up", |view| view.rows()[5].sessions[0].state.contains_key("hand"))
        .await?;
    assert_eq!(ann.window("hall").rows()[4].connection_count, 2);
    // The first of all leaves: all rows move up.
    guests.remove(0).close(1000).await?;
    for client in [&mut ann, &mut zoe] {
        agrees(client, &server).await?;
    }
    assert_eq!(zoe.window("hall").ids().last(), Some(&"zoe"));
    // Those who read everything saw those who watch come like anybody else, and agree with the server.
    let last = guests.last_mut().expect("there are guests");
    last.until("hall", "zoe has come", |view| view.edges("zoe").joins == 1).await?;
    server.agrees_with(last, "hall").await
}

/// A window moves, and those who watch one read everything again when they ask for it.
async fn a_window_moves_and_ends_as_its_client_says(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let _guests = crowd(kind, &server, 0, 45).await?;
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    ann.send(&json!({"type": "presence:window", "room": "hall", "from": 30, "count": 5, "ref": 1})).await?;
    let wanted = |m: &ServerMessage| matches!(m, ServerMessage::Window(w) if w.reference == Some(json!(1)));
    ann.wait_for("the other rows", wanted).await?;
    let shown = ann.window("hall");
    assert_eq!((shown.ids().len(), shown.ids()[0], shown.ids()[19]), (20, "guest-19", "guest-38"));
    agrees(&mut ann, &server).await?;
    ann.send(&json!({"type": "presence:sync", "room": "hall", "epoch": "e", "version": 1, "ref": "s"}))
        .await?;
    assert_eq!(answer(&mut ann, "s").await?.total, 46);
    for (window, field) in
        [(json!({"from": 0, "count": 201}), "window.count"), (json!({"count": 1}), "window.from")]
    {
        ann.send(&json!({"type": "presence:join", "room": "hall", "window": window})).await?;
        assert_eq!(ann.refusal().await?, ("bad_message".to_owned(), Some(field.to_owned())));
    }
    ann.send(&json!({"type": "presence:window", "room": "elsewhere", "from": 0, "count": 5})).await?;
    assert_eq!(ann.refusal().await?.0, "not_joined");
    ann.join("hall").await?;
    ann.settle("hall").await?;
    server.agrees_with(&mut ann, "hall").await
}

/// P7, P8, R3: a session outlives its connection, and is taken over, with a window as without; nobody hears of it.
async fn a_session_that_watches_comes_back_and_is_taken_over_unseen(kind: Kind) -> Result<()> {
    let server = TestServer::start(Config { grace_ms: 600_000, ..quick() })?;
    let mut bob = server.enter(kind, "bob", "b", "hall").await?;
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    ann.send(&json!({"type": "presence:update", "room": "hall", "state": {"draft": 1}})).await?;
    ann.until_window("hall", "the draft", |view| !view.rows()[0].sessions[0].state.is_empty()).await?;
    ann.reset();
    let mut back = connect(kind, &server, "ann").await?;
    back.send(&json!({"type": "presence:join", "room": "hall", "window": {"from": 0, "count": 20}})).await?;
    back.wait_for("restored", |m| matches!(m, ServerMessage::Restored(_))).await?;
    back.until_window("hall", "what it had", |view| view.rows()[0].sessions[0].state["draft"] == 1).await?;
    let mut newer = watch(kind, &server, "ann", 0, 20).await?;
    assert_eq!(back.closed().await?, Some(4409));
    agrees(&mut newer, &server).await?;
    bob.settle("hall").await?;
    let edges = bob.view("hall").edges("ann");
    assert_eq!((edges.joins, edges.leaves), (1, 0));
    newer.close(1000).await?;
    bob.until("hall", "ann is gone", |view| view.edges("ann").leaves == 1).await
}

/// C10, C6: the next server knows who is waited for and not what they watched; they say it again.
async fn after_a_restart_a_window_is_asked_for_again_and_right(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let config = || Config { data_dir: folder.path().to_owned(), grace_ms: 4_000, ..quick() };
    let mut server = TestServer::start(config())?;
    let mut bob = server.enter(kind, "bob", "b", "hall").await?;
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    agrees(&mut ann, &server).await?;
    server.stop();
    assert_eq!((ann.closed().await?, bob.closed().await?), (Some(1012), Some(1012)));
    server.stop().await?;
    let server = TestServer::start(config())?;
    let mut ann = ann.come_back(kind, server.address, &Credentials::new("ann", "s")).await?;
    ann.send(
        &json!({"type": "presence:join", "room": "hall", "window": {"from": 0, "count": 20}, "ref": "w"}),
    )
    .await?;
    assert_eq!((answer(&mut ann, "w").await?.total, ann.window("hall").ids()), (2, vec!["ann", "bob"]));
    // Bob does not come back.
    ann.until_window("hall", "bob has gone", |view| view.totals() == (1, 1)).await?;
    agrees(&mut ann, &server).await
}

/// Messages, and being seen, are for those who watch as for anybody else.
async fn who_watches_a_window_talks_and_types_like_anybody_else(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut bob = server.enter(kind, "bob", "b", "hall").await?;
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    ann.send(&json!({"type": "presence:typing", "room": "hall", "typing": true})).await?;
    bob.until("hall", "ann types", |view| view.typing().contains("ann")).await?;
    bob.send(&json!({"type": "message", "room": "hall", "id": "m-1", "data": {"text": "hello"}})).await?;
    ann.wait_for("the message", |m| matches!(m, ServerMessage::MessageCreated(m) if m.id == "m-1")).await?;
    ann.send(&json!({"type": "message", "room": "hall", "id": "m-2", "data": {"text": "hello"}})).await?;
    bob.wait_for("the answer", |m| matches!(m, ServerMessage::MessageCreated(m) if m.id == "m-2")).await?;
    Ok(())
}

/// A server may say how large a room is sent whole, and tells those who read a room when it is not told closely any more.
async fn a_large_room_says_so_and_may_be_entered_with_a_window_only(kind: Kind) -> Result<()> {
    let config = Config { large_room_users: 10, huge_room_users: 20, exact_users_max: 20, ..quick() };
    let server = TestServer::start(config)?;
    let mut guests = crowd(kind, &server, 0, 21).await?;
    let told = |m: &ServerMessage| matches!(m, ServerMessage::Mode(mode) if mode.mode == "wide");
    guests[0].wait_for("it is wide", told).await?;
    let mut ann = connect(kind, &server, "ann").await?;
    ann.send(&json!({"type": "presence:join", "room": "hall"})).await?;
    assert_eq!(ann.refusal().await?, ("too_large".to_owned(), Some("window".to_owned())));
    let mut ann = watch(kind, &server, "ann", 0, 20).await?;
    assert_eq!(ann.window("hall").shown().map(|shown| shown.mode.as_str()), Some("wide"));
    for guest in guests.drain(8..) {
        guest.close(1000).await?;
    }
    let told = |m: &ServerMessage| matches!(m, ServerMessage::Mode(mode) if mode.mode == "exact");
    guests[0].wait_for("it is exact again", told).await?;
    server.agrees_with(&mut guests[0], "hall").await?;
    ann.until_window("hall", "it is exact again", |view| {
        view.shown().is_some_and(|shown| shown.mode == "exact")
    })
    .await?;
    agrees(&mut ann, &server).await
}

on_every_kind! {
    what_a_window_shows_is_what_is_there,
    a_window_moves_and_ends_as_its_client_says,
    a_session_that_watches_comes_back_and_is_taken_over_unseen,
    after_a_restart_a_window_is_asked_for_again_and_right,
    who_watches_a_window_talks_and_types_like_anybody_else,
    a_large_room_says_so_and_may_be_entered_with_a_window_only,
}
