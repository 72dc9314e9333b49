//! A Redis whose data is set back, as after a failover to a replica that lagged. The data is sound
//! in itself; only a store that has read newer data can detect it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{EventSeq, OutboxEvent};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Snapshot, Store};
use support::{config, enqueue};
use tokio::time::{sleep, timeout};

const BACK: Duration = Duration::from_secs(10);

async fn joins(store: &RedisStore, name: &str) {
    store.enqueue(vec![enqueue(name)]).await.unwrap().remove(0).unwrap();
}

/// Reads a snapshot once the server answers again.
async fn reads(store: &RedisStore) -> Snapshot {
    let read = async {
        loop {
            match store.snapshot().await {
                Ok(snapshot) => return snapshot,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BACK, read).await.expect("the store must come back by itself")
}

async fn follows(store: &RedisStore, after: EventSeq) -> bookingq_store::Events {
    store.events(after, 99, Duration::ZERO).await.unwrap()
}

/// Two stores of one queue that have each seen three clients join; then Redis has only the first.
async fn set_back() -> (RedisServer, [RedisStore; 2], EventSeq) {
    let mut server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let stores = [(); 2].map(|()| RedisStore::connect(config.clone()).unwrap());
    for store in &stores {
        store.open().await.unwrap();
    }
    joins(&stores[0], "a").await;
    assert_eq!(server.cli(&["SAVE"]).unwrap(), "OK");
    joins(&stores[0], "b").await;
    joins(&stores[1], "c").await;
    let mut end = EventSeq::START;
    for store in &stores {
        assert!(!reads(store).await.set_back);
        end = follows(store, EventSeq::START).await.next;
        assert!(!reads(store).await.set_back);
    }
    server.kill();
    server.restart().unwrap();
    (server, stores, end)
}

#[tokio::test]
async fn stores_that_had_read_newer_data_detect_a_set_back_and_give_it_one_new_epoch() {
    let (server, stores, end) = set_back().await;
    let before = reads(&stores[1]).await;
    assert!(before.set_back);
    assert_eq!(before.totals.enqueued, 1);
    assert!(reads(&stores[0]).await.set_back);
    let opened = stores[0].open().await.unwrap();
    assert_ne!(opened.epoch, before.epoch);
    // The other store detects the set-back, too, and the new epoch.
    let after = reads(&stores[1]).await;
    assert!(after.set_back);
    assert_eq!(after.epoch, opened.epoch);
    assert_eq!(stores[1].open().await.unwrap().epoch, opened.epoch, "the epoch changes once");
    for store in &stores {
        assert!(!reads(store).await.set_back);
        assert!(
            !follows(store, end)
                .await
                .events
                .iter()
                .filter_map(OutboxEvent::booking)
                .any(|event| event.client.as_str() == "a")
        );
        joins(store, "d").await;
        let found = follows(store, end).await;
        assert!(found.gap, "a follower of lost events must resync");
        assert!(!reads(store).await.set_back, "the set-back is known");
    }
    assert_eq!(stores[1].open().await.unwrap().epoch, opened.epoch);
    // A new store has nothing to compare.
    let newcomer =
        RedisStore::connect(RedisConfig::new(server.url(), stores[0].queue().clone())).unwrap();
    assert_eq!(newcomer.open().await.unwrap().epoch, opened.epoch);
    assert!(!reads(&newcomer).await.set_back);
}

#[tokio::test]
async fn a_set_back_is_detected_by_the_outbox_when_the_data_has_outgrown_the_lost_part() {
    let (server, [one, _other], end) = set_back().await;
    let newcomer =
        RedisStore::connect(RedisConfig::new(server.url(), one.queue().clone())).unwrap();
    reads(&newcomer).await;
    for name in ["d", "e", "f", "g"] {
        joins(&newcomer, name).await;
    }
    reads(&one).await;
    let found = follows(&one, end).await;
    assert!(found.gap);
    assert!(reads(&one).await.set_back);
    let before = reads(&one).await.epoch;
    assert_ne!(one.open().await.unwrap().epoch, before);
    assert!(!reads(&one).await.set_back);
}

/// A store that has had one place acknowledged which Redis then lost, and that never read the
/// outbox: so a failover to a replica that lagged looks to it.
async fn loses_an_unread_place() -> (RedisServer, RedisStore) {
    let mut server = RedisServer::start(Fsync::Off).unwrap();
    let store = RedisStore::connect(config(&server)).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    assert_eq!(server.cli(&["SAVE"]).unwrap(), "OK");
    joins(&store, "lost").await;
    server.kill();
    server.restart().unwrap();
    (server, store)
}

#[tokio::test]
async fn the_loss_of_an_acknowledged_place_is_detected_though_its_event_was_never_read() {
    let (_server, store) = loses_an_unread_place().await;
    let found = reads(&store).await;
    assert!(found.set_back);
    assert_eq!(found.totals.enqueued, 1);
    assert_ne!(store.open().await.unwrap().epoch, found.epoch);
    assert!(!reads(&store).await.set_back);
}

#[tokio::test]
async fn it_is_detected_when_the_data_has_outgrown_the_lost_place_too() {
    let (server, store) = loses_an_unread_place().await;
    let other = RedisStore::connect(RedisConfig::new(server.url(), store.queue().clone())).unwrap();
    reads(&other).await;
    for name in ["d", "e", "f"] {
        joins(&other, name).await;
    }
    let before = reads(&other).await;
    assert!(!before.set_back, "it has nothing to compare");
    assert!(reads(&store).await.set_back);
    assert_ne!(store.open().await.unwrap().epoch, before.epoch);
}

#[tokio::test]
async fn a_set_back_under_an_open_connection_is_detected_by_the_next_write() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = RedisStore::connect(config(&server)).unwrap();
    store.open().await.unwrap();
    for name in ["a", "b", "c"] {
        joins(&store, name).await;
    }
    let meta = format!("booking-stats:{{{}}}", store.queue());
    server.cli(&["HSET", &meta, "entries", "1"]).unwrap();
    joins(&store, "d").await;
    assert!(reads(&store).await.set_back);
}

#[tokio::test]
async fn an_entry_that_was_trimmed_is_not_taken_for_a_loss() {
    let mut server = RedisServer::start(Fsync::Always).unwrap();
    let store = RedisStore::connect(config(&server)).unwrap();
    store.open().await.unwrap();
    joins(&store, "a").await;
    let other = RedisStore::connect(RedisConfig::new(server.url(), store.queue().clone())).unwrap();
    for name in ["b", "c", "d"] {
        joins(&other, name).await;
    }
    let events = format!("booking-events:{{{}}}", store.queue());
    for left in ["1", "0"] {
        server.cli(&["XTRIM", &events, "MAXLEN", left]).unwrap();
        server.kill();
        server.restart().unwrap();
        let found = reads(&store).await;
        assert!(!found.set_back, "with {left} entries left");
        assert_eq!(found.totals.enqueued, 4);
    }
}
