//! The troubles of each queue over time: since when, whether an event has said so, and whether a
//! Pod that is well for a moment is out of trouble.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::record::PodRecord;
use super::trouble::{DEADLINE, PodTrouble, TroubleReason, worst};
use crate::build::names::Part;
use crate::queue::QueueKey;

/// Time for which a Pod that crashes again and again must be well to be out of trouble.
const WELL_FOR: Duration = Duration::from_secs(120);

/// The troubles of a queue, by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartTroubles(Vec<(Part, PodTrouble)>);

impl PartTroubles {
    /// These.
    pub fn new(troubles: Vec<(Part, PodTrouble)>) -> Self {
        Self(troubles)
    }

    /// The trouble of a part.
    pub fn of(&self, part: Part) -> Option<&PodTrouble> {
        self.0.iter().find(|(own, _)| *own == part).map(|(_, trouble)| trouble)
    }

    /// The first trouble that has lasted too long.
    pub fn overdue(&self, now: Timestamp) -> Option<&(Part, PodTrouble)> {
        self.0.iter().find(|(_, trouble)| trouble.is_overdue(now))
    }
}

/// What a look at the Pods of a queue has found.
#[derive(Debug, Default)]
pub struct TroubleLook {
    /// The troubles.
    pub troubles: PartTroubles,
    /// Those that no event has reported yet.
    pub new: Vec<(Part, PodTrouble)>,
    /// When to look again although nothing changes.
    pub again: Option<Duration>,
}

/// The Pods of one part, and why the API server refuses to create them.
pub struct PartLook {
    /// The part.
    pub part: Part,
    /// Its Pods.
    pub pods: Vec<PodRecord>,
    /// Trouble that no Pod shows.
    pub refused: Option<PodTrouble>,
}

/// The troubles of all queues.
#[derive(Default)]
pub struct TroubleTracker {
    queues: Mutex<HashMap<QueueKey, Vec<TrackedTrouble>>>,
}

struct TrackedTrouble {
    part: Part,
    trouble: PodTrouble,
    /// When it was seen last.
    seen: Timestamp,
    /// The reason in the last event.
    published: TroubleReason,
}

impl TroubleTracker {
    /// Compares what is seen `now` with what was seen before.
    pub fn look(&self, key: &QueueKey, parts: &[PartLook], now: Timestamp) -> TroubleLook {
        let mut queues = self.queues.lock();
        let before = queues.remove(key).unwrap_or_default();
        let (mut look, mut tracked) = (TroubleLook::default(), Vec::new());
        for part in parts {
            let old = before.iter().find(|old| old.part == part.part);
            let found = part.refused.clone().or_else(|| worst(part.part, &part.pods));
            let Some(one) = track(part, found, old, now) else { continue };
            if old.is_none_or(|old| old.published != one.published) {
                look.new.push((part.part, one.trouble.clone()));
            }
            let well = (one.seen < now).then(|| one.seen + WELL_FOR);
            for at in [one.trouble.since + DEADLINE].into_iter().chain(well) {
                let wait = at.duration_since(now);
                if let Ok(wait) = Duration::try_from(wait)
                    && !wait.is_zero()
                {
                    look.again = Some(look.again.map_or(wait, |again| again.min(wait)));
                }
            }
            look.troubles.0.push((part.part, one.trouble.clone()));
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

/// The trouble of a part: what is found, since when any is found; or what was found before, if that
/// is not over yet.
fn track(
    look: &PartLook,
    found: Option<PodTrouble>,
    old: Option<&TrackedTrouble>,
    now: Timestamp,
) -> Option<TrackedTrouble> {
    if let Some(mut trouble) = found {
        if let Some(old) = old {
            trouble.since = trouble.since.min(old.trouble.since);
        }
        let published = trouble.reason;
        return Some(TrackedTrouble { part: look.part, trouble, seen: now, published });
    }
    let old = old.filter(|old| !is_over(look, old, now))?;
    let TrackedTrouble { part, trouble, seen, published } = old;
    Some(TrackedTrouble {
        part: *part,
        trouble: trouble.clone(),
        seen: *seen,
        published: *published,
    })
}

fn is_over(look: &PartLook, old: &TrackedTrouble, now: Timestamp) -> bool {
    if look.part == Part::Sweeper {
        // Between two sweepers there is no Pod.
        let newest = look.pods.iter().filter(|pod| !pod.leaving).max_by_key(|pod| pod.created);
        return newest.is_some_and(|pod| pod.healthy && pod.created > old.trouble.since);
    }
    let remains = look.pods.iter().any(|pod| pod.uid == old.trouble.pod && !pod.leaving);
    let well = now.duration_since(old.seen).unsigned_abs() >= WELL_FOR;
    !(remains && old.trouble.reason.comes_and_goes()) || well
}
