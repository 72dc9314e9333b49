//! The condition about other writers of the numbers of workers and gateways.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::state::{ConditionState, UNKNOWN};
use super::{StatusInputs, carry_over};
use crate::autoscaler::observation::Observation;
use crate::autoscaler::scaling::rivalry;

/// Whether another writer sets a number that the autoscaler sets too.
pub(super) fn scaled_by_other(inputs: &StatusInputs<'_>, before: &[Condition]) -> ConditionState {
    let workers = inputs.observation.and_then(|seen| seen.scaled_by.as_deref());
    let gateways = inputs.gateways.observation.and_then(|seen| seen.scaled_by.as_deref());
    let rivals =
        [("workers", "spec.replicas", workers), ("gateways", "spec.gateway.replicas", gateways)];
    let sentences: Vec<_> = rivals
        .into_iter()
        .filter_map(|(pods, field, rival)| Some(rivalry(pods, field, rival?)))
        .collect();
    if !sentences.is_empty() {
        return ConditionState::yes("OtherWriter", sentences.join("\n"));
    }
    let state = if inputs.observation.is_some_and(Observation::has_looked) {
        ConditionState::no("OnlyOperator", "The operator alone sets the numbers of Pods.")
    } else {
        ConditionState::new(UNKNOWN, "NotChecked", "The operator has not looked yet.")
    };
    carry_over("ScaledByOther", state, inputs, before)
}
