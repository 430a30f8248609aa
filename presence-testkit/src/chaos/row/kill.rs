//! The server is killed with SIGKILL while everybody is at it, and started again on the same folder. Rooms begin anew, and what
//! was acknowledged is there.

use anyhow::{Result, ensure};

use crate::chaos::crowd::Crowd;
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};

/// How often.
const TIMES: u32 = 5;

/// Seconds until the server is started again.
const PAUSES: [f64; 3] = [0.0, 0.5, 2.0];

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    let mut slowest = (0.0_f64, 0.0_f64);
    for _ in 0..TIMES {
        stage.pass_between(0.5, 3.0).await;
        let pause = PAUSES[stage.random.below(PAUSES.len())];
        let start = stage.kill_and_start(pause).await?;
        let back = stage.crowd.all_in(ENTERING).await?;
        slowest = (slowest.0.max(start.as_secs_f64()), slowest.1.max(back.as_secs_f64()));
    }
    stage.pass(2.0).await;
    ensure!(ended(&stage.crowd) > 0, "nobody noticed");
    stage.figure(format!(
        "killed {TIMES} times; slowest start {:.2} s, all back {:.2} s after it",
        slowest.0, slowest.1
    ));
    stage.verdict().await
}

/// How many connections have been ended so far.
pub(super) fn ended(crowd: &Crowd) -> u64 {
    crowd.endings().values().sum()
}
