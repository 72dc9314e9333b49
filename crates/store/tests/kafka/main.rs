//! The replicated store on real Kafka brokers: `cargo xtask test --kafka -p bookingq-store`.
#![allow(clippy::unwrap_used)]

#[path = "../conformance/mod.rs"]
#[macro_use]
mod conformance;
mod bad_days;
mod broker;
#[path = "../support/certificates.rs"]
mod certificates;
mod clocked_log;
mod logs;
mod readings;
mod secured;
mod snapshots;
#[path = "../support/mod.rs"]
mod support;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_harness::KafkaCluster;
use bookingq_store::Store;
use bookingq_store::replicated::{KafkaLog, LogPair, ReplicatedStore};

use crate::broker::{address, config, queue, shared, topics_of};
use crate::clocked_log::ClockedLog;
use crate::conformance::Subject;

/// The store on a broker, with a clock that the suite moves.
struct OnKafka {
    store: ReplicatedStore<ClockedLog>,
    commands: Arc<ClockedLog>,
    /// Stopped after the last case that uses it.
    _cluster: Arc<KafkaCluster>,
}

#[async_trait]
impl Subject for OnKafka {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn advance(&self, by: Duration) {
        self.commands.advance(by);
        // Only a record shows the log's time.
        self.store.latest_event().await.unwrap();
    }

    /// Not the log's clock: the queue's time would stand still until that has caught up.
    async fn set_back(&self, _: Duration) {}
}

async fn on_kafka() -> OnKafka {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let LogPair { commands, snapshots } = KafkaLog::pair(&address, &queue).unwrap();
    let commands = Arc::new(ClockedLog::new(commands));
    let logs = LogPair {
        commands: Arc::clone(&commands),
        snapshots: Arc::new(ClockedLog::new(snapshots)),
    };
    OnKafka { store: ReplicatedStore::start(config(queue), logs), commands, _cluster: cluster }
}

conformance_tests!(on_kafka);
