//! `Reconciling` and `Stalled`, as kstatus (`sigs.k8s.io/cli-utils`) reads them: each is present
//! only while it holds, and never both are.
//!
//! Stalled says that the spec cannot be reached without help; Reconciling that the operator is on
//! the way to it. kstatus reports a queue with the first as failed, with the second as in progress.

use super::state::ConditionState;
use crate::error::ReconcileError;

pub(super) const RECONCILING: &str = "Reconciling";
pub(super) const STALLED: &str = "Stalled";

/// Reasons of Ready that say what the spec asks for.
const AS_ASKED: [&str; 2] = ["Hibernated", "ScaledToZero"];

/// The one that holds, with the reason and the message of the condition that it follows from.
pub(super) fn abnormal(
    error: Option<&ReconcileError>,
    ready: &ConditionState,
    progressing: &ConditionState,
    degraded: &ConditionState,
) -> Option<(&'static str, ConditionState)> {
    let passes = error.is_some_and(ReconcileError::may_pass);
    if degraded.holds() {
        let type_ = if passes { RECONCILING } else { STALLED };
        return Some((type_, degraded.clone()));
    }
    if progressing.holds() {
        return Some((RECONCILING, progressing.clone()));
    }
    let waits = !ready.holds() && !AS_ASKED.contains(&&*ready.reason);
    waits.then(|| (RECONCILING, ready.confirmed()))
}
