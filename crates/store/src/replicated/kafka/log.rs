//! The log of commands in one topic with one partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::QueueName;
use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::admin::AdminOptions;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::address::KafkaAddress;
use super::clients::{RenewedProducer, admin, retire};
use super::reader::{Reader, Shortfall};
use super::topic::{self, TopicError};
use crate::StoreError;
use crate::replicated::log::{CommandLog, LogBounds, LogCursor, LogError, LogPair, LogRecord};

/// How long a record that was appended may take to be read back until producer and consumer are
/// replaced.
const STUCK: Duration = Duration::from_secs(5);
/// How often the topic's id is looked up, and how long its settings count as known.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const SETTINGS_FOR: Duration = Duration::from_secs(60);
/// How often settings that are wrong are read again.
const REFUSED_FOR: Duration = Duration::from_secs(2);
/// Longest that a broker may take for what is no record, and to drop records.
const WITHIN: Duration = Duration::from_secs(3);
const TRIM_WITHIN: Duration = Duration::from_secs(9);

/// What brokers answer that refuse to drop records, and would again.
const DENIED: [RDKafkaErrorCode; 4] = [
    RDKafkaErrorCode::TopicAuthorizationFailed,
    RDKafkaErrorCode::ClusterAuthorizationFailed,
    RDKafkaErrorCode::PolicyViolation,
    RDKafkaErrorCode::InvalidRequest,
];

/// One topic with one partition as a log.
///
/// The `term` of a position is a digest of the record with its stamp, since the client library
/// does not show the term of the leader that appended it. So a record that was read last, and
/// another one in its place, differ in what they hold.
pub struct KafkaLog {
    shared: Arc<KafkaClients>,
    reader: tokio::sync::Mutex<LogReading>,
    /// Ends with the log.
    watch: Mutex<Option<JoinHandle<()>>>,
}

struct KafkaClients {
    address: KafkaAddress,
    topic: String,
    producer: Arc<RenewedProducer>,
    /// The consumer has to be replaced.
    is_stale: AtomicBool,
    /// The digest of the record that was appended last, until it is read back, and since when it
    /// waits with these clients.
    pending: Mutex<Option<(u64, Instant)>>,
    /// The id of the topic, and when its settings were checked.
    checked: Mutex<Option<(Uuid, Instant)>>,
    /// The settings have to be read at the next look: a record was refused.
    is_doubtful: AtomicBool,
    /// What is wrong with its settings, and when they were read.
    refused: Mutex<Option<(String, Instant)>>,
    /// Whether readers have been warned that the log is away.
    is_away: AtomicBool,
}

#[derive(Default)]
struct LogReading {
    reader: Option<Reader>,
    /// The id of the topic that was read.
    id: Option<Uuid>,
    shortfall: Shortfall,
}

impl KafkaLog {
    /// The log in a topic. It connects at its first call.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the client cannot be made.
    pub fn new(address: &KafkaAddress, topic: String) -> Result<Self, StoreError> {
        let shared = KafkaClients {
            producer: Arc::new(RenewedProducer::new(address)?),
            address: address.clone(),
            topic,
            is_stale: AtomicBool::new(false),
            pending: Mutex::new(None),
            checked: Mutex::new(None),
            is_doubtful: AtomicBool::new(false),
            refused: Mutex::new(None),
            is_away: AtomicBool::new(false),
        };
        let (reader, watch) = (tokio::sync::Mutex::default(), Mutex::new(None));
        Ok(Self { shared: Arc::new(shared), reader, watch })
    }

    /// The two logs of a queue.
    ///
    /// # Errors
    /// As those of [`Self::new`].
    pub fn pair(address: &KafkaAddress, queue: &QueueName) -> Result<LogPair<Self>, StoreError> {
        Ok(LogPair {
            commands: Arc::new(Self::new(address, address.commands(queue))?),
            snapshots: Arc::new(Self::new(address, address.snapshots(queue))?),
        })
    }

    /// Reads on at `from`, with another consumer if need be.
    async fn read(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        let mut reading = self.reader.lock().await;
        // Also while a consumer is there: what breaks a promise must not be read on.
        let id = self.usable().await?;
        let is_stale = self.shared.is_stale.swap(false, Ordering::SeqCst);
        let is_other = reading.id.is_some_and(|before| before != id);
        if is_stale || is_other || reading.reader.as_ref().is_none_or(|reader| reader.at() != from)
        {
            reading.reader = None;
            self.reopen(&mut reading, from, id).await.inspect_err(|_| {
                self.shared.is_stale.store(true, Ordering::SeqCst);
            })?;
        }
        let Some(reader) = &mut reading.reader else { return Ok(Vec::new()) };
        let found = reader.read(max, wait).await;
        if found.is_err() {
            reading.reader = None;
        }
        found
    }

    async fn reopen(
        &self,
        reading: &mut LogReading,
        from: LogCursor,
        id: Uuid,
    ) -> Result<(), LogError> {
        let before = reading.id.replace(id);
        if matches!(from, LogCursor::After(_)) && before.is_some_and(|before| before != id) {
            return Err(LogError::Replaced);
        }
        let KafkaClients { address, topic, .. } = &*self.shared;
        let opened = Reader::open(address, topic, from, &mut reading.shortfall).await;
        reading.reader = Some(opened?);
        Ok(())
    }

    /// The id of the topic, if it keeps the promises; `watch` looks again from then on.
    async fn usable(&self) -> Result<Uuid, LogError> {
        self.watch.lock().get_or_insert_with(|| tokio::spawn(watch(Arc::clone(&self.shared))));
        self.shared.usable().await
    }
}

#[async_trait]
impl CommandLog for KafkaLog {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        let id = self.usable().await?;
        let (producer, topic) = (self.shared.producer.get(), self.shared.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            producer.client().fetch_watermarks(&topic, 0, WITHIN)
        });
        let unavailable = |error: String| LogError::Unavailable(error);
        let (start, end) = asked
            .await
            .map_err(|error| unavailable(error.to_string()))?
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(LogBounds { id: id.to_string(), start: start.unsigned_abs(), end: end.unsigned_abs() })
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        self.usable().await?;
        self.shared.expect(bytes)?;
        let producer = self.shared.producer.get();
        let record = FutureRecord::<(), [u8]>::to(&self.shared.topic).partition(0).payload(bytes);
        let sent = producer.send(record, Timeout::After(Duration::ZERO)).await;
        sent.map(drop).map_err(|(error, _)| {
            // Perhaps because of a setting.
            self.shared.is_doubtful.store(true, Ordering::SeqCst);
            LogError::Unavailable(error.to_string())
        })
    }

    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        let found = self.read(from, max, wait).await;
        self.shared.warn(found.as_ref().err());
        let records = found?;
        self.shared.read_back(&records);
        Ok(records)
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        let KafkaClients { address, topic, .. } = &*self.shared;
        let why = |error: &dyn std::fmt::Display| {
            format!("records of topic {topic} cannot be dropped: {error}")
        };
        let unavailable = |error: &dyn std::fmt::Display| LogError::Unavailable(why(error));
        let failed = |error: &KafkaError| match error.rdkafka_error_code() {
            Some(code) if DENIED.contains(&code) => LogError::Denied(why(error)),
            _ => LogError::Unavailable(why(error)),
        };
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, 0, Offset::Offset(below as i64))
            .map_err(|error| unavailable(&error))?;
        let client = admin(address).map_err(|error| unavailable(&error))?;
        let options = AdminOptions::new()
            .request_timeout(Some(TRIM_WITHIN))
            .operation_timeout(Some(TRIM_WITHIN));
        let answer = client.delete_records(&list, &options).await;
        retire(&client);
        let answer = answer.map_err(|error| failed(&error))?;
        match answer
            .elements()
            .first()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::error)
        {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(failed(&error)),
            None => Err(unavailable(&"no answer")),
        }
    }
}

impl KafkaClients {
    /// The id of the topic, if it keeps the promises. Once that is known no call waits for it:
    /// `watch` looks again.
    async fn usable(&self) -> Result<Uuid, LogError> {
        let known = *self.checked.lock();
        if let Some((id, _)) = known {
            return Ok(id);
        }
        let refused = self.refused.lock().clone();
        if let Some((why, _)) = refused.filter(|(_, at)| at.elapsed() < REFUSED_FOR) {
            return Err(LogError::Unusable(why));
        }
        match topic::check(&self.address, &self.topic).await {
            Ok(facts) => {
                *self.checked.lock() = Some((facts.id, Instant::now()));
                Ok(facts.id)
            }
            Err(TopicError::Unavailable(why)) => Err(LogError::Unavailable(why)),
            Err(TopicError::Refused(why)) => {
                *self.refused.lock() = Some((why.clone(), Instant::now()));
                Err(LogError::Unusable(why))
            }
        }
    }

    /// Reads the topic's id, and its settings if they were not read for long.
    async fn look(&self) -> Option<Uuid> {
        let is_old = |checked: &Option<(Uuid, Instant)>| {
            checked.is_none_or(|(_, at)| at.elapsed() >= SETTINGS_FOR)
        };
        let is_doubtful = self.is_doubtful.swap(false, Ordering::SeqCst);
        if !is_doubtful && !is_old(&self.checked.lock()) {
            return topic::facts(&self.address, &self.topic).await.ok().map(|facts| facts.id);
        }
        match topic::check(&self.address, &self.topic).await {
            Ok(facts) => {
                *self.checked.lock() = Some((facts.id, Instant::now()));
                Some(facts.id)
            }
            // Brokers that are away have not changed the settings; a doubt stays.
            Err(TopicError::Unavailable(_)) => {
                self.is_doubtful.fetch_or(is_doubtful, Ordering::SeqCst);
                None
            }
            Err(TopicError::Refused(why)) => {
                *self.refused.lock() = Some((why, Instant::now()));
                *self.checked.lock() = None;
                None
            }
        }
    }

    /// Remembers what is sent. If the same was sent before and not read back in time, both clients
    /// are replaced.
    fn expect(&self, bytes: &[u8]) -> Result<(), LogError> {
        let (digest, now) = (xxh3_64(bytes), Instant::now());
        let mut pending = self.pending.lock();
        match &mut *pending {
            Some((sent, since)) if *sent == digest => {
                if since.elapsed() < STUCK {
                    return Ok(());
                }
                *since = now;
            }
            other => {
                *other = Some((digest, now));
                return Ok(());
            }
        }
        drop(pending);
        tracing::warn!(topic = self.topic, "a record was not read back in time; reconnecting");
        self.reconnect().map_err(|error| LogError::Unavailable(error.to_string()))
    }

    /// Replaces both clients.
    fn reconnect(&self) -> Result<(), StoreError> {
        self.producer.replace()?;
        self.is_stale.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Replaces both clients if certificates were renewed.
    async fn renew(&self) {
        match self.producer.renew().await {
            Ok(true) => {
                tracing::info!(topic = self.topic, "certificates were renewed; reconnecting");
                self.is_stale.store(true, Ordering::SeqCst);
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(topic = self.topic, %error, "renewed certificates cannot be used");
            }
        }
    }

    /// Forgets what was sent once it is read back.
    fn read_back(&self, records: &[LogRecord]) {
        let mut pending = self.pending.lock();
        if let Some((digest, _)) = *pending
            && records.iter().any(|record| xxh3_64(&record.bytes) == digest)
        {
            *pending = None;
        }
    }

    /// Says once that the log is away, and that it is back.
    fn warn(&self, error: Option<&LogError>) {
        let was_away = self.is_away.swap(error.is_some(), Ordering::SeqCst);
        match error {
            Some(error) if !was_away => tracing::warn!(topic = self.topic, %error, "no log"),
            None if was_away => tracing::info!(topic = self.topic, "the log is read again"),
            _ => {}
        }
    }
}

/// Looks whether the topic is another one by now, which no consumer notices by itself, whether its
/// settings are still right, and whether certificates were renewed. Begins with the first call,
/// which fails for as long as certificates are not right.
async fn watch(shared: Arc<KafkaClients>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        shared.renew().await;
        // Calls look by themselves for a topic that was not found yet.
        let Some((id, _)) = *shared.checked.lock() else { continue };
        if let Some(found) = shared.look().await
            && found != id
        {
            *shared.checked.lock() = None;
            shared.is_stale.store(true, Ordering::SeqCst);
        }
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.lock().take() {
            watch.abort();
        }
    }
}
