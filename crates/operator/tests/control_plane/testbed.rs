//! A testbed: a namespace of its own, operators, and assertions on objects.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::BookingQueue;
use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::wait::eventually;
use bookingq_operator::controller::{self, ControllerSettings};
use bookingq_operator::environment::OperatorEnvironment;
use bookingq_operator::leader_fence::LeaderFence;
use bookingq_operator::metrics::Metrics;
use bookingq_operator::watch::WatchScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Event, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::cluster;
use crate::cluster::LIMIT;

/// The operator is idle after this time without a write.
const REST: Duration = Duration::from_secs(4);

/// A namespace of a running control plane.
pub struct Testbed {
    pub cluster: Arc<ControlPlane>,
    pub client: Client,
    pub namespace: String,
}

/// An operator that watches the namespace.
pub struct Running {
    task: JoinHandle<()>,
    leaving: CancellationToken,
    pub budget: Budget,
}

impl Running {
    /// As SIGKILL would.
    pub fn kill(self) {
        self.task.abort();
    }

    /// As SIGTERM would.
    pub async fn stop(self) {
        self.leaving.cancel();
        self.task.await.unwrap();
    }

    /// Waits until it is idle.
    pub async fn rests(&self) {
        let (mut writes, mut since) = (self.budget.done(), Instant::now());
        eventually("the operator to rest", LIMIT, async || {
            if self.budget.done() != writes {
                (writes, since) = (self.budget.done(), Instant::now());
            }
            since.elapsed() >= REST
        })
        .await;
    }
}

/// A fence that is always open: these tests have one operator.
fn always_leading() -> LeaderFence {
    let fence = LeaderFence::default();
    fence.open_until(Instant::now() + Duration::from_secs(24 * 3600));
    fence
}

impl Testbed {
    /// A new namespace whose name begins with `name`.
    pub async fn new(name: &str) -> Self {
        Self::of(cluster::shared().await, name).await
    }

    /// The same, where StatefulSets create Pods and volume claims.
    pub async fn with_stateful_sets(name: &str) -> Self {
        Self::of(cluster::with_stateful_sets().await, name).await
    }

    pub async fn of(cluster: Arc<ControlPlane>, name: &str) -> Self {
        let client = cluster.client().unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let wanted: Namespace =
            serde_json::from_value(json!({ "metadata": { "generateName": format!("{name}-") } }))
                .unwrap();
        let made = namespaces.create(&PostParams::default(), &wanted).await.unwrap();
        Self { cluster, client, namespace: made.name_any() }
    }

    /// An operator.
    pub fn operator(&self, budget: Budget) -> Running {
        self.operator_with(budget, "bookingq:test")
    }

    /// An operator of another release: its Pods have this image.
    pub fn operator_with(&self, budget: Budget, image: &str) -> Running {
        let leaving = CancellationToken::new();
        let settings = self.settings(image);
        let client = budget.client(self.cluster.config());
        let task = tokio::spawn(controller::run(
            client,
            settings,
            Metrics::new().unwrap(),
            always_leading(),
            leaving.clone(),
        ));
        Running { task, leaving, budget }
    }

    /// The settings of an operator of the namespace.
    pub fn settings(&self, image: &str) -> ControllerSettings {
        ControllerSettings {
            scope: WatchScope::Namespace(self.namespace.clone()),
            environment: OperatorEnvironment {
                image: image.to_owned(),
                release: "test".to_owned(),
                namespace: "bookingq-system".to_owned(),
            },
            instance: "tests".to_owned(),
        }
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates the queue `concert` with these fields and the required ones.
    pub async fn create(&self, fields: Value) -> BookingQueue {
        self.create_named("concert", fields).await
    }

    /// Creates a queue of this name.
    pub async fn create_named(&self, name: &str, fields: Value) -> BookingQueue {
        let mut spec = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
        bookingq_operator::merge::overlay(&mut spec, &fields);
        let queue: BookingQueue = serde_json::from_value(json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
            "metadata": { "name": name }, "spec": spec,
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &queue).await.unwrap()
    }

    /// Changes fields of its spec.
    pub async fn change(&self, fields: Value) -> kube::Result<BookingQueue> {
        let patch = Patch::Merge(json!({ "spec": fields }));
        self.api().patch("concert", &PatchParams::default(), &patch).await
    }

    pub async fn queue(&self) -> BookingQueue {
        self.api().get("concert").await.unwrap()
    }

    pub async fn find<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        self.api::<K>().get_opt(name).await.unwrap()
    }

    pub async fn deployment(&self) -> Option<Deployment> {
        self.find("concert-worker").await
    }

    /// Waits until one of the workers' arguments is this.
    pub async fn until_argument(&self, argument: &str) {
        eventually(argument, LIMIT, async || {
            let deployment = self.deployment().await.map(|d| serde_json::to_value(d).unwrap());
            let arguments =
                deployment.map(|d| d["spec"]["template"]["spec"]["containers"][0]["args"].clone());
            arguments
                .and_then(|a| a.as_array().cloned())
                .unwrap_or_default()
                .contains(&json!(argument))
        })
        .await;
    }

    /// Waits until a condition has this status and reason; answers with its message.
    pub async fn until_condition(&self, type_: &str, status: &str, reason: &str) -> String {
        let mut message = String::new();
        eventually(&format!("{type_}={status} ({reason})"), LIMIT, async || {
            let conditions = self.queue().await.status.unwrap_or_default().conditions;
            let found = conditions.into_iter().find(|condition| condition.type_ == type_);
            found.is_some_and(|found| {
                message.clone_from(&found.message);
                found.status == status && found.reason == reason
            })
        })
        .await;
        message
    }

    /// The condition of this type; null if it is not there.
    pub async fn condition(&self, type_: &str) -> Value {
        let conditions = self.queue().await.status.unwrap_or_default().conditions;
        serde_json::to_value(conditions.iter().find(|one| one.type_ == type_)).unwrap()
    }

    /// Waits until there is no condition of this type.
    pub async fn until_gone(&self, type_: &str) {
        eventually(&format!("{type_} to go"), LIMIT, async || {
            self.condition(type_).await.is_null()
        })
        .await;
    }

    /// Waits for an event with this reason and these words.
    pub async fn until_event(&self, reason: &str, words: &str) {
        eventually(&format!("the event {reason}"), LIMIT, async || {
            let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
            events.iter().any(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.message.as_deref().is_some_and(|message| message.contains(words))
            })
        })
        .await;
    }

    /// Waits until the status shows a line of this length.
    pub async fn until_backlog(&self, backlog: i64) {
        eventually("the line in the status", LIMIT, async || {
            self.queue().await.status.is_some_and(|status| status.backlog == Some(backlog))
        })
        .await;
    }

    /// Sets or removes an annotation of the queue.
    pub async fn annotate(&self, key: &str, value: Option<&str>) {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        let queues = self.api::<BookingQueue>();
        queues.patch("concert", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Every object of the queue, without the fields that differ from run to run.
    pub async fn objects(&self) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        self.collect::<Deployment>(&mut all).await;
        self.collect::<StatefulSet>(&mut all).await;
        self.collect::<CronJob>(&mut all).await;
        self.collect::<Service>(&mut all).await;
        self.collect::<ServiceAccount>(&mut all).await;
        self.collect::<NetworkPolicy>(&mut all).await;
        self.collect::<PodDisruptionBudget>(&mut all).await;
        self.collect::<Secret>(&mut all).await;
        all
    }

    async fn collect<K>(&self, all: &mut BTreeMap<String, Value>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
    {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=bookingq-operator");
        for object in self.api::<K>().list(&ours).await.unwrap() {
            let name = format!("{} {}", K::kind(&()), object.name_any());
            let mut value = serde_json::to_value(&object).unwrap();
            for path in [
                "/metadata/uid",
                "/metadata/ownerReferences/0/uid",
                "/metadata/annotations",
                "/data",
            ] {
                value.pointer_mut(path).map(Value::take);
            }
            for field in
                ["resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace"]
            {
                value["metadata"].as_object_mut().unwrap().remove(field);
            }
            let addresses = ["clusterIP", "clusterIPs"];
            for field in addresses {
                value["spec"].as_object_mut().map(|spec| spec.remove(field));
            }
            value.as_object_mut().unwrap().remove("status");
            let text = value.to_string().replace(&self.namespace, "NAMESPACE");
            all.insert(name, without_versions(&serde_json::from_str(&text).unwrap()));
        }
    }
}

/// The Secrets' versions in Pod templates differ from run to run.
fn without_versions(object: &Value) -> Value {
    let mut object = object.clone();
    object
        .pointer_mut("/spec/template/metadata/annotations/bookingqueue.dev~1secrets")
        .map(Value::take);
    object
}
