//! Reconcile: validate, dereference, build, apply, prune, status. It can be interrupted after any
//! step and run again. `converge.rs` has the steps from dereference to prune.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Problems;
use bookingq_core::backoff::Backoff;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::apply::Applier;
use crate::applying::AppliesInFlight;
use crate::autoscaler::observation::Observation;
use crate::autoscaler::{Autoscaler, WriteScope};
use crate::build::component::ObjectKind;
use crate::build::names;
use crate::conditions::{GatewayInputs, StatusInputs};
use crate::environment::OperatorEnvironment;
use crate::error::ReconcileError;
use crate::events::EventRecorder;
use crate::followed::FollowedSpecs;
use crate::metrics::Metrics;
use crate::object_cache::ObjectCache;
use crate::pods::PodCache;
use crate::pods::creation::CreationFailures;
use crate::pods::tracker::FaultTracker;
use crate::queue::{QueueKey, WatchedQueue, key, log_name};
use crate::schema::SchemaWatch;
use crate::secret_cache::SecretCache;
use crate::status::StatusWriter;
use crate::target::{QueueTarget, is_paused, problem};
use crate::update::report::UpdateReports;

/// Delay before a failed reconcile is repeated, if no change triggers it earlier.
const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300) };
/// Time after which an object whose kind the cluster lacked is applied again.
const MISSING_RETRY: Duration = Duration::from_secs(30);
/// Time after which a spec is looked at again that may lack what a person has set.
const DOUBT_RETRY: Duration = Duration::from_secs(1);
/// Time after which the status is written although some object was not applied yet.
const REPORT_AFTER: Duration = Duration::from_secs(5);

/// The kinds of objects that the cluster lacks, or why the objects do not match the spec.
type Converged = Result<Vec<&'static ObjectKind>, ReconcileError>;

/// When to reconcile a queue again although nothing changes.
struct LookAgain(Option<Duration>);

/// Everything that a reconcile uses.
pub struct ReconcileContext {
    pub(crate) schema: SchemaWatch,
    pub(crate) secret_cache: SecretCache,
    pub(crate) environment: OperatorEnvironment,
    pub(crate) objects: ObjectCache,
    pub(crate) applier: Arc<Applier>,
    pub(crate) in_flight: AppliesInFlight,
    pub(crate) followed: FollowedSpecs,
    pub(crate) status: StatusWriter,
    pub(crate) autoscaler: Autoscaler,
    pub(crate) events: EventRecorder,
    pub(crate) metrics: Metrics,
    /// For the Pods of Redis.
    pub(crate) client: Client,
    pub(crate) pods: PodCache,
    pub(crate) faults: FaultTracker,
    pub(crate) creation_failures: Arc<CreationFailures>,
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
    /// When to look again although nothing changes, if that is earlier than the next attempt.
    again: Option<Duration>,
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
    let (failures, again) = {
        let mut failures = context.failures.lock();
        let failures = failures.entry(key.clone()).or_default();
        failures.count = failures.count.saturating_add(1);
        (failures.count, failures.again.take())
    };
    tracing::warn!(
        queue = log_name(&key), failures, reason = error.reason(), %error, "reconcile failed"
    );
    let retry =
        if error.needs_a_change() { RETRY.max } else { RETRY.delay(failures, rand::random()) };
    Action::requeue(again.map_or(retry, |again| again.min(retry)))
}

impl ReconcileContext {
    async fn reconcile_queue(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
    ) -> Result<Action, ReconcileError> {
        let about = queue.object_ref(&());
        let scope = self.write_scope(queue);
        self.autoscaler.restrict(key, scope);
        if scope == WriteScope::All && self.followed.is_doubtful(key, queue) {
            return Ok(Action::requeue(DOUBT_RETRY));
        }
        let (target, outcome) = match resolve(queue) {
            Ok(mut target) => {
                target.keep_waiting_for(self.present_wait(&target));
                let outcome = if scope == WriteScope::All {
                    self.converge_or_report(key, queue, &target, &about).await
                } else {
                    self.keep_restricted(key, queue, &target, scope).await;
                    Ok(Vec::new())
                };
                (Some(target), outcome)
            }
            Err(problems) => (None, Err(ReconcileError::InvalidSpec(problems))),
        };
        if let Err(error) = &outcome {
            self.publish_error(key, &about, error).await;
        }
        let Some(look_again) =
            self.report(key, queue, target.as_ref(), &outcome, (&about, scope)).await?
        else {
            return outcome.map(|_| Action::await_change());
        };
        let stuck = match (&target, &outcome) {
            (Some(target), Ok(_)) if scope == WriteScope::All => {
                self.replace_stuck(target, &about).await
            }
            _ => None,
        };
        let window = self.updates.of(key).look_again(Timestamp::now());
        let look_again = look_again.0.into_iter().chain(window).min();
        if outcome.is_err() {
            self.failures.lock().entry(key.clone()).or_default().again = look_again;
        }
        let missing = (!outcome?.is_empty()).then_some(MISSING_RETRY);
        let next = missing.into_iter().chain(look_again).chain(stuck).min();
        Ok(next.map_or_else(Action::await_change, Action::requeue))
    }

    /// What may be written of a queue.
    pub(crate) fn write_scope(&self, queue: &WatchedQueue) -> WriteScope {
        if is_paused(queue.meta()) {
            WriteScope::Nothing
        } else if self.schema.holds_back() {
            WriteScope::NoSettings
        } else {
            WriteScope::All
        }
    }

    /// Converges; if that takes long, the status says so meanwhile.
    async fn converge_or_report(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
        target: &QueueTarget,
        about: &ObjectReference,
    ) -> Converged {
        let before = queue.0.as_ref().ok().and_then(|queue| queue.status.as_ref());
        let mut converging = Box::pin(self.converge(key, target, about, before));
        if let Ok(outcome) = timeout(REPORT_AFTER, &mut converging).await {
            return outcome;
        }
        let late = Err(ReconcileError::late("apply the objects".to_owned(), REPORT_AFTER));
        let reporting = self.report(key, queue, Some(target), &late, (about, WriteScope::All));
        // Both to their ends, so that no apply waits for the status or is dropped because of it.
        let (reported, outcome) = tokio::join!(reporting, converging);
        if let Err(error) = reported {
            tracing::debug!(queue = log_name(key), %error, "that it takes long was not written");
        }
        outcome
    }

    /// Writes the status. Returns when to look again; `None` while there is too little to report.
    async fn report(
        &self,
        key: &QueueKey,
        queue: &WatchedQueue,
        target: Option<&QueueTarget>,
        outcome: &Converged,
        (about, scope): (&ObjectReference, WriteScope),
    ) -> Result<Option<LookAgain>, ReconcileError> {
        let namespace = queue.namespace().unwrap_or_default();
        let workers = self.objects.status::<Deployment>(&namespace, &names::worker(&key.name));
        let observation = self.autoscaler.observation(key);
        let complete =
            workers.is_some() && observation.as_ref().is_some_and(Observation::has_looked);
        let is_new = queue.0.as_ref().is_ok_and(|queue| queue.status.is_none());
        if outcome.is_ok() && !complete && is_new && scope == WriteScope::All {
            // The watch of the Deployment and the queue loop wake the queue within a second: one
            // status instead of three.
            return Ok(None);
        }
        let gateway_deployment =
            self.objects.status::<Deployment>(&namespace, &names::gateway(&key.name));
        let gateways = self.autoscaler.gateways(key);
        let missing_fields = self.schema.missing();
        let followed = if scope == WriteScope::All { None } else { self.autoscaler.followed(key) };
        let target = followed.as_deref().or(target);
        let look = self.look_at_pods(key, target, about).await;
        let inputs = StatusInputs {
            generation: Self::observed_generation(queue, scope),
            target,
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
            paused: is_paused(queue.meta()),
            missing_fields: &missing_fields,
            schema_unread: self.schema.is_unread(),
        };
        self.publish_restrictions(queue, &inputs, about).await;
        let again = self.status.write(key, queue, &inputs).await?;
        Ok(Some(LookAgain(again.into_iter().chain(look.again).min())))
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
            self.creation_failures.forget(&key);
            self.updates.forget(&key);
            self.failures.lock().remove(&key);
            self.followed.forget(&key);
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
