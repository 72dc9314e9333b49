//! TLS to every server of a Redis behind Sentinel and of a Redis Cluster, with certificates of a
//! private authority. On real processes.
#![allow(clippy::unwrap_used)]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::wait::eventually;
use bookingq_harness::{Process, ProcessSpec};
use bookingq_store::redis::{RedisConfig, RedisStore, RedisTls};
use bookingq_store::{Store, StoreError};
use certificates::{Files, server_with, settings};
use support::{config, joins};

/// Limit for servers to agree, on a busy machine.
const AGREED: Duration = Duration::from_secs(60);
const NAME: &str = "tickets";

/// A store. One with the authorities of the system is refused.
async fn opened(config: RedisConfig, files: &Files) -> RedisStore {
    let config = RedisConfig { tls: files.of_worker(), ..config };
    let stranger = RedisConfig { tls: RedisTls::default(), ..config.clone() };
    let refused = RedisStore::connect(stranger).unwrap().open().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let store = RedisStore::connect(config).unwrap();
    eventually("the store to open", AGREED, async || store.open().await.is_ok()).await;
    store
}

/// A sentinel that speaks TLS only, to the store and to the servers.
fn sentinel(folder: &Path, files: &Files, primary: SocketAddr) -> (Process, SocketAddr) {
    let tls = free_address().unwrap();
    let words = settings(files, tls);
    let lines: Vec<_> =
        words.chunks(2).map(|pair| format!("{} {}", &pair[0][2..], pair[1])).collect();
    let text = format!(
        "port 0\nbind 127.0.0.1\ndir {}\n{}\ntls-replication yes\n\
         sentinel monitor {NAME} {} {} 1\nsentinel down-after-milliseconds {NAME} 1000\n\
         sentinel failover-timeout {NAME} 3000\n",
        folder.display(),
        lines.join("\n"),
        primary.ip(),
        primary.port()
    );
    let file = folder.join("sentinel.conf");
    std::fs::write(&file, text).unwrap();
    let mut spec = ProcessSpec::new("sentinel", "redis-server")
        .arguments([file.as_os_str().to_owned(), "--sentinel".into()]);
    spec.port = Some(tls);
    let process = Process::start(spec).unwrap();
    process.wait_ready(AGREED).unwrap();
    (process, tls)
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_the_servers_that_they_name_are_reached_by_tls() {
    let files = Files::issue("127.0.0.1");
    let replicated = ["--tls-replication", "yes"];
    let (mut primary, at) = server_with(&files, &replicated);
    let (replica, _) = server_with(&files, &replicated);
    replica.cli(&["REPLICAOF", "127.0.0.1", &at.port().to_string()]).unwrap();
    let linked =
        async || replica.cli(&["INFO", "replication"]).unwrap().contains("master_link_status:up");
    eventually("the replica to follow", AGREED, linked).await;
    let folder = tempfile::tempdir().unwrap();
    let (_sentinel, asked) = sentinel(folder.path(), &files, at);
    let url = format!("rediss-sentinel://{asked}#{NAME}");
    let store = opened(RedisConfig { url, ..config(&primary) }, &files).await;
    joins(&store, "before", AGREED).await;
    // It must know the replica before it can promote it: it asks each ten seconds.
    let known = async || {
        let info = primary.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).unwrap_or_default();
        let other = replica.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).unwrap_or_default();
        info.contains("sentinel") && other.contains("sentinel")
    };
    eventually("the sentinel to know both servers", AGREED, known).await;
    primary.kill();
    joins(&store, "after", AGREED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_a_cluster_is_reached_by_tls() {
    let files = Files::issue("127.0.0.1");
    let node = || {
        let bus = free_address().unwrap().port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", &bus];
        let (server, tls) = server_with(&files, &cluster);
        (server, tls, bus)
    };
    let nodes = [node(), node()];
    for ((server, ..), range) in nodes.iter().zip([["0", "8191"], ["8192", "16383"]]) {
        server.cli(&["CLUSTER", "ADDSLOTSRANGE", range[0], range[1]]).unwrap();
    }
    let (_, tls, bus) = &nodes[1];
    nodes[0].0.cli(&["CLUSTER", "MEET", "127.0.0.1", &tls.port().to_string(), bus]).unwrap();
    let agreed = async || {
        nodes.iter().all(|(server, ..)| {
            let info = server.cli(&["CLUSTER", "INFO"]).unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        })
    };
    eventually("the nodes to agree", AGREED, agreed).await;
    // The queue is at one node, so the other one redirects.
    let config = config(&nodes[0].0);
    for (number, (_, tls, _)) in nodes.iter().enumerate() {
        let url = format!("rediss-cluster://{tls}");
        let store = opened(RedisConfig { url, ..config.clone() }, &files).await;
        joins(&store, &format!("client-{number}"), AGREED).await;
    }
    let empty = nodes.iter().filter(|(server, ..)| server.cli(&["DBSIZE"]).unwrap() == "0");
    assert_eq!(empty.count(), 1);
}
