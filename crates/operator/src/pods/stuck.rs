//! The Pod of a StatefulSet that Kubernetes itself never replaces. Pure.
//!
//! A StatefulSet that starts its Pods in order waits until a Pod is ready before it replaces it, so
//! a Pod whose image or resources are wrong stays, also when the template has been mended
//! (kubernetes issue 67250).

use std::time::Duration;

use jiff::Timestamp;

use super::record::PodRecord;
use crate::cached_object::ObjectStatus;

/// Time for which a Pod that shows no fault may start: a Redis reads its data for minutes.
pub const STARTS_WITHIN: Duration = Duration::from_secs(600);

/// What to do about a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StuckPod<'a> {
    /// Delete it: it is of an older template, and does not start.
    Replace(&'a PodRecord),
    /// Look again then: it is of an older template, and may still start.
    LookAgain(Duration),
}

/// The first Pod of an older template than that of the StatefulSet with this status and UID that is
/// not ready, and does not run or has never been ready. None while another one is being deleted.
pub fn stuck<'a>(
    set: &ObjectStatus,
    uid: &str,
    pods: &'a [PodRecord],
    now: Timestamp,
) -> Option<StuckPod<'a>> {
    let wanted = set.revision.as_deref().filter(|_| set.observed_generation >= set.generation)?;
    if pods.iter().any(|pod| pod.leaving) {
        return None;
    }
    let is_old = |pod: &&PodRecord| {
        let own = pod.manager.as_deref() == Some(uid);
        own && !pod.ready && pod.revision.as_deref().is_some_and(|revision| revision != wanted)
    };
    let pod = pods.iter().find(is_old)?;
    if pod.fault.is_some() && !pod.runs {
        return Some(StuckPod::Replace(pod));
    }
    let left = Duration::try_from((pod.created + STARTS_WITHIN).duration_since(now));
    match left.unwrap_or_default() {
        _ if !pod.never_ready => None,
        Duration::ZERO => Some(StuckPod::Replace(pod)),
        left => Some(StuckPod::LookAgain(left)),
    }
}
