//! A change of Redis waits until all workers have the settings of the spec.

use bookingq_api::BookingQueue;
use bookingq_operator::autoscaler::worker_rollout::{replicas_waited_for, workers_follow};
use bookingq_operator::build::{BuildInputs, build};
use bookingq_operator::cached_object::CachedObject;
use bookingq_operator::environment::OperatorEnvironment;
use bookingq_operator::merge;
use bookingq_operator::secrets::Secrets;
use bookingq_operator::target::QueueTarget;
use serde_json::{Value, json};

/// A queue with a Redis of three whose replicas have copied the data.
fn target(replicas: i32) -> QueueTarget {
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "redis": { "managed": { "replicas": replicas } },
        },
        "status": { "redis": { "term": 1, "primary": "concert-redis-0", "copies": 2 } },
    }))
    .unwrap();
    QueueTarget::resolve(&queue).unwrap()
}

/// The Deployment of the workers with this status.
fn workers(target: &QueueTarget, status: &Value) -> CachedObject {
    let environment = OperatorEnvironment {
        image: "bookingq:1".to_owned(),
        namespace: "system".to_owned(),
        release: "1".to_owned(),
    };
    let secrets = Secrets::default();
    let inputs = BuildInputs { target, secrets: &secrets, environment: &environment };
    let objects = build(&inputs).unwrap();
    let mut workers = objects.into_iter().find(|object| object.kind.name == "Deployment").unwrap();
    let metadata =
        json!({ "metadata": { "generation": 3 }, "spec": { "replicas": 2 }, "status": status });
    merge::overlay(&mut workers.value, &metadata);
    CachedObject::new(serde_json::from_value(workers.value).unwrap())
}

#[test]
fn workers_follow_the_spec_once_each_of_them_has_its_template() {
    let done = json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2 });
    let (three, one) = (target(3), target(1));
    assert!(workers_follow(&workers(&three, &done), &three));
    assert!(workers_follow(&workers(&one, &done), &one));
    assert!(!workers_follow(&workers(&three, &done), &one), "the watch lags behind the apply");
    assert!(!workers_follow(&workers(&one, &done), &three));
    for (field, value) in [("observedGeneration", 2), ("replicas", 3), ("updatedReplicas", 1)] {
        let mut status = done.clone();
        status[field] = json!(value);
        assert!(!workers_follow(&workers(&one, &status), &one), "{field}");
    }
}

#[test]
fn workers_of_a_new_queue_wait_for_replicas_and_those_of_a_grown_one_once_there_are_some() {
    let spec = |replicas: u8, wanted: u8| {
        let queue: BookingQueue = serde_json::from_value(json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
            "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
            "spec": {
                "booking": { "endpoint": "http://booking-service:50051" },
                "redis": { "managed": { "replicas": replicas }, "acknowledge": { "replicas": wanted } },
            },
        }))
        .unwrap();
        QueueTarget::resolve(&queue).unwrap()
    };
    let waits = |present: Option<u8>, wanted: u8| {
        let mut target = spec(3, wanted);
        target.keep_waiting_for(present);
        let found = replicas_waited_for(&workers(&target, &json!({})));
        assert_eq!(found, target.plan.store.redis().unwrap().acknowledge_replicas);
        found
    };
    assert_eq!([waits(None, 1), waits(None, 2), waits(None, 0)], [1, 2, 0], "a new queue");
    assert_eq!([waits(Some(1), 1), waits(Some(2), 2)], [1, 2], "before the first copy");
    assert_eq!([waits(Some(0), 1), waits(Some(0), 2)], [0, 0], "it had one Pod");
    assert_eq!([waits(Some(1), 2), waits(Some(2), 1)], [1, 1], "the spec has changed");
    let mut one = spec(1, 0);
    one.keep_waiting_for(None);
    assert_eq!(one.plan.store.redis().unwrap().acknowledge_replicas, 0, "one Pod has no replica");
}
