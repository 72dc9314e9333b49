//! The objects of all queues, as the watches last saw them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::core::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::build::component::{Manifest, ObjectKind};
use crate::build::names;
use crate::cached_object::{CachedObject, ObjectStatus};
use crate::queue::{QueueKey, owner};

/// Identifies an object. Sorted so that the objects of a queue follow each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// Its kind.
    pub kind: &'static ObjectKind,
}

impl ObjectName {
    /// That of an object to apply.
    pub fn of(manifest: &Manifest) -> Self {
        Self::new(manifest.kind, manifest.namespace(), manifest.name())
    }

    /// The object of this kind and name.
    pub fn new(kind: &'static ObjectKind, namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into(), kind }
    }

    /// Whether the object may belong to the queue, by its name.
    pub fn may_be_of(&self, namespace: &str, queue: &str) -> bool {
        *self.namespace == *namespace && names::is_of(&self.name, queue)
    }
}

/// The cached objects. Cheap to clone.
#[derive(Clone)]
pub struct ObjectCache {
    objects: Arc<Mutex<BTreeMap<ObjectName, Arc<CachedObject>>>>,
    /// Number of kinds that are not listed yet.
    unsynced: watch::Receiver<usize>,
}

impl ObjectCache {
    /// An empty cache, and the writer of each kind.
    pub fn new(kinds: &[&'static ObjectKind]) -> (Self, Vec<CacheWriter>) {
        let (sender, unsynced) = watch::channel(kinds.len());
        let (cache, sender) = (Self { objects: Arc::default(), unsynced }, Arc::new(sender));
        let writers = kinds.iter().map(|kind| CacheWriter::new(&cache, &sender, kind)).collect();
        (cache, writers)
    }

    /// The object of this name.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<CachedObject>> {
        self.objects.lock().get(name).cloned()
    }

    /// The status of the object of this kind and name.
    pub fn status<K: k8s_openapi::Resource>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<ObjectStatus> {
        let object = self.get(&ObjectName::new(ObjectKind::of::<K>(), namespace, name))?;
        object.status.as_deref().cloned()
    }

    /// The objects that belong to the queue with this UID.
    pub fn of_queue(
        &self,
        namespace: &str,
        queue: &str,
        uid: &str,
    ) -> Vec<(ObjectName, Arc<CachedObject>)> {
        let objects = self.objects.lock();
        let candidates = objects
            .range(ObjectName::new(ObjectKind::LOWEST, namespace, queue)..)
            .take_while(|(name, _)| name.may_be_of(namespace, queue));
        let own = candidates.filter(|(_, object)| object.belongs_to(uid));
        own.map(|(name, object)| (name.clone(), object.clone())).collect()
    }

    /// Waits until every kind is listed. Returns `false` if the watches end before.
    pub async fn synced(&self) -> bool {
        self.unsynced.clone().wait_for(|unsynced| *unsynced == 0).await.is_ok()
    }
}

/// Keeps the cache in step with the watch of one kind.
pub struct CacheWriter {
    cache: ObjectCache,
    unsynced: Arc<watch::Sender<usize>>,
    /// The kind.
    pub kind: &'static ObjectKind,
    /// Lists leave the type out of their items.
    types: TypeMeta,
    /// Objects of the list that is being received.
    listed: HashSet<ObjectName>,
    synced: bool,
}

impl CacheWriter {
    fn new(
        cache: &ObjectCache,
        unsynced: &Arc<watch::Sender<usize>>,
        kind: &'static ObjectKind,
    ) -> Self {
        let ApiResource { api_version, kind: name, .. } = kind.resource();
        Self {
            cache: cache.clone(),
            unsynced: unsynced.clone(),
            kind,
            types: TypeMeta { api_version, kind: name },
            listed: HashSet::new(),
            synced: false,
        }
    }

    /// Applies an event of the watch. Returns the queue to reconcile, unless the event changes only
    /// fields that the operator does not read: a sweeper's CronJob is written three times a minute,
    /// and a thousand queues would be reconciled fifty times a second.
    pub fn on_event(&mut self, event: Event<DynamicObject>) -> Option<QueueKey> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                self.listed.insert(self.name_of(&object));
                return self.insert(object);
            }
            Event::InitDone => {
                let mut objects = self.cache.objects.lock();
                objects.retain(|name, _| name.kind != self.kind || self.listed.contains(name));
                self.listed = HashSet::new();
                if !std::mem::replace(&mut self.synced, true) {
                    self.unsynced.send_modify(|unsynced| *unsynced -= 1);
                }
            }
            Event::Apply(object) => return self.insert(object),
            Event::Delete(object) => {
                self.cache.objects.lock().remove(&self.name_of(&object));
                return owner(&object.metadata);
            }
        }
        None
    }

    fn insert(&self, mut object: DynamicObject) -> Option<QueueKey> {
        let (name, owner) = (self.name_of(&object), owner(&object.metadata));
        object.types = Some(self.types.clone());
        let cached = Arc::new(CachedObject::new(object));
        let old = self.cache.objects.lock().insert(name, cached.clone());
        let changed = !old.is_some_and(|old| old.same_content(&cached));
        owner.filter(|_| changed)
    }

    fn name_of(&self, object: &DynamicObject) -> ObjectName {
        let namespace = object.namespace().unwrap_or_default();
        ObjectName::new(self.kind, &namespace, &object.name_any())
    }
}
