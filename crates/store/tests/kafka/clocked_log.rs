//! A log on Kafka whose stamps are those of a clock that a test moves. The broker's clock goes on
//! by itself, and the suite compares milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{Timestamp, time};
use bookingq_store::replicated::{CommandLog, KafkaLog, LogBounds, LogCursor, LogError, LogRecord};

pub struct ClockedLog {
    log: Arc<KafkaLog>,
    now: AtomicU64,
}

impl ClockedLog {
    pub fn new(log: Arc<KafkaLog>) -> Self {
        Self { log, now: AtomicU64::new(1_800_000_000_000) }
    }

    /// Of the records that are read from now on.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(time::millis(by), Ordering::SeqCst);
    }
}

#[async_trait]
impl CommandLog for ClockedLog {
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
        for record in &mut records {
            record.stamp = Timestamp(self.now.load(Ordering::SeqCst));
        }
        Ok(records)
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        self.log.trim(below).await
    }
}
