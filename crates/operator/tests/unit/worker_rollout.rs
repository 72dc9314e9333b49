//! A change of Redis waits until all workers have the settings of the spec.

use bookingq_api::BookingQueue;
use bookingq_operator::autoscaler::worker_rollout::workers_follow;
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
    let environment =
        OperatorEnvironment { image: "bookingq:1".to_owned(), namespace: "system".to_owned() };
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
