//! The condition of a queue's Redis.

use bookingq_store::MissingReplicas;

use super::state::{ConditionState, UNKNOWN};
use crate::autoscaler::observation::{RedisObservation, StoreHealth};
use crate::pods::pod_fault::PodFault;
use crate::redis_failover::plan::FailoverState;
use crate::redis_failover::view::NODES;
use crate::target::QueueTarget;

/// What the condition depends on.
pub(super) struct RedisInputs<'a> {
    /// The validated spec; `None` if it is invalid.
    pub(super) target: Option<&'a QueueTarget>,
    /// A managed Redis of three.
    pub(super) nodes: Option<RedisObservation>,
    /// The store that it holds; `None` before the first observation.
    pub(super) store: Option<&'a StoreHealth>,
    /// Why its Pods do not start.
    pub(super) fault: Option<&'a PodFault>,
}

/// The message of a lost quorum.
pub(super) const QUORUM_LOST: &str = "Fewer than two Redis Pods with the queue's data answer. Bookings are neither accepted nor \
     served, and no Pod is promoted, so that no acknowledged booking is lost. This ends by itself \
     when a second Pod is back.";

/// What a Redis of three adds to its condition.
fn failover_state(seen: RedisObservation, store: Option<&StoreHealth>) -> Option<ConditionState> {
    let serves = matches!(store, Some(StoreHealth::Reachable { .. }));
    match seen.state {
        // It had one Pod until now.
        FailoverState::Starting if serves => Some(ConditionState::yes(
            "AwaitingNodes",
            "Redis is reachable, in one Pod: it gets replicas when all three Redis Pods answer. \
             Until then its loss stops the queue, and workers wait for no replica.",
        )),
        FailoverState::Starting => Some(ConditionState::no(
            "AwaitingNodes",
            "The first primary is elected when all three Redis Pods answer.",
        )),
        FailoverState::FailingOver => Some(ConditionState::no(
            "FailingOver",
            "The primary of Redis is lost; another one is being elected.",
        )),
        FailoverState::Copying => Some(ConditionState::no(
            "Copying",
            "Bookings are neither accepted nor served until a second Redis Pod has the queue's \
             data: it is reading it from its volume, or copying it from the primary.",
        )),
        FailoverState::QuorumLost => Some(ConditionState::no("QuorumLost", QUORUM_LOST)),
        FailoverState::Suspect | FailoverState::Serving { .. } => None,
    }
}

/// It answers, and its settings are safe.
fn reachable(inputs: &RedisInputs<'_>) -> ConditionState {
    let waited_for = |target: &QueueTarget| {
        Some((target.plan.store.redis()?.acknowledge_replicas, target.acknowledge_wanted))
    };
    let (present, wanted) = inputs.target.and_then(waited_for).unwrap_or_default();
    if present < wanted {
        let message = format!(
            "Redis is reachable. spec.redis.acknowledge.replicas is {wanted}, and workers wait for \
             {present} until more replicas have copied the data for the first time: what no \
             replica has is lost with the primary."
        );
        return ConditionState::yes("TooFewReplicas", message);
    }
    let few = inputs.nodes.is_some_and(
        |seen| matches!(seen.state, FailoverState::Serving { replicas } if replicas + 1 < NODES),
    );
    if few {
        let message = "Redis is reachable. A replica is missing or still copies: without it, the \
                       loss of one more Pod stops the queue.";
        return ConditionState::yes("ReplicaMissing", message);
    }
    ConditionState::yes("Reachable", "Redis is reachable and its settings are safe.")
}

/// Whether Redis answers and is safe; if Pods of it do not start, why.
pub(super) fn ready(inputs: &RedisInputs<'_>) -> ConditionState {
    let managed = inputs.target.is_none_or(|target| target.managed_redis().is_some());
    let state = health(inputs);
    let Some(fault) = inputs.fault.filter(|_| managed) else { return state };
    // What these say comes from the same Pods; the other reasons say more.
    if matches!(&*state.reason, "Unreachable" | "NotChecked" | "AwaitingNodes") && !state.holds() {
        let message = format!("Redis does not start: {}.", fault.detail);
        return ConditionState::no(fault.reason.as_str(), message);
    }
    let message = format!("{}\nA Redis Pod does not start: {}.", state.message, fault.detail);
    ConditionState { message, ..state }
}

fn health(inputs: &RedisInputs<'_>) -> ConditionState {
    use StoreHealth::{NoReadings, TopicRefused, Unknown};

    if let Some(state) = inputs.nodes.and_then(|seen| failover_state(seen, inputs.store)) {
        return state;
    }
    match inputs.store {
        // The last two are of a queue in Kafka, whose condition is another one.
        None | Some(Unknown | NoReadings | TopicRefused { .. }) => {
            ConditionState::new(UNKNOWN, "NotChecked", "The operator has not read Redis yet.")
        }
        Some(StoreHealth::Reachable { warnings }) if warnings.is_empty() => reachable(inputs),
        Some(StoreHealth::Reachable { warnings }) => {
            ConditionState::yes("UnsafeSettings", warnings.join("\n"))
        }
        Some(StoreHealth::TooFewReplicas(missing)) => {
            let MissingReplicas { wanted, connected } = missing;
            let message = format!(
                "{connected} replicas follow the primary, and spec.redis.acknowledge.replicas is \
                 {wanted}: joins, payments and cancellations fail as unavailable, and the line \
                 stands, until enough are back."
            );
            ConditionState::no("TooFewReplicas", message)
        }
        Some(StoreHealth::Unreachable { why }) => {
            let message = format!("{why}\nThe number of workers is frozen until Redis is back.");
            ConditionState::no("Unreachable", message)
        }
    }
}
