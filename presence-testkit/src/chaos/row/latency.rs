//! Everything takes 50 to 300 ms each way, now more and now less. Nobody is lost by that.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cut::set_with_proxy;
use super::kill::ended;
use crate::chaos::stage::{Given, Outcome};

/// Milliseconds each way.
const DELAY: (u64, u64) = (50, 300);

/// Seconds.
const LONG: f64 = 15.0;

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let (mut stage, proxy) = set_with_proxy(given).await?;
    stage.pass(1.0).await;
    let (least, most) = DELAY;
    let fault = proxy.delay(Duration::from_millis(least), Duration::from_millis(most));
    stage.pass(LONG).await;
    let rtt = stage.site.metric("presence_heartbeat_rtt_seconds{quantile=\"1\"}").await;
    drop(fault);
    stage.figure(format!(
        "{least} to {most} ms each way for {LONG} s: {} connections ended",
        ended(&stage.crowd)
    ));
    if let Ok(rtt) = rtt {
        ensure!(rtt * 1_000.0 > least as f64, "nobody was slow: {rtt}");
    }
    stage.verdict().await
}
