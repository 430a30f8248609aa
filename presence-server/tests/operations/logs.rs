//! One story, told by the log: whoever knows one id finds all that belongs to it (O1).

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::process::Process;

/// The only line with this message and these fields.
fn line<'a>(log: &'a [Value], message: &str, fields: &[(&str, &Value)]) -> Result<&'a Value> {
    let is = |line: &&Value| {
        line["message"] == message && fields.iter().all(|(name, value)| line[*name] == **value)
    };
    let mut found = log.iter().filter(is);
    let first = found.next().with_context(|| format!("no `{message}` with {fields:?}"))?;
    ensure!(found.next().is_none(), "`{message}` with {fields:?} is there twice");
    Ok(first)
}

/// Connect, message, hand-out, write and disconnect of a connection hang together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connections_log_can_be_followed_from_its_beginning_to_its_end() -> Result<()> {
    for kind in [Kind::Ws, Kind::Sse] {
        let mut server = Process::start(&["--log-level", "presence_server=trace"], &[])?;
        let mut ann = Client::enter(kind, server.address, &Credentials::new("ann", "a"), "doc").await?;
        let mut bob = Client::enter(kind, server.address, &Credentials::new("bob", "b"), "doc").await?;
        ann.settle("doc").await?;
        bob.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": 1}})).await?;
        bob.send(&json!({"type": "presence:update", "room": "doc", "state": 1})).await?;
        bob.wait_for("the error", |message| matches!(message, ServerMessage::Error(_))).await?;
        ann.until("doc", "bob's state", |view| !view.users()["bob"].sessions[0].state.is_empty()).await?;
        let version = ann.view("doc").version().context("ann has no version")?;
        drop((ann, bob));
        ensure!(server.stop()?.code() == Some(0), "the server did not end in good order");

        let log = server.log_lines()?;
        let attached = line(&log, "session attached", &[("user", &json!("bob"))])?;
        let (connection, generation) = (&attached["connection"], &attached["generation"]);
        let opened = line(&log, "connection opened", &[("connection", connection)])?;
        ensure!(opened["peer"].is_string() && opened["transport"].is_string(), "{opened}");
        line(&log, "request answered", &[("peer", &opened["peer"]), ("status", &json!(101))]).or_else(
            |_| line(&log, "request answered", &[("peer", &opened["peer"]), ("status", &json!(200))]),
        )?;
        let update = json!("presence:update");
        let received = line(&log, "message received", &[("connection", connection), ("kind", &update)])?;
        let refused = line(&log, "message refused", &[("connection", connection)])?;
        let number =
            |line: &Value| -> Option<u64> { line["correlation"].as_str()?.rsplit('-').next()?.parse().ok() };
        ensure!(number(refused) == number(received).map(|number| number + 1), "{received} {refused}");
        ensure!(refused["code"] == "bad_message", "{refused}");
        let commands =
            log.iter().filter(|line| line["message"] == "command" && line["generation"] == *generation);
        ensure!(
            commands.clone().count() >= 2 && commands.clone().all(|line| line["room"] == "doc"),
            "no commands"
        );
        let handed_out = |line: &&Value| {
            line["message"] == "handed out" && line["room"] == "doc" && line["version"] == json!(version)
        };
        ensure!(log.iter().any(|line| handed_out(&line)), "version {version} was not handed out");
        let event = format!("doc@{version}");
        let written = log.iter().filter(|line| {
            line["message"] == "written"
                && line["events"].as_str().is_some_and(|events| events.split(' ').any(|one| one == event))
        });
        ensure!(written.count() >= 1, "{event} was not written");
        let ended = line(&log, "connection ended", &[("connection", connection)])?;
        ensure!(ended["user"] == "bob" && ended["reason"].is_string(), "{ended}");
        ensure!(ended["transport"] == opened["transport"] && ended["lasted_ms"].is_u64(), "{ended}");
    }
    Ok(())
}

/// The configuration in effect is the first thing that is said.
#[test]
fn the_log_begins_with_the_configuration() -> Result<()> {
    let mut server = Process::start(&["--grace-ms", "4000"], &[])?;
    server.stop()?;
    let log = server.log_lines()?;
    ensure!(log[0]["message"] == "configuration", "{}", log[0]);
    let settings = log[0]["settings"].as_str().unwrap_or_default();
    ensure!(settings.contains(" grace_ms=4000 ") && settings.contains(" heartbeat_ms=25000 "), "{settings}");
    Ok(())
}
