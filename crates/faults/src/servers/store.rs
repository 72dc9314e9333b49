//! What keeps the queue as it runs: Redis, or Kafka.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_harness::{Process, Restart};
use bookingq_store::{RedisConfig, StoreConfig};

use super::RedisSetup;
use super::kafka::KafkaBrokers;
use crate::clocks::RedisClocks;
use crate::kinds::{FaultKind, NodeFault};
use crate::layout::StoreLayout;
use crate::plan::{PlanOptions, RedisFault};

/// The servers of a run.
#[derive(Debug)]
pub(crate) enum StoreServers {
    Redis(RedisSetup),
    Kafka(KafkaBrokers),
}

impl StoreServers {
    /// Starts the servers that the options name, and waits until they serve.
    pub(crate) async fn start(
        options: &PlanOptions,
        folder: &Path,
        queue: &QueueName,
        restart: Restart,
    ) -> Result<Self> {
        Ok(match options.layout {
            StoreLayout::Redis(topology) => {
                let clocks = options.redis_clocks.then(|| RedisClocks::find(folder)).transpose()?;
                Self::Redis(RedisSetup::start(topology, folder, queue, restart, clocks).await?)
            }
            StoreLayout::Kafka(brokers) => {
                Self::Kafka(KafkaBrokers::start(brokers, folder, queue, restart).await?)
            }
        })
    }

    /// The settings of a store there, which keeps so many events.
    pub(crate) fn config(&self, queue: QueueName, outbox_entries: usize) -> StoreConfig {
        match self {
            Self::Redis(redis) => {
                let config = RedisConfig::new(redis.url(), queue);
                RedisConfig { outbox_entries, ..config }.into()
            }
            Self::Kafka(brokers) => brokers.config().into(),
        }
    }

    /// The arguments by which a process finds it, directly or through a proxy.
    pub(crate) fn arguments(&self, proxy: Option<SocketAddr>, replicas: u8) -> Vec<String> {
        match self {
            Self::Redis(redis) => {
                let url = proxy.map_or_else(|| redis.url(), |proxy| format!("redis://{proxy}"));
                vec![
                    format!("--redis={url}"),
                    format!("--redis-acknowledge-replicas={replicas}"),
                    "--redis-deadline=1s".to_owned(),
                ]
            }
            Self::Kafka(brokers) => vec![format!("--store={}", brokers.url())],
        }
    }

    /// The only server, which a proxy for one process can stand in front of.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        match self {
            Self::Redis(redis) => redis.only(),
            Self::Kafka(_) => None,
        }
    }

    /// The process of the only server of Redis.
    pub(crate) fn process(&self) -> Option<&Process> {
        match self {
            Self::Redis(redis) => redis.process(),
            Self::Kafka(_) => None,
        }
    }

    /// All processes.
    pub(crate) fn processes(&self) -> Vec<&Process> {
        match self {
            Self::Redis(redis) => redis.processes(),
            Self::Kafka(brokers) => brokers.processes(),
        }
    }

    /// Sets the clock of one server of Redis, or of all, to this offset in seconds.
    pub(crate) fn jump(&self, pick: u8, seconds: i64) {
        if let Self::Redis(redis) = self {
            redis.jump(pick, seconds);
        }
    }

    pub(crate) fn inject(&self, fault: RedisFault, time: Duration) {
        if let Self::Redis(redis) = self {
            redis.inject(fault, time);
        }
    }

    pub(crate) fn inject_into_nodes(&self, fault: NodeFault, pick: u8, time: Duration) {
        if let Self::Redis(redis) = self {
            redis.inject_into_nodes(fault, pick, time);
        }
    }

    pub(crate) fn inject_into_brokers(&self, fault: FaultKind, pick: u8, time: Duration) {
        if let Self::Kafka(brokers) = self {
            brokers.inject(fault, pick, time);
        }
    }

    /// The faults of several servers, and of brokers, that were left out: see
    /// `docs/reliability.md`.
    pub(crate) fn left_out(&self) -> u64 {
        match self {
            Self::Redis(redis) => redis.left_out(),
            Self::Kafka(brokers) => brokers.left_out(),
        }
    }

    /// Ends all faults, and waits until several servers agree.
    pub(crate) async fn clear(&self) {
        match self {
            Self::Redis(redis) => redis.clear().await,
            Self::Kafka(brokers) => brokers.clear().await,
        }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        match self {
            Self::Redis(redis) => redis.stop().await,
            // Killed when dropped.
            Self::Kafka(brokers) => drop(brokers),
        }
    }
}
