//! The composition root: configuration → shards → bind → run → drain, each failing at its own stage.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use presence_core::id::Incarnation;
use presence_core::port::store::Store;
use presence_core::room::KeptRoom;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::connection::registry::Registry;
use crate::connection::{Connections, Parts};
use crate::data_dir::DataDir;
use crate::handover;
use crate::http::Router;
use crate::http::accept::Acceptor;
use crate::http::set_patience;
use crate::http::tls::{Tls, TlsError};
use crate::limits::AddressLimits;
use crate::metrics::Metrics;
use crate::people::{self, People};
use crate::random;
use crate::service;
use crate::shard::Shards;
use crate::store;
use crate::stream::Streams;
use crate::webhook::{Notices, Webhooks};

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 4096;

/// Bytes that the kernel may hold for one connection beyond what is on its way: what a slow reader has not taken should
/// wait where it can still be replaced by something newer.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// How long the store may take to leave nothing to do for the next start.
const SETTLING: Duration = Duration::from_secs(2);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    address: SocketAddr,
    acceptor: Acceptor,
    router: Arc<Router>,
    connections: Arc<Connections>,
    shards: Shards,
    data: Option<DataDir>,
    store: Arc<dyn Store>,
    streams: Streams,
    webhooks: Option<Webhooks>,
    clock: Clock,
    metrics: Metrics,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing is built in that could carry a connection.
    #[error("no transport is built in: build with `--features ws`, `--features sse` or both")]
    NoTransport,
    /// There can be no TLS with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The folder for what outlives the process can not be used.
    #[error("cannot use `data_dir` {path}: {error}")]
    DataDir {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The store is not for this server.
    #[error("cannot use the store: {0}")]
    Store(String),
    /// The address can not be listened on.
    #[error("cannot listen on {address}: {error}{hint}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
        /// What to do.
        hint: &'static str,
    },
}

impl Server {
    /// Says whether a server can be started with this configuration, as far as one can know without doing it.
    ///
    /// # Errors
    /// Says what to mend.
    pub fn check(config: &Config) -> Result<(), StartError> {
        config.check()?;
        if cfg!(not(any(feature = "ws", feature = "sse"))) {
            return Err(StartError::NoTransport);
        }
        Tls::of(config, &Metrics::new())?;
        Ok(())
    }

    /// Starts everything but the accepting of connections; `listener` takes the place of `config.listen`. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// At the first stage that fails; nothing is left running then.
    pub fn bind(config: Config, listener: Option<std::net::TcpListener>) -> Result<Self, StartError> {
        Self::check(&config)?;
        let metrics = Metrics::new();
        let tls = Tls::of(&config, &metrics)?;
        let (listener, address) = listen(&config, listener)?;
        raise_descriptor_limit();

        let clock = Clock::start();
        let limits = Arc::new(config.limits());
        let incarnation = Incarnation::from_random(random::bits64());
        let auth = Arc::new(Auth::new(&config, Arc::clone(&limits), clock, metrics.clone())?);
        if auth.is_dev_mode() {
            info!("nobody has to prove who they are: neither `token_secret` nor `token_key_files` is set");
        }
        // Not before it is sure that this server starts: what is taken is not there for another one.
        let data = open_data_dir(&config)?;
        let store = store::open(&config, clock, &metrics).map_err(StartError::Store)?;
        let kept = data.as_ref().map(|data| handover::take(data, clock.now().wall, &config, &metrics));
        let kept = kept.unwrap_or_default();
        let webhooks = Webhooks::start(&config, &store, clock, &metrics)?;
        let notices = webhooks.as_ref().map_or_else(Notices::off, Webhooks::notices);
        let streams = Streams::start(config.shards, Arc::clone(&store), &limits, clock, &metrics, &notices);
        let left = people::left_behind(&kept);
        let shards = Shards::start_with(kept, config.shards, &limits, incarnation, clock, &metrics, &notices);
        let people = People::new(streams.clone(), shards.clone(), &config, &limits, clock, &metrics);
        people.take_up(left);
        let addresses = Arc::new(AddressLimits::new(&config, clock)?);
        let parts = Parts {
            addresses,
            clock,
            metrics: metrics.clone(),
            shards: shards.clone(),
            streams: streams.clone(),
            auth: Arc::clone(&auth),
            people: Arc::new(people),
        };
        let connections = Connections::new(&config, parts);
        let (config, connections) = (Arc::new(config), Arc::new(connections));
        let router =
            Router::new(Arc::clone(&config), Arc::clone(&connections), shards.clone(), auth, metrics.clone())
                .with_store(Arc::clone(&store));
        let router = Arc::new(router);
        let header_timeout = Duration::from_millis(config.header_timeout_ms);
        let acceptor = Acceptor::new(
            listener,
            Arc::clone(&router),
            metrics.clone(),
            clock,
            header_timeout,
            config.connections_max,
        )
        .with_tls(tls);
        Ok(Self {
            config,
            address,
            acceptor,
            router,
            connections,
            shards,
            data,
            store,
            streams,
            webhooks,
            clock,
            metrics,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The streams of rooms and inboxes, for programs that have the server within them.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What a browser opens.
    pub fn url(&self) -> String {
        let scheme = if self.tls().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Its TLS, if it speaks that: to read the certificate again.
    pub fn tls(&self) -> Option<&Tls> {
        self.acceptor.tls()
    }

    /// Serves until `shutdown`, then drains: not ready at once, nobody new, every connection told to come back later,
    /// and an end after `drain_ms` whatever the clients do (X7). With a `data_dir` the next server is left who was here.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            config,
            address,
            acceptor,
            router,
            connections,
            shards,
            data,
            store,
            streams,
            webhooks,
            clock,
            metrics,
        } = self;
        info!(%address, shards = config.shards, "listening");
        let accepting = tokio::spawn(acceptor.run());
        let beating = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.pacemaker().run(clock).await }
        });
        let people = Arc::clone(connections.people());
        let minding = tokio::spawn({
            let people = Arc::clone(&people);
            async move { people.run().await }
        });
        let (upkept, file) = (Arc::clone(&store), config.store_file());
        let upkeep = tokio::spawn(async move {
            tokio::join!(metrics.upkeep(), store::upkeep(upkept, file, clock, metrics.clone()));
        });
        let watchdog = tokio::spawn(service::watchdog(shards.clone()));
        service::ready();
        shutdown.await;

        service::stopping();
        info!(connections = connections.registry().len(), "draining");
        router.drain();
        accepting.abort();
        // Then nobody is left who would accept.
        let _ = accepting.await;
        let drain = Duration::from_millis(config.drain_ms);
        let lasting = Lasting { data, streams, people, webhooks };
        let stopping = stop(&config, connections.registry(), &shards, lasting, clock);
        if tokio::time::timeout(drain, stopping).await.is_err() {
            warn!("stopping took longer than `drain_ms`; it ends as it is");
        }
        beating.abort();
        minding.abort();
        upkeep.abort();
        if tokio::time::timeout(SETTLING, store.settle()).await.is_err() {
            warn!("the store is busy; the next start will find more to do");
        }
        watchdog.abort();
        info!("stopped");
    }
}

/// What has something to finish when a server stops.
struct Lasting {
    data: Option<DataDir>,
    streams: Streams,
    people: Arc<People>,
    webhooks: Option<Webhooks>,
}

/// Sends everybody away, leaves to the next server who was here, and tells a backend what it was still to be told.
async fn stop(config: &Config, registry: &Registry, shards: &Shards, lasting: Lasting, clock: Clock) {
    let Lasting { data, streams, people, webhooks } = lasting;
    registry.drain(Duration::from_millis(config.grace_ms));
    shards.freeze().await;
    // The hand-over needs time too, whatever the clients do.
    let patience = Duration::from_millis(config.drain_ms) * 3 / 4;
    if tokio::time::timeout(patience, registry.emptied()).await.is_err() {
        warn!(connections = registry.len(), "connections did not end in time");
    }
    // When they were last here is known to nobody else.
    tokio::join!(streams.flush(), people.write_seen());
    if data.is_none() && webhooks.is_none() {
        return;
    }
    let rooms = shards.hand_over().await;
    // Nobody else may have the folder as long as the store in it is written to.
    let data = match data {
        Some(data) => leave(config, data, rooms, clock).await,
        None => None,
    };
    if let Some(webhooks) = webhooks {
        webhooks.stop().await;
    }
    drop(data);
}

/// Gives the folder back.
async fn leave(config: &Config, data: DataDir, rooms: Vec<KeptRoom>, clock: Clock) -> Option<DataDir> {
    let (now, bytes_max) = (clock.now().wall, config.handover_bytes_max);
    let leaving = tokio::task::spawn_blocking(move || {
        handover::leave(&data, &rooms, now, bytes_max);
        data
    });
    leaving.await.inspect_err(|failed| error!(%failed, "cannot hand over to the next server")).ok()
}

/// Takes a listener, or makes one. Says where it listens.
fn listen(
    config: &Config,
    listener: Option<std::net::TcpListener>,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = config.listen;
    let listening = || match listener {
        Some(listener) => Ok(listener),
        None => bind(address),
    };
    let listener = listening().and_then(|listener| {
        // Accepted sockets inherit it.
        set_patience(&listener, Duration::from_millis(config.silent_timeout_ms));
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((TcpListener::from_std(listener)?, address))
    });
    listener.map_err(|error| StartError::Listen { address, hint: hint(&error), error })
}

fn open_data_dir(config: &Config) -> Result<Option<DataDir>, StartError> {
    let path = &config.data_dir;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let open = DataDir::open(path);
    open.map(Some).map_err(|error| StartError::DataDir { path: path.clone(), error })
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has the port: stop it, or choose another with --listen 127.0.0.1:PORT"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a higher one with --listen"
        }
        _ => "",
    }
}

/// A connection is a descriptor: takes as many as the system lets this process have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => info!(descriptors = limit.maximum, "raised the limit of open files"),
        Err(error) => warn!(%error, descriptors = limit.current, "cannot raise the limit of open files"),
    }
}
