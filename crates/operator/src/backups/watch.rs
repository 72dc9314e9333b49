//! The watches of backups: each fills a cache and wakes the backups that a change concerns.

use std::collections::HashSet;
use std::sync::Arc;

use bookingq_api::BookingQueueBackup;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, future};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::key::{BackupKey, WatchedBackup, backup_of, is_over, key};
use super::records::manager;
use crate::build::component::ObjectKind;
use crate::build::names;
use crate::object_cache::{CacheWriter, ObjectCache, ObjectName};
use crate::queue::{self, QueueKey, WatchedQueue};
use crate::watch::{PAGE, QueueStream, WatchScope, log_interruption, unlistable};
use crate::watch_backoff::WatchBackoff;

/// The backups to reconcile because something changed.
pub type BackupWakes = BoxStream<'static, BackupKey>;
/// The backups that changed.
pub type BackupStream = BoxStream<'static, Result<WatchedBackup, watcher::Error>>;

/// Watches the backups themselves.
pub fn backups(client: &Client, scope: &WatchScope) -> (Store<WatchedBackup>, BackupStream) {
    let api: Api<WatchedBackup> = match scope {
        WatchScope::Cluster => Api::all(client.clone()),
        WatchScope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let (store, writer) = reflector::store();
    let events = watcher::watcher(api, watcher::Config::default().page_size(PAGE));
    let events = events.backoff(WatchBackoff::optional());
    let touched = unless_missing(BookingQueueBackup::kind(&()).into(), events)
        .modify(|backup| backup.meta_mut().managed_fields = None)
        .reflect(writer)
        .touched_objects();
    (store, touched.boxed())
}

/// Passes on the events, but no error that says that the cluster lacks the kind, or that the
/// operator may not list it: that is logged once. The watch tries again after its back-off, half a
/// minute at most, and so finds a kind that is installed later.
fn unless_missing<K: Send + 'static>(
    kind: String,
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static {
    let mut missing = false;
    events.filter_map(move |event| {
        let message = unlistable(&event);
        match (message, missing) {
            (Some(message), false) => {
                warn!(kind, message, "a kind cannot be listed; there are no backups until it can");
            }
            (None, true) if event.is_ok() => info!(kind, "the kind can be listed now"),
            _ => {}
        }
        let is_missing = message.is_some();
        missing = is_missing || (missing && event.is_err());
        future::ready((!is_missing).then_some(event))
    })
}

/// The queues that have changed since they were last asked for. Noting one never waits: a
/// controller of backups that is busy or away does not hold up that of the queues.
#[derive(Clone, Default)]
pub struct QueueChanges {
    changed: Arc<Mutex<HashSet<QueueKey>>>,
    noted: Arc<Notify>,
}

impl QueueChanges {
    /// Passes on the stream of queues, and notes each queue in it once its cache has the change.
    pub fn tap(&self, queues: QueueStream) -> QueueStream {
        let changes = self.clone();
        let noting = move |changed: &Result<WatchedQueue, watcher::Error>| {
            if let Ok(queue) = changed {
                changes.changed.lock().insert(queue::key(queue));
                changes.noted.notify_one();
            }
        };
        queues.inspect(noting).boxed()
    }

    /// The backups of the queues that change, but those that have ended.
    pub fn wakes(self, backups: Store<WatchedBackup>) -> BackupWakes {
        let wakes = stream::unfold(self, |changes| async {
            changes.noted.notified().await;
            let changed = std::mem::take(&mut *changes.changed.lock());
            Some((changed, changes))
        });
        let of_these = move |queues: HashSet<QueueKey>| {
            let of_one = |backup: &WatchedBackup| {
                let namespace = backup.meta().namespace.as_deref().unwrap_or_default();
                let spec = backup.0.as_ref().ok().map(|backup| &backup.spec);
                let queue = spec.map(|spec| QueueKey::new(&spec.queue).within(namespace));
                queue.is_some_and(|queue| queues.contains(&queue)) && !is_over(backup)
            };
            let found = backups.state_filter(of_one);
            stream::iter(found.iter().map(|backup| key(backup)).collect::<Vec<_>>())
        };
        wakes.flat_map(of_these).boxed()
    }
}

/// The Jobs, CronJobs and Pods of all backups, as the watches last saw them.
pub struct BackupObjects {
    /// The CronJobs.
    pub cron_jobs: ObjectCache,
    jobs: Store<DynamicObject>,
    pods: Store<DynamicObject>,
}

impl BackupObjects {
    /// Watches them, with one watch for each kind.
    pub fn watch(client: &Client, scope: &WatchScope) -> (Self, BackupWakes) {
        let (cron_jobs, writers) = ObjectCache::new(&[ObjectKind::of::<CronJob>()]);
        let cron_job_wakes = writers.into_iter().map(|writer| cached(client, scope, writer));
        let (jobs, job_wakes) = reflected(client, scope, ObjectKind::of::<Job>());
        let (pods, pod_wakes) = reflected(client, scope, ObjectKind::of::<Pod>());
        let wakes = stream::select_all(cron_job_wakes.chain([job_wakes, pod_wakes]));
        (Self { cron_jobs, jobs, pods }, wakes.boxed())
    }

    /// Waits until every kind is listed. Returns `false` if the watches end before.
    pub async fn synced(&self) -> bool {
        self.jobs.wait_until_ready().await.is_ok()
            && self.pods.wait_until_ready().await.is_ok()
            && self.cron_jobs.synced().await
    }

    /// Whether this Job exists and belongs to the backup with this UID.
    pub fn has_job(&self, namespace: &str, name: &str, uid: &str) -> bool {
        let key = ObjectRef::new_with(name, ObjectKind::of::<Job>().resource()).within(namespace);
        self.jobs.get(&key).is_some_and(|job| manager(&job).as_deref() == Some(uid))
    }

    /// The Jobs that belong to the backup with this UID, by its CronJob or without one, and the
    /// Pods of its name.
    pub fn of(
        &self,
        namespace: &str,
        backup: &str,
        uid: Option<&str>,
    ) -> (Vec<Arc<DynamicObject>>, Vec<Arc<DynamicObject>>) {
        let kind = ObjectKind::of::<CronJob>();
        let cron_job = ObjectName::new(kind, namespace, &names::backup(backup));
        let cron_job = self.cron_jobs.get(&cron_job);
        let cron_job = cron_job.filter(|live| uid.is_some_and(|uid| live.belongs_to(uid)));
        let managers = [uid, cron_job.as_ref().and_then(|live| live.uid.as_deref())];
        let key = ObjectRef::new(backup).within(namespace);
        let named = |object: &DynamicObject| backup_of(object).as_ref() == Some(&key);
        let own = |job: &DynamicObject| {
            manager(job).is_some_and(|uid| managers.contains(&Some(uid.as_str())))
        };
        (self.jobs.state_filter(|job| named(job) && own(job)), self.pods.state_filter(named))
    }
}

fn labelled() -> watcher::Config {
    watcher::Config::default().labels(names::BACKUP_OF).page_size(PAGE)
}

/// Watches the objects of a kind, of which only metadata and status are kept.
fn reflected(
    client: &Client,
    scope: &WatchScope,
    kind: &'static ObjectKind,
) -> (Store<DynamicObject>, BackupWakes) {
    let writer = Writer::new(kind.resource());
    let store = writer.as_reader();
    let api: Api<DynamicObject> = scope.api(client, kind);
    let events = watcher::watcher(api, labelled()).backoff(WatchBackoff::optional());
    let touched = unless_missing(kind.name.to_owned(), events)
        .modify(|object| {
            object.metadata.managed_fields = None;
            if let Some(fields) = object.data.as_object_mut() {
                fields.retain(|name, _| name == "status");
            }
        })
        .reflect(writer)
        .touched_objects();
    let wakes = touched
        .filter_map(|touched| future::ready(touched.as_ref().map_or_else(interrupted, backup_of)));
    (store, wakes.boxed())
}

/// Watches the objects of a kind, as they are applied.
fn cached(client: &Client, scope: &WatchScope, mut writer: CacheWriter) -> BackupWakes {
    let api: Api<DynamicObject> = scope.api(client, writer.kind);
    let events = watcher::watcher(api, labelled()).backoff(WatchBackoff::optional());
    let wakes = unless_missing(writer.kind.name.to_owned(), events).filter_map(move |event| {
        let key = match event {
            Ok(event) => {
                let key = match &event {
                    Event::Apply(object) | Event::Delete(object) => backup_of(object),
                    Event::Init | Event::InitApply(_) | Event::InitDone => None,
                };
                // It returns the queue that owns the object, and a queue owns none of these.
                writer.on_event(event);
                key
            }
            Err(error) => interrupted(&error),
        };
        future::ready(key)
    });
    wakes.boxed()
}

fn interrupted(error: &watcher::Error) -> Option<BackupKey> {
    log_interruption(error);
    None
}
