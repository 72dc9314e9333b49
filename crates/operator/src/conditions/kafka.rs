//! The condition of a queue's Kafka.

use super::state::{ConditionState, UNKNOWN};
use crate::autoscaler::observation::StoreHealth;
use crate::cached_object::ObjectStatus;

/// Whether the topics are right and a worker reports what it has read from them.
pub(super) fn ready(store: Option<&StoreHealth>, workers: Option<&ObjectStatus>) -> ConditionState {
    let has_no_workers =
        workers.is_some_and(|workers| workers.desired == 0 && workers.available == 0);
    match store {
        None | Some(StoreHealth::Unknown | StoreHealth::TooFewReplicas(_)) => {
            let message = "The operator has not looked at the topics yet.";
            ConditionState::new(UNKNOWN, "NotChecked", message)
        }
        Some(StoreHealth::Reachable { .. }) => ConditionState::yes(
            "Reachable",
            "The topics have the right settings, and a worker reports what it reads.",
        ),
        Some(StoreHealth::TopicRefused { why }) => {
            let message = format!(
                "{why}\nWorkers accept and serve nothing. Put the setting right; the topics are \
                 looked at again within 30 seconds."
            );
            ConditionState::no("TopicRefused", message)
        }
        Some(StoreHealth::NoReadings) if has_no_workers => ConditionState::yes(
            "NoWorkers",
            "The topics have the right settings. There is no worker to read them.",
        ),
        Some(StoreHealth::NoReadings) => ConditionState::no(
            "NoReadings",
            "No worker reports the queue: see the worker Pods and their logs. The number of \
             workers is frozen until one does.",
        ),
        Some(StoreHealth::Unreachable { why }) => {
            let message = format!("{why}\nThe number of workers is frozen meanwhile.");
            ConditionState::no("Unreachable", message)
        }
    }
}
