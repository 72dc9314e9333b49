//! A replica whose state is not that of others loads it again. It goes on if that heals it, or
//! shows that the others are wrong; one that is wrong in any other way stops, and only that one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Admission, Timestamp};
use bookingq_harness::wait::eventually;
use bookingq_store::Store as _;
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogRecord, ReplicatedConfig,
    ReplicatedStore, take_snapshot,
};
use parking_lot::Mutex;

use crate::config;
use crate::fake_log::{FakeLog, Faults, views, with_snapshots};

const LIMIT: Duration = Duration::from_secs(20);
const HOUR: u64 = 3_600_000;

/// The offset of a record, and what its stamp is shown later by.
type MisreadAt = (u64, u64);
/// What is misread after a record was.
type ThenMisread = fn(MisreadAt) -> Option<MisreadAt>;

/// Shows one record with another stamp: as memory that flips a bit would do to a state.
struct Misread {
    log: Arc<FakeLog>,
    at: Mutex<Option<MisreadAt>>,
    then: ThenMisread,
}

#[async_trait]
impl CommandLog for Misread {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        self.log.bounds().await
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        self.log.append(bytes).await
    }

    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        let mut records = self.log.tail(from, max, wait).await?;
        let mut misread = self.at.lock();
        if let Some((offset, later)) = *misread
            && let Some(record) = records.iter_mut().find(|one| one.position.offset == offset)
        {
            record.stamp = Timestamp(record.stamp.0 + later);
            *misread = (self.then)((offset, later));
        }
        Ok(records)
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        self.log.trim(below).await
    }
}

/// The same logs for a process that misreads the command at offset 5.
fn misreading(logs: &LogPair<FakeLog>, then: ThenMisread) -> LogPair<Misread> {
    let LogPair { commands, snapshots } = views(logs);
    let at = Mutex::new(Some((5, HOUR)));
    let snapshots = Misread { log: snapshots, at: Mutex::new(None), then };
    LogPair {
        commands: Arc::new(Misread { log: commands, at, then }),
        snapshots: Arc::new(snapshots),
    }
}

#[tokio::test]
async fn a_replica_whose_state_differs_loads_it_again_and_serves() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let right = ReplicatedStore::start(config(), logs.clone());
    right.set_admission(Admission::Open).await.unwrap();
    let wrong = ReplicatedStore::start(config(), misreading(&logs, |_| None));
    eventually("the state is loaded again", LIMIT, async || {
        right.set_admission(Admission::Open).await.unwrap();
        wrong.reloads() == 1
    })
    .await;
    wrong.set_admission(Admission::Paused).await.unwrap();
    assert_eq!(right.snapshot().await.unwrap().admission, Admission::Paused);
    assert_eq!(wrong.snapshot().await.unwrap().epoch, right.snapshot().await.unwrap().epoch);
    eventually("both have read the same", LIMIT, async || wrong.digest() == right.digest()).await;
    assert_eq!((wrong.reloads(), right.reloads()), (1, 0));
    assert_eq!((wrong.wrong_claims(), right.wrong_claims()), (0, 0));
}

#[tokio::test]
async fn a_state_may_differ_again_after_the_log_was_replaced() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let right = ReplicatedStore::start(config(), logs.clone());
    let wrong_logs = misreading(&logs, |_| None);
    let commands = Arc::clone(&wrong_logs.commands);
    *commands.at.lock() = Some((40, HOUR));
    let wrong = ReplicatedStore::start(config(), wrong_logs);
    eventually("the state is loaded again", LIMIT, async || {
        right.set_admission(Admission::Open).await.unwrap();
        wrong.reloads() == 1
    })
    .await;
    // At a smaller offset than before, since it is another log.
    *commands.at.lock() = Some((5, HOUR));
    log.replace();
    eventually("the new log differs, too", LIMIT, async || {
        right.set_admission(Admission::Open).await.ok();
        commands.at.lock().is_none() && wrong.reloads() >= 2
    })
    .await;
    eventually("it serves", LIMIT, async || {
        right.set_admission(Admission::Open).await.ok();
        wrong.set_admission(Admission::Open).await.is_ok() && wrong.digest() == right.digest()
    })
    .await;
}

/// Appends what another process would have sent that has another state.
async fn forge(log: &FakeLog) {
    let mut forged = log.records().pop().unwrap().bytes;
    *forged.last_mut().unwrap() ^= 1;
    log.append(&forged).await.unwrap();
}

fn claims(record: &LogRecord) -> bool {
    record.bytes.windows(2).any(|pair| pair == [0x42, 0x16])
}

#[tokio::test]
async fn a_claim_that_is_wrong_stops_no_replica() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let store = ReplicatedStore::start(config(), logs.clone());
    eventually("a digest is claimed", LIMIT, async || {
        store.set_admission(Admission::Open).await.unwrap();
        log.records().last().is_some_and(claims)
    })
    .await;
    forge(&log).await;
    eventually("the claim is refused", LIMIT, async || store.wrong_claims() == 1).await;
    assert_eq!(store.reloads(), 1);
    // Twice: each digest can be disputed.
    eventually("the next digest is claimed", LIMIT, async || {
        store.set_admission(Admission::Open).await.unwrap();
        log.records().last().is_some_and(claims) && log.records().len() > 21
    })
    .await;
    forge(&log).await;
    eventually("the claim is refused", LIMIT, async || store.wrong_claims() == 2).await;
    store.set_admission(Admission::Paused).await.unwrap();
    // So does a process that comes later, and a snapshot.
    let later = ReplicatedStore::start(config(), logs.clone());
    eventually("it has read all", LIMIT, async || {
        later.snapshot().await.is_ok_and(|found| found.admission == Admission::Paused)
    })
    .await;
    assert_eq!(later.wrong_claims(), 2);
    let config = ReplicatedConfig { snapshot_every: 1, ..config() };
    assert!(take_snapshot(&logs, &config).await.unwrap().unwrap().is_kept);
    store.set_admission(Admission::Open).await.unwrap();
    later.set_admission(Admission::Open).await.unwrap();
}

/// Three replicas, of which one has a wrong state and claims it. It stops, the two others go on.
async fn one_stops_of_three(then: ThenMisread) -> (String, u64) {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    // Far enough apart that all three speak of one digest.
    let config = ReplicatedConfig { digest_every: 60, ..config() };
    let well = [0, 1].map(|_| ReplicatedStore::start(config.clone(), views(&logs)));
    let sick = ReplicatedStore::start(config.clone(), misreading(&logs, then));
    let mut stopped = None;
    eventually("the sick one stops", 3 * LIMIT, async || {
        // The sick one first, so that it claims a digest before the others do. A call that waits
        // while a state is loaded again fails.
        stopped = sick.set_admission(Admission::Open).await.err().map(|error| error.to_string());
        for store in &well {
            store.set_admission(Admission::Open).await.ok();
        }
        stopped.as_ref().is_some_and(|why| why.contains("has digest"))
    })
    .await;
    for store in &well {
        store.set_admission(Admission::Paused).await.unwrap();
    }
    let [one, other] = &well;
    eventually("both have read the same", LIMIT, async || one.digest() == other.digest()).await;
    for _ in 0..200 {
        one.set_admission(Admission::Open).await.unwrap();
    }
    let snapshots = ReplicatedConfig { snapshot_every: 1, ..config };
    assert!(take_snapshot(&logs, &snapshots).await.unwrap().unwrap().is_kept);
    sick.set_admission(Admission::Open).await.unwrap_err();
    (stopped.unwrap(), one.wrong_claims())
}

#[tokio::test]
async fn a_replica_whose_state_is_another_one_each_time_stops_alone() {
    let (why, _) = one_stops_of_three(|(offset, later)| Some((offset, later + HOUR))).await;
    assert!(why.contains("a third one"), "{why}");
}

#[tokio::test]
async fn a_replica_whose_state_is_wrong_in_the_same_way_each_time_stops_alone() {
    let (why, wrong_claims) = one_stops_of_three(Some).await;
    assert!(wrong_claims >= 1, "the others have read its claim");
    assert!(why.contains("more processes"), "{why}");
}
