//! Certificates for tests, and the client's side of TLS: a tunnel, so that every client that knows no TLS can be sent
//! through it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::folder::Folder;

/// A certificate for this machine, which is its own authority.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// As a file has it.
    pub cert_pem: String,
    /// Its key, as a file has it.
    pub key_pem: String,
}

impl Certificate {
    /// A new one.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        Ok(Self {
            der: made.cert.der().clone(),
            cert_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        })
    }

    /// What a client believes that trusts this certificate alone and speaks any of these versions.
    ///
    /// # Errors
    /// Never: the certificate is one.
    pub fn trusted_over(&self, versions: &[&'static SupportedProtocolVersion]) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config =
            builder.with_protocol_versions(versions)?.with_root_certificates(roots).with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// What a client believes that trusts this certificate alone.
    ///
    /// # Errors
    /// Never: the certificate is one.
    pub fn trusted(&self) -> Result<Arc<ClientConfig>> {
        self.trusted_over(&[&TLS13, &TLS12])
    }
}

/// The two files of a certificate, which are gone with the value.
#[derive(Debug)]
pub struct CertificateFiles(Folder);

impl CertificateFiles {
    /// Writes a certificate and its key into a folder of their own.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn of(certificate: &Certificate) -> Result<Self> {
        let files = Self(Folder::made()?);
        files.replace(certificate)?;
        Ok(files)
    }

    /// The file with the certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder().join("cert.pem")
    }

    /// The file with the key.
    pub fn key(&self) -> PathBuf {
        self.folder().join("key.pem")
    }

    /// The folder with both.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Writes another certificate over them.
    ///
    /// # Errors
    /// If they can not be written.
    pub fn replace(&self, certificate: &Certificate) -> Result<()> {
        fs::write(self.cert(), &certificate.cert_pem)?;
        fs::write(self.key(), &certificate.key_pem)?;
        Ok(())
    }
}

/// Shakes hands with a server.
///
/// # Errors
/// If the server does not, or is not trusted.
pub async fn connect(server: SocketAddr, believes: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(TlsConnector::from(believes).connect(server.ip().into(), stream).await?)
}

/// A tunnel to a server that speaks TLS, for clients that do not. Ends with the value; what goes through it lives on.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Tunnel {
    /// A tunnel to `server` on a port of its own.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn to(server: SocketAddr, believes: Arc<ClientConfig>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let believes = Arc::clone(&believes);
                tokio::spawn(carry(client, server, believes));
            }
        });
        Ok(Self { address, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until both sides have ended. A client whose server cannot be trusted is told nothing, and loses its connection.
async fn carry(mut client: TcpStream, server: SocketAddr, believes: Arc<ClientConfig>) -> Result<()> {
    client.set_nodelay(true)?;
    let mut server = connect(server, believes).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
