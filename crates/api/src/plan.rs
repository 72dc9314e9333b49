//! What a `BookingQueue` means once everything in it was found right: typed, in range, defaults
//! filled in.

use std::time::Duration;

use bookingq_core::autoscale::Policy;
use bookingq_core::backoff::Backoff;
use bookingq_core::{Admission, QueueName};
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Map, Value};

use crate::downstream::{Endpoint, Tls};
use crate::redis::{Cluster, ManagedRedis, SecretKey, Sentinel};

/// A whole queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its name in the store.
    pub queue: QueueName,
    /// The Booking Service.
    pub booking: Service,
    /// The Ticket Service, if there is one.
    pub ticket: Option<Service>,
    /// The Realtime Service, if there is one.
    pub realtime: Option<Service>,
    /// Where its data lives.
    pub redis: RedisPlan,
    /// How its workers run.
    pub worker: WorkerPlan,
    /// How many workers.
    pub scaling: Scaling,
    /// Time to pay.
    pub hold: Duration,
    /// How long a decided booking is remembered.
    pub retention: Duration,
    /// When a sweeper starts, as five cron fields; `None` when suspended.
    pub sweep: Option<String>,
    /// When the Booking Service is asked again.
    pub retry: RetryPlan,
    /// Whether the queue takes and serves bookings.
    pub admission: Admission,
}

/// A service the workers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where.
    pub endpoint: Endpoint,
    /// Deadline of one call.
    pub timeout: Duration,
    /// Trust and identity; only with `https://`.
    pub tls: Option<Tls>,
}

/// How the workers run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerPlan {
    /// Container image; the operator's own when not set.
    pub image: Option<String>,
    /// Tasks at once, at least 1.
    pub concurrency: u32,
    /// How long a silent worker keeps a task.
    pub lease: Duration,
    /// Time to leave after SIGTERM.
    pub grace: Duration,
    /// Part of it during which connections are still taken.
    pub linger: Duration,
    /// CPU and memory.
    pub resources: Option<ResourceRequirements>,
    /// Laid over the Pods that are built.
    pub pod_template: Option<Map<String, Value>>,
}

/// How many workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// Always this many.
    Fixed(u32),
    /// As many as the line needs.
    Automatic(Policy),
}

/// When the Booking Service is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPlan {
    /// Tries of Reserve that count; at least 1.
    pub attempts: u32,
    /// Wait between tries.
    pub backoff: Backoff,
}

/// Where the data lives, and what opens it.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisPlan {
    /// Where.
    pub source: RedisSource,
    /// The password, if it stands alone.
    pub password: Option<SecretKey>,
    /// Trust and identity.
    pub tls: Option<Tls>,
}

/// Where a Redis is.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisSource {
    /// One is run for the queue.
    Managed(ManagedRedis),
    /// It is there already, at this address without a password.
    Url(String),
    /// It is there already; a Secret knows the address.
    UrlSecret(SecretKey),
    /// The sentinels know.
    Sentinel(Sentinel),
    /// A cluster.
    Cluster(Cluster),
}
