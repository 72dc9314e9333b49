//! What is remembered of an object: the few facts that are asked for all the time, and the rest as
//! text. As Rust values the objects of a queue are most of an operator's memory, and little of that
//! is text.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::{Lookup, ObjectRef};
use kube::{Resource, ResourceExt as _};
use serde_json::Value;

use crate::build::names;
use crate::caches::Kept;

/// What is remembered of an object of kind `K`. Cheap to clone.
#[derive(Debug)]
pub struct CachedObject<K: Kept> {
    inner: Arc<Inner<K::Facts>>,
    kind: PhantomData<fn() -> K>,
}

#[derive(Debug)]
struct Inner<F> {
    namespace: Box<str>,
    name: Box<str>,
    version: Option<Box<str>>,
    uid: Option<Box<str>>,
    owners: Box<[Box<str>]>,
    applied: Option<Box<str>>,
    leaving: bool,
    facts: F,
    text: Box<str>,
}

impl<K: Kept> CachedObject<K> {
    /// Remembers `object`, but for who wrote which field, and of its status only the facts.
    pub fn of(mut object: K) -> Self {
        let facts = object.facts();
        object.drop_status();
        let meta = object.meta_mut();
        meta.managed_fields = None;
        let version = meta.resource_version.take().map(String::into_boxed_str);
        let meta = object.meta();
        let inner = Inner {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
            version,
            uid: meta.uid.as_deref().map(Into::into),
            owners: meta
                .owner_references
                .iter()
                .flatten()
                .map(|owner| owner.uid.as_str().into())
                .collect(),
            applied: object.annotations().get(names::APPLIED).map(|digest| digest.as_str().into()),
            leaving: meta.deletion_timestamp.is_some(),
            facts,
            // An object that came as text can be written as text.
            text: serde_json::to_string(&object).unwrap_or_default().into(),
        };
        Self { inner: Arc::new(inner), kind: PhantomData }
    }

    /// Whether `other` tells nothing new.
    pub fn same_but_for_version(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text && self.inner.facts == other.inner.facts
    }

    /// Names it.
    pub fn key(&self) -> ObjectRef<Self> {
        ObjectRef::new(&self.inner.name).within(&self.inner.namespace)
    }

    /// What of the object is asked for all the time.
    pub fn facts(&self) -> &K::Facts {
        &self.inner.facts
    }

    /// `metadata.resourceVersion`.
    pub fn version(&self) -> Option<&str> {
        self.inner.version.as_deref()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<&str> {
        self.inner.uid.as_deref()
    }

    /// Whether the owner of this UID is among those of the object.
    pub fn belongs_to(&self, owner: &str) -> bool {
        self.inner.owners.iter().any(|uid| **uid == *owner)
    }

    /// The digest of what was applied last.
    pub fn applied(&self) -> Option<&str> {
        self.inner.applied.as_deref()
    }

    /// Whether it is being deleted.
    pub fn is_leaving(&self) -> bool {
        self.inner.leaving
    }

    /// The whole object without its status and version.
    pub fn tree(&self) -> Value {
        serde_json::from_str(&self.inner.text).unwrap_or_default()
    }
}

impl<K: Kept> Clone for CachedObject<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), kind: PhantomData }
    }
}

impl<K: Kept> Lookup for CachedObject<K> {
    type DynamicType = ();

    fn kind((): &()) -> Cow<'_, str> {
        <K as Resource>::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        <K as Resource>::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        <K as Resource>::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        <K as Resource>::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some((&*self.inner.name).into())
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        Some((&*self.inner.namespace).into())
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        self.version().map(Cow::Borrowed)
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        Self::uid(self).map(Cow::Borrowed)
    }
}

/// What is asked for of the workers' Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workers {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The generation that the other numbers speak of.
    pub observed_generation: Option<i64>,
    /// `spec.replicas`, which the API server sets to 1 where nobody says it.
    pub wanted: i32,
    /// Pods there are.
    pub replicas: i32,
    /// Pods of the newest template.
    pub updated: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that have been ready for long enough.
    pub available: i32,
    /// Why Pods are not even made: a quota, the namespace's Pod Security Standard, a class that
    /// does not exist …
    pub refused: Option<String>,
}

impl Workers {
    /// As the Deployment says.
    pub fn of(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let failure =
            status.conditions.into_iter().flatten().find(|condition| {
                condition.type_ == "ReplicaFailure" && condition.status == "True"
            });
        Self {
            generation: deployment.metadata.generation,
            observed_generation: status.observed_generation,
            wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            replicas: status.replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            refused: failure.and_then(|failure| failure.message),
        }
    }
}

/// How many Pods of a managed Redis are ready.
pub fn ready_replicas(set: &StatefulSet) -> i32 {
    set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// When a sweeper was started last.
pub fn last_schedule_time(job: &CronJob) -> Option<Time> {
    job.status.as_ref().and_then(|status| status.last_schedule_time.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn job(version: &str, schedule: &str, started: Option<&str>) -> CronJob {
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "shop", "name": "concert-sweeper", "uid": "u1", "resourceVersion": version,
                "ownerReferences": [{ "apiVersion": "v1", "kind": "BookingQueue", "name": "concert", "uid": "q1" }],
                "managedFields": [{ "manager": "kubelet", "time": "2026-11-24T00:00:00Z" }],
                "annotations": { names::APPLIED: "d1" },
            },
            "spec": { "schedule": schedule, "jobTemplate": {} },
            "status": { "lastScheduleTime": started, "active": [{ "name": "concert-sweeper-1" }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_new_version_tells_something_only_if_the_object_or_its_facts_are_others() {
        let known = CachedObject::of(job("1", "* * * * *", None));
        let told = |other: CronJob| !known.same_but_for_version(&CachedObject::of(other));
        assert!(!told(job("2", "* * * * *", None)));
        assert!(told(job("2", "*/2 * * * *", None)));
        assert!(told(job("2", "* * * * *", Some("2026-11-24T00:00:00Z"))));
    }

    #[test]
    fn what_is_asked_for_is_remembered_and_who_wrote_what_is_not() {
        let known = CachedObject::of(job("7", "* * * * *", Some("2026-11-24T00:00:00Z")));
        assert_eq!(
            (known.version(), known.uid(), known.applied()),
            (Some("7"), Some("u1"), Some("d1"))
        );
        assert!(known.belongs_to("q1") && !known.belongs_to("q2") && !known.is_leaving());
        assert!(known.facts().is_some());
        let tree = known.tree();
        assert_eq!(tree["spec"]["schedule"], "* * * * *");
        assert!(tree["metadata"].get("managedFields").is_none() && tree.get("status").is_none());
    }
}
