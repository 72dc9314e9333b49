//! Connections by TLS, with certificates of a private authority. On a real redis-server.
#![allow(clippy::unwrap_used)]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::{PemSource, RedisConfig, RedisStore, RedisTls};
use bookingq_store::{Store, StoreError};
use certificates::{Files, server};
use support::config;
use tokio::time::{sleep, timeout};

const BACK: Duration = Duration::from_secs(10);

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
