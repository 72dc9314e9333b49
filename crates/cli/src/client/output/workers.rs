//! How the workers of a queue are shown, and why there are as many.

use std::time::Duration;

use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::Serialize;

use super::{about, moment};

/// The workers, as the process that scales them last recorded them.
#[derive(Debug, Serialize)]
pub struct WorkersOutput {
    /// Workers wanted.
    pub wanted: u32,
    /// Workers that are ready.
    pub ready: u32,
    /// The last change of the number wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<ScalingOutput>,
}

/// A change of the number of workers.
#[derive(Debug, Serialize)]
pub struct ScalingOutput {
    /// When it was made, and how long before the reading that was.
    at: String,
    age_seconds: f64,
    from: u32,
    to: u32,
    reason: String,
    note: String,
}

impl WorkersOutput {
    /// Of a reading that was made `now`.
    pub fn new(workforce: v1::Workforce, now: Option<&prost_types::Timestamp>) -> Self {
        let change = |change: v1::WorkforceChange| {
            let at = change.at.unwrap_or_default();
            let now = from_timestamp(now.unwrap_or(&at));
            ScalingOutput {
                at: moment(&at),
                age_seconds: now.since(from_timestamp(&at)).as_secs_f64(),
                from: change.from,
                to: change.to,
                reason: change.reason,
                note: change.note,
            }
        };
        let v1::Workforce { wanted, ready, last_scaling } = workforce;
        Self { wanted, ready, last_scaling: last_scaling.map(change) }
    }

    /// Those that are ready, of those wanted.
    pub fn count(&self) -> String {
        format!("{} of {}", self.ready, self.wanted)
    }
}

impl ScalingOutput {
    /// The change in one word.
    pub fn word(&self) -> String {
        format!("{}->{},{}", self.from, self.to, self.reason)
    }

    /// The change in one line.
    pub fn words(&self) -> String {
        let Self { from, to, reason, note, .. } = self;
        let ago = about(Duration::from_secs_f64(self.age_seconds.max(0.0)));
        let change = if from == to { format!("{to}") } else { format!("{from} -> {to}") };
        format!("{change}, {ago} ago: {note} ({reason})")
    }
}
