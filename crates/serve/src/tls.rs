//! Certificate files, and the TLS settings that are made of them. Renewed files are read again
//! without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Certificate, ClientTlsConfig, Identity as PemIdentity};
use tracing::{info, warn};

use crate::ServeError;

/// Time between two looks at the files. The kubelet itself updates them within a minute.
pub const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// A certificate and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What a port speaks inside of TLS, offered to clients in this order (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2 only.
    Grpc,
    /// HTTP/2, or HTTP/1.1 for clients that know no other, and for WebSockets.
    Http,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::Grpc => &["h2"],
            Self::Http => &["h2", "http/1.1"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}

/// TLS of a port that this process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The server's certificate.
    pub identity: Identity,
    /// If set, clients must present a certificate signed by this CA (mTLS).
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    fn load(&self, alpn: Alpn) -> Result<ServerConfig, ServeError> {
        let Identity { certificate, key } = &self.identity;
        let builder = match &self.client_ca {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(ca)?);
                let verifier = WebPkiClientVerifier::builder(roots.into()).build();
                ServerConfig::builder()
                    .with_client_cert_verifier(verifier.map_err(|cause| unusable(ca, &cause))?)
            }
        };
        let secret = PrivateKeyDer::from_pem_slice(&read(key)?);
        let secret = secret.map_err(|cause| unusable(key, &cause))?;
        let config = builder.with_single_cert(certificates(certificate)?, secret);
        let mut config = config.map_err(|cause| unusable(certificate, &cause))?;
        config.alpn_protocols = alpn.names();
        Ok(config)
    }
}

/// TLS of a running port: each new connection uses the files as they were last read.
#[derive(Debug)]
pub struct ReloadingTls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    /// Ends the task that follows the files.
    _stop: DropGuard,
}

impl ReloadingTls {
    /// Reads the files now, and again when they have changed, which it checks `every` so often.
    /// While new files cannot be used, such as a certificate whose key is not written yet, the
    /// previous ones stay in use.
    ///
    /// # Errors
    /// [`ServeError::TlsFile`] or [`ServeError::Tls`].
    pub fn start(files: ServerTls, alpn: Alpn, every: Duration) -> Result<Self, ServeError> {
        let identity = &files.identity;
        let paths = [Some(&identity.certificate), Some(&identity.key), files.client_ca.as_ref()];
        let mut watch = FileWatch::new(paths.into_iter().flatten().cloned().collect(), every);
        let current = Arc::new(RwLock::new(Arc::new(files.load(alpn)?)));
        let stop = CancellationToken::new();
        let reloaded = Arc::clone(&current);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                watch.changed().await;
                match files.load(alpn) {
                    Ok(config) => {
                        *reloaded.write() = Arc::new(config);
                        info!(certificate = %files.identity.certificate.display(), "read the renewed TLS files");
                    }
                    Err(error) => warn!(%error, "cannot use the renewed TLS files"),
                }
            }
        }));
        Ok(Self { current, _stop: stop.drop_guard() })
    }

    /// For the handshake of one connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read()))
    }
}

/// TLS of a connection to a service; used when its endpoint is `https://`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The CA to trust; the system's when not set.
    pub ca: Option<PathBuf>,
    /// The client's certificate, for mTLS.
    pub identity: Option<Identity>,
    /// The name expected in the service's certificate, when it is not the endpoint's host.
    pub server_name: Option<String>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ServeError::TlsFile`].
    pub fn load(&self) -> Result<ClientTlsConfig, ServeError> {
        let mut config = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some(Identity { certificate, key }) = &self.identity {
            config = config.identity(PemIdentity::from_pem(read(certificate)?, read(key)?));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name.clone());
        }
        Ok(config)
    }

    /// Notices when the files change, which it checks `every` so often. `None` without files.
    pub fn watch(&self, every: Duration) -> Option<FileWatch> {
        let identity = self.identity.iter().flat_map(|own| [&own.certificate, &own.key]);
        let paths: Vec<PathBuf> = self.ca.iter().chain(identity).cloned().collect();
        (!paths.is_empty()).then(|| FileWatch::new(paths, every))
    }
}

/// Notices when the content of files changes, also behind the symbolic links of a mounted Secret.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Vec<u8>>>,
    every: Duration,
}

impl FileWatch {
    fn new(paths: Vec<PathBuf>, every: Duration) -> Self {
        let seen = contents(&paths);
        Self { paths, seen, every }
    }

    /// Waits until the content of a file has changed since the last call.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(self.every).await;
            let now = contents(&self.paths);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

fn contents(paths: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    paths.iter().map(|path| std::fs::read(path).ok()).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|cause| ServeError::TlsFile { path: path.into(), cause })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let pem = read(path)?;
    let parsed = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>();
    parsed.map_err(|cause| unusable(path, &cause))
}

fn unusable(path: &Path, cause: &dyn std::error::Error) -> ServeError {
    ServeError::Tls { path: path.into(), cause: cause.to_string() }
}
