//! What the watches have told: every object that the operator made, by kind.

use std::fmt::Debug;
use std::sync::Arc;

use bookingq_api::BookingQueue;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::build::names::{self, Part};

/// A queue as it is watched: one that cannot be decoded is told apart and holds up no other.
pub type Watched = DeserializeGuard<BookingQueue>;
/// Names a queue.
pub type Key = ObjectRef<Watched>;

/// Where the operator looks for queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    Cluster,
    /// In one.
    Namespace(String),
}

impl Scope {
    /// Access to all objects of a kind within the scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// A kind of object that the operator makes.
pub trait Kept:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Those that are known.
    fn cache(caches: &Caches) -> &Store<Self>;
}

macro_rules! caches {
    ($($(#[$doc:meta])* $field:ident: $kind:ty,)*) => {
        /// What the watches have told.
        #[derive(Clone)]
        pub struct Caches {
            $($(#[$doc])* pub $field: Store<$kind>,)*
            /// Workers' Pods that have no node (yet): of Pods only these are watched, and only their conditions are kept.
            pub pending: Store<Pod>,
        }

        $(impl Kept for $kind {
            fn cache(caches: &Caches) -> &Store<Self> {
                &caches.$field
            }
        })*

        /// The watches behind the caches: each fills its cache, and tells what it touched.
        pub struct Watches {
            $($(#[$doc])* pub $field: Touched<$kind>,)*
            /// Workers' Pods without a node.
            pub pending: Touched<Pod>,
        }

        /// Starts a cache and a watch for each kind. Nothing is asked before the watches are polled.
        pub fn start(client: &Client, scope: &Scope) -> (Caches, Watches) {
            $(let $field = watch::<$kind>(scope.api(client));)*
            let pending = watch_pending(scope.api(client));
            (
                Caches { $($field: $field.0,)* pending: pending.0 },
                Watches { $($field: $field.1,)* pending: pending.1 },
            )
        }
    };
}

caches! {
    /// Workers.
    deployments: Deployment,
    /// Managed Redis.
    stateful_sets: StatefulSet,
    /// Doors.
    services: Service,
    /// Whom Pods run as.
    service_accounts: ServiceAccount,
    /// Who may reach what.
    network_policies: NetworkPolicy,
    /// How many workers may be missing.
    disruption_budgets: PodDisruptionBudget,
    /// Sweepers.
    cron_jobs: CronJob,
}

/// Objects as they are seen to change.
pub type Touched<K> = futures::stream::BoxStream<'static, Result<K, watcher::Error>>;

fn watch<K: Kept>(api: Api<K>) -> (Store<K>, Touched<K>) {
    let (store, writer) = reflector::store();
    let ours = watcher::Config::default().labels(names::MANAGED_BY);
    let touched = watcher(api, ours)
        .default_backoff()
        // Half of an object's size, and nobody here reads it.
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

fn watch_pending(api: Api<Pod>) -> (Store<Pod>, Touched<Pod>) {
    let (store, writer) = reflector::store();
    let ours = format!("{},app.kubernetes.io/component={}", names::MANAGED_BY, Part::Worker.as_str());
    let touched = watcher(api, watcher::Config::default().labels(&ours).fields("spec.nodeName="))
        .default_backoff()
        .modify(|pod| {
            pod.metadata.managed_fields = None;
            pod.spec = None;
        })
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

impl Caches {
    /// How many workers of a queue cannot be scheduled.
    pub fn unschedulable(&self, namespace: &str, queue: &str) -> usize {
        let of_queue = |pod: &Pod| {
            pod.metadata.namespace.as_deref() == Some(namespace)
                && pod.labels().get("app.kubernetes.io/instance").is_some_and(|instance| instance == queue)
        };
        self.pending.state_filter(|pod| of_queue(pod) && unschedulable(pod)).len()
    }

    /// The object of this name, if it is known.
    pub fn get<K: Kept>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        K::cache(self).get(&ObjectRef::new(name).within(namespace))
    }

    /// Waits until each watch has told what there is.
    pub async fn ready(&self) -> bool {
        let all = futures::join!(
            self.deployments.wait_until_ready(),
            self.stateful_sets.wait_until_ready(),
            self.services.wait_until_ready(),
            self.service_accounts.wait_until_ready(),
            self.network_policies.wait_until_ready(),
            self.disruption_budgets.wait_until_ready(),
            self.cron_jobs.wait_until_ready(),
        );
        all.0.is_ok()
            && all.1.is_ok()
            && all.2.is_ok()
            && all.3.is_ok()
            && all.4.is_ok()
            && all.5.is_ok()
            && all.6.is_ok()
    }
}

fn unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })
}

/// Names the queue.
pub fn key(queue: &Watched) -> Key {
    ObjectRef::new(&queue.name_any()).within(&queue.namespace().unwrap_or_default())
}

/// The queue's name in logs.
pub fn told(key: &Key) -> String {
    format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name)
}
