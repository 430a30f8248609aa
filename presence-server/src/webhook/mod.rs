//! Webhooks: a backend is told what happens in rooms, by signed requests that are made again until they are answered.
//!
//! What is to be told goes through a bounded door ([`Notices`]), which never makes anybody wait, into the store (`keep`), and
//! from there, a batch at a time and in order, to the backend (`courier`). So it survives a restart if the store does. The
//! backend hears of everything at least once, and knows by the events' numbers what it has heard of already.

mod backoff;
mod courier;
mod event;
mod keep;
mod notices;
mod post;
mod settings;
mod signature;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use presence_core::port::store::{Durability, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::config::ConfigError;
use crate::metrics::Metrics;
use courier::Courier;
pub(crate) use event::EventKind;
use keep::Keeper;
pub use notices::Notices;
pub(crate) use settings::Settings;

/// How long a stopping server waits for an answer to what the store keeps anyway.
const PARTING: Duration = Duration::from_secs(1);

/// How long to wait before a store that failed is tried again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What the courier has to know of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    /// How many events wait in the store, as far as is known.
    held: u64,
    /// How often something was added.
    times: u64,
    /// Nothing is added any more.
    ending: bool,
}

/// The webhooks of a server; they end with the value.
#[derive(Debug)]
pub(crate) struct Webhooks {
    notices: Notices,
    keeper: JoinHandle<()>,
    courier: JoinHandle<()>,
    last_wait: Duration,
}

impl Webhooks {
    /// Starts what a configuration asks for, if it does. Must be called within a runtime.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub(crate) fn start(
        config: &Config,
        store: &Arc<dyn Store>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(settings) = Settings::of(config)? else { return Ok(None) };
        info!(backend = settings.target.authority(), "a backend is told what happens");
        metrics.webhooks_on();
        let notices = Notices::new(&settings, clock, metrics);
        let (kept, keeping) = watch::channel(Kept { held: 0, times: 0, ending: false });
        let last_wait = match store.durability() {
            Durability::Memory => settings.timeout,
            Durability::Process | Durability::Disk => PARTING,
        };
        let (store, held_max) = (Arc::clone(store), settings.held_max);
        let keeper = Keeper::new(notices.clone(), Arc::clone(&store), kept, held_max, metrics.clone());
        let courier = Courier::new(settings, store, keeping, clock, metrics.clone());
        let (keeper, courier) = (tokio::spawn(keeper.run()), tokio::spawn(courier.run()));
        Ok(Some(Self { notices, keeper, courier, last_wait }))
    }

    /// Where to say what has happened.
    pub(crate) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Keeps what has been said so far, and tells the backend what can still be told: everything if the store ends with
    /// the process, and what is under way if the next server finds the rest.
    pub(crate) async fn stop(mut self) {
        self.notices.close();
        if (&mut self.keeper).await.is_err() {
            warn!("what a backend was still to be told could not be kept");
        }
        if tokio::time::timeout(self.last_wait, &mut self.courier).await.is_err() {
            info!(
                "the backend has not answered; it is asked again after the next start, if the store is there then"
            );
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.keeper.abort();
        self.courier.abort();
    }
}
