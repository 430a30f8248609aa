//! Ten thousand lose their connections in the same moment, and come back within five seconds. Nobody is seen to leave.

use anyhow::{Result, ensure};
use tokio::time::{Duration, Instant, sleep};

use crate::chaos::crowd::Size;
use crate::chaos::site::{ROOMY, Site};
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage, straight};

/// 500 rooms of 20.
const SIZE: Size = Size { rooms: 500, residents: 20, seconds: 0, visitors: 0, pace: 20_000 };

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut site = Site::new(&given.server, ROOMY, &[])?;
    site.start().await?;
    let route = straight(site.address);
    let mut stage = Stage::set(given, site, SIZE, &route).await?;
    let clients = stage.crowd.seats().len();
    stage.pass(3.0).await;
    stage.crowd.scatter();
    let began = Instant::now();
    while stage.crowd.inside() > clients / 2 {
        ensure!(began.elapsed() < Duration::from_secs(5), "nobody noticed");
        sleep(Duration::from_millis(20)).await;
    }
    stage.crowd.all_in(ENTERING).await?;
    let back = began.elapsed().as_secs_f64();
    // Until the grace of the lost connections would be over.
    stage.pass(16.0).await;
    stage.figure(format!(
        "{clients} clients reset at once, all back after {back:.1} s (they spread over 5 s)"
    ));
    stage.verdict().await
}
