//! The server is stopped with SIGTERM while everybody is at it, and the next takes over. Nobody is seen to leave.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::kill::ended;
use crate::chaos::history::Event;
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};

/// How often.
const TIMES: u32 = 3;

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    let mut slowest = (0.0_f64, 0.0_f64);
    for _ in 0..TIMES {
        stage.pass_between(1.0, 3.0).await;
        stage.history.note(Event::Down);
        let began = Instant::now();
        let status = stage.site.terminate().await?;
        ensure!(status.success(), "the server ended with {status}");
        let stopped = began.elapsed().as_secs_f64();
        stage.site.start().await?;
        stage.history.note(Event::Up);
        let back = stage.crowd.all_in(ENTERING).await?;
        slowest = (slowest.0.max(stopped), slowest.1.max(back.as_secs_f64()));
    }
    // Longer than the grace, so that whoever was handed over and forgotten shows.
    stage.pass(6.0).await;
    ensure!(ended(&stage.crowd) > 0, "nobody noticed");
    stage.figure(format!(
        "stopped {TIMES} times; slowest stop {:.2} s, all back {:.2} s after the start",
        slowest.0, slowest.1
    ));
    stage.verdict().await
}
