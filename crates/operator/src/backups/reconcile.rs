//! Reconcile of a backup: what is in the way, build, create or apply, status. It can be interrupted
//! after any step and run again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::backup::BackupPlan;
use bookingq_api::{BookingQueueBackup, BookingQueueBackupStatus, Problems};
use bookingq_core::backoff::Backoff;
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;

use super::build::{self, BackupInputs};
use super::key::{BackupKey, WatchedBackup, is_leaving, is_over, key};
use super::obstacle::Obstacle;
use super::records::{BackupJob, BackupPod};
use super::status::{self, BackupFacts};
use super::watch::BackupObjects;
use crate::apply::Applier;
use crate::autoscaler::scaling;
use crate::build::component::ObjectKind;
use crate::build::names;
use crate::environment::OperatorEnvironment;
use crate::error::{ApiCallError, call};
use crate::events::EventRecorder;
use crate::object_cache::ObjectName;
use crate::queue::{WatchedQueue, log_name};
use crate::schema::SchemaWatch;
use crate::target::{QueueTarget, is_paused, problem};

/// Delay before a failed reconcile is repeated, if no change triggers it earlier.
const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300) };
/// Longest time between two looks: a watch that was interrupted does not say what was deleted
/// meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Everything that a reconcile uses.
pub struct BackupContext {
    pub(super) client: Client,
    pub(super) queues: Store<WatchedQueue>,
    pub(super) objects: BackupObjects,
    pub(super) applier: Applier,
    pub(super) schema: SchemaWatch,
    pub(super) environment: OperatorEnvironment,
    pub(super) events: EventRecorder,
    /// What was written last of each backup, because the watch lags behind.
    pub(super) written: Mutex<HashMap<BackupKey, WrittenStatus>>,
    /// Failures of each backup since its last success.
    pub(super) failures: Mutex<HashMap<BackupKey, u32>>,
}

/// A status, and the version of the backup that it was computed from.
pub(super) type WrittenStatus = (Option<String>, BookingQueueBackupStatus);

/// Brings one backup to the state of its spec.
pub async fn reconcile(
    backup: Arc<WatchedBackup>,
    context: Arc<BackupContext>,
) -> Result<Action, Obstacle> {
    if is_leaving(&backup) || is_over(&backup) {
        context.forget(&key(&backup));
        return Ok(Action::await_change());
    }
    if !context.synced().await {
        // The controller is shutting down.
        return Ok(Action::await_change());
    }
    context.reconcile_backup(&backup).await
}

/// Logs an error and returns when to reconcile the backup again.
pub fn on_error(backup: &WatchedBackup, error: &Obstacle, context: &BackupContext) -> Action {
    let key = key(backup);
    let failures = {
        let mut failures = context.failures.lock();
        let failures = failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    };
    tracing::warn!(backup = log_name(&key), failures, %error, "reconcile of a backup failed");
    Action::requeue(RETRY.delay(failures, rand::random()))
}

impl BackupContext {
    /// Waits for the caches: what is missing only there would be created again.
    async fn synced(&self) -> bool {
        // A spec of a queue that lacks fields must not be followed.
        self.schema.looked().await;
        self.queues.wait_until_ready().await.is_ok() && self.objects.synced().await
    }

    async fn reconcile_backup(&self, backup: &WatchedBackup) -> Result<Action, Obstacle> {
        let key = key(backup);
        let before = self.status_before(&key, backup);
        if status::is_over(&before) {
            // The watch lags behind.
            return Ok(Action::await_change());
        }
        let plan = plan(backup);
        let outcome = match (&backup.0, &plan) {
            (Ok(backup), Ok(plan)) => self.converge(backup, plan).await,
            (_, Err(problems)) => Err(Obstacle::InvalidSpec(problems.clone())),
            (Err(invalid), Ok(_)) => Err(Obstacle::InvalidSpec(unreadable(&invalid.error))),
        };
        if outcome.as_ref().is_err_and(Obstacle::ends_schedule) {
            self.end_schedule(backup).await?;
        }
        let namespace = backup.namespace().unwrap_or_default();
        let (jobs, pods) = self.objects.of(&namespace, &key.name, backup.meta().uid.as_deref());
        let look = status::look(&BackupFacts {
            generation: backup.meta().generation,
            plan: plan.as_ref().ok(),
            obstacle: outcome.as_ref().err(),
            jobs: &jobs.iter().map(|job| BackupJob::of(job)).collect::<Vec<_>>(),
            pods: &pods.iter().map(|pod| BackupPod::of(pod)).collect::<Vec<_>>(),
            before: &before,
            now: scaling::now(),
        });
        if look.status != before {
            self.write(&key, backup, &look.status).await?;
            for event in status::events(&before, &look.status) {
                let about = backup.object_ref(&());
                let (type_, note) = (event.type_, event.note);
                self.events.publish(type_, &about, event.reason, "Backup", note).await;
            }
        }
        if let Err(obstacle) = outcome
            && obstacle.may_pass()
        {
            return Err(obstacle);
        }
        self.failures.lock().remove(&key);
        Ok(Action::requeue(look.again.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)))
    }

    /// Creates the Job, or applies the CronJob.
    async fn converge(
        &self,
        backup: &BookingQueueBackup,
        plan: &BackupPlan,
    ) -> Result<(), Obstacle> {
        let namespace = backup.namespace().unwrap_or_default();
        let target = self.target(&namespace, plan)?;
        // The API server gives every object a UID.
        let Some(owner) = backup.controller_owner_ref(&()) else { return Ok(()) };
        let uid = owner.uid.clone();
        let inputs = BackupInputs {
            name: &backup.name_any(),
            owner,
            plan,
            target: &target,
            environment: &self.environment,
        };
        let manifest = build::build(&inputs).map_err(|problems| invalid(&target.name, problems))?;
        if manifest.kind == ObjectKind::of::<CronJob>() {
            self.applier.apply(&manifest, &uid).await?;
        } else if !self.objects.has_job(&namespace, manifest.name(), &uid) {
            self.applier.create_once(&manifest, &uid).await?;
        }
        Ok(())
    }

    /// The queue to back up.
    fn target(&self, namespace: &str, plan: &BackupPlan) -> Result<QueueTarget, Obstacle> {
        if self.schema.holds_back() {
            return Err(Obstacle::SchemaBehind);
        }
        let name = plan.queue.to_string();
        let key = ObjectRef::new(&name).within(namespace);
        let found = self.queues.get(&key);
        let found = found.filter(|queue| queue.meta().deletion_timestamp.is_none());
        let Some(queue) = found else { return Err(Obstacle::QueueNotFound(name)) };
        if is_paused(queue.meta()) {
            return Err(Obstacle::QueuePaused(name));
        }
        let target = match &queue.0 {
            Ok(queue) => QueueTarget::resolve(queue),
            Err(invalid) => Err(unreadable(&invalid.error)),
        };
        let target = target.map_err(|problems| invalid(&name, problems))?;
        if target.managed_redis().is_none() {
            return Err(Obstacle::RedisNotManaged(name));
        }
        Ok(target)
    }

    /// Deletes the CronJob of a backup that has nothing to copy any more.
    async fn end_schedule(&self, backup: &WatchedBackup) -> Result<(), Obstacle> {
        let namespace = backup.namespace().unwrap_or_default();
        let name = names::backup(&backup.name_any());
        let object = ObjectName::new(ObjectKind::of::<CronJob>(), &namespace, &name);
        let uid = backup.uid().unwrap_or_default();
        match self.objects.cron_jobs.get(&object) {
            Some(live) if live.belongs_to(&uid) && !live.deleting => {
                Ok(self.applier.delete(&object, live.uid.as_deref()).await?)
            }
            _ => Ok(()),
        }
    }

    fn status_before(&self, key: &BackupKey, backup: &WatchedBackup) -> BookingQueueBackupStatus {
        let written = self.written.lock().get(key).cloned();
        let known = backup.0.as_ref().ok().and_then(|backup| backup.status.clone());
        let written = written.filter(|(base, _)| {
            // A backup that cannot be decoded has a status that cannot be decoded either.
            *base == backup.meta().resource_version || backup.0.is_err()
        });
        written.map(|(_, status)| status).or(known).unwrap_or_default()
    }

    async fn write(
        &self,
        key: &BackupKey,
        backup: &WatchedBackup,
        status: &BookingQueueBackupStatus,
    ) -> Result<(), ApiCallError> {
        let resource = ApiResource::erase::<BookingQueueBackup>(&());
        let namespace = backup.namespace().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, &resource);
        // Server-side apply removes fields that the new status leaves out.
        let patch = Patch::Apply(json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "status": status,
        }));
        let parameters = PatchParams::apply(names::MANAGER).force();
        match call("write the status", api.patch_status(&key.name, &parameters, &patch)).await {
            Ok(_) => {
                let version = backup.meta().resource_version.clone();
                self.written.lock().insert(key.clone(), (version, status.clone()));
                Ok(())
            }
            // Deleted meanwhile.
            Err(error) if error.code() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets a backup that has ended or was deleted.
    pub(super) fn forget(&self, key: &BackupKey) {
        self.written.lock().remove(key);
        self.failures.lock().remove(key);
        self.applier.forget(key.namespace.as_deref().unwrap_or_default(), &key.name);
    }
}

fn plan(backup: &WatchedBackup) -> Result<BackupPlan, Problems> {
    match &backup.0 {
        Ok(backup) => backup.spec.resolve(),
        Err(invalid) => Err(unreadable(&invalid.error)),
    }
}

fn unreadable(error: &str) -> Problems {
    let allowed = "the fields that `kubectl explain` shows";
    Problems(vec![problem("spec", format!("not readable ({error})"), allowed)])
}

fn invalid(queue: &str, problems: Problems) -> Obstacle {
    Obstacle::QueueInvalid(queue.to_owned(), problems)
}
