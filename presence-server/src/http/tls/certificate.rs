//! Certificate and key out of their files, and what is spoken with them.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};

use super::{TlsError, TlsFiles};

const CERT: &str = "tls_cert_file";
const KEY: &str = "tls_key_file";

/// Reads the files, and checks that they belong together.
///
/// TLS 1.3, or 1.2 with those who have no better; no early data, which could be sent again by others; HTTP/1.1 alone.
/// Sessions are resumed by tickets: when everybody comes back at once, nobody has to be signed for again.
pub(super) fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| refused(files, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(|error| refused(files, error))?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = content(CERT, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(lacking(CERT, path, "no certificate in PEM".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(lacking(CERT, path, format!("a certificate that cannot be read: {error}"))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = content(KEY, path)?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| {
        let lacks = match error {
            // What stands in the file instead is nobody's business.
            pem::Error::NoItemsFound => "no private key in PEM; an encrypted one can not be read".to_owned(),
            _ => "a private key that cannot be read".to_owned(),
        };
        lacking(KEY, path, lacks)
    })
}

fn content(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { setting, path: path.to_owned(), error })
}

fn lacking(setting: &'static str, path: &Path, lacks: String) -> TlsError {
    TlsError::Content { setting, path: path.to_owned(), lacks }
}

fn refused(files: &TlsFiles, error: Error) -> TlsError {
    let files = files.clone();
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch { files },
        error => TlsError::Unusable { files, why: error.to_string() },
    }
}
