//! Doubled, delayed, lost and unacknowledged records, and clocks that step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::ClientId;
use bookingq_store::replicated::{
    CommandLog as _, LogPosition, LogRecord, MAX_RECORD_BYTES, Replica, ReplicatedConfig,
    ReplicatedStore,
};
use bookingq_store::{Cancel, Scope, Store, StoreError};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::crowd::{LEASE, join, place, random_step};
use crate::fake_log::{FakeLog, Faults, with_snapshots};
use crate::{SETTINGS, config, same_state_as_a_second_replica};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Joins `clients` of a worker and claims after each; returns the places and the claimed clients.
async fn work(
    store: Arc<ReplicatedStore<FakeLog>>,
    worker: usize,
    clients: usize,
) -> (Vec<u64>, Vec<String>) {
    let (mut places, mut claimed) = (Vec::new(), Vec::new());
    for client in 0..clients {
        places.push(place(&store, &format!("{worker} {client}")).await);
        let claim = store.claim(1, LEASE, Scope::Everything).await.unwrap();
        claimed.extend(claim.tasks.iter().map(|task| task.client.to_string()));
    }
    (places, claimed)
}

#[tokio::test]
async fn two_workers_agree_on_a_log_that_fails_in_every_way() {
    for seed in 0..8 {
        let faults = Faults {
            doubles: 20,
            unacknowledged: 20,
            refused: 10,
            swallowed: 10,
            delayed: 20,
            clock_jumps: 30,
            ..Faults::default()
        };
        let log = FakeLog::new(faults, seed);
        let start = || Arc::new(ReplicatedStore::start(config(), with_snapshots(&log)));
        let (one, other) = (start(), start());
        let (mine, theirs) =
            tokio::join!(work(Arc::clone(&one), 1, 40), work(Arc::clone(&other), 2, 40));
        let places: BTreeSet<u64> = mine.0.iter().chain(&theirs.0).copied().collect();
        assert_eq!(places, (1..=80).collect(), "seed {seed}: each client has a place of its own");
        assert!(mine.0.is_sorted() && theirs.0.is_sorted(), "seed {seed}: in the order of joining");
        let claims: Vec<&String> = mine.1.iter().chain(&theirs.1).collect();
        let distinct: BTreeSet<&&String> = claims.iter().collect();
        assert_eq!(distinct.len(), claims.len(), "seed {seed}: a task has one worker");
        log.set_faults(Faults::default());
        for store in [&one, &other] {
            let snapshot = store.snapshot().await.unwrap();
            assert_eq!(snapshot.totals.enqueued, 80);
            assert_eq!(snapshot.totals.claimed, 80);
            same_state_as_a_second_replica(store, &log);
        }
        assert!(log.records().len() > 162, "there were doubles and repeats");
    }
}

#[tokio::test]
async fn a_caller_is_answered_only_by_what_was_read_back() {
    let swallows = Faults { swallowed: 100, ..Faults::default() };
    let log = FakeLog::new(swallows, 1);
    let short = ReplicatedConfig { timeout: Duration::from_millis(200), ..config() };
    let store = ReplicatedStore::start(short, with_snapshots(&log));
    let error = store.enqueue(join("anna")).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(_)), "{error}");
    // The envelope is sent until it is read back, so it takes effect in the end, once.
    log.set_faults(Faults::default());
    let again = store.enqueue(join("anna")).await.unwrap().remove(0).unwrap();
    assert!(again.existing);
    assert_eq!(again.booking.place.number.get(), 1);
}

#[tokio::test]
async fn a_worker_that_reads_nothing_does_not_answer_what_it_knows() {
    let log = FakeLog::new(Faults::default(), 1);
    let short = ReplicatedConfig { timeout: Duration::from_millis(200), ..config() };
    let store = ReplicatedStore::start(short, with_snapshots(&log));
    place(&store, "anna").await;
    log.set_frozen(true);
    let anna = vec![ClientId::new("anna").unwrap()];
    let error = store.status(anna.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(_)), "{error}");
    let error = store.snapshot().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    log.set_frozen(false);
    assert!(store.status(anna).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn a_leader_that_was_cut_off_shows_nothing_old() {
    let log = FakeLog::new(Faults::default(), 1);
    let cut_off = log.view();
    let short = ReplicatedConfig { timeout: Duration::from_millis(200), ..config() };
    let one = ReplicatedStore::start(short, with_snapshots(&cut_off));
    let other = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&one, "anna").await;
    one.snapshot().await.unwrap();
    cut_off.cut_off();
    // The others go on at another leader.
    place(&other, "ben").await;
    let both = ["anna", "ben"].map(|name| ClientId::new(name).unwrap());
    let error = one.status(both.to_vec()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(other.status(both.to_vec()).await.unwrap().iter().all(Option::is_some));
}

#[tokio::test]
async fn a_read_forgets_nothing() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&store, "anna").await;
    let anna = ClientId::new("anna").unwrap();
    let cancel = Cancel { client: anna.clone(), booking: None };
    store.cancel(vec![cancel]).await.unwrap().remove(0).unwrap();
    for _ in 0..3 {
        assert!(store.status(vec![anna.clone()]).await.unwrap()[0].is_some());
        store.snapshot().await.unwrap();
        same_state_as_a_second_replica(&store, &log);
    }
}

#[tokio::test]
async fn every_envelope_twice_or_again_after_half_a_minute_is_the_same_as_once() {
    for seed in 0..4 {
        let log = FakeLog::new(Faults::default(), seed);
        // Claims about digests name offsets, and the same stands at others here.
        let config = ReplicatedConfig { digest_every: u64::MAX, ..config() };
        let store = ReplicatedStore::start(config, with_snapshots(&log));
        let (mut rng, mut hand) = (StdRng::seed_from_u64(seed), Vec::new());
        for _ in 0..60 {
            random_step(&store, &log, &mut rng, &mut hand).await;
        }
        let records = log.records();
        let state = |records: Vec<&LogRecord>| {
            let mut replica = Replica::new(SETTINGS);
            for (offset, record) in (0..).zip(records) {
                let position = LogPosition { offset, ..record.position };
                replica.replay(&LogRecord { position, ..record.clone() }).unwrap();
            }
            let mut queue = Vec::new();
            replica.queue().encode(MAX_RECORD_BYTES).for_each(|part| queue.extend(part));
            queue
        };
        let (expected, end) = (state(records.iter().collect()), records.len());
        let doubled = records.iter().flat_map(|record| [record, record]).collect();
        assert!(state(doubled) == expected, "seed {seed}: at once");
        // What was stamped half a minute before comes again, by which time others have sent more.
        let late = |index: usize| {
            let stamp = records[index].stamp;
            records[..index].iter().rfind(|old| old.stamp + HALF_A_MINUTE <= stamp)
        };
        let again: Vec<_> =
            (0..end).flat_map(|index| [Some(&records[index]), late(index)]).flatten().collect();
        assert!(again.len() > end + end / 4, "seed {seed}: {} of {end}", again.len());
        assert!(state(again) == expected, "seed {seed}: half a minute later");
    }
}

#[tokio::test]
async fn a_read_sees_what_another_worker_has_acknowledged_before() {
    let log = FakeLog::new(Faults { doubles: 30, delayed: 30, ..Faults::default() }, 5);
    let one = ReplicatedStore::start(config(), with_snapshots(&log));
    let other = ReplicatedStore::start(config(), with_snapshots(&log));
    for n in 0..40 {
        let client = format!("c{n}");
        place(&one, &client).await;
        let found = other.status(vec![ClientId::new(&client).unwrap()]).await.unwrap();
        assert!(found[0].is_some(), "{client}");
        // A follower that comes from one worker gets no gap at the other.
        let latest = one.latest_event().await.unwrap();
        let events = other.events(latest, 9, Duration::from_millis(1)).await.unwrap();
        assert!(!events.gap);
    }
}

#[tokio::test]
async fn time_stands_still_while_the_clock_of_the_log_is_behind() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&store, "anna").await;
    let lease = Duration::from_secs(10);
    assert_eq!(store.claim(1, lease, Scope::Everything).await.unwrap().tasks.len(), 1);
    let before = store.snapshot().await.unwrap().now;
    log.set_back(Duration::from_secs(60));
    assert_eq!(store.snapshot().await.unwrap().now, before);
    log.advance(Duration::from_secs(65));
    assert_eq!(store.snapshot().await.unwrap().now.since(before), Duration::from_secs(5));
    assert!(store.claim(1, lease, Scope::DueOnly).await.unwrap().tasks.is_empty());
    log.advance(Duration::from_secs(5));
    store.latest_event().await.unwrap();
    assert_eq!(store.claim(1, lease, Scope::DueOnly).await.unwrap().tasks.len(), 1);
    // What was due stays done, although the clock goes back behind it.
    log.set_back(Duration::from_secs(60));
    assert!(store.claim(1, lease, Scope::DueOnly).await.unwrap().tasks.is_empty());
    same_state_as_a_second_replica(&store, &log);
}

/// As when a server whose clock is years ahead leads for a moment.
#[tokio::test]
async fn a_double_after_a_leap_of_the_clock_is_still_known() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&store, "anna").await;
    assert_eq!(store.claim(1, LEASE, Scope::Everything).await.unwrap().tasks.len(), 1);
    log.advance(Duration::from_secs(1_000 * 24 * 3600));
    // Another sender, as each start of a process is one.
    let other = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&other, "ben").await;
    for record in log.records() {
        log.append(&record.bytes).await.unwrap();
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.totals.enqueued, snapshot.totals.claimed), (2, 1));
    same_state_as_a_second_replica(&store, &log);
}

#[tokio::test]
async fn a_log_whose_beginning_was_trimmed_is_refused() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&store, "anna").await;
    place(&store, "ben").await;
    log.trim(1).await.unwrap();
    place(&store, "carl").await;
    let late = ReplicatedStore::start(config(), with_snapshots(&log));
    let error = late.snapshot().await.unwrap_err();
    assert!(error.to_string().contains("the log begins at offset 1"), "{error}");
}
