//! The clock on the wall jumps, forwards and backwards, while everybody is at it. Nothing depends on it but what is shown. The
//! server runs under libfaketime, which changes what it reads; time that passes is left alone.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use super::kill::ended;
use crate::chaos::crowd::USUAL;
use crate::chaos::site::{Site, TIMES};
use crate::chaos::stage::{Given, Outcome, Stage, straight};

/// By how much, as libfaketime is told, and in seconds.
const JUMPS: [(&str, i64); 4] = [("+1h", 3_600), ("-1d", -86_400), ("+10m", 600), ("+0", 0)];

/// How far off it may be.
const CLOSE: i64 = 30;

/// Where Debian has it.
const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let Some(library) = PLACES.into_iter().map(PathBuf::from).find(|path| path.exists()) else {
        return Ok(Outcome::Skipped("there is no libfaketime: apt-get install libfaketime".to_owned()));
    };
    let mut site = Site::new(&given.server, TIMES, &[])?;
    let clock = site.folder().join("clock");
    set(&clock, "+0")?;
    site.set_variable("LD_PRELOAD", &library.display().to_string());
    site.set_variable("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string());
    site.set_variable("FAKETIME_NO_CACHE", "1");
    site.set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    site.set_variable("DONT_FAKE_MONOTONIC", "1");
    site.start().await?;
    let route = straight(site.address);
    let mut stage = Stage::set(given, site, USUAL, &route).await?;
    for (jump, seconds) in JUMPS {
        stage.pass(2.0).await;
        set(&clock, jump)?;
        stage.pass(4.0).await;
        let said = stage.site.presence(0).await?.timestamp / 1_000;
        let real = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().cast_signed();
        ensure!((said - real - seconds).abs() < CLOSE, "{jump}: the server's clock is {} s off", said - real);
    }
    stage.figure(format!(
        "jumps of {} and back: {} connections ended",
        JUMPS.map(|(jump, _)| jump)[..3].join(", "),
        ended(&stage.crowd)
    ));
    stage.verdict().await
}

/// Written beside and renamed, so that nobody reads half of it.
fn set(clock: &Path, jump: &str) -> Result<()> {
    let beside = clock.with_extension("new");
    std::fs::write(&beside, jump)?;
    Ok(std::fs::rename(beside, clock)?)
}
