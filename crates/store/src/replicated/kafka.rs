//! A log of commands in Kafka: its address, and the way in.
//!
//! ```text
//!   address    kafka://HOST:PORT,...  -> bootstrap servers and topics
//!   log        KafkaLog: append, tail, trim; replaces clients that are stuck
//!     |- reader    one consumer that was assigned, and whether the log is still the one it read
//!     |- clients   settings of producers and consumers
//!     |- topic     which settings of a topic keep the promises, and how a topic is made
//!     '- metadata  the id of a topic, which the client library does not show
//! ```
//!
//! All but the address needs the feature `kafka`.

mod address;
#[cfg(feature = "kafka")]
mod clients;
#[cfg(feature = "kafka")]
mod log;
#[cfg(feature = "kafka")]
mod metadata;
#[cfg(feature = "kafka")]
mod reader;
#[cfg(feature = "kafka")]
mod topic;

use std::sync::Arc;

pub use self::address::KafkaAddress;
#[cfg(feature = "kafka")]
pub use self::log::KafkaLog;
use super::config::ReplicatedConfig;
use crate::{Result, Store};

/// Settings of a store on Kafka.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// The brokers, and the prefix of the topics.
    pub address: KafkaAddress,
    /// The queue, and how its commands are replicated.
    pub replicated: ReplicatedConfig,
}

/// Which brokers have a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlacement {
    /// The id of the broker that leads it, if one does.
    pub leader: Option<u32>,
    /// How many brokers have all of it.
    pub in_sync: usize,
}

/// Opens a store on Kafka. It connects at its first call.
#[cfg(feature = "kafka")]
pub(crate) fn open(config: KafkaConfig) -> Result<Arc<dyn Store>> {
    let KafkaConfig { address, replicated } = config;
    let queue = replicated.queue.clone();
    let logs = move || KafkaLog::pair(&address, &queue);
    let store = super::ReplicatedStore::start(replicated, logs()?);
    Ok(Arc::new(store.with_logs_for_snapshots(logs)))
}

/// Makes the two topics of a queue, unless they are there: one partition, `replication` replicas,
/// and the settings that keep the store's promises. Returns whether one was made.
///
/// # Errors
/// [`StoreError::Unavailable`](crate::StoreError::Unavailable) if no broker answers,
/// [`StoreError::Settings`](crate::StoreError::Settings) if the brokers refuse it, and in a build
/// without the feature `kafka`.
#[cfg(feature = "kafka")]
pub async fn create_topics(
    address: &KafkaAddress,
    queue: &bookingq_core::QueueName,
    replication: u16,
) -> Result<bool> {
    let commands = topic::create(address, &address.commands(queue), replication).await?;
    Ok(topic::create(address, &address.snapshots(queue), replication).await? || commands)
}

/// The log of a queue's commands, as a program has it that tests what is done with it.
///
/// # Errors
/// [`StoreError::Settings`](crate::StoreError::Settings) if the client cannot be made, and in a
/// build without the feature `kafka`.
#[cfg(feature = "kafka")]
pub fn open_commands(
    address: &KafkaAddress,
    queue: &bookingq_core::QueueName,
) -> Result<Arc<dyn super::CommandLog>> {
    Ok(Arc::new(KafkaLog::new(address, address.commands(queue))?))
}

/// Who has the log of a queue's commands.
///
/// # Errors
/// [`StoreError::Unavailable`](crate::StoreError::Unavailable) if no broker answers,
/// [`StoreError::Settings`](crate::StoreError::Settings) in a build without the feature `kafka`.
#[cfg(feature = "kafka")]
pub async fn log_placement(
    address: &KafkaAddress,
    queue: &bookingq_core::QueueName,
) -> Result<LogPlacement> {
    let facts = topic::facts(address, &address.commands(queue)).await?;
    Ok(LogPlacement { leader: u32::try_from(facts.leader).ok(), in_sync: facts.in_sync })
}

#[cfg(not(feature = "kafka"))]
pub(crate) fn open(_: KafkaConfig) -> Result<Arc<dyn Store>> {
    Err(not_built())
}

/// Makes the topics of a queue; not in this build.
///
/// # Errors
/// Always [`StoreError::Settings`](crate::StoreError::Settings): this build has no feature `kafka`.
#[cfg(not(feature = "kafka"))]
#[allow(clippy::unused_async, reason = "the same as with the feature")]
pub async fn create_topics(_: &KafkaAddress, _: &bookingq_core::QueueName, _: u16) -> Result<bool> {
    Err(not_built())
}

/// The log of a queue's commands; not in this build.
///
/// # Errors
/// Always [`StoreError::Settings`](crate::StoreError::Settings): this build has no feature `kafka`.
#[cfg(not(feature = "kafka"))]
pub fn open_commands(
    _: &KafkaAddress,
    _: &bookingq_core::QueueName,
) -> Result<Arc<dyn super::CommandLog>> {
    Err(not_built())
}

/// Who has the log of a queue's commands; not in this build.
///
/// # Errors
/// Always [`StoreError::Settings`](crate::StoreError::Settings): this build has no feature `kafka`.
#[cfg(not(feature = "kafka"))]
#[allow(clippy::unused_async, reason = "the same as with the feature")]
pub async fn log_placement(_: &KafkaAddress, _: &bookingq_core::QueueName) -> Result<LogPlacement> {
    Err(not_built())
}

#[cfg(not(feature = "kafka"))]
fn not_built() -> crate::StoreError {
    crate::StoreError::Settings(
        "kafka:// needs a bookingq that was built with the feature `kafka` \
         (cargo build --release --features kafka)"
            .to_owned(),
    )
}
