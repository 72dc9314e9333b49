//! What a replicated store costs a process: the start with many waiting bookings, from a snapshot
//! and from the whole log, the snapshot itself, and the digest that each command keeps up to date.
//!
//! ```text
//! cargo run --release -p bookingq-store --example replica_cost -- 1000000
//! ```
//!
//! Its log is in memory, so that this is what the process does, and not what a broker does. Prints
//! one line for each figure.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId, Timestamp};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, QueueLimits};
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogPosition, LogRecord, ReplicatedConfig,
    ReplicatedStore, take_snapshot,
};
use bookingq_store::{Enqueue, Scope, Settlement, Store, TaskOutcome};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bookings in one call.
const BATCH: u64 = 256;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bookings = std::env::args().nth(1).map_or(100_000, |n| n.parse().expect("a number"));
    let logs = LogPair { commands: MemoryLog::new(), snapshots: MemoryLog::new() };
    let config = ReplicatedConfig {
        timeout: Duration::from_secs(600),
        ..ReplicatedConfig::new(QueueName::new("cost").unwrap())
    };
    let store = ReplicatedStore::start(config.clone(), logs.clone());
    for first in (0..bookings).step_by(BATCH as usize) {
        let batch = (first..bookings.min(first + BATCH)).map(join).collect();
        store.enqueue(batch).await.unwrap();
    }
    drop(store);
    println!("{bookings} bookings wait, in {} records", logs.commands.records.lock().len());
    start("from the whole log", &config, &logs, bookings).await;
    let always = ReplicatedConfig { snapshot_every: 1, ..config.clone() };
    let measured = Measured::begin();
    let report = take_snapshot(&logs, &always).await.unwrap().unwrap();
    println!("snapshot: {measured}, {} parts, {} bytes", report.parts, report.bytes);
    start("from the snapshot", &config, &logs, bookings).await;
    lives(bookings.min(200_000));
}

/// Starts a process and waits until it is ready.
async fn start(what: &str, config: &ReplicatedConfig, logs: &LogPair<MemoryLog>, bookings: u64) {
    let measured = Measured::begin();
    let store = ReplicatedStore::start(config.clone(), logs.clone());
    store.open().await.unwrap();
    println!("start {what}: {measured}");
    assert_eq!(store.snapshot().await.unwrap().backlog, bookings);
}

/// Whole lives on the engine alone, without and with the digest.
fn lives(bookings: u64) {
    for tracks in [false, true] {
        let mut queue = Queue::new(Duration::ZERO, 1);
        if tracks {
            queue.track_digest();
        }
        let measured = Measured::begin();
        for first in (0..bookings).step_by(BATCH as usize) {
            let batch = (first..bookings.min(first + BATCH)).map(join).collect();
            apply(&mut queue, &QueueCommand::Enqueue(batch));
            let (max, lease) = (BATCH as usize, Duration::from_secs(60));
            let claim = QueueCommand::Claim { max, lease, scope: Scope::Everything };
            let QueueAnswer::Claimed(claim) = apply(&mut queue, &claim) else { unreachable!() };
            let settled = claim.tasks.iter().map(|task| Settlement {
                lease: task.lease(),
                outcome: TaskOutcome::Rejected { reason: String::new() },
                busy: Duration::ZERO,
            });
            apply(&mut queue, &QueueCommand::Settle(settled.collect()));
        }
        let with = if tracks { "with" } else { "without" };
        println!("{bookings} times enqueue, claim and settle {with} the digest: {measured}");
    }
}

fn apply(queue: &mut Queue, command: &QueueCommand) -> QueueAnswer {
    let limits = QueueLimits { retention: Duration::from_secs(3600), outbox_events: 1000 };
    queue.apply(command, limits, Timestamp(1_800_000_000_000))
}

fn join(number: u64) -> Enqueue {
    Enqueue {
        client: ClientId::new(&format!("client-{number:08}")).unwrap(),
        request: RequestId::new(&format!("request-{number:08}")).unwrap(),
        booking: BookingId::generate(),
        details: Details::new("stalls", 2, b"").unwrap(),
        trace: None,
    }
}

/// Time since the beginning of something, and the CPU time of this process.
struct Measured {
    begun: Instant,
    cpu: Duration,
}

impl Measured {
    fn begin() -> Self {
        Self { begun: Instant::now(), cpu: cpu() }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2?}, {:.2?} of CPU", self.begun.elapsed(), cpu().saturating_sub(self.cpu))
    }
}

/// CPU time of this process, which Linux counts in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// A log in this process.
struct MemoryLog {
    records: Mutex<Vec<LogRecord>>,
    start: Mutex<u64>,
    grown: Notify,
}

impl MemoryLog {
    fn new() -> Arc<Self> {
        let (records, start) = (Mutex::default(), Mutex::default());
        Arc::new(Self { records, start, grown: Notify::new() })
    }
}

#[async_trait]
impl CommandLog for MemoryLog {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        let (start, end) = (*self.start.lock(), self.records.lock().len() as u64);
        Ok(LogBounds { id: "memory".to_owned(), start, end })
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let stamp = Timestamp(now.as_millis() as u64);
        let mut records = self.records.lock();
        let position = LogPosition { offset: records.len() as u64, term: 1 };
        records.push(LogRecord { position, stamp, bytes: bytes.to_vec() });
        drop(records);
        self.grown.notify_waiters();
        Ok(())
    }

    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        let next = from.next();
        let read = async {
            loop {
                let grown = self.grown.notified();
                let found: Vec<_> =
                    self.records.lock().iter().skip(next as usize).take(max).cloned().collect();
                if !found.is_empty() {
                    return found;
                }
                grown.await;
            }
        };
        Ok(tokio::time::timeout(wait, read).await.unwrap_or_default())
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        *self.start.lock() = below;
        Ok(())
    }
}
