//! What keeps the queue while it is watched.

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_harness::Fsync;
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, ReplicatedConfig, create_topics};
use bookingq_store::{RedisConfig, StoreConfig};

use crate::kafka::{MeasuredKafka, MeasuredStore};
use crate::machine::Placement;
use crate::redis_server::MeasuredRedis;

/// A server without data. It ends when dropped.
pub enum WatchServer {
    Redis(Box<MeasuredRedis>),
    Kafka(Box<MeasuredKafka>),
}

impl WatchServer {
    pub async fn start(store: MeasuredStore) -> Result<Self> {
        Ok(match store {
            MeasuredStore::Redis => {
                Self::Redis(Box::new(MeasuredRedis::start(Fsync::Off, Placement::Free).await?))
            }
            MeasuredStore::Kafka => Self::Kafka(Box::new(MeasuredKafka::start(Placement::Free)?)),
        })
    }

    /// The address of its store.
    pub fn url(&self) -> String {
        match self {
            Self::Redis(redis) => redis.url().to_owned(),
            Self::Kafka(kafka) => kafka.url(),
        }
    }
}

/// The settings of a queue's store at such an address; in Kafka its topics are made.
pub async fn store_config(url: &str, queue: &QueueName) -> Result<StoreConfig> {
    if !url.starts_with("kafka://") {
        return Ok(RedisConfig::new(url, queue.clone()).into());
    }
    let address = KafkaAddress::new(url)?;
    create_topics(&address, queue, 1).await?;
    Ok(KafkaConfig { address, replicated: ReplicatedConfig::new(queue.clone()) }.into())
}
