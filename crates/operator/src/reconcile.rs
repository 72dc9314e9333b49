//! Reconcile: validate, dereference, build, apply, prune, status. It can be interrupted after any
//! step and run again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Problems;
use bookingq_api::status::BookingQueueStatus;
use bookingq_core::backoff::Backoff;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolumeClaim};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;

use crate::apply::{Applied, Applier};
use crate::autoscaler::observation::Observation;
use crate::autoscaler::worker_rollout::replicas_waited_for;
use crate::autoscaler::{Autoscaler, DesiredState};
use crate::build::component::ObjectKind;
use crate::build::{self, BuildInputs, Manifest, names};
use crate::conditions::{GatewayInputs, StatusInputs};
use crate::dereference::dereference;
use crate::environment::OperatorEnvironment;
use crate::error::{ReconcileError, call};
use crate::events::EventRecorder;
use crate::metrics::Metrics;
use crate::object_cache::{ObjectCache, ObjectName};
use crate::pods::PodCache;
use crate::pods::tracker::FaultTracker;
use crate::queue::{QueueKey, WatchedQueue, key, log_name};
use crate::secret_cache::SecretCache;
use crate::status::StatusWriter;
use crate::target::{QueueTarget, problem};
use crate::update::report::UpdateReports;

/// Delay before a failed reconcile is repeated, if no change triggers it earlier.
const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300) };
/// Time after which an object whose kind the cluster lacked is applied again.
const MISSING_RETRY: Duration = Duration::from_secs(30);

/// Everything that a reconcile uses.
pub struct ReconcileContext {
    pub(crate) secret_cache: SecretCache,
    pub(crate) environment: OperatorEnvironment,
    pub(crate) objects: ObjectCache,
    pub(crate) applier: Applier,
    pub(crate) status: StatusWriter,
    pub(crate) autoscaler: Autoscaler,
    pub(crate) events: EventRecorder,
    pub(crate) metrics: Metrics,
    /// For the events of objects, and the Pods of Redis.
    pub(crate) client: Client,
    pub(crate) pods: PodCache,
    pub(crate) faults: FaultTracker,
    /// The queues whose last reconcile failed.
    pub(crate) failures: Mutex<HashMap<QueueKey, Failures>>,
    pub(crate) updates: UpdateReports,
}

/// Failures of one queue since its last success.
#[derive(Default)]
pub(crate) struct Failures {
    count: u32,
    /// The error in the last event; an equal error gets no further event.
    published: String,
}

/// Brings one queue to the state of its spec.
pub async fn reconcile(
    queue: Arc<WatchedQueue>,
    context: Arc<ReconcileContext>,
) -> Result<Action, ReconcileError> {
    let timer = context.metrics.reconcile_duration.start_timer();
    let key = key(&queue);
    let outcome = match &queue.0 {
        Ok(queue) if queue.metadata.deletion_timestamp.is_some() => Ok(Action::await_change()),
        _ => Box::pin(context.reconcile_queue(&key, &queue)).await,
    };
    timer.observe_duration();
    context.forget_deleted();
    let label = outcome.as_ref().map_or_else(ReconcileError::reason, |_| "ok");
    context.metrics.reconciles.with_label_values(&[label]).inc();
    let next = outcome?;
    context.failures.lock().remove(&key);
    Ok(next)
}

/// Logs an error and returns when to reconcile the queue again.
pub fn on_error(
    queue: &WatchedQueue,
    error: &ReconcileError,
    context: &ReconcileContext,
) -> Action {
    let key = key(queue);
    let failures = {
        let mut failures = context.failures.lock();
        let failures = failures.entry(key.clone()).or_default();
        failures.count = failures.count.saturating_add(1);
        failures.count
    };
    tracing::warn!(
        queue = log_name(&key), failures, reason = error.reason(), %error, "reconcile failed"
    );
    if error.needs_a_change() {
        return Action::requeue(RETRY.max);
    }
    Action::requeue(RETRY.delay(failures, rand::random()))
}

impl ReconcileContext {
    async fn reconcile_queue(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
    ) -> Result<Action, ReconcileError> {
        let about = queue.object_ref(&());
        let status = queue.0.as_ref().ok().and_then(|queue| queue.status.as_ref());
        let (target, outcome) = match resolve(queue) {
            Ok(mut target) => {
                target.keep_waiting_for(self.present_wait(&target));
                let outcome = Box::pin(self.converge(key, &target, &about, status)).await;
                (Some(target), outcome)
            }
            Err(problems) => (None, Err(ReconcileError::InvalidSpec(problems))),
        };
        if let Err(error) = &outcome {
            self.publish_error(key, &about, error).await;
        }
        let namespace = queue.namespace().unwrap_or_default();
        let workers = self.objects.status::<Deployment>(&namespace, &names::worker(&key.name));
        let observation = self.autoscaler.observation(key);
        let complete =
            workers.is_some() && observation.as_ref().is_some_and(Observation::has_looked);
        if outcome.is_ok() && !complete && status.is_none() {
            // The watch of the Deployment and the queue loop wake the queue within a second: one
            // status instead of three.
            return outcome.map(|_| Action::await_change());
        }
        let gateway_deployment =
            self.objects.status::<Deployment>(&namespace, &names::gateway(&key.name));
        let gateways = self.autoscaler.gateways(key);
        let look = self.look_at_pods(key, target.as_ref(), &about).await;
        let inputs = StatusInputs {
            generation: queue.meta().generation,
            target: target.as_ref(),
            error: outcome.as_ref().err(),
            workers: workers.as_ref(),
            observation: observation.as_ref(),
            redis: self.autoscaler.redis(key),
            faults: Some(&look.faults),
            update: self.updates.of(key),
            gateways: GatewayInputs {
                deployment: gateway_deployment.as_ref(),
                observation: gateways.as_ref(),
                missing: outcome.as_ref().ok().and_then(|missing| missing.first().copied()),
            },
        };
        self.status.write(key, queue, &inputs).await?;
        let stuck = match (&target, &outcome) {
            (Some(target), Ok(_)) => self.replace_stuck(target, &about).await,
            _ => None,
        };
        let missing = (!outcome?.is_empty()).then_some(MISSING_RETRY);
        let window = self.updates.of(key).look_again(Timestamp::now());
        let next = missing.into_iter().chain(look.again).chain(stuck).chain(window).min();
        Ok(next.map_or_else(Action::await_change, Action::requeue))
    }

    /// How many replicas of Redis the workers wait for that there are; `None`: there are none yet.
    fn present_wait(&self, target: &QueueTarget) -> Option<u8> {
        let workers = names::worker(&target.name);
        let kind = ObjectKind::of::<Deployment>();
        let workers = self.objects.get(&ObjectName::new(kind, &target.namespace, &workers))?;
        Some(replicas_waited_for(&workers))
    }

    /// Returns the kinds of objects that the cluster lacks.
    async fn converge(
        &self,
        key: &QueueKey,
        target: &QueueTarget,
        about: &ObjectReference,
        before: Option<&BookingQueueStatus>,
    ) -> Result<Vec<&'static ObjectKind>, ReconcileError> {
        let found = dereference(&self.secret_cache, &self.objects, target).await?;
        let inputs =
            BuildInputs { target, secrets: &found.secrets, environment: &self.environment };
        let mut manifests = build::build(&inputs).map_err(ReconcileError::InvalidSpec)?;
        self.hold_updates(key, target, &mut manifests, about).await;
        self.check_volumes(target).await?;
        let mut missing = Vec::new();
        for manifest in &manifests {
            match self.apply(manifest, target, about).await {
                Err(ReconcileError::Api(error)) if error.lacks(manifest.kind) => {
                    missing.push(manifest.kind);
                }
                applied => applied?,
            }
        }
        self.prune(target, &manifests).await?;
        let desired = DesiredState {
            target: Arc::new(target.clone()),
            store: found.store,
            redis_password: found.redis_password,
            about: about.clone(),
            awaits_idle: self.updates.of(key).awaits_idle(),
        };
        self.autoscaler.update(key, desired, before);
        Ok(missing)
    }

    /// A new queue adopts the volumes that a deleted one of its name has left. One Pod would adopt
    /// the first of three volumes, which may not be the newest. New is who has no StatefulSet: the
    /// status may be that of an error before it.
    async fn check_volumes(&self, target: &QueueTarget) -> Result<(), ReconcileError> {
        let redis = ObjectKind::of::<StatefulSet>();
        let redis = ObjectName::new(redis, &target.namespace, &names::redis(&target.name));
        let new = self.objects.get(&redis).is_none();
        if !new || target.failover.is_some() || target.managed_redis().is_none() {
            return Ok(());
        }
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &target.namespace);
        let second = names::redis_volume(&target.name, 1);
        match call("read a volume claim", claims.get_metadata_opt(&second)).await? {
            Some(_) => Err(ReconcileError::VolumesOfThree(second)),
            None => Ok(()),
        }
    }

    async fn apply(
        &self,
        manifest: &Manifest,
        target: &QueueTarget,
        about: &ObjectReference,
    ) -> Result<(), ReconcileError> {
        if self.applier.apply(manifest, &target.owner.uid).await? == Applied::DriftCorrected {
            let (kind, name) = (manifest.kind.name, manifest.name());
            let note = format!(
                "{kind} {name} differed from the spec and was restored; change the BookingQueue \
                 instead"
            );
            let action = format!("Apply{kind}");
            self.events.publish(EventType::Warning, about, "DriftCorrected", &action, note).await;
        }
        Ok(())
    }

    /// Deletes the objects of the queue that it no longer needs. All cached objects carry the
    /// operator's label.
    async fn prune(
        &self,
        target: &QueueTarget,
        manifests: &[Manifest],
    ) -> Result<(), ReconcileError> {
        let QueueTarget { name, namespace, owner, .. } = target;
        for (object, cached) in self.objects.of_queue(namespace, name, &owner.uid) {
            let needed = manifests
                .iter()
                .any(|manifest| manifest.kind == object.kind && *manifest.name() == *object.name);
            if !needed && !cached.deleting {
                self.applier.delete(&object, cached.uid.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Publishes an event for an error that differs from the last one.
    async fn publish_error(&self, key: &QueueKey, about: &ObjectReference, error: &ReconcileError) {
        let note = error.to_string();
        let published = std::mem::replace(
            &mut self.failures.lock().entry(key.clone()).or_default().published,
            note.clone(),
        );
        if published != note {
            self.events.publish(EventType::Warning, about, error.reason(), "Reconcile", note).await;
        }
    }

    /// Forgets the queues that were deleted.
    fn forget_deleted(&self) {
        for key in self.autoscaler.remove_ended() {
            let namespace = key.namespace.clone().unwrap_or_default();
            self.applier.forget(&namespace, &key.name);
            self.secret_cache.forget(&namespace, &names::redis(&key.name));
            self.status.forget(&key);
            self.faults.forget(&key);
            self.updates.forget(&key);
            self.failures.lock().remove(&key);
            self.metrics.forget(&namespace, &key.name);
        }
    }
}

/// The target of a queue. A queue that cannot be decoded has been let in by another schema.
fn resolve(queue: &WatchedQueue) -> Result<QueueTarget, Problems> {
    match &queue.0 {
        Ok(queue) => QueueTarget::resolve(queue),
        Err(invalid) => Err(Problems(vec![problem(
            "spec",
            format!("not readable ({})", invalid.error),
            "the fields that `kubectl explain bookingqueue.spec` shows",
        )])),
    }
}
