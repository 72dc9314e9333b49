//! Connections by TLS, with certificates of a private authority. On a real redis-server.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use bookingq_store::redis::{PemSource, RedisConfig, RedisStore, RedisTls};
use bookingq_store::{Store, StoreError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::config;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const BACK: Duration = Duration::from_secs(10);

/// The files of an authority, of a server and of a client, in one folder.
struct Files(TempDir);

impl Files {
    /// Of a new authority; the server's certificate is for `name`.
    fn issue(name: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew(name);
        files
    }

    /// Replaces all of them.
    fn renew(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        std::fs::write(self.path("ca.crt"), ca).unwrap();
        for (file, name) in [("server", name), ("client", "worker")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            // A certificate with the name of its issuer counts as self-signed.
            params.distinguished_name.push(DnType::CommonName, file);
            let certificate = params.signed_by(&key, &issuer).unwrap().pem();
            std::fs::write(self.path(&format!("{file}.crt")), certificate).unwrap();
            std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        Path::new(self.0.path()).join(file)
    }

    fn pem(&self, file: &str) -> PemSource {
        PemSource::File(self.path(file))
    }

    /// What a worker is given.
    fn of_worker(&self) -> RedisTls {
        let identity = Some((self.pem("client.crt"), self.pem("client.key")));
        RedisTls { ca: Some(self.pem("ca.crt")), identity }
    }
}

/// A server that asks its clients for certificates, with its TLS port.
fn server(files: &Files) -> (RedisServer, SocketAddr) {
    let tls = free_address().unwrap();
    let mut options = RedisOptions::new(Fsync::Off);
    let mut set = |name: &str, value: String| {
        options.options.extend([format!("--{name}").into(), value.into()]);
    };
    set("tls-port", tls.port().to_string());
    for (name, file) in [
        ("tls-cert-file", "server.crt"),
        ("tls-key-file", "server.key"),
        ("tls-ca-cert-file", "ca.crt"),
    ] {
        set(name, files.path(file).display().to_string());
    }
    set("tls-auth-clients", "yes".to_owned());
    (options.start(|_| ()).unwrap(), tls)
}

fn store(server: &RedisServer, tls: SocketAddr, certificates: RedisTls) -> RedisStore {
    let url = format!("rediss://{tls}");
    RedisStore::connect(RedisConfig { url, tls: certificates, ..config(server) }).unwrap()
}

#[tokio::test]
async fn a_private_authority_and_a_client_certificate_from_files_or_as_texts() {
    let files = Files::issue("127.0.0.1");
    let (server, tls) = server(&files);
    store(&server, tls, files.of_worker()).open().await.unwrap();
    let text = |file| PemSource::Text(std::fs::read(files.path(file)).unwrap());
    let texts = RedisTls {
        ca: Some(text("ca.crt")),
        identity: Some((text("client.crt"), text("client.key"))),
    };
    assert!(!format!("{texts:?}").contains("PRIVATE"));
    store(&server, tls, texts).open().await.unwrap();
}

#[tokio::test]
async fn wrong_certificates_are_refused_on_both_sides() {
    let (files, others) = (Files::issue("127.0.0.1"), Files::issue("127.0.0.1"));
    let (server, tls) = server(&files);
    let right = files.of_worker();
    let table = [
        ("no client certificate", RedisTls { identity: None, ..right.clone() }),
        ("another client", RedisTls { identity: others.of_worker().identity, ..right.clone() }),
        ("another authority", RedisTls { ca: others.of_worker().ca, ..right.clone() }),
        ("the authorities of the system", RedisTls { ca: None, ..right.clone() }),
        ("a missing file", RedisTls { ca: Some(files.pem("none")), ..right }),
    ];
    for (what, certificates) in table {
        let refused = store(&server, tls, certificates).open().await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let files = Files::issue("redis.example.com");
    let (server, tls) = server(&files);
    let refused = store(&server, tls, files.of_worker()).open().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn renewed_certificates_of_both_sides_need_no_restart_of_the_store() {
    let files = Files::issue("127.0.0.1");
    let (mut server, tls) = server(&files);
    let store = store(&server, tls, files.of_worker());
    store.open().await.unwrap();
    files.renew("127.0.0.1");
    server.kill();
    server.restart().unwrap();
    let back = async {
        while store.snapshot().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BACK, back).await.expect("the store must read the new files");
}

#[tokio::test]
async fn certificates_need_an_address_with_tls() {
    let files = Files::issue("127.0.0.1");
    let server = RedisServer::start(Fsync::Off).unwrap();
    let refused = RedisStore::connect(RedisConfig { tls: files.of_worker(), ..config(&server) });
    assert!(matches!(refused.err(), Some(StoreError::Settings(_))));
}
