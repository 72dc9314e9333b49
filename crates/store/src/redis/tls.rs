//! Certificates of connections by TLS.

use std::fmt;
use std::path::PathBuf;

use ::redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};

/// A text in PEM.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// In this file. Each new connection reads it again, so a renewed certificate needs no restart.
    File(PathBuf),
    /// The text itself.
    Text(Vec<u8>),
}

/// What a connection by `rediss://` trusts, and what it presents. By default it trusts the
/// authorities of the system, and presents nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authorities that may have signed the server's certificate, instead of the system's.
    pub ca: Option<PemSource>,
    /// The client's certificate and its key.
    pub identity: Option<(PemSource, PemSource)>,
}

impl PemSource {
    async fn read(&self) -> RedisResult<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => Ok(tokio::fs::read(path).await.map_err(|error| {
                let why = format!("cannot read {}: {error}", path.display());
                std::io::Error::new(error.kind(), why)
            })?),
        }
    }
}

impl fmt::Debug for PemSource {
    /// Without the text, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.debug_tuple("Text").finish_non_exhaustive(),
        }
    }
}

impl RedisTls {
    /// A client for one connection.
    pub(super) async fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        if *self == Self::default() {
            return Client::open(info);
        }
        let root_cert = match &self.ca {
            Some(ca) => Some(ca.read().await?),
            None => None,
        };
        let client_tls = match &self.identity {
            Some((certificate, key)) => Some(ClientTlsConfig {
                client_cert: certificate.read().await?,
                client_key: key.read().await?,
            }),
            None => None,
        };
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
    }
}
