//! How the number of workers follows the line.

use bookingq_core::autoscale::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::duration::DurationString;

/// How the number of workers follows the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::rule("self.min <= self.max", "min must not be above max")))]
pub struct AutoscalingSpec {
    /// Minimum number of workers. At least 1, because workers also accept new bookings.
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
    /// Maximum number of workers.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// Time in which the line should drain. A shorter time needs more workers. 1s to 1h.
    pub drain_target: DurationString,
    /// Target share of busy task slots, in percent. The rest absorbs bursts.
    #[schemars(range(min = 1, max = 100))]
    pub utilisation_percent: i32,
    /// Scales down only if fewer workers were enough for this whole time. 0s to 1h.
    pub scale_down_window: DurationString,
}

impl Default for AutoscalingSpec {
    fn default() -> Self {
        Self {
            min: Policy::DEFAULT.min as i32,
            max: Policy::DEFAULT.max as i32,
            drain_target: DurationString::new(Policy::DEFAULT.drain_target),
            utilisation_percent: (Policy::DEFAULT.utilisation * 100.0).round() as i32,
            scale_down_window: DurationString::new(Policy::DEFAULT.scale_down_window),
        }
    }
}
