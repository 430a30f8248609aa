//! Requests that act for a user where nobody has to prove anything, and what tests wait for of people.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use presence_testkit::client::Client;
use presence_testkit::http::{Answer, request, send};
use presence_testkit::wire::{
    InvitationAccepted, ServerMessage, Standing, ThreadInvitation, UserProfileUpdated,
};
use serde_json::Value;

use crate::server::TestServer;

/// Asks as `user`, without a body.
pub(crate) async fn ask(server: &TestServer, user: &str, method: &str, path: &str) -> Result<Answer> {
    request(server.address, method, path, &[("X-User-Id", user)]).await
}

/// Asks as `user`, with a body.
pub(crate) async fn tell(
    server: &TestServer,
    user: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Answer> {
    send(server.address, method, path, &[("X-User-Id", user)], &body.to_string()).await
}

/// The status, and the code of an error.
pub(crate) fn outcome(answer: &Answer) -> (u16, String) {
    let body: Value = answer.json().unwrap_or_default();
    (answer.status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

/// Puts users onto the roster of a room.
pub(crate) async fn on_roster(server: &TestServer, room: &str, users: &[&str]) -> Result<()> {
    for user in users {
        let path = format!("/v1/rooms/{room}/members/{user}");
        let answer = request(server.address, "PUT", &path, &[]).await?;
        anyhow::ensure!(answer.status == 201, "{user}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

/// The ids on a roster, as `user` sees it.
pub(crate) async fn roster(server: &TestServer, user: &str, room: &str) -> Result<Vec<String>> {
    let answer = ask(server, user, "GET", &format!("/v1/rooms/{room}/members")).await?;
    let body: Value = answer.json()?;
    let members = body["members"].as_array().with_context(|| format!("no roster: {}", answer.body))?;
    Ok(members.iter().filter_map(|member| member["user_id"].as_str()).map(str::to_owned).collect())
}

/// How the server answers to `GET /v1/users/{id}`, once that is as wanted.
pub(crate) async fn user_until(
    server: SocketAddr,
    id: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let search = async {
        loop {
            let user: Value = request(server, "GET", &format!("/v1/users/{id}"), &[]).await?.json()?;
            if wanted(&user) {
                return anyhow::Ok(user);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), search).await.context("the user does not get there")?
}

pub(crate) async fn profile_update(client: &mut Client, user: &str) -> Result<UserProfileUpdated> {
    let of_user = |m: &ServerMessage| matches!(m, ServerMessage::UserProfileUpdated(m) if m.user_id == user);
    match client.wait_for("user_profile_updated", of_user).await? {
        ServerMessage::UserProfileUpdated(updated) => Ok(updated),
        other => bail!("{other:?}"),
    }
}

pub(crate) async fn invitation(client: &mut Client) -> Result<ThreadInvitation> {
    let wanted = |m: &ServerMessage| matches!(m, ServerMessage::ThreadInvitation(_));
    match client.wait_for("thread_invitation", wanted).await? {
        ServerMessage::ThreadInvitation(invitation) => Ok(invitation),
        other => bail!("{other:?}"),
    }
}

pub(crate) async fn arrival(client: &mut Client) -> Result<InvitationAccepted> {
    let wanted = |m: &ServerMessage| matches!(m, ServerMessage::InvitationAccepted(_));
    match client.wait_for("invitation_accepted", wanted).await? {
        ServerMessage::InvitationAccepted(accepted) => Ok(accepted),
        other => bail!("{other:?}"),
    }
}

/// The next thing that is said of how `user` stands.
pub(crate) async fn standing(client: &mut Client, user: &str) -> Result<Standing> {
    loop {
        let wanted = |m: &ServerMessage| matches!(m, ServerMessage::UserStatus(_));
        if let ServerMessage::UserStatus(status) = client.wait_for("user_status", wanted).await?
            && let Some(standing) = status.users.into_iter().find(|standing| standing.id == user)
        {
            return Ok(standing);
        }
    }
}
