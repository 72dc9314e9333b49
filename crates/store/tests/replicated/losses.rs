//! A log that loses its end, or is replaced by another one: the data gets another epoch, the same
//! for all.

use std::time::Duration;

use bookingq_core::EventSeq;
use bookingq_store::Store;
use bookingq_store::replicated::{ReplicatedStore, take_snapshot};

use crate::crowd::{client, place};
use crate::fake_log::{FakeLog, Faults, views, with_snapshots};
use crate::{config, same_state_as_a_second_replica};

#[tokio::test]
async fn a_log_that_loses_its_end_gives_the_data_another_epoch() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let store = ReplicatedStore::start(config(), views(&logs));
    let epoch = store.open().await.unwrap().epoch;
    place(&store, "anna").await;
    let records = log.records().len();
    place(&store, "ben").await;
    let seen = store.latest_event().await.unwrap();
    log.truncate(log.records().len() - records);
    // Written over what was lost, so that only the terms differ.
    let other = ReplicatedStore::start(config(), views(&logs));
    for client in ["carl", "dora", "emil", "fay"] {
        place(&other, client).await;
    }
    let snapshot = store.snapshot().await.unwrap();
    assert!(snapshot.set_back, "this process knew of ben");
    assert!(!other.snapshot().await.unwrap().set_back, "this one did not");
    let reopened = store.open().await.unwrap().epoch;
    assert_ne!(reopened, epoch);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.epoch, snapshot.set_back), (reopened.clone(), false));
    let clients = ["anna", "ben", "carl"].map(client).to_vec();
    let found = store.status(clients.clone()).await.unwrap();
    assert_eq!(found, other.status(clients).await.unwrap());
    assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
    assert_ne!(store.latest_event().await.unwrap(), EventSeq::START);
    assert_ne!(store.latest_event().await.unwrap(), seen);
    same_state_as_a_second_replica(&store, &log);
    // The same epoch for who has noticed nothing, and for who starts later.
    let later = ReplicatedStore::start(config(), views(&logs));
    for store in [&other, &later] {
        assert_eq!(store.snapshot().await.unwrap().epoch, reopened);
    }
}

#[tokio::test]
async fn a_loss_that_several_have_noticed_is_counted_once() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let stores = [(); 3].map(|()| ReplicatedStore::start(config(), views(&logs)));
    let first = stores[0].open().await.unwrap().epoch;
    for (round, loses) in [(1, 1), (2, 2)] {
        for (number, store) in stores.iter().enumerate() {
            place(store, &format!("{round} {number}")).await;
        }
        for store in &stores {
            store.snapshot().await.unwrap();
        }
        log.truncate(loses);
        for store in &stores {
            assert!(store.snapshot().await.unwrap().set_back, "round {round}");
        }
        for store in &stores {
            store.open().await.unwrap();
        }
        let epoch = stores[0].snapshot().await.unwrap().epoch;
        assert_eq!(epoch, format!("{first}.{round}"));
        for store in &stores {
            assert_eq!(store.snapshot().await.unwrap().epoch, epoch);
        }
        same_state_as_a_second_replica(&stores[2], &log);
    }
}

#[tokio::test]
async fn another_log_of_the_same_name_is_other_data() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let store = ReplicatedStore::start(config(), views(&logs));
    let epoch = store.open().await.unwrap().epoch;
    place(&store, "anna").await;
    let config = bookingq_store::replicated::ReplicatedConfig { snapshot_every: 1, ..config() };
    take_snapshot(&logs, &config).await.unwrap().unwrap();
    log.replace();
    let snapshot = store.snapshot().await.unwrap();
    assert_ne!(snapshot.epoch, epoch);
    assert_eq!(snapshot.totals.enqueued, 0, "the snapshot was one of another log");
    assert!(!snapshot.set_back, "the epoch says so");
    assert_eq!(store.open().await.unwrap().epoch, snapshot.epoch);
    assert_eq!(place(&store, "anna").await, 1);
    // A snapshot of the new log is below none of the old ones.
    take_snapshot(&logs, &config).await.unwrap().unwrap();
    assert!(log.start() > 0);
    let late = ReplicatedStore::start(config, views(&logs));
    assert_eq!(late.snapshot().await.unwrap().totals.enqueued, 1);
}

#[tokio::test]
async fn a_task_that_panics_leaves_no_caller_waiting() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let store = ReplicatedStore::start(config(), logs);
    place(&store, "anna").await;
    log.set_panics();
    let snapshot = tokio::time::timeout(Duration::from_secs(5), store.snapshot()).await;
    let error = snapshot.unwrap().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}
