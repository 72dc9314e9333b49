//! A log of commands in Kafka: its address, and the way in.
//!
//! ```text
//!   address    kafka://HOST:PORT,...  -> bootstrap servers and topics
//!   security   TLS, and how to log in
//!   log        KafkaLog: append, tail, trim; replaces clients that are stuck
//!     |- reader    one consumer that was assigned, and whether the log is still the one it read
//!     |- clients   settings of producers and consumers
//!     |- topic     which settings of a topic keep the promises, and how a topic is made
//!     '- metadata  the id of a topic, which the client library does not show
//!         '- connection  a connection of our own: TLS by rustls, SASL
//!             '- scram     proves to know a password
//!   readings   one topic with the newest snapshot of each queue, for the operator
//!   settings   commands of the operator, which reads no log
//! ```
//!
//! All but the address and its security needs the feature `kafka`.

mod address;
#[cfg(feature = "kafka")]
mod clients;
#[cfg(feature = "kafka")]
mod connection;
#[cfg(feature = "kafka")]
mod log;
#[cfg(feature = "kafka")]
mod metadata;
#[cfg(feature = "kafka")]
mod reader;
#[cfg(feature = "kafka")]
mod readings;
#[cfg(feature = "kafka")]
mod scram;
mod security;
#[cfg(feature = "kafka")]
mod settings;
#[cfg(feature = "kafka")]
mod topic;
#[cfg(not(feature = "kafka"))]
mod unbuilt;

#[cfg(feature = "kafka")]
use std::sync::Arc;

pub use self::address::KafkaAddress;
#[cfg(feature = "kafka")]
pub use self::log::KafkaLog;
#[cfg(feature = "kafka")]
pub use self::readings::KafkaReadings;
pub use self::security::{KafkaLogin, KafkaSecurity, KafkaTls};
#[cfg(feature = "kafka")]
pub use self::settings::KafkaSettings;
#[cfg(not(feature = "kafka"))]
pub(crate) use self::unbuilt::open;
#[cfg(not(feature = "kafka"))]
pub use self::unbuilt::{
    UnbuiltReadings as KafkaReadings, UnbuiltSettings as KafkaSettings, check_built, create_topics,
    ensure_topics, log_placement, open_commands,
};
use super::config::ReplicatedConfig;
#[cfg(feature = "kafka")]
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
    let readings = readings::ReadingWriter::new(&address, queue.clone())?;
    let logs = move || KafkaLog::pair(&address, &queue);
    let store = super::ReplicatedStore::start(replicated, logs()?);
    Ok(Arc::new(store.with_logs_for_snapshots(logs).with_readings(readings)))
}

/// Fails in a build without the feature `kafka`; not in this one.
///
/// # Errors
/// [`StoreError::Settings`](crate::StoreError::Settings), which names the feature.
#[cfg(feature = "kafka")]
pub fn check_built() -> Result<()> {
    Ok(())
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

/// The log of a queue's commands, for fault runs, which append to it themselves.
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

/// Makes the topics of a queue and that of readings as far as they are missing, and checks those
/// that are there. Returns the names of those that were made.
///
/// # Errors
/// As those of [`create_topics`], and [`StoreError::Settings`](crate::StoreError::Settings) with
/// the first setting that would break a promise.
#[cfg(feature = "kafka")]
pub async fn ensure_topics(
    address: &KafkaAddress,
    queue: &bookingq_core::QueueName,
    replication: u16,
) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for topic in [address.commands(queue), address.snapshots(queue)] {
        if topic::create(address, &topic, replication).await? {
            made.push(topic);
        }
    }
    if topic::create_readings(address, replication).await? {
        made.push(address.readings());
    }
    Ok(made)
}
