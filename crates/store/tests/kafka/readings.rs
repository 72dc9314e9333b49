//! What the operator uses of Kafka: topics, readings, and settings that it sends without reading
//! the log.

use std::time::Duration;

use bookingq_core::{Admission, Outflow, SaleRules, Workforce};
use bookingq_harness::wait::eventually;
use bookingq_store::Store;
use bookingq_store::replicated::{KafkaConfig, KafkaReadings, KafkaSettings, ensure_topics};

use crate::broker::{address, config, queue, shared, topics_of};

const SECOND: Duration = Duration::from_secs(1);

/// Publishes readings until one arrives that is as it should be.
async fn until_read(
    store: &dyn Store,
    readings: &KafkaReadings,
    what: &str,
    is_right: impl Fn(&bookingq_store::Snapshot) -> bool,
) {
    eventually(what, 30 * SECOND, async || {
        let snapshot = store.snapshot().await.unwrap();
        store.publish_reading(&snapshot).await.unwrap();
        let newest = readings.newest(store.queue());
        newest.is_some_and(|(found, age)| age < 5 * SECOND && is_right(&found))
    })
    .await;
}

#[tokio::test]
async fn topics_are_made_as_far_as_they_are_missing_and_those_there_are_checked() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    // Other tests may have made that of readings.
    let made = ensure_topics(&address, &queue, 1).await.unwrap();
    assert_eq!(made[..2], [address.commands(&queue), address.snapshots(&queue)]);
    assert_eq!(ensure_topics(&address, &queue, 1).await.unwrap(), [""; 0]);
    let other = crate::broker::queue();
    let error = ensure_topics(&address, &other, 3).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("replication 3"), "{error}");
}

#[tokio::test]
async fn settings_that_are_sent_blindly_take_effect_once_and_show_in_the_readings() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    ensure_topics(&address, &queue, 1).await.unwrap();
    let readings = KafkaReadings::follow(&address).unwrap();
    let settings = KafkaSettings::new(&address, &config(queue.clone())).unwrap();
    // Before any worker has started.
    settings.set_admission(Admission::Paused).await.unwrap();
    let opened = KafkaConfig { address: address.clone(), replicated: config(queue.clone()) };
    let store = bookingq_store::open(opened).unwrap();
    store.open().await.unwrap();
    assert!(store.wants_readings());
    until_read(&*store, &readings, "the pause", |now| now.admission == Admission::Paused).await;

    let outflow = Outflow { per_minute: Some(60), ..Outflow::default() };
    let rules = SaleRules { outflow, ..SaleRules::default() };
    let workers = Workforce { wanted: 3, ready: 2, last_scaling: None };
    settings.set_rules(rules.clone()).await.unwrap();
    settings.set_workforce(&workers).await.unwrap();
    settings.set_admission(Admission::Open).await.unwrap();
    until_read(&*store, &readings, "all of them", |now| {
        now.rules == rules
            && now.rules_set
            && now.workforce.as_ref() == Some(&workers)
            && now.admission == Admission::Open
    })
    .await;
}

#[tokio::test]
async fn readings_go_on_after_the_broker_was_away() {
    let mut cluster = bookingq_harness::KafkaCluster::start(1).unwrap();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    ensure_topics(&address, &queue, 1).await.unwrap();
    let readings = KafkaReadings::follow(&address).unwrap();
    let opened = KafkaConfig { address: address.clone(), replicated: config(queue.clone()) };
    let store = bookingq_store::open(opened).unwrap();
    store.open().await.unwrap();
    until_read(&*store, &readings, "a first reading", |_| true).await;
    let before = readings.newest(&queue).unwrap().0.now;
    cluster.kill(0);
    cluster.restart(0).unwrap();
    eventually("a reading after it", 60 * SECOND, async || {
        if let Ok(snapshot) = store.snapshot().await {
            store.publish_reading(&snapshot).await.ok();
        }
        readings.newest(&queue).is_some_and(|(found, _)| found.now > before)
    })
    .await;
}
