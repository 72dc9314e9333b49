//! The worker: accepts bookings over gRPC, claims them in order, reserves, confirms and releases.
//!
//! ```text
//!   args ──> config ──> worker (start, drain) ──┬─ server ── service ── store::GroupCommit
//!                                               ├─ processing (claims ─ executor ─ classify)
//!                                               │    '── downstream (the services it calls)
//!                                               ├─ bookingq_follow (outbox ─ line view, hub)
//!                                               ├─ notifier ── Realtime Service
//!                                               ├─ notifier_hold (who has its lease), readings
//!                                               ├─ ticket_probes ── Ticket Service
//!                                               └─ runtime: store monitor, metrics, admin port
//!   sweeper: the same runtime and processing, of due tasks only, and the sweep itself
//! ```
//!
//! A worker holds no state of its own: when it is killed, another worker claims its tasks once
//! their leases have ended, and every call it made is idempotent by booking id.

pub mod args;
mod body_budget;
pub mod config;
pub mod downstream;
mod feed;
pub mod kafka_access;
mod metrics;
mod notifier;
mod notifier_hold;
mod operator_readings;
pub mod password_file;
pub mod processing;
mod publication;
pub mod redis_access;
mod runtime;
mod server;
pub mod service;
mod store_monitor;
mod store_readings;
pub mod sweeper;
mod ticket_probes;
mod worker;

use bookingq_serve::ServeError;
use bookingq_store::StoreError;

pub use config::{SweepConfig, WorkerConfig};
pub use server::SERVICE_NAME;
pub use sweeper::{SweepMode, SweepReport, Sweeper};
pub use worker::{DrainReport, Worker, WorkerHandle};

use downstream::channel::DownstreamError;

/// Why a worker or sweeper cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A port, a TLS file or a metric.
    #[error(transparent)]
    Process(#[from] ServeError),
    /// A service cannot be used as configured.
    #[error(transparent)]
    Downstream(#[from] DownstreamError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gRPC port failed.
    #[error("cannot continue to serve: {0}")]
    Serve(String),
    /// No sweep succeeded.
    #[error("the sweep failed: {0}")]
    Swept(String),
}
