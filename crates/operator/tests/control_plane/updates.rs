//! What another image of the operator changes waits, as `spec.update` says.

use std::sync::Arc;

use bookingq_api::status::UpdateStatus;
use bookingq_core::ClientId;
use bookingq_harness::RedisServer;
use bookingq_harness::wait::eventually;
use bookingq_store::{Cancel, Store};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::{Running, Testbed};

const OLD: &str = "bookingq:test";
const NEW: &str = "bookingq:new";

/// The images of workers and sweepers.
async fn images(testbed: &Testbed) -> [String; 2] {
    let text = |value: Value, path: &str| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let workers = serde_json::to_value(testbed.deployment().await).unwrap();
    let sweeper = testbed.find::<CronJob>("concert-sweep").await;
    [
        text(workers, "/spec/template/spec/containers/0/image"),
        text(
            serde_json::to_value(sweeper).unwrap(),
            "/spec/jobTemplate/spec/template/spec/containers/0/image",
        ),
    ]
}

async fn until_images(testbed: &Testbed, image: &str) {
    eventually(image, LIMIT, async || images(testbed).await == [image, image]).await;
}

async fn pending(testbed: &Testbed) -> Option<UpdateStatus> {
    testbed.queue().await.status.unwrap_or_default().update
}

/// A queue whose Redis answers, with Pods and 5 clients in line.
async fn queue_with_line(testbed: &Testbed, update: Value) -> (RedisServer, Arc<dyn Store>) {
    let redis = redis_server();
    testbed.create(json!({ "redis": { "url": redis.url() }, "update": update })).await;
    testbed.until_condition("RedisReady", "True", "UnsafeSettings").await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..5).await;
    eventually("the line and a Pod in the status", LIMIT, async || {
        let status = testbed.queue().await.status.unwrap_or_default();
        status.backlog == Some(5) && status.replicas > 0
    })
    .await;
    (redis, store)
}

/// The same, under the old operator first and now under the new one.
async fn updated(testbed: &Testbed, update: Value) -> (RedisServer, Arc<dyn Store>, Running) {
    let old = testbed.operator(Budget::unlimited());
    let (redis, store) = queue_with_line(testbed, update).await;
    assert_eq!(images(testbed).await, [OLD, OLD]);
    testbed.until_condition("UpdatePending", "False", "UpToDate").await;
    old.stop().await;
    (redis, store, testbed.operator_with(Budget::unlimited(), NEW))
}

async fn cancel_all(store: &dyn Store) {
    let clients = (0..5).map(|n| ClientId::new(&format!("client-{n}")).unwrap());
    let batch = clients.map(|client| Cancel { client, booking: None }).collect();
    assert!(store.cancel(batch).await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_operator_waits_while_there_is_a_line_and_replaces_pods_once_it_is_empty() {
    let testbed = Testbed::new("update").await;
    let (_redis, store, operator) = updated(&testbed, json!({})).await;
    let message = testbed.until_condition("UpdatePending", "True", "WaitsForIdle").await;
    assert!(message.contains("5 in line, 0 reserved"), "{message}");
    assert!(message.contains(OLD) && message.contains(NEW), "{message}");
    let status = pending(&testbed).await.unwrap();
    assert_eq!(status.waits_for, "Idle");
    assert!(message.contains(&status.pending), "{message}");
    assert_eq!(images(&testbed).await, [OLD, OLD]);

    // Meanwhile it goes on scaling, with the template that is there, and rests.
    testbed.change(json!({ "replicas": 3 })).await.unwrap();
    until_replicas(&testbed, "3 workers", |replicas| replicas == 3).await;
    operator.rests().await;
    assert_eq!(images(&testbed).await, [OLD, OLD]);
    assert_eq!(pending(&testbed).await.map(|update| update.since), Some(status.since));

    cancel_all(&*store).await;
    until_images(&testbed, NEW).await;
    testbed.until_condition("UpdatePending", "False", "UpdateStarted").await;
    assert_eq!(pending(&testbed).await, None);
    testbed.until_event("UpdatePending", "").await;
    testbed.until_event("UpdateStarted", "").await;
    operator.rests().await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immediate_update_replaces_pods_although_there_is_a_line() {
    let testbed = Testbed::new("immediate").await;
    let (_redis, _store, operator) = updated(&testbed, json!({ "policy": "Immediate" })).await;
    until_images(&testbed, NEW).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_update_waits_for_the_annotation_that_names_it() {
    let testbed = Testbed::new("manual").await;
    let (_redis, store, operator) = updated(&testbed, json!({ "policy": "Manual" })).await;
    testbed.until_condition("UpdatePending", "True", "WaitsForAnnotation").await;
    cancel_all(&*store).await;
    let annotate =
        async |value: String| testbed.annotate("bookingqueue.dev/update", Some(&value)).await;
    annotate("0123456789abcdef".to_owned()).await;
    operator.rests().await;
    assert_eq!(images(&testbed).await, [OLD, OLD], "another update was named");
    annotate(pending(&testbed).await.unwrap().pending).await;
    until_images(&testbed, NEW).await;
    testbed.until_condition("UpdatePending", "False", "UpdateStarted").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_spec_takes_the_update_of_its_pods_with_it() {
    let testbed = Testbed::new("taken").await;
    let (_redis, _store, operator) = updated(&testbed, json!({})).await;
    testbed.until_condition("UpdatePending", "True", "WaitsForIdle").await;
    // A change that no template depends on changes none.
    testbed.change(json!({ "outflow": { "maxHolds": 7 } })).await.unwrap();
    operator.rests().await;
    assert_eq!(images(&testbed).await, [OLD, OLD]);
    testbed.change(json!({ "worker": { "concurrency": 9 } })).await.unwrap();
    testbed.until_argument("--concurrency=9").await;
    until_images(&testbed, NEW).await;
    let message = testbed.until_condition("UpdatePending", "False", "StartedWithSpec").await;
    assert!(message.contains(NEW), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_of_before_finds_its_templates_unchanged() {
    let testbed = Testbed::new("back").await;
    let (_redis, _store, operator) = updated(&testbed, json!({})).await;
    testbed.until_condition("UpdatePending", "True", "WaitsForIdle").await;
    let template = async || testbed.deployment().await.unwrap().spec.unwrap().template;
    let before = template().await;
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.until_condition("UpdatePending", "False", "UpToDate").await;
    assert_eq!(template().await, before);
    operator.stop().await;
}

/// Objects of a release that wrote no stamps.
#[tokio::test(flavor = "multi_thread")]
async fn templates_without_a_stamp_wait_too() {
    let testbed = Testbed::new("unstamped").await;
    let old = testbed.operator(Budget::unlimited());
    let (_redis, _store) = queue_with_line(&testbed, json!({})).await;
    old.stop().await;
    let none = Patch::Merge(json!({ "metadata": { "annotations": {
        "bookingqueue.dev/template": null, "bookingqueue.dev/applied": "1",
    } } }));
    let (workers, sweepers) = (testbed.api::<Deployment>(), testbed.api::<CronJob>());
    workers.patch("concert-worker", &PatchParams::default(), &none).await.unwrap();
    sweepers.patch("concert-sweep", &PatchParams::default(), &none).await.unwrap();
    let operator = testbed.operator_with(Budget::unlimited(), NEW);
    let message = testbed.until_condition("UpdatePending", "True", "WaitsForIdle").await;
    assert!(message.contains("an older release"), "{message}");
    assert_eq!(images(&testbed).await, [OLD, OLD]);
    operator.stop().await;
}

/// A managed Redis is one of the things that wait; without its Pod the line cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_read_counts_as_one_with_clients() {
    let testbed = Testbed::new("unread").await;
    let old = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "replicas": 1 })).await;
    eventually("a Pod in the status", LIMIT, async || {
        testbed.queue().await.status.is_some_and(|status| status.replicas > 0)
    })
    .await;
    old.stop().await;
    assert!(testbed.find::<StatefulSet>("concert-redis").await.is_some());
    let operator = testbed.operator_with(Budget::unlimited(), NEW);
    let message = testbed.until_condition("UpdatePending", "True", "WaitsForIdle").await;
    assert!(message.contains("the line cannot be read"), "{message}");
    operator.stop().await;
}
