//! The conditions of a queue, by the API conventions of Kubernetes. Pure.

mod held;
pub mod hold_down;
mod inputs;
mod kafka;
mod kstatus;
mod parts;
mod redis;
pub(crate) mod state;
pub mod update;

pub use self::inputs::{GatewayInputs, StatusInputs};
use self::parts::{gateways_available, sweeper_healthy, workers_available};
use self::redis::RedisInputs;
use self::state::{ConditionState, UNKNOWN};
use self::update::{UPDATE_PENDING, update_pending};
use bookingq_api::TimeString;
use bookingq_api::plan::ScalingPlan;
use bookingq_core::Admission;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::autoscaler::observation::Observation;
use crate::autoscaler::scaling::rivalry;
use crate::build::names::Part;
use crate::pods::pod_fault::PodFault;
use crate::redis_failover::plan::FailoverState;

/// The conditions; each keeps the time of its last transition from `before`, or gets `now`.
pub fn conditions(inputs: &StatusInputs<'_>, before: &[Condition], now: &Time) -> Vec<Condition> {
    let store_type = store_condition(inputs, before);
    let store = match store_type {
        KAFKA => kafka::ready(inputs.observation.map(|seen| &seen.store), inputs.workers),
        _ => redis_ready(inputs),
    };
    let store = carry_over(store_type, store, inputs, before);
    let sweeper = carry_over("SweeperHealthy", sweeper_healthy(inputs), inputs, before);
    let workers = workers_available(inputs);
    let failed = failed(inputs);
    let gateways = has_gateways(inputs, before).then(|| gateways_available(inputs));
    let parts: Vec<_> = [&store, &workers].into_iter().chain(&gateways).collect();
    let ready = ready(inputs, &parts, failed.as_ref());
    let progressing = progressing(inputs, now.0);
    let degraded = degraded(inputs, failed, now.0);
    let abnormal = kstatus::abnormal(inputs.error, &ready, &progressing, &degraded);
    let mut all = vec![
        ("Ready", ready),
        ("Progressing", progressing),
        ("Degraded", degraded),
        (store_type, store),
        ("WorkersAvailable", workers),
        ("SweeperHealthy", sweeper),
    ];
    all.extend(gateways.map(|gateways| (GATEWAYS, gateways)));
    all.push(("ScaledByOther", scaled_by_other(inputs, before)));
    all.push((UPDATE_PENDING, update_pending(&inputs.update, before)));
    all.extend(held::abnormal(inputs).or(abnormal));
    all.extend(held::conditions(inputs));
    let all = all.into_iter();
    all.map(|(type_, state)| state.condition(type_, inputs.generation, before, now)).collect()
}

const GATEWAYS: &str = "GatewayAvailable";
const REDIS: &str = "RedisReady";
const KAFKA: &str = "KafkaReady";

/// The condition of the store; while the spec is invalid, the one that the queue had.
fn store_condition(inputs: &StatusInputs<'_>, before: &[Condition]) -> &'static str {
    let is_in_kafka = match inputs.target {
        Some(target) => target.plan.store.kafka().is_some(),
        None => before.iter().any(|condition| condition.type_ == KAFKA),
    };
    if is_in_kafka { KAFKA } else { REDIS }
}

/// Whether the queue has gateways; while its spec is invalid, whether it had.
fn has_gateways(inputs: &StatusInputs<'_>, before: &[Condition]) -> bool {
    match inputs.target {
        Some(target) => target.plan.gateway.is_some(),
        None => before.iter().any(|condition| condition.type_ == GATEWAYS),
    }
}

/// Keeps a known state while a newly started operator has not read the store yet.
fn carry_over(
    type_: &str,
    state: ConditionState,
    inputs: &StatusInputs<'_>,
    before: &[Condition],
) -> ConditionState {
    let looked = inputs.observation.is_some_and(Observation::has_looked);
    let old = before.iter().find(|old| old.type_ == type_);
    match old.filter(|_| !looked && state.status == UNKNOWN) {
        Some(old) => ConditionState {
            status: old.status.clone().into(),
            reason: old.reason.clone().into(),
            message: old.message.clone(),
        },
        None => state,
    }
}

fn ready(
    inputs: &StatusInputs<'_>,
    parts: &[&ConditionState],
    failed: Option<&ConditionState>,
) -> ConditionState {
    if let Some(failed) = failed {
        return failed.negated();
    }
    if let Some(failed) = parts.iter().find(|state| !state.holds()) {
        return failed.negated();
    }
    let admission = inputs.target.map(|target| target.plan.admission);
    match (admission, not_open(inputs)) {
        (Some(Admission::Paused), _) => ConditionState::yes(
            "Paused",
            "The queue accepts bookings and keeps their order, but reserves nothing.",
        ),
        (_, Some(opens_at)) => ConditionState::yes(
            "NotOpen",
            format!(
                "The queue keeps the order of its bookings and reserves none before {opens_at}."
            ),
        ),
        (Some(Admission::Closed), None) => ConditionState::yes(
            "Closed",
            "The queue accepts no new bookings and serves those in line.",
        ),
        (Some(Admission::Open) | None, None) => {
            ConditionState::yes("Serving", "The queue accepts and serves bookings.")
        }
    }
}

/// When the queue opens, unless it has.
fn not_open(inputs: &StatusInputs<'_>) -> Option<TimeString> {
    let waits = inputs.observation.is_some_and(|seen| seen.not_open);
    inputs.target.filter(|_| waits)?.plan.rules.opens_at.map(TimeString::new)
}

/// Why the queue as a whole cannot be served as its spec says.
fn failed(inputs: &StatusInputs<'_>) -> Option<ConditionState> {
    if let Some(error) = inputs.error {
        let message = format!("{error}\n{}", error.others());
        return Some(ConditionState::yes(error.reason(), message));
    }
    let lost = inputs.redis.is_some_and(|seen| seen.state == FailoverState::QuorumLost);
    lost.then(|| ConditionState::yes("QuorumLost", redis::QUORUM_LOST))
}

/// A queue whose Pods have been at fault for too long is degraded, also while others serve.
fn degraded(
    inputs: &StatusInputs<'_>,
    failed: Option<ConditionState>,
    now: Timestamp,
) -> ConditionState {
    if let Some(failed) = failed {
        return failed;
    }
    if let Some((_, fault)) = inputs.faults.and_then(|faults| faults.overdue(now)) {
        return ConditionState::yes(fault.reason.as_str(), &fault.detail);
    }
    let deployments = [inputs.workers, inputs.gateways.deployment];
    if let Some(why) = deployments.into_iter().flatten().find_map(|one| one.stalled.as_ref()) {
        return ConditionState::yes("ProgressDeadlineExceeded", why);
    }
    ConditionState::no("Reconciled", "All objects match the spec.")
}

fn redis_ready(inputs: &StatusInputs<'_>) -> ConditionState {
    redis::ready(&RedisInputs {
        target: inputs.target,
        nodes: inputs.redis,
        store: inputs.observation.map(|seen| &seen.store),
        fault: inputs.fault(Part::Redis),
    })
}

fn progressing(inputs: &StatusInputs<'_>, now: Timestamp) -> ConditionState {
    let Some(workers) = inputs.workers else {
        if let Some(held) = held::creates_nothing(inputs) {
            return held;
        }
        let message = "The operator is creating the objects of the queue.";
        return ConditionState::yes("CreatingObjects", message);
    };
    if let Some(why) = &workers.rejected {
        let message = format!("The API server rejects the workers' Pods: {why}");
        return ConditionState::no("PodCreationFailed", message);
    }
    let of_workers = inputs.fault(Part::Worker);
    if !workers.is_rolled_out() {
        let message = "The Deployment is starting, replacing or stopping workers.";
        return moving("RolloutInProgress", message, of_workers, now);
    }
    if workers.available < workers.desired {
        return moving("WorkersStarting", "Workers are starting.", of_workers, now);
    }
    if let Some(gateways) = inputs.gateways.deployment.filter(|gateways| !gateways.is_settled()) {
        if let Some(why) = &gateways.rejected {
            let message = format!("The API server rejects the gateways' Pods: {why}");
            return ConditionState::no("PodCreationFailed", message);
        }
        let of_gateways = inputs.fault(Part::Gateway);
        if gateways.is_rolled_out() {
            return moving("GatewaysStarting", "Gateways are starting.", of_gateways, now);
        }
        let message = "The Deployment is starting, replacing or stopping gateways.";
        return moving("GatewaysRollingOut", message, of_gateways, now);
    }
    let message = match inputs.target.map(|target| target.plan.scaling) {
        Some(ScalingPlan::Fixed(_)) => "The fixed number of workers is running.",
        _ => "The number of workers matches the line.",
    };
    ConditionState::no("RolloutComplete", message)
}

/// A change that is under way; one that waits for Pods at fault ends when that lasts too long.
fn moving(
    reason: &'static str,
    message: &str,
    fault: Option<&PodFault>,
    now: Timestamp,
) -> ConditionState {
    match fault {
        Some(fault) if fault.is_overdue(now) => {
            ConditionState::no(fault.reason.as_str(), &fault.detail)
        }
        Some(fault) => ConditionState::yes(
            reason,
            format!("{message} Some do not start ({}).", fault.reason.as_str()),
        ),
        None => ConditionState::yes(reason, message),
    }
}

/// Whether another writer sets a number that the autoscaler sets too.
fn scaled_by_other(inputs: &StatusInputs<'_>, before: &[Condition]) -> ConditionState {
    let workers = inputs.observation.and_then(|seen| seen.scaled_by.as_deref());
    let gateways = inputs.gateways.observation.and_then(|seen| seen.scaled_by.as_deref());
    let rivals =
        [("workers", "spec.replicas", workers), ("gateways", "spec.gateway.replicas", gateways)];
    let all = rivals.into_iter().filter_map(|(pods, field, by)| Some(rivalry(pods, field, by?)));
    let sentences: Vec<_> = all.collect();
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
