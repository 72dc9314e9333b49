//! Opening a store from its settings, without naming its kind.

use std::sync::Arc;

use bookingq_core::QueueName;

use crate::memory::{MemoryConfig, MemoryStore};
use crate::redis::{RedisConfig, RedisStore};
use crate::replicated::{self, KafkaConfig};
use crate::{Result, Store};

/// Settings of a store, one variant for each kind.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// In this process's memory.
    Memory(MemoryConfig),
    /// In Redis.
    Redis(RedisConfig),
    /// In every process that opens it, from a log in Kafka; needs the feature `kafka`.
    Kafka(KafkaConfig),
}

impl StoreConfig {
    /// An embedded store with the default settings.
    pub fn memory(queue: QueueName) -> Self {
        Self::Memory(MemoryConfig::new(queue))
    }
}

impl From<MemoryConfig> for StoreConfig {
    fn from(config: MemoryConfig) -> Self {
        Self::Memory(config)
    }
}

impl From<RedisConfig> for StoreConfig {
    fn from(config: RedisConfig) -> Self {
        Self::Redis(config)
    }
}

impl From<KafkaConfig> for StoreConfig {
    fn from(config: KafkaConfig) -> Self {
        Self::Kafka(config)
    }
}

/// Opens a store. It connects at its first call, so the server need not be reachable yet.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use bookingq_core::{ClientId, QueueName};
/// use bookingq_store::StoreConfig;
///
/// let config = StoreConfig::memory(QueueName::new("concert").unwrap());
/// let store = bookingq_store::open(config).unwrap();
/// let anna = ClientId::new("anna").unwrap();
/// assert_eq!(store.status(vec![anna]).await.unwrap(), [None]);
/// # });
/// ```
///
/// # Errors
/// [`StoreError::Settings`](crate::StoreError::Settings) if the settings are invalid, or this build
/// has no store of that kind.
///
/// # Panics
/// Outside a Tokio runtime if the store is one on Kafka, which starts tasks.
pub fn open(config: impl Into<StoreConfig>) -> Result<Arc<dyn Store>> {
    Ok(match config.into() {
        StoreConfig::Memory(config) => Arc::new(MemoryStore::new(config)),
        StoreConfig::Redis(config) => Arc::new(RedisStore::connect(config)?),
        StoreConfig::Kafka(config) => replicated::open_kafka(config)?,
    })
}
