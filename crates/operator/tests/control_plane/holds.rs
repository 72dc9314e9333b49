//! What the operator holds back: queues that are paused, and queues that sleep.

use std::time::{Duration, Instant};

use bookingq_core::Admission;
use bookingq_harness::RedisServer;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::Testbed;

/// Sets or removes the annotation.
async fn pause(testbed: &Testbed, value: Option<&str>) {
    testbed.annotate("bookingqueue.dev/paused", value).await;
}

/// A queue with two workers, which more clients need more of.
async fn two_workers(testbed: &Testbed, redis: &RedisServer) {
    testbed
        .create(json!({
            "redis": { "url": redis.url() },
            "worker": { "concurrency": 1 },
            "autoscaling": { "min": 2, "max": 40, "drainTarget": "10s" },
        }))
        .await;
    until_replicas(testbed, "the least number of workers", |n| n == 2).await;
}

/// Drift in two objects, and a changed spec.
async fn drift(testbed: &Testbed) {
    let edit = json!({ "spec": { "strategy": { "rollingUpdate": { "maxUnavailable": 5 } } } });
    let deployments = testbed.api::<Deployment>();
    let parameters = PatchParams::default();
    deployments.patch("concert-worker", &parameters, &Patch::Merge(edit)).await.unwrap();
    testbed.api::<Service>().delete("concert", &DeleteParams::default()).await.unwrap();
    testbed.change(json!({ "admission": "Closed", "worker": { "grace": "31s" } })).await.unwrap();
}

/// The version of the workers' Deployment, which changes with each write; and the CronJob without
/// its status, which its controller writes each minute.
async fn versions(testbed: &Testbed) -> (Option<String>, Option<ObjectMeta>) {
    let worker = testbed.deployment().await.and_then(|found| found.metadata.resource_version);
    let sweep = testbed.find::<CronJob>("concert-sweep").await.map(|found| found.metadata);
    let sweep = sweep.map(|mut metadata| {
        metadata.resource_version = None;
        let written = metadata.managed_fields.get_or_insert_default();
        written.retain(|entry| entry.subresource.is_none());
        metadata
    });
    (worker, sweep)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_is_left_alone_and_repaired_afterwards() {
    let (testbed, redis) = (Testbed::new("paused").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    two_workers(&testbed, &redis).await;
    testbed.until_condition("RedisReady", "True", "UnsafeSettings").await;
    operator.rests().await;
    pause(&testbed, Some("true")).await;
    testbed.until_condition("Paused", "True", "Annotated").await;
    testbed.until_event("ReconcilePaused", "").await;
    let observed = testbed.queue().await.status.unwrap().observed_generation;

    // And a line that needs more workers.
    drift(&testbed).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..400).await;
    let before = versions(&testbed).await;
    testbed.until_backlog(400).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(versions(&testbed).await, before, "nothing is written");
    assert!(testbed.find::<Service>("concert").await.is_none());
    assert_eq!(store.snapshot().await.unwrap().admission, Admission::Open, "no setting either");
    assert_eq!(testbed.queue().await.status.unwrap().observed_generation, observed);

    // Another operator does not write either.
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    join(&*store, 400..420).await;
    testbed.until_backlog(420).await;
    assert_eq!(versions(&testbed).await, before, "nothing is written after a restart");

    pause(&testbed, None).await;
    eventually("the repair", LIMIT, async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == json!(0)
            && testbed.find::<Service>("concert").await.is_some()
            && store.snapshot().await.unwrap().admission == Admission::Closed
    })
    .await;
    until_replicas(&testbed, "more workers", |n| n >= 15).await;
    testbed.until_gone("Paused").await;
    testbed.until_event("ReconcileResumed", "").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_misspelt_is_reported() {
    let testbed = Testbed::new("paused-maybe").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    pause(&testbed, Some("yes")).await;
    let message = testbed.until_condition("Stalled", "True", "InvalidSpec").await;
    assert!(message.contains("bookingqueue.dev/paused") && message.contains("true or false"));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_hibernates_keeps_its_data_and_wakes_by_one_field() {
    let (testbed, redis) = (Testbed::new("asleep").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    two_workers(&testbed, &redis).await;
    testbed.change(json!({ "hibernate": true })).await.unwrap();
    until_replicas(&testbed, "no workers", |n| n == 0).await;
    testbed.until_condition("Hibernated", "True", "Asleep").await;
    testbed.until_condition("Ready", "False", "Hibernated").await;
    testbed.until_condition("SweeperHealthy", "False", "Hibernated").await;
    let suspended =
        async || testbed.find::<CronJob>("concert-sweep").await.unwrap().spec.unwrap().suspend;
    assert_eq!(suspended().await, Some(true));
    assert!(testbed.condition("Stalled").await.is_null());

    // A line raises nothing.
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..400).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        assert_eq!(testbed.deployment().await.unwrap().spec.unwrap().replicas, Some(0));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    testbed.change(json!({ "hibernate": false })).await.unwrap();
    until_replicas(&testbed, "workers for the line that was kept", |n| n >= 15).await;
    eventually("the CronJob to go on", LIMIT, async || suspended().await != Some(true)).await;
    testbed.until_gone("Hibernated").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_paused_from_the_beginning_says_so() {
    let testbed = Testbed::new("paused-new").await;
    testbed.create(json!({ "replicas": 1 })).await;
    pause(&testbed, Some("true")).await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.until_condition("Paused", "True", "Annotated").await;
    testbed.until_condition("Progressing", "False", "Paused").await;
    testbed.until_event("ReconcilePaused", "").await;
    assert!(testbed.deployment().await.is_none());
    pause(&testbed, None).await;
    until_replicas(&testbed, "its worker", |n| n == 1).await;
    operator.stop().await;
}

/// Waits until a client has run a script and is still there.
async fn until_read(redis: &RedisServer) {
    eventually("a reading", LIMIT, async || {
        redis.cli(&["CLIENT", "LIST"]).unwrap().contains("cmd=evalsha")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_gets_no_epoch_for_data_that_was_lost() {
    let (testbed, redis) = (Testbed::new("paused-store").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "replicas": 1 })).await;
    testbed.until_condition("RedisReady", "True", "UnsafeSettings").await;
    operator.rests().await;
    pause(&testbed, Some("true")).await;
    testbed.until_condition("Paused", "True", "Annotated").await;
    redis.cli(&["FLUSHALL"]).unwrap();
    testbed.until_event("DataLost", "").await;
    operator.rests().await;
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap().trim(), "0", "nothing is written");

    // Nor when the operator connects again, or another one for the first time.
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    until_read(&redis).await;
    operator.rests().await;
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap().trim(), "0", "nothing is written");
    operator.stop().await;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    let operator = testbed.operator(Budget::unlimited());
    until_read(&redis).await;
    operator.rests().await;
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap().trim(), "0", "nothing is written");
    pause(&testbed, None).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    eventually("an epoch", LIMIT, async || !store.snapshot().await.unwrap().epoch.is_empty()).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_number_of_workers_wakes_though_a_person_had_stopped_them() {
    let (testbed, redis) = (Testbed::new("asleep-fixed").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "replicas": 3 })).await;
    until_replicas(&testbed, "three workers", |n| n == 3).await;
    operator.rests().await;
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    let workers = testbed.api::<Deployment>();
    workers.patch("concert-worker", &PatchParams::default(), &none).await.unwrap();
    operator.rests().await;
    until_replicas(&testbed, "the number of the person", |n| n == 0).await;
    testbed.change(json!({ "hibernate": true })).await.unwrap();
    testbed.until_condition("Hibernated", "True", "Asleep").await;
    eventually("the sleep in the status", LIMIT, async || {
        let last = testbed.queue().await.status.unwrap().last_scaling;
        last.is_some_and(|last| last.reason == "Hibernated")
    })
    .await;
    testbed.change(json!({ "hibernate": false })).await.unwrap();
    until_replicas(&testbed, "three workers again", |n| n == 3).await;
    operator.stop().await;
}
