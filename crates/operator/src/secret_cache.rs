//! Secret cache, invalidated by a metadata-only watch.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;

use crate::build::names;
use crate::error::{ApiCallError, call};

/// The Secrets of all queues. Cheap to clone.
#[derive(Clone)]
pub struct SecretCache {
    client: Client,
    entries: Arc<Mutex<SecretEntries>>,
}

impl SecretCache {
    /// Reads through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, entries: Arc::default() }
    }

    /// The Secret of this name, if it exists.
    ///
    /// # Errors
    /// [`ApiCallError`].
    pub async fn get(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Secret>>, ApiCallError> {
        let key = (namespace.to_owned(), name.to_owned());
        let reader = {
            let mut entries = self.entries.lock();
            if let Some(secret) = entries.get(&key) {
                return Ok(Some(secret));
            }
            entries.begin(&key)
        };
        let read = call(format!("read Secret {name}"), self.api(namespace).get_opt(name)).await;
        // A missing Secret is not cached: the watch wakes the queue when the Secret appears.
        let found = read.as_ref().ok().and_then(Option::as_ref);
        let cached = self.entries.lock().finish(&key, reader, found);
        read.map(|_| cached)
    }

    /// Creates a Secret. The API server rejects it with 409 if the name is taken.
    ///
    /// # Errors
    /// [`ApiCallError`].
    pub async fn create(
        &self,
        namespace: &str,
        secret: &Secret,
    ) -> Result<Arc<Secret>, ApiCallError> {
        let key = (namespace.to_owned(), secret.name_any());
        let reader = self.entries.lock().begin(&key);
        let parameters =
            PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        let action = format!("create Secret {}", key.1);
        let created = call(action, self.api(namespace).create(&parameters, secret)).await;
        let cached = self.entries.lock().finish(&key, reader, created.as_ref().ok());
        created.map(|created| cached.unwrap_or_else(|| Arc::new(created)))
    }

    /// Applies an event of the watch.
    pub fn on_event(&self, event: &Event<PartialObjectMeta<DynamicObject>>) {
        let mut entries = self.entries.lock();
        match event {
            // A new list leaves out what was deleted meanwhile.
            Event::Init => {
                *entries = SecretEntries { readers: entries.readers, ..SecretEntries::default() }
            }
            Event::Apply(secret) | Event::InitApply(secret) => entries.on_change(&secret.metadata),
            Event::Delete(secret) => {
                entries.secrets.remove(&name_of(&secret.metadata));
            }
            Event::InitDone => {}
        }
    }

    /// Forgets the Secret of a deleted queue.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.entries.lock().secrets.remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn api(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Namespace and name.
pub type SecretName = (String, String);

/// A Secret in the cache.
enum SecretEntry {
    /// `reader` is waiting for it; the watch has reported the version `seen` meanwhile.
    Reading { reader: u64, seen: Option<String> },
    /// It was read, and the watch has reported no other version since.
    Current(Arc<Secret>),
}

/// The state of the cache.
#[derive(Default)]
pub struct SecretEntries {
    secrets: HashMap<SecretName, SecretEntry>,
    readers: u64,
}

impl SecretEntries {
    /// The current Secret of this name.
    pub fn get(&self, key: &SecretName) -> Option<Arc<Secret>> {
        match self.secrets.get(key)? {
            SecretEntry::Current(secret) => Some(secret.clone()),
            SecretEntry::Reading { .. } => None,
        }
    }

    /// Announces a read, and returns the number of its reader.
    pub fn begin(&mut self, key: &SecretName) -> u64 {
        self.readers += 1;
        let reading = SecretEntry::Reading { reader: self.readers, seen: None };
        self.secrets.insert(key.clone(), reading);
        self.readers
    }

    /// Caches the answer, unless the watch has reported another version or a later reader waits.
    /// The answer is returned in any case: a newer version wakes the queue again.
    pub fn finish(
        &mut self,
        key: &SecretName,
        reader: u64,
        found: Option<&Secret>,
    ) -> Option<Arc<Secret>> {
        let version = found.and_then(|found| found.metadata.resource_version.as_ref());
        let mut current = false;
        if let Some(SecretEntry::Reading { reader: last, seen }) = self.secrets.get(key)
            && *last == reader
        {
            current = seen.as_ref().is_none_or(|seen| Some(seen) == version);
            self.secrets.remove(key);
        }
        let mut secret = found?.clone();
        secret.metadata.managed_fields = None;
        secret.metadata.annotations = None;
        secret.metadata.labels = None;
        let secret = Arc::new(secret);
        if current {
            self.secrets.insert(key.clone(), SecretEntry::Current(secret.clone()));
        }
        Some(secret)
    }

    /// Drops the Secret if the watch reports another version than that in the cache.
    pub fn on_change(&mut self, secret: &ObjectMeta) {
        let (key, version) = (name_of(secret), &secret.resource_version);
        match self.secrets.get_mut(&key) {
            Some(SecretEntry::Reading { seen, .. }) => seen.clone_from(version),
            Some(SecretEntry::Current(cached)) if cached.metadata.resource_version != *version => {
                self.secrets.remove(&key);
            }
            _ => {}
        }
    }
}

fn name_of(secret: &ObjectMeta) -> SecretName {
    (secret.namespace.clone().unwrap_or_default(), secret.name.clone().unwrap_or_default())
}
