//! A primary that fails and sentinels that promote a replica. On real processes.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::ClientId;
use bookingq_harness::sentinels::replicated;
use bookingq_harness::{Fsync, RedisServer, Sentinels, Signal};
use bookingq_store::redis::{RedisConfig, RedisStore, SentinelLogin};
use bookingq_store::{Store, StoreError};
use support::{config, joins};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const NAME: &str = "tickets";
/// Limit for the sentinels to promote a replica, on a busy machine.
const FAILOVER: Duration = Duration::from_secs(60);
/// Limit for the store to write once the new primary does, on a busy machine; on an idle one it
/// takes less than a second.
const NOTICED: Duration = Duration::from_secs(3);

/// Three servers, three sentinels that know all of them, and a store.
async fn world(login: &str) -> ([RedisServer; 3], Sentinels, RedisConfig) {
    let servers = replicated(|| RedisServer::start(Fsync::Off)).unwrap();
    let mut sentinels = Sentinels::watch(servers[0].address(), NAME, login).unwrap();
    for (address, _) in sentinels.members() {
        let ready = async {
            loop {
                let asked = std::process::Command::new("redis-cli")
                    .args(["-p", &address.port().to_string(), "--no-auth-warning", "-a", login])
                    .args(["SENTINEL", "MASTER", NAME])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&asked.stdout).into_owned();
                let words: Vec<&str> = said.lines().collect();
                let says = |name, value| words.windows(2).any(|pair| pair == [name, value]);
                if says("num-slaves", "2") && says("num-other-sentinels", "2") {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(FAILOVER, ready).await.expect("the sentinels must find each other");
    }
    let url = format!("redis-sentinel://{}#{NAME}", sentinels.hosts());
    let config = RedisConfig { url, ..config(&servers[0]) };
    (servers, sentinels, config)
}

/// Waits until one of the servers takes writes, and returns when it did.
async fn promoted(servers: &[RedisServer]) -> Instant {
    let promotion = async {
        loop {
            for server in servers {
                if server.cli(&["SET", "writable", "1"]).is_ok_and(|said| said == "OK") {
                    return Instant::now();
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(FAILOVER, promotion).await.expect("a replica must be promoted")
}

async fn survives(store: &RedisStore, servers: &[RedisServer]) {
    let asked = joins(store, "after", FAILOVER);
    let (at, written) = tokio::join!(promoted(servers), async {
        asked.await;
        Instant::now()
    });
    let late = written.saturating_duration_since(at);
    assert!(late < NOTICED, "it wrote {late:?} after the new primary did");
}

/// A sentinel that misses every failover: it names this primary for ever.
async fn stale_sentinel(primary: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = primary.port().to_string();
    let fields = ["name", NAME, "ip", "127.0.0.1", "port", &port, "config-epoch", "0"];
    let says = fields.map(|field| format!("${}\r\n{field}\r\n", field.len())).concat();
    let master = format!("*{}\r\n{says}", fields.len());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection, master.clone()));
        }
    });
    address
}

/// Answers each command: `*words`, and for each word `$length` and the word itself.
async fn answer(connection: TcpStream, master: String) {
    let (reader, mut writer) = connection.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(head)) = lines.next_line().await {
        let words: usize = head.trim_start_matches('*').parse().unwrap();
        let mut command = Vec::new();
        for _ in 0..2 * words {
            command.push(lines.next_line().await.unwrap().unwrap_or_default());
        }
        let said = match command.get(3).map(String::as_str) {
            Some("MASTER") => &master,
            Some("REPLICAS") => "*0\r\n",
            _ => "+OK\r\n",
        };
        if writer.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_writes_soon_after_the_new_primary_does() {
    let (mut servers, _sentinels, config) = world("").await;
    let config = RedisConfig { acknowledge_replicas: 2, ..config };
    let store = RedisStore::connect(config.clone()).unwrap();
    store.open().await.unwrap();
    joins(&store, "before", FAILOVER).await;
    servers[0].kill();
    let store = RedisStore::connect(RedisConfig { acknowledge_replicas: 0, ..config }).unwrap();
    survives(&store, &servers[1..]).await;
    let before = ClientId::new("before").unwrap();
    assert!(store.status(vec![before]).await.unwrap()[0].is_some(), "both replicas had it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_and_a_dead_sentinel_change_nothing_and_the_thawed_one_is_not_used() {
    let (servers, mut sentinels, config) = world("").await;
    let store = RedisStore::connect(config).unwrap();
    store.open().await.unwrap();
    joins(&store, "before", FAILOVER).await;
    sentinels.members()[0].1.kill();
    servers[0].process().signal(Signal::STOP);
    survives(&store, &servers[1..]).await;
    servers[0].process().signal(Signal::CONT);
    for round in 0..20 {
        let name = format!("thawed-{round}");
        joins(&store, &name, FAILOVER).await;
        let found = store.status(vec![ClientId::new(&name).unwrap()]).await.unwrap();
        assert!(found[0].is_some(), "the primary stays the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_sentinel_and_one_with_another_login_change_nothing() {
    let (mut servers, sentinels, config) = world("").await;
    let stale = stale_sentinel(servers[0].address()).await;
    let other = sentinels.addresses()[0].port().to_string();
    let words = ["-p", &other, "ACL", "SETUSER", "default", "resetpass", ">other"];
    let set = std::process::Command::new("redis-cli").args(words).output().unwrap();
    assert!(set.stdout.starts_with(b"OK"), "{set:?}");
    let hosts = format!("redis-sentinel://{stale},");
    let url = config.url.replace("redis-sentinel://", &hosts);
    let store = RedisStore::connect(RedisConfig { url, ..config }).unwrap();
    store.open().await.unwrap();
    joins(&store, "before", FAILOVER).await;
    servers[0].kill();
    survives(&store, &servers[1..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_have_a_login_of_their_own() {
    let (mut servers, _sentinels, config) = world("of-sentinel").await;
    let refused = RedisStore::connect(config.clone()).unwrap().open().await.unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("NOAUTH"), "{refused}");
    let login = SentinelLogin { username: None, password: Some("of-sentinel".to_owned()) };
    let store = RedisStore::connect(RedisConfig { sentinel: login, ..config }).unwrap();
    store.open().await.unwrap();
    joins(&store, "before", FAILOVER).await;
    servers[0].kill();
    survives(&store, &servers[1..]).await;
}

#[tokio::test]
async fn an_unknown_name_is_named() {
    let (_servers, _sentinels, config) = world("").await;
    let url = config.url.replace(NAME, "concert");
    let error = RedisStore::connect(RedisConfig { url, ..config }).unwrap().open().await;
    let Err(StoreError::Unavailable(why)) = error else { panic!("{error:?}") };
    assert!(why.contains("\"concert\""), "{why}");
}
