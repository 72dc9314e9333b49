//! The configuration of a worker: typed and checked, so that no other file parses text.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_serve::tls::{ClientTls, ServerTls};

/// A service we call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downstream {
    /// `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// Deadline of one call.
    pub timeout: Duration,
    /// For `https://`.
    pub tls: ClientTls,
}

/// When Reserve is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries of Reserve that count before the booking is released and fails. At least 1.
    pub attempts: u32,
    /// Wait between tries, of all kinds.
    pub backoff: Backoff,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(10) },
        }
    }
}

/// Bounds of the gRPC port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Requests worked on at once; what is over is refused with OVERLOADED.
    pub requests: usize,
    /// Open WatchStatus streams; what is over is refused with OVERLOADED.
    pub watches: usize,
    /// Streams of one connection.
    pub streams_per_connection: u32,
    /// Largest message taken, in bytes.
    pub message_bytes: usize,
    /// Bytes that requests on their way may hold together, before they are answered.
    pub intake_bytes: usize,
    /// A connection older than this is asked to leave, so that new workers get their share.
    pub connection_age: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            requests: 4096,
            watches: 200_000,
            streams_per_connection: 4096,
            message_bytes: 6 * 1024 * 1024,
            intake_bytes: 64 * 1024 * 1024,
            connection_age: Duration::from_secs(300),
        }
    }
}

/// All a worker needs to know but its store.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Names this worker in logs, leases and metrics; unique among the workers of a queue.
    pub id: String,
    /// gRPC port.
    pub listen: SocketAddr,
    /// Port of `/healthz`, `/readyz` and `/metrics`; none in-process.
    pub admin: Option<SocketAddr>,
    /// TLS of the gRPC port.
    pub tls: Option<ServerTls>,
    /// Bounds of the gRPC port.
    pub limits: ServerLimits,
    /// Tasks at once.
    pub concurrency: usize,
    /// How long a claimed task is ours without a sign of life; renewed at a third of it.
    pub lease: Duration,
    /// Time to pay.
    pub hold: Duration,
    /// Retries.
    pub retry: Retry,
    /// The Booking Service.
    pub booking: Downstream,
    /// The Ticket Service, if there is one.
    pub ticket: Option<Downstream>,
    /// The Realtime Service, if there is one.
    pub realtime: Option<Downstream>,
    /// Whole time for leaving after SIGTERM.
    pub grace: Duration,
    /// How long the port stays open, not ready, after SIGTERM, because endpoints lag; part of
    /// `grace`.
    pub linger: Duration,
}

impl WorkerConfig {
    /// The defaults, for a queue whose Booking Service is at `endpoint`.
    pub fn new(id: impl Into<String>, listen: SocketAddr, endpoint: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            listen,
            admin: None,
            tls: None,
            limits: ServerLimits::default(),
            concurrency: 32,
            lease: Duration::from_secs(10),
            hold: Duration::from_secs(300),
            retry: Retry::default(),
            booking: Downstream {
                endpoint: endpoint.into(),
                timeout: Duration::from_secs(3),
                tls: ClientTls::default(),
            },
            ticket: None,
            realtime: None,
            grace: Duration::from_secs(25),
            linger: Duration::from_secs(2),
        }
    }
}
