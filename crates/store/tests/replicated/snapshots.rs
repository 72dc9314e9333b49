//! B5: nothing is trimmed that no snapshot holds that was read back.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{EventSeq, Timestamp};
use bookingq_store::Store;
use bookingq_store::replicated::{
    LogPair, LogRecord, Replica, ReplicatedConfig, ReplicatedStore, SnapshotFailed, take_snapshot,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::crash::Crash;
use crate::crowd::{client, join, join_with, place, random_step};
use crate::fake_log::{FakeLog, Faults, views, with_snapshots};
use crate::{SETTINGS, config};

/// Makes a snapshot whenever there is a new record.
fn always() -> ReplicatedConfig {
    ReplicatedConfig { snapshot_every: 1, ..config() }
}

fn perfect() -> LogPair<FakeLog> {
    with_snapshots(&FakeLog::new(Faults::default(), 1))
}

/// A process that starts now has the state of one that has read every record there ever was.
async fn same_state_as_from_zero(logs: &LogPair<FakeLog>, why: &str) {
    let late = ReplicatedStore::start(config(), views(logs));
    late.snapshot().await.unwrap_or_else(|error| panic!("{why}: {error}"));
    let (position, digest) = late.digest();
    let mut from_zero = Replica::new(SETTINGS);
    for record in logs.commands.history() {
        if position.is_some_and(|position| record.position.offset <= position.offset) {
            from_zero.replay(&record).unwrap();
        }
    }
    assert_eq!(from_zero.position(), position, "{why}");
    assert_eq!(from_zero.digest(), digest, "{why}");
}

#[tokio::test]
async fn a_snapshot_at_any_place_and_the_tail_are_the_whole_log() {
    for seed in 0..3 {
        let faults =
            Faults { doubles: 20, unacknowledged: 10, clock_jumps: 30, ..Faults::default() };
        let recorded = FakeLog::new(faults, seed);
        // The mark of a snapshot is a record too, and changes the digests after it.
        let config = ReplicatedConfig { digest_every: u64::MAX, ..config() };
        let store = ReplicatedStore::start(config, with_snapshots(&recorded));
        let (mut rng, mut hand) = (StdRng::seed_from_u64(seed), Vec::new());
        for _ in 0..60 {
            random_step(&store, &recorded, &mut rng, &mut hand).await;
        }
        let records = recorded.records();
        for place in (0..records.len()).step_by(5) {
            let logs = perfect();
            records[..=place].iter().for_each(|record| logs.commands.copy(record));
            let report = take_snapshot(&logs, &always()).await.unwrap().unwrap();
            assert!(report.is_kept && report.position.offset == place as u64);
            assert_eq!(logs.commands.start(), place as u64);
            records[place + 1..].iter().for_each(|record| logs.commands.copy(record));
            same_state_as_from_zero(&logs, &format!("seed {seed}, offset {place}")).await;
        }
    }
}

/// A crowd whose snapshot needs several chunks.
async fn large_crowd(logs: &LogPair<FakeLog>, name: &str) {
    let store = ReplicatedStore::start(config(), views(logs));
    let payload = vec![7; 4000];
    let clients = (0..300).map(|n| join_with(&format!("{name} {n}"), &payload)).collect();
    store.enqueue(clients).await.unwrap();
}

#[tokio::test]
async fn a_snapshotter_that_is_killed_at_any_step_loses_nothing() {
    let config = always();
    for takes_effect in [false, true] {
        let mut killed = 0;
        loop {
            let logs = perfect();
            large_crowd(&logs, "a").await;
            take_snapshot(&logs, &always()).await.unwrap().unwrap();
            large_crowd(&logs, "b").await;
            let crash = Arc::new(Crash::new(killed, takes_effect));
            for log in [&logs.commands, &logs.snapshots] {
                log.set_crash(Some(Arc::clone(&crash)));
            }
            let ended = tokio::select! {
                biased;
                () = crash.happened.notified() => None,
                done = take_snapshot(&logs, &config) => Some(done.unwrap()),
            };
            for log in [&logs.commands, &logs.snapshots] {
                log.set_crash(None);
            }
            let why = format!("killed at step {killed}, which takes effect: {takes_effect}");
            same_state_as_from_zero(&logs, &why).await;
            take_snapshot(&logs, &always()).await.unwrap();
            same_state_as_from_zero(&logs, &why).await;
            assert!(logs.commands.start() > 0, "{why}");
            if ended.is_some() {
                break;
            }
            killed += 1;
        }
        assert!(killed >= 7, "{killed} steps: 5 parts at least, the mark, and two trims");
    }
}

#[tokio::test]
async fn two_snapshotters_at_once_do_no_harm() {
    for seed in 0..6 {
        let faults = Faults {
            doubles: 20,
            unacknowledged: 20,
            refused: 10,
            delayed: 10,
            overtaken: 70,
            ..Faults::default()
        };
        let snapshots = FakeLog::new(faults, seed);
        let commands = FakeLog::new(Faults { overtaken: 50, ..Faults::default() }, seed);
        let logs = LogPair { commands, snapshots };
        let store = ReplicatedStore::start(config(), views(&logs));
        let mut kept = 0;
        for round in 0..6 {
            place(&store, &format!("c{round}")).await;
            let (config, client) = (always(), format!("d{round}"));
            let (one, other) = (views(&logs), views(&logs));
            let (one, other, _) = tokio::join!(
                take_snapshot(&one, &config),
                take_snapshot(&other, &config),
                place(&store, &client),
            );
            let reports = [one, other].into_iter().filter_map(|done| done.ok().flatten());
            kept += reports.filter(|report| report.is_kept).count();
            same_state_as_from_zero(&logs, &format!("seed {seed}, round {round}")).await;
        }
        assert!(kept > 0, "seed {seed}: no snapshot was kept");
        assert!(logs.commands.start() > 0, "seed {seed}: nothing was trimmed");
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_as_it_was_written_trims_nothing() {
    for faults in [
        Faults { swallowed: 100, ..Faults::default() },
        Faults { damaged: 100, ..Faults::default() },
    ] {
        for seed in 0..8 {
            let logs = perfect();
            large_crowd(&logs, "a").await;
            let snapshots = FakeLog::new(faults, seed);
            let logs = LogPair { snapshots, ..logs };
            let error = take_snapshot(&logs, &always()).await.unwrap_err();
            assert!(matches!(error, SnapshotFailed::NotReadBack(_)), "{error}");
            assert_eq!((logs.commands.start(), logs.snapshots.start()), (0, 0));
            same_state_as_from_zero(&logs, "no snapshot is of use").await;
        }
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_for_an_older_one() {
    let logs = perfect();
    large_crowd(&logs, "a").await;
    take_snapshot(&logs, &always()).await.unwrap().unwrap();
    let store = ReplicatedStore::start(config(), views(&logs));
    place(&store, "anna").await;
    logs.snapshots.set_faults(Faults { damaged: 30, ..Faults::default() });
    for _ in 0..5 {
        take_snapshot(&logs, &always()).await.ok();
        same_state_as_from_zero(&logs, "after a damaged snapshot").await;
    }
}

#[tokio::test]
async fn there_is_no_new_snapshot_before_enough_has_come() {
    let logs = perfect();
    let store = ReplicatedStore::start(config(), views(&logs));
    place(&store, "anna").await;
    place(&store, "ben").await;
    let config = ReplicatedConfig { snapshot_every: 3, ..config() };
    assert_eq!(take_snapshot(&logs, &config).await.unwrap(), None);
    place(&store, "carl").await;
    take_snapshot(&logs, &config).await.unwrap().unwrap();
    assert_eq!(take_snapshot(&logs, &config).await.unwrap(), None);
    // The store's own way to it.
    for client in ["d", "e", "f", "g"] {
        place(&store, client).await;
    }
    let compacting = ReplicatedStore::start(config.clone(), views(&logs));
    compacting.open().await.unwrap();
    let end = logs.commands.history().len() as u64;
    compacting.compact().await.unwrap();
    assert_eq!(logs.commands.start(), end - 1, "the newest record in the snapshot stays");
    assert_eq!(take_snapshot(&logs, &config).await.unwrap(), None);
}

#[tokio::test]
async fn a_worker_behind_the_start_of_the_log_loads_a_snapshot() {
    let logs = perfect();
    let behind = views(&logs);
    let worker = ReplicatedStore::start(config(), behind.clone());
    let other = ReplicatedStore::start(config(), views(&logs));
    let epoch = worker.open().await.unwrap().epoch;
    place(&worker, "anna").await;
    let seen = worker.latest_event().await.unwrap();
    behind.commands.set_frozen(true);
    // This one takes effect, and the answer is trimmed before the worker has read it.
    let ben = tokio::join!(worker.enqueue(join("ben")), async {
        while other.status(vec![client("ben")]).await.unwrap()[0].is_none() {}
        place(&other, "carl").await;
        take_snapshot(&logs, &always()).await.unwrap().unwrap();
        behind.commands.set_frozen(false);
    });
    let error = ben.0.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("outcome is unknown"), "{error}");
    let again = worker.enqueue(join("ben")).await.unwrap().remove(0).unwrap();
    assert!(again.existing);
    let snapshot = worker.snapshot().await.unwrap();
    assert_eq!(snapshot.totals.enqueued, 3);
    assert!(!snapshot.set_back, "nothing is lost");
    assert_eq!(snapshot.epoch, epoch);
    // The events in between are not in a snapshot.
    assert!(worker.events(seen, 9, Duration::ZERO).await.unwrap().gap);
    assert!(worker.events(EventSeq::START, 9, Duration::ZERO).await.unwrap().gap);
    place(&worker, "dora").await;
    same_state_as_from_zero(&logs, "after the worker was behind").await;
}

#[tokio::test]
async fn snapshots_of_what_the_log_has_lost_are_passed_over() {
    let logs = perfect();
    let store = ReplicatedStore::start(config(), views(&logs));
    place(&store, "anna").await;
    let config_of_snapshots = always();
    // Killed before the mark, so that nothing is trimmed.
    let crash = Arc::new(Crash::new(0, false));
    logs.commands.set_crash(Some(Arc::clone(&crash)));
    tokio::select! {
        () = crash.happened.notified() => {}
        done = take_snapshot(&logs, &config_of_snapshots) => panic!("it was not killed: {done:?}"),
    }
    logs.commands.set_crash(None);
    assert_eq!(logs.snapshots.records().len(), 3, "a whole snapshot");
    logs.commands.truncate(1);
    let other = ReplicatedStore::start(config(), views(&logs));
    place(&other, "ben").await;
    same_state_as_from_zero(&logs, "the snapshot holds what is lost").await;
    let found = other.status(vec![client("anna")]).await.unwrap();
    assert_eq!(found, [None]);
}

#[tokio::test]
async fn a_snapshot_that_the_log_does_not_say_is_kept_is_passed_over() {
    let logs = perfect();
    let store = ReplicatedStore::start(config(), views(&logs));
    place(&store, "anna").await;
    take_snapshot(&logs, &always()).await.unwrap().unwrap();
    place(&store, "ben").await;
    // As of a process that has another state than all others, and stops before the mark.
    let other = perfect();
    for record in &logs.commands.history() {
        let stamp = Timestamp(record.stamp.0 + 3_600_000);
        other.commands.copy(&LogRecord { stamp, ..record.clone() });
    }
    let wrong = LogPair { snapshots: logs.snapshots.view(), ..other };
    let before = logs.snapshots.records().len();
    let crash = Arc::new(Crash::new(0, false));
    wrong.commands.set_crash(Some(Arc::clone(&crash)));
    let config = always();
    tokio::select! {
        () = crash.happened.notified() => {}
        done = take_snapshot(&wrong, &config) => panic!("it was not killed: {done:?}"),
    }
    assert_eq!(logs.snapshots.records().len(), before + 3, "a whole snapshot");
    place(&store, "carl").await;
    same_state_as_from_zero(&logs, "the log does not know the newest snapshot").await;
}

#[tokio::test]
async fn a_log_that_was_trimmed_and_lost_the_mark_goes_on_from_its_snapshot() {
    let logs = perfect();
    let store = ReplicatedStore::start(config(), views(&logs));
    place(&store, "anna").await;
    place(&store, "ben").await;
    take_snapshot(&logs, &always()).await.unwrap().unwrap();
    logs.commands.truncate(1);
    assert!(logs.commands.start() > 0 && logs.commands.records().len() == 1, "no mark is left");
    let late = ReplicatedStore::start(config(), views(&logs));
    assert_eq!(late.snapshot().await.unwrap().totals.enqueued, 2);
}
