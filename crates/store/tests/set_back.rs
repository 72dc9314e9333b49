//! A Redis whose data is set back, as after a failover to a replica that lagged. The data is sound
//! in itself; only a store that has read newer data can detect it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, EventSeq, OutboxEvent, RequestId};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Enqueue, Snapshot, Store};
use support::config;
use tokio::time::{sleep, timeout};

const BACK: Duration = Duration::from_secs(10);

async fn joins(store: &RedisStore, name: &str) {
    let asked = Enqueue {
        client: ClientId::new(name).unwrap(),
        request: RequestId::new(name).unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    };
    store.enqueue(vec![asked]).await.unwrap().remove(0).unwrap();
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
