//! The conditions of the parts that are Pods: workers, gateways and sweepers.

use super::inputs::StatusInputs;
use super::state::{ConditionState, NO, UNKNOWN, YES};
use crate::autoscaler::observation::SweeperHealth;
use crate::build::names::Part;
use crate::cached_object::ObjectStatus;
use crate::pods::pod_fault::PodFault;

/// Whether a worker serves.
pub(super) fn workers_available(inputs: &StatusInputs<'_>) -> ConditionState {
    let Some(workers) = inputs.workers else {
        return ConditionState::no(
            "DeploymentMissing",
            "The workers' Deployment does not exist yet.",
        );
    };
    let some = workers.available > 0;
    if inputs.hibernates() && !some {
        let message = "spec.hibernate is true: the queue accepts and serves no bookings, and its \
                       data is kept. It wakes when spec.hibernate is false.";
        return ConditionState::no("Hibernated", message);
    }
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

/// Whether a gateway serves.
pub(super) fn gateways_available(all: &StatusInputs<'_>) -> ConditionState {
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

/// Whether sweepers run.
pub(super) fn sweeper_healthy(inputs: &StatusInputs<'_>) -> ConditionState {
    if inputs.target.is_some_and(|target| target.plan.sweep.is_none()) {
        let message = "spec.sweep.suspend is true: late payments are refused, but unpaid \
                       reservations stay reserved until sweeping resumes.";
        return ConditionState::no("Suspended", message);
    }
    if inputs.hibernates() {
        let message = "spec.hibernate is true: unpaid reservations stay reserved until the queue \
                       wakes; late payments are refused then.";
        return ConditionState::no("Hibernated", message);
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
