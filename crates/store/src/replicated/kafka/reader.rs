//! One consumer of the log, and whether the log is still the one that was read.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::Timestamp;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::address::KafkaAddress;
use super::clients::{Consumer, consumer, retire};
use crate::replicated::log::{LogCursor, LogError, LogPosition, LogRecord};

/// Longest that a broker may take to say where the log begins and ends, and for the record that
/// was read last to arrive.
const WITHIN: Duration = Duration::from_secs(1);
/// How long the log may end before what was read from it until it counts as lost. A leader that
/// was cut off, and does not know it yet, may say so for a while.
const SHORT_FOR: Duration = Duration::from_secs(15);

/// Reads on from a cursor.
pub(super) struct Reader {
    consumer: Arc<Consumer>,
    topic: String,
    /// Where it reads on.
    at: LogCursor,
    /// What came after the records that were returned last.
    failed: Option<LogError>,
}

/// Since when the log has ended before what was read from it.
#[derive(Debug, Default)]
pub(super) struct Shortfall(Option<Instant>);

impl Reader {
    /// A consumer that reads on at `at`. Fails with [`LogError::Truncated`] if the record that `at`
    /// names is not there.
    pub(super) async fn open(
        address: &KafkaAddress,
        topic: &str,
        at: LogCursor,
        shortfall: &mut Shortfall,
    ) -> Result<Self, LogError> {
        let consumer =
            consumer(address).map_err(|error| LogError::Unavailable(error.to_string()))?;
        let reader = Self { consumer, topic: topic.to_owned(), at, failed: None };
        let (start, end) = reader.watermarks().await?;
        let next = at.next();
        if next < start {
            return Err(LogError::Trimmed { start });
        }
        if next > end {
            return Err(shortfall.classify(at, end));
        }
        match at {
            // The log begins right after it, so that it cannot be read again.
            LogCursor::After(read) if read.offset >= start => reader.verify(read).await?,
            _ => reader.assign(next)?,
        }
        *shortfall = Shortfall::default();
        Ok(reader)
    }

    /// Where it reads on.
    pub(super) fn at(&self) -> LogCursor {
        self.at
    }

    /// Reads up to `max` records; waits up to `wait` for the first one.
    pub(super) async fn read(
        &mut self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut records = Vec::new();
        let until = Instant::now() + wait;
        while records.is_empty() {
            let Ok(message) = tokio::time::timeout_at(until, self.consumer.recv()).await else {
                return Ok(records);
            };
            records.extend(record(message)?);
        }
        while records.len() < max {
            let message = tokio::select! {
                biased;
                message = self.consumer.recv() => message,
                () = ready(()) => break,
            };
            match record(message) {
                Ok(found) => records.extend(found),
                // What came before it counts.
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if let Some(last) = records.last() {
            self.at = LogCursor::After(last.position);
        }
        Ok(records)
    }

    /// Where the log begins and ends.
    async fn watermarks(&self) -> Result<(u64, u64), LogError> {
        let (consumer, topic) = (Arc::clone(&self.consumer), self.topic.clone());
        let asked =
            tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&topic, 0, WITHIN)).await;
        let unavailable = |error: String| LogError::Unavailable(error);
        let (start, end) = asked
            .map_err(|error| unavailable(error.to_string()))?
            .map_err(|error| unavailable(error.to_string()))?;
        Ok((start.unsigned_abs(), end.unsigned_abs()))
    }

    fn assign(&self, offset: u64) -> Result<(), LogError> {
        let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
        let mut list = TopicPartitionList::with_capacity(1);
        let offset = Offset::Offset(offset as i64);
        list.add_partition_offset(&self.topic, 0, offset).map_err(unavailable)?;
        self.consumer.assign(&list).map_err(unavailable)
    }

    /// Reads the record again that was read last.
    async fn verify(&self, read: LogPosition) -> Result<(), LogError> {
        self.assign(read.offset)?;
        let late = |_| LogError::Unavailable("the newest record does not arrive".to_owned());
        let until = Instant::now() + WITHIN;
        loop {
            let message = tokio::time::timeout_at(until, self.consumer.recv()).await;
            match record(message.map_err(late)?)? {
                Some(found) if found.position == read => return Ok(()),
                Some(_) => return Err(LogError::Truncated),
                None => {}
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        retire(&self.consumer);
    }
}

impl Shortfall {
    /// What it means that the log ends before the next record to read.
    fn classify(&mut self, at: LogCursor, end: u64) -> LogError {
        let since = *self.0.get_or_insert_with(Instant::now);
        if matches!(at, LogCursor::After(_)) && since.elapsed() >= SHORT_FOR {
            *self = Self::default();
            return LogError::Truncated;
        }
        LogError::Unavailable(format!("the log ends at offset {end}, before the next record"))
    }
}

/// A message as a record; `None` for what is no record but passes by itself.
fn record(message: Result<BorrowedMessage<'_>, KafkaError>) -> Result<Option<LogRecord>, LogError> {
    let message = match message {
        Ok(message) => message,
        // There is no group whose coordinator matters.
        Err(KafkaError::MessageConsumption(
            RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator,
        )) => return Ok(None),
        Err(error) => return Err(LogError::Unavailable(error.to_string())),
    };
    let offset = message.offset().unsigned_abs();
    let rdkafka::Timestamp::LogAppendTime(stamp) = message.timestamp() else {
        return Err(LogError::Unusable(format!(
            "the record at offset {offset} has no LogAppendTime: message.timestamp.type of its \
             topic was changed"
        )));
    };
    let stamp = Timestamp(stamp.unsigned_abs());
    let bytes = message.payload().unwrap_or_default().to_vec();
    let position = LogPosition { offset, term: xxh3_64_with_seed(&bytes, stamp.0) };
    Ok(Some(LogRecord { position, stamp, bytes }))
}
