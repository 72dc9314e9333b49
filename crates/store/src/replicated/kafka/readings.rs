//! Readings of queues in one compacted topic, keyed by queue: a worker writes one a second, and the
//! operator reads those of all queues with one consumer. It holds no commands and decides nothing:
//! a reading that is lost or late only delays a decision of the operator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::QueueName;
use parking_lot::Mutex;
use rdkafka::Message as _;
use rdkafka::Offset;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::address::KafkaAddress;
use super::clients::{Consumer, RenewedProducer, follower, retire};
use crate::replicated::log::ReadingSink;
use crate::{Result, Snapshot, StoreError};

/// A consumer without any message for this long is replaced: it may be stuck.
const SILENT: Duration = Duration::from_secs(15);
/// Wait before a consumer is replaced after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Writes the readings of one queue.
pub(super) struct ReadingWriter {
    producer: Arc<RenewedProducer>,
    topic: String,
    queue: QueueName,
    /// Whether renewed certificates could not be used, which is said once.
    is_outdated: AtomicBool,
}

impl ReadingWriter {
    /// Connects at the first reading.
    pub(super) fn new(address: &KafkaAddress, queue: QueueName) -> Result<Self> {
        let producer = Arc::new(RenewedProducer::new(address)?);
        let is_outdated = AtomicBool::new(false);
        Ok(Self { producer, topic: address.readings(), queue, is_outdated })
    }

    /// Makes the producer again if certificates were renewed. Without files that can be used the
    /// one before goes on.
    async fn renew(&self) {
        let renewed = self.producer.renew().await;
        let was_outdated = self.is_outdated.swap(renewed.is_err(), Ordering::SeqCst);
        if let Err(error) = renewed
            && !was_outdated
        {
            tracing::warn!(topic = self.topic, %error, "renewed certificates cannot be used");
        }
    }
}

#[async_trait]
impl ReadingSink for ReadingWriter {
    async fn publish(&self, snapshot: &Snapshot) -> Result<()> {
        self.renew().await;
        let bytes = snapshot.encode();
        let record = FutureRecord::to(&self.topic)
            .partition(0)
            .key(self.queue.as_str())
            .payload(bytes.as_slice());
        let sent = self.producer.get().send(record, Timeout::After(Duration::ZERO)).await;
        sent.map(drop).map_err(|(error, _)| {
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut) {
                // It may be stuck. Settings that worked once make another one.
                self.producer.replace().ok();
            }
            StoreError::Unavailable(format!("a reading in topic {}: {error}", self.topic))
        })
    }
}

type NewestReadings = Arc<Mutex<HashMap<String, (Snapshot, Instant)>>>;

/// The newest reading of each queue whose readings are in one topic. Ends when dropped.
pub struct KafkaReadings {
    newest: NewestReadings,
    task: JoinHandle<()>,
}

impl KafkaReadings {
    /// Follows the topic from now on: a reading from before may be of any age.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the client cannot be made.
    ///
    /// # Panics
    /// Outside a Tokio runtime, since it starts a task.
    pub fn follow(address: &KafkaAddress) -> Result<Self> {
        // Made once before, so that settings that can never work are an error here.
        retire(&follower(address)?);
        let newest = NewestReadings::default();
        let task = tokio::spawn(follow(address.clone(), Arc::clone(&newest)));
        Ok(Self { newest, task })
    }

    /// The newest reading of a queue, and how long ago it came.
    pub fn newest(&self, queue: &QueueName) -> Option<(Snapshot, Duration)> {
        let newest = self.newest.lock();
        newest.get(queue.as_str()).map(|(snapshot, at)| (snapshot.clone(), at.elapsed()))
    }
}

impl Drop for KafkaReadings {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(address: KafkaAddress, newest: NewestReadings) {
    loop {
        let why = match open(&address) {
            Ok(consumer) => {
                let why = read(&consumer, &newest).await;
                retire(&consumer);
                why
            }
            Err(error) => error.to_string(),
        };
        tracing::debug!(topic = address.readings(), why, "readings are followed again");
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

fn open(address: &KafkaAddress) -> Result<Arc<Consumer>> {
    use rdkafka::consumer::Consumer as _;

    let failed = |error: rdkafka::error::KafkaError| StoreError::Unavailable(error.to_string());
    let consumer = follower(address)?;
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(&address.readings(), 0, Offset::End).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    Ok(consumer)
}

/// Reads until something is wrong, and says what.
async fn read(consumer: &Consumer, newest: &NewestReadings) -> String {
    loop {
        match tokio::time::timeout(SILENT, consumer.recv()).await {
            Ok(Ok(message)) => take(&message, newest),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("no reading for {SILENT:?}"),
        }
    }
}

/// Takes a reading. One that is older than the one before, of a worker that was held up, is left.
fn take(message: &BorrowedMessage<'_>, newest: &NewestReadings) {
    let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
    let (Some(queue), Some(payload)) = (key, message.payload()) else { return };
    match Snapshot::decode(payload) {
        Ok(snapshot) => {
            let mut newest = newest.lock();
            let is_older = |(before, _): &(Snapshot, Instant)| {
                before.epoch == snapshot.epoch && before.now > snapshot.now
            };
            if !newest.get(queue).is_some_and(is_older) {
                newest.insert(queue.to_owned(), (snapshot, Instant::now()));
            }
        }
        Err(error) => tracing::debug!(queue, %error, "a reading cannot be read"),
    }
}
