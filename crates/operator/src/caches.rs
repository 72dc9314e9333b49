//! What the watches have told: every object that the operator made, by kind.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_api::BookingQueue;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::build::names::{self, Part};
use crate::cached_object::{CachedObject, Workers, last_schedule_time, ready_replicas};

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
    /// What is read of an object all the time. The rest of its status is neither kept nor wakes a
    /// queue.
    type Facts: Debug + PartialEq + Send + Sync + 'static;

    /// Those that are known.
    fn cache(caches: &Caches) -> &Store<CachedObject<Self>>;

    /// Reads them.
    fn facts(&self) -> Self::Facts;

    /// Leaves the status out.
    fn drop_status(&mut self);
}

macro_rules! caches {
    ($($(#[$doc:meta])* $field:ident: $kind:ty, $facts:ty = $read:expr $(, drop $status:ident)?;)*) => {
        /// What the watches have told.
        #[derive(Clone)]
        pub struct Caches {
            $($(#[$doc])* pub $field: Store<CachedObject<$kind>>,)*
            /// Workers' Pods that have no node (yet): of Pods only these are watched, and only their conditions are kept.
            pub pending: Store<Pod>,
            unschedulable: Arc<Mutex<Option<(Instant, Counts)>>>,
        }

        $(impl Kept for $kind {
            type Facts = $facts;

            fn cache(caches: &Caches) -> &Store<CachedObject<Self>> {
                &caches.$field
            }

            fn facts(&self) -> $facts {
                let read: fn(&Self) -> $facts = $read;
                read(self)
            }

            fn drop_status(&mut self) {
                $(self.$status = None;)?
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
                Caches { $($field: $field.0,)* pending: pending.0, unschedulable: Arc::default() },
                Watches { $($field: $field.1,)* pending: pending.1 },
            )
        }
    };
}

caches! {
    /// Workers.
    deployments: Deployment, Workers = Workers::of, drop status;
    /// Managed Redis.
    stateful_sets: StatefulSet, i32 = ready_replicas, drop status;
    /// Doors.
    services: Service, () = |_| (), drop status;
    /// Whom Pods run as.
    service_accounts: ServiceAccount, () = |_| ();
    /// Who may reach what.
    network_policies: NetworkPolicy, () = |_| ();
    /// How many workers may be missing.
    disruption_budgets: PodDisruptionBudget, () = |_| (), drop status;
    /// Sweepers.
    cron_jobs: CronJob, Option<Time> = last_schedule_time, drop status;
}

/// Pods that cannot be scheduled, by namespace and queue.
type Counts = HashMap<(String, String), usize>;
/// Pods are counted again after this.
const RECOUNT: Duration = Duration::from_millis(500);
/// Objects listed at once: what an answer of the API server holds is in memory all at once.
const PAGE: u32 = 100;

/// Objects as they are seen to change.
pub type Touched<K> = futures::stream::BoxStream<'static, Result<K, watcher::Error>>;

fn watch<K: Kept>(api: Api<K>) -> (Store<CachedObject<K>>, Touched<K>) {
    let (store, mut writer) = reflector::store();
    let (known, ours) =
        (store.clone(), watcher::Config::default().labels(names::MANAGED_BY).page_size(PAGE));
    let touched = watcher(api, ours).default_backoff().filter_map(move |event| {
        let news = event.map(|event| {
            let (event, object) = remembered(event);
            let touched = object.filter(|_| tells(&known, &event));
            writer.apply_watcher_event(&event);
            touched
        });
        futures::future::ready(news.transpose())
    });
    (store, touched.boxed())
}

/// The event as the cache takes it, and its object.
fn remembered<K: Kept>(event: watcher::Event<K>) -> (watcher::Event<CachedObject<K>>, Option<K>) {
    let split = |object: K| (CachedObject::of(object.clone()), Some(object));
    match event {
        watcher::Event::Apply(object) => {
            let (known, object) = split(object);
            (watcher::Event::Apply(known), object)
        }
        watcher::Event::InitApply(object) => {
            let (known, object) = split(object);
            (watcher::Event::InitApply(known), object)
        }
        watcher::Event::Delete(object) => {
            let (known, object) = split(object);
            (watcher::Event::Delete(known), object)
        }
        watcher::Event::Init => (watcher::Event::Init, None),
        watcher::Event::InitDone => (watcher::Event::InitDone, None),
    }
}

/// Whether an event tells something new. A sweeper's CronJob comes back three times a minute, and
/// most of what it says concerns nobody here: a thousand queues would be looked at fifty times a
/// second.
fn tells<K: Kept>(known: &Store<CachedObject<K>>, event: &watcher::Event<CachedObject<K>>) -> bool {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            let old = known.get(&object.key());
            !old.is_some_and(|old| old.same_but_for_version(object))
        }
        watcher::Event::Delete(_) => true,
        watcher::Event::Init | watcher::Event::InitDone => false,
    }
}

/// Starts the cache and the watch of the queues themselves. Who wrote which field of a queue is
/// most of its size.
pub fn watch_queues(client: &Client, scope: &Scope) -> (Store<Watched>, Touched<Watched>) {
    let (store, writer) = reflector::store();
    let touched = watcher(scope.api::<Watched>(client), watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(|queue| queue.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

fn watch_pending(api: Api<Pod>) -> (Store<Pod>, Touched<Pod>) {
    let (store, writer) = reflector::store();
    let ours =
        format!("{},app.kubernetes.io/component={}", names::MANAGED_BY, Part::Worker.as_str());
    let touched = watcher(api, watcher::Config::default().labels(&ours).fields("spec.nodeName="))
        .default_backoff()
        .modify(|pod| {
            pod.metadata.managed_fields = None;
            pod.metadata.annotations = None;
            pod.metadata.owner_references = None;
            pod.spec = None;
            let conditions = pod.status.take().and_then(|status| status.conditions);
            pod.status = Some(PodStatus { conditions, ..PodStatus::default() });
        })
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

impl Caches {
    /// How many workers of a queue cannot be scheduled.
    pub fn unschedulable(&self, namespace: &str, queue: &str) -> usize {
        let mut counted = self.unschedulable.lock();
        if counted.as_ref().is_none_or(|(at, _)| at.elapsed() >= RECOUNT) {
            *counted = Some((Instant::now(), count_unschedulable(&self.pending)));
        }
        let counts = counted.as_ref().map(|(_, counts)| counts);
        counts
            .and_then(|counts| counts.get(&(namespace.to_owned(), queue.to_owned())))
            .copied()
            .unwrap_or(0)
    }

    /// The object of this name, if it is known.
    pub fn get<K: Kept>(&self, namespace: &str, name: &str) -> Option<Arc<CachedObject<K>>> {
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

/// Of each queue, by namespace and name. One pass for all of them: a pass for each would cost the
/// square of their number.
fn count_unschedulable(pending: &Store<Pod>) -> Counts {
    let mut counts = Counts::new();
    for pod in pending.state_filter(unschedulable) {
        let queue = pod.labels().get("app.kubernetes.io/instance").cloned().unwrap_or_default();
        *counts.entry((pod.namespace().unwrap_or_default(), queue)).or_default() += 1;
    }
    counts
}

fn unschedulable(pod: &Pod) -> bool {
    let conditions =
        pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
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
