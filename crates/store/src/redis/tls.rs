//! Certificates of connections by TLS.

use ::redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};

use crate::pem::PemSource;

/// What a connection by `rediss://` trusts, and what it presents. By default it trusts the
/// authorities of the system, and presents nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authorities that may have signed the server's certificate, instead of the system's.
    pub ca: Option<PemSource>,
    /// The client's certificate and its key.
    pub identity: Option<(PemSource, PemSource)>,
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
