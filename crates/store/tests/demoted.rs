//! A proxy that keeps connections at a server that was demoted, and words the refusals its own way,
//! as those of cloud providers do. On real redis-servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::EventSeq;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::Store;
use bookingq_store::redis::{RedisConfig, RedisStore};
use support::{config, enqueue, joins};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Limit for the store to reach the server that can be written.
const BACK: Duration = Duration::from_secs(15);
const REFUSAL: &[u8] = b"-READONLY ";

/// Forwards each connection to the server that is current when it is opened. Answers
/// `-READONLY …` of any length become `words…`.
async fn proxy(current: watch::Receiver<SocketAddr>, words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let target = *current.borrow();
            tokio::spawn(forward(client, target, words));
        }
    });
    address
}

async fn forward(client: TcpStream, target: SocketAddr, words: &'static [u8]) {
    let server = TcpStream::connect(target).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async { copy(&mut from_client, &mut to_server).await.map(drop) };
    let replies = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let reply = &buffer[..read];
            if let Some(rest) = reply.strip_prefix(REFUSAL) {
                to_client.write_all(words).await?;
                to_client.write_all(rest).await?;
            } else {
                to_client.write_all(reply).await?;
            }
        }
    };
    let _: std::io::Result<()> = tokio::select! { end = requests => end, end = replies => end };
}

/// A failover behind a proxy that refuses with `words`.
async fn leaves_the_demoted_server(words: &'static [u8]) {
    let old = RedisServer::start(Fsync::Off).unwrap();
    let new = RedisServer::start(Fsync::Off).unwrap();
    let (current, follows) = watch::channel(old.address());
    let address = proxy(follows, words).await;
    let config = config(&old);
    let store = RedisStore::connect(RedisConfig { url: format!("redis://{address}"), ..config });
    let store = store.unwrap();
    store.open().await.unwrap();
    joins(&store, "before", BACK).await;
    let end = store.events(EventSeq::START, 9, Duration::from_millis(1)).await.unwrap().next;

    // The new server has all data; the old one follows it, and keeps its connections.
    let port = |server: &RedisServer| server.address().port().to_string();
    new.cli(&["REPLICAOF", "127.0.0.1", &port(&old)]).unwrap();
    let caught_up = async {
        while !new.cli(&["INFO", "replication"]).unwrap().contains("master_link_status:up") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BACK, caught_up).await.unwrap();
    new.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    old.cli(&["REPLICAOF", "127.0.0.1", &port(&new)]).unwrap();
    current.send_replace(new.address());

    let refused = store.enqueue(vec![enqueue("after")]).await;
    assert!(refused.is_err(), "the old server is read-only: {refused:?}");
    joins(&store, "after", BACK).await;
    let keys = new.cli(&["KEYS", "booking-status:*after"]).unwrap();
    assert!(keys.contains("after"), "it is on the new server: {keys}");
    // The connection of the follower has moved, too.
    let found = store.events(end, 9, Duration::from_secs(1)).await.unwrap();
    assert_eq!((found.events.len(), found.gap), (1, false));
    assert!(!store.snapshot().await.unwrap().set_back, "nothing was lost");
}

#[tokio::test]
async fn a_store_leaves_a_demoted_server_whose_refusal_says_readonly_behind_other_words() {
    leaves_the_demoted_server(b"-ERR READONLY ").await;
}

#[tokio::test]
async fn a_store_leaves_a_demoted_server_whatever_words_the_refusal_has() {
    leaves_the_demoted_server(b"-ERR backend cannot do that: ").await;
}
