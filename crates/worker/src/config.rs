//! The configuration of workers and sweepers: typed and validated, so that nothing inside parses
//! text.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::backoff::RetryPolicy;
use bookingq_core::defaults;
use bookingq_serve::tls::{ClientTls, ServerTls};

/// A service that the worker calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downstream {
    /// `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// Deadline of one call.
    pub timeout: Duration,
    /// For `https://`.
    pub tls: ClientTls,
}

impl Downstream {
    /// A service without TLS, with the default deadline.
    pub fn new(endpoint: impl Into<String>) -> Self {
        let (endpoint, timeout) = (endpoint.into(), defaults::CALL_TIMEOUT);
        Self { endpoint, timeout, tls: ClientTls::default() }
    }
}

/// How tasks are claimed and executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskConfig {
    /// The Booking Service.
    pub booking: Downstream,
    /// The Ticket Service, if there is one.
    pub ticket: Option<Downstream>,
    /// Tasks to run at once.
    pub concurrency: usize,
    /// Time after which another process may claim a task of this one, if it stays silent; renewed
    /// at a third of it.
    pub lease: Duration,
    /// Time to pay, from the moment the reservation is recorded.
    pub hold: Duration,
    /// Retries of calls to the Booking Service.
    pub retry: RetryPolicy,
}

impl TaskConfig {
    /// The defaults, with this Booking Service.
    pub fn new(booking: Downstream) -> Self {
        Self {
            booking,
            ticket: None,
            concurrency: defaults::CONCURRENCY as usize,
            lease: defaults::LEASE,
            hold: defaults::HOLD,
            retry: defaults::RETRY,
        }
    }
}

/// Limits of the gRPC port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Requests in progress at once; further ones are refused with OVERLOADED.
    pub requests: usize,
    /// Open WatchStatus streams; further ones are refused with OVERLOADED.
    pub watches: usize,
    /// Streams of one connection.
    pub streams_per_connection: u32,
    /// Largest message accepted, in bytes.
    pub message_bytes: usize,
    /// Total bytes that requests may hold while they arrive.
    pub intake_bytes: usize,
    /// Age after which a connection is asked to reconnect, so that new workers get their share.
    pub connection_age: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            requests: defaults::MAX_REQUESTS as usize,
            watches: defaults::MAX_WATCHES as usize,
            streams_per_connection: 4096,
            message_bytes: 6 * 1024 * 1024,
            intake_bytes: 64 * 1024 * 1024,
            connection_age: defaults::MAX_CONNECTION_AGE,
        }
    }
}

/// Everything a worker needs but its store.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Name in logs, leases and metrics; unique among the workers of a queue.
    pub id: String,
    /// Address of the gRPC port.
    pub listen: SocketAddr,
    /// Address of `/healthz`, `/readyz` and `/metrics`, if they are served.
    pub admin: Option<SocketAddr>,
    /// TLS of the gRPC port.
    pub tls: Option<ServerTls>,
    /// Limits of the gRPC port.
    pub limits: ServerLimits,
    /// The tasks.
    pub tasks: TaskConfig,
    /// Serve no client before the rules of the sale have been written to the store.
    pub await_rules: bool,
    /// The Realtime Service, if there is one.
    pub realtime: Option<Downstream>,
    /// Time to shut down after SIGTERM.
    pub grace: Duration,
    /// Part of `grace` during which the port, not ready, still accepts connections, because
    /// endpoints lag.
    pub linger: Duration,
}

impl WorkerConfig {
    /// The defaults for a queue whose Booking Service is at `endpoint`.
    pub fn new(id: impl Into<String>, listen: SocketAddr, endpoint: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            listen,
            admin: None,
            tls: None,
            limits: ServerLimits::default(),
            tasks: TaskConfig::new(Downstream::new(endpoint)),
            await_rules: false,
            realtime: None,
            grace: defaults::GRACE,
            linger: defaults::LINGER,
        }
    }
}

/// Everything a sweeper needs but its store.
#[derive(Debug, Clone)]
pub struct SweepConfig {
    /// Name in logs, leases and metrics.
    pub id: String,
    /// Address of `/healthz`, `/readyz` and `/metrics`, if they are served.
    pub admin: Option<SocketAddr>,
    /// Executes due tasks as well: releases, retries, tasks of dead workers.
    pub tasks: Option<TaskConfig>,
    /// Time to finish the tasks in hand once the sweep is over.
    pub grace: Duration,
}
