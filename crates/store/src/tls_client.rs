//! TLS of connections that are made here rather than by a client library.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::pem::PemSource;

/// Reads the certificates, which may have been renewed since the last connection. Without
/// authorities, it trusts those of the system.
pub(crate) async fn client_config(
    ca: Option<&PemSource>,
    identity: Option<&(PemSource, PemSource)>,
) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(source) => {
            for certificate in certificates(source).await? {
                roots.add(certificate).map_err(|error| unusable(source, &error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((certificate, key)) = identity else { return Ok(config.with_no_client_auth()) };
    let chain = certificates(certificate).await?;
    let private = key.read().await.map_err(|error| error.to_string())?;
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|error| unusable(key, &error))?;
    config.with_client_auth_cert(chain, private).map_err(|error| unusable(certificate, &error))
}

async fn certificates(source: &PemSource) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = source.read().await.map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| unusable(source, &error))?;
    if found.is_empty() { Err(unusable(source, &"it has no certificate")) } else { Ok(found) }
}

fn unusable(source: &PemSource, why: &dyn std::fmt::Display) -> String {
    match source {
        PemSource::File(path) => format!("{} cannot be used: {why}", path.display()),
        PemSource::Text(_) => format!("a certificate or key cannot be used: {why}"),
    }
}
