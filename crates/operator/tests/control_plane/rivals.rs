//! Another writer of the number of workers or gateways, such as a HorizontalPodAutoscaler.

use std::time::{Duration, Instant};

use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{redis_server, until_replicas};
use crate::testbed::Testbed;

/// Sets the number as `manager`, unless it is set; returns whether it was set back meanwhile.
async fn insists(deployments: &Api<Deployment>, name: &str, manager: &str, number: i32) -> bool {
    let found = deployments.get(name).await.unwrap().spec.unwrap().replicas;
    if found == Some(number) {
        return false;
    }
    let parameters =
        PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "spec": { "replicas": number } }));
    deployments.patch_scale(name, &parameters, &patch).await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_insists_is_named_and_replaced_once_only() {
    let (testbed, redis) = (Testbed::new("rival").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed
        .create(json!({
            "redis": { "url": redis.url() },
            "autoscaling": { "min": 2, "max": 4, "scaleDownWindow": "0s" },
        }))
        .await;
    until_replicas(&testbed, "the least number of workers", |n| n == 2).await;
    testbed.until_condition("ScaledByOther", "False", "OnlyOperator").await;
    let deployments = testbed.api::<Deployment>();
    let (hpa, start) = ("kube-controller-manager", Instant::now());
    insists(&deployments, "concert-worker", hpa, 6).await;
    let message = testbed.until_condition("ScaledByOther", "True", "OtherWriter").await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(message.contains(hpa) && message.contains("set spec.replicas"), "{message}");
    let mut written = 1;
    while start.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        written += i32::from(insists(&deployments, "concert-worker", hpa, 6).await);
    }
    assert!(written <= 2, "the number was set back {} times", written - 1);
    operator.rests().await;
    until_replicas(&testbed, "the number of the other writer", |n| n == 6).await;
    let (status, at) = scaled_by_other(&testbed).await;
    assert_eq!(status, "True");
    assert!(at <= jiff::Timestamp::now() - start.elapsed() / 2, "it has not flapped");
    let events = testbed.api::<Event>().list(&ListParams::default()).await.unwrap();
    assert!(events.iter().any(|event| event.reason.as_deref() == Some("ScaledByOther")));

    // The choice of a person takes effect at once.
    testbed.change(json!({ "replicas": 3 })).await.unwrap();
    until_replicas(&testbed, "the fixed number", |n| n == 3).await;
    operator.stop().await;
}

/// The status of the condition, and its last transition.
async fn scaled_by_other(testbed: &Testbed) -> (String, jiff::Timestamp) {
    let conditions = testbed.queue().await.status.unwrap().conditions;
    let found = conditions.into_iter().find(|one| one.type_ == "ScaledByOther").unwrap();
    (found.status, found.last_transition_time.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_the_number_of_gateways_is_named_too() {
    let (testbed, redis) = (Testbed::new("rival-gateway").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let keys: Secret = serde_json::from_value(json!({
        "metadata": { "name": "keys" }, "stringData": { "place-1.json": "{}" },
    }))
    .unwrap();
    testbed.api().create(&PostParams::default(), &keys).await.unwrap();
    let gateway = json!({ "keys": { "secretName": "keys" } });
    testbed.create(json!({ "redis": { "url": redis.url() }, "gateway": gateway })).await;
    testbed.until_condition("GatewayAvailable", "False", "NoGatewaysReady").await;
    let deployments = testbed.api::<Deployment>();
    eventually("the minimum of gateways", LIMIT, async || {
        deployments.get("concert-gateway").await.unwrap().spec.unwrap().replicas == Some(2)
    })
    .await;
    insists(&deployments, "concert-gateway", "kubectl", 7).await;
    let message = testbed.until_condition("ScaledByOther", "True", "OtherWriter").await;
    assert!(message.contains("kubectl writes the number of gateways"), "{message}");
    operator.stop().await;
}
