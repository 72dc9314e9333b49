//! The conditions of a queue, by the API conventions of Kubernetes. Pure.

use std::borrow::Cow;

use bookingq_api::TimeString;
use bookingq_api::plan::ScalingPlan;
use bookingq_core::Admission;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::autoscaler::observation::{Observation, StoreHealth, SweeperHealth};
use crate::cached_object::ObjectStatus;
use crate::error::ReconcileError;
use crate::target::QueueTarget;

/// Everything that the conditions depend on.
pub struct StatusInputs<'a> {
    /// `metadata.generation` of the spec that they describe.
    pub generation: Option<i64>,
    /// The validated spec; `None` if it is invalid.
    pub target: Option<&'a QueueTarget>,
    /// Why the last reconcile failed.
    pub error: Option<&'a ReconcileError>,
    /// Status of the workers' Deployment; `None` if there is no Deployment.
    pub workers: Option<&'a ObjectStatus>,
    /// Last observation of the queue loop.
    pub observation: Option<&'a Observation>,
}

/// The conditions; each keeps the time of its last transition from `before`, or gets `now`.
pub fn conditions(inputs: &StatusInputs<'_>, before: &[Condition], now: &Time) -> Vec<Condition> {
    let redis = carry_over("RedisReady", redis_ready(inputs), inputs, before);
    let sweeper = carry_over("SweeperHealthy", sweeper_healthy(inputs), inputs, before);
    let workers = workers_available(inputs);
    let degraded = degraded(inputs);
    let all = [
        ("Ready", ready(inputs, &redis, &workers, &degraded)),
        ("Progressing", progressing(inputs)),
        ("Degraded", degraded),
        ("RedisReady", redis),
        ("WorkersAvailable", workers),
        ("SweeperHealthy", sweeper),
    ];
    all.map(|(type_, state)| state.condition(type_, inputs.generation, before, now)).into()
}

/// The status, reason and message of one condition.
struct ConditionState {
    status: Cow<'static, str>,
    reason: Cow<'static, str>,
    message: String,
}

const YES: &str = "True";
const NO: &str = "False";
const UNKNOWN: &str = "Unknown";

impl ConditionState {
    fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: status.into(), reason: reason.into(), message: message.into() }
    }

    fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(YES, reason, message)
    }

    fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(NO, reason, message)
    }

    /// The reason and message of `self` for a condition that is False.
    fn negated(&self) -> Self {
        Self { status: NO.into(), reason: self.reason.clone(), message: self.message.clone() }
    }

    fn holds(&self) -> bool {
        self.status == YES
    }

    fn condition(
        self,
        type_: &str,
        generation: Option<i64>,
        before: &[Condition],
        now: &Time,
    ) -> Condition {
        let same = before.iter().find(|old| old.type_ == type_ && old.status == self.status);
        Condition {
            type_: type_.to_owned(),
            status: self.status.into_owned(),
            reason: self.reason.into_owned(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: same.map_or(now, |old| &old.last_transition_time).clone(),
        }
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
    redis: &ConditionState,
    workers: &ConditionState,
    degraded: &ConditionState,
) -> ConditionState {
    if degraded.holds() {
        return degraded.negated();
    }
    if let Some(failed) = [redis, workers].into_iter().find(|state| !state.holds()) {
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

fn degraded(inputs: &StatusInputs<'_>) -> ConditionState {
    match inputs.error {
        Some(error) => {
            let message = format!("{error}\nThe existing objects are left unchanged.");
            ConditionState::yes(error.reason(), message)
        }
        None => ConditionState::no("Reconciled", "All objects match the spec."),
    }
}

fn redis_ready(inputs: &StatusInputs<'_>) -> ConditionState {
    match inputs.observation.map(|seen| &seen.store) {
        None | Some(StoreHealth::Unknown) => {
            ConditionState::new(UNKNOWN, "NotChecked", "The operator has not read Redis yet.")
        }
        Some(StoreHealth::Reachable { warnings }) if warnings.is_empty() => {
            ConditionState::yes("Reachable", "Redis is reachable and its settings are safe.")
        }
        Some(StoreHealth::Reachable { warnings }) => {
            ConditionState::yes("UnsafeSettings", warnings.join("\n"))
        }
        Some(StoreHealth::Unreachable { why }) => {
            let message = format!("{why}\nThe number of workers is frozen until Redis is back.");
            ConditionState::no("Unreachable", message)
        }
    }
}

fn workers_available(inputs: &StatusInputs<'_>) -> ConditionState {
    let Some(workers) = inputs.workers else {
        return ConditionState::no(
            "DeploymentMissing",
            "The workers' Deployment does not exist yet.",
        );
    };
    let unschedulable = inputs.observation.is_some_and(|seen| seen.unschedulable > 0);
    let some = workers.available > 0;
    let status = if some { YES } else { NO };
    if workers.desired == 0 && !some {
        let message = "Zero workers are desired: the queue accepts and serves no bookings.";
        return ConditionState::no("ScaledToZero", message);
    }
    if let Some(why) = &workers.rejected {
        let scope = if some { "Workers serve, but no further" } else { "No" };
        let message = format!("{scope} worker Pod can be created: {why}");
        return ConditionState::new(status, "PodCreationFailed", message);
    }
    if unschedulable {
        let message = if some {
            "Workers serve, but some cannot be scheduled. The operator adds no more until they can."
        } else {
            "No worker can be scheduled: see the events of the Pods."
        };
        return ConditionState::new(status, "Unschedulable", message);
    }
    if some {
        return ConditionState::yes("WorkersReady", "At least one worker is available.");
    }
    let message = "No worker is ready yet: see the Pods and their logs.";
    ConditionState::no("NoWorkersReady", message)
}

fn sweeper_healthy(inputs: &StatusInputs<'_>) -> ConditionState {
    if inputs.target.is_some_and(|target| target.plan.sweep.is_none()) {
        let message = "spec.sweep.suspend is true: late payments are refused, but unpaid \
                       reservations stay reserved until sweeping resumes.";
        return ConditionState::no("Suspended", message);
    }
    match inputs.observation.map(|seen| seen.sweeper) {
        None | Some(SweeperHealth::Unknown) => {
            ConditionState::new(UNKNOWN, "AwaitingFirstRun", "No sweeper has started yet.")
        }
        Some(SweeperHealth::Running) => ConditionState::yes("Running", "Sweepers run on schedule."),
        Some(SweeperHealth::NotReporting) => {
            let message = "A sweeper started and did not report to the store: see the CronJob, its \
                           Jobs and their Pods.";
            ConditionState::no("NotReporting", message)
        }
    }
}

fn progressing(inputs: &StatusInputs<'_>) -> ConditionState {
    let Some(workers) = inputs.workers else {
        let message = "The operator is creating the objects of the queue.";
        return ConditionState::yes("CreatingObjects", message);
    };
    if let Some(why) = &workers.rejected {
        let message = format!("The API server rejects the workers' Pods: {why}");
        return ConditionState::no("PodCreationFailed", message);
    }
    let observed = workers.observed_generation >= workers.generation;
    let updated = workers.updated == workers.desired && workers.replicas == workers.desired;
    if !observed || !updated {
        let message = "The Deployment is starting, replacing or stopping workers.";
        return ConditionState::yes("RolloutInProgress", message);
    }
    if workers.available < workers.desired {
        return ConditionState::yes("WorkersStarting", "Workers are starting.");
    }
    let message = match inputs.target.map(|target| target.plan.scaling) {
        Some(ScalingPlan::Fixed(_)) => "The fixed number of workers is running.",
        _ => "The number of workers matches the line.",
    };
    ConditionState::no("RolloutComplete", message)
}
