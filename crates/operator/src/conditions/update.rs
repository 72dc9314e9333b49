//! Whether an update of the operator waits.

use bookingq_api::status::UpdateStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::StatusInputs;
use super::state::{ConditionState, NO, UNKNOWN};
use crate::autoscaler::observation::Observation;
use crate::update::{UpdateReport, sentence};

/// The type of the condition.
pub(super) const UPDATE_PENDING: &str = "UpdatePending";
/// Reasons that say how the last update began.
const BEGUN: [&str; 2] = ["UpdateStarted", "StartedWithSpec"];

pub(super) fn update_pending(inputs: &StatusInputs<'_>, before: &[Condition]) -> ConditionState {
    match &inputs.update {
        UpdateReport::Waits(update, wait) if looked(inputs) => {
            ConditionState::yes(wait.waits_for.reason(), sentence(update, wait))
        }
        UpdateReport::Unknown | UpdateReport::Waits(..) => {
            ConditionState::new(UNKNOWN, "NotChecked", "The operator has not looked yet.")
        }
        UpdateReport::Begins(update) => {
            let message = format!("{} began to run {}.", update.parts, update.to);
            ConditionState::no(BEGUN[0], message)
        }
        UpdateReport::Taken(update) => {
            let message =
                format!("A change of the spec took {} to {} with it.", update.parts, update.to);
            ConditionState::no(BEGUN[1], message)
        }
        UpdateReport::Nothing => {
            let old = before.iter().find(|old| old.type_ == UPDATE_PENDING && old.status == NO);
            match old.filter(|old| BEGUN.contains(&old.reason.as_str())) {
                Some(old) => ConditionState {
                    status: NO.into(),
                    reason: old.reason.clone().into(),
                    message: old.message.clone(),
                },
                None => ConditionState::no("UpToDate", "All Pods follow this operator."),
            }
        }
    }
}

/// An operator that has not read the line yet would report each update for a second.
fn looked(inputs: &StatusInputs<'_>) -> bool {
    inputs.observation.is_some_and(Observation::has_looked)
}

/// `status.update`.
pub fn update_status(
    inputs: &StatusInputs<'_>,
    before: Option<&UpdateStatus>,
    now: &Time,
) -> Option<UpdateStatus> {
    let (update, wait) = match &inputs.update {
        UpdateReport::Unknown => return before.cloned(),
        UpdateReport::Waits(..) if !looked(inputs) => return before.cloned(),
        report => report.waiting()?,
    };
    let same = before.filter(|before| before.pending == update.id);
    Some(UpdateStatus {
        pending: update.id.clone(),
        since: same.map_or(now, |before| &before.since).clone(),
        waits_for: wait.waits_for.as_str().to_owned(),
    })
}
