//! What a backup holds, and what a restore does with a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bookingq_core::{BookingState, ClientId, EventSeq};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::backup::{self, BackupError, Restored};
use bookingq_store::redis::RedisConfig;
use bookingq_store::{Cancel, Store};

use crate::certificates::{self, Files};
use crate::place::Place;
use crate::support::{config, enqueue};
use crate::{book, join, opened, reads, server_on, state, take};

#[tokio::test]
async fn a_backup_of_a_busy_queue_is_a_copy_of_one_moment_in_both_forms_of_a_copy() {
    for diskless in ["yes", "no"] {
        let server = RedisServer::start(Fsync::Off).unwrap();
        server.cli(&["CONFIG", "SET", "repl-diskless-sync", diskless]).unwrap();
        let config = config(&server);
        let (store, epoch) = opened(server.url(), &config).await;
        let first = (0..2_000).map(|n| enqueue(&format!("first{n}"))).collect();
        store.enqueue(first).await.unwrap();
        let (place, done) = (Place::folder(), Arc::new(AtomicBool::new(false)));
        let busy = async {
            let mut joined = 2_000;
            while !done.load(Ordering::Relaxed) {
                let batch = (0..50).map(|n| enqueue(&format!("busy{joined}-{n}"))).collect();
                store.enqueue(batch).await.unwrap();
                joined += 50;
            }
            joined
        };
        let copied = async {
            let taken = take(&config, &place.all).await;
            done.store(true, Ordering::Relaxed);
            taken.unwrap()
        };
        let (joined, taken) = tokio::join!(busy, copied);
        let description = backup::verify(&taken.rdb).await.unwrap();
        assert_eq!(description, taken.description);
        assert_eq!((&description.queue, &description.epoch), (&config.queue, &epoch));
        let written = std::fs::metadata(place.file(&taken.rdb.file_name())).unwrap();
        assert_eq!(description.bytes, written.len());
        let data = tempfile::tempdir().unwrap();
        backup::restore(&taken.rdb, data.path(), Some(&config.queue)).await.unwrap();
        let restored = server_on(data.path());
        let (store, _) = opened(restored.url(), &config).await;
        let found = store.snapshot().await.unwrap();
        assert!((2_000..=joined).contains(&found.totals.enqueued), "{found:?} of {joined}");
        assert_eq!(found.backlog, found.totals.enqueued, "whole transitions only");
        assert_eq!(found.totals.enqueued % 50, 0, "whole calls only");
    }
}

/// Empties the data folder of a server that does not run, but for its log for people.
fn lose_data(server: &RedisServer) {
    for entry in std::fs::read_dir(server.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_restore_sets_the_queue_back_with_one_new_epoch_and_keeps_what_was_confirmed() {
    for place in Place::both().await {
        sets_back(&place).await;
    }
}

async fn sets_back(place: &Place) {
    let mut server = RedisServer::start(Fsync::Always).unwrap();
    let config = config(&server);
    let (store, before) = opened(server.url(), &config).await;
    book(&store, "early").await;
    join(&store, "waits").await;
    let taken = take(&config, &place.all).await.unwrap();
    // What the restore forgets. One store knows it, and stays.
    join(&store, "late").await;
    let client = ClientId::new("waits").unwrap();
    store.cancel(vec![Cancel { client, booking: None }]).await.unwrap().remove(0).unwrap();
    let known = store.events(EventSeq::START, 999, Duration::ZERO).await.unwrap().next;
    server.kill();
    lose_data(&server);
    let restored = backup::restore(&taken.rdb, server.directory(), None).await.unwrap();
    assert!(matches!(restored, Restored::Now(_)), "{restored:?}");
    server.restart().unwrap();

    // A store that has never seen the newer data.
    let (newcomer, epoch) = opened(server.url(), &config).await;
    assert_ne!(epoch, before, "workers, gateways and clients must notice it");
    assert!(!newcomer.snapshot().await.unwrap().set_back);
    assert_eq!(state(&newcomer, "early").await, Some(BookingState::Confirmed));
    assert_eq!(state(&newcomer, "waits").await, Some(BookingState::Queued));
    assert_eq!(state(&newcomer, "late").await, None);
    // The one that has seen it notices the same epoch, and gives the data no other.
    assert!(reads(&store).await.set_back);
    assert_eq!(store.open().await.unwrap().epoch, epoch);
    assert!(!reads(&store).await.set_back);
    join(&newcomer, "next").await;
    assert!(store.events(known, 99, Duration::ZERO).await.unwrap().gap, "followers resync");

    // A restart of Redis, and the same restore in front of it, change nothing.
    server.kill();
    let again = backup::restore(&taken.rdb, server.directory(), None).await.unwrap();
    assert_eq!(again, Restored::Before);
    server.restart().unwrap();
    assert_eq!(reads(&newcomer).await.epoch, epoch);
    assert_eq!(newcomer.open().await.unwrap().epoch, epoch);
    assert_eq!(state(&newcomer, "next").await, Some(BookingState::Queued));

    // Nor does it once the backup was removed, as `--keep` does.
    for extension in ["json", "rdb"] {
        std::fs::remove_file(place.file(&taken.rdb.file_name()).with_extension(extension)).unwrap();
    }
    let again = backup::restore(&taken.rdb, server.directory(), None).await.unwrap();
    assert_eq!(again, Restored::Before);
    let other = place.at("other.rdb").await;
    let refused = backup::restore(&other, server.directory(), None).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredBefore { .. }), "{refused}");
}

#[tokio::test]
async fn a_copy_comes_by_tls_and_with_a_password() {
    let files = Files::issue("127.0.0.1");
    let (server, tls) = certificates::server(&files);
    server.cli(&["CONFIG", "SET", "requirepass", "secret word"]).unwrap();
    let url = format!("rediss://:secret%20word@{tls}");
    let config = RedisConfig { url, tls: files.of_worker(), ..config(&server) };
    let (store, _) = opened(config.url.clone(), &config).await;
    join(&store, "a").await;
    let (place, data) = (Place::folder(), tempfile::tempdir().unwrap());
    let taken = take(&config, &place.all).await.unwrap();
    let data = data.path();
    backup::restore(&taken.rdb, data, None).await.unwrap();
    let restored = server_on(data);
    let plain = RedisConfig::new(restored.url(), config.queue.clone());
    let (store, _) = opened(restored.url(), &plain).await;
    assert_eq!(state(&store, "a").await, Some(BookingState::Queued));
}
