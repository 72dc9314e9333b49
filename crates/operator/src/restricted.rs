//! What the operator does for a queue that it may not write, or not wholly, because it is paused or
//! because its spec may lack fields.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use kube::runtime::events::EventType;
use tracing::debug;

use crate::autoscaler::{DesiredState, WriteScope};
use crate::build::names;
use crate::conditions::StatusInputs;
use crate::dereference::look_up;
use crate::queue::{QueueKey, WatchedQueue, log_name};
use crate::reconcile::ReconcileContext;
use crate::schema;
use crate::target::QueueTarget;

impl ReconcileContext {
    /// Follows no change of the spec. The loops of a queue that runs keep their state; after a
    /// restart they begin with what the spec says now, for the status.
    pub(crate) async fn keep_restricted(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
        target: &QueueTarget,
        scope: WriteScope,
    ) {
        let QueueTarget { name, namespace, .. } = target;
        let exists = self.objects.status::<Deployment>(namespace, &names::worker(name)).is_some();
        if self.autoscaler.followed(key).is_some() || !exists {
            return;
        }
        let partial = self.schema.holds_back();
        let mut target = target.clone();
        if partial {
            target.keep_three();
        }
        match look_up(&self.secret_cache, &target).await {
            Ok(found) => {
                let before = queue.0.as_ref().ok().and_then(|queue| queue.status.as_ref());
                let desired = DesiredState {
                    target: Arc::new(target),
                    store: found.store,
                    scope,
                    partial,
                    redis_password: found.redis_password,
                    about: queue.object_ref(&()),
                    awaits_idle: true,
                };
                self.autoscaler.update(key, desired, before);
            }
            Err(error) => debug!(queue = log_name(key), %error, "its store is not read"),
        }
    }

    /// The generation that the status describes: of a paused queue, the one that the objects
    /// follow. A definition that is too old is a state of the present one, which kstatus must see.
    pub(crate) fn observed_generation(queue: &WatchedQueue, scope: WriteScope) -> Option<i64> {
        let now = queue.meta().generation;
        let status = queue.0.as_ref().ok().and_then(|queue| queue.status.as_ref());
        match scope {
            WriteScope::All | WriteScope::NoSettings => now,
            WriteScope::Nothing => status.and_then(|status| status.observed_generation).or(now),
        }
    }

    /// Publishes an event when the queue begins or ceases to be held back.
    pub(crate) async fn publish_restrictions(
        &self,
        queue: &WatchedQueue,
        inputs: &StatusInputs<'_>,
        about: &ObjectReference,
    ) {
        let Ok(queue) = &queue.0 else { return };
        let before = queue.status.iter().flat_map(|status| &status.conditions);
        let had =
            |type_: &str| before.clone().any(|one| one.type_ == type_ && one.status == "True");
        let unread = inputs.schema_unread && had("SchemaBehind");
        let behind = unread || !inputs.missing_fields.is_empty();
        let fields = schema::list(inputs.missing_fields);
        let follows =
            !inputs.paused && !inputs.schema_unread && !schema::holds_back(inputs.missing_fields);
        for (type_, now, begins, note) in [
            (
                "Paused",
                inputs.paused,
                "ReconcilePaused",
                "the annotation bookingqueue.dev/paused is true: nothing is written".to_owned(),
            ),
            (
                "SchemaBehind",
                behind,
                "SchemaBehind",
                format!("the installed CustomResourceDefinition lacks {fields}"),
            ),
        ] {
            let event = match (had(type_), now) {
                (false, true) => (EventType::Warning, begins, note),
                (true, false) => {
                    let rest = if follows { ": the objects follow the spec again" } else { "" };
                    let note = format!("{type_} is over{rest}");
                    (EventType::Normal, "ReconcileResumed", note)
                }
                _ => continue,
            };
            let (kind, reason, note) = event;
            self.events.publish(kind, about, reason, type_, note).await;
        }
    }
}
