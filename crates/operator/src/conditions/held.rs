//! The conditions that say what the operator holds back: Paused, Hibernated and SchemaBehind. Each
//! is present only while its cause is there.

use super::inputs::StatusInputs;
use super::kstatus::{RECONCILING, STALLED};
use super::state::{ConditionState, UNKNOWN};
use crate::schema::{holds_back, list};

/// Those that there are.
pub(super) fn conditions(
    inputs: &StatusInputs<'_>,
) -> impl Iterator<Item = (&'static str, ConditionState)> {
    let behind = if !inputs.missing_fields.is_empty() {
        Some(("SchemaBehind", ConditionState::yes("FieldsMissing", lacking(inputs))))
    } else if inputs.schema_unread {
        Some(("SchemaBehind", unread()))
    } else {
        None
    };
    [paused(inputs), hibernated(inputs), behind].into_iter().flatten()
}

/// Stalled or Reconciling, if fields of the spec are missing or may be.
pub(super) fn abnormal(inputs: &StatusInputs<'_>) -> Option<(&'static str, ConditionState)> {
    if holds_back(inputs.missing_fields) {
        return Some((STALLED, ConditionState::yes("SchemaBehind", lacking(inputs))));
    }
    inputs.schema_unread.then(|| (RECONCILING, unread().confirmed()))
}

/// Progressing of a queue that has no workers, and gets none while it is held back.
pub(super) fn creates_nothing(inputs: &StatusInputs<'_>) -> Option<ConditionState> {
    let reason = if inputs.paused {
        "Paused"
    } else if holds_back(inputs.missing_fields) {
        "SchemaBehind"
    } else {
        return None;
    };
    let message = format!("The operator creates no object: see the condition {reason}.");
    Some(ConditionState::no(reason, message))
}

/// The definition is not known yet.
fn unread() -> ConditionState {
    let message = "The operator has not read from the API server which fields the installed \
                   CustomResourceDefinition has; its log says why. Until then it follows no change \
                   of a spec and starts no new queue.";
    ConditionState::new(UNKNOWN, "SchemaUnread", message)
}

fn paused(inputs: &StatusInputs<'_>) -> Option<(&'static str, ConditionState)> {
    let message = "The annotation bookingqueue.dev/paused is true: until it is removed, the \
                   operator writes no object of the queue, scales nothing and does not fail over a Redis.";
    inputs.paused.then(|| ("Paused", ConditionState::yes("Annotated", message)))
}

fn hibernated(inputs: &StatusInputs<'_>) -> Option<(&'static str, ConditionState)> {
    if !inputs.hibernates() {
        return None;
    }
    let gone = inputs.workers.is_some_and(|workers| workers.desired == 0 && workers.replicas == 0);
    let state = if gone {
        ConditionState::yes("Asleep", "No worker and no sweeper runs. The data is kept.")
    } else {
        ConditionState::no("StoppingWorkers", "Workers finish what they have begun.")
    };
    Some(("Hibernated", state))
}

fn lacking(inputs: &StatusInputs<'_>) -> String {
    let fields = list(inputs.missing_fields);
    let held = if holds_back(inputs.missing_fields) {
        "\nThe API server drops these fields, so the operator follows no change of a spec, starts \
         no new queue and raises no number from zero. A lost Redis is failed over; numbers of \
         Pods follow the line unless the operator has been restarted since."
    } else {
        ""
    };
    format!(
        "The installed CustomResourceDefinition is older than the operator. It lacks \
         {fields}.{held}\nApply the one of this release: bookingq crd | kubectl apply \
         --server-side --force-conflicts -f -"
    )
}
