//! The disk is full, since somebody else needs it; meanwhile the server is killed and started again. Messages are refused and
//! not kept, presence goes on, and once there is space so do messages.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::time::{Duration, Instant, sleep};

use crate::chaos::crowd::USUAL;
use crate::chaos::history::{Event, now};
use crate::chaos::mount::Mount;
use crate::chaos::site::{Site, TIMES};
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage, straight};

/// How long the server may take to find that it can not write, and that it can again. What its log has room for already it
/// still takes.
const NOTICING: Duration = Duration::from_secs(30);

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut site = Site::new(&given.server, TIMES, &[("store-reserve-bytes", "1048576")])?;
    let disk = match Mount::small_disk(&site.data, 16) {
        Ok(disk) => disk,
        Err(error) => return Ok(Outcome::Skipped(format!("this user may not mount a disk: {error:#}"))),
    };
    site.start().await?;
    let route = straight(site.address);
    let mut stage = Stage::set(given, site, USUAL, &route).await?;
    stage.pass(2.0).await;
    let since = now();
    let foreign = stage.site.data.join("foreign");
    let bytes = fill(&foreign)?;
    until_ready(&stage.site, false).await?;
    stage.pass(4.0).await;
    let start = stage.kill_and_start(0.2).await?;
    stage.crowd.all_in(ENTERING).await?;
    stage.pass(4.0).await;
    let refused = refusals(&stage, since);
    ensure!(refused > 0, "nobody noticed");
    std::fs::remove_file(&foreign)?;
    let recovered = until_ready(&stage.site, true).await?;
    stage.pass(3.0).await;
    stage.figure(format!(
        "{bytes} bytes taken of 16 MiB: {refused} messages refused; killed and started again in {:.2} s; well {:.1} s \
         after there was space",
        start.as_secs_f64(),
        recovered.as_secs_f64()
    ));
    let verdict = stage.verdict().await;
    drop(disk);
    verdict
}

/// Takes all the space there is.
fn fill(path: &Path) -> Result<u64> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    for size in [64 * 1024, 4096, 512] {
        let block = vec![7; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(file.metadata()?.len())
}

/// How many messages were refused since a moment.
pub(super) fn refusals(stage: &Stage, since: u64) -> usize {
    let entries = stage.history.entries();
    entries.iter().filter(|entry| entry.at >= since && matches!(entry.event, Event::Refused { .. })).count()
}

/// Waits until the server says that it is ready, or that it is not.
pub(super) async fn until_ready(site: &Site, ready: bool) -> Result<Duration> {
    let began = Instant::now();
    let looking = async {
        while (site.get("/readyz").await?.status == 200) != ready {
            sleep(Duration::from_millis(100)).await;
        }
        Ok(began.elapsed())
    };
    let wanted = if ready { "the server does not get well" } else { "the server thinks that it is well" };
    tokio::time::timeout(NOTICING, looking).await.context(wanted)?
}
