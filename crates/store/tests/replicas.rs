//! Answers that wait for replicas, and the choice among several servers. On real redis-servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::ClientId;
use bookingq_harness::sentinels::{hosts, replicated};
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisServer, Signal};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Scope, Store, StoreError};
use support::{config, enqueue};
use tokio::time::{sleep, timeout};

const BACK: Duration = Duration::from_secs(15);

fn world() -> ([RedisServer; 3], RedisConfig) {
    let servers = replicated(|| RedisServer::start(Fsync::Off)).unwrap();
    let url = format!("redis://{}", hosts(servers.iter().map(RedisServer::address)));
    let config = RedisConfig { url, acknowledge_replicas: 1, ..config(&servers[0]) };
    (servers, config)
}

async fn joins(store: &RedisStore, name: &str) {
    let asked = enqueue(name);
    eventually("the store reaches the primary", BACK, async || {
        store.enqueue(vec![asked.clone()]).await.is_ok()
    })
    .await;
}

async fn has(store: &RedisStore, name: &str) -> bool {
    store.status(vec![ClientId::new(name).unwrap()]).await.unwrap()[0].is_some()
}

/// Makes the replica `to` the primary of a term. The other servers stay as they are.
fn promote(servers: &[RedisServer; 3], to: usize, config: &RedisConfig, term: u64) {
    let term_key = format!("booking-term:{{{}}}", config.queue);
    servers[to].cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    servers[to].cli(&["SET", &term_key, &term.to_string()]).unwrap();
}

fn follow(replica: &RedisServer, primary: &RedisServer) {
    let address = primary.address();
    let port = address.port().to_string();
    replica.cli(&["REPLICAOF", &address.ip().to_string(), &port]).unwrap();
}

#[tokio::test]
async fn without_replicas_nothing_counts_as_done_also_not_a_repeat_on_a_new_connection() {
    let (servers, config) = world();
    let store = RedisStore::connect(config.clone()).unwrap();
    store.open().await.unwrap();
    joins(&store, "before").await;
    for replica in &servers[1..] {
        replica.process().signal(Signal::STOP);
    }
    let asked = enqueue("a");
    for store in [&store, &RedisStore::connect(config).unwrap()] {
        let refused = store.enqueue(vec![asked.clone()]).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotReplicated { wanted: 1, had: 0 }), "{refused:?}");
        assert!(refused.is_transient());
        assert!(!store.snapshot().await.unwrap().set_back, "reads go on");
    }
    servers[1].process().signal(Signal::CONT);
    let answered = async {
        loop {
            if let Ok(answer) = store.enqueue(vec![asked.clone()]).await {
                return answer;
            }
        }
    };
    let mut answer = timeout(BACK, answered).await.unwrap();
    assert!(answer.remove(0).unwrap().existing, "it was in the line already");
    servers[2].process().signal(Signal::CONT);
}

/// Without the check of the barrier it fails on Valkey 8 and Redis from 7.2 on, whose WAIT asks
/// about the last write of its connection. Older ones ask about the last write of all.
#[tokio::test]
async fn a_repeat_does_not_count_as_done_where_the_primary_refuses_the_barrier() {
    let (servers, config) = world();
    let primary = &servers[0];
    let stores = [(); 2].map(|()| RedisStore::connect(config.clone()).unwrap());
    for (store, name) in stores.iter().zip(["before", "too"]) {
        joins(store, name).await;
    }
    for setting in ["min-replicas-to-write", "min-replicas-max-lag"] {
        primary.cli(&["CONFIG", "SET", setting, "1"]).unwrap();
    }
    for replica in &servers[1..] {
        replica.process().signal(Signal::STOP);
    }
    let asked = enqueue("a");
    let refused = stores[0].enqueue(vec![asked.clone()]).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotReplicated { .. }), "{refused:?}");
    eventually("the primary misses its replicas", BACK, async || {
        primary.cli(&["INFO", "replication"]).unwrap().contains("min_slaves_good_slaves:0")
    })
    .await;
    // The script only reads now, so the primary runs it; it refuses the barrier.
    for store in &stores {
        let refused = store.enqueue(vec![asked.clone()]).await.unwrap_err();
        assert!(refused.is_transient(), "{refused:?}");
    }
    for replica in &servers[1..] {
        replica.process().signal(Signal::CONT);
    }
    joins(&stores[0], "a").await;
}

#[tokio::test]
async fn without_replicas_no_task_is_handed_out_and_later_its_lease_brings_it_back() {
    let (servers, config) = world();
    let store = RedisStore::connect(config).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    for replica in &servers[1..] {
        replica.process().signal(Signal::STOP);
    }
    let lease = Duration::from_millis(500);
    let refused = store.claim(10, lease, Scope::Everything).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotReplicated { wanted: 1, had: 0 }), "{refused:?}");
    let idle = store.claim(10, lease, Scope::Everything).await;
    for replica in &servers[1..] {
        replica.process().signal(Signal::CONT);
    }
    // Depending on the time, its lease has run out or there is nothing to hand out.
    assert!(idle.as_ref().map_or(true, |claim| claim.tasks.is_empty()), "{idle:?}");
    let claimed = async {
        loop {
            if let Ok(claim) = store.claim(10, lease, Scope::Everything).await
                && let Some(task) = claim.tasks.first()
            {
                return task.first;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(!timeout(BACK, claimed).await.unwrap(), "it may have been reserved");
}

#[tokio::test]
async fn a_store_takes_the_primary_of_the_highest_term() {
    let (servers, config) = world();
    let by_both = RedisConfig { acknowledge_replicas: 2, ..config.clone() };
    let store = RedisStore::connect(by_both).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    // The old primary is cut off from its replicas and goes on to believe that it is one.
    promote(&servers, 1, &config, 2);
    follow(&servers[2], &servers[1]);
    let url = format!("redis://{},{}", servers[0].address(), servers[1].address());
    for order in [url, config.url.clone()] {
        let newcomer = RedisStore::connect(RedisConfig { url: order, ..config.clone() }).unwrap();
        joins(&newcomer, "b").await;
        assert!(has(&newcomer, "a").await);
        let keys = servers[1].cli(&["KEYS", "booking-status:*b"]).unwrap();
        assert!(!keys.is_empty(), "it is at the new primary");
    }
}

#[tokio::test]
async fn a_store_leaves_a_primary_that_has_lost_its_replicas_to_another_one() {
    let (servers, config) = world();
    let store = RedisStore::connect(config.clone()).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    promote(&servers, 1, &config, 2);
    follow(&servers[2], &servers[1]);
    assert_eq!(servers[0].cli(&["ROLE"]).unwrap().lines().next(), Some("master"));
    joins(&store, "b").await;
    let keys = servers[1].cli(&["KEYS", "booking-status:*b"]).unwrap();
    assert!(!keys.is_empty(), "it is at the new primary");
}

#[tokio::test]
async fn a_store_that_knows_a_term_never_writes_to_a_primary_of_a_lower_one() {
    let (mut servers, config) = world();
    promote(&servers, 1, &config, 2);
    follow(&servers[2], &servers[1]);
    let store = RedisStore::connect(config.clone()).unwrap();
    joins(&store, "a").await;
    servers[1].kill();
    // Cut off before the new term, this one says nothing of it.
    follow(&servers[2], &servers[0]);
    eventually("the replica follows the old primary", BACK, async || {
        servers[2].cli(&["INFO", "replication"]).unwrap().contains("link_status:up")
    })
    .await;
    for _ in 0..20 {
        let refused = store.enqueue(vec![enqueue("b")]).await;
        assert!(refused.is_err(), "{refused:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(servers[0].cli(&["KEYS", "booking-status:*"]).unwrap().is_empty());
    promote(&servers, 0, &config, 3);
    joins(&store, "b").await;
}

#[tokio::test]
async fn reads_leave_a_server_that_was_demoted_behind_their_connection() {
    let (servers, config) = world();
    let config = RedisConfig { acknowledge_replicas: 0, ..config };
    let store = RedisStore::connect(config.clone()).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    let snapshot = store.snapshot().await.unwrap();
    eventually("the replica has the place", BACK, async || {
        !servers[1].cli(&["KEYS", "booking-status:*a"]).unwrap().is_empty()
    })
    .await;
    promote(&servers, 1, &config, 2);
    follow(&servers[0], &servers[1]);
    let writer = RedisStore::connect(config.clone()).unwrap();
    joins(&writer, "b").await;
    // Cut off from the new primary, it goes on answering reads with what it had.
    servers[0].cli(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    joins(&writer, "c").await;
    eventually("a read finds the primary", Duration::from_secs(5), async || {
        store.snapshot().await.is_ok_and(|found| found.totals.enqueued == 3)
    })
    .await;
    assert_eq!(store.snapshot().await.unwrap().epoch, snapshot.epoch);
}
