//! The queues of a trial: creates them, and checks their objects and status.

use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use bookingq_api::BookingQueue;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Concurrent requests.
const WIDTH: usize = 16;
/// Their namespace.
pub const NAMESPACE: &str = "trial";

/// Access to objects of the trial.
pub fn api<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Creates the namespace.
///
/// # Errors
/// The API server's.
pub async fn namespace(client: &Client) -> Result<()> {
    let namespace: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// A queue with this spec.
pub fn manifest(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
    })
}

/// The smallest spec, with its data in `redis` or in a managed Redis.
pub fn spec(redis: Option<&str>) -> Value {
    let mut spec = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
    if let Some(url) = redis {
        spec["redis"] = json!({ "url": url });
    }
    spec
}

/// Creates `count` queues.
///
/// # Errors
/// The API server's.
pub async fn create(client: &Client, count: usize, spec: &Value) -> Result<()> {
    let queues = futures::stream::iter(0..count).map(|index| async move {
        let queue: BookingQueue =
            serde_json::from_value(manifest(&format!("queue-{index:05}"), spec))?;
        api(client).create(&PostParams::default(), &queue).await.context("create a queue")
    });
    queues.buffer_unordered(WIDTH).try_for_each(|_| async { Ok(()) }).await
}

/// Checks that `count` queues have all their objects, and that each status reports the newest spec
/// as reconciled.
///
/// # Errors
/// If an object or a status is missing.
pub async fn check(client: &Client, count: usize, redis: Option<&str>) -> Result<()> {
    let own = usize::from(redis.is_none());
    let found = [
        ("Deployments", number::<Deployment>(client).await?, count),
        ("ServiceAccounts", number::<ServiceAccount>(client).await?, count),
        ("PodDisruptionBudgets", number::<PodDisruptionBudget>(client).await?, count),
        ("CronJobs", number::<CronJob>(client).await?, count),
        ("NetworkPolicies", number::<NetworkPolicy>(client).await?, count * (1 + own)),
        ("Services", number::<Service>(client).await?, count * (2 + own)),
        ("StatefulSets", number::<StatefulSet>(client).await?, count * own),
        ("Secrets", number::<Secret>(client).await?, count * own),
    ];
    for (kind, found, wanted) in found {
        ensure!(found == wanted, "{found} {kind} of {wanted}");
    }
    let queues = api::<BookingQueue>(client).list(&ListParams::default()).await?.items;
    ensure!(queues.len() == count, "{} queues of {count}", queues.len());
    for queue in queues {
        let status = queue.status.unwrap_or_default();
        let reported = status.observed_generation == queue.metadata.generation
            // Where no kubelet starts its workers, it is Reconciling besides.
            && status.conditions.iter().filter(|one| one.type_ != "Reconciling").count() == 8
            && status
                .conditions
                .iter()
                .all(|one| one.observed_generation == queue.metadata.generation)
            && status.conditions.iter().any(|one| one.type_ == "Degraded" && one.status == "False");
        ensure!(
            reported,
            "{:?} is not reported as reconciled: {:?}",
            queue.metadata.name,
            status.conditions
        );
    }
    Ok(())
}

async fn number<K>(client: &Client) -> Result<usize>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=bookingq-operator");
    Ok(api::<K>(client).list_metadata(&ours).await?.items.len())
}
