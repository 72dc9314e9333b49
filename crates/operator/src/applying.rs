//! Applies the objects of a queue. One that fails or hangs delays no other one, unless the Pods of
//! the other read it at their start.
//!
//! Each apply runs in a task of its own, within the deadlines of its calls: the reconcile moves on
//! before them, and the next one waits for the same apply instead of repeating it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Secret, ServiceAccount};
use kube::runtime::events::EventType;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::apply::{Applied, Applier};
use crate::build::Manifest;
use crate::build::component::ObjectKind;
use crate::error::ReconcileError;
use crate::events::EventRecorder;
use crate::object_cache::ObjectName;

/// The next object does not wait longer for the one before it: with twenty objects, that is less
/// than five seconds.
const NEXT_AFTER: Duration = Duration::from_millis(200);
/// How long a reconcile waits for one object, so that the next change of the spec is not held up
/// for longer.
const APPLIED_WITHIN: Duration = Duration::from_millis(4500);

/// The applies that a reconcile no longer waits for, or not yet. They end with this.
#[derive(Default)]
pub(crate) struct AppliesInFlight(Mutex<HashMap<ObjectName, ApplyInFlight>>);

struct ApplyInFlight {
    /// What is applied.
    value: Value,
    task: AbortOnDropHandle<Result<(), ReconcileError>>,
}

impl AppliesInFlight {
    /// Applies all in their order; one that the API server does not answer, or rejects, holds none
    /// of the others up that can do without it. Returns the kinds that the cluster lacks, or the
    /// first error.
    pub(crate) async fn apply_all(
        &self,
        writer: &ObjectWriter,
        manifests: &[Manifest],
    ) -> Result<Vec<&'static ObjectKind>, ReconcileError> {
        let outcomes: Vec<_> = manifests.iter().map(|_| watch::Sender::new(None)).collect();
        let outcomes = &outcomes;
        let mut running = FuturesUnordered::new();
        let mut done = Vec::with_capacity(manifests.len());
        for (place, manifest) in manifests.iter().enumerate() {
            running.push(async move {
                let until = Instant::now() + APPLIED_WITHIN;
                let needed = needed_by(manifest, &manifests[..place]);
                let applied = if all_applied(outcomes, &needed).await {
                    Some(self.apply(until, manifest, writer).await)
                } else {
                    None
                };
                outcomes[place].send_replace(Some(matches!(applied, Some(Ok(())))));
                (place, applied)
            });
            // Those that came in time are done before the next one begins.
            let next = async {
                while let Some(applied) = running.next().await {
                    done.push(applied);
                }
            };
            timeout(NEXT_AFTER, next).await.ok();
        }
        done.extend(running.collect::<Vec<_>>().await);
        done.sort_by_key(|(place, _)| *place);
        let mut missing = Vec::new();
        for (place, applied) in done {
            match applied {
                Some(Err(ReconcileError::Apply(error))) if error.lacks(manifests[place].kind) => {
                    missing.push(manifests[place].kind);
                }
                Some(applied) => applied?,
                // What it needs has failed, and comes before it in this order.
                None => {}
            }
        }
        Ok(missing)
    }

    /// Applies an object; `until` is how long to wait for it. One that is being applied is waited
    /// for, and applied again only if it was to become something else.
    async fn apply(
        &self,
        until: Instant,
        manifest: &Manifest,
        writer: &ObjectWriter,
    ) -> Result<(), ReconcileError> {
        let object = ObjectName::of(manifest);
        let late = || {
            let action = format!("apply {} {}", manifest.kind.name, manifest.name());
            Err(ReconcileError::late(action, APPLIED_WITHIN).of_apply())
        };
        let mut begun = self.take(&object).unwrap_or_else(|| writer.begin(manifest));
        loop {
            match timeout_at(until, &mut begun.task).await {
                Err(_) => {
                    self.keep(object, begun);
                    return late();
                }
                // A task that ends with a panic has no outcome.
                Ok(ended) if begun.value == manifest.value => {
                    return ended.unwrap_or_else(|_| late());
                }
                Ok(_) => begun = writer.begin(manifest),
            }
        }
    }

    /// Takes the one of this object, unless it has ended: its outcome may be an old one.
    fn take(&self, object: &ObjectName) -> Option<ApplyInFlight> {
        self.0.lock().remove(object).filter(|begun| !begun.task.is_finished())
    }

    fn keep(&self, object: ObjectName, begun: ApplyInFlight) {
        let mut all = self.0.lock();
        all.retain(|_, begun| !begun.task.is_finished());
        all.insert(object, begun);
    }
}

/// What an apply needs, besides the object.
#[derive(Clone)]
pub(crate) struct ObjectWriter {
    pub(crate) applier: Arc<Applier>,
    pub(crate) events: EventRecorder,
    /// UID of the queue.
    pub(crate) owner: String,
    /// The queue, for events.
    pub(crate) about: ObjectReference,
}

impl ObjectWriter {
    fn begin(&self, manifest: &Manifest) -> ApplyInFlight {
        let (writer, manifest) = (self.clone(), manifest.clone());
        let value = manifest.value.clone();
        let task = tokio::spawn(async move { writer.apply(&manifest).await });
        ApplyInFlight { value, task: AbortOnDropHandle::new(task) }
    }

    async fn apply(&self, manifest: &Manifest) -> Result<(), ReconcileError> {
        let applied = self.applier.apply(manifest, &self.owner).await;
        if applied.map_err(ReconcileError::of_apply)? == Applied::DriftCorrected {
            let (kind, name) = (manifest.kind.name, manifest.name());
            let note = format!(
                "{kind} {name} differed from the spec and was restored; change the BookingQueue \
                 instead"
            );
            let (action, type_) = (format!("Apply{kind}"), EventType::Warning);
            self.events.publish(type_, &self.about, "DriftCorrected", &action, note).await;
        }
        Ok(())
    }
}

/// Whether all of these were applied; waits for them.
async fn all_applied(outcomes: &[watch::Sender<Option<bool>>], needed: &[usize]) -> bool {
    for place in needed {
        let mut outcome = outcomes[*place].subscribe();
        // The senders live as long as the applies.
        let applied =
            outcome.wait_for(Option::is_some).await.is_ok_and(|ended| *ended == Some(true));
        if !applied {
            return false;
        }
    }
    true
}

/// The places of those `before` an object that its Pods read at their start. With an old one, or
/// with none, they would run for good, or not start.
fn needed_by(manifest: &Manifest, before: &[Manifest]) -> Vec<usize> {
    let kinds = [
        ObjectKind::of::<ConfigMap>(),
        ObjectKind::of::<Secret>(),
        ObjectKind::of::<ServiceAccount>(),
    ];
    let templates = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    let Some(pod) = templates.iter().find_map(|path| manifest.value.pointer(path)) else {
        return Vec::new();
    };
    let is_needed = |other: &Manifest| kinds.contains(&other.kind) && has_text(pod, other.name());
    let places = before.iter().enumerate().filter(|(_, other)| is_needed(other));
    places.map(|(place, _)| place).collect()
}

/// Whether this text is one of the values.
fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Array(values) => values.iter().any(|value| has_text(value, text)),
        Value::Object(fields) => fields.values().any(|value| has_text(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::batch::v1::CronJob;
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::object_cache::ObjectCache;
    use crate::slow_api::{SLOW, slow_api};

    fn object(kind: &'static ObjectKind, name: &str, spec: &Value) -> Manifest {
        Manifest { kind, value: json!({ "metadata": { "name": name }, "spec": spec }) }
    }

    #[test]
    fn a_workload_needs_the_objects_that_its_pods_name() {
        let before = [
            object(ObjectKind::of::<ServiceAccount>(), "concert-worker", &json!({})),
            object(ObjectKind::of::<Service>(), "concert-gateway", &json!({})),
            object(ObjectKind::of::<ServiceAccount>(), "concert-gateway", &json!({})),
            object(ObjectKind::of::<ConfigMap>(), "concert-gateway", &json!({})),
            object(ObjectKind::of::<Secret>(), "concert-keys", &json!({})),
        ];
        let gateway = json!({ "template": { "spec": {
            "serviceAccountName": "concert-gateway",
            "volumes": [{ "name": "config", "configMap": { "name": "concert-gateway" } }],
        }}});
        let gateway = object(ObjectKind::of::<Deployment>(), "concert-gateway", &gateway);
        assert_eq!(needed_by(&gateway, &before), [2, 3]);
        let sweeper = json!({ "jobTemplate": { "spec": { "template": { "spec": {
            "volumes": [{ "name": "keys", "secret": { "secretName": "concert-keys" } }],
        }}}}});
        let sweeper = object(ObjectKind::of::<CronJob>(), "concert-sweep", &sweeper);
        assert_eq!(needed_by(&sweeper, &before), [4]);
        assert!(needed_by(&before[1], &before).is_empty(), "it has no Pods");
    }

    #[tokio::test]
    async fn what_is_needed_is_waited_for_and_its_failure_skips_those_that_need_it() {
        let outcomes: Vec<_> = (0..2).map(|_| watch::Sender::new(None)).collect();
        assert!(all_applied(&outcomes, &[]).await);
        let needed = [0, 1];
        let mut all = Box::pin(all_applied(&outcomes, &needed));
        outcomes[0].send_replace(Some(true));
        assert!(futures::poll!(&mut all).is_pending());
        outcomes[1].send_replace(Some(true));
        assert!(all.await);
        outcomes[0].send_replace(Some(false));
        assert!(!all_applied(&outcomes, &needed).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_apply_is_not_waited_for_to_its_end_nor_repeated_but_it_goes_on() {
        let (client, requests) = slow_api();
        let (objects, _writers) = ObjectCache::new(&[]);
        let writer = ObjectWriter {
            applier: Arc::new(Applier::new(client.clone(), objects)),
            events: EventRecorder::new(client, "operator".to_owned()),
            owner: "uid".to_owned(),
            about: ObjectReference::default(),
        };
        let manifest = object(ObjectKind::of::<ConfigMap>(), "concert", &json!({}));
        let in_flight = AppliesInFlight::default();
        let (begin, wait) = (Instant::now(), async |manifest: &Manifest| {
            in_flight.apply(Instant::now() + APPLIED_WITHIN, manifest, &writer).await
        });
        let late = wait(&manifest).await.unwrap_err();
        assert!(begin.elapsed() < SLOW, "{:?}", begin.elapsed());
        assert!(matches!(late, ReconcileError::Apply(_)) && late.may_pass(), "{late}");
        // The next reconcile.
        wait(&manifest).await.unwrap();
        assert!(begin.elapsed() < SLOW + NEXT_AFTER, "{:?}", begin.elapsed());
        assert_eq!(requests.load(Ordering::SeqCst), 1);

        // A change of the spec waits for what is in flight, and is applied after it.
        let other = |n: u8| object(ObjectKind::of::<ConfigMap>(), "concert", &json!({ "n": n }));
        wait(&other(1)).await.unwrap_err();
        wait(&other(2)).await.unwrap_err();
        assert_eq!(requests.load(Ordering::SeqCst), 3, "one of the first spec, two of changes");
    }
}
