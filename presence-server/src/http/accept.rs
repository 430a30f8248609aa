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
use tracing::{debug, warn};

use super::connection;
use super::router::Router;
use super::socket::Socket;
use super::tls::Tls;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// First and longest wait after a failed accept.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// At most one line about failed accepts in this time.
const COMPLAINT: Duration = Duration::from_secs(1);

/// How long it may take to turn somebody away.
const REFUSAL: Duration = Duration::from_secs(1);

/// What a connection that is one too many is told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: application/json\r\n\
    Content-Length: 73\r\nConnection: close\r\n\r\n\
    {\"error\":{\"code\":\"busy\",\"message\":\"the server has too many connections\"}}";

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
        Self { listener, router, metrics, clock, header_timeout, connections_max, tls: None, open, reserve }
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
            // Behind TLS it would take a handshake to say so, which is what a full server can not afford.
            if self.tls.is_none() {
                tokio::spawn(tokio::time::timeout(REFUSAL, refuse(stream)));
            }
            return;
        }
        let counted = Counted(Arc::clone(&self.open));
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
                connection::serve(socket, peer, router, header_timeout).await;
            }
        });
    }
}

/// Says that there are too many, and hears the request out: a socket that is closed with unread input is reset, and
/// what it said is lost.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(TOO_MANY).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_says_its_length() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
