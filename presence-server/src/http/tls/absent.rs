//! TLS where it is not built in: there is none, and whoever asks for it is told why.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{TlsError, TlsFiles};
use crate::http::socket::Socket;
use crate::metrics::Metrics;

/// There is no value of this type.
#[derive(Clone, Debug)]
pub enum Tls {}

impl Tls {
    pub(super) fn load(_: TlsFiles, _: &Metrics) -> Result<Self, TlsError> {
        Err(TlsError::NotBuiltIn)
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// Never called.
    pub fn reload(&self) -> Result<(), TlsError> {
        match *self {}
    }

    pub(in crate::http) async fn handshake(
        &self,
        _: TcpStream,
        _: SocketAddr,
        _: Duration,
    ) -> Option<Socket> {
        match *self {}
    }
}

/// Asks nothing.
pub(crate) async fn ask(_: TcpStream, _: SocketAddr) -> Result<TcpStream, TlsError> {
    Err(TlsError::NotBuiltIn)
}
