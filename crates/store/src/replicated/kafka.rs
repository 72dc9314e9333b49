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
mod scram;
mod security;
#[cfg(feature = "kafka")]
mod topic;

use std::sync::Arc;

pub use self::address::KafkaAddress;
#[cfg(feature = "kafka")]
pub use self::log::KafkaLog;
pub use self::security::{KafkaLogin, KafkaSecurity, KafkaTls};
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

/// Opens a store on Kafka. It connects at its first call.
#[cfg(feature = "kafka")]
pub(crate) fn open(config: KafkaConfig) -> Result<Arc<dyn Store>> {
    let KafkaConfig { address, replicated } = config;
    let queue = replicated.queue.clone();
    let logs = move || KafkaLog::pair(&address, &queue);
    let store = super::ReplicatedStore::start(replicated, logs()?);
    Ok(Arc::new(store.with_logs_for_snapshots(logs)))
}

/// Fails in a build without the feature `kafka`.
///
/// # Errors
/// [`StoreError::Settings`](crate::StoreError::Settings), which names the feature.
#[cfg(feature = "kafka")]
pub fn check_built() -> Result<()> {
    Ok(())
}

/// Fails in a build without the feature `kafka`, as this one is.
///
/// # Errors
/// [`StoreError::Settings`](crate::StoreError::Settings), which names the feature.
#[cfg(not(feature = "kafka"))]
pub fn check_built() -> Result<()> {
    Err(not_built())
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

#[cfg(not(feature = "kafka"))]
fn not_built() -> crate::StoreError {
    crate::StoreError::Settings(
        "kafka:// needs a bookingq that was built with the feature `kafka` \
         (cargo build --release --features kafka)"
            .to_owned(),
    )
}
