//! The conditions of a queue follow from the status of its objects.

use bookingq_api::BookingQueue;
use bookingq_operator::autoscaler::observation::{Observation, RedisObservation, StoreHealth};
use bookingq_operator::build::component::ObjectKind;
use bookingq_operator::build::gateway::http_route;
use bookingq_operator::cached_object::ObjectStatus;
use bookingq_operator::conditions::{GatewayInputs, StatusInputs, conditions};
use bookingq_operator::redis_failover::plan::FailoverState;
use bookingq_operator::redis_failover::view::PrimaryRecord;
use bookingq_operator::target::QueueTarget;
use bookingq_store::MissingReplicas;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

fn refused(available: i32) -> Vec<Condition> {
    let forbidden = "pods \"concert-worker-\" is forbidden: exceeded quota";
    let workers = ObjectStatus::of(
        &serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": 2, "selector": {}, "template": {} },
            "status": {
                "observedGeneration": 2, "availableReplicas": available,
                "conditions": [{
                    "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                    "message": forbidden,
                }],
            },
        }))
        .unwrap(),
    )
    .unwrap();
    let inputs =
        StatusInputs { generation: Some(1), workers: Some(&workers), ..StatusInputs::default() };
    conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH))
}

#[test]
fn pods_that_cannot_be_created_show_the_message_of_the_api_server() {
    for (available, workers) in [(0, "False"), (1, "True")] {
        let all = refused(available);
        for (type_, status) in [("WorkersAvailable", workers), ("Progressing", "False")] {
            let found = all.iter().find(|one| one.type_ == type_).unwrap();
            assert_eq!(
                (found.status.as_str(), found.reason.as_str()),
                (status, "PodCreationFailed"),
                "{type_}"
            );
            assert!(found.message.ends_with("is forbidden: exceeded quota"), "{}", found.message);
            assert_eq!(found.observed_generation, Some(1));
        }
    }
}

/// The reason and message of Ready of a healthy queue that is not open yet.
fn ready_before_opening(admission: &str) -> (String, String) {
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "admission": admission,
            "sale": { "opensAt": "2026-12-01T20:00:00+01:00" },
        },
    }))
    .unwrap();
    let target = QueueTarget::resolve(&queue).unwrap();
    let workers = ObjectStatus::of(
        &serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": 1, "selector": {}, "template": {} },
            "status": { "observedGeneration": 2, "availableReplicas": 1 },
        }))
        .unwrap(),
    )
    .unwrap();
    let observation = Observation {
        store: StoreHealth::Reachable { warnings: Vec::new() },
        not_open: true,
        ..Observation::starting(None)
    };
    let inputs = StatusInputs {
        generation: Some(1),
        target: Some(&target),
        workers: Some(&workers),
        observation: Some(&observation),
        ..StatusInputs::default()
    };
    let all = conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH));
    let ready = all.into_iter().find(|one| one.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True");
    (ready.reason, ready.message)
}

#[test]
fn missing_replicas_say_what_fails_and_which_field_asks_for_them() {
    let missing = MissingReplicas { wanted: 2, connected: 1 };
    let observation =
        Observation { store: StoreHealth::TooFewReplicas(missing), ..Observation::starting(None) };
    let inputs = StatusInputs {
        generation: Some(1),
        observation: Some(&observation),
        ..StatusInputs::default()
    };
    let all = conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH));
    let ready = all.into_iter().find(|one| one.type_ == "RedisReady").unwrap();
    assert_eq!((&*ready.status, &*ready.reason), ("False", "TooFewReplicas"));
    assert!(ready.message.contains("spec.redis.acknowledge.replicas"), "{}", ready.message);
}

#[test]
fn a_queue_that_is_not_open_yet_says_when_it_opens() {
    for admission in ["Open", "Closed"] {
        let (reason, message) = ready_before_opening(admission);
        assert_eq!(reason, "NotOpen");
        assert!(message.contains("2026-12-01T19:00:00Z"), "{message}");
    }
    assert_eq!(ready_before_opening("Paused").0, "Paused");
}

/// The conditions of a healthy queue with gateways of which `available` are.
fn with_gateways(available: i32, missing: Option<&'static ObjectKind>) -> Vec<Condition> {
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "gateway": { "keys": { "secretName": "concert-keys" } },
        },
    }))
    .unwrap();
    let target = QueueTarget::resolve(&queue).unwrap();
    let deployment = |desired: i32, available: i32| {
        let object = json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": desired, "selector": {}, "template": {} },
            "status": {
                "observedGeneration": 2, "replicas": desired, "updatedReplicas": desired,
                "availableReplicas": available,
            },
        });
        ObjectStatus::of(&serde_json::from_value(object).unwrap()).unwrap()
    };
    let (workers, gateways) = (deployment(1, 1), deployment(2, available));
    let observation = Observation {
        store: StoreHealth::Reachable { warnings: Vec::new() },
        ..Observation::starting(None)
    };
    let inputs = StatusInputs {
        generation: Some(1),
        target: Some(&target),
        workers: Some(&workers),
        observation: Some(&observation),
        gateways: GatewayInputs { deployment: Some(&gateways), observation: None, missing },
        ..StatusInputs::default()
    };
    conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH))
}

#[test]
fn a_queue_whose_gateways_are_not_available_is_not_ready() {
    for (available, gateways, ready, progressing) in [
        (0, ("False", "NoGatewaysReady"), ("False", "NoGatewaysReady"), "GatewaysStarting"),
        (1, ("True", "GatewaysReady"), ("True", "Serving"), "GatewaysStarting"),
        (2, ("True", "GatewaysReady"), ("True", "Serving"), "RolloutComplete"),
    ] {
        let all = with_gateways(available, None);
        let of = |type_: &str| {
            let found = all.iter().find(|one| one.type_ == type_).unwrap();
            (found.status.as_str(), found.reason.as_str())
        };
        assert_eq!((of("GatewayAvailable"), of("Ready")), (gateways, ready), "{available}");
        assert_eq!(of("Progressing").1, progressing, "{available}");
    }
}

#[test]
fn a_cluster_without_the_gateway_api_is_named_and_the_gateways_serve() {
    let all = with_gateways(2, Some(http_route::KIND));
    let found = all.iter().find(|one| one.type_ == "GatewayAvailable").unwrap();
    assert_eq!((found.status.as_str(), found.reason.as_str()), ("True", "RouteUnsupported"));
    assert!(found.message.contains("gateway.networking.k8s.io/v1"), "{}", found.message);
}

#[test]
fn a_redis_of_three_says_whether_it_is_safe_and_whether_it_serves() {
    let workers = json!({
        "metadata": { "generation": 2 },
        "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": { "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
    });
    let workers = ObjectStatus::of(&serde_json::from_value(workers).unwrap()).unwrap();
    let observation = Observation {
        store: StoreHealth::Reachable { warnings: Vec::new() },
        ..Observation::starting(None)
    };
    let record = Some(PrimaryRecord { term: 4, primary: 1, copies: 2 });
    for (state, redis, degraded) in [
        (FailoverState::Starting, ("True", "AwaitingNodes"), "Reconciled"),
        (FailoverState::Serving { replicas: 2 }, ("True", "Reachable"), "Reconciled"),
        (FailoverState::Serving { replicas: 1 }, ("True", "ReplicaMissing"), "Reconciled"),
        (FailoverState::Suspect, ("True", "Reachable"), "Reconciled"),
        (FailoverState::FailingOver, ("False", "FailingOver"), "Reconciled"),
        (FailoverState::Copying, ("False", "Copying"), "Reconciled"),
        (FailoverState::QuorumLost, ("False", "QuorumLost"), "QuorumLost"),
    ] {
        let inputs = StatusInputs {
            generation: Some(1),
            workers: Some(&workers),
            observation: Some(&observation),
            redis: Some(RedisObservation { state, record }),
            ..StatusInputs::default()
        };
        let all = conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH));
        let of = |type_: &str| all.iter().find(|one| one.type_ == type_).unwrap();
        let found = of("RedisReady");
        assert_eq!((found.status.as_str(), found.reason.as_str()), redis, "{state:?}");
        assert_eq!(of("Degraded").reason, degraded, "{state:?}");
        assert_eq!(of("Ready").status == "True", redis.0 == "True", "{state:?}");
    }
}

/// The condition of a Redis of three, with `copies` in its record and this store.
fn redis_ready(copies: i32, state: FailoverState, store: StoreHealth) -> Condition {
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "namespace": "sale", "uid": "1" },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "redis": { "managed": { "replicas": 3 } },
        },
        "status": { "redis": { "term": 1, "primary": "concert-redis-0", "copies": copies } },
    }))
    .unwrap();
    let target = QueueTarget::resolve(&queue).unwrap();
    let observation = Observation { store, ..Observation::starting(None) };
    let inputs = StatusInputs {
        generation: Some(1),
        target: Some(&target),
        observation: Some(&observation),
        redis: Some(RedisObservation { state, record: None }),
        ..StatusInputs::default()
    };
    let all = conditions(&inputs, &[], &Time(jiff::Timestamp::UNIX_EPOCH));
    all.into_iter().find(|one| one.type_ == "RedisReady").unwrap()
}

#[test]
fn a_redis_of_three_says_how_many_replicas_workers_wait_for() {
    let serving = FailoverState::Serving { replicas: 1 };
    let reachable = || StoreHealth::Reachable { warnings: Vec::new() };
    let away = || StoreHealth::Unreachable { why: "away".to_owned() };
    let found = redis_ready(0, serving, reachable());
    assert_eq!((&*found.status, &*found.reason), ("True", "TooFewReplicas"));
    let says = ["spec.redis.acknowledge.replicas is 1", "wait for 0"];
    assert!(says.iter().all(|part| found.message.contains(part)), "{}", found.message);
    assert_eq!(redis_ready(1, serving, reachable()).reason, "ReplicaMissing");
    assert_eq!(redis_ready(0, serving, away()).reason, "Unreachable");
    for (store, status) in [(reachable(), "True"), (away(), "False")] {
        let found = redis_ready(0, FailoverState::Starting, store);
        assert_eq!((&*found.status, &*found.reason), (status, "AwaitingNodes"));
    }
}

#[test]
fn every_condition_and_reason_is_documented() {
    let guide = include_str!("../../../../docs/kubernetes.md");
    let sources = [
        include_str!("../../src/conditions.rs"),
        include_str!("../../src/conditions/redis.rs"),
        include_str!("../../src/conditions/parts.rs"),
        include_str!("../../src/conditions/kstatus.rs"),
        include_str!("../../src/conditions/held.rs"),
        include_str!("../../src/error.rs"),
    ];
    let is_reason = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let literals = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let reasons: Vec<&str> = literals.filter(is_reason).collect();
    assert!(reasons.contains(&"RedisReady") && reasons.contains(&"NameConflict"), "{reasons:?}");
    let missing: Vec<&str> = reasons.into_iter().filter(|reason| !guide.contains(reason)).collect();
    assert!(missing.is_empty(), "docs/kubernetes.md does not name {missing:?}");
}
