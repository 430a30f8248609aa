//! Stores in files, for one test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use async_trait::async_trait;
use presence_core::port::store::{Store, StreamLimits};
use presence_server::clock::Clock;
use presence_server::metrics::Metrics;
use presence_server::store::FILE;
use presence_server::store::sqlite::{self, Options, SqliteStore, Sync};
use presence_testkit::contract::store::{Fixture, ROOMY};
use presence_testkit::folder::Folder;

pub(crate) fn options(limits: StreamLimits) -> Options {
    Options {
        limits,
        // Tests kill processes, not machines.
        sync: Sync::Normal,
        queue_max: 10_000,
        batch_max: 500,
        gather: Duration::from_millis(1),
        bytes_max: 0,
        reserve_bytes: 64 * 1024,
    }
}

/// Opens the store in a folder.
pub(crate) fn open(folder: &Path, options: Options) -> Result<SqliteStore> {
    let store = SqliteStore::open(&folder.join(FILE), options, Clock::start(), Metrics::new());
    store.map_err(|why| anyhow!(why))
}

pub(crate) fn open_roomy(folder: &Path) -> Result<SqliteStore> {
    open(folder, options(ROOMY))
}

/// Counts everything again.
pub(crate) fn is_whole(path: &Path) -> Result<()> {
    let faults = sqlite::check(path).map_err(|why| anyhow!(why))?;
    ensure!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

/// Makes a file for each store, and checks them at the end.
#[derive(Default)]
pub(crate) struct Files(Mutex<Vec<Folder>>);

#[async_trait]
impl Fixture for Files {
    async fn store(&self, limits: StreamLimits) -> Result<Arc<dyn Store>> {
        let folder = Folder::made()?;
        let store = open(folder.path(), options(limits))?;
        self.0.lock().unwrap().push(folder);
        Ok(Arc::new(store))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let files: Vec<PathBuf> =
            self.0.lock().unwrap().iter().map(|folder| folder.path().join(FILE)).collect();
        if !std::thread::panicking() {
            files.iter().for_each(|file| is_whole(file).unwrap());
        }
    }
}
