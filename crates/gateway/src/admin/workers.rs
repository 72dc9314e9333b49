//! The workers of a queue, as the process that scales them last recorded them.

use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1;
use serde::Serialize;

use crate::place_json::rfc3339;

/// The number of workers of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminWorkersJson {
    /// Workers wanted.
    pub wanted: u32,
    /// Workers that are ready.
    pub ready: u32,
    /// The last change of the number wanted; null before the first.
    pub last_scaling: Option<AdminScalingJson>,
}

/// A change of the number of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminScalingJson {
    /// When it was made.
    pub at: String,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Why, as one word.
    pub reason: String,
    /// Why, as a sentence.
    pub note: String,
}

impl From<&v1::Workforce> for AdminWorkersJson {
    fn from(workforce: &v1::Workforce) -> Self {
        let change = |change: &v1::WorkforceChange| AdminScalingJson {
            at: change.at.as_ref().map(|at| rfc3339(from_timestamp(at))).unwrap_or_default(),
            from: change.from,
            to: change.to,
            reason: change.reason.clone(),
            note: change.note.clone(),
        };
        let v1::Workforce { wanted, ready, last_scaling } = workforce;
        let last_scaling = last_scaling.as_ref().map(change);
        Self { wanted: *wanted, ready: *ready, last_scaling }
    }
}
