//! A queue in Kafka: the operator makes its topics, scales by what a worker publishes, and sends
//! settings into the log.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Admission, QueueName};
use bookingq_harness::KafkaCluster;
use bookingq_harness::wait::{answered, eventually};
use bookingq_store::Store;
use bookingq_store::replicated::{
    KafkaAddress, KafkaConfig, KafkaSettings, ReplicatedConfig, create_topics,
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, until_replicas};
use crate::testbed::Testbed;

/// A worker as far as the operator sees one: it publishes a reading each second.
pub struct ReportingWorker {
    store: Arc<dyn Store>,
    task: JoinHandle<()>,
}

impl ReportingWorker {
    pub async fn start(address: &KafkaAddress, queue: &QueueName) -> Self {
        let replicated = ReplicatedConfig::new(queue.clone());
        let config = KafkaConfig { address: address.clone(), replicated };
        let store = bookingq_store::open(config).unwrap();
        eventually("the topics", LIMIT, async || store.open().await.is_ok()).await;
        let reporting = Arc::clone(&store);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(snapshot) = reporting.snapshot().await {
                    reporting.publish_reading(&snapshot).await.ok();
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Self { store, task }
    }

    /// Publishes nothing any more.
    fn falls_silent(&self) {
        self.task.abort();
    }
}

impl Drop for ReportingWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn address(kafka: &KafkaCluster) -> KafkaAddress {
    KafkaAddress::new(&kafka.url()).unwrap()
}

pub fn queue(testbed: &Testbed) -> QueueName {
    QueueName::new(&format!("{}.concert", testbed.namespace)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_in_kafka_gets_topics_and_follows_the_readings_of_its_workers() {
    let (testbed, kafka) = (Testbed::new("kafka").await, KafkaCluster::start(1).unwrap());
    let operator = testbed.operator(Budget::unlimited());
    testbed
        .create(json!({
            "kafka": { "bootstrap": kafka.bootstrap(), "replication": 1 },
            "worker": { "concurrency": 1 },
            "admission": "Paused",
            "autoscaling": { "min": 2, "max": 16, "drainTarget": "10s", "scaleDownWindow": "2s" },
        }))
        .await;
    testbed.until_argument(&format!("--store={}", address(&kafka))).await;
    testbed.until_condition("KafkaReady", "False", "NoReadings").await;
    testbed.until_event("TopicsCreated", "").await;

    // The pause was sent before the first worker started.
    let worker = ReportingWorker::start(&address(&kafka), &queue(&testbed)).await;
    eventually("the pause", LIMIT, async || {
        let now = worker.store.snapshot().await.unwrap();
        now.admission == Admission::Paused && now.rules_set
    })
    .await;
    testbed.until_condition("KafkaReady", "True", "Reachable").await;

    join(&*worker.store, 0..400).await;
    testbed.until_backlog(400).await;
    testbed.change(json!({ "admission": "Open", "outflow": { "maxHolds": 900 } })).await.unwrap();
    eventually("the opening and the limit", LIMIT, async || {
        let now = worker.store.snapshot().await.unwrap();
        now.admission == Admission::Open && now.rules.outflow.max_holds == Some(900)
    })
    .await;
    // 400 waiting x 0.25 s (assumed) / 10 s / 0.7.
    until_replicas(&testbed, "more workers", |n| n >= 15).await;
    eventually("the workers in the store", LIMIT, async || {
        let workers = worker.store.snapshot().await.unwrap().workforce;
        workers.is_some_and(|workers| workers.wanted >= 15)
    })
    .await;

    // Without readings no worker is removed.
    let before = testbed.deployment().await.unwrap().spec.unwrap().replicas;
    worker.falls_silent();
    testbed.until_condition("KafkaReady", "False", "NoReadings").await;
    assert_eq!(testbed.deployment().await.unwrap().spec.unwrap().replicas, before);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_would_break_a_promise_is_named_in_the_condition_and_delays_no_other_queue() {
    let (testbed, kafka) = (Testbed::new("refused").await, KafkaCluster::start(1).unwrap());
    let operator = testbed.operator(Budget::unlimited());
    // One broker cannot have three replicas.
    testbed.create(json!({ "kafka": { "bootstrap": kafka.bootstrap() } })).await;
    let message = testbed.until_condition("KafkaReady", "False", "TopicRefused").await;
    let topic = address(&kafka).commands(&queue(&testbed));
    assert!(message.contains(&topic) && message.contains("replication 3"), "{message}");
    // Someone makes them.
    let (there, name) = (address(&kafka), queue(&testbed));
    answered(Duration::from_secs(30), async || create_topics(&there, &name, 1).await).await;
    testbed.change(json!({ "kafka": { "replication": 1 } })).await.unwrap();
    testbed.until_condition("KafkaReady", "False", "NoReadings").await;
    // Settings that are sent without a reading reach the log.
    let settings =
        KafkaSettings::new(&address(&kafka), &ReplicatedConfig::new(queue(&testbed))).unwrap();
    settings.set_admission(Admission::Closed).await.unwrap();
    let worker = ReportingWorker::start(&address(&kafka), &queue(&testbed)).await;
    eventually("the admission of the spec again", LIMIT, async || {
        worker.store.snapshot().await.unwrap().admission == Admission::Open
    })
    .await;
    testbed.until_condition("KafkaReady", "True", "Reachable").await;
    operator.stop().await;
}
