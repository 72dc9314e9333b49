//! Tools that apply the manifest of a queue again and again, while the operator scales its workers
//! and writes its status.

use bookingq_api::BookingQueue;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::Testbed;

/// How often each tool applies the same manifest.
const ROUNDS: usize = 20;

/// Server-side apply, as Helm 4 does it, or with force, as Argo CD does it.
async fn apply(testbed: &Testbed, (manager, force): (&str, bool), manifest: &Value) {
    let parameters = PatchParams { force, ..PatchParams::apply(manager) };
    let queues = testbed.api::<BookingQueue>();
    let applied = queues.patch("concert", &parameters, &Patch::Apply(manifest)).await;
    applied.unwrap_or_else(|error| panic!("{manager} has a conflict: {error}"));
}

fn manifest(redis: &str, grace: &str) -> Value {
    json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": "concert", "labels": { "app.kubernetes.io/instance": "sale" } },
        "spec": {
            "booking": { "endpoint": "http://booking-service:50051" },
            "redis": { "url": redis },
            "worker": { "concurrency": 1, "grace": grace },
            "autoscaling": { "min": 2, "max": 40, "drainTarget": "10s", "scaleDownWindow": "5m" },
        },
    })
}

/// Number and generation of the workers, and the generation of the queue.
async fn numbers(testbed: &Testbed) -> (Option<i32>, Option<i64>, Option<i64>) {
    let Deployment { metadata, spec, .. } = testbed.deployment().await.unwrap();
    let queue = testbed.queue().await.metadata.generation;
    (spec.unwrap().replicas, metadata.generation, queue)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_applies_again_has_no_conflict_and_reverses_nothing() {
    let (testbed, redis) = (Testbed::new("gitops").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let (helm, argo) = (("helm", false), ("argocd-controller", true));
    let mut grace = 30;
    apply(&testbed, helm, &manifest(&redis.url(), "30s")).await;
    until_replicas(&testbed, "the least number of workers", |n| n == 2).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..400).await;
    until_replicas(&testbed, "more workers", |n| n >= 15).await;
    testbed.until_backlog(400).await;
    operator.rests().await;
    let workers = numbers(&testbed).await.0;

    for tool in [helm, argo] {
        let (before, writes) = (numbers(&testbed).await, operator.budget.done());
        let same = manifest(&redis.url(), &format!("{grace}s"));
        for _ in 0..ROUNDS {
            apply(&testbed, tool, &same).await;
        }
        operator.rests().await;
        assert_eq!(numbers(&testbed).await, before, "{tool:?} changes nothing");
        let written = operator.budget.done() - writes;
        assert!(written <= 2, "{tool:?} made the operator write {written} times");

        // A change of the manifest reaches the Pods, and leaves their number alone.
        grace += 1;
        let wanted = format!("--grace={grace}s");
        apply(&testbed, tool, &manifest(&redis.url(), &format!("{grace}s"))).await;
        testbed.until_argument(&wanted).await;
        operator.rests().await;
        assert_eq!(numbers(&testbed).await.0, workers, "{tool:?} leaves the number alone");
    }
    eventually("the status of the last change", LIMIT, async || {
        let queue = testbed.queue().await;
        queue.status.and_then(|status| status.observed_generation) == queue.metadata.generation
    })
    .await;
    let events = testbed.api::<Event>().list(&ListParams::default()).await.unwrap();
    let reversed = events
        .iter()
        .find(|event| matches!(event.reason.as_deref(), Some("DriftCorrected" | "ScaledByOther")));
    assert!(reversed.is_none(), "{reversed:?}");
    operator.stop().await;
}
