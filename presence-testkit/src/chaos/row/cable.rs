//! The same cuts in a real network: the clients are on a machine of their own, a network namespace, and rules of its firewall
//! drop what comes, what goes, or both. TCP itself is what is left to find out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::stop_clients::finish;
use crate::chaos::cable::{Cable, SERVER, cut, mend, on};
use crate::chaos::company::{Away, Company, Say};
use crate::chaos::crowd::{Route, USUAL};
use crate::chaos::history::now;
use crate::chaos::site::{Site, TIMES};
use crate::chaos::stage::{Given, Outcome, Stage};
use crate::proxy::Way;

/// The number of the first tab that is far away.
const FIRST: u32 = 1_000;

/// Long enough, and nobody's.
const SECRET: &str = "a secret that only this row has, of 32 bytes or more";

const KEY: &str = "a key that only this row has";

/// What is cut, and for how many seconds.
const CUTS: [(Option<Way>, f64); 4] =
    [(None, 2.0), (None, 20.0), (Some(Way::Up), 20.0), (Some(Way::Down), 20.0)];

/// Lays the cable, and plays on the server's machine, in a process there.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let cable = match Cable::lay()
        .and_then(|cable| cut(&cable.far, None).and_then(|()| mend(&cable.far)).map(|()| cable))
    {
        Ok(cable) => cable,
        Err(error) => return Ok(Outcome::Skipped(format!("this user may not make networks: {error:#}"))),
    };
    let mut command = on(&cable.near, &given.own.display().to_string());
    command.arg("inside").arg("--server").arg(&given.server).args(["--seed", &given.seed.to_string()]);
    command.args(["--far", &cable.far]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_str(said.trim()).with_context(|| format!("no outcome: {said}"))
}

/// The part that plays on the server's machine.
#[derive(Args, Clone, Debug)]
pub struct Inside {
    #[arg(long)]
    server: std::path::PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    far: String,
}

impl Inside {
    /// Plays.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn play(self, own: &Path) -> Result<Outcome> {
        let given = Given { server: self.server.clone(), own: own.to_owned(), seed: self.seed };
        let settings = [("token-secret", SECRET), ("api-key", KEY), ("silent-timeout-ms", "4000")];
        let mut site = Site::new(&given.server, TIMES, &settings)?;
        site.be_at(SERVER.into(), KEY)?;
        site.start().await?;
        let address = site.address;
        let near = tokens(&given.server, 0..200)?;
        let route: Route = Box::new(move |tab| (address, near.get(tab as usize).cloned()));
        let mut stage = Stage::set(&given, site, USUAL, &route).await?;
        let mut away = Away::start(&mut self.company(&given, address)?)?;
        away.tell(&Say::Gather).await?;
        away.tell(&Say::Act).await?;
        let tabs: Vec<u32> = (FIRST..FIRST + Company::TABS).collect();
        for (way, seconds) in CUTS {
            stage.pass(3.0).await;
            let since = now();
            cut(&self.far, way)?;
            stage.cut_for(&tabs, seconds).await;
            mend(&self.far)?;
            away.tell(&Say::Gather).await?;
            stage.pass(3.0).await;
            let leaves = stage.leaves(&tabs, since);
            let words = way.map_or("both ways".to_owned(), |way| format!("{way:?} only"));
            stage.figure(format!("{words} for {seconds} s: {leaves} leaves of those far away seen"));
            ensure!((leaves > 0) == (seconds > 10.0), "{words} for {seconds} s: {leaves} leaves");
        }
        finish(stage, away).await
    }

    fn company(&self, given: &Given, address: SocketAddr) -> Result<Command> {
        let far = tokens(&given.server, FIRST..FIRST + Company::TABS)?;
        let mut command = on(&self.far, &given.own.display().to_string());
        command.args(["company", "--address", &address.to_string(), "--first", &FIRST.to_string()]);
        command.args(["--at-random", &given.seed.to_string(), "--key", KEY, "--tokens", &far.join(",")]);
        Ok(command)
    }
}

/// Tokens of users, by the server's own hand.
fn tokens(server: &Path, users: std::ops::Range<u32>) -> Result<Vec<String>> {
    let one = |user: u32| {
        let mut command = Command::new(server);
        command.args(["token", "new", "--token-secret", SECRET, "--user", &format!("u{user}")]);
        let output = command.output()?;
        ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    users.map(one).collect()
}
