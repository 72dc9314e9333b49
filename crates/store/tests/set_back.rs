//! A Redis whose data is suddenly that of some time ago, as after a failover to a replica that
//! lagged: sound in itself, and only those who have seen more can tell.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, EventSeq, RequestId};
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

/// Once the server answers again.
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

/// Two stores of one queue, each of which has seen three clients join; then only the first of them
/// is there.
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
async fn data_that_was_set_back_is_noticed_by_whoever_had_seen_more_and_gets_one_new_name() {
    let (server, stores, end) = set_back().await;
    let before = reads(&stores[1]).await;
    assert!(before.set_back);
    assert_eq!(before.totals.enqueued, 1);
    assert!(reads(&stores[0]).await.set_back);
    let opened = stores[0].open().await.unwrap();
    assert_ne!(opened.epoch, before.epoch);
    // The other one sees both: what it had seen is gone, and that somebody has said so.
    let after = reads(&stores[1]).await;
    assert!(after.set_back);
    assert_eq!(after.epoch, opened.epoch);
    assert_eq!(stores[1].open().await.unwrap().epoch, opened.epoch, "and does not say so again");
    for store in &stores {
        assert!(!reads(store).await.set_back);
        assert!(!follows(store, end).await.events.iter().any(|event| event.client.as_str() == "a"));
        joins(store, "d").await;
        let found = follows(store, end).await;
        assert!(found.gap, "who goes on from what is gone has to start anew");
        assert!(!reads(store).await.set_back, "that is no news");
    }
    assert_eq!(stores[1].open().await.unwrap().epoch, opened.epoch);
    // Somebody who was not there before has nothing to compare.
    let newcomer =
        RedisStore::connect(RedisConfig::new(server.url(), stores[0].queue().clone())).unwrap();
    assert_eq!(newcomer.open().await.unwrap().epoch, opened.epoch);
    assert!(!reads(&newcomer).await.set_back);
}

#[tokio::test]
async fn data_that_was_set_back_is_noticed_by_its_outbox_when_it_has_outgrown_what_was_lost() {
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
