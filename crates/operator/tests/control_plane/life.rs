//! The life of a queue: created, changed, rejected, deleted.

use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Event, Secret, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_of_a_queue_are_created_and_then_nothing_is_written() {
    let testbed = Testbed::new("create").await;
    let operator = testbed.operator(Budget::unlimited());
    let queue = testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    operator.rests().await;

    let objects = testbed.objects().await;
    let names: Vec<&str> = objects.keys().map(String::as_str).collect();
    let expected = [
        "CronJob concert-sweep",
        "Deployment concert-worker",
        "NetworkPolicy concert-redis",
        "NetworkPolicy concert-worker",
        "PodDisruptionBudget concert-worker",
        "Secret concert-redis",
        "Service concert",
        "Service concert-redis",
        "Service concert-workers",
        "ServiceAccount concert-worker",
        "StatefulSet concert-redis",
    ];
    assert_eq!(names, expected);
    let owners = testbed.deployment().await.unwrap().owner_references().to_vec();
    assert_eq!((owners.len(), owners[0].uid.clone()), (1, queue.uid().unwrap()));
    let status = testbed.queue().await.status.unwrap();
    // Without a kubelet its workers never start, so that it is Reconciling besides.
    assert_eq!(status.conditions.len(), 9);
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(1)));

    let writes = operator.budget.done();
    operator.rests().await;
    assert_eq!(operator.budget.done(), writes, "an idle operator writes nothing");
    operator.stop().await;
}

/// Changes of a spec, each with the argument that must follow.
fn changes() -> [(Value, &'static str); 13] {
    [
        (json!({ "booking": { "endpoint": "http://other:1" } }), "--booking=http://other:1"),
        (json!({ "booking": { "timeout": "4s" } }), "--booking-timeout=4s"),
        (json!({ "ticket": { "endpoint": "http://ticket:1" } }), "--ticket=http://ticket:1"),
        (
            json!({ "realtime": { "endpoint": "http://realtime:1" } }),
            "--realtime=http://realtime:1",
        ),
        (json!({ "worker": { "concurrency": 7 } }), "--concurrency=7"),
        (json!({ "worker": { "lease": "9s" } }), "--lease=9s"),
        (json!({ "worker": { "grace": "30s" } }), "--grace=30s"),
        (json!({ "worker": { "linger": "1s" } }), "--linger=1s"),
        (json!({ "hold": { "timeout": "2m" } }), "--hold=2m"),
        (json!({ "hold": { "retention": "1h" } }), "--retention=1h"),
        (json!({ "retry": { "attempts": 9 } }), "--retry-attempts=9"),
        (json!({ "retry": { "initialBackoff": "1s" } }), "--retry-initial=1s"),
        (json!({ "retry": { "maxBackoff": "20s" } }), "--retry-max=20s"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_that_may_change_reaches_the_workers() {
    let testbed = Testbed::new("change").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    for (fields, argument) in changes() {
        testbed.change(fields).await.unwrap();
        testbed.until_argument(argument).await;
    }
    testbed
        .change(
            json!({ "worker": { "podTemplate": { "spec": { "nodeSelector": { "pool": "a" } } } } }),
        )
        .await
        .unwrap();
    eventually("the node selector", LIMIT, async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["template"]["spec"]["nodeSelector"] == json!({ "pool": "a" })
    })
    .await;
    testbed.change(json!({ "worker": { "podTemplate": null } })).await.unwrap();
    eventually("the node selector to go", LIMIT, async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["template"]["spec"].get("nodeSelector").is_none()
    })
    .await;
    testbed.change(json!({ "sweep": { "suspend": true } })).await.unwrap();
    eventually("the CronJob to be pruned", LIMIT, async || {
        testbed.find::<CronJob>("concert-sweep").await.is_none()
    })
    .await;
    testbed.until_condition("SweeperHealthy", "False", "Suspended").await;
    testbed
        .change(json!({ "sweep": { "suspend": false, "schedule": "*/2 * * * *" } }))
        .await
        .unwrap();
    eventually("the CronJob to be back", LIMIT, async || {
        testbed
            .find::<CronJob>("concert-sweep")
            .await
            .is_some_and(|job| job.spec.unwrap().schedule == "*/2 * * * *")
    })
    .await;
    operator.stop().await;
}

fn end(item: &str) -> Value {
    json!({ "name": item, "soldOut": "End" })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_rejects_specs_that_would_lose_bookings_or_never_work() {
    let testbed = Testbed::new("refuse").await;
    testbed.create(json!({})).await;
    for (fields, words) in [
        (json!({ "redis": { "url": "redis://elsewhere:6379" } }), "create a new queue"),
        (json!({ "autoscaling": { "min": 5, "max": 3 } }), "min must not be above max"),
        (json!({ "worker": { "grace": "5s" } }), "lease must not be longer than grace"),
        (json!({ "booking": { "endpoint": "simulate://booking" } }), "bookingq up"),
        (json!({ "sale": { "opensAt": "tomorrow" } }), "spec.sale.opensAt"),
        (json!({ "sale": { "opensAt": "2026-12-01T20:00:00" } }), "spec.sale.opensAt"),
        (json!({ "outflow": { "perMinute": 0 } }), "spec.outflow.perMinute"),
        (json!({ "outflow": { "maxHolds": 0 } }), "spec.outflow.maxHolds"),
        (json!({ "outflow": { "burst": 5 } }), "burst requires perMinute"),
        (json!({ "outflow": { "perMinute": 5, "burst": 6 } }), "burst must not be above perMinute"),
        (json!({ "soldOut": "Never" }), "spec.soldOut"),
        (json!({ "items": [{ "name": "A" }] }), "spec.items[0].soldOut"),
        (json!({ "items": [end("A"), end("A")] }), "spec.items[1]"),
        (
            json!({ "items": (0..65).map(|n| end(&n.to_string())).collect::<Vec<_>>() }),
            "spec.items",
        ),
    ] {
        let refused = testbed.change(fields).await.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_spec_is_reported_in_full_and_the_objects_are_left_alone() {
    let testbed = Testbed::new("invalid").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "worker": { "concurrency": 7 } })).await;
    testbed.until_argument("--concurrency=7").await;
    testbed
        .change(json!({ "worker": { "concurrency": 8 }, "sweep": { "schedule": "now and then, if you can" }, "hold": { "timeout": "0s" } }))
        .await
        .unwrap();
    let message = testbed.until_condition("Degraded", "True", "InvalidSpec").await;
    assert!(
        message.contains("spec.sweep.schedule is") && message.contains("spec.hold.timeout is 0s"),
        "{message}"
    );
    testbed.until_condition("Ready", "False", "InvalidSpec").await;
    operator.rests().await;
    testbed.until_argument("--concurrency=7").await;
    let events = testbed.api::<Event>().list(&ListParams::default()).await.unwrap();
    assert!(
        events.iter().any(|event| event.reason.as_deref() == Some("InvalidSpec")),
        "an event says so"
    );

    testbed
        .change(json!({ "sweep": { "schedule": "* * * * *" }, "hold": { "timeout": "1m" } }))
        .await
        .unwrap();
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    testbed.until_argument("--concurrency=8").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_leaves_nothing_behind_even_if_its_redis_never_started() {
    let testbed = Testbed::new("delete").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    testbed
        .api::<bookingq_api::BookingQueue>()
        .delete("concert", &DeleteParams::default())
        .await
        .unwrap();
    eventually("everything to be gone", LIMIT, async || testbed.objects().await.is_empty()).await;
    operator.rests().await;
    assert!(testbed.find::<Service>("concert").await.is_none(), "nothing is created again");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_password_is_never_generated_again() {
    let testbed = Testbed::new("password").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    let password = async || testbed.find::<Secret>("concert-redis").await.unwrap().data.unwrap();
    let before = password().await;
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.change(json!({ "worker": { "concurrency": 3 } })).await.unwrap();
    testbed.until_argument("--concurrency=3").await;
    assert_eq!(password().await, before);
    assert!(testbed.find::<StatefulSet>("concert-redis").await.is_some());
    operator.stop().await;
}
