//! Asks a running server whether it is ready, for containers and scripts that have no HTTP client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::Config;
use crate::http::tls;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server that runs with this configuration.
///
/// # Errors
/// If it is not ready, or does not answer in time.
pub async fn ask(config: &Config) -> Result<()> {
    let address = reachable(config.listen);
    let answered = tokio::time::timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await?;
        match config.tls_files()? {
            None => status(stream, address).await,
            Some(_) => status(tls::ask(stream, address).await?, address).await,
        }
    })
    .await;
    let status = answered.with_context(|| format!("{address} did not answer in {} s", PATIENCE.as_secs()))?;
    let status = status.with_context(|| format!("{address} did not answer"))?;
    ensure!(status == StatusCode::OK, "{address} is not ready: {status}");
    Ok(())
}

async fn status(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
) -> Result<StatusCode> {
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz").header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    Ok(requests.send_request(request).await?.status())
}

/// Where a server that listens on this address can be reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(asked("[::]:80"), "[::1]:80");
        assert_eq!(asked("127.0.0.2:80"), "127.0.0.2:80");
    }
}
