//! What the deletion of a queue leaves behind, and who adopts it.

use bookingq_api::BookingQueue;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

const CLAIM: &str = "data-concert-redis-0";

impl Testbed {
    async fn claim(&self) -> PersistentVolumeClaim {
        let mut found = None;
        eventually("the volume claim", LIMIT, async || {
            found = self.find::<PersistentVolumeClaim>(CLAIM).await;
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn delete(&self) {
        let queues = self.api::<BookingQueue>();
        queues.delete("concert", &DeleteParams::default()).await.unwrap();
        eventually("everything to be gone", LIMIT, async || {
            self.objects().await.is_empty() && self.find::<Pod>("concert-redis-0").await.is_none()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_volume_of_a_deleted_queue_stays_and_the_next_queue_of_its_name_adopts_it() {
    let testbed = Testbed::with_stateful_sets("retain").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    let claim = testbed.claim().await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    testbed.delete().await;
    operator.rests().await;
    let left = testbed.claim().await;
    assert_eq!((left.uid(), left.metadata.deletion_timestamp.clone()), (claim.uid(), None));
    assert!(left.owner_references().is_empty(), "{:?}", left.owner_references());

    testbed.create(json!({})).await;
    eventually("a Pod with the old volume", LIMIT, async || {
        let pod: Option<Pod> = testbed.find("concert-redis-0").await;
        pod.is_some_and(|pod| {
            let volumes = pod.spec.unwrap().volumes.unwrap();
            let claims = volumes.iter().filter_map(|one| one.persistent_volume_claim.as_ref());
            claims.into_iter().any(|claim| claim.claim_name == CLAIM)
        })
    })
    .await;
    assert_eq!(testbed.claim().await.uid(), claim.uid());

    // An explicit Delete.
    testbed.change(json!({ "deletion": { "data": "Delete" } })).await.unwrap();
    let set: StatefulSet = testbed.find("concert-redis").await.unwrap();
    eventually("the volume to belong to the StatefulSet", LIMIT, async || {
        let claim = testbed.claim().await;
        claim.owner_references().iter().any(|owner| Some(&owner.uid) == set.uid().as_ref())
    })
    .await;
    testbed.delete().await;
    eventually("the volume to be gone", LIMIT, async || {
        let found = testbed.find::<PersistentVolumeClaim>(CLAIM).await;
        found.is_none_or(|claim| claim.metadata.deletion_timestamp.is_some())
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_deleted_its_volume_with_it_keeps_it_after_an_upgrade() {
    let testbed = Testbed::with_stateful_sets("keep").await;
    let operator = testbed.operator(Budget::unlimited());
    // As the StatefulSet of an older operator.
    testbed.create(json!({ "deletion": { "data": "Delete" } })).await;
    eventually("the volume to belong to the StatefulSet", LIMIT, async || {
        !testbed.claim().await.owner_references().is_empty()
    })
    .await;
    testbed.change(json!({ "deletion": null })).await.unwrap();
    eventually("the volume to belong to nothing", LIMIT, async || {
        testbed.claim().await.owner_references().is_empty()
    })
    .await;
    testbed.delete().await;
    operator.rests().await;
    assert_eq!(testbed.claim().await.metadata.deletion_timestamp, None);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_pod_does_not_adopt_the_first_of_three_volumes() {
    let testbed = Testbed::new("adopt").await;
    let operator = testbed.operator(Budget::unlimited());
    let second: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": { "name": "data-concert-redis-1" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "8Gi" } },
        },
    }))
    .unwrap();
    testbed.api().create(&PostParams::default(), &second).await.unwrap();
    // Another error comes first, and with it a status.
    let gateway = json!({ "keys": { "secretName": "keys" }, "host": "wait.example.com" });
    testbed.create(json!({ "gateway": gateway })).await;
    testbed.until_condition("Degraded", "True", "SecretMissing").await;
    testbed.change(json!({ "gateway": null })).await.unwrap();
    let message = testbed.until_condition("Degraded", "True", "VolumesOfThree").await;
    assert!(message.contains("data-concert-redis-1 is left of a queue with three"), "{message}");
    operator.rests().await;
    assert!(testbed.find::<StatefulSet>("concert-redis").await.is_none());
    testbed.change(json!({ "redis": { "managed": { "replicas": 3 } } })).await.unwrap();
    eventually("a StatefulSet of three", LIMIT, async || {
        let set: Option<StatefulSet> = testbed.find("concert-redis").await;
        set.is_some_and(|set| set.spec.unwrap().replicas == Some(3))
    })
    .await;
    operator.stop().await;
}
