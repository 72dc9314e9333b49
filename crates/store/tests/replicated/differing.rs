//! A replica whose state is not that of others loads it again. It goes on if that heals it, or
//! makes the same state again; one whose state is another one each time stops, and only that one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Admission, Timestamp};
use bookingq_harness::wait::eventually;
use bookingq_store::Store as _;
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogRecord, ReplicatedConfig,
    ReplicatedStore, SnapshotFailed, SnapshotReport, take_snapshot,
};
use parking_lot::Mutex;

use crate::config;
use crate::fake_log::{FakeLog, Faults, views, with_snapshots};

const LIMIT: Duration = Duration::from_secs(20);
const HOUR: u64 = 3_600_000;
/// Where the name of its sender begins in a record: after the rules, and the tag of the name.
const SENDER_AT: usize = 3;

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
    // Of its sender's name and of its digest.
    forged[SENDER_AT] ^= 1;
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

/// Three replicas, of which one has a wrong state and claims it.
struct OneOfThree {
    logs: LogPair<FakeLog>,
    well: [ReplicatedStore<FakeLog>; 2],
    sick: ReplicatedStore<Misread>,
    config: ReplicatedConfig,
}

impl OneOfThree {
    fn start(then: ThenMisread) -> Self {
        let log = FakeLog::new(Faults::default(), 1);
        let logs = with_snapshots(&log);
        // Far enough apart that all three speak of one digest.
        let config = ReplicatedConfig { digest_every: 60, ..config() };
        let well = [0, 1].map(|_| ReplicatedStore::start(config.clone(), views(&logs)));
        let sick = ReplicatedStore::start(config.clone(), misreading(&logs, then));
        Self { logs, well, sick, config }
    }

    /// Calls all of them. A call that waits while a state is loaded again fails. Returns why that
    /// of the sick one did, which comes first so that it claims a digest before the others do.
    async fn call(&self) -> Option<String> {
        let failed = self.sick.set_admission(Admission::Open).await.err();
        for store in &self.well {
            store.set_admission(Admission::Open).await.ok();
        }
        failed.map(|error| error.to_string())
    }

    /// The two others serve, and none has stopped.
    async fn others_serve(&self) {
        for store in &self.well {
            store.set_admission(Admission::Paused).await.unwrap();
        }
        let [one, other] = &self.well;
        eventually("both have read the same", LIMIT, async || one.digest() == other.digest()).await;
    }

    /// Takes a snapshot, if the processes agree.
    async fn snapshot(&self) -> Result<Option<SnapshotReport>, SnapshotFailed> {
        let config = ReplicatedConfig { snapshot_every: 1, ..self.config.clone() };
        take_snapshot(&self.logs, &config).await
    }
}

#[tokio::test]
async fn a_replica_whose_state_is_another_one_each_time_stops_alone() {
    let three = OneOfThree::start(|(offset, later)| Some((offset, later + HOUR)));
    let mut stopped = None;
    eventually("the sick one stops", 3 * LIMIT, async || {
        stopped = three.call().await.filter(|why| why.contains("has digest"));
        stopped.is_some()
    })
    .await;
    let why = stopped.unwrap();
    assert!(why.contains("a third one"), "{why}");
    three.others_serve().await;
    three.sick.set_admission(Admission::Open).await.unwrap_err();
    // Once it speaks no more, the others agree.
    for _ in 0..200 {
        three.well[0].set_admission(Admission::Open).await.unwrap();
    }
    assert!(three.snapshot().await.unwrap().unwrap().is_kept);
}

#[tokio::test]
async fn a_replica_that_was_wrong_once_serves_on_although_it_has_claimed_it() {
    let three = OneOfThree::start(|_| None);
    // It alone, past the first digest, which it claims before the others say anything.
    for _ in 0..70 {
        three.sick.set_admission(Admission::Open).await.unwrap();
    }
    eventually("the others have read its claim", 3 * LIMIT, async || {
        three.call().await;
        three.well.iter().all(|store| store.wrong_claims() == 1) && three.sick.reloads() == 1
    })
    .await;
    // Over several digests.
    for _ in 0..100 {
        three.call().await;
    }
    three.others_serve().await;
    three.sick.set_admission(Admission::Open).await.unwrap();
    assert_eq!((three.sick.reloads(), three.sick.wrong_claims()), (1, 0));
    let others = three.well.each_ref().map(|store| (store.reloads(), store.wrong_claims()));
    assert_eq!(others, [(1, 1); 2]);
    eventually("all have read the same", LIMIT, async || {
        three.sick.digest() == three.well[0].digest()
    })
    .await;
    assert!(three.snapshot().await.unwrap().unwrap().is_kept);
}

#[tokio::test]
async fn a_replica_whose_state_is_wrong_in_the_same_way_each_time_stops_no_other_one() {
    let three = OneOfThree::start(Some);
    eventually("all know of several digests that differ", 3 * LIMIT, async || {
        three.call().await;
        three.sick.wrong_claims() >= 3 && three.well.iter().all(|store| store.wrong_claims() >= 3)
    })
    .await;
    three.others_serve().await;
    for store in &three.well {
        assert_eq!(store.reloads(), 1, "who was wrong once is not worth another load");
    }
    assert!(three.sick.reloads() <= 2, "each of the others once");
}

#[tokio::test]
async fn no_snapshot_is_made_between_a_dispute_and_the_next_digest_that_all_agree_on() {
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
    let config = ReplicatedConfig { snapshot_every: 1, ..config() };
    let newest = || log.records().last().unwrap().position.offset;
    let block = newest() / config.digest_every;
    // Also where the next digest is there, and none has said anything of it.
    while newest() <= (block + 1) * config.digest_every {
        let error = take_snapshot(&logs, &config).await.unwrap_err();
        assert!(matches!(error, SnapshotFailed::Undecided), "{error}");
        store.set_admission(Admission::Open).await.unwrap();
    }
    eventually("a digest was agreed on", LIMIT, async || {
        store.set_admission(Admission::Open).await.unwrap();
        take_snapshot(&logs, &config).await.is_ok()
    })
    .await;
}
