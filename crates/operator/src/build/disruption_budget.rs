//! The PodDisruptionBudget: a node drain takes one worker at a time. (It does not cover scaling
//! down; draining does.)

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{self, Part};
use crate::target::Target;

/// At most one worker less. With a minimum instead, a queue of one worker would block every node
/// drain.
pub fn build(target: &Target) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(names::selector(&target.name, Part::Worker)),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget {
        metadata: names::metadata(target, names::worker(&target.name), Part::Worker),
        spec: Some(spec),
        ..PodDisruptionBudget::default()
    }
}
