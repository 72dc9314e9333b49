//! The status of a `BookingQueue`, as the operator reports it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a booking queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BookingQueueStatus {
    /// Conditions of the queue: Ready, Progressing, Degraded, RedisReady, WorkersAvailable,
    /// SweeperHealthy, ScaledByOther, UpdatePending and, with spec.gateway, GatewayAvailable.
    /// Present only while their cause is there: Reconciling, Stalled, Paused, SchemaBehind and,
    /// with spec.hibernate, Hibernated.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The most recent generation that the operator has observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of worker Pods.
    pub replicas: i32,
    /// Label selector of the worker Pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Number of bookings in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// Number of bookings that workers are processing, retries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<i64>,
    /// Number of reservations that wait for payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<i64>,
    /// Number of bookings that keep their places and wait for an item that is sold out at the
    /// moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<i64>,
    /// Time the front of the line has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_wait: Option<String>,
    /// The last change of the number of workers, with the input of that decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<LastScaling>,
    /// The gateways, if spec.gateway is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayStatus>,
    /// An update of the operator that waits, as spec.update says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateStatus>,
    /// The last election of the primary, with spec.redis.managed.replicas: 3. The operator writes
    /// it before it promotes a Pod, and workers write to the primary of the highest term only. Do
    /// not change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisElection>,
}

impl BookingQueueStatus {
    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        named(&self.conditions, type_)
    }
}

/// The condition of this type.
pub(crate) fn named<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// An update that waits: another release or image of the operator would replace Pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStatus {
    /// Identifies the update. It begins once the annotation bookingqueue.dev/update has this value.
    pub pending: String,
    /// Since when it waits.
    #[schemars(schema_with = "crate::schema::time")]
    pub since: Time,
    /// What it waits for: Idle, Window or Annotation.
    pub waits_for: String,
}

/// An election of the primary of a managed Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisElection {
    /// Counts the elections.
    pub term: i64,
    /// Name of the Pod that was elected.
    pub primary: String,
    /// The most replicas that have had a whole copy on disk at the same time, since there are three
    /// Pods. Workers wait for no more replicas than this.
    #[serde(default)]
    pub copies: i32,
}

/// Observed state of the gateways.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayStatus {
    /// Number of gateway Pods.
    pub replicas: i32,
    /// Number of open WebSockets and event streams, rounded. Absent until a gateway was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
    /// The last change of the number of gateways, with the input of that decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scaling: Option<GatewayScalingStatus>,
}

/// A decision about the number of gateways, with its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayScalingStatus {
    /// Time of the decision.
    #[schemars(schema_with = "crate::schema::time")]
    pub at: Time,
    /// Number of gateways before.
    pub from: i32,
    /// Number of gateways after.
    pub to: i32,
    /// Number of gateways that the connections alone need. The scale-down window may keep more.
    pub wanted: i32,
    /// Reason of the decision: Demand, HeldByWindow, NoReading if a gateway could not be read,
    /// Unschedulable, or Fixed for spec.gateway.replicas.
    pub reason: String,
    /// Number of open WebSockets and event streams.
    pub connections: i64,
    /// Number of gateway Pods that could not be scheduled.
    pub unschedulable: i32,
}

/// A decision about the number of workers, with its input: the planner replays it to the same
/// result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastScaling {
    /// Time of the decision.
    #[schemars(schema_with = "crate::schema::time")]
    pub at: Time,
    /// Number of workers before.
    pub from: i32,
    /// Number of workers after.
    pub to: i32,
    /// Number of workers that the line alone needs. The scale-down window may keep more.
    pub wanted: i32,
    /// Reason of the decision: Demand, Capped if spec.outflow decides, HeldByWindow, NoReading,
    /// Unschedulable, Fixed for spec.replicas, or Hibernated for spec.hibernate.
    pub reason: String,
    /// Number of bookings in the line that workers may serve: none while the queue is paused or not
    /// open yet, and none that wait for a sold out item.
    pub backlog: i64,
    /// Number of bookings that joined the line per minute.
    pub arrivals_per_minute: i64,
    /// Mean slot time of a booking, in microseconds. Absent until workers have served one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_time_microseconds: Option<i64>,
    /// Number of tasks in progress.
    pub in_flight: i64,
    /// Number of worker Pods that could not be scheduled.
    pub unschedulable: i32,
    /// Maximum number of bookings that leave the line in 60 seconds, if spec.outflow.perMinute was
    /// set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_per_minute: Option<i64>,
    /// Maximum number of reservations at once, if spec.outflow.maxHolds was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_holds: Option<i64>,
    /// How many more reservations maxHolds allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_holds: Option<i64>,
    /// Number of bookings that left the line per minute, if spec.outflow.maxHolds was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_per_minute: Option<i64>,
}
