//! The server as a process: how it starts, how it ends, and how it does without file descriptors.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::get;
use presence_testkit::wire::ServerMessage;
use tokio::net::TcpStream;

/// A server process that ends with the value.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BINARY: &str = env!("CARGO_BIN_EXE_presence-server");

impl Process {
    /// Starts a server with at most so many descriptors.
    fn start(descriptors: u32) -> Result<Self> {
        let limited =
            format!("ulimit -n {descriptors} && exec {BINARY} --listen 127.0.0.1:0 --log-level warn");
        let mut child = Command::new("sh").args(["-c", &limited]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the server says nothing")?;
        let mut banner = String::new();
        BufReader::new(output).read_line(&mut banner)?;
        let address = banner.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.with_context(|| format!("no address in {banner:?}"))?.parse()?;
        Ok(Self { child, address })
    }

    fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "cannot signal the server");
        Ok(())
    }
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
    let (code, said) = run(&["--version"])?;
    ensure!(code == Some(0) && said.contains(env!("CARGO_PKG_VERSION")), "{code:?}: {said}");
    Ok(())
}

/// X7: SIGTERM ends the server in good order, with exit code 0.
#[tokio::test]
async fn sigterm_ends_it_in_good_order() -> Result<()> {
    let mut process = Process::start(256)?;
    let mut ann = Client::enter(Kind::Ws, process.address, &Credentials::new("ann", "a"), "doc").await?;
    process.signal("TERM")?;
    ann.wait_for("draining", |m| matches!(m, ServerMessage::Draining(_))).await?;
    ensure!(ann.closed().await? == Some(1012), "the close code is another");
    let status = tokio::task::spawn_blocking(move || process.child.wait()).await??;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

/// X6: without a descriptor left it turns new connections away, serves those it has, and recovers by itself.
#[tokio::test]
async fn it_survives_without_descriptors() -> Result<()> {
    let process = Process::start(64)?;
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
