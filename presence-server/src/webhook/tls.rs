//! TLS to a backend, by rustls: with the authorities of the system, or those in a file.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How to speak TLS to one host.
#[derive(Clone)]
pub(super) struct Tls {
    name: ServerName<'static>,
    believes: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS to `host`. Errors name the setting, then say why.
    pub(super) fn to(host: &str, ca_file: &Path) -> Result<Self, (&'static str, String)> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| ("webhook_url", error.to_string()))?;
        let roots = if ca_file.as_os_str().is_empty() { of_system()? } else { in_file(ca_file)? };
        let believes = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| ("webhook_url", error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { name, believes: Arc::new(believes) })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::clone(&self.believes)).connect(self.name.clone(), stream).await
    }
}

/// What the system believes; what it has that is none is left out.
fn of_system() -> Result<RootCertStore, (&'static str, String)> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let none = "the system has no certificates of authorities: install them, or name a file here";
        return Err(("webhook_ca_file", none.to_owned()));
    }
    Ok(roots)
}

fn in_file(path: &Path) -> Result<RootCertStore, (&'static str, String)> {
    let wrong = |why: String| ("webhook_ca_file", format!("{}: {why}", path.display()));
    let content = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let added = certificate.map_err(|error| error.to_string());
        added.and_then(|der| roots.add(der).map_err(|error| error.to_string())).map_err(wrong)?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}
