//! The conditions that say what the operator holds back: Paused, Hibernated and SchemaBehind. Each
//! is present only while its cause is there.

use super::inputs::StatusInputs;
use super::state::ConditionState;
use crate::schema::{holds_back, list};

/// Those that there are.
pub(super) fn conditions(
    inputs: &StatusInputs<'_>,
) -> impl Iterator<Item = (&'static str, ConditionState)> {
    let behind = (!inputs.missing_fields.is_empty())
        .then(|| ("SchemaBehind", ConditionState::yes("FieldsMissing", lacking(inputs))));
    [paused(inputs), hibernated(inputs), behind].into_iter().flatten()
}

/// Why the spec is not followed, if fields of it are missing.
pub(super) fn behind(inputs: &StatusInputs<'_>) -> Option<ConditionState> {
    holds_back(inputs.missing_fields).then(|| ConditionState::yes("SchemaBehind", lacking(inputs)))
}

fn paused(inputs: &StatusInputs<'_>) -> Option<(&'static str, ConditionState)> {
    let message = "The annotation bookingqueue.dev/paused is true: until it is removed, the \
                   operator writes no object of the queue, scales nothing and fails no Redis over.";
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
        "\nThe API server drops these fields, so the operator follows no change of a spec, starts no \
         new queue and raises no number from zero. Scaling and failover go on."
    } else {
        ""
    };
    format!(
        "The installed CustomResourceDefinition is older than the operator. It lacks {fields}.{held}\n\
         Apply the one of this release: bookingq crd | kubectl apply --server-side -f -"
    )
}
