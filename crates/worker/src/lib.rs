//! The worker: takes bookings over gRPC, takes them from the line in order, reserves, confirms and
//! releases.
//!
//! ```text
//!   config ──> worker (start, drain) ──┬─ server ── service ── store::GroupCommit
//!                                      ├─ processing (claims ─ executor ─ judge, renewals) ── downstream
//!                                      ├─ follow (outbox ─ line view, hub)
//!                                      ├─ notifier ── Realtime Service
//!                                      └─ keeper, admin, metrics
//!   sweeper: the same processing, of what is due only, and the sweep itself
//! ```
//!
//! A worker holds nothing that matters: killed at any moment, what it had in hand is claimed by
//! another once its leases have run out, and every call it made is idempotent by booking id.

pub mod admin;
pub mod config;
pub mod downstream;
pub mod follow;
mod intake;
pub mod keeper;
pub mod metrics;
pub mod notifier;
pub mod processing;
mod server;
pub mod service;
pub mod sweeper;
mod trace;
mod worker;

use std::net::SocketAddr;

use bookingq_store::StoreError;

pub use config::WorkerConfig;
pub use server::SERVICE_NAME;
pub use sweeper::{SweepConfig, SweepMode, SweepReport, Sweeper};
pub use worker::{DrainReport, Worker, WorkerHandle};

use downstream::channel::DownstreamError;

/// Why a worker or sweeper can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A port can't be had.
    #[error("can't listen on {address}: {cause}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
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
    /// Two metrics of one name: a defect.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
