//! A broker that the tests share, and queues that no other test uses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_harness::KafkaCluster;
use bookingq_harness::wait::answered;
use bookingq_store::replicated::{KafkaAddress, ReplicatedConfig, create_topics};
use parking_lot::Mutex;

/// How long a broker is asked again.
const LIMIT: Duration = Duration::from_secs(30);

/// A cluster of one broker. It ends with the last test that uses it.
pub fn shared() -> Arc<KafkaCluster> {
    static SHARED: Mutex<Weak<KafkaCluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(KafkaCluster::start(1).unwrap());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

/// The address of a cluster.
pub fn address(cluster: &KafkaCluster) -> KafkaAddress {
    KafkaAddress::new(&cluster.url()).unwrap()
}

/// A queue that no other test uses.
pub fn queue() -> QueueName {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    QueueName::new(&format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap()
}

/// Makes the topics of a queue.
pub async fn topics_of(address: &KafkaAddress, queue: &QueueName, replication: u16) {
    answered(LIMIT, async || create_topics(address, queue, replication).await).await;
}

/// Settings with short intervals.
pub fn config(queue: QueueName) -> ReplicatedConfig {
    ReplicatedConfig {
        digest_every: 7,
        timeout: Duration::from_secs(30),
        ..ReplicatedConfig::new(queue)
    }
}
