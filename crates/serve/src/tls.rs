//! Certificate files, and the TLS settings that are made of them.

use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Identity as PemIdentity, ServerTlsConfig};

use crate::ServeError;

/// A certificate and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

impl Identity {
    fn load(&self) -> Result<PemIdentity, ServeError> {
        Ok(PemIdentity::from_pem(read(&self.certificate)?, read(&self.key)?))
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
    /// Reads the files.
    ///
    /// # Errors
    /// [`ServeError::TlsFile`].
    pub fn load(&self) -> Result<ServerTlsConfig, ServeError> {
        let config = ServerTlsConfig::new().identity(self.identity.load()?);
        Ok(match &self.client_ca {
            Some(ca) => config.client_ca_root(Certificate::from_pem(read(ca)?)),
            None => config,
        })
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
        if let Some(identity) = &self.identity {
            config = config.identity(identity.load()?);
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name.clone());
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|cause| ServeError::TlsFile { path: path.into(), cause })
}
