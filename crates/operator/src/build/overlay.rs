//! `spec.worker.podTemplate` and `spec.gateway.podTemplate`, merged into the Pods.

use bookingq_api::Problems;
use bookingq_api::plan::GatewayPlan;
use k8s_openapi::api::core::v1::{LocalObjectReference, PodTemplateSpec};
use serde_json::{Map, Value};

use crate::merge;
use crate::target::{QueueTarget, problem};

const OF_WORKERS: &str = "spec.worker.podTemplate";

/// Fields of the overlay's `spec` that apply to sweepers too: scheduling and image pulls.
const FOR_ALL: [&str; 11] = [
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "tolerations",
];

/// Merges the whole overlay into the workers' template.
///
/// # Errors
/// [`Problems`] if the result is not a Pod template.
pub fn over_workers(
    built: PodTemplateSpec,
    target: &QueueTarget,
) -> Result<PodTemplateSpec, Problems> {
    match &target.plan.worker.pod_template {
        Some(over) => merged(&built, over, OF_WORKERS),
        None => Ok(built),
    }
}

/// Merges the whole overlay into the gateways' template.
///
/// # Errors
/// [`Problems`] if the result is not a Pod template.
pub fn over_gateways(
    built: PodTemplateSpec,
    gateway: &GatewayPlan,
) -> Result<PodTemplateSpec, Problems> {
    match &gateway.spec.pod_template {
        Some(over) => merged(&built, over, "spec.gateway.podTemplate"),
        None => Ok(built),
    }
}

/// Merges the fields for all Pods into the sweepers' template.
///
/// # Errors
/// [`Problems`] if the result is not a Pod template.
pub fn over_sweepers(
    built: PodTemplateSpec,
    target: &QueueTarget,
) -> Result<PodTemplateSpec, Problems> {
    let Some(over) = &target.plan.worker.pod_template else { return Ok(built) };
    let mut over = over.clone();
    if let Some(Value::Object(spec)) = over.get_mut("spec") {
        spec.retain(|field, _| FOR_ALL.contains(&field.as_str()));
    }
    merged(&built, &over, OF_WORKERS)
}

/// The pull Secrets of the overlay, for a Pod with the workers' image that takes nothing else of
/// it. A wrong value has been refused with the workers' template.
pub fn pull_secrets(target: &QueueTarget) -> Option<Vec<LocalObjectReference>> {
    let over = target.plan.worker.pod_template.as_ref()?;
    let secrets = over.get("spec")?.get("imagePullSecrets")?;
    serde_json::from_value(secrets.clone()).ok()
}

fn merged(
    built: &PodTemplateSpec,
    over: &Map<String, Value>,
    field: &str,
) -> Result<PodTemplateSpec, Problems> {
    let invalid = |error: serde_json::Error| {
        let allowed =
            "fields of a PodTemplateSpec, as `kubectl explain podtemplate.template` shows them";
        Problems(vec![problem(field, error.to_string(), allowed)])
    };
    let ours = built.metadata.clone().unwrap_or_default();
    let mut value = serde_json::to_value(built).map_err(invalid)?;
    merge::overlay(&mut value, &Value::Object(over.clone()));
    let mut template: PodTemplateSpec = serde_json::from_value(value).map_err(invalid)?;
    // Labels that select the Pods, and annotations that restart them, take precedence.
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(ours.labels.unwrap_or_default());
    if let Some(annotations) = ours.annotations {
        metadata.annotations.get_or_insert_default().extend(annotations);
    }
    Ok(template)
}
