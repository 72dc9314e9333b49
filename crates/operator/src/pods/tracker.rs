//! The faults of each queue over time: since when, whether an event has said so, and whether a
//! Pod that is well for a moment is out of fault.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::pod_fault::{DEADLINE, FaultReason, PodFault};
use super::record::PodRecord;
use crate::build::names::Part;
use crate::queue::QueueKey;

/// Time for which a Pod that crashes again and again must be well to be out of fault.
const WELL_FOR: Duration = Duration::from_secs(120);

/// The faults of a queue, by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartFaults(Vec<(Part, PodFault)>);

impl PartFaults {
    /// These.
    pub fn new(faults: Vec<(Part, PodFault)>) -> Self {
        Self(faults)
    }

    /// The fault of a part.
    pub fn of(&self, part: Part) -> Option<&PodFault> {
        self.0.iter().find(|(own, _)| *own == part).map(|(_, fault)| fault)
    }

    /// The first fault that has lasted too long.
    pub fn overdue(&self, now: Timestamp) -> Option<&(Part, PodFault)> {
        self.0.iter().find(|(_, fault)| fault.is_overdue(now))
    }
}

/// What a look at the Pods of a queue has found.
#[derive(Debug, Default)]
pub struct FaultLook {
    /// The faults.
    pub faults: PartFaults,
    /// Those that no event has reported yet.
    pub new: Vec<(Part, PodFault)>,
    /// When to look again although nothing changes.
    pub again: Option<Duration>,
}

/// The Pods of one part, and why the API server refuses to create them.
pub struct PartLook {
    /// The part.
    pub part: Part,
    /// Its Pods.
    pub pods: Vec<PodRecord>,
    /// Fault that no Pod shows.
    pub refused: Option<PodFault>,
}

/// The faults of all queues.
#[derive(Default)]
pub struct FaultTracker {
    queues: Mutex<HashMap<QueueKey, Vec<TrackedFault>>>,
}

struct TrackedFault {
    part: Part,
    fault: PodFault,
    /// When it was seen last.
    seen: Timestamp,
    /// The reason in the last event.
    published: FaultReason,
}

impl FaultTracker {
    /// Compares what is seen `now` with what was seen before.
    pub fn look(&self, key: &QueueKey, parts: &[PartLook], now: Timestamp) -> FaultLook {
        let mut queues = self.queues.lock();
        let before = queues.remove(key).unwrap_or_default();
        let (mut look, mut tracked) = (FaultLook::default(), Vec::new());
        for part in parts {
            let old = before.iter().find(|old| old.part == part.part);
            let found = part.refused.clone().or_else(|| worst(part.part, &part.pods));
            let Some(one) = track(part, found, old, now) else { continue };
            if old.is_none_or(|old| old.published != one.published) {
                look.new.push((part.part, one.fault.clone()));
            }
            let well = (one.seen < now).then(|| one.seen + WELL_FOR);
            for at in [one.fault.since + DEADLINE].into_iter().chain(well) {
                let wait = at.duration_since(now);
                if let Ok(wait) = Duration::try_from(wait)
                    && !wait.is_zero()
                {
                    look.again = Some(look.again.map_or(wait, |again| again.min(wait)));
                }
            }
            look.faults.0.push((part.part, one.fault.clone()));
            tracked.push(one);
        }
        if !tracked.is_empty() {
            queues.insert(key.clone(), tracked);
        }
        look
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.queues.lock().remove(key);
    }
}

/// The fault of a part: what is found, since when any is found; or what was found before, if that
/// is not over yet.
fn track(
    look: &PartLook,
    found: Option<PodFault>,
    old: Option<&TrackedFault>,
    now: Timestamp,
) -> Option<TrackedFault> {
    if let Some(mut fault) = found {
        if let Some(old) = old {
            fault.since = fault.since.min(old.fault.since);
        }
        let published = fault.reason;
        return Some(TrackedFault { part: look.part, fault, seen: now, published });
    }
    let old = old.filter(|old| !is_over(look, old, now))?;
    let TrackedFault { part, fault, seen, published } = old;
    Some(TrackedFault { part: *part, fault: fault.clone(), seen: *seen, published: *published })
}

fn is_over(look: &PartLook, old: &TrackedFault, now: Timestamp) -> bool {
    if look.part == Part::Sweeper {
        // Between two sweepers there is no Pod.
        let newest = look.pods.iter().filter(|pod| !pod.leaving).max_by_key(|pod| pod.created);
        return newest.is_some_and(|pod| pod.healthy && pod.created > old.fault.since);
    }
    let remains = look.pods.iter().any(|pod| pod.uid == old.fault.pod && !pod.leaving);
    let well = now.duration_since(old.seen).unsigned_abs() >= WELL_FOR;
    !(remains && old.fault.reason.comes_and_goes()) || well
}

/// The worst fault of the Pods of one part; of equal ones that of the first Pod. A sweeper runs
/// for a minute only: its newest Pod counts, and it has failed when the last two have.
pub fn worst(part: Part, pods: &[PodRecord]) -> Option<PodFault> {
    if part != Part::Sweeper {
        let alive = pods.iter().filter(|pod| !pod.ended && !pod.leaving);
        return alive.filter_map(|pod| pod.fault.as_ref()).min_by_key(|one| one.reason).cloned();
    }
    let mut pods: Vec<_> = pods.iter().filter(|pod| !pod.leaving).collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.created));
    let fault = pods.first()?.fault.clone()?;
    let again = pods.get(1).is_some_and(|pod| pod.ended && pod.fault.is_some());
    (!pods[0].ended || again).then_some(fault)
}
