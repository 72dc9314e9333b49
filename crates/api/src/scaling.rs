//! How many workers a queue may have, and how soon a line should be gone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::duration::DurationString;

/// How the number of workers follows the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rule("self.min <= self.max", "min must not be above max")))]
pub struct Autoscaling {
    /// Never fewer workers. At least 1, because the workers are also the door that clients come in
    /// by.
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
    /// Never more workers.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// How soon a backlog should be gone: shorter means more workers for the same line. 1s to 1h.
    pub drain_target: DurationString,
    /// Share of the workers' slots that should be busy, in percent; what is left absorbs bursts.
    #[schemars(range(min = 1, max = 100))]
    pub utilisation_percent: i32,
    /// Workers leave only when fewer were enough for this whole time. 0s to 1h.
    pub scale_down_window: DurationString,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            drain_target: DurationString::from_secs(30),
            utilisation_percent: 70,
            scale_down_window: DurationString::from_secs(60),
        }
    }
}
