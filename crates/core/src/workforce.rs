//! The workers of a queue as the process that scales them knows them: for people who look at the
//! queue. No rule depends on it.

use crate::autoscale::{Decision, Reason, Situation};
use crate::limits;
use crate::time::Timestamp;

/// Longest reason of a change, in bytes.
const MAX_WORD: usize = 64;

/// The number of workers of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workforce {
    /// Workers wanted.
    pub wanted: u32,
    /// Workers that are ready.
    pub ready: u32,
    /// The last change of the number wanted; `None` before the first.
    pub last_scaling: Option<WorkforceChange>,
}

/// A change of the number of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkforceChange {
    /// When it was made, by the clock of the process that made it.
    pub at: Timestamp,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence.
    pub note: String,
}

impl Workforce {
    /// The same within the limits of a store: the reason is one word, the note one line, and both
    /// are cut.
    #[must_use]
    pub fn bounded(&self) -> Self {
        let word = |text: &str| -> String {
            text.chars().filter(char::is_ascii_alphanumeric).take(MAX_WORD).collect()
        };
        let bounded = |change: &WorkforceChange| WorkforceChange {
            reason: word(&change.reason),
            note: limits::reason(&change.note),
            ..*change
        };
        Self { last_scaling: self.last_scaling.as_ref().map(bounded), ..*self }
    }
}

impl From<&Decision> for WorkforceChange {
    fn from(decision: &Decision) -> Self {
        let Situation { now, reading, current, .. } = decision.situation;
        let note = match reading {
            None => NO_READING.to_owned(),
            Some(reading) => {
                let joining = (reading.arrivals * 60.0).round() as u64;
                let capped = decision.reason == Reason::Capped;
                note(reading.claimable, joining, reading.in_flight, capped)
            }
        };
        let reason = decision.reason.as_str().to_owned();
        Self { at: now, from: current, to: decision.replicas, reason, note }
    }
}

/// The note of a change without a reading.
pub const NO_READING: &str = "to stay within min and max; the store cannot be read";

/// The note of a change: what asked for it, and whether the outflow bounds it.
pub fn note(waiting: u64, joining_per_minute: u64, in_flight: u64, capped: bool) -> String {
    let bound = if capped { "; spec.outflow is the limit" } else { "" };
    format!(
        "{waiting} in line, {joining_per_minute} joining per minute, {in_flight} in flight{bound}"
    )
}
