//! A replica whose state is not that of others loads it again, and stops only if it differs still.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Admission, Timestamp};
use bookingq_harness::wait::eventually;
use bookingq_store::Store as _;
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogRecord, ReplicatedStore,
};
use parking_lot::Mutex;

use crate::config;
use crate::fake_log::{FakeLog, Faults, with_snapshots};

const LIMIT: Duration = Duration::from_secs(20);

/// Shows one record with another stamp the first time that it is read: as memory that flips a bit
/// would do to a state.
struct MisreadOnce {
    log: Arc<FakeLog>,
    misread: Mutex<Option<u64>>,
}

#[async_trait]
impl CommandLog for MisreadOnce {
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
        let mut misread = self.misread.lock();
        let found = records.iter_mut().find(|record| Some(record.position.offset) == *misread);
        if let Some(record) = found {
            record.stamp = Timestamp(record.stamp.0 + 3_600_000);
            *misread = None;
        }
        Ok(records)
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        self.log.trim(below).await
    }
}

#[tokio::test]
async fn a_replica_whose_state_differs_loads_it_again_and_serves() {
    let log = FakeLog::new(Faults::default(), 1);
    let logs = with_snapshots(&log);
    let right = ReplicatedStore::start(config(), logs.clone());
    right.set_admission(Admission::Open).await.unwrap();
    let misread = |log, misread| Arc::new(MisreadOnce { log, misread: Mutex::new(misread) });
    let wrong = LogPair {
        commands: misread(logs.commands, Some(5)),
        snapshots: misread(logs.snapshots, None),
    };
    let wrong = ReplicatedStore::start(config(), wrong);
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
}

#[tokio::test]
async fn a_replica_whose_state_differs_again_stops() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    let claims = |record: &LogRecord| record.bytes.windows(2).any(|pair| pair == [0x42, 0x16]);
    eventually("a digest is claimed", LIMIT, async || {
        store.set_admission(Admission::Open).await.unwrap();
        log.records().last().is_some_and(claims)
    })
    .await;
    // What another process would have sent that has another state.
    let mut forged = log.records().pop().unwrap().bytes;
    *forged.last_mut().unwrap() ^= 1;
    log.append(&forged).await.unwrap();
    let error = store.set_admission(Admission::Paused).await.unwrap_err().to_string();
    assert!(error.contains("has digest"), "{error}");
    assert_eq!(store.reloads(), 1);
}
