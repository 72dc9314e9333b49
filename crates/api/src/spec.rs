//! What a person writes: the spec of a `BookingQueue`.
// Each printer column says its type anew; clippy takes that for a repetition.
#![allow(clippy::duplicated_attributes)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::downstream::Downstream;
use crate::duration::DurationString;
use crate::redis::Redis;
use crate::scaling::Autoscaling;
use crate::status::BookingQueueStatus;
use crate::worker::Worker;

/// A line of people who want to book something, and what serves them. `spec.booking.endpoint` is
/// all that must be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "bookingqueue.dev",
    version = "v1alpha1",
    kind = "BookingQueue",
    plural = "bookingqueues",
    shortname = "bq",
    category = "bookingqueue",
    namespaced,
    status = "BookingQueueStatus",
    derive = "PartialEq",
    doc = "A fair line in front of a Booking Service: everyone gets a place, a reservation in order, and a limited time to pay.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40")
        .message("a queue's name is 1 to 40 lower-case letters, digits and '-', and starts with a letter: its Services and Pods are named after it"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Depth", type_ = "integer", json_path = ".status.backlog", description = "Bookings in the line"),
    printcolumn(
        name = "In flight",
        type_ = "integer",
        json_path = ".status.inFlight",
        description = "Bookings in workers' hands"
    ),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Oldest wait",
        type_ = "string",
        json_path = ".status.oldestWait",
        description = "How long the front of the line has waited"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Admission", type_ = "string", json_path = ".spec.admission", priority = "1"),
    printcolumn(
        name = "Holds",
        type_ = "integer",
        json_path = ".status.holds",
        description = "Reservations waiting for payment",
        priority = "1"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BookingQueueSpec {
    /// The Booking Service: reserves, confirms and releases tickets.
    pub booking: Downstream,
    /// The Realtime Service, if there is one: is told of every change, to tell the clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime: Option<Downstream>,
    /// The Ticket Service, if there is one: is asked before each reservation whether anything is
    /// left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Downstream>,
    /// Where the queue's data lives; a Redis is run for it when nothing is said.
    #[serde(default)]
    pub redis: Redis,
    /// How the workers run.
    #[serde(default)]
    pub worker: Worker,
    /// How the number of workers follows the line.
    #[serde(default)]
    pub autoscaling: Autoscaling,
    /// A fixed number of workers. Switches autoscaling off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// How long a reservation waits for payment, and how long a decided booking is remembered.
    #[serde(default)]
    pub hold: Hold,
    /// How unpaid reservations are given back.
    #[serde(default)]
    pub sweep: Sweep,
    /// When the Booking Service is asked again.
    #[serde(default)]
    pub retry: Retry,
    /// Whether the queue takes and serves bookings.
    #[serde(default)]
    pub admission: Admission,
}

/// How long a reservation waits for payment, and how long a decided booking is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hold {
    /// Time to pay, from the moment the reservation is made. 1s to 168h.
    pub timeout: DurationString,
    /// How long a booking can still be looked up after its end. 1m to 8760h.
    pub retention: DurationString,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            timeout: DurationString::from_secs(300),
            retention: DurationString::from_secs(86_400),
        }
    }
}

/// How unpaid reservations are given back. Correctness never waits for it: a late payment is
/// refused even if no sweeper runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sweep {
    /// When a sweeper starts, as five cron fields; each sweeps for a minute.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// True stops new sweepers.
    pub suspend: bool,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { schedule: "* * * * *".to_owned(), suspend: false }
    }
}

/// When the Booking Service is asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::not_longer("initialBackoff", "maxBackoff")))]
pub struct Retry {
    /// Tries to reserve that may fail before a booking fails. Confirmations and releases are tried
    /// until they are answered.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: i32,
    /// Wait before the first retry; doubles with each further one. 10ms to 1h.
    pub initial_backoff: DurationString,
    /// The longest wait between two tries. At most 1h.
    pub max_backoff: DurationString,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            initial_backoff: DurationString::from_millis(200),
            max_backoff: DurationString::from_secs(10),
        }
    }
}

/// Whether a queue takes and serves bookings: Open takes and serves; Paused takes bookings and
/// keeps their order, but reserves nothing; Closed takes no new bookings and serves those in line.
// The variants carry no docs of their own: a documented variant becomes a oneOf branch, which a CRD
// may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Admission {
    #[default]
    Open,
    Paused,
    Closed,
}

impl From<Admission> for bookingq_core::Admission {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Open => Self::Open,
            Admission::Paused => Self::Paused,
            Admission::Closed => Self::Closed,
        }
    }
}
