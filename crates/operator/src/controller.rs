//! The controllers: that of the queues, which starts the watches and reconciles the queues that
//! they wake, and beside it that of the backups.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::apply::Applier;
use crate::applying::AppliesInFlight;
use crate::autoscaler::{Autoscaler, KafkaFollowers, LoopContext};
use crate::backups;
use crate::backups::watch::QueueChanges;
use crate::environment::OperatorEnvironment;
use crate::error::ReconcileError;
use crate::events::EventRecorder;
use crate::followed::FollowedSpecs;
use crate::leader_fence::LeaderFence;
use crate::metrics::Metrics;
use crate::pods::tracker::FaultTracker;
use crate::queue::{QueueKey, WatchedQueue, log_name};
use crate::reconcile::{self, ReconcileContext};
use crate::schema::SchemaWatch;
use crate::secret_cache::SecretCache;
use crate::shared_parts::SharedParts;
use crate::status::StatusWriter;
use crate::update::report::UpdateReports;
use crate::watch::{self, QueueStream, WatchScope};

/// Concurrent reconciles: enough to keep the API server busy, few enough not to overload it.
const CONCURRENCY: u16 = 16;
/// Delay of a reconcile after a change: the objects of a new queue arrive one by one, and one
/// reconcile for all of them is enough.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// Capacity of the channel from the queue loops.
const WAKES: usize = 1024;

/// Configuration of the controllers.
pub struct ControllerSettings {
    /// Where they look for queues and backups.
    pub scope: WatchScope,
    /// The operator's surroundings.
    pub environment: OperatorEnvironment,
    /// Name of this operator in events: its Pod.
    pub instance: String,
}

/// Runs until `leaving`; finishes reconciles that have started. `fence` says whether this process
/// may act on Redis.
pub async fn run(
    client: Client,
    settings: ControllerSettings,
    metrics: Metrics,
    fence: LeaderFence,
    leaving: CancellationToken,
) {
    let ControllerSettings { scope, environment, instance } = settings;
    let (queues, queue_stream) = watch::queues(&client, &scope);
    let queue_changes = QueueChanges::default();
    let queue_stream = queue_changes.tap(queue_stream);
    let parts = SharedParts {
        scope,
        environment,
        queues,
        schema: SchemaWatch::start(client.clone(), metrics.clone()),
        events: EventRecorder::new(client.clone(), instance),
        metrics,
        client,
    };
    let backups = backups::controller::run(parts.clone(), queue_changes, leaving.clone());
    let queues = run_queues(parts, queue_stream, fence, leaving);
    tokio::join!(Box::pin(queues), Box::pin(backups));
}

async fn run_queues(
    parts: SharedParts,
    queue_stream: QueueStream,
    fence: LeaderFence,
    leaving: CancellationToken,
) {
    let SharedParts { client, scope, environment, queues, schema, events, metrics } = parts;
    let secret_cache = SecretCache::new(client.clone());
    let (objects, object_wakes) = watch::objects(&client, &scope);
    let (pods, creation_failures, pod_wakes) = watch::pods(&client, &scope);
    let secret_wakes = watch::secrets(&client, &scope, secret_cache.clone(), queues.clone());
    let (wake, mut loop_wakes) = mpsc::channel(WAKES);
    if let Err(error) = metrics.expose_conditions(queues.clone()) {
        warn!(%error, "the conditions of queues are missing from the metrics");
    }
    let loops = LoopContext {
        client: client.clone(),
        fence,
        objects: objects.clone(),
        pods: pods.clone(),
        followers: KafkaFollowers::default(),
        queues: queues.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        wake,
    };
    let context = ReconcileContext {
        schema,
        secret_cache,
        environment,
        applier: Arc::new(Applier::new(client.clone(), objects.clone())),
        in_flight: AppliesInFlight::default(),
        followed: FollowedSpecs::default(),
        status: StatusWriter::new(client.clone()),
        client,
        pods,
        faults: FaultTracker::default(),
        creation_failures,
        autoscaler: Autoscaler::new(loops),
        objects,
        events,
        metrics,
        failures: Mutex::default(),
        updates: UpdateReports::default(),
    };
    Controller::for_stream(queue_stream, queues)
        .with_config(controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_all_on(context.schema.changes())
        .reconcile_on(object_wakes)
        .reconcile_on(pod_wakes)
        .reconcile_on(secret_wakes)
        .reconcile_on(futures::stream::poll_fn(move |task| loop_wakes.poll_recv(task)))
        .graceful_shutdown_on(async move { leaving.cancelled().await })
        .run(reconcile_synced, on_error, Arc::new(context))
        .for_each(|outcome| async move { log(outcome) })
        .await;
}

#[allow(clippy::needless_pass_by_value, reason = "the controller calls it")]
fn on_error(
    queue: Arc<WatchedQueue>,
    error: &ReconcileError,
    context: Arc<ReconcileContext>,
) -> Action {
    reconcile::on_error(&queue, error, &context)
}

/// Waits for the caches first: an object that is missing only there would be created again.
async fn reconcile_synced(
    queue: Arc<WatchedQueue>,
    context: Arc<ReconcileContext>,
) -> Result<Action, ReconcileError> {
    if !context.objects.synced().await {
        // The controller is shutting down.
        return Ok(Action::await_change());
    }
    context.creation_failures.listed().await;
    // A spec that lacks fields must not be followed.
    context.schema.looked().await;
    Box::pin(reconcile::reconcile(queue, context)).await
}

type ReconcileOutcome =
    Result<(QueueKey, Action), controller::Error<ReconcileError, watcher::Error>>;

fn log(outcome: ReconcileOutcome) {
    match outcome {
        Ok((queue, _)) => debug!(queue = log_name(&queue), "reconciled"),
        // Logged by `reconcile::on_error`.
        Err(controller::Error::ReconcilerFailed(..)) => {}
        // An object of a deleted queue changed.
        Err(controller::Error::ObjectNotFound(queue)) => debug!(%queue, "deleted"),
        Err(error) => warn!(%error, "the watch of queues was interrupted and is being restarted"),
    }
}
