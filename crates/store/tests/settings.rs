//! Settings of a server that it hides, or that a lost connection keeps back. On a real
//! redis-server.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Store, StoreError};
use support::config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections, and closes one that asks for the settings, while `closes` is not zero.
async fn proxy(target: SocketAddr, closes: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(forward(client, target, closes.clone()));
        }
    });
    address
}

async fn forward(client: TcpStream, target: SocketAddr, closes: Arc<AtomicUsize>) {
    let server = TcpStream::connect(target).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = from_client.read(&mut buffer).await?;
            let asks = buffer[..read].windows(6).any(|word| word == b"CONFIG");
            let left = |left: usize| left.checked_sub(1);
            if read == 0
                || (asks && closes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok())
            {
                return std::io::Result::Ok(());
            }
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    let replies = async { copy(&mut from_server, &mut to_client).await.map(drop) };
    let _: std::io::Result<()> = tokio::select! { end = requests => end, end = replies => end };
}

#[tokio::test]
async fn a_connection_that_is_lost_does_not_count_as_hidden_settings() {
    let server = RedisServer::start(Fsync::Always).unwrap();
    let closes = Arc::new(AtomicUsize::new(1));
    let url = format!("redis://{}", proxy(server.address(), closes.clone()).await);
    let store = RedisStore::connect(RedisConfig { url, ..config(&server) }).unwrap();
    let lost = store.open().await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert_eq!(closes.load(Ordering::SeqCst), 0);
    let again = async || store.open().await.is_ok();
    eventually("a new connection", Duration::from_secs(10), again).await;
}

#[tokio::test]
async fn settings_that_a_server_does_not_show_are_named() {
    let mut unknown = RedisOptions::new(Fsync::Always);
    unknown.options = ["--rename-command", "CONFIG", ""].map(Into::into).to_vec();
    let unknown = unknown.start(|_| ()).unwrap();
    let forbidden = RedisServer::start(Fsync::Always).unwrap();
    forbidden.cli(&["ACL", "SETUSER", "default", "-config"]).unwrap();
    for server in [unknown, forbidden] {
        let store = RedisStore::connect(config(&server)).unwrap();
        let warnings = store.open().await.unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("CONFIG GET is refused"), "{warnings:?}");
    }
}
