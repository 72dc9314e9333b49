//! The controller of backups: starts the watches, and reconciles the backups that they wake.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::key::{BackupKey, WatchedBackup};
use super::obstacle::Obstacle;
use super::reconcile::{self, BackupContext};
use super::watch::{self, BackupObjects, QueueChanges};
use crate::apply::Applier;
use crate::queue::log_name;
use crate::shared_parts::SharedParts;

/// Concurrent reconciles: few, so that queues go first.
const CONCURRENCY: u16 = 4;
/// Delay of a reconcile after a change: a Job and its Pod change together.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// Runs until `leaving`; finishes reconciles that have started. Where the cluster lacks the kind,
/// it waits for it. `queue_changes` are the queues that change.
pub async fn run(parts: SharedParts, queue_changes: QueueChanges, leaving: CancellationToken) {
    let SharedParts { client, scope, environment, queues, schema, events, metrics } = parts;
    let (backups, backup_stream) = watch::backups(&client, &scope);
    let (objects, object_wakes) = BackupObjects::watch(&client, &scope);
    let queue_wakes = queue_changes.wakes(backups.clone());
    if let Err(error) = metrics.expose_backups(backups.clone()) {
        warn!(%error, "the backups are missing from the metrics");
    }
    let schema_changes = schema.changes();
    let context = Arc::new(BackupContext {
        applier: Applier::new(client.clone(), objects.cron_jobs.clone()),
        client,
        queues,
        objects,
        schema,
        environment,
        events,
        written: Mutex::default(),
        failures: Mutex::default(),
    });
    let (ended, leaving_early) = (Arc::clone(&context), unlisted(backups.clone(), leaving.clone()));
    let controlling = Controller::for_stream(backup_stream, backups)
        .with_config(controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_all_on(schema_changes)
        .reconcile_on(object_wakes)
        .reconcile_on(queue_wakes)
        .graceful_shutdown_on(async move { leaving.cancelled().await })
        .run(reconcile_boxed, on_error, context)
        .for_each(|outcome| {
            log(outcome, &ended);
            std::future::ready(())
        });
    tokio::select! {
        () = controlling => {}
        () = leaving_early => {}
    }
}

/// Ends with `leaving` if no backup was listed until then: nothing was reconciled, and the
/// controller would wait for the first list.
async fn unlisted(backups: Store<WatchedBackup>, leaving: CancellationToken) {
    leaving.cancelled().await;
    if backups.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

/// Boxed, because it is a large future.
async fn reconcile_boxed(
    backup: Arc<WatchedBackup>,
    context: Arc<BackupContext>,
) -> Result<Action, Obstacle> {
    Box::pin(reconcile::reconcile(backup, context)).await
}

#[allow(clippy::needless_pass_by_value, reason = "the controller calls it")]
fn on_error(backup: Arc<WatchedBackup>, error: &Obstacle, context: Arc<BackupContext>) -> Action {
    reconcile::on_error(&backup, error, &context)
}

type BackupOutcome = Result<(BackupKey, Action), controller::Error<Obstacle, watcher::Error>>;

fn log(outcome: BackupOutcome, context: &BackupContext) {
    match outcome {
        Ok((backup, _)) => debug!(backup = log_name(&backup), "reconciled"),
        // Logged by `reconcile::on_error`.
        Err(controller::Error::ReconcilerFailed(..)) => {}
        Err(controller::Error::ObjectNotFound(backup)) => {
            debug!(%backup, "deleted");
            let namespace = backup.namespace.as_deref().unwrap_or_default();
            context.forget(&ObjectRef::new(&backup.name).within(namespace));
        }
        Err(error) => warn!(%error, "the watch of backups was interrupted and is being restarted"),
    }
}
