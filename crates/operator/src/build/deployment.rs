//! The Deployment of the workers. It leaves out `spec.replicas`, which belongs to the autoscaler.

use std::collections::BTreeMap;
use std::time::Duration;

use bookingq_api::Problems;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, PodSpec, PodTemplateSpec, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::inputs::BuildInputs;
use super::names::{self, Part};
use super::{arguments, overlay, pod, volumes};
use crate::secrets::Secrets;
use crate::target::QueueTarget;

/// Time between the end of a worker's own grace and SIGKILL.
const MARGIN: Duration = Duration::from_secs(5);

/// The Deployment.
///
/// # Errors
/// [`Problems`] if `spec.worker.podTemplate` makes the Pod template invalid.
pub fn build(inputs: &BuildInputs<'_>) -> Result<Deployment, Problems> {
    let target = inputs.target;
    let template = PodTemplateSpec {
        metadata: Some(template_metadata(target, inputs.secrets, Part::Worker)),
        spec: Some(pod_spec(inputs)),
    };
    let spec = DeploymentSpec {
        selector: names::selector(&target.name, Part::Worker),
        template: overlay::over_workers(template, target)?,
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::String("25%".to_owned())),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }),
        progress_deadline_seconds: Some(600),
        revision_history_limit: Some(3),
        ..DeploymentSpec::default()
    };
    Ok(Deployment {
        metadata: target.metadata(names::worker(&target.name), Part::Worker),
        spec: Some(spec),
        ..Deployment::default()
    })
}

/// Labels, and the versions of the Secrets: a changed Secret restarts the Pods.
pub(super) fn template_metadata(target: &QueueTarget, secrets: &Secrets, part: Part) -> ObjectMeta {
    let fingerprint = secrets.fingerprint(&target.secrets, part);
    let annotations = (!fingerprint.is_empty())
        .then(|| BTreeMap::from([(names::SECRETS.to_owned(), fingerprint)]));
    ObjectMeta {
        labels: Some(names::labels(&target.name, part)),
        annotations,
        ..ObjectMeta::default()
    }
}

fn pod_spec(inputs: &BuildInputs<'_>) -> PodSpec {
    let target = inputs.target;
    let worker = &target.plan.worker;
    let (volumes, mounts) = volumes::build(target, Part::Worker);
    let container = Container {
        name: "worker".to_owned(),
        image: Some(inputs.environment.image_or(worker.image.as_ref())),
        args: Some(arguments::worker(target, inputs.secrets)),
        env: Some(volumes::environment(target)),
        ports: Some(vec![port("grpc", names::GRPC_PORT), port("admin", names::ADMIN_PORT)]),
        // A worker that cannot reach Redis is alive and retries: a restart would not help.
        liveness_probe: Some(pod::http_probe("/healthz", 10, 3)),
        readiness_probe: Some(pod::http_probe("/readyz", 2, 2)),
        resources: Some(pod::resources(worker.resources.as_ref(), "100m", "64Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some(mounts).filter(|mounts| !mounts.is_empty()),
        ..Container::default()
    };
    PodSpec {
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        service_account_name: Some(names::worker(&target.name)),
        termination_grace_period_seconds: Some(seconds_up(worker.grace + MARGIN)),
        topology_spread_constraints: Some(spread(target, Part::Worker).into()),
        ..pod::spec(container, pod::USER)
    }
}

/// Prefers different zones for the Pods of one part, and in each different nodes. A preference, so
/// that workers start in the zones that are left.
pub(super) fn spread(target: &QueueTarget, part: Part) -> [TopologySpreadConstraint; 2] {
    ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        .map(|key| preferring(target, part, key))
}

/// Prefers different nodes for the Pods of one part.
pub(super) fn spread_over_nodes(target: &QueueTarget, part: Part) -> TopologySpreadConstraint {
    preferring(target, part, "kubernetes.io/hostname")
}

fn preferring(target: &QueueTarget, part: Part, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(names::selector(&target.name, part)),
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    }
}

/// A named TCP port of a container.
pub(super) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(time: Duration) -> i64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)) as i64
}
