//! Pods that do not start: why, in conditions and events, and which of them are replaced. The tests
//! play kubelet and scheduler.

use std::time::{Duration, Instant};

use bookingq_harness::wait::eventually;
use k8s_openapi::api::core::v1::{LimitRange, Pod};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::redis_server;
use crate::testbed::Testbed;

/// Time within which a reason must be shown.
const SHOWN: Duration = Duration::from_secs(15);

impl Testbed {
    /// Waits until the queue has a Pod of this part, and returns it.
    async fn pod(&self, part: &str) -> Pod {
        let ours = ListParams::default().labels(&format!(
            "app.kubernetes.io/component={part},app.kubernetes.io/instance=concert"
        ));
        let mut found = None;
        eventually(&format!("a Pod of {part}"), LIMIT, async || {
            let pods = self.api::<Pod>().list(&ours).await.unwrap().items;
            found = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Writes the status of a Pod, as a kubelet would.
    async fn report(&self, pod: &Pod, status: &Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        let pods = self.api::<Pod>();
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits for a condition, at most for [`SHOWN`] from now.
    async fn shows(&self, type_: &str, status: &str, reason: &str) -> String {
        let start = Instant::now();
        let message = self.until_condition(type_, status, reason).await;
        assert!(start.elapsed() < SHOWN, "{reason} after {:?}", start.elapsed());
        message
    }
}

fn container(name: &str, fields: &Value) -> Value {
    let mut status = json!({ "phase": "Pending", "containerStatuses": [{
        "name": name, "image": "bookingq:test", "imageID": "", "ready": false, "restartCount": 0,
    }]});
    bookingq_operator::merge::overlay(&mut status["containerStatuses"][0], fields);
    status
}

fn pull_fails(name: &str) -> Value {
    let waiting = json!({ "reason": "ErrImagePull", "message": "no such host registry.invalid" });
    container(name, &json!({ "state": { "waiting": waiting } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_why_workers_do_not_start_is_in_a_condition_and_an_event() {
    let (testbed, redis) = (Testbed::new("faults").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() } })).await;
    let pod = testbed.pod("worker").await;
    testbed.report(&pod, &pull_fails("worker")).await;
    let message = testbed.shows("WorkersAvailable", "False", "ImagePullBackOff").await;
    assert!(message.contains("no such host registry.invalid"), "{message}");
    assert!(message.contains(&pod.name_any()), "{message}");
    testbed.until_event("ImagePullBackOff", "registry.invalid").await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;

    let last = json!({ "terminated": {
        "exitCode": 3, "reason": "Error", "message": "starting\nthe port 50051 is taken\n",
    }});
    let crash = json!({
        "restartCount": 2, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": last,
    });
    testbed.report(&pod, &container("worker", &crash)).await;
    let message = testbed.shows("WorkersAvailable", "False", "CrashLoopBackOff").await;
    assert!(message.contains("exit code 3; last line: the port 50051 is taken"), "{message}");
    let oom = json!({
        "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
    });
    testbed.report(&pod, &container("worker", &oom)).await;
    testbed.shows("WorkersAvailable", "False", "OOMKilled").await;
    testbed.until_event("OOMKilled", "exit code 137").await;

    // Ten minutes later.
    let long_ago = jiff::Timestamp::now() - Duration::from_secs(600);
    let mut status = container("worker", &oom);
    status["conditions"] = json!([
        { "type": "Ready", "status": "False", "lastTransitionTime": long_ago },
    ]);
    testbed.report(&pod, &status).await;
    testbed.shows("Degraded", "True", "OOMKilled").await;
    testbed.until_condition("Ready", "False", "OOMKilled").await;
    operator.rests().await;
    let writes = operator.budget.done();
    operator.rests().await;
    assert_eq!(operator.budget.done(), writes, "a fault that stays is written once");

    // Mended: another Pod takes its place.
    testbed.change(json!({ "worker": { "image": "bookingq:mended" } })).await.unwrap();
    testbed
        .api::<Pod>()
        .delete(&pod.name_any(), &kube::api::DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_sweepers_and_redis_say_why_they_do_not_start() {
    let testbed = Testbed::with_stateful_sets("parts").await;
    let operator = testbed.operator(Budget::unlimited());
    let keys = serde_json::from_value(json!({
        "metadata": { "name": "keys" }, "stringData": { "place-1.json": "{}" },
    }))
    .unwrap();
    testbed
        .api::<k8s_openapi::api::core::v1::Secret>()
        .create(&PostParams::default(), &keys)
        .await
        .unwrap();
    testbed.create(json!({ "gateway": { "keys": { "secretName": "keys" } } })).await;
    let config = json!({ "state": { "waiting": {
        "reason": "CreateContainerConfigError", "message": "configmap \"c\" not found",
    }}});
    let gateway = testbed.pod("gateway").await;
    testbed.report(&gateway, &container("gateway", &config)).await;
    let shown = testbed.shows("GatewayAvailable", "False", "CreateContainerConfigError").await;
    assert!(shown.contains("configmap \"c\" not found"), "{shown}");

    let redis = testbed.pod("redis").await;
    let unscheduled = json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]});
    testbed.report(&redis, &unscheduled).await;
    let shown = testbed.shows("RedisReady", "False", "Unschedulable").await;
    assert!(shown.contains("3 Insufficient memory"), "{shown}");

    // As the CronJob's Job would create it.
    let labels = json!({
        "app.kubernetes.io/component": "sweeper", "app.kubernetes.io/instance": "concert",
        "app.kubernetes.io/managed-by": "bookingq-operator",
    });
    let sweeper: Pod = serde_json::from_value(json!({
        "metadata": { "name": "concert-sweep-1-a", "labels": labels },
        "spec": { "containers": [{ "name": "sweeper", "image": "bookingq:test" }] },
    }))
    .unwrap();
    let sweeper = testbed.api().create(&PostParams::default(), &sweeper).await.unwrap();
    testbed.report(&sweeper, &pull_fails("sweeper")).await;
    testbed.shows("SweeperHealthy", "False", "ImagePullBackOff").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_the_api_server_refuses_to_create_are_explained() {
    let testbed = Testbed::with_stateful_sets("forbidden").await;
    let range: LimitRange = serde_json::from_value(json!({
        "metadata": { "name": "tiny" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "1Mi" } }] },
    }))
    .unwrap();
    testbed.api().create(&PostParams::default(), &range).await.unwrap();
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    let message = testbed.shows("WorkersAvailable", "False", "PodCreationFailed").await;
    assert!(message.contains("1Mi"), "{message}");
    let message = testbed.shows("RedisReady", "False", "PodCreationFailed").await;
    assert!(message.contains("1Mi"), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_pod_with_a_wrong_image_is_replaced_when_the_image_is_mended() {
    let testbed = Testbed::with_stateful_sets("stuck").await;
    let operator = testbed.operator(Budget::unlimited());
    let image = |image: &str| json!({ "redis": { "managed": { "image": image } } });
    testbed.create(image("registry.invalid/redis:7.4")).await;
    let wrong = testbed.pod("redis").await;
    testbed.report(&wrong, &pull_fails("redis")).await;
    testbed.shows("RedisReady", "False", "ImagePullBackOff").await;
    operator.rests().await;
    let still: Pod = testbed.find("concert-redis-0").await.unwrap();
    assert_eq!(still.uid(), wrong.uid(), "while the template is wrong, another Pod is of no use");

    testbed.change(image("docker.io/library/redis:7.4")).await.unwrap();
    eventually("a Pod of the mended template", LIMIT, async || {
        let pod: Option<Pod> = testbed.find("concert-redis-0").await;
        pod.is_some_and(|pod| {
            pod.uid() != wrong.uid()
                && pod.spec.unwrap().containers[0].image.as_deref()
                    == Some("docker.io/library/redis:7.4")
        })
    })
    .await;
    testbed.until_event("StuckPodReplaced", "concert-redis-0").await;

    // One that cannot be scheduled, because it asks for too much.
    let resources = |memory: &str| {
        json!({ "redis": { "managed": {
            "resources": { "requests": { "memory": memory } },
        }}})
    };
    let before = testbed.pod("redis").await;
    testbed.report(&before, &json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full",
    }]})).await;
    testbed.change(resources("128Mi")).await.unwrap();
    eventually("a Pod of the smaller template", LIMIT, async || {
        let pod: Option<Pod> = testbed.find("concert-redis-0").await;
        pod.is_some_and(|pod| pod.uid() != before.uid())
    })
    .await;

    // One that serves is left to the StatefulSet, which replaces it in order.
    let serving = testbed.pod("redis").await;
    let mut status = container("redis", &json!({ "ready": true, "started": true }));
    status["phase"] = json!("Running");
    status["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
    testbed.report(&serving, &status).await;
    operator.rests().await;
    let still: Pod = testbed.find("concert-redis-0").await.unwrap();
    assert_eq!(still.uid(), serving.uid());
    operator.stop().await;
}
