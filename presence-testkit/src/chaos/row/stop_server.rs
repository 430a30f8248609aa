//! The server's process is stopped (SIGSTOP) and goes on: for less than a heartbeat, for longer than the answer to one may take,
//! and for longer than the grace. Whatever it slept through, it does not hold against those who waited for it.

use anyhow::{Result, ensure};

use super::kill::ended;
use crate::chaos::history::Event;
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};

/// Seconds: below the answer's time, above that, above all of heartbeat, answer and grace.
const SLEEPS: [f64; 3] = [1.0, 4.0, 12.0];

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    for seconds in SLEEPS {
        stage.pass_between(1.0, 3.0).await;
        let before = ended(&stage.crowd);
        stage.history.note(Event::Down);
        stage.site.signal("STOP")?;
        stage.pass(seconds).await;
        stage.site.signal("CONT")?;
        stage.history.note(Event::Up);
        let back = stage.crowd.all_in(ENTERING).await?;
        stage.pass(6.0).await;
        let ended = ended(&stage.crowd) - before;
        stage.figure(format!(
            "{seconds} s: {ended} connections ended, all back {:.1} s after",
            back.as_secs_f64()
        ));
        ensure!(seconds < 10.0 || ended > 0, "nobody noticed");
    }
    stage.verdict().await
}
