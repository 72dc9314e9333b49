//! The PodDisruptionBudgets: a node drain evicts one worker, one gateway and one Redis Pod of three
//! at a time. (They do not apply to scaling down.)

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{self, Part};
use crate::target::QueueTarget;

/// The PodDisruptionBudget of this part, if the queue has the part. It sets maxUnavailable, because
/// minAvailable would let a queue with one worker block every node drain. A Pod that is not ready
/// can always be evicted, so a part that is broken blocks no drain either; in a Redis of three,
/// that is a Pod that is cut off or still copies, and its volume keeps its data.
pub fn build(target: &QueueTarget, part: Part) -> Option<PodDisruptionBudget> {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(names::selector(&target.name, part)),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    target.has(part).then(|| PodDisruptionBudget {
        metadata: target.metadata(names::of(&target.name, part), part),
        spec: Some(spec),
        ..PodDisruptionBudget::default()
    })
}
