//! A store that loads its state again, as one in Kafka does after its state differed from others'.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{QueueName, Timestamp};
use bookingq_store::Store as _;
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogPosition, LogRecord, ReplicatedConfig,
    ReplicatedStore,
};
use bookingq_worker::{Worker, WorkerConfig};
use parking_lot::Mutex;
use support::{World, eventually, local};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A log that can break, so that who reads it loads the state again.
#[derive(Default)]
struct BreakingLog {
    records: Mutex<Vec<LogRecord>>,
    breaks: AtomicBool,
}

#[async_trait]
impl CommandLog for BreakingLog {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        Ok(LogBounds { id: "log".to_owned(), start: 0, end: self.records.lock().len() as u64 })
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        let mut records = self.records.lock();
        let position = LogPosition { offset: records.len() as u64, term: 1 };
        records.push(LogRecord { position, stamp: Timestamp(1), bytes: bytes.to_vec() });
        Ok(())
    }

    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        _: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        if self.breaks.swap(false, Ordering::SeqCst) {
            return Err(LogError::Trimmed { start: 0 });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let next = usize::try_from(from.next()).unwrap();
        Ok(self.records.lock().iter().skip(next).take(max).cloned().collect())
    }

    async fn trim(&self, _: u64) -> Result<(), LogError> {
        Ok(())
    }
}

/// A counter of a worker without labels of its own.
async fn counter(admin: std::net::SocketAddr, name: &str) -> u64 {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let line = page.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// The follower has applied events of a state that may have been wrong.
#[tokio::test]
async fn the_line_is_read_again_when_the_state_was_loaded_again() {
    let world = World::new("stock=10").await;
    let commands = Arc::new(BreakingLog::default());
    let logs = LogPair { commands: Arc::clone(&commands), snapshots: Arc::default() };
    let config = ReplicatedConfig::new(QueueName::new("concert").unwrap());
    let store = Arc::new(ReplicatedStore::start(config, logs));
    let config = WorkerConfig { admin: Some(local()), ..world.config("w") };
    let worker = Worker::start(config, Arc::clone(&store) as Arc<_>).await.unwrap();
    let admin = worker.admin_addr().unwrap();
    let again = "bookingqueue_outbox_gaps_total";
    eventually("the worker reads the queue", async || {
        counter(admin, "bookingqueue_store_up").await == 1
    })
    .await;
    assert_eq!(counter(admin, again).await, 0);
    commands.breaks.store(true, Ordering::SeqCst);
    eventually("the state is loaded again", async || store.reloads() == 1).await;
    eventually("the line is read again", async || counter(admin, again).await == 1).await;
    assert_eq!(counter(admin, "bookingqueue_store_losses_total").await, 0);
    worker.drain().await;
}
