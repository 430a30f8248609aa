//! TLS by rustls: handshakes, each in its connection's own task, and a certificate that can be changed under way.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, info, warn};

use super::{TlsError, TlsFiles, certificate};
use crate::http::socket::Socket;
use crate::metrics::Metrics;

/// The server's side of TLS. Cloning shares it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    /// What the next handshake uses.
    current: Mutex<Arc<ServerConfig>>,
    metrics: Metrics,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl Tls {
    pub(super) fn load(files: TlsFiles, metrics: &Metrics) -> Result<Self, TlsError> {
        let current = Mutex::new(certificate::read(&files)?);
        metrics.tls_loaded();
        Ok(Self(Arc::new(Shared { files, current, metrics: metrics.clone() })))
    }

    /// Reads the files again. Handshakes from now on use what they have; connections that are open live on. Files that
    /// cannot be used change nothing but a metric and the log.
    ///
    /// # Errors
    /// Names the setting and the file.
    pub fn reload(&self) -> Result<(), TlsError> {
        let shared = &*self.0;
        let read = certificate::read(&shared.files);
        shared.metrics.tls_reloaded(read.is_ok());
        match read {
            Ok(fresh) => {
                *shared.current.lock().expect("nothing panics while it holds this") = fresh;
                info!(file = %shared.files.cert.display(), "the certificate was read again");
                Ok(())
            }
            Err(error) => {
                warn!(%error, "the certificate cannot be changed; the one before stays");
                Err(error)
            }
        }
    }

    /// Shakes hands with a client, which has so long for it.
    pub(in crate::http) async fn handshake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        patience: Duration,
    ) -> Option<Socket> {
        let current = Arc::clone(&*self.0.current.lock().expect("nothing panics while it holds this"));
        let shaken = tokio::time::timeout(patience, TlsAcceptor::from(current).accept(stream)).await;
        let (outcome, socket) = match shaken {
            Ok(Ok(stream)) => ("done", Some(Socket::Tls(Box::new(stream)))),
            Ok(Err(error)) => {
                debug!(%peer, %error, "TLS handshake failed");
                ("failed", None)
            }
            Err(_) => {
                debug!(%peer, "TLS handshake took too long");
                ("timed_out", None)
            }
        };
        self.0.metrics.tls_handshake(outcome);
        socket
    }
}
