//! What is kept of people in a store on disk: it outlives the server.

use anyhow::Result;
use presence_server::Config;
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use serde_json::{Value, json};

use crate::as_user::{ask, invitation, on_roster, roster, tell, user_until};
use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// C1-C4, P11: profiles, rosters, invitations, documents, and when users were last here.
async fn what_is_kept_of_people_outlives_the_server(kind: Kind) -> Result<()> {
    let folder = Folder::new();
    let keeping = || Config { data_dir: folder.path().to_owned(), ..quick() };
    let mut server = TestServer::start(keeping())?;
    let ann = Client::connect(kind, server.address, &Credentials::new("ann", "a")).await?;
    let name = json!({"username": "alice", "color": "#0000ff"});
    assert_eq!(tell(&server, "ann", "PATCH", "/v1/users/ann", &name).await?.status, 200);
    on_roster(&server, "team", &["ann", "carl"]).await?;
    let invite = json!({"user_id": "bob"});
    assert_eq!(tell(&server, "ann", "POST", "/v1/rooms/team/invites", &invite).await?.status, 201);
    let document = "/v1/users/ann/documents/playlist";
    let written = tell(&server, "ann", "PUT", document, &json!(["song"])).await?;
    assert_eq!(written.status, 204);
    ann.close(1000).await?;
    let gone = user_until(server.address, "ann", |user| user["status"] == "offline").await?;
    server.stop().await?;
    drop(server);

    let server = TestServer::start(keeping())?;
    let kept: Value = ask(&server, "bob", "GET", "/v1/users/ann").await?.json()?;
    assert_eq!(kept, gone);
    assert_eq!(kept["username"], "alice");
    assert_eq!(roster(&server, "ann", "team").await?, ["ann", "carl"]);
    let read = ask(&server, "ann", "GET", document).await?;
    assert_eq!((read.body.as_str(), read.header("etag")), (r#"["song"]"#, written.header("etag")));
    let mut bob = Client::connect(kind, server.address, &Credentials::new("bob", "b")).await?;
    let notice = invitation(&mut bob).await?;
    assert_eq!((notice.room.as_str(), notice.user_name.as_str()), ("team", "alice"));
    let accept = json!({"action": "accept"});
    assert_eq!(tell(&server, "bob", "PUT", "/threads/team/invites/bob", &accept).await?.status, 200);
    assert_eq!(roster(&server, "bob", "team").await?, ["ann", "carl", "bob"]);
    Ok(())
}

on_every_kind! {
    what_is_kept_of_people_outlives_the_server,
}
