//! The worker: takes bookings over gRPC, takes them from the line in order, reserves, confirms and
//! releases.
//!
//! ```text
//!   config ──> worker (start, drain) ──┬─ server ── service ── store::GroupCommit
//!                                      ├─ processing (claims ─ executor ─ classify, renewals) ── downstream
//!                                      ├─ bookingq_follow (outbox ─ line view, hub)
//!                                      ├─ notifier ── Realtime Service
//!                                      └─ runtime: store monitor, executor, metrics, admin port
//!   sweeper: the same runtime and processing, of due tasks only, and the sweep itself
//! ```
//!
//! A worker holds nothing that matters: killed at any moment, what it had in hand is claimed by
//! another once its leases have run out, and every call it made is idempotent by booking id.

pub mod config;
pub mod downstream;
mod intake;
pub mod metrics;
pub mod notifier;
pub mod processing;
mod runtime;
mod server;
pub mod service;
mod store_monitor;
pub mod sweeper;
mod worker;

use bookingq_serve::ServeError;
use bookingq_store::StoreError;

pub use config::WorkerConfig;
pub use server::SERVICE_NAME;
pub use sweeper::{SweepConfig, SweepMode, SweepReport, Sweeper};
pub use worker::{DrainReport, Worker, WorkerHandle};

use downstream::channel::DownstreamError;

/// Why a worker or sweeper can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A port, a TLS file or a metric.
    #[error(transparent)]
    Process(#[from] ServeError),
    /// A service can't be used as configured.
    #[error(transparent)]
    Downstream(#[from] DownstreamError),
    /// TLS files of our own port.
    #[error("TLS of the gRPC port: {0}")]
    Tls(String),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gRPC port failed.
    #[error("can't go on serving: {0}")]
    Serve(String),
    /// A sweep that achieved nothing.
    #[error("the sweep failed: {0}")]
    Swept(String),
}
