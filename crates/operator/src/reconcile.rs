//! Reconcile: dereference, validate, build, apply, prune, status. Safe to stop after any step and
//! to begin again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::{BookingQueue, Problems};
use bookingq_core::backoff::Backoff;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use parking_lot::Mutex;

use crate::apply::{Applied, Applier};
use crate::autoscaler::observation::Observation;
use crate::autoscaler::{Autoscaler, Order};
use crate::build::{self, Objects, names};
use crate::caches::{Caches, Kept, Key, Watched, key, told};
use crate::conditions::StatusInputs;
use crate::dereference::dereference;
use crate::environment::OperatorEnvironment;
use crate::error::ReconcileError;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::secret_cache::SecretCache;
use crate::status::StatusWriter;
use crate::target::{Target, problem};

/// How soon a queue in error is tried again, if nothing wakes it before.
const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300) };

/// What every reconcile needs.
pub struct Context {
    pub(crate) secret_cache: SecretCache,
    pub(crate) environment: OperatorEnvironment,
    pub(crate) caches: Caches,
    pub(crate) applier: Applier,
    pub(crate) status: StatusWriter,
    pub(crate) autoscaler: Autoscaler,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    /// The queues in error.
    pub(crate) failures: Mutex<HashMap<Key, Failing>>,
}

/// A queue in error.
#[derive(Default)]
pub(crate) struct Failing {
    /// How often in a row.
    tries: u32,
    /// What an event has told already; told again only when it changes.
    told: String,
}

/// Brings one queue to what its spec says.
///
/// # Errors
/// [`ReconcileError`]; it stands in the queue's conditions by then.
pub async fn reconcile(
    queue: Arc<Watched>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let timer = context.metrics.reconcile_duration.start_timer();
    let key = key(&queue);
    let outcome = match &queue.0 {
        Ok(queue) if queue.metadata.deletion_timestamp.is_some() => Ok(()),
        Ok(queue) => Box::pin(context.bring(&key, queue)).await,
        Err(invalid) => context.undecodable(&key, &queue, invalid).await,
    };
    timer.observe_duration();
    context.bury();
    let word = outcome.as_ref().map_or_else(ReconcileError::reason, |()| "ok");
    context.metrics.reconciles.with_label_values(&[word]).inc();
    outcome?;
    context.failures.lock().remove(&key);
    Ok(Action::await_change())
}

/// When a queue in error is tried again.
pub fn retry(queue: &Watched, error: &ReconcileError, context: &Context) -> Action {
    let key = key(queue);
    let tries = {
        let mut failures = context.failures.lock();
        let failing = failures.entry(key.clone()).or_default();
        failing.tries = failing.tries.saturating_add(1);
        failing.tries
    };
    tracing::warn!(queue = told(&key), tries, reason = error.reason(), error = %error, "not as specified");
    if error.waits_for_a_person() {
        return Action::requeue(RETRY.max);
    }
    Action::requeue(RETRY.delay(tries, rand::random()))
}

impl Context {
    async fn bring(&self, key: &Key, queue: &BookingQueue) -> Result<(), ReconcileError> {
        let about = queue.object_ref(&());
        let target = Target::resolve(queue).map_err(ReconcileError::Refused);
        let outcome = match &target {
            Ok(target) => Box::pin(self.converge(key, queue, target, &about)).await,
            Err(_) => Ok(()),
        };
        let (target, outcome) = match target {
            Ok(target) => (Some(target), outcome),
            Err(error) => (None, Err(error)),
        };
        if let Err(error) = &outcome {
            self.complain(key, &about, error).await;
        }
        let deployment = self.caches.get::<Deployment>(
            &queue.namespace().unwrap_or_default(),
            &names::worker(&queue.name_any()),
        );
        let observation = self.autoscaler.observation(key);
        let complete =
            deployment.is_some() && observation.as_ref().is_some_and(Observation::has_looked);
        if outcome.is_ok() && !complete && queue.status.is_none() {
            // The Deployment comes back through its watch in a moment, and the loop tells what it
            // sees in its first second. Both wake the queue: one status instead of
            // three.
            return outcome;
        }
        let inputs = StatusInputs {
            generation: queue.metadata.generation,
            target: target.as_ref(),
            error: outcome.as_ref().err(),
            workers: deployment.as_ref().map(|deployment| deployment.facts()),
            observation: observation.as_ref(),
        };
        self.status.write(key, queue, &inputs).await?;
        outcome
    }

    async fn converge(
        &self,
        key: &Key,
        queue: &BookingQueue,
        target: &Target,
        about: &ObjectReference,
    ) -> Result<(), ReconcileError> {
        let found = dereference(&self.secret_cache, &self.caches, target).await?;
        let objects = build::build(target, &found.secrets, &self.environment)
            .map_err(ReconcileError::Refused)?;
        self.apply(&objects, about).await?;
        self.prune(target, &objects).await?;
        let order =
            Order { target: Arc::new(target.clone()), redis: found.redis, about: about.clone() };
        let before = queue.status.as_ref().and_then(|status| status.last_scaling.clone());
        self.autoscaler.order(key, order, before);
        Ok(())
    }

    /// In the order in which the objects need each other.
    async fn apply(
        &self,
        objects: &Objects,
        about: &ObjectReference,
    ) -> Result<(), ReconcileError> {
        self.one(&objects.service_account, about).await?;
        for policy in &objects.network_policies {
            self.one(policy, about).await?;
        }
        for service in &objects.services {
            self.one(service, about).await?;
        }
        if let Some(stateful_set) = &objects.stateful_set {
            self.one(stateful_set, about).await?;
        }
        self.one(&objects.deployment, about).await?;
        self.one(&objects.disruption_budget, about).await?;
        if let Some(cron_job) = &objects.cron_job {
            self.one(cron_job, about).await?;
        }
        Ok(())
    }

    async fn one<K: Kept>(
        &self,
        object: &K,
        about: &ObjectReference,
    ) -> Result<(), ReconcileError> {
        if self.applier.apply(object).await? == Applied::DriftCorrected {
            let (kind, name) = (K::kind(&()), object.name_any());
            let note = format!(
                "{kind} {name} was changed by somebody else and has been put right; change the BookingQueue instead"
            );
            self.events.warning(about, "DriftCorrected", &format!("Apply{kind}"), note).await;
        }
        Ok(())
    }

    /// Deletes what a queue may have and this one does not want (any more).
    async fn prune(&self, target: &Target, objects: &Objects) -> Result<(), ReconcileError> {
        let (namespace, owner) = (&target.namespace, &target.owner.uid);
        if objects.cron_job.is_none() {
            self.applier.remove::<CronJob>(namespace, &names::sweeper(&target.name), owner).await?;
        }
        if objects.stateful_set.is_none() {
            let name = names::redis(&target.name);
            self.applier.remove::<StatefulSet>(namespace, &name, owner).await?;
            self.applier.remove::<Service>(namespace, &name, owner).await?;
            self.applier.remove::<NetworkPolicy>(namespace, &name, owner).await?;
        }
        Ok(())
    }

    /// A queue that is not even of the shape of one: an older or newer schema let it in. It gets
    /// its condition and event.
    async fn undecodable(
        &self,
        key: &Key,
        queue: &Watched,
        invalid: &InvalidObject,
    ) -> Result<(), ReconcileError> {
        let refused = Problems(vec![problem(
            "spec",
            format!("not readable ({})", invalid.error),
            "what `kubectl explain bookingqueue.spec` shows",
        )]);
        let error = ReconcileError::Refused(refused);
        self.complain(key, &queue.object_ref(&()), &error).await;
        let inputs = StatusInputs {
            generation: invalid.metadata.generation,
            target: None,
            error: Some(&error),
            workers: None,
            observation: None,
        };
        self.status.write_undecodable(key, queue, &inputs).await?;
        Err(error)
    }

    /// An event for a error that is new.
    async fn complain(&self, key: &Key, about: &ObjectReference, error: &ReconcileError) {
        let note = error.to_string();
        let told = std::mem::replace(
            &mut self.failures.lock().entry(key.clone()).or_default().told,
            note.clone(),
        );
        if told != note {
            self.events.warning(about, error.reason(), "Reconcile", note).await;
        }
    }

    /// Forgets the queues that are gone.
    fn bury(&self) {
        for key in self.autoscaler.bury() {
            let namespace = key.namespace.clone().unwrap_or_default();
            let objects = names::all(&key.name);
            self.applier.forget(&namespace, |name| objects.iter().any(|object| object == name));
            self.secret_cache.forget(&namespace, &names::redis(&key.name));
            self.status.forget(&key);
            self.failures.lock().remove(&key);
            self.metrics.forget(&namespace, &key.name);
        }
    }
}
