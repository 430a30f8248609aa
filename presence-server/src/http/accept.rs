//! The accept loop. It never ends by itself and never spins: without a file descriptor left it turns one waiting
//! connection away with the one it keeps for that, waits, and goes on (X6).

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::answer::HttpError;
use super::caller::Caller;
use super::connection;
use super::router::Router;
use super::socket::Socket;
use super::tls::Tls;
use crate::clock::Clock;
use crate::limits::too_many_connections;
use crate::metrics::Metrics;

/// First and longest wait after a failed accept.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// At most one line about failed accepts in this time.
const COMPLAINT: Duration = Duration::from_secs(1);

/// How long it may take to turn somebody away.
const REFUSAL: Duration = Duration::from_secs(1);

/// How many may be turned away with a word at the same time; others are without one.
const REFUSALS_AT_ONCE: usize = 256;

/// Accepts connections for a router.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    router: Arc<Router>,
    metrics: Metrics,
    clock: Clock,
    header_timeout: Duration,
    connections_max: usize,
    tls: Option<Tls>,
    open: Arc<AtomicUsize>,
    /// Leave to turn somebody away with a word.
    refusals: Arc<Semaphore>,
    /// Given up for a moment when there is no other descriptor left.
    reserve: Option<File>,
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Acceptor {
    /// Accepts from `listener`.
    pub fn new(
        listener: TcpListener,
        router: Arc<Router>,
        metrics: Metrics,
        clock: Clock,
        header_timeout: Duration,
        connections_max: usize,
    ) -> Self {
        let (open, reserve) = (Arc::default(), reserve());
        let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
        Self {
            listener,
            router,
            metrics,
            clock,
            header_timeout,
            connections_max,
            tls: None,
            open,
            refusals,
            reserve,
        }
    }

    /// Speaks TLS, if there is a certificate.
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Its TLS, if it speaks that.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Accepts for ever.
    pub async fn run(mut self) {
        let mut wait = BACKOFF.0;
        let mut complained: Option<Duration> = None;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    wait = BACKOFF.0;
                    self.serve(stream, peer);
                }
                Err(error) if is_about_one_connection(&error) => self.metrics.accept_failed("connection"),
                Err(error) => {
                    self.metrics.accept_failed("exhausted");
                    let now = self.clock.elapsed();
                    if complained.is_none_or(|last| now - last >= COMPLAINT) {
                        complained = Some(now);
                        warn!(%error, "cannot accept connections; one that waits is turned away");
                    }
                    self.turn_one_away().await;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Uses the reserve to take one connection and close it, so that its client knows and the queue moves.
    async fn turn_one_away(&mut self) {
        self.reserve = None;
        let waiting = tokio::time::timeout(Duration::from_millis(1), self.listener.accept()).await;
        if let Ok(Ok((stream, peer))) = waiting {
            self.metrics.connection_refused("descriptors");
            debug!(%peer, reason = "descriptors", "connection refused");
            drop(stream);
        }
        self.reserve = reserve();
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        // A connection outlives this task when it leaves HTTP; the registry counts it from then on.
        if self.open.fetch_add(1, Ordering::Relaxed) + self.router.connection_count() >= self.connections_max
        {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.metrics.connection_refused("connections_max");
            debug!(%peer, reason = "connections_max", "connection refused");
            return self.turn_away(stream, too_many_connections());
        }
        let counted = Counted(Arc::clone(&self.open));
        let place = match self.router.addresses().connect(peer.ip()) {
            Ok(place) => place,
            Err(refused) => {
                self.metrics.refused(refused.bound);
                debug!(%peer, reason = refused.bound.as_str(), "connection refused");
                return self.turn_away(stream, refused.answer());
            }
        };
        let caller = Caller::new(peer, place);
        let router = Arc::clone(&self.router);
        let (tls, header_timeout) = (self.tls.clone(), self.header_timeout);
        tokio::spawn(async move {
            let _counted = counted;
            let socket = match tls {
                None => Some(Socket::Plain(stream)),
                // Boxed: it is over soon, and the task should not keep room for it.
                Some(tls) => Box::pin(tls.handshake(stream, peer, header_timeout)).await,
            };
            if let Some(socket) = socket {
                connection::serve(socket, caller, router, header_timeout).await;
            }
        });
    }

    /// Tells somebody why not. A flood of them is not worth a word each.
    fn turn_away(&self, stream: TcpStream, error: HttpError) {
        // Behind TLS it would take a handshake to say so, which is what a full server can not afford.
        if self.tls.is_none()
            && let Ok(leave) = Arc::clone(&self.refusals).try_acquire_owned()
        {
            tokio::spawn(async move {
                let _leave = leave;
                // Who does not listen is left.
                let _ = tokio::time::timeout(REFUSAL, refuse(stream, &error)).await;
            });
        }
    }
}

/// Says that there are too many, and hears the request out: a socket that is closed with unread input is reset, and
/// what it said is lost.
async fn refuse(mut stream: TcpStream, error: &HttpError) -> io::Result<()> {
    stream.write_all(&error.bare()).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 512];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether the error is the fault of the connection that was to be accepted, and says nothing about the next one.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
