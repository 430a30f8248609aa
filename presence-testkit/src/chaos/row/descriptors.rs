//! The server has no descriptor left, while many knock. Those who are there are not disturbed, and it lets people in again once
//! it may.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::kill::ended;
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};

/// How many descriptors it has left.
const LEFT: u64 = 5;

/// How many knock.
const KNOCKING: usize = 300;

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    stage.pass(2.0).await;
    let pid = stage.site.pid()?;
    let process = Pid::from_raw(pid.cast_signed()).context("no process")?;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
    let before = ended(&stage.crowd);
    let limit = |current| prlimit(Some(process), Resource::Nofile, current);
    let usual = limit(Rlimit { current: Some(open + LEFT), maximum: None })
        .or_else(|_| prlimit(Some(process), Resource::Nofile, lowered(open + LEFT)))?;
    let knocking = knock(stage.site.address).await;
    stage.pass(8.0).await;
    let errors = {
        prlimit(Some(process), Resource::Nofile, usual)?;
        drop(knocking);
        stage.pass(1.0).await;
        stage.site.metric("presence_accept_errors_total{error=\"exhausted\"}").await?
    };
    let undisturbed = ended(&stage.crowd) - before;
    let back = stage.crowd.all_in(ENTERING).await?.as_secs_f64();
    stage.pass(3.0).await;
    ensure!(errors > 0.0, "nobody noticed");
    stage.figure(format!(
        "{LEFT} descriptors left of {open} in use, {KNOCKING} knocked for 8 s: accepting failed {errors} times, \
         {undisturbed} connections ended, all in {back:.1} s after"
    ));
    stage.verdict().await
}

/// A lower limit that can be raised again.
fn lowered(current: u64) -> Rlimit {
    let own = rustix::process::getrlimit(Resource::Nofile);
    Rlimit { current: Some(current), maximum: own.maximum }
}

/// Connects often, and says nothing.
async fn knock(server: SocketAddr) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..KNOCKING {
        if let Ok(Ok(stream)) = timeout(Duration::from_millis(20), TcpStream::connect(server)).await {
            open.push(stream);
        }
    }
    open
}
