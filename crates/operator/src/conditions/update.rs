//! Whether an update of the operator waits.

use bookingq_api::status::UpdateStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::state::{ConditionState, NO, UNKNOWN};
use crate::update::report::{UpdateReport, sentence};

/// The type of the condition.
pub(super) const UPDATE_PENDING: &str = "UpdatePending";
/// Reasons that say how the last update began.
const BEGUN: [&str; 2] = ["UpdateStarted", "StartedWithSpec"];

pub(super) fn update_pending(report: &UpdateReport, before: &[Condition]) -> ConditionState {
    let old = before.iter().find(|old| old.type_ == UPDATE_PENDING);
    let kept = |old: &Condition| ConditionState {
        status: old.status.clone().into(),
        reason: old.reason.clone().into(),
        message: old.message.clone(),
    };
    match report {
        UpdateReport::Waits(update, wait) => {
            ConditionState::yes(wait.waits_for.reason(), sentence(update, wait))
        }
        // An operator that has just started would report each update for a second.
        UpdateReport::Unknown | UpdateReport::Unread => old.map_or_else(
            || ConditionState::new(UNKNOWN, "NotChecked", "The operator has not looked yet."),
            kept,
        ),
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
            let begun = |old: &&Condition| old.status == NO && BEGUN.contains(&old.reason.as_str());
            let up_to_date = || ConditionState::no("UpToDate", "All Pods follow this operator.");
            old.filter(begun).map_or_else(up_to_date, kept)
        }
    }
}

/// `status.update`.
pub fn update_status(
    report: &UpdateReport,
    before: Option<&UpdateStatus>,
    now: &Time,
) -> Option<UpdateStatus> {
    if matches!(report, UpdateReport::Unknown | UpdateReport::Unread) {
        return before.cloned();
    }
    let (update, wait) = report.waiting()?;
    let same = before.filter(|before| before.pending == update.id);
    Some(UpdateStatus {
        pending: update.id.clone(),
        since: same.map_or(now, |before| &before.since).clone(),
        waits_for: wait.waits_for.as_str().to_owned(),
    })
}
