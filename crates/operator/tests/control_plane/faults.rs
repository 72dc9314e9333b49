//! Faults: death at any moment, other writers, missing Secrets.

use bookingq_harness::wait::eventually;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_after_any_of_its_writes_leaves_the_same_end_state_to_the_next() {
    let whole = Testbed::new("whole").await;
    let operator = whole.operator(Budget::unlimited());
    whole.create(json!({})).await;
    whole.until_condition("Degraded", "False", "Reconciled").await;
    operator.rests().await;
    let (expected, writes) = (whole.objects().await, operator.budget.done());
    operator.stop().await;
    assert!(writes >= expected.len(), "{writes} writes");

    // In small groups: each has two operators, and the machine may have two cores.
    let ks: Vec<usize> = (0..=writes).collect();
    for group in ks.chunks(6) {
        join_all(group.iter().map(|&k| dies_after(k, &expected))).await;
    }
}

async fn dies_after(k: usize, expected: &std::collections::BTreeMap<String, Value>) {
    let testbed = Testbed::new(&format!("dies-after-{k}")).await;
    let first = testbed.operator(Budget::of(k));
    testbed.create(json!({})).await;
    // This run may need fewer writes than the first: two status changes may become one write.
    let finished = async || {
        let status = testbed.queue().await.status.unwrap_or_default();
        status.conditions.iter().any(|c| c.type_ == "Degraded" && c.status == "False")
    };
    eventually("the first operator to die or finish", LIMIT, async || {
        first.budget.spent() || finished().await
    })
    .await;
    first.kill();
    let second = testbed.operator(Budget::unlimited());
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    second.rests().await;
    assert_eq!(&testbed.objects().await, expected, "died after {k} writes");
    second.stop().await;
    let third = testbed.operator(Budget::unlimited());
    third.rests().await;
    assert_eq!(third.budget.done(), 0, "a restart alone writes nothing (after {k})");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_corrected_and_reported_in_an_event() {
    let testbed = Testbed::new("foreign").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    operator.rests().await;
    let deployments = testbed.api::<Deployment>();
    let edit = Patch::Merge(
        json!({ "spec": { "minReadySeconds": 7, "strategy": { "rollingUpdate": { "maxUnavailable": 5 } } } }),
    );
    deployments.patch("concert-worker", &PatchParams::default(), &edit).await.unwrap();
    eventually("the strategy to be back", LIMIT, async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == json!(0)
    })
    .await;
    let kept = testbed.deployment().await.unwrap().spec.unwrap().min_ready_seconds;
    assert_eq!(kept, Some(7), "fields that the operator does not set are left alone");
    testbed.api::<Service>().delete("concert", &DeleteParams::default()).await.unwrap();
    eventually("the Service to be back", LIMIT, async || {
        testbed.find::<Service>("concert").await.is_some()
    })
    .await;
    testbed.until_event("DriftCorrected", "").await;
    operator.rests().await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_another_manager_takes_by_force_is_taken_back() {
    let testbed = Testbed::new("conflict").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    let theirs = Patch::Apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 1 } } },
    }));
    let parameters = PatchParams::apply("other-manager").force();
    testbed.api::<Deployment>().patch("concert-worker", &parameters, &theirs).await.unwrap();
    eventually("the grace to be back", LIMIT, async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == json!(30)
    })
    .await;
    operator.rests().await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_another_owner_is_left_alone_and_reported() {
    let testbed = Testbed::new("taken").await;
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "concert" }, "spec": { "ports": [{ "port": 80 }] },
    }))
    .unwrap();
    testbed.api::<Service>().create(&PostParams::default(), &theirs).await.unwrap();
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    let message = testbed.until_condition("Degraded", "True", "NameConflict").await;
    assert!(message.starts_with("Service concert exists and does not belong"), "{message}");
    let left = testbed.find::<Service>("concert").await.unwrap();
    assert!(left.owner_references().is_empty() && left.spec.unwrap().ports.unwrap()[0].port == 80);
    testbed.api::<Service>().delete("concert", &DeleteParams::default()).await.unwrap();
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_reported_and_a_changed_one_restarts_the_workers() {
    let testbed = Testbed::new("secret").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed
        .create(json!({ "redis": { "urlSecret": { "name": "our-redis", "key": "url" } } }))
        .await;
    let message = testbed.until_condition("Degraded", "True", "SecretMissing").await;
    assert!(
        message.contains("our-redis, named in spec.redis.urlSecret, does not exist"),
        "{message}"
    );
    let secrets = testbed.api::<Secret>();
    let with = |url: &str| -> Secret {
        serde_json::from_value(
            json!({ "metadata": { "name": "our-redis" }, "data": null, "stringData": { "url": url } }),
        )
        .unwrap()
    };
    secrets.create(&PostParams::default(), &with("redis://127.0.0.1:1")).await.unwrap();
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    let template = async || {
        let deployment = serde_json::to_value(testbed.deployment().await).unwrap();
        deployment["spec"]["template"]["metadata"]["annotations"]["bookingqueue.dev/secrets"]
            .clone()
    };
    let before = template().await;
    let other = Patch::Merge(json!({ "stringData": { "url": "redis://127.0.0.1:2" } }));
    secrets.patch("our-redis", &PatchParams::default(), &other).await.unwrap();
    eventually("new workers", LIMIT, async || template().await != before).await;
    operator.stop().await;
}
