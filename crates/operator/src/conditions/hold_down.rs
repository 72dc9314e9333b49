//! Hold-down: a condition does not change for a gap of a few seconds, such as one failed reading of
//! Redis or a Pod that misses a probe. It changes for the worse once the worse state has lasted,
//! for the better at once.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::kstatus::{RECONCILING, STALLED};
use crate::queue::QueueKey;

/// Time for which a state must be worse before a condition says so. Above five seconds by the time
/// that a reading and a probe take; below the fifteen within which a fault must be shown.
pub const HOLD: Duration = Duration::from_secs(8);

/// Conditions that are False, or absent, while all is well.
const ABNORMAL: [&str; 4] = ["Degraded", "Progressing", RECONCILING, STALLED];

/// Reasons of states that may pass within seconds. What a spec asks for, or a person must mend,
/// is shown at once.
const MAY_PASS: [&str; 14] = [
    "ApiServerUnavailable",
    "AwaitingNodes",
    "Copying",
    "CrashLoopBackOff",
    "DeploymentMissing",
    "FailingOver",
    "GatewaysStarting",
    "NoGatewaysReady",
    "NoReadings",
    "NoWorkersReady",
    "OOMKilled",
    "QuorumLost",
    "Unreachable",
    "WorkersStarting",
];

/// Since when conditions of queues would be worse than they say.
#[derive(Default)]
pub struct HoldDown {
    worse: Mutex<HashMap<QueueKey, Vec<(String, Instant)>>>,
}

impl HoldDown {
    /// Replaces each of `found` that is worse than in `before`, and has not been for long, by the
    /// one before. Returns when to look again, if any was replaced.
    pub fn settle(
        &self,
        key: &QueueKey,
        before: &[Condition],
        found: &mut Vec<Condition>,
    ) -> Option<Duration> {
        let now = Instant::now();
        let mut worse = self.worse.lock();
        let known = worse.remove(key).unwrap_or_default();
        let (mut held, mut again) = (Vec::new(), None::<Duration>);
        let mut kept = Vec::with_capacity(found.len());
        for condition in found.drain(..) {
            let old = before.iter().find(|old| old.type_ == condition.type_);
            if !is_gap(old, &condition, before) {
                kept.push(condition);
                continue;
            }
            let since = known.iter().find(|(type_, _)| *type_ == condition.type_);
            let since = since.map_or(now, |(_, since)| *since);
            let rest = HOLD.saturating_sub(now.duration_since(since));
            held.push((condition.type_.clone(), since));
            if rest.is_zero() {
                kept.push(condition);
                continue;
            }
            again = again.into_iter().chain([rest]).min();
            kept.extend(old.cloned());
        }
        *found = kept;
        if !held.is_empty() {
            worse.insert(key.clone(), held);
        }
        again
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.worse.lock().remove(key);
    }
}

/// Whether the state is worse than before, may pass, and is of the same spec.
fn is_gap(old: Option<&Condition>, new: &Condition, before: &[Condition]) -> bool {
    let abnormal = ABNORMAL.contains(&&*new.type_);
    let was_well = match old {
        Some(old) if abnormal => old.status == "False",
        Some(old) => old.status == "True",
        // The conditions of kstatus are absent while all is well.
        None => abnormal && !before.is_empty(),
    };
    let is_well = new.status == if abnormal { "False" } else { "True" };
    let generation = old.or(before.first()).and_then(|old| old.observed_generation);
    was_well
        && !is_well
        && generation == new.observed_generation
        && MAY_PASS.contains(&&*new.reason)
}
