//! The PodDisruptionBudget: a node drain evicts one worker at a time. (It does not apply to scaling
//! down.)

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{self, Part};
use crate::target::QueueTarget;

/// The PodDisruptionBudget. It sets maxUnavailable, because minAvailable would let a queue with one
/// worker block every node drain.
pub fn build(target: &QueueTarget) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(names::selector(&target.name, Part::Worker)),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget {
        metadata: target.metadata(names::worker(&target.name), Part::Worker),
        spec: Some(spec),
        ..PodDisruptionBudget::default()
    }
}
