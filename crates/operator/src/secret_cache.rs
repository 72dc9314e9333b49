//! The Secrets that queues need, read once for each version: the watch, which tells names and
//! versions only, says when what is kept is old.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;

use crate::build::names;
use crate::error::{CallError, call};

/// Namespace and name.
type Name = (String, String);

/// What is known of one Secret.
enum Entry {
    /// It is being read or made, by the reader of this number; the watch has told this version
    /// meanwhile.
    Read { by: u64, told: Option<String> },
    /// It was read, and the watch has told of no other version since.
    Known(Arc<Secret>),
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Name, Entry>,
    readers: u64,
}

/// Keeps Secrets. Cheap to clone.
#[derive(Clone)]
pub struct SecretCache {
    client: Client,
    inner: Arc<Mutex<Inner>>,
}

impl SecretCache {
    /// Reads through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, inner: Arc::default() }
    }

    /// The Secret of this name, if there is one.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, CallError> {
        let key = (namespace.to_owned(), name.to_owned());
        let by = {
            let mut inner = self.inner.lock();
            if let Some(Entry::Known(secret)) = inner.entries.get(&key) {
                return Ok(Some(secret.clone()));
            }
            inner.begin(&key)
        };
        let read = call(format!("read Secret {name}"), self.api(namespace).get_opt(name)).await;
        // One that is not there is not kept: it is asked for again when it appears, or when the
        // queue is tried again.
        let found = read.as_ref().ok().and_then(Option::as_ref);
        let kept = self.inner.lock().finish(&key, by, found);
        read.map(|_| kept)
    }

    /// Makes a Secret; refused by the API server (409) if there is one of its name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create(&self, namespace: &str, secret: &Secret) -> Result<Arc<Secret>, CallError> {
        let key = (namespace.to_owned(), secret.name_any());
        let by = self.inner.lock().begin(&key);
        let parameters =
            PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        let doing = format!("create Secret {}", key.1);
        let made = call(doing, self.api(namespace).create(&parameters, secret)).await;
        let kept = self.inner.lock().finish(&key, by, made.as_ref().ok());
        made.map(|made| kept.unwrap_or_else(|| Arc::new(made)))
    }

    /// Hears what the watch tells.
    pub fn hear(&self, event: &Event<PartialObjectMeta<Secret>>) {
        match event {
            // Everything is told anew, and what is gone is told no more.
            Event::Init => self.inner.lock().entries.clear(),
            Event::Apply(secret) | Event::InitApply(secret) => self.inner.lock().told(secret),
            Event::Delete(secret) => {
                self.inner.lock().entries.remove(&name_of(secret));
            }
            Event::InitDone => {}
        }
    }

    /// Forgets the Secret of a queue that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.inner.lock().entries.remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn api(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

impl Inner {
    fn begin(&mut self, key: &Name) -> u64 {
        self.readers += 1;
        self.entries.insert(key.clone(), Entry::Read { by: self.readers, told: None });
        self.readers
    }

    /// Keeps what was read, unless the watch has told of another version or somebody else reads it
    /// too. What was read is answered in any case: a newer version wakes the queue again.
    fn finish(&mut self, key: &Name, by: u64, found: Option<&Secret>) -> Option<Arc<Secret>> {
        let ours = |told: &Option<String>| {
            let version = found.and_then(|found| found.metadata.resource_version.as_ref());
            told.as_ref().is_none_or(|told| Some(told) == version)
        };
        let (mine, keeps) = match self.entries.get(key) {
            Some(Entry::Read { by: reader, told }) if *reader == by => (true, ours(told)),
            _ => (false, false),
        };
        if mine {
            self.entries.remove(key);
        }
        let secret = Arc::new(lean(found?.clone()));
        if keeps {
            self.entries.insert(key.clone(), Entry::Known(secret.clone()));
        }
        Some(secret)
    }

    fn told(&mut self, secret: &PartialObjectMeta<Secret>) {
        let (key, version) = (name_of(secret), &secret.metadata.resource_version);
        match self.entries.get_mut(&key) {
            Some(Entry::Read { told, .. }) => told.clone_from(version),
            Some(Entry::Known(known)) if known.metadata.resource_version != *version => {
                self.entries.remove(&key);
            }
            _ => {}
        }
    }
}

fn name_of(secret: &PartialObjectMeta<Secret>) -> Name {
    (secret.namespace().unwrap_or_default(), secret.name_any())
}

/// Without what nobody here reads.
fn lean(mut secret: Secret) -> Secret {
    secret.metadata.managed_fields = None;
    secret.metadata.annotations = None;
    secret.metadata.labels = None;
    secret
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn secret(version: &str) -> Secret {
        serde_json::from_value(
            json!({ "metadata": { "namespace": "shop", "name": "redis", "resourceVersion": version } }),
        )
        .unwrap()
    }

    fn meta(version: &str) -> PartialObjectMeta<Secret> {
        serde_json::from_value(serde_json::to_value(secret(version)).unwrap()).unwrap()
    }

    fn key() -> Name {
        ("shop".to_owned(), "redis".to_owned())
    }

    fn keeps(inner: &Inner) -> bool {
        matches!(inner.entries.get(&key()), Some(Entry::Known(_)))
    }

    #[test]
    fn what_was_read_is_kept_until_the_watch_tells_another_version() {
        let mut inner = Inner::default();
        let by = inner.begin(&key());
        inner.finish(&key(), by, Some(&secret("1"))).unwrap();
        inner.told(&meta("1"));
        assert!(keeps(&inner));
        inner.told(&meta("2"));
        assert!(!keeps(&inner));
    }

    #[test]
    fn an_old_answer_that_comes_after_news_is_not_kept() {
        let mut inner = Inner::default();
        let by = inner.begin(&key());
        inner.told(&meta("2"));
        assert!(inner.finish(&key(), by, Some(&secret("1"))).is_some());
        assert!(!keeps(&inner));
        let by = inner.begin(&key());
        inner.told(&meta("1"));
        inner.told(&meta("2"));
        inner.finish(&key(), by, Some(&secret("2"))).unwrap();
        assert!(keeps(&inner));
    }

    #[test]
    fn of_two_readers_at_once_only_the_later_keeps_and_one_that_found_nothing_keeps_nothing() {
        let mut inner = Inner::default();
        let (first, second) = (inner.begin(&key()), inner.begin(&key()));
        inner.finish(&key(), first, Some(&secret("1"))).unwrap();
        assert!(!keeps(&inner));
        assert!(inner.finish(&key(), second, None).is_none());
        assert!(inner.entries.is_empty());
    }
}
