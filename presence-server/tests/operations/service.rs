//! What systemd hears, from a socket that takes its place.

use std::os::unix::net::UnixDatagram;

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;

use crate::process::{PATIENCE, Process};

/// Listens as a service manager does.
struct Ear(UnixDatagram);

impl Ear {
    fn hears(&self) -> Result<String> {
        let mut said = [0; 256];
        let length = self.0.recv(&mut said).context("nothing was said in time")?;
        Ok(String::from_utf8_lossy(&said[..length]).trim().to_owned())
    }

    fn hears_at_last(&self, wanted: &str) -> Result<()> {
        while self.hears()? != wanted {}
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_hears_that_the_server_is_ready_lives_and_stops() -> Result<()> {
    let folder = Folder::made()?;
    let path = folder.path().join("notify");
    let ear = Ear(UnixDatagram::bind(&path)?);
    ear.0.set_read_timeout(Some(PATIENCE))?;
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut server = Process::start(&["--shards", "3"], &variables)?;
    // Which of the two comes first is nobody's business.
    let first = [ear.hears()?, ear.hears()?];
    ensure!(first.iter().any(|said| said == "READY=1"), "{first:?}");
    let _ann = Client::enter(Kind::Ws, server.address, &Credentials::new("ann", "a"), "doc").await?;
    ear.hears_at_last("WATCHDOG=1")?;
    ear.hears_at_last("WATCHDOG=1")?;
    let stopped = tokio::task::spawn_blocking(move || server.stop());
    ear.hears_at_last("STOPPING=1")?;
    drop(_ann);
    ensure!(stopped.await??.code() == Some(0), "the server did not end in good order");
    Ok(())
}
