//! The Deployment of the gateways. It leaves out `spec.replicas`, which belongs to the autoscaler.

use std::time::Duration;

use bookingq_api::Problems;
use bookingq_api::plan::GatewayPlan;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, PodSpec, PodTemplateSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{config_map, wanted};
use crate::build::deployment::{port, seconds_up, spread, template_metadata};
use crate::build::inputs::BuildInputs;
use crate::build::names::{self, Part};
use crate::build::{arguments, overlay, pod, volumes};
use crate::merge;

/// Time between the end of a gateway's own drain and SIGKILL.
const MARGIN: Duration = Duration::from_secs(30);
const CONFIG: &str = "config";

/// The Deployment.
///
/// # Errors
/// [`Problems`] if `spec.gateway.podTemplate` makes the Pod template invalid.
pub fn build(inputs: &BuildInputs<'_>) -> Result<Option<Deployment>, Problems> {
    let target = inputs.target;
    let Some(gateway) = wanted(target) else { return Ok(None) };
    let template = PodTemplateSpec {
        metadata: Some(metadata(inputs, gateway)?),
        spec: Some(pod_spec(inputs, gateway)),
    };
    let spec = DeploymentSpec {
        selector: names::selector(&target.name, Part::Gateway),
        template: overlay::over_gateways(template, gateway)?,
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            // One at a time: each one that leaves moves its WebSockets to the others.
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }),
        progress_deadline_seconds: Some(600),
        revision_history_limit: Some(3),
        ..DeploymentSpec::default()
    };
    Ok(Some(Deployment {
        metadata: target.metadata(names::gateway(&target.name), Part::Gateway),
        spec: Some(spec),
        ..Deployment::default()
    }))
}

/// Labels, the versions of the Secrets, and a digest of the configuration: gateways read it when
/// they start.
fn metadata(inputs: &BuildInputs<'_>, gateway: &GatewayPlan) -> Result<ObjectMeta, Problems> {
    let mut metadata = template_metadata(inputs.target, inputs.secrets, Part::Gateway);
    let digest = merge::digest(&config_map::text(inputs.target, gateway)?.into());
    metadata.annotations.get_or_insert_default().insert(names::CONFIG.to_owned(), digest);
    Ok(metadata)
}

fn pod_spec(inputs: &BuildInputs<'_>, gateway: &GatewayPlan) -> PodSpec {
    let target = inputs.target;
    let (mut volumes, mut mounts) = volumes::build(target, Part::Gateway);
    let (volume, mount) = config(target);
    volumes.push(volume);
    mounts.push(mount);
    let spec = &gateway.spec;
    let container = Container {
        name: "gateway".to_owned(),
        image: Some(inputs.environment.image_or(spec.image.as_ref())),
        args: Some(arguments::gateway(inputs, gateway)),
        ports: Some(ports()),
        // A gateway that cannot reach the workers is alive, shows the last positions and retries.
        liveness_probe: Some(pod::http_probe("/healthz", 10, 3)),
        readiness_probe: Some(pod::http_probe("/readyz", 2, 2)),
        resources: Some(pod::resources(spec.resources.as_ref(), "100m", "128Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let grace = arguments::gateway_linger() + gateway.drain + MARGIN;
    PodSpec {
        volumes: Some(volumes),
        service_account_name: Some(names::gateway(&target.name)),
        termination_grace_period_seconds: Some(seconds_up(grace)),
        topology_spread_constraints: Some(spread(target, Part::Gateway).into()),
        ..pod::spec(container, pod::USER)
    }
}

fn ports() -> Vec<ContainerPort> {
    vec![
        port("public", names::PUBLIC_PORT),
        port("backend", names::BACKEND_PORT),
        port("admin", names::ADMIN_PORT),
    ]
}

fn config(target: &crate::target::QueueTarget) -> (Volume, VolumeMount) {
    let source = ConfigMapVolumeSource {
        name: names::gateway(&target.name),
        ..ConfigMapVolumeSource::default()
    };
    let volume = Volume { name: CONFIG.to_owned(), config_map: Some(source), ..Volume::default() };
    let mount = VolumeMount {
        name: CONFIG.to_owned(),
        mount_path: volumes::GATEWAY_CONFIG.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}
