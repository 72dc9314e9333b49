//! How the operator reaches the store of a queue.

use std::time::Duration;

use bookingq_api::Problems;
use bookingq_api::plan::KafkaPlan;
use bookingq_core::QueueName;
use bookingq_store::RedisConfig;
use bookingq_store::replicated::{KafkaAddress, KafkaSecurity, ReplicatedConfig};

use crate::error::ReconcileError;
use crate::target::{QueueTarget, problem};

/// The store of a queue, with what it takes to connect.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a queue has one")]
pub enum StoreAccess {
    /// In Redis, which the operator reads itself.
    Redis(RedisConfig),
    /// In Kafka, of which the operator reads what workers publish.
    Kafka(KafkaAccess),
}

impl StoreAccess {
    /// A sentence for an event: the store does not hold the data any more that it held.
    pub fn data_lost(&self) -> String {
        let store = match self {
            Self::Redis(_) => "Redis",
            Self::Kafka(_) => "Kafka",
        };
        format!(
            "{store} has lost this queue's data, or the newest part of it. Clients that are no \
             longer in line must enqueue again; reservations that the Booking Service holds for \
             them must time out there."
        )
    }
}

/// A queue in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaAccess {
    /// The brokers, and the prefix of the topics.
    pub address: KafkaAddress,
    /// The name of the queue in its topics.
    pub queue: QueueName,
    /// Time for which a decided booking can still be looked up.
    pub retention: Duration,
    /// Replicas of a topic that is made.
    pub replication: u16,
}

impl KafkaAccess {
    /// That of a queue.
    ///
    /// # Errors
    /// [`ReconcileError::InvalidSpec`] if the address is none.
    pub fn new(
        target: &QueueTarget,
        kafka: &KafkaPlan,
        security: KafkaSecurity,
    ) -> Result<Self, ReconcileError> {
        let address = KafkaAddress::new(&kafka.address()).map_err(|invalid| {
            let found = problem("spec.kafka", invalid.value, invalid.allowed);
            ReconcileError::InvalidSpec(Problems(vec![found]))
        })?;
        Ok(Self {
            address: address.with_security(security),
            queue: target.plan.queue.clone(),
            retention: target.plan.retention,
            replication: kafka.replication,
        })
    }

    /// The settings of the queue's workers.
    pub fn replicated(&self) -> ReplicatedConfig {
        let retention = self.retention;
        ReplicatedConfig { retention, ..ReplicatedConfig::new(self.queue.clone()) }
    }
}
