//! Backups and restores, with real redis-servers.
#![allow(clippy::unwrap_used)]

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bookingq_core::{BookingState, ClientId, EventSeq, PaymentId, ReservationId};
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use bookingq_store::backup::{self, BackupError, BackupRequest, FoundBackup, Restored};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{
    Cancel, Confirm, Confirmed, Scope, Settled, Settlement, Snapshot, Store, TaskOutcome,
};
use certificates::Files;
use support::{config, enqueue};
use tempfile::TempDir;
use tokio::time::timeout;

const BACK: Duration = Duration::from_secs(15);
const LEASE: Duration = Duration::from_secs(60);
/// No step takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn request(redis: &RedisConfig, to: &Path) -> BackupRequest {
    BackupRequest {
        redis: redis.clone(),
        namespace: Some("sale".to_owned()),
        to: to.to_owned(),
        silence: Duration::from_secs(20),
    }
}

async fn take(redis: &RedisConfig, to: &Path) -> Result<FoundBackup, BackupError> {
    timeout(LIMIT, backup::create(&request(redis, to), |_| ())).await.unwrap()
}

/// A server on this data folder.
fn server_on(data: &Path) -> RedisServer {
    let directory = Some(data.to_owned());
    RedisOptions { directory, ..RedisOptions::new(Fsync::Always) }.start(|_| ()).unwrap()
}

/// A store that was opened, once the server has loaded its data.
async fn opened(url: String, config: &RedisConfig) -> (RedisStore, String) {
    let store = RedisStore::connect(RedisConfig { url, ..config.clone() }).unwrap();
    eventually("the store opens", BACK, async || store.open().await.is_ok()).await;
    let epoch = store.open().await.unwrap().epoch;
    (store, epoch)
}

async fn join(store: &RedisStore, name: &str) {
    store.enqueue(vec![enqueue(name)]).await.unwrap().remove(0).unwrap();
}

/// Joins, reserves, pays and confirms.
async fn book(store: &RedisStore, name: &str) {
    join(store, name).await;
    let settle = async |task: bookingq_store::Lease, outcome| {
        let settlement = Settlement { lease: task, outcome, busy: Duration::ZERO };
        assert!(matches!(store.settle(vec![settlement]).await.unwrap()[0], Settled::Applied(_)));
    };
    let task = store.claim(1, LEASE, Scope::Everything).await.unwrap().tasks.remove(0);
    assert_eq!(task.client.as_str(), name);
    let reservation = ReservationId::new("r").unwrap();
    settle(task.lease(), TaskOutcome::Reserved { reservation, hold: LEASE, left: None }).await;
    let (client, payment) = (ClientId::new(name).unwrap(), PaymentId::new("p").unwrap());
    let confirm = Confirm { client, booking: None, payment, reacquire: None };
    match store.confirm(vec![confirm], LEASE).await.unwrap().remove(0) {
        Ok(Confirmed::Won(task, _)) => settle(task.lease(), TaskOutcome::Confirmed).await,
        other => panic!("a payment in time must win: {other:?}"),
    }
}

async fn state(store: &RedisStore, name: &str) -> Option<BookingState> {
    let found = store.status(vec![ClientId::new(name).unwrap()]).await.unwrap().remove(0);
    found.map(|booking| booking.state)
}

/// Reads once the server answers again.
async fn reads(store: &RedisStore) -> Snapshot {
    eventually("the store reads again", BACK, async || store.snapshot().await.is_ok()).await;
    store.snapshot().await.unwrap()
}

#[tokio::test]
async fn a_backup_of_a_busy_queue_is_a_copy_of_one_moment_in_both_forms_of_a_copy() {
    for diskless in ["yes", "no"] {
        let server = RedisServer::start(Fsync::Off).unwrap();
        server.cli(&["CONFIG", "SET", "repl-diskless-sync", diskless]).unwrap();
        let config = config(&server);
        let (store, epoch) = opened(server.url(), &config).await;
        let first = (0..2_000).map(|n| enqueue(&format!("first{n}"))).collect();
        store.enqueue(first).await.unwrap();
        let (folder, done) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
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
            let taken = take(&config, folder.path()).await;
            done.store(true, Ordering::Relaxed);
            taken.unwrap()
        };
        let (joined, taken) = tokio::join!(busy, copied);
        let description = backup::verify(&taken.rdb).await.unwrap();
        assert_eq!(description, taken.description);
        assert_eq!((&description.queue, &description.epoch), (&config.queue, &epoch));
        assert_eq!(description.bytes, std::fs::metadata(&taken.rdb).unwrap().len());
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
    let mut server = RedisServer::start(Fsync::Always).unwrap();
    let config = config(&server);
    let (store, before) = opened(server.url(), &config).await;
    book(&store, "early").await;
    join(&store, "waits").await;
    let folder = tempfile::tempdir().unwrap();
    let taken = take(&config, folder.path()).await.unwrap();
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
    std::fs::remove_file(&taken.rdb).unwrap();
    std::fs::remove_file(taken.rdb.with_extension("json")).unwrap();
    let again = backup::restore(&taken.rdb, server.directory(), None).await.unwrap();
    assert_eq!(again, Restored::Before);
    let other = folder.path().join("other.rdb");
    let refused = backup::restore(&other, server.directory(), None).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredBefore { .. }), "{refused}");
}

/// A backup of a queue with one booking.
async fn small() -> (RedisServer, RedisConfig, TempDir, FoundBackup) {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let (store, _) = opened(server.url(), &config).await;
    join(&store, "a").await;
    let folder = tempfile::tempdir().unwrap();
    let taken = take(&config, &folder.path().join("one.rdb")).await.unwrap();
    (server, config, folder, taken)
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_restore_overwrites_nothing_and_takes_no_damaged_or_other_backup() {
    let (_server, config, folder, taken) = small().await;
    let other = bookingq_core::QueueName::new("other").unwrap();
    let data = folder.path().join("data");
    let refused = backup::restore(&taken.rdb, &data, Some(&other)).await.unwrap_err();
    assert!(matches!(refused, BackupError::OtherQueue { .. }), "{refused}");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("dump.rdb"), "").unwrap();
    let refused = backup::restore(&taken.rdb, &data, None).await.unwrap_err();
    assert!(matches!(&refused, BackupError::Occupied { found, .. } if found == "dump.rdb"));
    std::fs::remove_file(data.join("dump.rdb")).unwrap();
    std::fs::create_dir(data.join("lost+found")).unwrap();

    let whole = std::fs::read(&taken.rdb).unwrap();
    for (damaged, what) in [
        (whole[..whole.len() - 1].to_vec(), "bytes"),
        ([&whole[..20], b"?", &whole[21..]].concat(), "SHA-256"),
    ] {
        std::fs::write(&taken.rdb, damaged).unwrap();
        for refused in [
            backup::verify(&taken.rdb).await.unwrap_err(),
            backup::restore(&taken.rdb, &data, None).await.unwrap_err(),
        ] {
            assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
            assert!(refused.to_string().contains(what), "{refused}");
        }
        assert!(!data.join("appendonlydir").exists());
    }
    // What the refused ones have begun is in no one's way.
    std::fs::write(&taken.rdb, whole).unwrap();
    backup::restore(&taken.rdb, &data, Some(&config.queue)).await.unwrap();
    assert_eq!(names(&data), [data.join("appendonlydir"), data.join("lost+found")]);
    // Another backup of the same queue.
    let later = take(&config, &folder.path().join("two.rdb")).await.unwrap();
    let mut description = later.description.clone();
    description.taken_at = later.description.taken_at + Duration::from_secs(60);
    std::fs::write(later.rdb.with_extension("json"), serde_json::to_vec(&description).unwrap())
        .unwrap();
    let refused = backup::restore(&later.rdb, &data, None).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredBefore { .. }), "{refused}");
}

#[tokio::test]
async fn the_newest_backups_of_a_queue_are_kept_and_others_are_left_alone() {
    let (server, config, folder, first) = small().await;
    let other = support::config(&server);
    opened(server.url(), &other).await;
    let of_other = take(&other, &folder.path().join("other.rdb")).await.unwrap();
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    std::fs::write(folder.path().join("broken.json"), "{}").unwrap();
    let mut taken = vec![first];
    for n in 1..4_u64 {
        let next = take(&config, &folder.path().join(format!("{n}.rdb"))).await.unwrap();
        // All of them are of the same second otherwise.
        let mut description = next.description.clone();
        description.taken_at += Duration::from_secs(60 * n);
        let text = serde_json::to_vec(&description).unwrap();
        std::fs::write(next.rdb.with_extension("json"), text).unwrap();
        taken.push(FoundBackup { description, ..next });
    }
    let removed = backup::keep(&taken[3], 2).await.unwrap();
    assert_eq!(removed, [taken[1].rdb.clone(), taken[0].rdb.clone()]);
    let (found, unread) = backup::list(folder.path()).await.unwrap();
    assert_eq!(found, [taken[3].clone(), taken[2].clone(), of_other]);
    assert!(unread[0].to_string().contains("broken.json"), "{unread:?}");
    assert_eq!(names(folder.path()).len(), 2 * 3 + 2, "{:?}", names(folder.path()));
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_leaves_nothing() {
    let (server, config, folder, taken) = small().await;
    let before = names(folder.path());
    let refused = take(&config, &taken.rdb).await.unwrap_err();
    assert!(refused.to_string().contains("one.rdb"), "an existing file stays: {refused}");
    let none = take(&support::config(&server), folder.path()).await.unwrap_err();
    assert!(matches!(none, BackupError::NoData(_)), "{none}");
    let url = format!("{}/3", server.url());
    let other = take(&RedisConfig { url, ..config.clone() }, folder.path()).await.unwrap_err();
    assert!(matches!(other, BackupError::OtherDatabase(3)), "{other}");
    let name = take(&config, &folder.path().join("one.dump")).await.unwrap_err();
    assert!(matches!(name, BackupError::Name(_)), "{name}");
    server.cli(&["ACL", "SETUSER", "shy", "on", ">p", "~*", "+@all", "-info"]).unwrap();
    let url = server.url().replace("://", "://shy:p@");
    let shy = RedisConfig { url, ..config.clone() };
    let of_shy = take(&shy, &folder.path().join("shy.rdb")).await.unwrap();
    assert_eq!(of_shy.description.server, "redis of an unknown version");
    for extension in ["rdb", "json"] {
        std::fs::remove_file(of_shy.rdb.with_extension(extension)).unwrap();
    }
    server.cli(&["ACL", "SETUSER", "few", "on", ">p", "~*", "+@all", "-psync"]).unwrap();
    let url = server.url().replace("://", "://few:p@");
    let refused = take(&RedisConfig { url, ..config.clone() }, folder.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Refused { command: "PSYNC", .. }), "{refused}");
    assert_eq!(names(folder.path()), before);
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
    let folder = tempfile::tempdir().unwrap();
    let taken = take(&config, folder.path()).await.unwrap();
    let data = folder.path().join("data");
    backup::restore(&taken.rdb, &data, None).await.unwrap();
    let restored = server_on(&data);
    let plain = RedisConfig::new(restored.url(), config.queue.clone());
    let (store, _) = opened(restored.url(), &plain).await;
    assert_eq!(state(&store, "a").await, Some(BookingState::Queued));
}
