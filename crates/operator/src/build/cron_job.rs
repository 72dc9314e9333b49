//! The CronJob of the sweepers: each minute a Pod that sweeps for a minute, so that a hold is
//! released about a second after its deadline.

use std::time::Duration;

use bookingq_api::Problems;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::inputs::BuildInputs;
use super::names::{self, Part};
use super::{arguments, overlay, pod, volumes};
use crate::target::QueueTarget;

/// A later start is skipped. Without a limit, a CronJob that missed more than 100 starts never
/// starts again (kubernetes issue 42649).
const STARTING_DEADLINE_SECONDS: i64 = 60;
/// Time for a sweeper to start and to finish its last calls before its Pod is killed.
const MARGIN: Duration = Duration::from_secs(60);

/// The CronJob; `None` while sweeping is suspended.
///
/// # Errors
/// [`Problems`] if `spec.worker.podTemplate` makes the Pod template invalid.
pub fn build(inputs: &BuildInputs<'_>) -> Result<Option<CronJob>, Problems> {
    let target = inputs.target;
    let Some(schedule) = target.plan.sweep.clone() else { return Ok(None) };
    let spec = CronJobSpec {
        schedule,
        // Suspended and kept, so that one field wakes the queue as it was.
        suspend: target.plan.hibernate.then_some(true),
        concurrency_policy: Some("Forbid".to_owned()),
        starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
        successful_jobs_history_limit: Some(1),
        failed_jobs_history_limit: Some(2),
        job_template: JobTemplateSpec {
            metadata: Some(labelled(target)),
            spec: Some(job(inputs)?),
        },
        ..CronJobSpec::default()
    };
    Ok(Some(CronJob {
        metadata: target.metadata(names::sweeper(&target.name), Part::Sweeper),
        spec: Some(spec),
        ..CronJob::default()
    }))
}

fn labelled(target: &QueueTarget) -> ObjectMeta {
    ObjectMeta { labels: Some(names::labels(&target.name, Part::Sweeper)), ..ObjectMeta::default() }
}

fn job(inputs: &BuildInputs<'_>) -> Result<JobSpec, Problems> {
    let target = inputs.target;
    let template =
        PodTemplateSpec { metadata: Some(labelled(target)), spec: Some(pod_spec(inputs)) };
    Ok(JobSpec {
        active_deadline_seconds: Some((arguments::SWEEP_FOR + MARGIN).as_secs() as i64),
        // The next sweeper starts within a minute.
        backoff_limit: Some(0),
        template: overlay::over_sweepers(template, target)?,
        ..JobSpec::default()
    })
}

fn pod_spec(inputs: &BuildInputs<'_>) -> PodSpec {
    let target = inputs.target;
    let (volumes, mounts) = volumes::build(target, Part::Sweeper);
    let container = Container {
        name: "sweeper".to_owned(),
        image: Some(inputs.environment.image_or(target.plan.worker.image.as_ref())),
        args: Some(arguments::sweeper(target, inputs.secrets)),
        env: Some(volumes::environment(target)),
        resources: Some(pod::resources(None, "10m", "32Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        ..Container::default()
    };
    PodSpec {
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        restart_policy: Some("Never".to_owned()),
        service_account_name: Some(names::worker(&target.name)),
        ..pod::spec(container, pod::USER)
    }
}
