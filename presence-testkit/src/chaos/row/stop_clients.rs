//! A process with many clients is stopped (SIGSTOP) and goes on. For less than it takes to notice, nobody hears of it; for
//! longer, and its people are seen to leave; when it goes on they find out and come back.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::chaos::company::{Away, Company, Say};
use crate::chaos::history::now;
use crate::chaos::stage::{Given, Outcome, Stage};

/// The number of its first tab.
const FIRST: u32 = 1_000;

/// Seconds: below detection, and above detection and grace.
const STOPS: [f64; 2] = [1.5, 14.0];

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let mut stage = Stage::usual(given, &[]).await?;
    let mut command = Command::new(&given.own);
    command.args(["company", "--address", &stage.site.address.to_string(), "--first", &FIRST.to_string()]);
    let mut away = Away::start(command.args(["--at-random", &given.seed.to_string()]))?;
    away.tell(&Say::Gather).await?;
    away.tell(&Say::Act).await?;
    let tabs: Vec<u32> = (FIRST..FIRST + Company::TABS).collect();
    for seconds in STOPS {
        stage.pass(3.0).await;
        let since = now();
        away.signal("STOP")?;
        stage.cut_for(&tabs, seconds).await;
        away.signal("CONT")?;
        away.tell(&Say::Gather).await?;
        stage.pass(3.0).await;
        let leaves = stage.leaves(&tabs, since);
        stage.figure(format!(
            "{} clients stopped for {seconds} s: {leaves} leaves of them seen",
            Company::TABS
        ));
        ensure!((leaves > 0) == (seconds > 10.0), "{leaves} leaves were seen in {seconds} s");
    }
    finish(stage, away).await
}

/// Lets both crowds agree, and puts together what both saw.
pub(super) async fn finish(mut stage: Stage, mut away: Away) -> Result<Outcome> {
    stage.others = away.tell(&Say::Quiet).await?;
    stage.settle().await;
    let told = away.history(stage.crowd.heads()).await?;
    stage.history.extend(told);
    stage.verdict().await
}
