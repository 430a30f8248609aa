//! Which store the configuration asks for, and what is done with it while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use presence_core::port::store::{Store, StreamLimits};
use tracing::{info, warn};

use super::memory::MemoryStore;
use crate::audit;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, StoreKind};
use crate::metrics::Metrics;

/// How often what is too old is looked for, and the store's numbers are.
const UPKEEP: Duration = Duration::from_secs(1);

/// How often what waits is counted receiver by receiver, at most.
const RECOUNT: Duration = Duration::from_secs(5);

/// And never so often that it takes more than this part of the time.
const RECOUNT_SHARE: u32 = 50_000;

/// Longest time that an acknowledgement may wait for company.
const GATHER_MAX_MS: u64 = 1_000;

/// Smallest file that a store is of use in.
const BYTES_MAX_MIN: u64 = 1 << 20;

impl Config {
    /// How much a stream may hold.
    pub fn stream_limits(&self) -> StreamLimits {
        StreamLimits {
            messages: self.stream_messages_max,
            bytes: self.stream_bytes_max,
            age: Duration::from_millis(self.message_age_ms),
            dedup: Duration::from_millis(self.dedup_ms),
            dedup_ids: self.dedup_ids_max,
        }
    }

    /// Where the store is kept, unless it ends with the process.
    pub fn store_file(&self) -> Option<PathBuf> {
        let kept = self.store != StoreKind::Memory && !self.data_dir.as_os_str().is_empty();
        (kept && cfg!(feature = "sqlite")).then(|| self.data_dir.join(super::FILE))
    }

    /// Checks what must hold between the settings of the store.
    ///
    /// # Errors
    /// Names the setting and the rule.
    pub(crate) fn check_store(&self) -> Result<(), ConfigError> {
        let rules = [
            (
                "store",
                "needs `data_dir` to be `sqlite`",
                self.store != StoreKind::Sqlite || self.has_data_dir(),
            ),
            (
                "store",
                "cannot be `sqlite`: build with `--features sqlite`",
                self.store != StoreKind::Sqlite || cfg!(feature = "sqlite"),
            ),
            ("message_age_ms", "must be at least 1000", self.message_age_ms >= 1_000),
            ("stream_messages_max", "must be at least 1", self.stream_messages_max >= 1),
            ("stream_bytes_max", "must be at least 1", self.stream_bytes_max >= 1),
            ("store_queue_max", "must be at least 1", self.store_queue_max >= 1),
            ("store_batch_max", "must be at least 1", self.store_batch_max >= 1),
            ("store_gather_ms", "must be at most 1000", self.store_gather_ms <= GATHER_MAX_MS),
            (
                "store_bytes_max",
                "must be 0 or at least 1048576",
                self.store_bytes_max == 0 || self.store_bytes_max >= BYTES_MAX_MIN,
            ),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            Some((name, rule, _)) => {
                Err(ConfigError::Value { name: name.to_owned(), error: rule.to_owned() })
            }
            None => Ok(()),
        }
    }

    fn has_data_dir(&self) -> bool {
        !self.data_dir.as_os_str().is_empty()
    }
}

/// Opens the store that the configuration asks for. The folder it is in must be there.
///
/// # Errors
/// If it belongs to another program or to a later version of this one. A store that is broken is no error: the server
/// can do without, says so, and waits for it.
pub fn open(config: &Config, clock: Clock, metrics: &Metrics) -> Result<Arc<dyn Store>, String> {
    if let Some(file) = config.store_file() {
        return open_file(config, &file, clock, metrics);
    }
    if config.store == StoreKind::Auto && config.has_data_dir() {
        warn!("no store is built in that could use `data_dir`: build with `--features sqlite`");
    }
    info!("messages, rosters and profiles end with this process; with `data_dir` they are kept");
    metrics.store_health(true);
    Ok(Arc::new(MemoryStore::new(config.stream_limits())))
}

#[cfg(feature = "sqlite")]
fn open_file(
    config: &Config,
    file: &Path,
    clock: Clock,
    metrics: &Metrics,
) -> Result<Arc<dyn Store>, String> {
    use super::sqlite::{Options, SqliteStore, Sync};
    use crate::config::StoreSync;

    let options = Options {
        limits: config.stream_limits(),
        sync: match config.store_sync {
            StoreSync::Full => Sync::Full,
            StoreSync::Normal => Sync::Normal,
        },
        queue_max: config.store_queue_max,
        batch_max: config.store_batch_max,
        gather: Duration::from_millis(config.store_gather_ms),
        bytes_max: config.store_bytes_max,
        reserve_bytes: config.store_reserve_bytes,
    };
    let store = SqliteStore::open(file, options, clock, metrics.clone())?;
    info!(file = %file.display(), durability = store.durability().as_str(), "the store is open");
    Ok(Arc::new(store))
}

#[cfg(not(feature = "sqlite"))]
fn open_file(_: &Config, _: &Path, _: Clock, _: &Metrics) -> Result<Arc<dyn Store>, String> {
    Err("no store in a file is built in".to_owned())
}

/// Removes what is too old, and shows how the store is, until it is dropped.
pub(crate) async fn upkeep(store: Arc<dyn Store>, file: Option<PathBuf>, clock: Clock, metrics: Metrics) {
    let mut recount = Duration::ZERO;
    let mut interval = tokio::time::interval(UPKEEP);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // Writers come in between: each call is one of many in a batch.
        while let Ok(true) = store.expire(clock.now().wall).await {}
        if let Ok(balance) = store.balance().await {
            metrics.stream_balance(&balance);
        }
        let began = clock.elapsed();
        if recount <= began
            && let Ok(counted) = store.recount().await
        {
            audit::violated(&metrics, counted.check().of(None));
            recount = clock.elapsed() + RECOUNT.max((clock.elapsed() - began) * RECOUNT_SHARE);
        }
        if let Some(file) = &file {
            metrics.store_bytes(bytes_of(file));
        }
    }
}

/// Bytes of a store's file, and of the log beside it.
fn bytes_of(file: &Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
    bytes(file) + bytes(Path::new(&log))
}
