//! From a backup and its queue to the Job, or to the CronJob of a schedule. Pure.

use bookingq_api::Problems;
use bookingq_api::backup::{BackupPlan, BackupTiming};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::build::component::{self, ObjectKind};
use crate::build::{Manifest, backup_files, names, overlay, pod, volumes};
use crate::environment::OperatorEnvironment;
use crate::target::QueueTarget;

/// Repetitions of a Pod that failed, 10, 20, 40, 80 and 160 seconds later: a Redis that restarts is
/// back by then.
const RETRIES: i32 = 5;
/// Longest time for a backup with its repetitions. It is below an hour, so that one that hangs
/// skips one run of an hourly schedule.
const DEADLINE_SECONDS: i64 = 3000;
/// A later start is skipped. Without a limit, a CronJob that missed more than 100 starts never
/// starts again (kubernetes issue 42649).
const STARTING_DEADLINE_SECONDS: i64 = 600;

/// Everything that the objects of a backup depend on.
pub struct BackupInputs<'a> {
    /// `metadata.name` of the backup.
    pub name: &'a str,
    /// Owner reference for its objects.
    pub owner: OwnerReference,
    /// The backup.
    pub plan: &'a BackupPlan,
    /// The queue. Its Redis is managed.
    pub target: &'a QueueTarget,
    /// The operator's surroundings.
    pub environment: &'a OperatorEnvironment,
}

/// The Job of a backup without a schedule, or the CronJob of one with a schedule.
///
/// # Errors
/// [`Problems`] if `spec.worker.podTemplate` of the queue makes the Pod template invalid.
pub fn build(inputs: &BackupInputs<'_>) -> Result<Manifest, Problems> {
    let job = job(inputs)?;
    let metadata = metadata(inputs);
    let (kind, value) = match &inputs.plan.timing {
        BackupTiming::Once => {
            let job = Job { metadata, spec: Some(job), ..Job::default() };
            (ObjectKind::of::<Job>(), component::to_value(&job)?)
        }
        BackupTiming::Repeated { schedule, time_zone, suspended } => {
            let spec = CronJobSpec {
                schedule: schedule.clone(),
                time_zone: time_zone.clone(),
                suspend: Some(*suspended),
                concurrency_policy: Some("Forbid".to_owned()),
                starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
                successful_jobs_history_limit: Some(1),
                failed_jobs_history_limit: Some(2),
                job_template: JobTemplateSpec { metadata: Some(labelled(inputs)), spec: Some(job) },
            };
            let job = CronJob { metadata, spec: Some(spec), ..CronJob::default() };
            (ObjectKind::of::<CronJob>(), component::to_value(&job)?)
        }
    };
    Ok(Manifest { kind, value })
}

fn labelled(inputs: &BackupInputs<'_>) -> ObjectMeta {
    let labels = names::backup_labels(&inputs.target.name, inputs.name);
    ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }
}

fn metadata(inputs: &BackupInputs<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::backup(inputs.name)),
        namespace: Some(inputs.target.namespace.clone()),
        owner_references: Some(vec![inputs.owner.clone()]),
        ..labelled(inputs)
    }
}

fn job(inputs: &BackupInputs<'_>) -> Result<JobSpec, Problems> {
    let template =
        PodTemplateSpec { metadata: Some(labelled(inputs)), spec: Some(pod_spec(inputs)) };
    Ok(JobSpec {
        active_deadline_seconds: Some(DEADLINE_SECONDS),
        backoff_limit: Some(RETRIES),
        // The nodes, and the Secrets for images, that fit the other Pods of the queue.
        template: overlay::over_sweepers(template, inputs.target)?,
        ..JobSpec::default()
    })
}

fn pod_spec(inputs: &BackupInputs<'_>) -> PodSpec {
    let target = inputs.target;
    let backups = backup_files::folder(&inputs.plan.destination);
    let (secrets, secret_mounts): (Vec<_>, Vec<_>) =
        volumes::redis_password(target).into_iter().unzip();
    let container = Container {
        name: "backup".to_owned(),
        image: Some(inputs.environment.image_or(target.plan.worker.image.as_ref())),
        args: Some(arguments(inputs, &backups.path)),
        env: Some([volumes::environment(target), backups.environment].concat()),
        resources: Some(pod::resources(None, "100m", "32Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some([backups.mounts, secret_mounts].concat()),
        ..Container::default()
    };
    PodSpec {
        volumes: Some([backups.volumes, secrets].concat()),
        restart_policy: Some("Never".to_owned()),
        ..pod::spec(container, pod::USER)
    }
}

fn arguments(inputs: &BackupInputs<'_>, folder: &str) -> Vec<String> {
    let target = inputs.target;
    let mut arguments = vec![
        "backup".to_owned(),
        "create".to_owned(),
        format!("--queue={}", target.plan.queue),
        format!("--namespace={}", target.namespace),
        format!("--to={folder}"),
        // The termination message, which the operator reads.
        "--report=/dev/termination-log".to_owned(),
    ];
    arguments.extend(inputs.plan.keep.map(|keep| format!("--keep={keep}")));
    arguments
}
