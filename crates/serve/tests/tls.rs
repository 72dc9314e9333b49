//! TLS files that are renewed while a port serves, with real files and real handshakes.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_serve::ServeError;
use bookingq_serve::tls::{Alpn, ClientTls, Identity, ReloadingTls, ServerTls};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const EVERY: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(20);

/// A new self-signed certificate for `localhost`, and its key.
fn issue() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn files(directory: &TempDir) -> ServerTls {
    let path = |name: &str| directory.path().join(name);
    let identity = Identity { certificate: path("tls.crt"), key: path("tls.key") };
    ServerTls { identity, client_ca: None }
}

fn write(directory: &Path, certificate: &str, key: &str) {
    std::fs::write(directory.join("tls.crt"), certificate).unwrap();
    std::fs::write(directory.join("tls.key"), key).unwrap();
}

/// Whether a client that trusts only `certificate` completes a handshake.
async fn is_served(tls: &ReloadingTls, certificate: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        tls.acceptor().accept(stream).await.is_ok()
    };
    let client = async {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
    };
    let (accepted, connected) = tokio::join!(server, client);
    accepted && connected
}

async fn becomes_served(tls: &ReloadingTls, certificate: &str) {
    let renewed = async {
        while !is_served(tls, certificate).await {
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(LIMIT, renewed).await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (old, renewed) = (issue(), issue());
    write(directory.path(), &old.0, &old.1);
    let tls = ReloadingTls::start(files(&directory), Alpn::Grpc, EVERY).unwrap();
    assert!(is_served(&tls, &old.0).await);
    assert!(!is_served(&tls, &renewed.0).await);
    write(directory.path(), &renewed.0, &renewed.1);
    becomes_served(&tls, &renewed.0).await;
    assert!(!is_served(&tls, &old.0).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_certificate_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let (old, renewed) = (issue(), issue());
    write(directory.path(), &old.0, &old.1);
    let tls = ReloadingTls::start(files(&directory), Alpn::Grpc, EVERY).unwrap();
    // A renewed certificate with the key of the old one: the key follows later.
    write(directory.path(), &renewed.0, &old.1);
    tokio::time::sleep(EVERY * 5).await;
    assert!(is_served(&tls, &old.0).await);
    write(directory.path(), &renewed.0, &renewed.1);
    becomes_served(&tls, &renewed.0).await;
}

#[tokio::test]
async fn a_file_that_is_missing_or_holds_no_key_is_named_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = ReloadingTls::start(files(&directory), Alpn::Grpc, EVERY).unwrap_err();
    assert!(matches!(missing, ServeError::TlsFile { .. }), "{missing}");
    write(directory.path(), &issue().0, "no key");
    let unusable =
        ReloadingTls::start(files(&directory), Alpn::Grpc, EVERY).unwrap_err().to_string();
    assert!(unusable.contains("tls.key"), "{unusable}");
}

#[tokio::test]
async fn a_client_notices_that_its_files_were_renewed() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "old", "");
    assert!(ClientTls::default().watch(EVERY).is_none());
    let ca = Some(directory.path().join("tls.crt"));
    let mut files = ClientTls { ca, ..ClientTls::default() }.watch(EVERY).unwrap();
    let unchanged = tokio::time::timeout(EVERY * 5, files.changed()).await;
    assert!(unchanged.is_err());
    write(directory.path(), "renewed", "");
    tokio::time::timeout(LIMIT, files.changed()).await.unwrap();
}
