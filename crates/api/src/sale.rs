//! The rules of a sale: when it opens, how fast it serves, and what a sold out item means.

use bookingq_core::sale::SoldOutRule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::time::TimeString;

/// When the sale begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleSpec {
    /// When the queue begins to serve, such as 2026-12-01T20:00:00+01:00. Before that it accepts
    /// bookings and keeps their order, but reserves nothing. By default it serves at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<TimeString>,
}

/// How fast the line is served, by all workers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("!has(self.burst) || has(self.perMinute)", "burst requires perMinute"),
    (
        "!has(self.burst) || !has(self.perMinute) || self.burst <= self.perMinute",
        "burst must not be above perMinute",
    ),
])))]
pub struct OutflowSpec {
    /// Maximum number of bookings that leave the line in any 60 seconds. By default only the number
    /// of workers limits them. To serve none, set admission to Paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_minute: Option<i32>,
    /// Maximum number of them at once. Defaults to 1 plus a hundredth of perMinute. A larger burst
    /// lowers the steady rate, so that no 60 seconds exceed perMinute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
    /// Maximum number of bookings that are being reserved, wait for payment, or are being confirmed
    /// or released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_holds: Option<i32>,
}

/// What a sold out item means for those in line who want it.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum SoldOutSpec {
    #[default]
    Wait,
    End,
}

impl From<SoldOutSpec> for SoldOutRule {
    fn from(rule: SoldOutSpec) -> Self {
        match rule {
            SoldOutSpec::Wait => Self::Wait,
            SoldOutSpec::End => Self::End,
        }
    }
}

/// An item with a rule of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemSpec {
    /// Name of the item, as Enqueue gives it. At most 128 bytes.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Wait or End, as the field soldOut of the queue.
    pub sold_out: SoldOutSpec,
}
