//! `spec.worker.podTemplate`, laid over the Pods that are built.

use bookingq_api::Problems;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use crate::merge;
use crate::target::{Target, problem};

/// What of the overlay's `spec` is for the sweepers too: where Pods run, and how their images are
/// had. Containers, volumes and the like are the workers' alone.
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

/// The whole overlay over the workers' template.
///
/// # Errors
/// [`Problems`] if the result is no Pod template.
pub fn over_workers(built: PodTemplateSpec, target: &Target) -> Result<PodTemplateSpec, Problems> {
    match &target.plan.worker.pod_template {
        Some(over) => lay(&built, over),
        None => Ok(built),
    }
}

/// What of the overlay is for all Pods, over the sweepers' template.
///
/// # Errors
/// [`Problems`] if the result is no Pod template.
pub fn over_sweepers(built: PodTemplateSpec, target: &Target) -> Result<PodTemplateSpec, Problems> {
    let Some(over) = &target.plan.worker.pod_template else { return Ok(built) };
    let mut over = over.clone();
    if let Some(Value::Object(spec)) = over.get_mut("spec") {
        spec.retain(|field, _| FOR_ALL.contains(&field.as_str()));
    }
    lay(&built, &over)
}

fn lay(built: &PodTemplateSpec, over: &Map<String, Value>) -> Result<PodTemplateSpec, Problems> {
    let refuse = |error: serde_json::Error| {
        let allowed =
            "fields of a PodTemplateSpec, as `kubectl explain podtemplate.template` shows them";
        Problems(vec![problem("spec.worker.podTemplate", error.to_string(), allowed)])
    };
    let ours = built.metadata.clone().unwrap_or_default();
    let mut laid = serde_json::to_value(built).map_err(refuse)?;
    merge::overlay(&mut laid, &Value::Object(over.clone()));
    let mut laid: PodTemplateSpec = serde_json::from_value(laid).map_err(refuse)?;
    // What selects the Pods and what restarts them is not for the overlay.
    let metadata = laid.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(ours.labels.unwrap_or_default());
    if let Some(annotations) = ours.annotations {
        metadata.annotations.get_or_insert_default().extend(annotations);
    }
    Ok(laid)
}
