//! The condition of a queue in Kafka.

use bookingq_api::BookingQueue;
use bookingq_operator::autoscaler::observation::{Observation, StoreHealth};
use bookingq_operator::cached_object::ObjectStatus;
use bookingq_operator::conditions::{StatusInputs, conditions};
use bookingq_operator::target::QueueTarget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

fn target() -> QueueTarget {
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "kafka": { "bootstrap": "kafka:9092" },
        },
    }))
    .unwrap();
    QueueTarget::resolve(&queue).unwrap()
}

fn all(store: StoreHealth, workers: i32, before: &[Condition], target: bool) -> Vec<Condition> {
    let status = ObjectStatus::of(
        &serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": workers, "selector": {}, "template": {} },
            "status": { "observedGeneration": 2, "availableReplicas": workers },
        }))
        .unwrap(),
    )
    .unwrap();
    let (observation, valid) =
        (Observation { store, ..Observation::starting(None) }, self::target());
    let inputs = StatusInputs {
        generation: Some(1),
        target: target.then_some(&valid),
        workers: Some(&status),
        observation: Some(&observation),
        ..StatusInputs::default()
    };
    conditions(&inputs, before, &Time(jiff::Timestamp::UNIX_EPOCH))
}

fn find<'a>(all: &'a [Condition], type_: &str) -> &'a Condition {
    all.iter().find(|one| one.type_ == type_).unwrap()
}

#[test]
fn a_topic_that_is_refused_is_said_in_the_words_of_the_store_and_the_queue_is_not_ready() {
    let why = "topic bookingq.sale.concert: cleanup.policy is \"compact\"; allowed: delete";
    let all = all(StoreHealth::TopicRefused { why: why.to_owned() }, 1, &[], true);
    for type_ in ["KafkaReady", "Ready"] {
        let found = find(&all, type_);
        assert_eq!((&*found.status, &*found.reason), ("False", "TopicRefused"), "{type_}");
        assert!(found.message.starts_with(why), "{}", found.message);
    }
    assert!(all.iter().all(|one| one.type_ != "RedisReady"));
}

#[test]
fn silence_is_a_fault_only_if_there_are_workers() {
    let kafka = |workers| {
        let all = all(StoreHealth::NoReadings, workers, &[], true);
        let found = find(&all, "KafkaReady");
        (found.status.clone(), found.reason.clone())
    };
    assert_eq!(kafka(1), ("False".to_owned(), "NoReadings".to_owned()));
    assert_eq!(kafka(0), ("True".to_owned(), "NoWorkers".to_owned()));
}

#[test]
fn an_invalid_spec_keeps_the_condition_of_the_store_that_the_queue_had() {
    let reachable = StoreHealth::Reachable { warnings: Vec::new() };
    let before = all(reachable.clone(), 1, &[], true);
    assert_eq!(find(&before, "KafkaReady").reason, "Reachable");
    let after = all(reachable, 1, &before, false);
    assert_eq!(find(&after, "KafkaReady").reason, "Reachable");
}
