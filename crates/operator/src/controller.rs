//! The controller: which changes wake which queue, and how many are worked on at once.

use std::sync::Arc;
use std::time::Duration;

use bookingq_api::BookingQueue;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::apply::Applier;
use crate::autoscaler::{Autoscaler, Shared};
use crate::caches::{self, Key, Scope, Watched};
use crate::dereference::refers_to;
use crate::environment::OperatorEnvironment;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::reconcile::{self, Context};
use crate::secret_cache::SecretCache;
use crate::status::StatusWriter;

/// Queues worked on at once: enough to keep the API server busy, few enough not to drown it.
const CONCURRENCY: u16 = 16;
/// How long a queue is left alone after something touched it: its nine objects come back through
/// the watches one by one, and one look at all of them is enough.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// Wakes from the queues' loops that may wait.
const WAKES: usize = 1024;

/// What a controller needs.
pub struct ControllerSettings {
    /// Where queues are looked for.
    pub scope: Scope,
    /// What goes into the objects.
    pub environment: OperatorEnvironment,
    /// Names this operator in events: its Pod.
    pub instance: String,
}

/// Runs until `leaving`; reconciles that have begun are finished.
pub async fn run(
    client: Client,
    settings: ControllerSettings,
    metrics: Metrics,
    leaving: CancellationToken,
) {
    let scope = &settings.scope;
    let (caches, watches) = caches::start(&client, scope);
    let (wake, wakes) = mpsc::channel(WAKES);
    let (known, queues) = caches::watch_queues(&client, scope);
    let controller = Controller::for_stream(queues, known.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE));
    if let Err(error) = metrics.tell_conditions(known.clone()) {
        warn!(%error, "the conditions of queues are not among the metrics");
    }
    let events = Events::new(client.clone(), settings.instance.clone());
    let secret_cache = SecretCache::new(client.clone());
    let shared = Shared {
        client: client.clone(),
        caches: caches.clone(),
        queues: known.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        wake,
    };
    let context = Context {
        secret_cache: secret_cache.clone(),
        environment: settings.environment.clone(),
        applier: Applier::new(client.clone(), caches.clone()),
        status: StatusWriter::new(client.clone()),
        autoscaler: Autoscaler::new(shared),
        caches,
        events,
        metrics,
        failures: Mutex::default(),
    };
    // Names and versions only: the contents stay where they are.
    let secrets: Api<PartialObjectMeta<Secret>> = scope.api(&client);
    let secrets = watcher(secrets, watcher::Config::default())
        .default_backoff()
        .modify(|secret| secret.metadata.managed_fields = None)
        .inspect_ok(move |event| secret_cache.hear(event))
        .touched_objects();
    controller
        .owns_stream(watches.deployments)
        .owns_stream(watches.stateful_sets)
        .owns_stream(watches.services)
        .owns_stream(watches.service_accounts)
        .owns_stream(watches.network_policies)
        .owns_stream(watches.disruption_budgets)
        .owns_stream(watches.cron_jobs)
        // Only kept: the queues' loops look for themselves.
        .watches_stream(watches.pending, |_: Pod| None::<Key>)
        .watches_stream(secrets, move |secret| woken_by(&known, &secret))
        .reconcile_on(wakes_as_stream(wakes))
        .graceful_shutdown_on(async move { leaving.cancelled().await })
        .run(
            begin,
            |queue, error, context| reconcile::retry(&queue, error, &context),
            Arc::new(context),
        )
        .for_each(|outcome| async move { log(outcome) })
        .await;
}

/// Nothing is decided before every cache knows what there is: an object that only seems absent
/// would be made again.
async fn begin(
    queue: Arc<Watched>,
    context: Arc<Context>,
) -> Result<controller::Action, crate::error::ReconcileError> {
    context.caches.ready().await;
    Box::pin(reconcile::reconcile(queue, context)).await
}

fn wakes_as_stream(mut wakes: mpsc::Receiver<Key>) -> impl futures::Stream<Item = Key> {
    futures::stream::poll_fn(move |context| wakes.poll_recv(context))
}

/// The queues that a changed Secret concerns: its owner, or those that name it.
fn woken_by(queues: &Store<Watched>, secret: &PartialObjectMeta<Secret>) -> Vec<Key> {
    let namespace = secret.namespace().unwrap_or_default();
    let owners =
        secret.owner_references().iter().filter(|owner| owner.kind == BookingQueue::kind(&()));
    let mut woken: Vec<Key> =
        owners.map(|owner| ObjectRef::new(&owner.name).within(&namespace)).collect();
    if woken.is_empty() {
        let name = secret.name_any();
        let named = queues.state_filter(|queue| {
            queue.meta().namespace.as_deref() == Some(&namespace)
                && queue.0.as_ref().is_ok_and(|queue| refers_to(&queue.spec, &name))
        });
        woken.extend(named.iter().map(|queue| caches::key(queue)));
    }
    woken
}

type Outcome = Result<
    (Key, controller::Action),
    controller::Error<crate::error::ReconcileError, watcher::Error>,
>;

fn log(outcome: Outcome) {
    match outcome {
        Ok((queue, _)) => debug!(queue = caches::told(&queue), "as specified"),
        // Told where it was met.
        Err(controller::Error::ReconcilerFailed(..)) => {}
        // A queue that was deleted while its children still woke it.
        Err(controller::Error::ObjectNotFound(queue)) => debug!(%queue, "gone"),
        Err(error) => warn!(%error, "the watch was interrupted; it goes on by itself"),
    }
}
