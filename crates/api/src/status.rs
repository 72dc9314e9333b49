//! What the operator reports back about a `BookingQueue`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the queue is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BookingQueueStatus {
    /// What holds: Ready, Progressing, Degraded, Redis, Workers, Sweeper; each with a reason and a
    /// message for a person.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Workers that exist.
    pub replicas: i32,
    /// Label selector of the workers, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Bookings in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// Bookings in workers' hands, retries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<i64>,
    /// Reservations waiting for payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<i64>,
    /// How long the front of the line has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_wait: Option<String>,
    /// The last change of the number of workers, and what it was decided from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<Scaling>,
}

/// One decision about the number of workers, with all it was decided from: the planner, given the
/// same, answers the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// When.
    #[schemars(schema_with = "crate::schema::time")]
    pub at: Time,
    /// Workers before.
    pub from: i32,
    /// Workers from then on.
    pub to: i32,
    /// What the line alone would need; `to` is more while the scale-down window holds on to
    /// workers.
    pub wanted: i32,
    /// Why: Demand, HeldByWindow, NoReading, Unschedulable, or Fixed for a number that was asked
    /// for.
    pub reason: String,
    /// Bookings in the line.
    pub backlog: i64,
    /// Bookings joining each minute.
    pub arrivals_per_minute: i64,
    /// Mean slot time of a booking, in microseconds; absent before the first one was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_time_microseconds: Option<i64>,
    /// Tasks in workers' hands.
    pub in_flight: i64,
    /// Workers that could not be scheduled.
    pub unschedulable: i32,
}
