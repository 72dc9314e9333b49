//! Snapshots on a broker: written, read back, and what they make superfluous is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::QueueName;
use bookingq_harness::wait::{answered, eventually};
use bookingq_store::Store as _;
use bookingq_store::replicated::{
    CommandLog, KafkaAddress, KafkaConfig, KafkaLog, LogBounds, LogCursor, LogError, LogPair,
    LogRecord, ReplicatedConfig, ReplicatedStore,
};

use crate::broker::{address, config, queue, shared, topics_of};
use crate::support::enqueue;

const LIMIT: Duration = Duration::from_secs(30);
/// Records between two snapshots in these tests.
const EVERY: u64 = 30;

fn often(queue: &QueueName) -> ReplicatedConfig {
    ReplicatedConfig { snapshot_every: EVERY, ..config(queue.clone()) }
}

/// A store that takes snapshots through logs of their own, as in production.
fn store(address: &KafkaAddress, queue: &QueueName) -> ReplicatedStore<KafkaLog> {
    let logs = {
        let (address, queue) = (address.clone(), queue.clone());
        move || KafkaLog::pair(&address, &queue)
    };
    ReplicatedStore::start(often(queue), logs().unwrap()).with_logs_for_snapshots(logs)
}

/// Lets `clients` join, each with a record of its own.
async fn join(store: &ReplicatedStore<KafkaLog>, clients: std::ops::Range<u64>) {
    for client in clients {
        store.enqueue(vec![enqueue(&format!("c{client}"))]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_do_not_grow_for_ever_and_a_process_starts_from_a_snapshot() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let busy = store(&address, &queue);
    let mut lengths = Vec::new();
    for round in 0..4 {
        join(&busy, round * (EVERY + 5)..(round + 1) * (EVERY + 5)).await;
        busy.compact().await.unwrap();
        let logs = KafkaLog::pair(&address, &queue).unwrap();
        let (commands, snapshots) = (
            answered(LIMIT, async || logs.commands.bounds().await).await,
            answered(LIMIT, async || logs.snapshots.bounds().await).await,
        );
        assert!(commands.start >= (round + 1) * EVERY, "{commands:?} after round {round}");
        assert!(commands.end - commands.start <= 3, "{commands:?}");
        lengths.push(snapshots.end - snapshots.start);
    }
    assert!(lengths.iter().all(|length| (1..=4).contains(length)), "{lengths:?}");
    let late = store(&address, &queue);
    late.open().await.unwrap();
    assert_eq!(late.snapshot().await.unwrap().totals, busy.snapshot().await.unwrap().totals);
    eventually("both have read the same", LIMIT, async || late.digest() == busy.digest()).await;
    assert_eq!(late.reloads(), 0, "it has begun with the snapshot");
}

/// A log that its process does not get to read for a while.
struct Stalled {
    log: Arc<KafkaLog>,
    is_stalled: AtomicBool,
}

#[async_trait]
impl CommandLog for Stalled {
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
        if self.is_stalled.load(Ordering::SeqCst) {
            // Another place, so that nothing stays that the client has read ahead.
            self.log.tail(LogCursor::From(0), 1, Duration::ZERO).await.ok();
            return Err(LogError::Unavailable("it is stalled".to_owned()));
        }
        self.log.tail(from, max, wait).await
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        self.log.trim(below).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_behind_the_start_of_the_log_loads_a_snapshot_and_serves() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let busy = store(&address, &queue);
    let LogPair { commands, snapshots } = KafkaLog::pair(&address, &queue).unwrap();
    let stalled = |log| Arc::new(Stalled { log, is_stalled: AtomicBool::new(false) });
    let logs = LogPair { commands: stalled(commands), snapshots: stalled(snapshots) };
    let behind = ReplicatedStore::start(often(&queue), logs.clone());
    join(&busy, 0..5).await;
    assert_eq!(behind.snapshot().await.unwrap().totals.enqueued, 5);
    logs.commands.is_stalled.store(true, Ordering::SeqCst);
    join(&busy, 5..EVERY + 10).await;
    busy.compact().await.unwrap();
    logs.commands.is_stalled.store(false, Ordering::SeqCst);
    let epoch = busy.snapshot().await.unwrap().epoch;
    let found = behind.snapshot().await.unwrap();
    assert_eq!((found.totals.enqueued, found.epoch), (EVERY + 10, epoch), "no data is lost");
    assert_eq!(behind.reloads(), 1, "it was behind the start of the log");
}

/// The store that the program opens, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_opened_by_its_settings_takes_snapshots() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let open = KafkaConfig { address: address.clone(), replicated: often(&queue) };
    let store = bookingq_store::open(open).unwrap();
    for client in 0..EVERY {
        store.enqueue(vec![enqueue(&format!("c{client}"))]).await.unwrap();
    }
    store.compact().await.unwrap();
    let logs = KafkaLog::pair(&address, &queue).unwrap();
    assert!(answered(LIMIT, async || logs.commands.bounds().await).await.start > 0);
}
