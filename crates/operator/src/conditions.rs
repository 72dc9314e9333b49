//! The conditions of a queue, by the API conventions of Kubernetes. Pure.

mod kafka;
mod redis;
mod state;
pub mod update;

use self::redis::RedisInputs;
use self::state::{ConditionState, NO, UNKNOWN, YES};
use self::update::{UPDATE_PENDING, update_pending};
use bookingq_api::TimeString;
use bookingq_api::plan::ScalingPlan;
use bookingq_core::Admission;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::autoscaler::observation::{
    GatewayObservation, Observation, RedisObservation, SweeperHealth,
};
use crate::autoscaler::scaling::rivalry;
use crate::build::component::ObjectKind;
use crate::build::names::Part;
use crate::cached_object::ObjectStatus;
use crate::error::ReconcileError;
use crate::pods::pod_fault::PodFault;
use crate::pods::tracker::PartFaults;
use crate::redis_failover::plan::FailoverState;
use crate::target::QueueTarget;
use crate::update::report::UpdateReport;

/// Everything that the conditions depend on.
#[derive(Default)]
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
    /// Last observation of a managed Redis of three.
    pub redis: Option<RedisObservation>,
    /// Why Pods do not start.
    pub faults: Option<&'a PartFaults>,
    /// The gateways.
    pub gateways: GatewayInputs<'a>,
    /// Whether an update of the operator waits.
    pub update: UpdateReport,
}

impl StatusInputs<'_> {
    fn fault(&self, part: Part) -> Option<&PodFault> {
        self.faults?.of(part)
    }
}

/// What the condition of the gateways depends on.
#[derive(Clone, Copy, Default)]
pub struct GatewayInputs<'a> {
    /// Status of their Deployment; `None` if there is none.
    pub deployment: Option<&'a ObjectStatus>,
    /// Last observation of their loop.
    pub observation: Option<&'a GatewayObservation>,
    /// A kind of their objects that the cluster lacks.
    pub missing: Option<&'static ObjectKind>,
}

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
    let mut all = vec![
        ("Ready", ready(inputs, &parts, failed.as_ref())),
        ("Progressing", progressing(inputs, now.0)),
        ("Degraded", degraded(inputs, failed, now.0)),
        (store_type, store),
        ("WorkersAvailable", workers),
        ("SweeperHealthy", sweeper),
    ];
    all.extend(gateways.map(|gateways| (GATEWAYS, gateways)));
    all.push(("ScaledByOther", scaled_by_other(inputs, before)));
    all.push((UPDATE_PENDING, update_pending(&inputs.update, before)));
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
        let message = format!("{error}\nThe existing objects are left unchanged.");
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

fn workers_available(inputs: &StatusInputs<'_>) -> ConditionState {
    let Some(workers) = inputs.workers else {
        return ConditionState::no(
            "DeploymentMissing",
            "The workers' Deployment does not exist yet.",
        );
    };
    let some = workers.available > 0;
    if workers.desired == 0 && !some {
        let message = "Zero workers are desired: the queue accepts and serves no bookings.";
        return ConditionState::no("ScaledToZero", message);
    }
    let unschedulable = inputs.observation.is_some_and(|seen| seen.unschedulable > 0);
    if let Some(state) =
        hindered(["worker", "Workers"], workers, inputs.fault(Part::Worker), unschedulable)
    {
        return state;
    }
    if some {
        return ConditionState::yes("WorkersReady", "At least one worker is available.");
    }
    let message = "No worker is ready yet: see the Pods and their logs.";
    ConditionState::no("NoWorkersReady", message)
}

/// Why some Pods of a Deployment do not serve; True while others do.
fn hindered(
    [one, many]: [&str; 2],
    deployment: &ObjectStatus,
    fault: Option<&PodFault>,
    unschedulable: bool,
) -> Option<ConditionState> {
    let some = deployment.available > 0;
    let status = if some { YES } else { NO };
    if let Some(why) = &deployment.rejected {
        let scope = if some { format!("{many} serve, but no further") } else { "No".to_owned() };
        let message = format!("{scope} {one} Pod can be created: {why}");
        return Some(ConditionState::new(status, "PodCreationFailed", message));
    }
    let (reason, why) = match fault {
        Some(fault) => (fault.reason.as_str(), fault.detail.as_str()),
        None if unschedulable => ("Unschedulable", "see the events of the Pods"),
        None => return None,
    };
    let scope = if some {
        format!("{many} serve, but some do not start")
    } else {
        format!("No {one} starts")
    };
    let growth = if reason == "Unschedulable" && some {
        " The operator adds no more until they can be scheduled."
    } else {
        ""
    };
    Some(ConditionState::new(status, reason, format!("{scope}: {why}.{growth}")))
}

fn gateways_available(all: &StatusInputs<'_>) -> ConditionState {
    let inputs = &all.gateways;
    let Some(gateways) = inputs.deployment else {
        let message = "The gateways' Deployment does not exist yet.";
        return ConditionState::no("DeploymentMissing", message);
    };
    let some = gateways.available > 0;
    if gateways.desired == 0 && !some {
        let message = "Zero gateways are desired: browsers reach no page.";
        return ConditionState::no("ScaledToZero", message);
    }
    let unschedulable = inputs.observation.is_some_and(|seen| seen.unschedulable > 0);
    if let Some(state) =
        hindered(["gateway", "Gateways"], gateways, all.fault(Part::Gateway), unschedulable)
    {
        return state;
    }
    if !some {
        let message = "No gateway is ready yet: see the Pods and their logs.";
        return ConditionState::no("NoGatewaysReady", message);
    }
    if let Some(kind) = inputs.missing {
        let message = format!(
            "Gateways serve, but the cluster has no {} ({}), which spec.gateway.httpRoute needs. \
             The operator creates it once the API is installed.",
            kind.name,
            kind.api_version()
        );
        return ConditionState::yes("RouteUnsupported", message);
    }
    ConditionState::yes("GatewaysReady", "At least one gateway is available.")
}

fn sweeper_healthy(inputs: &StatusInputs<'_>) -> ConditionState {
    if inputs.target.is_some_and(|target| target.plan.sweep.is_none()) {
        let message = "spec.sweep.suspend is true: late payments are refused, but unpaid \
                       reservations stay reserved until sweeping resumes.";
        return ConditionState::no("Suspended", message);
    }
    if let Some(fault) = inputs.fault(Part::Sweeper) {
        let message = format!(
            "Sweepers do not start, so unpaid reservations stay reserved: {}.",
            fault.detail
        );
        return ConditionState::new(NO, fault.reason.as_str(), message);
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

fn progressing(inputs: &StatusInputs<'_>, now: Timestamp) -> ConditionState {
    let Some(workers) = inputs.workers else {
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
        let message = "The Deployment is starting, replacing or stopping gateways.";
        return moving("GatewaysRollingOut", message, inputs.fault(Part::Gateway), now);
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
