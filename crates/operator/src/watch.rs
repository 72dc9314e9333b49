//! The watches: each fills a cache and wakes the queues that a change concerns. Objects are watched
//! as dynamic ones, so that the watch is compiled only once.

use std::sync::Arc;

use bookingq_api::BookingQueue;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event as EventObject;
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope, ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use tracing::{debug, warn};

use crate::build::component::{self, ObjectKind};
use crate::build::names;
use crate::object_cache::ObjectCache;
use crate::pods::PodCache;
use crate::pods::creation::{CreationFailures, FAILED_CREATE};
use crate::queue::{QueueKey, WatchedQueue, key, owner};
use crate::secret_cache::SecretCache;
use crate::secrets::references;
use crate::watch_backoff::WatchBackoff;

/// Objects in one answer of the API server, which is in memory as a whole.
pub(crate) const PAGE: u32 = 100;

/// The queues to reconcile because something changed.
pub type Wakes = BoxStream<'static, QueueKey>;
/// The queues that changed.
pub type QueueStream = BoxStream<'static, Result<WatchedQueue, watcher::Error>>;

/// Where the operator looks for queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchScope {
    /// In all namespaces.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

impl WatchScope {
    /// The objects of a kind.
    pub(crate) fn api<K>(&self, client: &Client, kind: &ObjectKind) -> Api<K>
    where
        K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let (client, resource) = (client.clone(), kind.resource());
        match self {
            Self::Cluster => Api::all_with(client, &resource),
            Self::Namespace(namespace) => Api::namespaced_with(client, namespace, &resource),
        }
    }
}

/// Watches the queues themselves.
pub fn queues(client: &Client, scope: &WatchScope) -> (Store<WatchedQueue>, QueueStream) {
    let api: Api<WatchedQueue> = match scope {
        WatchScope::Cluster => Api::all(client.clone()),
        WatchScope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let (store, writer) = reflector::store();
    let touched = watcher::watcher(api, watcher::Config::default().page_size(PAGE))
        .backoff(WatchBackoff::required())
        // Most of a queue's size.
        .modify(|queue| queue.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

/// Watches the objects of all queues, with one watch for each kind.
pub fn objects(client: &Client, scope: &WatchScope) -> (ObjectCache, Wakes) {
    let (cache, writers) = ObjectCache::new(&component::kinds());
    let watches = writers.into_iter().map(|mut writer| {
        let ours = watcher::Config::default().labels(names::MANAGED_BY).page_size(PAGE);
        let (kind, api) = (writer.kind, scope.api(client, writer.kind));
        let backoff =
            if kind.optional { WatchBackoff::optional() } else { WatchBackoff::required() };
        let events = watcher::watcher::<DynamicObject>(api, ours).backoff(backoff);
        let events = events.flat_map(move |event| stream::iter(unless_missing(kind, event)));
        wakes(events, move |event| writer.on_event(event).into_iter().collect())
    });
    let watches = stream::select_all(watches.collect::<Vec<_>>());
    (cache, watches.boxed())
}

type ObjectEvent = Result<Event<DynamicObject>, watcher::Error>;

/// The event; an empty list in place of an error that says that the cluster lacks an optional kind,
/// or that the operator may not list it: queues that use none need neither. The watch tries again
/// after its back-off, and so finds a kind that is installed later.
fn unless_missing(kind: &ObjectKind, event: ObjectEvent) -> Vec<ObjectEvent> {
    match unlistable(&event) {
        Some(message) if kind.optional => {
            debug!(kind = kind.name, message, "an optional kind cannot be listed");
            vec![Ok(Event::Init), Ok(Event::InitDone)]
        }
        _ => vec![event],
    }
}

/// What the API server says of a kind that the cluster lacks, or that the operator may not list.
pub(crate) fn unlistable<T>(event: &Result<T, watcher::Error>) -> Option<&str> {
    match event {
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
            if matches!(status.code, 403 | 404) =>
        {
            Some(&status.message)
        }
        _ => None,
    }
}

/// Watches the Pods of all queues, and the events that say why Pods are not created. Wakes a queue
/// when one of its Pods begins or ceases to be in fault; the loops read the rest, and a queue that
/// misses a Pod looks at the events itself.
pub fn pods(client: &Client, scope: &WatchScope) -> (PodCache, Arc<CreationFailures>, Wakes) {
    let ours = watcher::Config::default().labels(names::MANAGED_BY).page_size(PAGE);
    let api: Api<DynamicObject> = scope.api(client, ObjectKind::of::<Pod>());
    let pods = PodCache::default();
    let writer = pods.clone();
    let events = watcher::watcher(api, ours).backoff(WatchBackoff::required());
    let watch = wakes(events, move |event| writer.on_event(&event));
    let failures = Arc::new(CreationFailures::default());
    let no_wakes = creation_failures(client, scope, failures.clone());
    (pods, failures, stream::select(watch, no_wakes).boxed())
}

/// Events have no bookmarks: where nothing fails, the version of the watch is too old for the API
/// server after ten minutes or so, and one list begins another.
fn creation_failures(
    client: &Client,
    scope: &WatchScope,
    failures: Arc<CreationFailures>,
) -> Wakes {
    let api: Api<EventObject> = match scope {
        WatchScope::Cluster => Api::all(client.clone()),
        WatchScope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let failed = watcher::Config::default().fields(FAILED_CREATE).page_size(PAGE);
    let events = watcher::watcher(api, failed).backoff(WatchBackoff::required());
    wakes(events, move |event| {
        failures.on_event(&event);
        Vec::new()
    })
}

/// Watches the metadata of all Secrets. A change wakes the owner of the Secret, or the queues that
/// name it.
pub fn secrets(
    client: &Client,
    scope: &WatchScope,
    cache: SecretCache,
    queues: Store<WatchedQueue>,
) -> Wakes {
    let api: Api<PartialObjectMeta<DynamicObject>> = scope.api(client, ObjectKind::of::<Secret>());
    let events = watcher::watcher(api, watcher::Config::default().page_size(PAGE));
    wakes(events.backoff(WatchBackoff::required()), move |event| {
        cache.on_event(&event);
        match event {
            Event::Apply(secret) | Event::InitApply(secret) | Event::Delete(secret) => {
                affected(&queues, &secret.metadata)
            }
            Event::Init | Event::InitDone => Vec::new(),
        }
    })
}

fn affected(queues: &Store<WatchedQueue>, secret: &ObjectMeta) -> Vec<QueueKey> {
    if let Some(owner) = owner(secret) {
        return vec![owner];
    }
    let name = secret.name.as_deref().unwrap_or_default();
    let names_it = |queue: &BookingQueue| references(&queue.spec).iter().any(|r| r.name == name);
    let affected = queues.state_filter(|queue| {
        queue.meta().namespace == secret.namespace && queue.0.as_ref().is_ok_and(names_it)
    });
    affected.iter().map(|queue| key(queue)).collect()
}

/// The queues that `on_event` returns for each event.
fn wakes<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    mut on_event: impl FnMut(Event<K>) -> Vec<QueueKey> + Send + 'static,
) -> Wakes {
    let keys = events.flat_map(move |event| {
        let keys = match event {
            Ok(event) => on_event(event),
            Err(error) => {
                log_interruption(&error);
                Vec::new()
            }
        };
        stream::iter(keys)
    });
    keys.boxed()
}

/// A watch goes on after an error, by itself.
pub(crate) fn log_interruption(error: &watcher::Error) {
    match error {
        // The API server has forgotten the version that the watch continues from.
        watcher::Error::WatchError(status) if status.code == 410 => {
            debug!(%error, "a watch has expired and begins with a list");
        }
        _ => warn!(%error, "a watch was interrupted and is being restarted"),
    }
}
