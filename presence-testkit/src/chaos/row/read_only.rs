//! The store can only be read: it is mounted so while the server is away, and the server starts all the same, refuses messages,
//! lets people in and out, and finds by itself when it may write again.

use anyhow::{Result, ensure};

use super::disk::{refusals, until_ready};
use crate::chaos::history::{Event, now};
use crate::chaos::mount::Mount;
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    stage.pass(2.0).await;
    stage.history.note(Event::Down);
    ensure!(stage.site.terminate().await?.success(), "the server does not stop in good order");
    let file = stage.site.data.join("presence.db");
    let mounted = match Mount::read_only(&file) {
        Ok(mounted) => mounted,
        Err(error) => return Ok(Outcome::Skipped(format!("this user may not mount anything: {error:#}"))),
    };
    stage.site.start().await?;
    stage.history.note(Event::Up);
    let since = now();
    stage.crowd.all_in(ENTERING).await?;
    stage.pass(6.0).await;
    ensure!(stage.site.get("/readyz").await?.status == 503, "the server thinks that it is well");
    let refused = refusals(&stage, since);
    ensure!(refused > 0, "nobody noticed");
    drop(mounted);
    let recovered = until_ready(&stage.site, true).await?.as_secs_f64();
    stage.pass(3.0).await;
    stage.figure(format!("{refused} messages refused; well {recovered:.1} s after it could be written to"));
    stage.verdict().await
}
