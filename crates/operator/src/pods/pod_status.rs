//! Reads the status of a Pod as it is watched.

use jiff::Timestamp;
use serde_json::Value;

/// The condition of this type.
pub(crate) fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    all.find(|condition| condition["type"] == type_)
}

/// The time of the last transition of a condition.
pub(crate) fn transition(status: &Value, type_: &str) -> Option<Timestamp> {
    time(&condition(status, type_)?["lastTransitionTime"])
}

/// The time that a field holds.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The containers of a Pod, those that run first included.
pub(crate) fn container_statuses(status: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainerStatuses", "containerStatuses"];
    lists.into_iter().flat_map(|list| status[list].as_array().into_iter().flatten())
}
