//! The server as a process: how it starts, how it ends, and how it does without file descriptors.

use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use presence_testkit::http::get;
use presence_testkit::server_process::ServerProcess;
use presence_testkit::wire::ServerMessage;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BINARY: &str = env!("CARGO_BIN_EXE_presence-server");

/// Starts a server with at most so many descriptors.
fn start(descriptors: u32) -> Result<ServerProcess> {
    let limited = format!("ulimit -n {descriptors} && exec {BINARY} --listen 127.0.0.1:0 --log-level warn");
    ServerProcess::spawn(Command::new("sh").args(["-c", &limited]))
}

/// Starts a server with these flags.
fn start_with(flags: &[&str]) -> Result<ServerProcess> {
    ServerProcess::spawn(
        Command::new(BINARY).args(["--listen", "127.0.0.1:0", "--log-level", "warn"]).args(flags),
    )
}

fn run(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut child =
        Command::new(BINARY).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let code = child.wait()?.code();
    let mut said = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut said)?;
    child.stderr.take().context("no errors")?.read_to_string(&mut said)?;
    Ok((code, said))
}

#[test]
fn a_wrong_start_says_what_to_mend_and_its_exit_code_says_which_stage_it_was() -> Result<()> {
    let (code, said) = run(&["--grace-mss", "1"])?;
    ensure!(code == Some(64) && said.contains("--grace-ms"), "{code:?}: {said}");
    let (code, said) = run(&["--listen", "0.0.0.0:0"])?;
    ensure!(code == Some(64) && said.contains("loopback"), "{code:?}: {said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (code, said) = run(&["--listen", &taken.local_addr()?.to_string()])?;
    ensure!(code == Some(69) && said.contains("another program has the port"), "{code:?}: {said}");
    let folder = Folder::new();
    std::fs::write(folder.path(), "no folder")?;
    let data_dir = folder.path().to_str().context("a path is text")?;
    let (code, said) = run(&["--listen", "127.0.0.1:0", "--data-dir", data_dir])?;
    std::fs::remove_file(folder.path())?;
    ensure!(code == Some(73) && said.contains("data_dir"), "{code:?}: {said}");
    let (code, said) = run(&["--version"])?;
    ensure!(code == Some(0) && said.contains(env!("CARGO_PKG_VERSION")), "{code:?}: {said}");
    Ok(())
}

/// X7: SIGTERM ends the server in good order, with exit code 0.
#[tokio::test]
async fn sigterm_ends_it_in_good_order() -> Result<()> {
    let process = start(256)?;
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    process.signal("TERM")?;
    ann.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
    ensure!(ann.closed().await? == Some(1012), "the close code is another");
    ensure!(process.ended().await?.success(), "the exit code is another");
    Ok(())
}

/// Asks on a connection that stays open, and gives the answer's status.
async fn status(stream: &mut TcpStream, path: &str, headers: &str) -> Result<u16> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n{headers}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the server hung up");
    }
    let answer = String::from_utf8(answer)?;
    let status = answer.split(' ').nth(1).context("no status")?.parse();
    status.with_context(|| answer.clone())
}

/// X7: from SIGTERM on it is not ready and lets nobody in, while others are still on their way out.
#[tokio::test]
async fn a_stopping_server_is_not_ready_and_lets_nobody_in() -> Result<()> {
    let process = start_with(&[])?;
    let mut probe = TcpStream::connect(process.address).await?;
    ensure!(status(&mut probe, "/readyz", "").await? == 200, "it is not ready");
    let mut latecomer = TcpStream::connect(process.address).await?;
    ensure!(status(&mut latecomer, "/readyz", "").await? == 200, "it is not ready");
    // Hears that it should go, and stays.
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    process.signal("TERM")?;
    ann.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
    ensure!(status(&mut probe, "/readyz", "").await? == 503, "it says that it is ready");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    ensure!(status(&mut latecomer, "/ws?user_id=bob", upgrade).await? == 503, "it lets somebody in");
    let refused = TcpStream::connect(process.address).await.err().map(|error| error.kind());
    ensure!(refused == Some(ErrorKind::ConnectionRefused), "it still listens: {refused:?}");
    ensure!(process.ended().await?.success(), "the exit code is another");
    Ok(())
}

/// X7, X1: neither one that never reads nor one that ignores the close keeps the server from stopping.
#[tokio::test]
async fn no_client_keeps_it_from_stopping() -> Result<()> {
    let process = start_with(&["--messages-per-second", "10000", "--messages-burst", "10000"])?;
    let mut stubborn = Vec::new();
    for kind in [Kind::Ws, Kind::Sse] {
        let who =
            Credentials { receive_buffer: Some(4 * 1024), ..Credentials::new(&format!("{kind:?}"), "s") };
        stubborn.push(Client::enter(kind, process.address, &who, "doc").await?);
    }
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    let page = "x".repeat(15 * 1024);
    for n in 0..300 {
        let state = json!({"page": format!("{n} {page}")});
        ann.send(&json!({"type": "presence:update", "room": "doc", "state": state})).await?;
    }
    ann.settle("doc").await?;
    process.signal("TERM")?;
    ensure!(ann.closed().await? == Some(1012), "the close code is another");
    // Nobody has read the close, and all are still connected.
    ensure!(process.ended().await?.success(), "the exit code is another");
    drop((ann, stubborn));
    Ok(())
}

/// Whoever asks twice does not wait: the second signal ends it before it has stopped in good order.
#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() -> Result<()> {
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--log-level", "info", "--log-format", "json"]);
    let mut process = ServerProcess::spawn(command.stderr(Stdio::piped()))?;
    let mut log = process.log().context("it does not log")?;
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    process.signal("TERM")?;
    ann.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
    process.signal("TERM")?;
    ensure!(process.ended().await?.success(), "the exit code is another");
    let mut said = String::new();
    log.read_to_string(&mut said)?;
    ensure!(said.contains("\"draining\"") && !said.contains("\"stopped\""), "it waited: {said}");
    Ok(())
}

/// C10, C2, X8: a stop in good order is seen by nobody who comes back; after a crash it is another history.
#[tokio::test]
async fn a_restart_goes_on_where_the_server_stopped_and_a_crash_does_not() -> Result<()> {
    for kind in [Kind::Ws, Kind::Sse] {
        let folder = Folder::new();
        let data_dir = folder.path().to_str().context("a path is text")?;
        let who = Credentials::new("ann", "a");
        let process = start_with(&["--data-dir", data_dir])?;
        let mut ann = Client::enter(kind, process.address, &who, "doc").await?;
        process.signal("TERM")?;
        ensure!(ann.closed().await? == Some(1012), "the close code is another");
        ensure!(process.ended().await?.success(), "the exit code is another");

        let process = start_with(&["--data-dir", data_dir])?;
        let mut ann = ann.come_back(kind, process.address, &who).await?;
        let got = ann.resume("doc").await?;
        ensure!(matches!(got.last(), Some(ServerMessage::Synced(_))), "{got:?}");
        process.signal("KILL")?;
        ensure!(process.ended().await?.code().is_none(), "it was not killed");

        // What was handed over to the second is nothing to the third.
        let process = start_with(&["--data-dir", data_dir])?;
        let mut ann = ann.come_back(kind, process.address, &who).await?;
        let got = ann.resume("doc").await?;
        let reason = |message: &ServerMessage| match message {
            ServerMessage::CurrentUsers(snapshot) => Some(snapshot.reason.clone()),
            _ => None,
        };
        ensure!(got.iter().filter_map(reason).collect::<Vec<_>>() == ["epoch"], "{got:?}");
    }
    Ok(())
}

/// X6: without a descriptor left it turns new connections away, serves those it has, and recovers by itself.
#[tokio::test]
async fn it_survives_without_descriptors() -> Result<()> {
    let process = start(64)?;
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    let mut many = Vec::new();
    for _ in 0..100 {
        // The kernel accepts for the server what that cannot take.
        many.push(TcpStream::connect(process.address).await?);
    }
    ann.settle("doc").await?;
    drop(many);
    let recovered = async {
        loop {
            if let Ok(answer) = get(process.address, "/metrics", &[]).await
                && answer.status == 200
            {
                return answer.body;
            }
        }
    };
    let metrics =
        tokio::time::timeout(Duration::from_secs(20), recovered).await.context("it did not recover")?;
    ensure!(
        metrics.contains("presence_accept_errors_total{error=\"exhausted\"}"),
        "it was never without: {metrics}"
    );
    ann.settle("doc").await?;
    Ok(())
}
